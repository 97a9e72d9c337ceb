// SPDX-License-Identifier: Apache-2.0
// Group commit: one fiber syncs for all. It begins when no put is writing any more, or PG_COMMIT_WAIT_MS after the first one
// has written; what is written during a sync waits for the next. After a failed sync nobody knows what is on the disk, so the
// store takes nothing more until it is opened anew, which looks.
#include "runtime/time.h"
#include "store/blocks_priv.h"

#define PACK_OF(node) PG_LIST_OBJECT(node, pg_pack, dirty_node)

void pg_commit_note(pg_block_store *store, pg_pack *pack)
{
    if (!pg_list_is_linked(&pack->dirty_node)) {
        pack->users++; // until it is synced
        pg_list_append(&store->dirty, &pack->dirty_node);
    }
}

void pg_commit_fail(pg_block_store *store)
{
    store->has_failed = true;
    pg_waitq_wake_all(&store->committed);
    pg_waitq_wake_all(&store->changed);
}

pg_err pg_commit_wait(pg_block_store *store)
{
    uint64_t target = store->sync_started + 1;
    pg_err err = PG_OK;
    store->sync_wanted = target;
    pg_waitq_wake_all(&store->work);
    while (err == PG_OK && !store->has_failed && store->sync_done < target) {
        err = pg_waitq_wait(&store->committed, PG_FOREVER);
    }
    if (err == PG_OK && store->sync_done < target) {
        err = pg_fail(PG_ERR_IO, "the disk failed to make blocks durable; the block store does not "
                                 "change until the node is restarted");
    }
    return err;
}

static pg_err gather(pg_block_store *store)
{
    pg_time deadline = pg_after(PG_MS(PG_COMMIT_WAIT_MS));
    while (store->writers > 0) {
        pg_err err = pg_waitq_wait(&store->work, deadline);
        if (err != PG_OK) {
            return err == PG_ERR_TIMEOUT ? PG_OK : err;
        }
    }
    return PG_OK;
}

static void sync_dirty(pg_block_store *store)
{
    pg_list batch;
    pg_list_init(&batch);
    uint64_t number = ++store->sync_started;
    for (pg_list *node = pg_list_pop(&store->dirty); node != NULL;
         node = pg_list_pop(&store->dirty)) {
        pg_list_append(&batch, node);
    }
    pg_err err = store->has_failed ? PG_ERR_IO : PG_OK;
    for (pg_list *node = pg_list_pop(&batch); node != NULL; node = pg_list_pop(&batch)) {
        pg_pack *pack = PACK_OF(node);
        if (err == PG_OK) {
            err = pg_file_sync(pack->file);
        }
        pg_packs_release(&store->packs, pack);
    }
    if (err != PG_OK) {
        pg_commit_fail(store);
        return;
    }
    store->sync_done = number;
    pg_waitq_wake_all(&store->committed);
}

static pg_err commit_run(void *arg)
{
    pg_block_store *store = arg;
    pg_err err = PG_OK;
    while (err == PG_OK) {
        if (!pg_list_is_empty(&store->dirty) || store->sync_wanted > store->sync_started) {
            err = gather(store);
            sync_dirty(store);
        } else if (store->is_closing) {
            break;
        } else {
            err = pg_waitq_wait(&store->work, PG_FOREVER);
        }
    }
    return PG_OK;
}

pg_err pg_commit_start(pg_block_store *store)
{
    pg_scope_init_tolerant(&store->scope);
    return pg_scope_spawn(&store->scope, "store.commit", commit_run, store);
}

void pg_commit_stop(pg_block_store *store)
{
    store->is_closing = true;
    pg_waitq_wake_all(&store->work);
    pg_ignore(pg_scope_join(&store->scope), "a tolerant scope");
}
