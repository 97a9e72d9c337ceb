// SPDX-License-Identifier: Apache-2.0
#include "exchange/place_server.h"

#include "base/log.h"
#include "base/mem.h"
#include "exchange/place_client.h"
#include "exchange/place_server_priv.h"
#include "runtime/time.h"
#include "store/block_header.h"

// ---- What all parts use

uint32_t pg_place_now_s(void)
{
    int64_t now_s = pg_wall_ms() / 1000;
    return now_s < 0 ? 0 : now_s > UINT32_MAX ? UINT32_MAX : (uint32_t) now_s;
}

pg_place_status pg_place_failed(const char *what, pg_err err)
{
    pg_log_limited(PG_LOG_LEVEL_INFO, "place.failed", PG_LOG_STR("what", what),
                   PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
    return PG_PLACE_STATUS_BUSY;
}

// ---- Start: the ledger and the blocks

/** What is found while a server starts. */
typedef struct loading {
    pg_place_server *server;
    pg_buf missing;     // pg_held_name[]: leased, and not in the store
    pg_ledger_row last; // that was read
    bool has_last;
} loading;

static pg_err row_load(loading *load, const pg_ledger_row *row)
{
    pg_held *held = &load->server->held;
    pg_uploader *uploader = NULL;
    pg_cid cid = pg_held_name_cid(&row->block.name);
    uint32_t number = pg_held_find(held, &row->block.name);
    uint32_t len = 0;
    PG_TRY(pg_uploader_get(held, &row->uploader, &uploader));
    if (!load->has_last || load->last.lease != row->lease) {
        uploader->leases++;
    }
    if (!pg_block_store_has(load->server->config.blocks, &cid, &len)) {
        return pg_buf_append(&load->missing, PG_BYTES_OF(row->block.name.bytes));
    }
    if (number == PG_HELD_NONE) {
        PG_TRY(pg_held_add(held, &row->block.name, len, uploader, &number));
        pg_held_at(held, number)->is_present = true;
    }
    pg_held_lease(held, number);
    return PG_OK;
}

static pg_err rows_load(loading *load)
{
    pg_buf page = {0};
    pg_err err = PG_OK;
    do {
        pg_buf_clear(&page);
        err = pg_ledger_rows(load->server->config.db, load->has_last ? &load->last : NULL, &page);
        pg_bytes rest = pg_buf_bytes(&page);
        for (; err == PG_OK && rest.len > 0;
             rest = pg_bytes_slice(rest, sizeof(pg_ledger_row), rest.len)) {
            pg_ledger_row row;
            memcpy(&row, rest.ptr, sizeof(row));
            err = row_load(load, &row);
            load->last = row;
            load->has_last = true;
        }
    } while (err == PG_OK && page.len > 0);
    pg_buf_deinit(&page);
    return err;
}

static pg_err stray_add(pg_place_server *server, const pg_held_name *name, uint32_t len,
                        uint32_t used_s, bool is_saved)
{
    uint32_t number = PG_HELD_NONE;
    PG_TRY(pg_held_add(&server->held, name, len, NULL, &number));
    pg_held_block *block = pg_held_at(&server->held, number);
    block->is_present = true;
    block->used_s = used_s;
    block->is_saved = is_saved;
    block->is_changed = !is_saved;
    return PG_OK;
}

static pg_err stray_load(pg_place_server *server, const pg_ledger_stray *stray)
{
    pg_cid cid = pg_held_name_cid(&stray->name);
    uint32_t len = 0;
    bool is_stray = pg_held_find(&server->held, &stray->name) == PG_HELD_NONE &&
                    pg_block_store_has(server->config.blocks, &cid, &len);
    return is_stray ? stray_add(server, &stray->name, len, stray->used_s, true)
                    : pg_buf_append(&server->held.gone, PG_BYTES_OF(stray->name.bytes));
}

static pg_err strays_load(pg_place_server *server)
{
    pg_buf page = {0};
    pg_ledger_stray last = {0};
    bool has_last = false;
    pg_err err = PG_OK;
    do {
        pg_buf_clear(&page);
        err = pg_ledger_strays(server->config.db, has_last ? &last.name : NULL, &page);
        pg_bytes rest = pg_buf_bytes(&page);
        for (; err == PG_OK && rest.len > 0;
             rest = pg_bytes_slice(rest, sizeof(pg_ledger_stray), rest.len)) {
            memcpy(&last, rest.ptr, sizeof(last));
            has_last = true;
            err = stray_load(server, &last);
        }
    } while (err == PG_OK && page.len > 0);
    pg_buf_deinit(&page);
    return err;
}

static pg_err on_block(const pg_cid *cid, uint32_t len, void *user)
{
    pg_place_server *server = user;
    pg_held_name name = pg_held_name_of(cid);
    if (pg_held_find(&server->held, &name) != PG_HELD_NONE ||
        server->config.is_needed(cid, server->config.user)) {
        return PG_OK;
    }
    return stray_add(server, &name, len, pg_place_now_s(), false);
}

static pg_err missing_lose(loading *load)
{
    pg_bytes rest = pg_buf_bytes(&load->missing);
    for (; rest.len > 0; rest = pg_bytes_slice(rest, sizeof(pg_held_name), rest.len)) {
        pg_held_name name;
        memcpy(name.bytes, rest.ptr, sizeof(name.bytes));
        PG_TRY(pg_place_lose(load->server, &name));
    }
    if (load->missing.len > 0) {
        pg_log(PG_LOG_LEVEL_WARN, "place.lost",
               PG_LOG_U64("rows", load->missing.len / sizeof(pg_held_name)));
    }
    return PG_OK;
}

static pg_err ledger_load(pg_place_server *server)
{
    loading load = {.server = server};
    pg_ledger_notes notes = {0};
    PG_TRY(pg_ledger_notes_read(server->config.db, &notes));
    server->leases = notes.leases;
    server->tombs = notes.tombs;
    server->has_bare_lease = notes.bare_leases > 0;
    pg_place_clock_begin(&server->clock, notes.seen_s, notes.quiet_s, pg_place_now_s(),
                         pg_now_with_suspend());
    pg_err err = rows_load(&load);
    if (err == PG_OK) {
        err = strays_load(server);
    }
    if (err == PG_OK) {
        err = pg_block_store_walk(server->config.blocks, on_block, server);
    }
    if (err == PG_OK) {
        server->has_bare_lease = server->has_bare_lease || load.missing.len > 0;
        err = missing_lose(&load);
    }
    pg_buf_deinit(&load.missing);
    return err;
}

static pg_err server_start(pg_place_server *server)
{
    const pg_net_protocol protocol = {PG_PLACE_ID, pg_place_handle, server, PG_PLACE_STREAMS_MAX};
    PG_TRY(ledger_load(server));
    PG_TRY(pg_place_sweeper_start(server));
    PG_TRY(pg_place_catch_up_start(server));
    pg_err err = server->config.is_unlisted ? pg_host_serve_unlisted(server->config.host, &protocol)
                                            : pg_host_serve(server->config.host, &protocol);
    if (err != PG_OK) {
        pg_scope_close(&server->scope);
    }
    return err;
}

pg_err pg_place_server_new(const pg_place_server_config *config, pg_place_server **out_server)
{
    pg_place_server *server = PG_NEW(pg_place_server);
    if (server == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for the placement server");
    }
    server->config = *config;
    pg_held_init(&server->held);
    pg_list_init(&server->streams);
    pg_waitq *const waitqs[] = {&server->turn, &server->changed, &server->ledger_free,
                                &server->swept, &server->kicked};
    for (size_t i = 0; i < PG_ARRAY_LEN(waitqs); i++) {
        pg_waitq_init(waitqs[i]);
    }
    pg_err err = server_start(server);
    if (err != PG_OK) {
        pg_held_deinit(&server->held);
        pg_mfree(server);
        return pg_error_wrap(err, "placement");
    }
    *out_server = server;
    return PG_OK;
}

// ---- While it runs

void pg_place_server_set_rules(pg_place_server *server, const pg_place_rules *rules)
{
    server->config.rules = *rules;
}

void pg_place_server_refuse(pg_place_server *server)
{
    server->config.rules.accept = PG_PLACE_ACCEPT_NOBODY;
}

bool pg_place_server_holds(const pg_place_server *server, const pg_cid *cid)
{
    if (!pg_block_cid_is_kept(cid)) {
        return false;
    }
    pg_held_name name = pg_held_name_of(cid);
    uint32_t number = pg_held_find(&server->held, &name);
    if (number == PG_HELD_NONE) {
        return false;
    }
    const pg_held_block *block = pg_held_at(&server->held, number);
    return block->leases > 0 || block->pins > 0 || !block->is_doomed;
}

void pg_place_server_lost(pg_place_server *server, const pg_cid *cid)
{
    if (!pg_block_cid_is_kept(cid)) {
        return;
    }
    pg_held_name name = pg_held_name_of(cid);
    uint32_t number = pg_held_find(&server->held, &name);
    if (number == PG_HELD_NONE || pg_block_store_has(server->config.blocks, cid, NULL)) {
        return; // nothing to do with us, or pushed anew meanwhile
    }
    pg_held_at(&server->held, number)->is_present = false;
    if (pg_held_at(&server->held, number)->leases == 0) {
        pg_held_settle(&server->held, number);
        return;
    }
    server->has_bare_lease = true; // it may have been a descriptor
    pg_err err = pg_place_lose(server, &name);
    if (err != PG_OK) {
        (void) pg_place_failed("lost", err); // the next start finds it missing
    }
}

pg_place_lease pg_place_lease_of(const pg_ledger_listed *listed)
{
    pg_place_lease lease = {
        .id = listed->lease.id,
        .descriptor = listed->descriptor,
        .root = listed->lease.root,
        .is_whole = listed->lease.is_whole,
        .uploader = listed->lease.uploader,
        .slots = listed->lease.slots,
        .bytes = listed->bytes,
        .sequence = listed->lease.grant_sequence,
        .expiry_s = listed->lease.expiry_s,
    };
    memcpy(lease.lease_key, listed->lease_key, sizeof(lease.lease_key));
    return lease;
}

pg_err pg_place_server_leases(pg_place_server *server,
                              void (*each)(const pg_place_lease *lease, void *user), void *user)
{
    pg_buf page = {0};
    int64_t after = 0;
    pg_err err = PG_OK;
    do {
        pg_buf_clear(&page);
        err = pg_ledger_list(server->config.db, after, &page);
        pg_bytes rest = pg_buf_bytes(&page);
        for (; err == PG_OK && rest.len > 0;
             rest = pg_bytes_slice(rest, sizeof(pg_ledger_listed), rest.len)) {
            pg_ledger_listed listed;
            memcpy(&listed, rest.ptr, sizeof(listed));
            after = listed.lease.id;
            const pg_place_lease lease = pg_place_lease_of(&listed);
            each(&lease, user);
        }
    } while (err == PG_OK && page.len > 0);
    pg_buf_deinit(&page);
    return err;
}

size_t pg_place_server_uploaders(const pg_place_server *server, pg_peer_id *out_peers, size_t max)
{
    pg_map_cursor cursor = {.begun = false};
    size_t count = 0;
    while (count < max && pg_map_next(&server->held.uploaders, &cursor)) {
        const pg_uploader *uploader = cursor.value;
        if (uploader->leases > 0) {
            out_peers[count++] = uploader->peer;
        }
    }
    return count;
}

bool pg_place_server_is_uploader(const pg_place_server *server, const pg_peer_id *peer)
{
    const pg_uploader *uploader = pg_map_get(&server->held.uploaders, pg_peer_id_bytes(peer));
    return uploader != NULL && uploader->leases > 0;
}

pg_place_stats pg_place_server_get_stats(const pg_place_server *server)
{
    pg_place_stats stats = server->totals;
    stats.leases = server->leases;
    stats.lease_bytes = server->held.lease_bytes;
    stats.session_bytes = server->held.stray_bytes;
    stats.quota_bytes = server->config.rules.quota_bytes;
    stats.quiet_s = (uint64_t) pg_place_clock_quiet_s(&server->clock, pg_now_with_suspend());
    return stats;
}

unsigned pg_place_server_fill(const pg_place_server *server)
{
    uint64_t quota = server->config.rules.quota_bytes;
    uint64_t used = server->held.lease_bytes + server->held.stray_bytes;
    return used >= quota ? PG_PLACE_FILL_MAX
                         : (unsigned) ((double) used / (double) quota * PG_PLACE_FILL_MAX);
}

// ---- The end

static void streams_end(pg_place_server *server)
{
    pg_waitq *const waitqs[] = {&server->turn, &server->changed};
    for (pg_list *node = server->streams.next; node != &server->streams; node = node->next) {
        pg_waitq_wake_all(&PG_LIST_OBJECT(node, pg_place_stream, node)->room);
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(waitqs); i++) {
        pg_waitq_wake_all(waitqs[i]);
    }
    pg_place_claims_end(&server->claims);
    pg_host_withdraw(server->config.host, PG_PLACE_ID);
}

void pg_place_server_free(pg_place_server **server)
{
    pg_place_server *own = *server;
    if (own == NULL) {
        return;
    }
    *server = NULL;
    pg_fiber_shield(true);
    own->is_closing = true;
    streams_end(own);
    pg_scope_close(&own->scope);
    pg_err err = pg_place_save(own);
    if (err != PG_OK) {
        (void) pg_place_failed("save", err); // strays then count as used at the next start
    }
    pg_fiber_shield(false);
    pg_place_spares_free(own);
    pg_held_deinit(&own->held);
    pg_mfree(own);
}
