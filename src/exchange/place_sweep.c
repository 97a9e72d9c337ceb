// SPDX-License-Identifier: Apache-2.0
// What is given back: blocks whose last lease was dropped, soon and whatever the clock says, since their owner wished it; leases and strays
// that are over their time, when the clock can be trusted.
#include "base/log.h"
#include "base/mem.h"
#include "exchange/place_server_priv.h"
#include "runtime/time.h"

#define STRAYS_PER_WRITE 1024U

/** A pass over the table, shared by the fibers that delete. */
typedef struct deletion {
    pg_place_server *server;
    uint32_t next;
    uint64_t freed_bytes;
} deletion;

// ---- Deleting

static bool is_to_go(const pg_held_block *block)
{
    return block->is_used && block->is_doomed && block->is_present && !block->is_deleting &&
           block->leases == 0 && block->pins == 0;
}

static uint32_t next_doomed(deletion *pass)
{
    const pg_held *held = &pass->server->held;
    while (pass->next < held->end) {
        uint32_t number = pass->next++;
        if (is_to_go(&held->blocks[number])) {
            return number;
        }
    }
    return PG_HELD_NONE;
}

static pg_err block_delete(deletion *pass, uint32_t number)
{
    pg_place_server *server = pass->server;
    pg_held_block *block = pg_held_at(&server->held, number);
    pg_cid cid = pg_held_name_cid(&block->name);
    uint64_t space = pg_held_space(block->len);
    block->is_deleting = true;
    block->pins++;
    // Who needs it for another reason keeps it, and answers for it alone.
    bool is_needed = server->config.is_needed(&cid, server->config.user);
    pg_err err = is_needed ? PG_ERR_NOT_FOUND : pg_block_store_delete(server->config.blocks, &cid);
    block = pg_held_at(&server->held, number);
    block->is_deleting = false;
    block->is_present = err != PG_OK && err != PG_ERR_NOT_FOUND;
    pass->freed_bytes += err == PG_OK ? space : 0;
    pg_held_unpin(&server->held, number);
    pg_waitq_wake_all(&server->changed);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

static pg_err delete_run(void *arg)
{
    deletion *pass = arg;
    for (uint32_t number = next_doomed(pass); number != PG_HELD_NONE; number = next_doomed(pass)) {
        PG_TRY(block_delete(pass, number));
    }
    return PG_OK;
}

// Several at once, so that one sync of the block store serves them.
static pg_err doomed_delete(pg_place_server *server, uint64_t *out_bytes)
{
    deletion pass = {.server = server};
    pg_scope scope;
    pg_scope_init(&scope);
    pg_err err = PG_OK;
    for (uint32_t i = 0; i < PG_PLACE_DELETES_MAX && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "place.delete", delete_run, &pass);
    }
    pg_err joined = pg_scope_join(&scope);
    *out_bytes += pass.freed_bytes;
    return joined == PG_OK ? err : joined;
}

// ---- Over their time

static pg_err leases_expire(pg_place_server *server, uint64_t now_s)
{
    uint64_t before_s = now_s > PG_PLACE_GRACE_S ? now_s - PG_PLACE_GRACE_S : 0;
    uint32_t count = 1;
    while (count > 0) {
        pg_ledger_change change = {0};
        PG_TRY(pg_place_ledger_lock(server));
        pg_err err =
            pg_ledger_expire(server->config.db, before_s, now_s, server->tombs, &change, &count);
        if (err == PG_OK) {
            pg_place_apply(server, &change, false);
            server->totals.expired_total += count;
        }
        pg_ledger_change_deinit(&change);
        pg_place_ledger_unlock(server);
        PG_TRY(err);
    }
    return PG_OK;
}

static void strays_expire(pg_place_server *server, uint32_t now_s)
{
    pg_held *held = &server->held;
    for (uint32_t i = 0; i < held->end; i++) {
        pg_held_block *block = &held->blocks[i];
        if (!block->is_used || block->leases > 0 || !block->is_present) {
            continue;
        }
        if (block->used_s > now_s) { // the clock went back, and has been trusted again
            block->used_s = now_s;
            block->is_changed = true;
        }
        block->is_doomed = block->is_doomed || now_s - block->used_s > PG_PLACE_SESSION_S;
    }
}

static pg_err drops_forget(pg_place_server *server, uint64_t now_s)
{
    uint64_t count = 0;
    PG_TRY(pg_place_ledger_lock(server));
    pg_err err = pg_ledger_forget(server->config.db, now_s, &count);
    if (err == PG_OK) {
        server->tombs -= count;
    }
    pg_place_ledger_unlock(server);
    return err;
}

