// SPDX-License-Identifier: Apache-2.0
#include "node/losses.h"

#include "base/mem.h"
#include "runtime/fiber.h"

/** Losses that wait to be told. More at once are a dying disk, and are found missing at the next start. */
#define LOSSES_MAX 256U

struct pg_losses {
    pg_block_store *blocks;
    pg_files *files;
    pg_place_server *place;
    pg_cid waiting[LOSSES_MAX]; // a ring
    size_t first;
    size_t count;
    pg_waitq heard;
    pg_scope scope;
};

static void on_lost(const pg_cid *cid, void *user)
{
    pg_losses *losses = user;
    pg_files_lost(losses->files, cid);
    if (losses->count < LOSSES_MAX) {
        losses->waiting[(losses->first + losses->count++) % LOSSES_MAX] = *cid;
        (void) pg_waitq_wake_one(&losses->heard);
    }
}

static pg_err losses_run(void *arg)
{
    pg_losses *losses = arg;
    for (;;) {
        while (losses->count == 0) {
            PG_TRY(pg_waitq_wait(&losses->heard, PG_FOREVER));
        }
        pg_cid cid = losses->waiting[losses->first];
        losses->first = (losses->first + 1) % LOSSES_MAX;
        losses->count--;
        pg_place_server_lost(losses->place, &cid);
    }
}

pg_err pg_losses_new(pg_block_store *blocks, pg_files *files, pg_place_server *place,
                     pg_losses **out_losses)
{
    pg_losses *losses = PG_NEW(pg_losses);
    if (losses == NULL) {
        return PG_ERR_NOMEM;
    }
    losses->blocks = blocks;
    losses->files = files;
    losses->place = place;
    pg_waitq_init(&losses->heard);
    pg_scope_init_tolerant(&losses->scope);
    pg_err err = pg_scope_spawn(&losses->scope, "node.losses", losses_run, losses);
    if (err != PG_OK) {
        pg_mfree(losses);
        return err;
    }
    pg_block_store_on_lost(blocks, on_lost, losses);
    *out_losses = losses;
    return PG_OK;
}

void pg_losses_free(pg_losses **losses)
{
    pg_losses *dead = *losses;
    if (dead == NULL) {
        return;
    }
    pg_block_store_on_lost(dead->blocks, NULL, NULL);
    pg_scope_close(&dead->scope);
    pg_mfree(dead);
    *losses = NULL;
}
