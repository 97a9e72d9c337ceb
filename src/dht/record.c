// SPDX-License-Identifier: Apache-2.0
#include "dht/record.h"

#include <string.h>

#include "crypto/peer_id.h"
#include "crypto/public_key.h"

// ---- validators ----

// Cut the first part off a key, "/namespace/" or the beginning of one.
static bool key_split(pg_bytes key, pg_bytes *out_name_space, pg_bytes *out_rest)
{
    if (key.len < 3 || key.len > PG_DHT_NAME_BYTES_MAX || key.ptr[0] != '/') {
        return false;
    }
    const uint8_t *slash = memchr(key.ptr + 1, '/', key.len - 1);
    if (slash == NULL || slash == key.ptr + 1) {
        return false;
    }
    size_t len = (size_t) (slash - key.ptr);
    *out_name_space = pg_bytes_make(key.ptr + 1, len - 1);
    *out_rest = pg_bytes_slice(key, len + 1, key.len);
    return true;
}

// A namespace of ours has two parts, "pangea/feed", of which others see the first as the namespace.
static bool is_within(pg_bytes key, pg_bytes name_space)
{
    pg_bytes rest = pg_bytes_slice(key, 1, key.len);
    return pg_bytes_starts_with(rest, name_space) && rest.len > name_space.len &&
           rest.ptr[name_space.len] == '/';
}

static const pg_dht_validator *validator_get(const pg_dht_validators *validators, pg_bytes key)
{
    for (size_t i = 0; i < validators->count; i++) {
        if (is_within(key, pg_bytes_cstr(validators->list[i].name_space))) {
            return &validators->list[i];
        }
    }
    return NULL;
}

static bool is_taken(const pg_dht_validators *validators, const char *name_space)
{
    for (size_t i = 0; i < validators->count; i++) {
        if (strcmp(validators->list[i].name_space, name_space) == 0) {
            return true;
        }
    }
    return false;
}

pg_err pg_dht_validators_add(pg_dht_validators *validators, const pg_dht_validator *validator)
{
    if (is_taken(validators, validator->name_space)) {
        return pg_fail(PG_ERR_EXISTS, "/%s has a validator already", validator->name_space);
    }
    if (validators->count == PG_DHT_VALIDATORS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%d validators already", PG_DHT_VALIDATORS_MAX);
    }
    validators->list[validators->count] = *validator;
    validators->count++;
    return PG_OK;
}

pg_err pg_dht_validators_find(const pg_dht_validators *validators, pg_bytes key,
                              const pg_dht_validator **out_validator)
{
    pg_bytes name_space = PG_BYTES_EMPTY;
    pg_bytes rest = PG_BYTES_EMPTY;
    if (!key_split(key, &name_space, &rest)) {
        return pg_fail(PG_ERR_INVALID, "the key of a record is /NAMESPACE/NAME of at most %d bytes",
                       PG_DHT_NAME_BYTES_MAX);
    }
    const pg_dht_validator *found = validator_get(validators, key);
    if (found == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "this node knows no records of that namespace: /pk/, "
                                           "and /test/ with dht.test_namespace");
    }
    *out_validator = found;
    return PG_OK;
}

pg_err pg_dht_validators_check(const pg_dht_validators *validators, pg_bytes key, pg_bytes value,
                               const pg_dht_validator **out_validator)
{
    const pg_dht_validator *found = NULL;
    PG_TRY(pg_dht_validators_find(validators, key, &found));
    if (value.len > PG_DHT_VALUE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "record with a value of %zu bytes, at most %d", value.len,
                       PG_DHT_VALUE_BYTES_MAX);
    }
    PG_TRY(found->check(key, value, found->user));
    *out_validator = found;
    return PG_OK;
}

// ---- /pk ----

static pg_err pk_check(pg_bytes key, pg_bytes value, void *user)
{
    pg_bytes name_space = PG_BYTES_EMPTY;
    pg_bytes rest = PG_BYTES_EMPTY;
    pg_public_key decoded;
    pg_peer_id named;
    pg_peer_id made;
    (void) user;
    if (!key_split(key, &name_space, &rest)) {
        return PG_ERR_MALFORMED;
    }
    PG_TRY(pg_peer_id_decode(rest, &named));
    PG_TRY(pg_public_key_decode(value, &decoded));
    pg_peer_id_of_key(value, &made);
    if (!pg_peer_id_equal(&named, &made)) {
        return pg_fail(PG_ERR_CORRUPT, "the public key is not that of the PeerId it stands under");
    }
    return PG_OK;
}

const pg_dht_validator pg_dht_validator_pk = {.name_space = "pk", .check = pk_check};

// ---- /test ----

static pg_err test_check(pg_bytes key, pg_bytes value, void *user)
{
    (void) key;
    (void) value;
    (void) user;
    return PG_OK;
}

static int test_compare(pg_bytes a, pg_bytes b, void *user)
{
    (void) user;
    return pg_bytes_compare(a, b);
}

