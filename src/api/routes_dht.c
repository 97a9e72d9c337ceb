// SPDX-License-Identifier: Apache-2.0
// The routes of the DHTs; docs/openapi.yaml describes them. Both DHTs are asked at once; values are hexadecimal. The key of a record is
// "/NAMESPACE/NAME"; under "/pk/" the name is a PeerId as text.
#include "api/fields.h"
#include "api/figures.h"
#include "api/limits.h"
#include "api/routes.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/cid.h"
#include "crypto/peer_id_text.h"
#include "dht/limits.h"

// ---- what requests say ----

static pg_err dhts_get(const pg_api_request *request, const pg_dht_pair **out_dhts)
{
    const pg_api_context *context = request->user;
    if (pg_dht_pair_is_off(context->dhts)) {
        return pg_fail(PG_ERR_UNSUPPORTED, "this node takes part in no DHT: dht.enabled is false");
    }
    *out_dhts = context->dhts;
    return PG_OK;
}

static pg_err call_read(const pg_api_request *request, pg_dht_call *out_call)
{
    uint64_t timeout_ms = 0;
    bool once = false;
    PG_TRY(pg_field_u64(request->body, "timeout_ms", PG_API_DHT_TIMEOUT_MS_MAX, PG_DHT_LOOKUP_MS,
                        &timeout_ms));
    PG_TRY(pg_field_bool(request->body, "once", &once));
    *out_call = (pg_dht_call){.deadline = pg_after(PG_MS(timeout_ms)), .keeps = !once};
    return PG_OK;
}

// The key of a record as it stands in messages: under "/pk/" the PeerId is binary there.
static pg_err record_key(const char *text, pg_buf *out)
{
    pg_str key = pg_str_make(text);
    if (!pg_str_starts_with(key, PG_STR("/pk/"))) {
        return pg_buf_append(out, pg_bytes_cstr(text));
    }
    pg_peer_id peer;
    if (pg_peer_id_parse(pg_str_make(text + 4), &peer) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "'%s': what stands behind /pk/ is no PeerId", text);
    }
    PG_TRY(pg_buf_append(out, PG_BYTES_LIT("/pk/")));
    return pg_buf_append(out, pg_peer_id_bytes(&peer));
}

static pg_err cid_key(const char *text, pg_buf *out)
{
    pg_cid cid;
    pg_err err = pg_cid_parse(pg_str_make(text), &cid);
    if (err != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "'%s' is no CID: %s", text, pg_error_detail(err));
    }
    const pg_multihash hash = pg_cid_multihash(&cid);
    return pg_buf_append(out, pg_multihash_bytes(&hash));
}

static pg_err field_key(const pg_api_request *request, const char *name,
                        pg_err (*read)(const char *text, pg_buf *out), pg_buf *out)
{
    const char *text = NULL;
    PG_TRY(pg_field_text(request->body, name, &text));
    return read(text, out);
}

// ---- what answers say ----

static json_object *book_addrs(const pg_api_context *context, const pg_peer_id *peer)
{
    json_object *list = json_object_new_array();
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(context->host), peer);
    for (size_t i = 0; known != NULL && i < known->addr_count; i++) {
        char text[PG_MULTIADDR_TEXT_BYTES];
        pg_multiaddr_format(&known->addrs[i].addr, text);
        (void) json_object_array_add(list, json_object_new_string(text));
    }
    return list;
}

static void hex_add(json_object *object, const char *name, pg_bytes bytes)
{
    char *text = pg_malloc(2 * bytes.len + 1);
    if (text != NULL) {
        pg_hex_encode(bytes, text);
    }
    pg_field_add_text(object, name, text);
    pg_mfree(text);
}

static json_object *stats_make(const pg_dht *dht)
{
    const pg_dht_stats stats = pg_dht_get_stats(dht);
    json_object *object = json_object_new_object();
    pg_field_add_text(object, "realm", pg_dht_realm_name(stats.realm));
    pg_field_add_text(object, "protocol", stats.protocol);
    pg_figures_add(PG_FIGURE_PART_DHT, &stats, object);
    return object;
}

