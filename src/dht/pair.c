// SPDX-License-Identifier: Apache-2.0
// Each call runs one fiber a DHT. The first that has what ends the call cancels the other.
#include "dht/pair.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "dht/limits.h"
#include "runtime/fiber.h"

typedef struct both both;

/** One DHT's part of a call. */
typedef struct half {
    both *call;
    pg_dht *dht;
    pg_err err;
    pg_error_record record;
    size_t count;
    pg_multiaddr addrs[PG_NET_BOOK_ADDRS_MAX];
} half;

/** A call of both. Which members count depends on `run`. */
struct both {
    pg_err (*run)(half *self);
    const pg_dht_call *call;
    pg_scope scope;
    half halves[2];
    size_t half_count;
    bool is_first_enough; // the first success ends it
    const pg_peer_id *peer;
    pg_bytes key;
    pg_bytes value;
    pg_dht_choice choice;
    pg_dht_on_provider on_provider;
    void *user;
    pg_map known;
    bool has_enough;
};

static pg_err half_run(void *arg)
{
    half *self = arg;
    both *all = self->call;
    self->err = all->run(self);
    self->record = pg_error_keep();
    if ((self->err == PG_OK && all->is_first_enough) || all->has_enough) {
        pg_scope_cancel(&all->scope);
    }
    return self->err;
}

// The failure to tell: of the DHT that could have known.
static pg_err failure_choose(const both *all)
{
    const half *told = &all->halves[0];
    for (size_t i = 1; i < all->half_count; i++) {
        const half *other = &all->halves[i];
        bool is_weaker = told->err == PG_ERR_UNREACHABLE || told->err == PG_ERR_CANCELLED;
        told = is_weaker ? other : told;
    }
    return pg_error_again(&told->record, told->err);
}

// Run both to their end. PG_OK when at least one of them succeeded.
static pg_err both_run(const pg_dht_pair *pair, both *all)
{
    pg_dht *const dhts[] = {pair->local, pair->global};
    pg_err err = PG_OK;
    pg_scope_init_tolerant(&all->scope);
    for (size_t i = 0; i < PG_ARRAY_LEN(dhts) && err == PG_OK; i++) {
        if (dhts[i] != NULL) {
            half *each = &all->halves[all->half_count];
            each->call = all;
            each->dht = dhts[i];
            each->err = PG_ERR_CANCELLED;
            all->half_count++;
            err = pg_scope_spawn(&all->scope, "dht.pair", half_run, each);
        }
    }
    pg_err joined = pg_scope_join(&all->scope);
    err = err == PG_OK ? joined : err;
    bool has_one = all->has_enough;
    for (size_t i = 0; i < all->half_count; i++) {
        has_one = has_one || all->halves[i].err == PG_OK;
    }
    if (err != PG_OK || has_one) {
        return err;
    }
    return failure_choose(all);
}

static size_t count_sum(const both *all)
{
    size_t sum = 0;
    for (size_t i = 0; i < all->half_count; i++) {
        sum += all->halves[i].err == PG_OK ? all->halves[i].count : 0;
    }
    return sum;
}

static both *both_new(const pg_dht_call *call, pg_err (*run)(half *self))
{
    both *all = PG_NEW(both);
    if (all != NULL) {
        all->call = call;
        all->run = run;
    }
    return all;
}

// ---- peers ----

static pg_err find_peer_run(half *self)
{
    return pg_dht_find_peer(self->dht, self->call->peer, self->call->call, self->addrs,
                            &self->count);
}

pg_err pg_dht_pair_find_peer(const pg_dht_pair *pair, const pg_peer_id *peer,
                             const pg_dht_call *call, pg_multiaddr *out_addrs, size_t *out_count)
{
    both *all = both_new(call, find_peer_run);
    if (all == NULL) {
        return PG_ERR_NOMEM;
    }
    all->peer = peer;
    all->is_first_enough = true;
    pg_err err = both_run(pair, all);
    for (size_t i = 0; err == PG_OK && i < all->half_count; i++) {
        const half *each = &all->halves[i];
        if (each->err == PG_OK) {
            memcpy(out_addrs, each->addrs, each->count * sizeof(*out_addrs));
            *out_count = each->count;
            break;
        }
    }
    pg_mfree(all);
    return err;
}

// ---- values ----

