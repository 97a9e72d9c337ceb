// SPDX-License-Identifier: Apache-2.0
#include "node/config.h"

#include <stdint.h>
#include <string.h>

#include "api/door.h"
#include "api/telemetry_send.h"
#include "base/mem.h"
#include "codec/multiaddr.h"
#include "crypto/peer_id.h"

static void *member_of(pg_config *config, const pg_config_key *key)
{
    return (char *) config + key->offset;
}

bool pg_config_is_list(const pg_config_key *key)
{
    return key->type == PG_CONFIG_TYPE_ADDRS || key->type == PG_CONFIG_TYPE_PEERS;
}

static bool is_text(const pg_config_key *key)
{
    return key->type == PG_CONFIG_TYPE_TEXT || key->type == PG_CONFIG_TYPE_DOOR ||
           key->type == PG_CONFIG_TYPE_URL || key->type == PG_CONFIG_TYPE_COLLECTOR ||
           key->type == PG_CONFIG_TYPE_CHOICE;
}

static void list_clear(pg_config_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        pg_mfree(list->items[i]);
    }
    memset(list, 0, sizeof(*list));
}

// ---- the nearest known key ----

static pg_err fail_unknown(pg_str name)
{
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    size_t best = SIZE_MAX;
    const char *nearest = "";
    for (size_t i = 0; i < count; i++) {
        size_t distance = pg_str_distance(name, pg_str_make(keys[i].name));
        if (distance < best) {
            best = distance;
            nearest = keys[i].name;
        }
    }
    if (pg_str_is_near(name, best)) {
        return pg_fail(PG_ERR_INVALID, "unknown key '%.*s', did you mean '%s'?", PG_STR_ARGS(name),
                       nearest);
    }
    return pg_fail(PG_ERR_INVALID, "unknown key '%.*s'", PG_STR_ARGS(name));
}

// ---- values ----

typedef struct unit {
    const char *suffix;
    uint64_t factor;
} unit;

static const unit byte_units[] = {
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", UINT64_C(1) << 40}};
static const unit time_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

// Read digits with one of the units behind them. *out_value is untouched when the text is no such thing.
static bool quantity_read(pg_str text, const unit *units, size_t unit_count, bool bare,
                          uint64_t *out_value)
{
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        digits++;
    }
    uint64_t number = 0;
    if (pg_str_to_u64(pg_str_make_len(text.ptr, digits), UINT64_MAX, &number) != PG_OK) {
        return false;
    }
    pg_str suffix = pg_str_make_len(text.ptr + digits, text.len - digits);
    if (suffix.len == 0 && (bare || number == 0)) {
        *out_value = number;
        return true;
    }
    for (size_t i = 0; i < unit_count; i++) {
        if (pg_str_equal(suffix, pg_str_make(units[i].suffix))) {
            return !__builtin_mul_overflow(number, units[i].factor, out_value);
        }
    }
    return false;
}

static pg_err set_quantity(uint64_t *value, const pg_config_key *key, pg_str text)
{
    uint64_t number = 0;
    bool read = false;
    const char *shape = "";
    if (key->type == PG_CONFIG_TYPE_BYTES) {
        read = quantity_read(text, byte_units, PG_ARRAY_LEN(byte_units), true, &number);
        shape = " bytes (KiB, MiB, GiB and TiB are known)";
    } else if (key->type == PG_CONFIG_TYPE_DURATION) {
        read = quantity_read(text, time_units, PG_ARRAY_LEN(time_units), false, &number);
        shape = " milliseconds (write 500ms, 10s, 5m or 1h)";
    } else {
        read = quantity_read(text, NULL, 0, true, &number);
    }
    if (!read || number < key->min || number > key->max) {
        return pg_fail(PG_ERR_INVALID, "%s: '%.*s' is not a number from %llu to %llu%s", key->name,
                       PG_STR_ARGS(text), (unsigned long long) key->min,
                       (unsigned long long) key->max, shape);
    }
    *value = number;
    return PG_OK;
}

