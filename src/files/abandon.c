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
    const telling *self = arg;
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

static pg_err abandon_run(void *arg)
{
    abandonment *what = arg;
    telling tellings[PG_PLACE_SLOTS_MAX];
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    for (size_t i = 0; i < what->hosts.holder_count; i++) {
        tellings[i] = (telling){what, &what->hosts.holders[i]};
        pg_ignore(pg_scope_spawn(&scope, "files.abandon", telling_run, &tellings[i]),
                  "it goes with the time");
    }
    pg_err err = pg_scope_join(&scope);
    abandonment_free(&what);
    return err;
}

static pg_err abandon_begin(pg_files *files, const pg_unfinished *put, abandonment *what)
{
    what->files = files;
    PG_TRY(pg_descriptor_decode(pg_buf_bytes(&put->open), &what->so_far));
    PG_TRY(pg_unfinished_hosts_read(pg_buf_bytes(&put->hosts), &what->hosts));
    PG_TRY(pg_files_lease_key(files->config.owner, what->so_far.extent_id, &what->lease));
    return pg_scope_spawn(&files->scope, "files.abandon", abandon_run, what);
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
    pg_err err = abandon_begin(files, put, what);
    if (err != PG_OK) {
        pg_log(PG_LOG_LEVEL_DEBUG, "files.abandon.failed", PG_LOG_STR("error", pg_err_name(err)));
        abandonment_free(&what);
    }
}