const pg_dht_validator pg_dht_validator_test = {
    .name_space = "test", .is_mutable = true, .check = test_check, .compare = test_compare};

// ---- the choice ----

pg_err pg_dht_choice_init(pg_dht_choice *choice, const pg_dht_validators *validators, pg_bytes key)
{
    pg_dht_choice made = {.validators = validators,
                          .key.max_len = PG_DHT_NAME_BYTES_MAX,
                          .best.max_len = PG_DHT_VALUE_BYTES_MAX};
    PG_TRY(pg_dht_validators_find(validators, key, &made.validator));
    made.quorum = made.validator->is_mutable ? PG_DHT_QUORUM : 1;
    pg_err err = pg_buf_append(&made.key, key);
    if (err == PG_OK) {
        err = pg_buf_reserve(&made.best, PG_DHT_VALUE_BYTES_MAX);
    }
    if (err != PG_OK) {
        pg_dht_choice_deinit(&made);
        return err;
    }
    *choice = made;
    return PG_OK;
}

pg_dht_verdict pg_dht_choice_add(pg_dht_choice *choice, pg_bytes value)
{
    const pg_dht_validator *validator = NULL;
    if (choice->is_found && pg_bytes_equal(value, pg_buf_bytes(&choice->best))) {
        choice->valid++; // what most peers answer: it is checked once
        return PG_DHT_VERDICT_SAME;
    }
    if (pg_dht_validators_check(choice->validators, pg_buf_bytes(&choice->key), value,
                                &validator) != PG_OK) {
        choice->invalid++;
        return PG_DHT_VERDICT_INVALID;
    }
    int compared = 1;
    if (choice->is_found) {
        compared = validator->compare == NULL
                       ? 0
                       : validator->compare(value, pg_buf_bytes(&choice->best), validator->user);
    }
    choice->valid++;
    if (compared <= 0) {
        return compared == 0 ? PG_DHT_VERDICT_SAME : PG_DHT_VERDICT_WORSE;
    }
    pg_buf_clear(&choice->best);
    pg_ignore(pg_buf_append(&choice->best, value), "there is room for the longest");
    choice->is_found = true;
    choice->improved++;
    return PG_DHT_VERDICT_BETTER;
}

bool pg_dht_choice_is_enough(const pg_dht_choice *choice)
{
    return choice->valid >= choice->quorum;
}

void pg_dht_choice_deinit(pg_dht_choice *choice)
{
    pg_buf_deinit(&choice->key);
    pg_buf_deinit(&choice->best);
    *choice = (pg_dht_choice){.quorum = 0};
}

// ---- time ----

#define MS_PER_DAY INT64_C(86400000)
#define WALL_MS_MAX INT64_C(253402300799999) // the end of the year 9999

/** A date of the Gregorian calendar. */
typedef struct date {
    int64_t year;
    int64_t month;
    int64_t day;
} date;

// Years are counted from March, so that the leap day comes last: then the months before have a regular pattern of lengths,
// 153 days to five months.
static date date_of_days(int64_t days)
{
    const int64_t days_to_march_2000 = 11017;
    int64_t since = days - days_to_march_2000 +
                    146097 * 5; // from 1 March of the year 0, in 400 years of 146,097 days
    int64_t era = since / 146097;
    int64_t day_of_era = since % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    date made = {.year = year_of_era + era * 400, .day = day_of_year - (153 * month + 2) / 5 + 1};
    made.month = month < 10 ? month + 3 : month - 9;
    made.year += made.month <= 2 ? 1 : 0;
    return made;
}

static void digits_put(int64_t value, unsigned digits, char *out)
{
    for (unsigned i = digits; i > 0; i--) {
        out[i - 1] = (char) ('0' + value % 10);
        value /= 10;
    }
}

void pg_dht_time_format(int64_t wall_ms, char out_text[PG_DHT_TIME_TEXT_BYTES])
{
    wall_ms = wall_ms < 0 ? 0 : wall_ms;
    wall_ms = wall_ms > WALL_MS_MAX ? WALL_MS_MAX : wall_ms;
    date day = date_of_days(wall_ms / MS_PER_DAY);
    int64_t rest = wall_ms % MS_PER_DAY;
    const int64_t values[] = {day.year,          day.month,        day.day,    rest / 3600000,
                              rest / 60000 % 60, rest / 1000 % 60, rest % 1000};
    static const char pattern[] = "0000-00-00T00:00:00.000000000Z";
    static const struct {
        uint8_t at;
        uint8_t digits;
    } places[] = {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}, {20, 3}};
    _Static_assert(sizeof(pattern) <= PG_DHT_TIME_TEXT_BYTES, "with its NUL");
    memcpy(out_text, pattern, sizeof(pattern));
    for (size_t i = 0; i < PG_ARRAY_LEN(values); i++) {
        digits_put(values[i], places[i].digits, out_text + places[i].at);
    }
}