static pg_err set_bool(bool *value, const pg_config_key *key, pg_str text)
{
    bool is_true = pg_str_equal(text, PG_STR("true"));
    if (!is_true && !pg_str_equal(text, PG_STR("false"))) {
        return pg_fail(PG_ERR_INVALID, "%s: '%.*s' is neither true nor false", key->name,
                       PG_STR_ARGS(text));
    }
    *value = is_true;
    return PG_OK;
}

static pg_err choice_check(const pg_config_key *key, pg_str text)
{
    pg_str rest = pg_str_make(key->choices);
    while (rest.len > 0) {
        pg_str word;
        rest = pg_str_split(rest, ' ', &word);
        if (pg_str_equal(word, text)) {
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_INVALID, "%s: '%.*s' is not one of: %s", key->name, PG_STR_ARGS(text),
                   key->choices);
}

static pg_err text_check(const pg_config_key *key, pg_str text)
{
    pg_endpoint door;
    if (key->type == PG_CONFIG_TYPE_CHOICE) {
        return choice_check(key, text);
    }
    if (key->type == PG_CONFIG_TYPE_DOOR && text.len > 0) {
        return pg_error_wrap(pg_door_endpoint(text, &door), "%s", key->name);
    }
    if (key->type == PG_CONFIG_TYPE_COLLECTOR && text.len > 0) {
        return pg_error_wrap(pg_telemetry_url_check(text), "%s", key->name);
    }
    if (key->type == PG_CONFIG_TYPE_URL && text.len > 0 &&
        !pg_str_starts_with(text, PG_STR("http://")) &&
        !pg_str_starts_with(text, PG_STR("https://"))) {
        return pg_fail(PG_ERR_INVALID, "%s: '%.*s' is no http or https URL", key->name,
                       PG_STR_ARGS(text));
    }
    return PG_OK;
}

static pg_err set_text(char **value, const pg_config_key *key, pg_str text)
{
    PG_TRY(text_check(key, text));
    char *copy = pg_str_dup(text);
    if (copy == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_mfree(*value);
    *value = copy;
    return PG_OK;
}

static pg_err addr_check(const pg_config_key *key, pg_str text)
{
    pg_multiaddr addr;
    pg_peer_id peer;
    pg_err err = pg_multiaddr_parse(text, &addr);
    if (err != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "%s: '%.*s': %s", key->name, PG_STR_ARGS(text),
                       pg_error_detail(err));
    }
    if (key->type != PG_CONFIG_TYPE_PEERS) {
        return PG_OK;
    }
    if (!pg_peer_id_cut(&addr, &peer)) {
        return pg_fail(PG_ERR_INVALID, "%s: '%.*s' needs /p2p/ID at its end", key->name,
                       PG_STR_ARGS(text));
    }
    if (addr.len == 0) {
        return pg_fail(PG_ERR_INVALID, "%s: '%.*s' needs an address before /p2p/ID", key->name,
                       PG_STR_ARGS(text));
    }
    return PG_OK;
}

static pg_err list_append(pg_config_list *list, const pg_config_key *key, pg_str text)
{
    if (text.len == 0) {
        return PG_OK; // `--set net.peers=` empties a list
    }
    if (list->count == key->max) {
        return pg_fail(PG_ERR_INVALID, "%s: more than %llu values", key->name,
                       (unsigned long long) key->max);
    }
    PG_TRY(addr_check(key, text));
    char *copy = pg_str_dup(text);
    if (copy == NULL) {
        return PG_ERR_NOMEM;
    }
    list->items[list->count] = copy;
    list->count++;
    return PG_OK;
}

static pg_err value_set(pg_config *config, const pg_config_key *key, pg_str text, bool replaces)
{
    void *value = member_of(config, key);
    switch (key->type) {
    case PG_CONFIG_TYPE_BOOL:
        return set_bool(value, key, text);
    case PG_CONFIG_TYPE_NUMBER:
    case PG_CONFIG_TYPE_BYTES:
    case PG_CONFIG_TYPE_DURATION:
        return set_quantity(value, key, text);
    case PG_CONFIG_TYPE_TEXT:
    case PG_CONFIG_TYPE_DOOR:
    case PG_CONFIG_TYPE_URL:
    case PG_CONFIG_TYPE_COLLECTOR:
    case PG_CONFIG_TYPE_CHOICE:
        return set_text(value, key, text);
    case PG_CONFIG_TYPE_ADDRS:
    case PG_CONFIG_TYPE_PEERS:
        if (replaces) {
            list_clear(value);
        }
        return list_append(value, key, text);
    }
    return PG_ERR_BUG;
}

pg_err pg_config_find(pg_str name, const pg_config_key **out_key)
{
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (pg_str_equal(name, pg_str_make(keys[i].name))) {
            *out_key = &keys[i];
            return PG_OK;
        }
    }
    return fail_unknown(name);
}