static pg_err dht_get(const pg_api_request *request, json_object **out_body)
{
    const pg_dht_pair *dhts = NULL;
    PG_TRY(dhts_get(request, &dhts));
    json_object *list = json_object_new_array();
    if (dhts->local != NULL) {
        (void) json_object_array_add(list, stats_make(dhts->local));
    }
    if (dhts->global != NULL) {
        (void) json_object_array_add(list, stats_make(dhts->global));
    }
    *out_body = json_object_new_object();
    (void) json_object_object_add(*out_body, "dhts", list);
    return PG_OK;
}

// ---- peers ----

static pg_err find_peer(const pg_api_request *request, const pg_dht_call *call,
                        const pg_peer_id *peer, json_object *body)
{
    const pg_dht_pair *dhts = NULL;
    size_t count = 0;
    PG_TRY(dhts_get(request, &dhts));
    pg_multiaddr *addrs = pg_calloc(PG_NET_BOOK_ADDRS_MAX, sizeof(*addrs)); // too much for a stack
    if (addrs == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_dht_pair_find_peer(dhts, peer, call, addrs, &count);
    pg_mfree(addrs);
    PG_TRY(err);
    pg_field_add_peer(body, "peer_id", peer);
    (void) json_object_object_add(body, "addrs", book_addrs(request->user, peer));
    return PG_OK;
}

static pg_err peer_read(const char *text, pg_peer_id *out_peer)
{
    return pg_peer_id_parse(pg_str_make(text), out_peer) == PG_OK
               ? PG_OK
               : pg_fail(PG_ERR_INVALID, "'%s' is no PeerId", text);
}

// Give the body to the caller, or free it.
static pg_err body_give(pg_err err, json_object *body, json_object **out_body)
{
    if (err != PG_OK) {
        json_object_put(body);
        return err;
    }
    *out_body = body;
    return PG_OK;
}

static pg_err dht_find_peer(const pg_api_request *request, json_object **out_body)
{
    const char *text = NULL;
    pg_dht_call call;
    pg_peer_id peer;
    PG_TRY(call_read(request, &call));
    PG_TRY(pg_field_text(request->body, "peer", &text));
    PG_TRY(peer_read(text, &peer));
    json_object *body = json_object_new_object();
    return body_give(find_peer(request, &call, &peer, body), body, out_body);
}

// ---- records ----

static pg_err get_value(const pg_api_request *request, const pg_dht_call *call, pg_bytes key,
                        json_object *body)
{
    const pg_dht_pair *dhts = NULL;
    pg_buf value = {0};
    PG_TRY(dhts_get(request, &dhts));
    pg_err err = pg_dht_pair_get(dhts, key, call, &value);
    if (err == PG_OK) {
        hex_add(body, "value_hex", pg_buf_bytes(&value));
    }
    pg_buf_deinit(&value);
    return err;
}

static pg_err dht_get_value(const pg_api_request *request, json_object **out_body)
{
    pg_dht_call call;
    pg_buf key = {0};
    PG_TRY(call_read(request, &call));
    json_object *body = json_object_new_object();
    pg_err err = field_key(request, "key", record_key, &key);
    if (err == PG_OK) {
        err = get_value(request, &call, pg_buf_bytes(&key), body);
    }
    pg_buf_deinit(&key);
    return body_give(err, body, out_body);
}

static pg_err value_read(const pg_api_request *request, pg_buf *out)
{
    const char *text = NULL;
    uint8_t *space = NULL;
    PG_TRY(pg_field_text(request->body, "value_hex", &text));
    pg_str hex = pg_str_make(text);
    PG_TRY(pg_buf_extend(out, hex.len / 2, &space));
    if (hex.len % 2 != 0 || pg_hex_decode(hex, pg_mut_bytes_make(space, hex.len / 2)) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "\"value_hex\" is no hexadecimal text");
    }
    return PG_OK;
}

