// SPDX-License-Identifier: Apache-2.0
// Where hosts give no answer it may be this node that is cut off. Whoever else is connected tells: it need not be a host of anything, a ping will do.
#include "base/mem.h"
#include "files/guard_priv.h"
#include "files/limits.h"
#include "net/ping.h"
#include "runtime/random.h"
#include "runtime/time.h"

/** A peer being pinged. */
typedef struct probe {
    pg_host *host;
    pg_peer_id peer;
    bool has_answered;
} probe;

/** Some of the peers that are connected, chosen by chance. */
typedef struct reach {
    const pg_guard *guard;
    const pg_peer_id *but;
    size_t seen; // connections
    size_t count;
    probe probes[PG_GUARD_PINGS_MAX];
} reach;

static void on_conn(const pg_host_conn *conn, void *user)
{
    reach *self = user;
    const pg_peer_id *peer = conn->info.peer;
    if (self->but != NULL && pg_peer_id_equal(peer, self->but)) {
        return;
    }
    for (size_t i = 0; i < self->count; i++) {
        if (pg_peer_id_equal(&self->probes[i].peer, peer)) {
            return;
        }
    }
    size_t at =
        self->count < PG_GUARD_PINGS_MAX ? self->count : (size_t) pg_random_below(self->seen + 1);
    self->seen++;
    if (at < PG_GUARD_PINGS_MAX) {
        self->probes[at] = (probe){.host = self->guard->config.files->config.host, .peer = *peer};
        self->count += at == self->count ? 1 : 0;
    }
}

static pg_err probe_run(void *arg)
{
    probe *self = arg;
    int64_t rtt_ns = 0;
    self->has_answered =
        pg_ping_once(self->host, &self->peer, pg_after(PG_MS(PG_GUARD_PING_MS)), &rtt_ns) == PG_OK;
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

static pg_err probes_run(reach *self)
{
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < self->count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "guard.ping", probe_run, &self->probes[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

bool pg_guard_is_connected(const pg_guard *guard, const pg_peer_id *but)
{
    bool has_answered = false;
    reach *self = PG_NEW(reach);
    if (self == NULL) {
        return false;
    }
    self->guard = guard;
    self->but = but;
    pg_host_conns_each(guard->config.files->config.host, on_conn, self);
    if (probes_run(self) == PG_OK) {
        for (size_t i = 0; i < self->count; i++) {
            has_answered |= self->probes[i].has_answered;
        }
    }
    pg_mfree(self);
    return has_answered;
}
