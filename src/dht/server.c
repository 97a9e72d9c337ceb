// SPDX-License-Identifier: Apache-2.0
// What others ask of us. A stream brings one request after the other; each answer is made of what the table, the stores and the
// host's book hold, and is cut to what every implementation takes.
#include <string.h>

#include "base/mem.h"
#include "codec/multihash.h"
#include "dht/dht_priv.h"
#include "dht/limits.h"
#include "net/framed.h"

// Of an answer with providers, how much of its bytes they may take before the nearer peers get the rest.
#define PROVIDERS_BYTES_MAX (PG_DHT_SEND_BYTES_MAX / 2)

#define ANSWER_PROVIDERS_MAX PG_DHT_KEY_PROVIDERS_MAX
#define ANSWER_PEERS_MAX (PG_DHT_K + 1)

/** A request and the answer to it. */
typedef struct served {
    pg_dht *dht;
    pg_dht_source source; // who asks
    pg_ip_scope scope;
    pg_arena arena;
    pg_dht_msg request;
    pg_dht_msg answer;
    bool has_answer;
    size_t bytes; // of the answer so far, no less than it will have
    char time_text[PG_DHT_TIME_TEXT_BYTES];
    pg_peer_id named; // who is looked for; the answer borrows from it
    pg_multiaddr own_addrs[PG_NET_ADVERTISED_MAX];
    pg_dht_peer_info closer[ANSWER_PEERS_MAX];
    pg_dht_peer_info providers[ANSWER_PROVIDERS_MAX + 1];
} served;

// ---- peers in answers ----

// Make the entry of a peer from its addresses, as many as fit into `bytes_max` of the answer.
static bool info_make(served *self, const pg_peer_id *peer, const pg_bytes *addrs, size_t count,
                      size_t bytes_max, pg_dht_peer_info *out_info)
{
    pg_bytes *views = pg_arena_alloc(&self->arena, pg_max_size(count, 1) * sizeof(*views));
    if (views == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        views[i] = addrs[i];
    }
    *out_info =
        (pg_dht_peer_info){.id = pg_peer_id_bytes(peer), .addrs = views, .addr_count = count};
    while (out_info->addr_count > 0 && self->bytes + pg_dht_peer_info_bytes(out_info) > bytes_max) {
        out_info->addr_count--;
    }
    if (self->bytes + pg_dht_peer_info_bytes(out_info) > bytes_max) {
        return false;
    }
    self->bytes += pg_dht_peer_info_bytes(out_info);
    return true;
}

// Tell of a peer that can be reached. The views are borrowed from the book: nothing waits before the answer is encoded.
static void closer_add(served *self, const pg_peer_id *peer, size_t *count)
{
    pg_bytes addrs[PG_DHT_ADDRS_MAX];
    size_t addr_count = pg_dht_addrs_of(self->dht, peer, self->scope, addrs);
    if (addr_count > 0 &&
        info_make(self, peer, addrs, addr_count, PG_DHT_SEND_BYTES_MAX, &self->closer[*count])) {
        (*count)++;
    }
}

static void closer_fill(served *self)
{
    const pg_dht_contact *nearest[PG_DHT_K + 1]; // the asker may be among them
    pg_dht_key target = pg_dht_key_of(self->request.key);
    size_t count = 0;
    // Whoever is looked for is told of even when it serves nobody, and so is in no table.
    bool is_named = self->request.type == PG_DHT_MSG_FIND_NODE &&
                    pg_peer_id_decode(self->request.key, &self->named) == PG_OK &&
                    !pg_peer_id_equal(&self->named, &self->source.peer);
    if (is_named) {
        closer_add(self, &self->named, &count);
    }
    size_t found =
        pg_dht_table_nearest(&self->dht->table, &target, true, nearest, PG_ARRAY_LEN(nearest));
    size_t told = 0;
    for (size_t i = 0; i < found && told < PG_DHT_K; i++) {
        if (!pg_peer_id_equal(&nearest[i]->id, &self->source.peer) &&
            !(is_named && pg_peer_id_equal(&nearest[i]->id, &self->named))) {
            closer_add(self, &nearest[i]->id, &count);
            told++;
        }
    }
    self->answer.closer = self->closer;
    self->answer.closer_count = count;
}

// ---- the requests ----

static pg_err name_check(const served *self, size_t max)
{
    if (self->request.key.len == 0 || self->request.key.len > max) {
        return pg_fail(PG_ERR_PROTOCOL, "DHT request with a key of %zu bytes",
                       self->request.key.len);
    }
    return PG_OK;
}

static pg_err find_node(served *self)
{
    PG_TRY(name_check(self, PG_DHT_NAME_BYTES_MAX));
    closer_fill(self);
    return PG_OK;
}

