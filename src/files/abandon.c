// SPDX-License-Identifier: Apache-2.0
#include "files/abandon.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "exchange/place_client.h"
#include "files/lease_keys.h"
#include "files/limits.h"
#include "files/service_priv.h"
#include "runtime/time.h"

/** An extent that is given up. */
typedef struct abandonment {
    pg_files *files;
    pg_descriptor so_far;
    pg_catalogue_extent hosts; // its holders
    pg_identity lease;
} abandonment;

/** One of its hosts. */
typedef struct telling {
    const abandonment *what;
    const pg_catalogue_holder *holder;
    bool is_done; // it was told
} telling;

static pg_err slot_abandon(const telling *self, pg_place_session *session, unsigned slot)
{
    const pg_descriptor *so_far = &self->what->so_far;
    pg_cid cids[64]; // a fiber has little stack
    for (uint32_t g = 0; g < so_far->segment_count;) {
        size_t count = 0;
        for (; g < so_far->segment_count && count < PG_ARRAY_LEN(cids); g++) {
            cids[count++] = pg_block_cid_of_digest(
                pg_descriptor_digest(so_far, g, pg_code_shard_of_slot(so_far->code, g, slot)));
        }
        PG_TRY(pg_place_abandon_blocks(session, &self->what->lease, cids, count,
                                       pg_after(PG_MS(PG_UPLOAD_OPEN_MS))));
    }
    return PG_OK;
}

static pg_err telling_run(void *arg)
{
    telling *self = arg;
    pg_place_session *session = NULL;
    pg_err err = pg_place_open(self->what->files->config.host, &self->holder->peer,
                               self->what->lease.public_key, 0, pg_after(PG_MS(PG_UPLOAD_OPEN_MS)),
                               &session);
    for (unsigned slot = 0; slot < pg_code_shards(self->what->so_far.code) && err == PG_OK;
         slot++) {
        if ((self->holder->slots >> slot & 1) != 0) {
            err = slot_abandon(self, session, slot);
        }
    }
    pg_place_session_free(&session);
    self->is_done = err == PG_OK;
    if (err != PG_OK) {
        pg_log(PG_LOG_LEVEL_DEBUG, "files.abandon.failed", PG_LOG_STR("error", pg_err_name(err)));
    }
    return PG_OK;
}

static void abandonment_free(abandonment **what)
{
    pg_descriptor_deinit(&(*what)->so_far);
    pg_identity_deinit(&(*what)->lease);
    pg_mfree(*what);
    *what = NULL;
}

/** Tell all hosts at once; those that were told are taken out of what->hosts. */
static pg_err hosts_tell(abandonment *what)
{
    telling tellings[PG_PLACE_SLOTS_MAX];
    size_t left = 0;
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    for (size_t i = 0; i < what->hosts.holder_count; i++) {
        tellings[i] = (telling){what, &what->hosts.holders[i], false};
        pg_ignore(pg_scope_spawn(&scope, "files.abandon", telling_run, &tellings[i]),
                  "it goes with the time");
    }
    PG_TRY(pg_scope_join(&scope));
    for (size_t i = 0; i < what->hosts.holder_count; i++) {
        if (!tellings[i].is_done) {
            what->hosts.holders[left++] = what->hosts.holders[i];
        }
    }
    what->hosts.holder_count = left;
    return PG_OK;
}

static pg_err abandon_run(void *arg)
{
    abandonment *what = arg;
    pg_err err = hosts_tell(what);
    abandonment_free(&what);
    return err;
}

static pg_err abandon_read(pg_files *files, const pg_unfinished *put, abandonment *what)
{
    what->files = files;
    PG_TRY(pg_descriptor_decode(pg_buf_bytes(&put->open), &what->so_far));
    PG_TRY(pg_unfinished_hosts_read(pg_buf_bytes(&put->hosts), &what->hosts));
    return pg_files_lease_key(files->config.owner, what->so_far.extent_id, &what->lease);
}