static pg_err get_run(half *self)
{
    both *all = self->call;
    pg_err err = pg_dht_get_into(self->dht, &all->choice, all->call);
    all->has_enough = all->has_enough || pg_dht_choice_is_enough(&all->choice);
    return err;
}

pg_err pg_dht_pair_get(const pg_dht_pair *pair, pg_bytes key, const pg_dht_call *call,
                       pg_buf *out_value)
{
    const pg_dht *any = pair->local != NULL ? pair->local : pair->global;
    both *all = both_new(call, get_run);
    if (all == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_dht_choice_init(&all->choice, pg_dht_get_validators(any), key);
    if (err == PG_OK) {
        pg_dht_choice_widen(&all->choice, call);
        err = both_run(pair, all);
        if (all->choice.is_found && err != PG_ERR_CANCELLED && err != PG_ERR_NOMEM) {
            err = pg_buf_append(out_value, pg_buf_bytes(&all->choice.best));
        } else if (err == PG_OK) {
            err = pg_fail(PG_ERR_NOT_FOUND,
                          "no value under that key: none of the nearest peers has one");
        }
    }
    pg_dht_choice_deinit(&all->choice);
    pg_mfree(all);
    return err;
}

static pg_err put_run(half *self)
{
    const both *all = self->call;
    return pg_dht_put(self->dht, all->key, all->value, all->call, &self->count);
}

pg_err pg_dht_pair_put(const pg_dht_pair *pair, pg_bytes key, pg_bytes value,
                       const pg_dht_call *call, size_t *out_stored)
{
    both *all = both_new(call, put_run);
    if (all == NULL) {
        return PG_ERR_NOMEM;
    }
    all->key = key;
    all->value = value;
    pg_err err = both_run(pair, all);
    if (err == PG_OK && out_stored != NULL) {
        *out_stored = count_sum(all);
    }
    pg_mfree(all);
    return err;
}

// ---- providers ----

static pg_err provide_run(half *self)
{
    const both *all = self->call;
    return pg_dht_provide(self->dht, all->key, all->call, &self->count);
}

pg_err pg_dht_pair_provide(const pg_dht_pair *pair, pg_bytes key, const pg_dht_call *call,
                           size_t *out_told)
{
    both *all = both_new(call, provide_run);
    if (all == NULL) {
        return PG_ERR_NOMEM;
    }
    all->key = key;
    pg_err err = both_run(pair, all);
    if (err == PG_OK && out_told != NULL) {
        *out_told = count_sum(all);
    }
    pg_mfree(all);
    return err;
}

static bool on_found(const pg_dht_found *found, void *user)
{
    both *all = user;
    if (!all->has_enough && pg_map_add(&all->known, pg_peer_id_bytes(found->peer), all) == PG_OK) {
        all->has_enough = !all->on_provider(found, all->user);
    }
    return !all->has_enough;
}

static pg_err find_providers_run(half *self)
{
    both *all = self->call;
    return pg_dht_find_providers(self->dht, all->key, all->call, on_found, all);
}

pg_err pg_dht_pair_find_providers(const pg_dht_pair *pair, pg_bytes key, const pg_dht_call *call,
                                  pg_dht_on_provider on_provider, void *user)
{
    both *all = both_new(call, find_providers_run);
    if (all == NULL) {
        return PG_ERR_NOMEM;
    }
    all->key = key;
    all->on_provider = on_provider;
    all->user = user;
    pg_err err = both_run(pair, all);
    pg_map_deinit(&all->known);
    pg_mfree(all);
    return err;
}

// ---- the rest ----

bool pg_dht_pair_is_off(const pg_dht_pair *pair)
{
    return pair == NULL || (pair->local == NULL && pair->global == NULL);
}

size_t pg_dht_pair_peers(const pg_dht_pair *pair)
{
    size_t local = pair->local == NULL ? 0 : pg_dht_get_stats(pair->local).peers;
    size_t global = pair->global == NULL ? 0 : pg_dht_get_stats(pair->global).peers;
    return pg_max_size(local, global);
}

void pg_dht_pair_unpublish(const pg_dht_pair *pair, pg_bytes key)
{
    if (pair->local != NULL) {
        pg_dht_unpublish(pair->local, key);
    }
    if (pair->global != NULL) {
        pg_dht_unpublish(pair->global, key);
    }
}

void pg_dht_pair_free(pg_dht_pair *pair)
{
    pg_dht_free(&pair->local);
    pg_dht_free(&pair->global);
}