static uint8_t *layer_of(pg_config *config, const pg_config_key *key)
{
    size_t count = 0;
    return &config->layers[key - pg_config_keys(&count)];
}

pg_err pg_config_set(pg_config *config, pg_config_layer layer, pg_str name, pg_str value)
{
    const pg_config_key *key = NULL;
    PG_TRY(pg_config_find(name, &key));
    if (value.len != 0 && memchr(value.ptr, '\0', value.len) != NULL) {
        return pg_fail(PG_ERR_INVALID, "%s: the value has a NUL character", key->name);
    }
    uint8_t *set_by = layer_of(config, key);
    PG_TRY(value_set(config, key, value, *set_by != (uint8_t) layer));
    *set_by = (uint8_t) layer;
    return PG_OK;
}

pg_err pg_config_set_pair(pg_config *config, pg_str pair)
{
    pg_str name;
    pg_str value = pg_str_split(pair, '=', &name);
    if (value.ptr == NULL) {
        return pg_fail(PG_ERR_INVALID, "'%.*s' is not section.key=value", PG_STR_ARGS(pair));
    }
    return pg_config_set(config, PG_CONFIG_LAYER_COMMAND, name, value);
}

pg_err pg_config_init(pg_config *config)
{
    memset(config, 0, sizeof(*config));
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        pg_str rest = pg_str_make(keys[i].initial);
        if (!pg_config_is_list(&keys[i])) {
            err = value_set(config, &keys[i], rest, false);
            continue;
        }
        while (rest.len > 0 && err == PG_OK) {
            pg_str word;
            rest = pg_str_split(rest, ' ', &word);
            err = value_set(config, &keys[i], word, false);
        }
    }
    if (err != PG_OK) {
        pg_config_deinit(config);
    }
    return err;
}

// ---- values as text ----

// Write a number with the largest unit that leaves it whole.
static pg_err quantity_write(uint64_t number, const unit *units, size_t unit_count, pg_buf *out)
{
    for (size_t i = unit_count; i > 0 && number != 0; i--) {
        if (number % units[i - 1].factor == 0) {
            return pg_buf_printf(out, "%llu%s", (unsigned long long) (number / units[i - 1].factor),
                                 units[i - 1].suffix);
        }
    }
    return pg_buf_printf(out, "%llu", (unsigned long long) number);
}

static pg_err list_write(const pg_config_list *list, pg_buf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        PG_TRY(pg_buf_printf(out, "%s%s", i == 0 ? "" : "\n", list->items[i]));
    }
    return PG_OK;
}

pg_err pg_config_format(const pg_config *config, const pg_config_key *key, pg_buf *out)
{
    const void *value = (const char *) config + key->offset;
    switch (key->type) {
    case PG_CONFIG_TYPE_BOOL:
        return pg_buf_printf(out, "%s", *(const bool *) value ? "true" : "false");
    case PG_CONFIG_TYPE_NUMBER:
        return quantity_write(*(const uint64_t *) value, NULL, 0, out);
    case PG_CONFIG_TYPE_BYTES:
        return quantity_write(*(const uint64_t *) value, byte_units, PG_ARRAY_LEN(byte_units), out);
    case PG_CONFIG_TYPE_DURATION:
        return quantity_write(*(const uint64_t *) value, time_units, PG_ARRAY_LEN(time_units), out);
    case PG_CONFIG_TYPE_TEXT:
    case PG_CONFIG_TYPE_DOOR:
    case PG_CONFIG_TYPE_URL:
    case PG_CONFIG_TYPE_COLLECTOR:
    case PG_CONFIG_TYPE_CHOICE:
        return pg_buf_printf(out, "%s", *(char *const *) value);
    case PG_CONFIG_TYPE_ADDRS:
    case PG_CONFIG_TYPE_PEERS:
        return list_write(value, out);
    }
    return PG_ERR_BUG;
}

