// SPDX-License-Identifier: Apache-2.0
#include "files/notices.h"

#include "base/log.h"
#include "exchange/place_client.h"
#include "files/discover.h"
#include "files/lease_keys.h"
#include "files/limits.h"
#include "runtime/fiber.h"
#include "runtime/time.h"

uint64_t pg_files_next_sequence(uint64_t last)
{
    uint64_t now = (uint64_t) pg_wall_ms();
    return now > last ? now : last + 1;
}

pg_err pg_files_grant(pg_files *files, pg_catalogue_extent *extent, uint64_t expiry_s, pg_buf *out)
{
    pg_identity lease = {.peer_id = {.len = 0}};
    PG_TRY(pg_files_lease_key(files->config.owner, extent->extent_id, &lease));
    const pg_lease_grant grant = {
        .descriptor = extent->descriptor,
        .is_whole = extent->is_whole,
        .root = extent->root,
        .expiry_s = expiry_s,
        .sequence = pg_files_next_sequence(extent->sequence),
    };
    pg_buf encoded PG_CLEANUP(pg_buf_deinit) = {0};
    pg_err err = pg_lease_grant_encode(&lease, &grant, &encoded);
    if (err == PG_OK) {
        err = pg_buf_append(out, pg_buf_bytes(&encoded));
    }
    if (err == PG_OK) {
        pg_grants_note(&files->grants, lease.public_key, pg_buf_bytes(&encoded));
    }
    pg_identity_deinit(&lease);
    if (err == PG_OK) {
        extent->sequence = grant.sequence;
        extent->expiry_s = expiry_s != 0 ? expiry_s : extent->expiry_s;
    }
    return err;
}

static pg_err notice_send(pg_notice *self)
{
    pg_identity lease = {.peer_id = {.len = 0}};
    pg_place_session *session = NULL;
    pg_lease_receipt receipt;
    uint64_t known = 0;
    const pg_place_commit commit = {.grant = self->grant, .slots = self->holder->slots};
    pg_discover_peer(self->files, &self->holder->peer);
    pg_time deadline = pg_after(PG_MS(PG_UPLOAD_OPEN_MS));
    PG_TRY(pg_files_lease_key(self->files->config.owner, self->extent->extent_id, &lease));
    pg_err err = pg_place_open(self->files->config.host, &self->holder->peer, lease.public_key, 0,
                               deadline, &session);
    pg_identity_deinit(&lease);
    PG_TRY(err);
    if (self->release.len > 0) {
        err = pg_place_release_send(session, pg_buf_bytes(&self->release), deadline);
    } else {
        err = pg_place_commit_send(session, &commit, deadline, &receipt, NULL, &known);
    }
    if (err == PG_OK && self->release.len == 0 && receipt.slots != 0) {
        pg_peer_clock_note(&self->files->peer_clock, &receipt.host, receipt.time_s,
                           (uint64_t) pg_wall_ms() / 1000);
    }
    pg_place_session_free(&session);
    // A grant that is no later than what the host knows did nothing, unless it is that grant. A release may be older: its slots went before.
    bool is_older =
        err == PG_ERR_CHANGED && self->release.len == 0 && known > self->extent->sequence;
    self->known = is_older ? known : 0;
    // What a host does not have is as good as done.
    self->is_done = err == PG_OK || err == PG_ERR_NOT_FOUND || (err == PG_ERR_CHANGED && !is_older);
    return err;
}

static pg_err notice_run(void *arg)
{
    pg_notice *self = arg;
    pg_err err = notice_send(self);
    if (!self->is_done) {
        pg_log(PG_LOG_LEVEL_DEBUG, "files.notice.failed", PG_LOG_STR("error", pg_err_name(err)));
    }
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

pg_err pg_notices_send(pg_notice *notices, size_t count)
{
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "files.notice", notice_run, &notices[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}
