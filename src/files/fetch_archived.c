// SPDX-License-Identifier: Apache-2.0
#include "files/fetch_archived.h"

#include "files/discover.h"
#include "files/extents.h"
#include "runtime/time.h"

void pg_archived_init(pg_archived *archived)
{
    *archived = (pg_archived){.count = 0};
    pg_waitq_init(&archived->known);
}

static pg_err absent(pg_err err)
{
    return err == PG_OK || err == PG_ERR_CANCELLED || err == PG_ERR_NOMEM ? err : PG_ERR_NOT_FOUND;
}

static pg_err block_fetch(pg_files *files, const pg_peer_id *peer, const pg_cid *cid, pg_buf *out)
{
    pg_discover_peer(files, peer);
    return pg_bitswap_fetch(files->config.bitswap, peer, cid, pg_after(PG_MS(PG_FETCH_ARCHIVED_MS)),
                            out);
}

pg_err pg_archived_block(pg_files *files, const pg_cid *cid, pg_buf *out)
{
    pg_peer_id peers[PG_PROVIDERS_MAX];
    pg_err err = pg_vault_block(files->vault, cid, out);
    if (err == PG_OK) {
        return err;
    }
    size_t count = pg_discover_archived(files, cid, peers);
    for (size_t i = 0; i < count && err != PG_OK && !pg_fiber_is_cancelled(); i++) {
        err = block_fetch(files, &peers[i], cid, out);
    }
    return absent(pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : err);
}

/** Have a node open an extent: it does so when it gives the descriptor. */
static bool extent_open(pg_files *files, const pg_peer_id *peer, const pg_cid *cid)
{
    pg_buf block = {.max_len = PG_BITSWAP_BLOCK_BYTES_MAX};
    bool is_open = block_fetch(files, peer, cid, &block) == PG_OK;
    pg_buf_deinit(&block);
    return is_open;
}

/** Look for those who archived it, once. */
static pg_err peers_find(pg_files *files, pg_archived *archived, const pg_cid *cid)
{
    pg_peer_id peers[PG_PROVIDERS_MAX];
    while (archived->is_asking) {
        PG_TRY(pg_waitq_wait(&archived->known, PG_FOREVER)); // each question has its time
    }
    if (archived->is_known) {
        return PG_OK;
    }
    archived->is_asking = true;
    size_t count = pg_discover_archived(files, cid, peers);
    for (size_t i = 0; i < count && !pg_fiber_is_cancelled(); i++) {
        if (extent_open(files, &peers[i], cid)) {
            archived->peers[archived->count++] = peers[i];
        }
    }
    archived->is_asking = false;
    archived->is_known = !pg_fiber_is_cancelled();
    pg_waitq_wake_all(&archived->known);
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

/** From one node; one that has closed the extent meanwhile opens it once more. */
static pg_err shard_fetch(pg_files *files, const pg_peer_id *peer, const pg_cid *descriptor,
                          const pg_cid *shard, pg_buf *out)
{
    pg_err err = block_fetch(files, peer, shard, out);
    if (err == PG_ERR_NOT_FOUND && extent_open(files, peer, descriptor)) {
        err = block_fetch(files, peer, shard, out);
    }
    return err;
}

pg_err pg_archived_shard(pg_files *files, pg_archived *archived, const pg_vault_shard *what,
                         pg_buf *out)
{
    const pg_cid cid =
        pg_block_cid_of_digest(pg_descriptor_digest(what->descriptor, what->segment, what->shard));
    pg_err err = pg_vault_get_shard(files->vault, what, out);
    if (err != PG_OK) {
        PG_TRY(peers_find(files, archived, what->cid));
    }
    for (size_t i = 0; i < archived->count && err != PG_OK && !pg_fiber_is_cancelled(); i++) {
        const pg_peer_id peer = archived->peers[i];
        err = shard_fetch(files, &peer, what->cid, &cid, out);
    }
    archived->is_working |= err == PG_OK;
    return absent(pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : err);
}
