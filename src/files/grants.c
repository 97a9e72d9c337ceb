// SPDX-License-Identifier: Apache-2.0
#include "files/grants.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "exchange/lease.h"
#include "exchange/lease_record.h"
#include "files/discover.h"
#include "files/lease_keys.h"
#include "files/limits.h"
#include "files/service_priv.h"
#include "runtime/time.h"

/** A grant that waits. */
typedef struct waiting {
    pg_list node;
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    pg_buf grant;
} waiting;

void pg_grants_init(pg_grants *grants, bool is_closed)
{
    *grants = (pg_grants){.is_closed = is_closed};
    pg_list_init(&grants->order);
    pg_waitq_init(&grants->wake);
}

static pg_bytes key_bytes(const waiting *of)
{
    return PG_BYTES_OF(of->lease_key);
}

static void waiting_drop(pg_grants *grants, waiting *dead)
{
    (void) pg_map_take(&grants->by_key, key_bytes(dead));
    pg_list_remove(&dead->node);
    pg_buf_deinit(&dead->grant);
    pg_mfree(dead);
}

void pg_grants_note(pg_grants *grants, const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES],
                    pg_bytes grant)
{
    waiting *known = pg_map_get(&grants->by_key, pg_bytes_make(lease_key, PG_ED25519_PUBLIC_BYTES));
    if (known != NULL) {
        waiting_drop(grants, known);
    }
    if (grants->is_closed) {
        return;
    }
    if (pg_map_count(&grants->by_key) >= PG_GRANTS_WAITING_MAX) { // its hosts have it
        waiting_drop(grants, PG_LIST_OBJECT(grants->order.next, waiting, node));
    }
    waiting *made = PG_NEW(waiting);
    if (made == NULL) {
        return;
    }
    memcpy(made->lease_key, lease_key, sizeof(made->lease_key));
    if (pg_buf_append(&made->grant, grant) != PG_OK ||
        pg_map_add(&grants->by_key, key_bytes(made), made) != PG_OK) {
        pg_buf_deinit(&made->grant);
        pg_mfree(made);
        return;
    }
    pg_list_append(&grants->order, &made->node);
    pg_waitq_wake_all(&grants->wake);
}

static pg_err publish(const pg_files *files, const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES],
                      pg_bytes grant)
{
    pg_buf key PG_CLEANUP(pg_buf_deinit) = {0};
    const pg_dht_call call = {.keeps = true};
    PG_TRY(pg_lease_record_key(lease_key, &key));
    pg_err err = pg_dht_pair_put(files->config.dht, pg_buf_bytes(&key), grant, &call, NULL);
    if (err != PG_OK && err != PG_ERR_CANCELLED) { // it is published again by and by
        pg_log(PG_LOG_LEVEL_DEBUG, "files.grant.failed", PG_LOG_STR("error", pg_err_name(err)));
    }
    return err == PG_ERR_CANCELLED ? err : PG_OK;
}

// ---- At the start

static pg_err grant_encode(const pg_identity *lease, const pg_catalogue_extent *extent, pg_buf *out)
{
    const pg_lease_grant grant = {
        .descriptor = extent->descriptor,
        .is_whole = extent->is_whole,
        .root = extent->root,
        .expiry_s = extent->is_dropped ? 0 : extent->expiry_s,
        .sequence = extent->sequence,
    };
    return pg_lease_grant_encode(lease, &grant, out);
}

pg_err pg_grants_again(const pg_files *files, const pg_catalogue_extent *extent, pg_buf *out)
{
    pg_identity lease = {.peer_id = {.len = 0}};
    PG_TRY(pg_files_lease_key(files->config.owner, extent->extent_id, &lease));
    pg_err err = grant_encode(&lease, extent, out);
    pg_identity_deinit(&lease);
    return err;
}

