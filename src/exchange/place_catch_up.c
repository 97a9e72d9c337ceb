// SPDX-License-Identifier: Apache-2.0
// Grants that a host missed, because it or the owner was away when they were sent: before a lease ends, and while it is kept beyond its
// end, the newest grant is looked up. It counts as if the owner had sent it; what is older than what is known never does. Slots and
// roots that are not here cannot come this way.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "exchange/place_server_priv.h"
#include "runtime/time.h"

static bool is_usable(const pg_ledger_state *state, const pg_lease_grant *grant)
{
    const pg_ledger_lease *lease = &state->lease;
    uint64_t now_s = pg_place_now_s();
    uint64_t known = 0;
    if (lease->id == 0 || grant->sequence <= lease->sequence ||
        !pg_ledger_grant_is_next(state, grant, &known)) {
        return false; // it ended meanwhile, or the owner was here
    }
    return grant->expiry_s == 0 ||
           (grant->expiry_s > now_s && grant->expiry_s - now_s <= PG_PLACE_EXPIRY_S_MAX &&
            grant->is_whole == lease->is_whole && pg_cid_equal(&grant->root, &lease->root));
}

static pg_err grant_enter(pg_place_server *server, const pg_ledger_key *key, pg_bytes encoded,
                          const pg_lease_grant *grant, bool *out_is_news)
{
    pg_ledger_change change = {0};
    pg_ledger_state state = {0};
    PG_TRY(pg_place_ledger_lock(server));
    pg_err err = pg_ledger_find(server->config.db, key, &state);
    bool is_news = err == PG_OK && is_usable(&state, grant);
    if (is_news) {
        pg_ledger_commit commit = {
            .grant = grant,
            .encoded = encoded,
            .uploader = &state.lease.uploader,
            .make_room = server->tombs >= PG_PLACE_TOMBS_MAX,
        };
        err = pg_ledger_commit_write(server->config.db, &commit, &change);
    }
    if (is_news && err == PG_OK) {
        pg_place_apply(server, &change, false);
        pg_place_tell(server, grant);
        *out_is_news = true;
    }
    pg_ledger_change_deinit(&change);
    pg_place_ledger_unlock(server);
    return err;
}

pg_err pg_place_server_hear(pg_place_server *server, pg_bytes encoded, const pg_lease_grant *grant)
{
    bool is_news = false;
    pg_ledger_key key = {.descriptor = grant->descriptor};
    memcpy(key.lease_key, grant->lease_key, sizeof(key.lease_key));
    return grant_enter(server, &key, encoded, grant, &is_news);
}

static pg_err lease_look(pg_place_server *server, const pg_ledger_key *key, bool *out_is_news)
{
    pg_buf value PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_PLACE_SIGNED_BYTES_MAX};
    pg_lease_grant grant;
    pg_err err = server->config.newest_grant(key->lease_key, &value, server->config.user);
    if (err == PG_ERR_CANCELLED || err == PG_ERR_NOMEM) {
        return err;
    }
    // Nobody knows one, or who answered lies: then it stays as it is.
    if (err != PG_OK || pg_lease_grant_decode(pg_buf_bytes(&value), &grant) != PG_OK ||
        memcmp(grant.lease_key, key->lease_key, sizeof(grant.lease_key)) != 0 ||
        !pg_cid_equal(&grant.descriptor, &key->descriptor)) {
        return PG_OK;
    }
    return grant_enter(server, key, pg_buf_bytes(&value), &grant, out_is_news);
}

pg_err pg_place_server_catch_up(pg_place_server *server, size_t *out_count)
{
    uint64_t now_s = pg_place_now_s();
    uint64_t from_s = now_s > PG_PLACE_GRACE_S ? now_s - PG_PLACE_GRACE_S : 0;
    pg_buf ending = {0};
    size_t count = 0;
    pg_err err =
        server->config.newest_grant == NULL
            ? PG_OK
            : pg_ledger_ending(server->config.db, from_s, now_s + PG_PLACE_LOOK_AHEAD_S, &ending);
    for (size_t at = 0; err == PG_OK && at < ending.len; at += sizeof(pg_ledger_key)) {
        pg_ledger_key key;
        bool is_news = false;
        memcpy(&key, ending.ptr + at, sizeof(key));
        err = lease_look(server, &key, &is_news);
        count += is_news ? 1U : 0U;
    }
    pg_buf_deinit(&ending);
    server->totals.caught_up_total += count;
    *out_count = count;
    return err;
}

static pg_err catch_up_run(void *arg)
{
    pg_place_server *server = arg;
    int64_t wait_ns = PG_MS(PG_PLACE_LOOK_FIRST_MS);
    for (;;) {
        size_t count = 0;
        PG_TRY(pg_sleep_until(pg_after(wait_ns)));
        wait_ns = PG_MS(PG_PLACE_LOOK_MS);
        pg_err err = pg_place_server_catch_up(server, &count);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err != PG_OK) {
            (void) pg_place_failed("catch up", err);
        } else if (count > 0) {
            pg_log(PG_LOG_LEVEL_INFO, "place.caught_up", PG_LOG_U64("leases", count));
        }
    }
}

pg_err pg_place_catch_up_start(pg_place_server *server)
{
    return server->config.newest_grant == NULL
               ? PG_OK
               : pg_scope_spawn(&server->scope, "place.catch_up", catch_up_run, server);
}
