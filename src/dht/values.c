// SPDX-License-Identifier: Apache-2.0
// Records: looked up, chosen, put, and given to those who had older ones.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/multihash.h"
#include "dht/dht_priv.h"
#include "dht/limits.h"

#define CORRECTIONS_MAX 8 // lookups whose corrections run at once

// ---- public keys, which peers carry with them ----

typedef struct pk_search {
    pg_bytes id;
    pg_bytes value;
} pk_search;

static void on_pk_conn(const pg_host_conn *conn, void *user)
{
    pk_search *search = user;
    if (pg_bytes_equal(pg_peer_id_bytes(conn->info.peer), search->id)) {
        search->value = conn->info.public_key;
    }
}

bool pg_dht_pk_known(const pg_dht *dht, pg_bytes key, pg_bytes *out_value)
{
    pg_peer_id peer;
    const pg_bytes name_space = PG_BYTES_LIT("/pk/");
    if (!pg_bytes_starts_with(key, name_space)) {
        return false;
    }
    pk_search search = {.id = pg_bytes_slice(key, name_space.len, key.len)};
    if (pg_peer_id_decode(search.id, &peer) != PG_OK) {
        return false;
    }
    if (search.id.ptr[0] == PG_MULTIHASH_CODE_IDENTITY) {
        search.value = pg_bytes_slice(search.id, 2, search.id.len);
    } else {
        pg_host_conns_each(dht->config.host, on_pk_conn, &search);
    }
    *out_value = search.value;
    return search.value.len > 0;
}

// ---- correction: peers near the key that had no value, or an older one, are given the best ----

typedef struct correction {
    pg_dht *dht;
    pg_buf key;
    pg_buf value;
    pg_peer_id peers[PG_DHT_K];
    size_t count;
} correction;

static void correction_free(correction *self)
{
    if (self != NULL) {
        pg_buf_deinit(&self->key);
        pg_buf_deinit(&self->value);
        pg_mfree(self);
    }
}

static pg_err correction_run(void *arg)
{
    correction *self = arg;
    pg_dht *dht = self->dht;
    size_t done = 0;
    const pg_dht_msg msg = {
        .type = PG_DHT_MSG_PUT_VALUE,
        .key = pg_buf_bytes(&self->key),
        .has_record = true,
        .record_key = pg_buf_bytes(&self->key),
        .record_value = pg_buf_bytes(&self->value),
    };
    pg_err err =
        pg_dht_spread(dht, self->peers, self->count, &msg, pg_after(PG_MS(PG_DHT_ASK_MS)), &done);
    dht->stats.corrected += done;
    dht->corrections--;
    correction_free(self);
    return err;
}

static void correction_start(pg_dht *dht, correction *self)
{
    if (self->count == 0 || dht->corrections >= CORRECTIONS_MAX ||
        pg_scope_spawn(&dht->scope, "dht.correct", correction_run, self) != PG_OK) {
        correction_free(self);
        return;
    }
    dht->corrections++;
}

// ---- getting ----

/** A lookup of a value. */
typedef struct fetch {
    pg_dht_choice *choice;
    uint32_t gave
        [PG_DHT_CANDIDATES_MAX]; // [candidate]: choice->improved when it gave the best so far; 0 = never
} fetch;

static bool on_get_reply(pg_dht_query *query, pg_dht_candidate_id from, const pg_dht_msg *msg,
                         bool *out_enough)
{
    fetch *self = query->config.user;
    if (msg->has_record && pg_bytes_equal(msg->record_key, query->config.name)) {
        pg_dht_verdict verdict = pg_dht_choice_add(self->choice, msg->record_value);
        if (verdict == PG_DHT_VERDICT_BETTER || verdict == PG_DHT_VERDICT_SAME) {
            self->gave[from] = self->choice->improved;
        }
    }
    *out_enough = pg_dht_choice_is_enough(self->choice); // others may have fed it too
    return self->gave[from] != 0;
}

static void fetch_correct(const pg_dht_query *query, const fetch *self)
{
    pg_dht_candidate_id nearest[PG_DHT_LOOKUP_WIDE_MAX];
    correction *made = PG_NEW(correction);
    if (made == NULL) {
        return;
    }
    made->dht = query->dht;
    size_t count = pg_dht_lookup_nearest(&query->lookup, nearest);
    for (size_t i = 0; i < count && made->count < PG_DHT_K; i++) {
        if (self->gave[nearest[i]] != self->choice->improved) {
            made->peers[made->count] = pg_dht_lookup_get(&query->lookup, nearest[i])->id;
            made->count++;
        }
    }
    if (pg_buf_append(&made->key, pg_buf_bytes(&self->choice->key)) != PG_OK ||
        pg_buf_append(&made->value, pg_buf_bytes(&self->choice->best)) != PG_OK) {
        correction_free(made);
        return;
    }
    correction_start(query->dht, made);
}

