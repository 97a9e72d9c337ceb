// SPDX-License-Identifier: Apache-2.0
// What was pushed for a commit that will not be. Nothing is written for it: a block is on the disk, or it is not, and if the plug is pulled
// in between it is a stray as before. The row that says how old it was goes with the next sweep, or at the next start.
#include <string.h>

#include "exchange/place_server_priv.h"

// The statement is by the session's key, for this host and this peer, and for these blocks: so nobody can use it who hears it.
static bool statement_is_good(const pg_place_job *job)
{
    const pg_place_stream *stream = job->stream;
    const pg_place_request *request = &job->request;
    pg_lease_abandon abandon;
    uint8_t digest[PG_HASH_BYTES];
    if (pg_lease_abandon_decode(request->abandon, &abandon) != PG_OK) {
        return false;
    }
    pg_lease_blocks_digest(request->cids, request->cid_count, digest);
    return memcmp(abandon.lease_key, stream->lease_key, sizeof(abandon.lease_key)) == 0 &&
           pg_peer_id_equal(&abandon.host, &stream->server->config.device->peer_id) &&
           pg_peer_id_equal(&abandon.uploader, &stream->peer) &&
           memcmp(abandon.blocks, digest, sizeof(digest)) == 0;
}

// A push whose session was broken off may be on its way to the disk yet.
static void push_await(const pg_place_stream *stream, const pg_held_name *name, pg_time deadline)
{
    pg_place_server *server = stream->server;
    for (;;) {
        uint32_t number = pg_held_find(&server->held, name);
        if (number == PG_HELD_NONE) {
            return;
        }
        const pg_held_block *block = pg_held_at(&server->held, number);
        bool is_on_its_way = !block->is_present && block->pins > 0 &&
                             block->owner == stream->uploader && !server->is_closing;
        if (!is_on_its_way || pg_waitq_wait(&server->turn, deadline) != PG_OK) {
            return;
        }
    }
}

// Whom nobody is charged for, as after a restart, is anybody's, as with ASK.
bool pg_place_push_take_back(const pg_place_stream *stream, const pg_held_name *name)
{
    pg_held *held = &stream->server->held;
    uint32_t number = pg_held_find(held, name);
    if (number == PG_HELD_NONE) {
        return false;
    }
    pg_held_block *block = pg_held_at(held, number);
    if (!block->is_present || (block->owner != NULL && block->owner != stream->uploader)) {
        return false;
    }
    if (block->wants > 0) {
        block->wants--;
    }
    if (block->wants > 0 || block->leases > 0) {
        return false;
    }
    block->is_doomed = true;
    return true;
}

pg_place_status pg_place_abandon_answer(pg_place_job *job)
{
    const pg_place_request *request = &job->request;
    uint64_t freed_bytes = 0;
    bool has_doomed = false;
    if (!statement_is_good(job)) {
        return PG_PLACE_STATUS_BAD_GRANT;
    }
    const pg_time deadline = pg_after(PG_MS(PG_PLACE_TURN_MS));
    for (size_t i = 0; i < request->cid_count; i++) {
        const pg_held_name name = pg_held_name_of(&request->cids[i]);
        push_await(job->stream, &name, deadline);
        has_doomed |= pg_place_push_take_back(job->stream, &name);
    }
    if (!has_doomed) {
        return PG_PLACE_STATUS_OK;
    }
    pg_err err = pg_place_doomed_delete(job->stream->server, &freed_bytes);
    return err == PG_OK ? PG_PLACE_STATUS_OK : pg_place_failed("abandon", err);
}
