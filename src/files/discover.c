// SPDX-License-Identifier: Apache-2.0
#include "files/discover.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "files/limits.h"
#include "files/vault.h"
#include "runtime/time.h"

pg_multihash pg_provider_key(const pg_cid *cid)
{
    static const char domain[] = "pangea-provider-v1";
    uint8_t input[sizeof(domain) - 1 + PG_CID_BYTES_MAX];
    uint8_t digest[PG_HASH_BYTES];
    pg_multihash key = {.len = 0};
    memcpy(input, domain, sizeof(domain) - 1);
    memcpy(input + sizeof(domain) - 1, cid->bytes, cid->len);
    pg_sha256(pg_bytes_make(input, sizeof(domain) - 1 + cid->len), digest);
    pg_ignore(pg_multihash_make(PG_MULTIHASH_CODE_SHA2_256, PG_BYTES_OF(digest), &key),
              "a digest of this length always makes one");
    return key;
}

// ---- Finding

/** Return the DHTs that there are; NULL when there are none, or not yet. */
static const pg_dht_pair *dhts_of(const pg_files *files)
{
    const pg_dht_pair *dhts = files->config.dht;
    return pg_dht_pair_is_off(dhts) ? NULL : dhts;
}

/** Providers as they are found. */
typedef struct finding {
    pg_files *files;
    pg_peer_id *peers;
    size_t count;
} finding;

static bool on_provider(const pg_dht_found *found, void *user)
{
    finding *self = user;
    if (!pg_peer_id_equal(found->peer, pg_host_id(self->files->config.host))) {
        self->peers[self->count++] = *found->peer;
    }
    return self->count < PG_PROVIDERS_MAX;
}

static size_t providers_find(pg_files *files, const pg_multihash *key, pg_peer_id *out_peers)
{
    finding self = {files, out_peers, 0};
    const pg_dht_call call = {.deadline = pg_after(PG_MS(PG_DISCOVER_MS))};
    if (dhts_of(files) == NULL) {
        return 0;
    }
    pg_ignore(pg_dht_pair_find_providers(files->config.dht, pg_multihash_bytes(key), &call,
                                         on_provider, &self),
              "what was found counts");
    return self.count;
}

size_t pg_discover_providers(pg_files *files, const pg_cid *cid, pg_peer_id *out_peers)
{
    const pg_multihash key = pg_provider_key(cid);
    return providers_find(files, &key, out_peers);
}

size_t pg_discover_archived(pg_files *files, const pg_cid *cid, pg_peer_id *out_peers)
{
    const pg_multihash key = pg_vault_key(cid);
    return providers_find(files, &key, out_peers);
}

size_t pg_discover_public(pg_files *files, const pg_cid *cid, pg_peer_id *out_peers)
{
    const pg_multihash key = pg_cid_multihash(cid);
    return providers_find(files, &key, out_peers);
}

void pg_discover_peer(pg_files *files, const pg_peer_id *peer)
{
    const pg_host *host = files->config.host;
    if (dhts_of(files) == NULL || pg_host_is_connected(host, peer)) {
        return;
    }
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(files->config.host), peer);
    if (known != NULL && known->addr_count > 0) {
        return;
    }
    const pg_dht_call call = {.deadline = pg_after(PG_MS(PG_DISCOVER_MS))};
    pg_multiaddr *addrs = pg_calloc(PG_NET_BOOK_ADDRS_MAX, sizeof(*addrs));
    size_t count = 0;
    if (addrs != NULL) {
        pg_ignore(pg_dht_pair_find_peer(files->config.dht, peer, &call, addrs, &count),
                  "the dial that follows tells that no address is known");
    }
    pg_mfree(addrs);
}

// ---- Announcing

/** What is announced. Each key maps to the pass in which it was last seen to be needed. */
typedef struct announcer {
    pg_files *files;
    pg_map keys;
    uint64_t pass;
    pg_multihash *fresh; // fresh[fresh_count]: to be announced after the pass
    size_t fresh_count;
    size_t fresh_room;
    pg_err err;
} announcer;