static pg_err overdue_expire(pg_place_server *server)
{
    uint32_t now_s = pg_place_now_s();
    if (!pg_place_clock_look(&server->clock, now_s, pg_now_with_suspend())) {
        return PG_OK;
    }
    PG_TRY(leases_expire(server, now_s));
    strays_expire(server, now_s);
    return drops_forget(server, now_s);
}

// ---- What is remembered

static size_t strays_gather(pg_place_server *server, uint32_t *next, pg_ledger_stray *out)
{
    pg_held *held = &server->held;
    size_t count = 0;
    while (count < STRAYS_PER_WRITE && held->gone.len > 0) {
        held->gone.len -= sizeof(pg_held_name);
        out[count] = (pg_ledger_stray){.is_gone = true};
        memcpy(out[count].name.bytes, held->gone.ptr + held->gone.len, sizeof(pg_held_name));
        count++;
    }
    while (count < STRAYS_PER_WRITE && *next < held->end) {
        pg_held_block *block = &held->blocks[(*next)++];
        if (!block->is_used || !block->is_changed || !block->is_present) {
            continue;
        }
        bool is_stray = block->leases == 0;
        out[count++] = (pg_ledger_stray){block->name, block->used_s, !is_stray};
        block->is_changed = false;
        block->is_saved = is_stray;
    }
    return count;
}

static pg_err strays_save(pg_place_server *server)
{
    pg_ledger_stray *strays = pg_calloc(STRAYS_PER_WRITE, sizeof(*strays));
    uint32_t next = 0;
    pg_err err = strays == NULL ? PG_ERR_NOMEM : PG_OK;
    while (err == PG_OK) {
        size_t count = strays_gather(server, &next, strays);
        if (count == 0) {
            break;
        }
        err = pg_ledger_strays_write(server->config.db, strays, count);
    }
    pg_mfree(strays);
    return err;
}

pg_err pg_place_save(pg_place_server *server)
{
    pg_time now = pg_now_with_suspend();
    (void) pg_place_clock_look(&server->clock, pg_place_now_s(), now);
    PG_TRY(strays_save(server));
    return pg_ledger_clock_write(server->config.db, pg_place_now_s(),
                                 pg_place_clock_quiet_s(&server->clock, now));
}

// ---- One after the other

static pg_err sweep_begin(pg_place_server *server)
{
    while (server->is_sweeping) {
        PG_TRY(pg_waitq_wait(&server->swept, PG_FOREVER));
    }
    server->is_sweeping = true;
    return PG_OK;
}

static void sweep_end(pg_place_server *server)
{
    server->is_sweeping = false;
    pg_waitq_wake_one(&server->swept);
}

pg_err pg_place_server_sweep(pg_place_server *server, uint64_t *out_bytes)
{
    uint64_t freed_bytes = 0;
    PG_TRY(sweep_begin(server));
    pg_err err = overdue_expire(server);
    if (err == PG_OK) {
        err = doomed_delete(server, &freed_bytes);
    }
    if (err == PG_OK) {
        err = pg_place_save(server);
    }
    sweep_end(server);
    *out_bytes = freed_bytes;
    return err;
}

pg_err pg_place_doomed_delete(pg_place_server *server, uint64_t *out_bytes)
{
    PG_TRY(sweep_begin(server));
    pg_err err = doomed_delete(server, out_bytes);
    sweep_end(server);
    return err;
}

void pg_place_kick(pg_place_server *server)
{
    server->is_kicked = true;
    pg_waitq_wake_all(&server->kicked);
}

static pg_err sweeper_run(void *arg)
{
    pg_place_server *server = arg;
    pg_time due = pg_after(PG_MS(PG_PLACE_SWEEP_MS));
    for (;;) {
        uint64_t freed_bytes = 0;
        pg_err err = server->is_kicked ? PG_OK : pg_waitq_wait(&server->kicked, due);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        bool is_due = pg_now() >= due;
        server->is_kicked = false;
        err = is_due ? pg_place_server_sweep(server, &freed_bytes)
                     : pg_place_doomed_delete(server, &freed_bytes);
        due = is_due ? pg_after(PG_MS(PG_PLACE_SWEEP_MS)) : due;
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err != PG_OK) {
            (void) pg_place_failed("sweep", err);
        } else if (freed_bytes > 0) {
            pg_log(PG_LOG_LEVEL_INFO, "place.swept", PG_LOG_U64("bytes", freed_bytes));
        }
    }
}

pg_err pg_place_sweeper_start(pg_place_server *server)
{
    pg_scope_init_tolerant(&server->scope);
    return pg_scope_spawn(&server->scope, "place.sweeper", sweeper_run, server);
}