static pg_err get_value(served *self)
{
    PG_TRY(name_check(self, PG_DHT_NAME_BYTES_MAX));
    const pg_dht_record *record =
        pg_dht_records_get(&self->dht->records, self->request.key, pg_now());
    if (record != NULL) {
        pg_dht_time_format(record->received_wall_ms, self->time_text);
        self->answer.has_record = true;
        self->answer.record_key = record->key;
        self->answer.record_value = record->value;
        self->answer.record_time = pg_bytes_cstr(self->time_text);
        self->bytes += record->key.len + record->value.len + PG_DHT_TIME_TEXT_BYTES + 32;
    } else if (pg_dht_pk_known(self->dht, self->request.key, &self->answer.record_value)) {
        pg_dht_time_format(pg_wall_ms(), self->time_text);
        self->answer.has_record = true;
        self->answer.record_key = self->request.key;
        self->answer.record_time = pg_bytes_cstr(self->time_text);
        self->bytes += self->request.key.len + self->answer.record_value.len + 64;
    }
    closer_fill(self);
    return PG_OK;
}

pg_err pg_dht_record_is_news(const pg_dht *dht, const pg_dht_validator *validator, pg_bytes key,
                             pg_bytes value)
{
    const pg_dht_record *known = pg_dht_records_get(&dht->records, key, pg_now());
    bool is_older = known != NULL && validator->compare != NULL &&
                    validator->compare(value, known->value, validator->user) < 0;
    return is_older ? pg_fail(PG_ERR_EXISTS, "a newer value of the record is kept here") : PG_OK;
}

pg_err pg_dht_record_keep(pg_dht *dht, const pg_dht_validator *validator, pg_bytes key,
                          pg_bytes value, const pg_dht_source *source)
{
    PG_TRY(pg_dht_record_is_news(dht, validator, key, value));
    return pg_dht_records_put(&dht->records, key, value, source, pg_now(), pg_wall_ms());
}

/** Check a value, but for one that is kept here as it is: its owner publishes it again and again. */
static pg_err value_check(const pg_dht *dht, pg_bytes key, pg_bytes value,
                          const pg_dht_validator **out_validator)
{
    const pg_dht_record *known = pg_dht_records_get(&dht->records, key, pg_now());
    return known != NULL && pg_bytes_equal(known->value, value)
               ? pg_dht_validators_find(dht->config.validators, key, out_validator)
               : pg_dht_validators_check(dht->config.validators, key, value, out_validator);
}

static pg_err put_value(served *self)
{
    const pg_dht_msg *request = &self->request;
    const pg_dht_validator *validator = NULL;
    PG_TRY(name_check(self, PG_DHT_NAME_BYTES_MAX));
    if (!request->has_record || !pg_bytes_equal(request->key, request->record_key)) {
        return pg_fail(PG_ERR_PROTOCOL, "a record to put that is not under its own key");
    }
    pg_err err = value_check(self->dht, request->key, request->record_value, &validator);
    if (err == PG_OK) {
        err = pg_dht_record_keep(self->dht, validator, request->key, request->record_value,
                                 &self->source);
    }
    if (err != PG_OK) {
        self->dht->stats.put_refused++;
        return err;
    }
    self->answer.has_record = true;
    self->answer.record_key = request->record_key;
    self->answer.record_value = request->record_value;
    self->answer.record_time = request->record_time;
    return PG_OK;
}

static size_t provider_addrs(const served *self, const pg_dht_peer_info *info,
                             pg_multiaddr out_addrs[PG_DHT_ADDRS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < info->addr_count && count < PG_DHT_ADDRS_MAX; i++) {
        pg_multiaddr *addr = &out_addrs[count];
        pg_multihash named;
        if (pg_multiaddr_decode(info->addrs[i], addr) != PG_OK) {
            continue;
        }
        if (pg_multiaddr_cut_peer(addr, &named) &&
            !pg_bytes_equal(pg_multihash_bytes(&named), info->id)) {
            continue;
        }
        count += pg_dht_is_in_realm(self->dht, addr) && pg_dht_addr_may_pass(addr, self->scope)
                     ? 1U
                     : 0U;
    }
    return count;
}

// Only a peer itself may say that it provides something. What it says of others is passed over, as go and js do.
static pg_err add_provider(served *self)
{
    PG_TRY(name_check(self, PG_DHT_PROVIDER_KEY_BYTES_MAX));
    self->has_answer = false;
    for (size_t i = 0; i < self->request.provider_count; i++) {
        const pg_dht_peer_info *info = &self->request.providers[i];
        if (!pg_bytes_equal(info->id, pg_peer_id_bytes(&self->source.peer))) {
            continue;
        }
        pg_multiaddr *addrs =
            pg_arena_alloc(&self->arena, PG_DHT_ADDRS_MAX * sizeof(*addrs)); // too much for a stack
        if (addrs == NULL) {
            return PG_ERR_NOMEM;
        }
        size_t count = provider_addrs(self, info, addrs);
        if (count == 0) {
            return pg_fail(PG_ERR_INVALID, "a provider without an address of use here");
        }
        pg_err err = pg_dht_providers_add(&self->dht->providers, self->request.key, &self->source,
                                          addrs, count, pg_now());
        self->dht->stats.put_refused += err != PG_OK ? 1U : 0U;
        return err;
    }
    return pg_fail(PG_ERR_PROTOCOL, "a provider that is not the peer itself");
}