void pg_abandon_unfinished(pg_files *files, const pg_unfinished *put)
{
    if (put->open.len == 0) {
        return; // between two extents
    }
    abandonment *what = PG_NEW(abandonment);
    if (what == NULL) {
        return;
    }
    pg_err err = abandon_read(files, put, what);
    if (err == PG_OK) {
        err = pg_scope_spawn(&files->scope, "files.abandon", abandon_run, what);
    }
    if (err != PG_OK) {
        pg_log(PG_LOG_LEVEL_DEBUG, "files.abandon.failed", PG_LOG_STR("error", pg_err_name(err)));
        abandonment_free(&what);
    }
}

// ---- What an earlier run left

/** Puts whose hosts are still to be told. */
typedef struct leftover {
    pg_files *files;
    int64_t *puts; // puts[count], their files
    size_t count;
} leftover;

/** Tell the hosts of a put; *out_left is how many are still to be told. */
static pg_err put_tell(pg_files *files, pg_unfinished *put, size_t *out_left)
{
    if (put->open.len == 0) {
        return PG_OK;
    }
    abandonment *what = PG_NEW(abandonment);
    if (what == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = abandon_read(files, put, what);
    size_t before = what->hosts.holder_count;
    if (err == PG_OK) {
        err = hosts_tell(what);
    }
    if (err == PG_OK && what->hosts.holder_count < before) {
        err = pg_unfinished_hosts_write(&what->hosts, &put->hosts);
        if (err == PG_OK) {
            err = pg_unfinished_hosts_save(files->config.db, put);
        }
    }
    *out_left = err == PG_OK ? what->hosts.holder_count : 0;
    abandonment_free(&what);
    return err;
}

/** Have one turn with a put; *out_done when there will be no other. */
static pg_err put_turn(pg_files *files, int64_t file, bool *out_done)
{
    pg_unfinished put = {.file = 0};
    size_t left = 0;
    *out_done = true;
    pg_err err = pg_unfinished_of(files->config.db, file, &put);
    if (err == PG_ERR_NOT_FOUND) {
        return PG_OK; // its time is over
    }
    PG_TRY(err);
    err = put_tell(files, &put, &left);
    pg_unfinished_deinit(&put);
    PG_TRY(err);
    *out_done = left == 0;
    return left == 0 ? pg_unfinished_forget(files->config.db, file) : PG_OK;
}

static pg_err turns_give(leftover *self)
{
    size_t left = 0;
    for (size_t i = 0; i < self->count; i++) {
        bool is_done = false;
        pg_err err = put_turn(self->files, self->puts[i], &is_done);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err != PG_OK) {
            pg_log(PG_LOG_LEVEL_WARN, "files.catalogue.failed",
                   PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
        }
        if (!is_done) {
            self->puts[left++] = self->puts[i];
        }
    }
    self->count = left;
    return PG_OK;
}

static pg_err left_run(void *arg)
{
    leftover *self = arg;
    pg_err err = PG_OK;
    for (int64_t wait_s = PG_ABANDON_WAIT_S; err == PG_OK && self->count > 0; wait_s *= 2) {
        wait_s = wait_s < PG_ABANDON_WAIT_S_MAX ? wait_s : PG_ABANDON_WAIT_S_MAX;
        err = pg_sleep_until(pg_after(PG_SECONDS(wait_s)));
        if (err == PG_OK) {
            err = turns_give(self);
        }
    }
    pg_mfree(self->puts);
    pg_mfree(self);
    return err;
}

pg_err pg_abandon_left(pg_files *files)
{
    leftover *self = PG_NEW(leftover);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->files = files;
    pg_err err = pg_unfinished_left(files->config.db, &self->puts, &self->count);
    if (err == PG_OK && self->count > 0) {
        err = pg_scope_spawn(&files->scope, "files.left", left_run, self);
        if (err == PG_OK) {
            return PG_OK;
        }
    }
    pg_mfree(self->puts);
    pg_mfree(self);
    return err;
}