static pg_err key_add(announcer *self, const pg_multihash *key)
{
    uint64_t *pass = pg_map_get(&self->keys, pg_multihash_bytes(key));
    if (pass != NULL) {
        *pass = self->pass;
        return PG_OK;
    }
    if (self->fresh_count == self->fresh_room) {
        size_t room = self->fresh_room * 2 + 16;
        pg_multihash *fresh = pg_realloc(self->fresh, room * sizeof(*fresh));
        if (fresh == NULL) {
            return PG_ERR_NOMEM;
        }
        self->fresh = fresh;
        self->fresh_room = room;
    }
    pass = PG_NEW(uint64_t);
    if (pass == NULL) {
        return PG_ERR_NOMEM;
    }
    *pass = self->pass;
    pg_err err = pg_map_add(&self->keys, pg_multihash_bytes(key), pass);
    if (err != PG_OK) {
        pg_mfree(pass);
        return err;
    }
    self->fresh[self->fresh_count++] = *key;
    return PG_OK;
}

static void on_lease(const pg_place_lease *lease, void *user)
{
    announcer *self = user;
    pg_multihash key = pg_provider_key(&lease->descriptor);
    if (self->err == PG_OK) {
        self->err = key_add(self, &key);
    }
    if (self->err == PG_OK && lease->root.len > 0) {
        key = pg_provider_key(&lease->root);
        self->err = key_add(self, &key);
    }
}

static pg_err pins_add(announcer *self)
{
    pg_cid *pins = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_pins(self->files->config.db, &pins, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        const pg_multihash key = pg_cid_multihash(&pins[i]);
        err = key_add(self, &key);
    }
    pg_mfree(pins);
    return err;
}

static pg_err on_archived(const pg_cid *cid, void *user)
{
    const pg_multihash key = pg_vault_key(cid);
    return key_add(user, &key);
}

/** Find out what is kept now. */
static pg_err keys_gather(announcer *self)
{
    self->pass++;
    self->fresh_count = 0;
    self->err = PG_OK;
    if (self->files->place != NULL) {
        PG_TRY(pg_place_server_leases(self->files->place, on_lease, self));
        PG_TRY(self->err);
    }
    PG_TRY(pg_vault_each(self->files->vault, on_archived, self));
    return pins_add(self);
}

static void keys_forget(announcer *self)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&self->keys, &cursor)) {
        if (*(uint64_t *) cursor.value < self->pass) {
            pg_dht_pair_unpublish(self->files->config.dht, cursor.key);
            void *pass = pg_map_take(&self->keys, cursor.key);
            pg_mfree(pass);
        }
    }
}

static pg_err keys_announce(announcer *self)
{
    for (size_t i = 0; i < self->fresh_count; i++) {
        const pg_dht_call call = {.keeps = true};
        pg_err err = pg_dht_pair_provide(self->files->config.dht,
                                         pg_multihash_bytes(&self->fresh[i]), &call, NULL);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err != PG_OK) { // it is published again by and by
            pg_log(PG_LOG_LEVEL_DEBUG, "files.announce.failed",
                   PG_LOG_STR("error", pg_err_name(err)));
        }
    }
    return PG_OK;
}

/** Return a number that changes with what is kept. */
static uint64_t kept_mark(const pg_files *files)
{
    uint64_t changes = files->totals.pinned_blocks + pg_vault_mark(files->vault);
    uint64_t leases = 0;
    if (files->place != NULL) {
        const pg_place_stats stats = pg_place_server_get_stats(files->place);
        changes += stats.commits_total + stats.expired_total;
        leases = stats.leases;
    }
    // Apart: a commit that drops a lease, or one that expires, would leave their sum as it was.
    return changes << 32 | (leases & UINT32_MAX);
}

static pg_err announce_loop(announcer *self)
{
    uint64_t seen = UINT64_MAX;
    for (;;) {
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(PG_ANNOUNCE_SECONDS))));
        uint64_t mark = kept_mark(self->files);
        if (mark == seen || dhts_of(self->files) == NULL) {
            continue;
        }
        pg_err err = keys_gather(self);
        if (err == PG_OK) {
            seen = mark;
            keys_forget(self);
            err = keys_announce(self);
        }
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
    }
}

pg_err pg_files_announce_run(void *arg)
{
    announcer self = {.files = arg};
    pg_map_cursor cursor = {.begun = false};
    if (self.files->config.dht == NULL) {
        return PG_OK;
    }
    pg_err err = announce_loop(&self);
    while (pg_map_next(&self.keys, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&self.keys);
    pg_mfree(self.fresh);
    return err;
}