// Where we provide the key ourselves, we are the first in the list.
static void own_add(served *self, size_t *count)
{
    pg_bytes views[PG_DHT_ADDRS_MAX];
    size_t view_count = 0;
    if (!pg_dht_is_providing(self->dht, self->request.key)) {
        return;
    }
    size_t addr_count = pg_host_addrs(self->dht->config.host, self->own_addrs);
    for (size_t i = 0; i < addr_count && view_count < PG_DHT_ADDRS_MAX; i++) {
        const pg_multiaddr *addr = &self->own_addrs[i];
        if (pg_dht_is_in_realm(self->dht, addr) && pg_dht_addr_may_pass(addr, self->scope)) {
            views[view_count] = pg_multiaddr_bytes(addr);
            view_count++;
        }
    }
    if (view_count > 0 && info_make(self, pg_host_id(self->dht->config.host), views, view_count,
                                    PROVIDERS_BYTES_MAX, &self->providers[*count])) {
        (*count)++;
    }
}

static pg_err get_providers(served *self)
{
    const pg_dht_provider *found[ANSWER_PROVIDERS_MAX];
    pg_bytes addrs[PG_DHT_ADDRS_MAX];
    PG_TRY(name_check(self, PG_DHT_PROVIDER_KEY_BYTES_MAX));
    size_t count = 0;
    own_add(self, &count);
    size_t found_count = pg_dht_providers_get(&self->dht->providers, self->request.key, pg_now(),
                                              found, ANSWER_PROVIDERS_MAX);
    for (size_t i = 0; i < found_count; i++) {
        size_t addr_count = pg_dht_provider_addrs(found[i], addrs);
        if (!info_make(self, &found[i]->peer->id, addrs, addr_count, PROVIDERS_BYTES_MAX,
                       &self->providers[count])) {
            break;
        }
        count++;
    }
    self->answer.providers = self->providers;
    self->answer.provider_count = count;
    closer_fill(self);
    return PG_OK;
}

static pg_err request_answer(served *self)
{
    self->answer = (pg_dht_msg){.type = self->request.type, .key = self->request.key};
    self->has_answer = true;
    self->bytes = 32 + self->request.key.len;
    switch (self->request.type) {
    case PG_DHT_MSG_PUT_VALUE:
        return put_value(self);
    case PG_DHT_MSG_GET_VALUE:
        return get_value(self);
    case PG_DHT_MSG_ADD_PROVIDER:
        return add_provider(self);
    case PG_DHT_MSG_GET_PROVIDERS:
        return get_providers(self);
    case PG_DHT_MSG_FIND_NODE:
        return find_node(self);
    case PG_DHT_MSG_PING:
        return PG_OK;
    case PG_DHT_MSG_COUNT:
        break;
    }
    return PG_ERR_UNSUPPORTED;
}

// ---- the stream ----

static pg_err request_serve(pg_net_stream_ctx *ctx, served *self, pg_buf *buf)
{
    pg_err err = pg_dht_msg_decode(pg_buf_bytes(buf), &self->arena, &self->request);
    if (err == PG_OK) {
        err = request_answer(self);
    }
    if (err == PG_OK && self->has_answer) {
        pg_buf_clear(buf); // what was read was copied
        err = pg_dht_msg_append(buf, &self->answer);
    }
    if (err != PG_OK) {
        self->dht->stats.refused++;
        return err;
    }
    self->dht->stats.served++;
    return !self->has_answer ? PG_OK
                             : pg_stream_write(ctx->stream, pg_buf_bytes(buf),
                                               pg_after(PG_MS(PG_DHT_SERVE_WRITE_MS)));
}

// One request. Memory is taken when it has come, and given back before the stream waits for the next.
static pg_err next_serve(pg_net_stream_ctx *ctx)
{
    pg_dht *dht = ctx->user;
    pg_buf buf = {0};
    pg_err err = pg_framed_read(ctx->stream, PG_DHT_REQUEST_BYTES_MAX,
                                pg_after(PG_MS(PG_DHT_SERVE_IDLE_MS)), &buf);
    if (err != PG_OK) {
        pg_buf_deinit(&buf); // a message that was begun has memory
        return err;
    }
    served *self = PG_NEW(served);
    err = PG_ERR_NOMEM;
    if (self != NULL) {
        self->dht = dht;
        self->source.peer = *ctx->peer;
        self->arena = pg_arena_make(PG_DHT_REQUEST_MEMORY_BYTES_MAX);
        pg_dht_conn_where(dht, ctx->conn, &self->scope, &self->source.group);
        err = request_serve(ctx, self, &buf);
        pg_arena_deinit(&self->arena);
    }
    pg_buf_deinit(&buf);
    pg_mfree(self);
    return err;
}

pg_err pg_dht_serve(pg_net_stream_ctx *ctx)
{
    pg_dht *dht = ctx->user;
    pg_err err = PG_OK;
    if (dht->is_closing || dht->serving_count >= PG_DHT_STREAMS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%u DHT streams are served already", dht->serving_count);
    }
    dht->serving_count++;
    while (err == PG_OK && !dht->is_closing) {
        err = next_serve(ctx);
    }
    dht->serving_count--;
    return err == PG_ERR_CLOSED ? PG_OK : err;
}
