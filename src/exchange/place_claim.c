// SPDX-License-Identifier: Apache-2.0
// A grant names no host, so that hosts can repair without the owner: whoever has one can show it to any host. Before slots are taken from
// somebody who is not the owner, the DHTs are asked for a later grant, and the hosts of the extent whether they still have those slots. What
// that may cost is bounded, and a refusal is remembered: nobody can have others asked over and over.
#include <string.h>

#include "base/log.h"
#include "crypto/hash.h"
#include "exchange/place_server_priv.h"
#include "runtime/time.h"

// ---- Who may have it looked into

static bool turn_take(pg_place_claims *claims, pg_place_claiming *claiming)
{
    uint32_t own = 0;
    size_t at = PG_PLACE_CLAIMS_MAX;
    if (pg_now() >= claims->minute_ends) {
        claims->minute_count = 0;
        claims->minute_ends = pg_after(PG_MINUTES(1));
    }
    for (size_t i = 0; i < PG_PLACE_CLAIMS_MAX; i++) {
        const pg_place_claiming *other = claims->claiming[i];
        at = other == NULL ? i : at;
        own += other != NULL && pg_peer_id_equal(other->claimant, claiming->claimant) ? 1 : 0;
    }
    if (at == PG_PLACE_CLAIMS_MAX || own == PG_PLACE_PEER_CLAIMS_MAX ||
        claims->minute_count == PG_PLACE_CLAIMS_MINUTE_MAX) {
        return false;
    }
    claims->claiming[at] = claiming;
    claims->minute_count++;
    return true;
}

static void turn_give(pg_place_claims *claims, const pg_place_claiming *claiming)
{
    for (size_t i = 0; i < PG_PLACE_CLAIMS_MAX; i++) {
        claims->claiming[i] = claims->claiming[i] == claiming ? NULL : claims->claiming[i];
    }
}

void pg_place_claims_end(pg_place_claims *claims)
{
    for (size_t i = 0; i < PG_PLACE_CLAIMS_MAX; i++) {
        if (claims->claiming[i] != NULL) {
            pg_scope_cancel(&claims->claiming[i]->scope);
        }
    }
}

// ---- What was refused lately

static void key_make(const pg_lease_grant *grant, uint8_t out_key[PG_HASH_BYTES])
{
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_OF(grant->lease_key));
    pg_blake3_stream_update(&stream, pg_cid_bytes(&grant->descriptor));
    pg_blake3_stream_final(&stream, pg_mut_bytes_make(out_key, PG_HASH_BYTES));
}

static bool is_refused(const pg_place_claims *claims, const uint8_t key[PG_HASH_BYTES],
                       pg_slot_set slots)
{
    for (size_t i = 0; i < PG_PLACE_REFUSED_MAX; i++) {
        const pg_place_refused *one = &claims->refused[i];
        if ((one->slots & slots) != 0 && pg_now() < one->until &&
            memcmp(one->key, key, PG_HASH_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static void refused_note(pg_place_claims *claims, const uint8_t key[PG_HASH_BYTES],
                         pg_slot_set slots)
{
    pg_place_refused *one = &claims->refused[claims->next];
    claims->next = (claims->next + 1) % PG_PLACE_REFUSED_MAX;
    *one = (pg_place_refused){.slots = slots, .until = pg_after(PG_MS(PG_PLACE_REFUSED_MS))};
    memcpy(one->key, key, PG_HASH_BYTES);
}

// ---- One claim

/** The two questions, asked at once. */
typedef struct asking {
    const pg_place_server *server;
    const pg_place_claim *claim;
    const pg_lease_grant *grant;
    pg_place_claiming claiming;
    uint64_t later; // sequence of a later grant; 0 = none is known
    pg_slot_set held;
    bool is_unsure;
} asking;

// Where nobody knows one, or who answers lies, the grant that was shown stands.
static pg_err grant_look(void *arg)
{
    asking *self = arg;
    pg_buf value PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_PLACE_SIGNED_BYTES_MAX};
    const pg_place_server_config *config = &self->server->config;
    pg_lease_grant newest;
    if (config->newest_grant != NULL &&
        config->newest_grant(self->grant->lease_key, &value, config->user) == PG_OK &&
        pg_lease_grant_decode(pg_buf_bytes(&value), &newest) == PG_OK &&
        memcmp(newest.lease_key, self->grant->lease_key, sizeof(newest.lease_key)) == 0 &&
        pg_cid_equal(&newest.descriptor, &self->grant->descriptor) &&
        newest.sequence > self->grant->sequence) {
        self->later = newest.sequence;
    }
    return PG_OK;
}

static pg_err holders_look(void *arg)
{
    asking *self = arg;
    const pg_place_server_config *config = &self->server->config;
    self->is_unsure = config->held_elsewhere(self->claim, &self->held, config->user) != PG_OK;
    return PG_OK;
}

static pg_err both_ask(asking *self)
{
    pg_scope *scope = &self->claiming.scope;
    pg_err err = pg_scope_spawn(scope, "place.claim.grant", grant_look, self);
    if (err == PG_OK) {
        err = pg_scope_spawn(scope, "place.claim.holders", holders_look, self);
    }
    if (err != PG_OK) {
        pg_scope_close(scope);
        return err;
    }
    return pg_scope_join(scope);
}

static pg_place_status verdict(pg_place_job *job, const asking *self)
{
    pg_place_server *server = job->stream->server;
    if (self->later != 0) {
        server->totals.claims_old_total++;
        job->response.known_sequence = self->later;
        return PG_PLACE_STATUS_SUPERSEDED;
    }
    pg_slot_set held = self->held & self->claim->slots;
    if (held != 0) {
        server->totals.claims_held_total++;
        pg_log_limited(PG_LOG_LEVEL_INFO, "place.claim.held",
                       PG_LOG_U64("slots", (uint64_t) __builtin_popcount(held)));
        return PG_PLACE_STATUS_HELD;
    }
    return self->is_unsure ? PG_PLACE_STATUS_BUSY : PG_PLACE_STATUS_OK;
}

pg_place_status pg_place_claim_check(pg_place_job *job, const pg_lease_grant *grant,
                                     const pg_place_claim *claim)
{
    pg_place_server *server = job->stream->server;
    uint8_t key[PG_HASH_BYTES];
    key_make(grant, key);
    if (is_refused(&server->claims, key, claim->slots)) {
        server->totals.claims_held_total++;
        return PG_PLACE_STATUS_HELD;
    }
    asking self = {
        .server = server,
        .claim = claim,
        .grant = grant,
        .claiming = {.claimant = claim->claimant},
        .is_unsure = true,
    };
    pg_scope_init_tolerant(&self.claiming.scope);
    if (server->is_closing || !turn_take(&server->claims, &self.claiming)) {
        return PG_PLACE_STATUS_BUSY;
    }
    server->totals.claims_total++;
    pg_err err = both_ask(&self);
    turn_give(&server->claims, &self.claiming);
    pg_place_status status = err == PG_OK ? verdict(job, &self) : PG_PLACE_STATUS_BUSY;
    if (status == PG_PLACE_STATUS_HELD) {
        refused_note(&server->claims, key, self.held & claim->slots);
    }
    return status;
}