pg_err pg_grants_end(pg_files *files, const pg_catalogue_extent *extent)
{
    pg_identity lease = {.peer_id = {.len = 0}};
    pg_buf key PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_files_lease_key(files->config.owner, extent->extent_id, &lease));
    waiting *next = pg_map_get(&files->grants.by_key, PG_BYTES_OF(lease.public_key));
    if (next != NULL) {
        waiting_drop(&files->grants, next);
    }
    pg_err err = pg_lease_record_key(lease.public_key, &key);
    pg_identity_deinit(&lease);
    PG_TRY(err);
    if (!pg_dht_pair_is_off(files->config.dht)) {
        pg_dht_pair_unpublish(files->config.dht, pg_buf_bytes(&key));
    }
    return PG_OK;
}

// An extent of no file is published when its drop is signed, which the hosts may have missed.
static bool is_published(int64_t file, const pg_catalogue_extent *extent)
{
    return extent->sequence != 0 &&
           (file == 0 ? extent->is_dropped : extent->holder_count > 0 || extent->has_strays);
}

static pg_err extent_publish(const pg_files *files, const pg_catalogue_extent *extent)
{
    pg_identity lease = {.peer_id = {.len = 0}};
    pg_buf encoded PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_files_lease_key(files->config.owner, extent->extent_id, &lease));
    pg_err err = grant_encode(&lease, extent, &encoded);
    if (err == PG_OK && pg_map_get(&files->grants.by_key, PG_BYTES_OF(lease.public_key)) == NULL) {
        err = publish(files, lease.public_key, pg_buf_bytes(&encoded));
    }
    pg_identity_deinit(&lease);
    return err;
}

static pg_err file_publish(const pg_files *files, int64_t file)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_extents(files->config.db, file, &extents, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = is_published(file, &extents[i]) ? extent_publish(files, &extents[i]) : PG_OK;
    }
    pg_mfree(extents);
    return err;
}

static pg_err catalogue_publish(const pg_files *files)
{
    int64_t *ids = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_files(files->config.db, PG_CATALOGUE_ALL, &ids, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = file_publish(files, ids[i]);
    }
    pg_mfree(ids);
    return err == PG_OK ? file_publish(files, 0) : err;
}

// ---- The fiber

static pg_err dht_await(const pg_files *files)
{
    do {
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(PG_ANNOUNCE_SECONDS))));
    } while (pg_dht_pair_peers(files->config.dht) == 0);
    return PG_OK;
}

static pg_err next_publish(pg_files *files)
{
    waiting *next = PG_LIST_OBJECT(files->grants.order.next, waiting, node);
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    pg_buf grant = next->grant;
    memcpy(lease_key, next->lease_key, sizeof(lease_key));
    next->grant = (pg_buf){.ptr = NULL};
    waiting_drop(&files->grants, next);
    pg_err err = publish(files, lease_key, pg_buf_bytes(&grant));
    pg_buf_deinit(&grant);
    return err;
}

pg_err pg_files_grants_run(void *arg)
{
    pg_files *files = arg;
    if (files->grants.is_closed) {
        return PG_OK;
    }
    PG_TRY(dht_await(files));
    pg_err err = catalogue_publish(files);
    while (err != PG_ERR_CANCELLED) {
        err = pg_list_is_empty(&files->grants.order)
                  ? pg_waitq_wait(&files->grants.wake, PG_FOREVER)
                  : next_publish(files);
    }
    return err;
}

pg_err pg_files_newest_grant(pg_files *files, const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES],
                             pg_buf *out)
{
    const pg_dht_pair *dhts = files->config.dht;
    pg_buf key PG_CLEANUP(pg_buf_deinit) = {0};
    if (pg_dht_pair_is_off(dhts)) {
        return PG_ERR_NOT_FOUND;
    }
    const pg_dht_call call = {.deadline = pg_after(PG_MS(PG_DISCOVER_MS))};
    PG_TRY(pg_lease_record_key(lease_key, &key));
    return pg_dht_pair_get(dhts, pg_buf_bytes(&key), &call, out);
}

void pg_grants_deinit(pg_grants *grants)
{
    while (!pg_list_is_empty(&grants->order)) {
        waiting_drop(grants, PG_LIST_OBJECT(grants->order.next, waiting, node));
    }
    pg_map_deinit(&grants->by_key);
}