static pg_err dht_put_value(const pg_api_request *request, json_object **out_body)
{
    const pg_dht_pair *dhts = NULL;
    pg_dht_call call;
    pg_buf key = {0};
    pg_buf value = {0};
    size_t stored = 0;
    PG_TRY(dhts_get(request, &dhts));
    PG_TRY(call_read(request, &call));
    pg_err err = field_key(request, "key", record_key, &key);
    if (err == PG_OK) {
        err = value_read(request, &value);
    }
    if (err == PG_OK) {
        err = pg_dht_pair_put(dhts, pg_buf_bytes(&key), pg_buf_bytes(&value), &call, &stored);
    }
    pg_buf_deinit(&key);
    pg_buf_deinit(&value);
    PG_TRY(err);
    *out_body = json_object_new_object();
    pg_field_add_u64(*out_body, "stored", stored);
    return PG_OK;
}

// ---- providers ----

static pg_err dht_provide(const pg_api_request *request, json_object **out_body)
{
    const pg_dht_pair *dhts = NULL;
    pg_dht_call call;
    pg_buf key = {0};
    size_t told = 0;
    PG_TRY(dhts_get(request, &dhts));
    PG_TRY(call_read(request, &call));
    pg_err err = field_key(request, "cid", cid_key, &key);
    if (err == PG_OK) {
        err = pg_dht_pair_provide(dhts, pg_buf_bytes(&key), &call, &told);
    }
    pg_buf_deinit(&key);
    PG_TRY(err);
    *out_body = json_object_new_object();
    pg_field_add_u64(*out_body, "told", told);
    return PG_OK;
}

static pg_err dht_unpublish(const pg_api_request *request, json_object **out_body)
{
    const pg_dht_pair *dhts = NULL;
    pg_buf key = {0};
    json_object *field = NULL;
    PG_TRY(dhts_get(request, &dhts));
    bool is_cid = json_object_object_get_ex(request->body, "cid", &field);
    pg_err err = is_cid ? field_key(request, "cid", cid_key, &key)
                        : field_key(request, "key", record_key, &key);
    if (err == PG_OK) {
        pg_dht_pair_unpublish(dhts, pg_buf_bytes(&key));
    }
    pg_buf_deinit(&key);
    PG_TRY(err);
    *out_body = json_object_new_object();
    return PG_OK;
}

/** The providers found so far. */
typedef struct provider_list {
    const pg_api_context *context;
    json_object *list;
    size_t max;
} provider_list;

static bool on_provider(const pg_dht_found *found, void *user)
{
    const provider_list *self = user;
    json_object *object = json_object_new_object();
    pg_field_add_peer(object, "peer_id", found->peer);
    pg_field_add_text(object, "realm", pg_dht_realm_name(found->realm));
    (void) json_object_object_add(object, "addrs", book_addrs(self->context, found->peer));
    (void) json_object_array_add(self->list, object);
    return json_object_array_length(self->list) < self->max;
}

static pg_err find_providers(const pg_api_request *request, const pg_dht_call *call, pg_bytes key,
                             json_object *body)
{
    const pg_dht_pair *dhts = NULL;
    uint64_t max = 0;
    PG_TRY(dhts_get(request, &dhts));
    PG_TRY(pg_field_u64(request->body, "max", PG_API_DHT_PROVIDERS_MAX, PG_DHT_K, &max));
    provider_list found = {request->user, json_object_new_array(), (size_t) max};
    pg_err err = pg_dht_pair_find_providers(dhts, key, call, on_provider, &found);
    (void) json_object_object_add(body, "providers", found.list);
    return err;
}

static pg_err dht_providers(const pg_api_request *request, json_object **out_body)
{
    pg_dht_call call;
    pg_buf key = {0};
    PG_TRY(call_read(request, &call));
    json_object *body = json_object_new_object();
    pg_err err = field_key(request, "cid", cid_key, &key);
    if (err == PG_OK) {
        err = find_providers(request, &call, pg_buf_bytes(&key), body);
    }
    pg_buf_deinit(&key);
    return body_give(err, body, out_body);
}

// ---- explain ----

static const char *step_word(pg_dht_step_kind kind)
{
    switch (kind) {
    case PG_DHT_STEP_ANSWERED:
        return "answered";
    case PG_DHT_STEP_FAILED:
        return "failed";
    case PG_DHT_STEP_LEFT:
        break;
    }
    return "left";
}

