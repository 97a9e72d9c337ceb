// SPDX-License-Identifier: Apache-2.0
// How the files that were put here stand, from what is noted already: who holds them, in how many networks, and when that was proven last. Asks
// nobody.
#include <string.h>

#include "base/mem.h"
#include "files/guard_priv.h"
#include "files/limits.h"

/** A file being looked at. */
typedef struct looking {
    pg_guard *guard;
    pg_guard_health health;
    size_t host_count;
    pg_peer_id hosts[PG_FILE_HOSTS_MAX];
    uint8_t networks[PG_FILE_HOSTS_MAX][PG_NETWORK_BYTES];
} looking;

static void network_of(const pg_guard *guard, const pg_peer_id *peer,
                       uint8_t out_network[PG_NETWORK_BYTES])
{
    pg_peer_book *book = pg_host_book(guard->config.files->config.host);
    const pg_book_peer *known = pg_peer_book_get(book, peer);
    memset(out_network, 0, PG_NETWORK_BYTES);
    if (known != NULL && known->addr_count > 0) {
        pg_network_of(pg_multiaddr_bytes(&known->addrs[0].addr), out_network);
    }
}

static void host_add(looking *self, const pg_peer_id *peer)
{
    for (size_t i = 0; i < self->host_count; i++) {
        if (pg_peer_id_equal(&self->hosts[i], peer)) {
            return;
        }
    }
    if (self->host_count == PG_FILE_HOSTS_MAX) {
        return;
    }
    uint8_t *network = self->networks[self->host_count];
    bool is_known = false;
    network_of(self->guard, peer, network);
    for (size_t i = 0; i < self->host_count; i++) {
        is_known |= memcmp(self->networks[i], network, PG_NETWORK_BYTES) == 0;
    }
    self->health.networks += is_known ? 0 : 1;
    self->hosts[self->host_count++] = *peer;
}

/** Return when the slots that a host has were proven last; 0 = some never were. */
static uint64_t proven_of(const pg_guard_standing *standings, size_t count,
                          const pg_catalogue_holder *holder)
{
    for (size_t i = 0; i < count; i++) {
        if (pg_peer_id_equal(&standings[i].peer, &holder->peer)) {
            return (holder->slots & ~standings[i].proven) == 0 ? standings[i].proven_s : 0;
        }
    }
    return 0;
}

static double readable_of(looking *self, const pg_catalogue_extent *extent)
{
    pg_slot_set sets[PG_PLACE_SLOTS_MAX];
    double chances[PG_PLACE_SLOTS_MAX];
    unsigned missing = (unsigned) __builtin_popcount(pg_catalogue_missing(extent));
    unsigned parity = extent->code.parity;
    if (extent->local != 0) {
        return 1.0; // this node has what is missing elsewhere
    }
    for (size_t i = 0; i < extent->holder_count; i++) {
        bool is_forecast = false;
        sets[i] = extent->holders[i].slots;
        chances[i] = pg_guard_availability(self->guard, &extent->holders[i].peer, &is_forecast);
        self->health.is_forecast &= is_forecast;
    }
    if (extent->is_whole) {
        return extent->holder_count == 0 ? 0.0
                                         : pg_repair_readable(sets, chances, extent->holder_count,
                                                              (unsigned) extent->holder_count - 1);
    }
    return missing > parity
               ? 0.0
               : pg_repair_readable(sets, chances, extent->holder_count, parity - missing);
}

static pg_err extent_look(looking *self, const pg_catalogue_extent *extent, bool is_first)
{
    pg_guard_standing standings[PG_PLACE_RECEIPTS_MAX];
    size_t count = 0;
    PG_TRY(pg_guard_log_standings(self->guard->config.files->config.db, &extent->descriptor,
                                  standings, &count));
    for (size_t i = 0; i < extent->holder_count; i++) {
        const pg_catalogue_holder *holder = &extent->holders[i];
        uint64_t proven_s = proven_of(standings, count, holder);
        host_add(self, &holder->peer);
        self->health.silent += holder->missed > 0 ? 1 : 0;
        if ((is_first && i == 0) || proven_s < self->health.proven_s) {
            self->health.proven_s = proven_s;
        }
    }
    self->health.missing += (unsigned) __builtin_popcount(pg_catalogue_missing(extent));
    double readable = readable_of(self, extent);
    self->health.readable =
        is_first || readable < self->health.readable ? readable : self->health.readable;
    return PG_OK;
}

pg_err pg_guard_file_health(pg_guard *guard, const pg_cid *root, pg_guard_health *out_health)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    int64_t file = 0;
    pg_db *db = guard->config.files->config.db;
    PG_TRY(pg_catalogue_find(db, root, &file));
    PG_TRY(pg_catalogue_extents(db, file, &extents, &count));
    looking *self = PG_NEW(looking);
    pg_err err = self == NULL ? PG_ERR_NOMEM : PG_OK;
    if (self != NULL) {
        self->health.is_forecast = true;
    }
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        self->guard = guard;
        err = extent_look(self, &extents[i], i == 0);
    }
    if (err == PG_OK) {
        self->health.hosts = (unsigned) self->host_count;
        *out_health = self->health;
    }
    pg_mfree(self);
    pg_mfree(extents);
    return err;
}