static pg_err fetch_run(pg_dht *dht, fetch *self, const pg_dht_call *call)
{
    pg_dht_query query;
    const pg_dht_query_config config = {
        .type = PG_DHT_MSG_GET_VALUE,
        .name = pg_buf_bytes(&self->choice->key),
        .call = call,
        .is_wide = true,
        .on_reply = on_get_reply,
        .user = self,
    };
    PG_TRY(pg_dht_query_init(&query, dht, &config));
    pg_err err = pg_dht_query_run(&query);
    if (self->choice->is_found && self->choice->validator->is_mutable) {
        fetch_correct(&query, self);
    }
    pg_dht_query_deinit(&query);
    return err;
}

pg_err pg_dht_get_into(pg_dht *dht, pg_dht_choice *choice, const pg_dht_call *call)
{
    pg_bytes key = pg_buf_bytes(&choice->key);
    pg_bytes known = PG_BYTES_EMPTY;
    const pg_dht_record *kept = pg_dht_records_get(&dht->records, key, pg_now());
    if (kept != NULL) {
        (void) pg_dht_choice_add(choice, kept->value);
    } else if (pg_dht_pk_known(dht, key, &known)) {
        (void) pg_dht_choice_add(choice, known);
    }
    if (pg_dht_choice_is_enough(choice)) {
        return PG_OK;
    }
    fetch *self = PG_NEW(fetch);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->choice = choice;
    pg_err err = fetch_run(dht, self, call);
    pg_mfree(self);
    return err;
}

void pg_dht_choice_widen(pg_dht_choice *choice, const pg_dht_call *call)
{
    if (call != NULL && call->quorum != 0 && choice->validator->is_mutable) {
        choice->quorum = call->quorum;
    }
}

pg_err pg_dht_get(pg_dht *dht, pg_bytes key, const pg_dht_call *call, pg_buf *out_value)
{
    pg_dht_choice choice;
    PG_TRY(pg_dht_choice_init(&choice, dht->config.validators, key));
    pg_dht_choice_widen(&choice, call);
    pg_err err = pg_dht_get_into(dht, &choice, call);
    if (choice.is_found && err != PG_ERR_CANCELLED && err != PG_ERR_NOMEM) {
        err = pg_buf_append(out_value, pg_buf_bytes(&choice.best));
    } else if (err == PG_OK) {
        err =
            pg_fail(PG_ERR_NOT_FOUND, "no value under that key: none of the nearest peers has one");
    }
    pg_dht_choice_deinit(&choice);
    return err;
}

// ---- putting ----

// We keep it ourselves where we are as near as those who were found.
static bool is_near(const pg_dht *dht, pg_bytes key, const pg_peer_id *nearest, size_t count)
{
    if (!dht->is_server) {
        return false;
    }
    pg_dht_key target = pg_dht_key_of(key);
    pg_dht_key farthest = count < PG_DHT_K ? target : pg_dht_key_of_peer(&nearest[count - 1]);
    return count < PG_DHT_K || pg_dht_key_compare(&target, &dht->self, &farthest) < 0;
}

pg_err pg_dht_put(pg_dht *dht, pg_bytes key, pg_bytes value, const pg_dht_call *call,
                  size_t *out_stored)
{
    const pg_dht_validator *validator = NULL;
    pg_peer_id peers[PG_DHT_LOOKUP_WIDE_MAX];
    size_t count = 0;
    size_t stored = 0;
    PG_TRY(pg_dht_validators_check(dht->config.validators, key, value, &validator));
    PG_TRY(pg_dht_record_is_news(dht, validator, key, value));
    if (call != NULL && call->keeps) {
        PG_TRY(pg_dht_publish_again(dht, key, value, false));
    }
    pg_err err = pg_dht_nearest(dht, key, call, peers, &count);
    const pg_dht_msg msg = {
        .type = PG_DHT_MSG_PUT_VALUE,
        .key = key,
        .has_record = true,
        .record_key = key,
        .record_value = value,
    };
    if (err == PG_OK) {
        err = pg_dht_spread(dht, peers, count, &msg, pg_dht_call_deadline(call), &stored);
    }
    if (err == PG_OK && is_near(dht, key, peers, count) &&
        pg_dht_record_keep(dht, validator, key, value, NULL) == PG_OK) {
        stored++;
    }
    if (err == PG_OK && stored == 0) {
        err = pg_fail(PG_ERR_UNREACHABLE, "none of %zu peers took the record", count);
    }
    if (err != PG_OK) {
        pg_dht_publish_soon(dht, key);
        return err;
    }
    if (out_stored != NULL) {
        *out_stored = stored;
    }
    return PG_OK;
}