static void on_step(const pg_dht_step *step, void *user)
{
    json_object *object = json_object_new_object();
    pg_field_add_text(object, "realm", pg_dht_realm_name(step->realm));
    pg_field_add_u64(object, "hop", step->hop);
    pg_field_add_peer(object, "peer_id", step->peer);
    if (step->teller != NULL) {
        pg_field_add_peer(object, "told_by", step->teller);
    }
    pg_field_add_u64(object, "bits", step->prefix);
    pg_field_add_ms(object, "at_ms", step->asked_ns);
    pg_field_add_ms(object, "took_ms", step->took_ns);
    pg_field_add_text(object, "result", step_word(step->kind));
    pg_field_add_u64(object, "told", step->told);
    pg_field_add_u64(object, "new", step->fresh);
    pg_field_add_bool(object, "found", step->has_found);
    if (step->kind == PG_DHT_STEP_FAILED) {
        pg_field_add_text(object, "error", pg_err_name(step->err));
    }
    (void) json_object_array_add(user, object);
}

// What the text names decides what is looked up. "Qm..", which a CID and a PeerId may be, is taken for a CID.
static pg_err explain_run(const pg_api_request *request, const char *text, const pg_dht_call *call,
                          json_object *body)
{
    pg_buf key = {0};
    pg_peer_id peer;
    pg_err err = PG_OK;
    if (text[0] == '/') {
        pg_field_add_text(body, "kind", "record");
        err = record_key(text, &key);
        err = err == PG_OK ? get_value(request, call, pg_buf_bytes(&key), body) : err;
    } else if (pg_peer_id_parse(pg_str_make(text), &peer) == PG_OK &&
               !pg_str_starts_with(pg_str_make(text), PG_STR("Qm"))) {
        pg_field_add_text(body, "kind", "peer");
        err = find_peer(request, call, &peer, body);
    } else {
        pg_field_add_text(body, "kind", "cid");
        err = cid_key(text, &key);
        err = err == PG_OK ? find_providers(request, call, pg_buf_bytes(&key), body) : err;
    }
    pg_buf_deinit(&key);
    return err;
}

// A lookup that finds nothing is explained all the same: only what could not begin is an error.
static pg_err dht_explain(const pg_api_request *request, json_object **out_body)
{
    const char *text = NULL;
    pg_dht_call call;
    PG_TRY(call_read(request, &call));
    PG_TRY(pg_field_text(request->body, "key", &text));
    json_object *body = json_object_new_object();
    json_object *steps = json_object_new_array();
    const pg_dht_trace trace = {.on_step = on_step, .user = steps};
    call.trace = &trace;
    pg_time start = pg_now();
    pg_err err = explain_run(request, text, &call, body);
    pg_field_add_ms(body, "took_ms", pg_now() - start);
    pg_field_add_bool(body, "found", err == PG_OK);
    pg_field_add_text(body, "error", err == PG_OK ? NULL : pg_error_detail(err));
    if (err != PG_OK && json_object_array_length(steps) > 0 && err != PG_ERR_CANCELLED) {
        err = PG_OK;
    }
    (void) json_object_object_add(body, "steps", steps);
    return body_give(err, body, out_body);
}

const pg_api_route pg_api_dht_routes[] = {
    {.method = "GET", .path = "/api/v1/dht", .handler = dht_get},
    {.method = "POST", .path = "/api/v1/dht/find-peer", .handler = dht_find_peer},
    {.method = "POST", .path = "/api/v1/dht/get", .handler = dht_get_value},
    {.method = "POST", .path = "/api/v1/dht/put", .handler = dht_put_value},
    {.method = "POST", .path = "/api/v1/dht/provide", .handler = dht_provide},
    {.method = "POST", .path = "/api/v1/dht/unpublish", .handler = dht_unpublish},
    {.method = "POST", .path = "/api/v1/dht/providers", .handler = dht_providers},
    {.method = "POST", .path = "/api/v1/dht/explain", .handler = dht_explain},
    {.path = NULL},
};