pg_config_layer pg_config_layer_of(const pg_config *config, const pg_config_key *key)
{
    size_t count = 0;
    return (pg_config_layer) config->layers[key - pg_config_keys(&count)];
}

// ---- changes at run time, and the end ----

static bool value_equal(pg_config *a, pg_config *b, const pg_config_key *key)
{
    const void *left = member_of(a, key);
    const void *right = member_of(b, key);
    switch (key->type) {
    case PG_CONFIG_TYPE_BOOL:
        return *(const bool *) left == *(const bool *) right;
    case PG_CONFIG_TYPE_NUMBER:
    case PG_CONFIG_TYPE_BYTES:
    case PG_CONFIG_TYPE_DURATION:
        return *(const uint64_t *) left == *(const uint64_t *) right;
    case PG_CONFIG_TYPE_TEXT:
    case PG_CONFIG_TYPE_DOOR:
    case PG_CONFIG_TYPE_URL:
    case PG_CONFIG_TYPE_COLLECTOR:
    case PG_CONFIG_TYPE_CHOICE:
        return strcmp(*(char *const *) left, *(char *const *) right) == 0;
    case PG_CONFIG_TYPE_ADDRS:
    case PG_CONFIG_TYPE_PEERS: {
        const pg_config_list *list = left;
        const pg_config_list *other = right;
        bool equal = list->count == other->count;
        for (size_t i = 0; i < list->count && equal; i++) {
            equal = strcmp(list->items[i], other->items[i]) == 0;
        }
        return equal;
    }
    }
    return true;
}

// Swapping keeps ownership simple: what was there is freed with the other configuration.
static void value_swap(pg_config *a, pg_config *b, const pg_config_key *key)
{
    static const size_t sizes[] = {
        [PG_CONFIG_TYPE_BOOL] = sizeof(bool),
        [PG_CONFIG_TYPE_NUMBER] = sizeof(uint64_t),
        [PG_CONFIG_TYPE_BYTES] = sizeof(uint64_t),
        [PG_CONFIG_TYPE_DURATION] = sizeof(uint64_t),
        [PG_CONFIG_TYPE_TEXT] = sizeof(char *),
        [PG_CONFIG_TYPE_DOOR] = sizeof(char *),
        [PG_CONFIG_TYPE_URL] = sizeof(char *),
        [PG_CONFIG_TYPE_COLLECTOR] = sizeof(char *),
        [PG_CONFIG_TYPE_CHOICE] = sizeof(char *),
        [PG_CONFIG_TYPE_ADDRS] = sizeof(pg_config_list),
        [PG_CONFIG_TYPE_PEERS] = sizeof(pg_config_list),
    };
    pg_config_list kept;
    memcpy(&kept, member_of(a, key), sizes[key->type]);
    memcpy(member_of(a, key), member_of(b, key), sizes[key->type]);
    memcpy(member_of(b, key), &kept, sizes[key->type]);
}

void pg_config_reload(pg_config *config, pg_config *from, pg_config_change_fn each, void *user)
{
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (value_equal(config, from, &keys[i])) {
            continue;
        }
        if (keys[i].reloads) {
            value_swap(config, from, &keys[i]);
        }
        each(&keys[i], keys[i].reloads, user);
    }
}

bool pg_config_is_view_only(const pg_config *config)
{
    return strcmp(config->node_mode, "view-only") == 0;
}

void pg_config_deinit(pg_config *config)
{
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        void *value = member_of(config, &keys[i]);
        if (pg_config_is_list(&keys[i])) {
            list_clear(value);
        } else if (is_text(&keys[i])) {
            pg_mfree(*(char **) value);
        }
    }
    memset(config, 0, sizeof(*config));
}
