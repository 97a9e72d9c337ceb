// SPDX-License-Identifier: Apache-2.0
// Identify as the host does it: the question on every new connection, the answer, and the push of changes.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "crypto/peer_record.h"
#include "crypto/public_key.h"
#include "net/host_priv.h"
#include "net/identify.h"

// ---- what we say ----

// Our signed peer record, made anew after a change. Its sequence is the clock, or one more than the last.
static pg_err record_refresh(pg_host *host, const pg_bytes *addrs, size_t count)
{
    if (host->record.len > 0) {
        return PG_OK;
    }
    uint64_t clock = (uint64_t) pg_wall_ms();
    pg_peer_record record = {.addrs = addrs, .addr_count = count};
    record.seq = clock > host->record_seq ? clock : host->record_seq + 1;
    PG_TRY(pg_peer_record_encode(host->config.identity, &record, &host->record));
    host->record_seq = record.seq;
    return PG_OK;
}

// Write what we are to `out`; `observed` is the asker's address as we see it.
static pg_err self_describe(pg_host *host, pg_bytes observed, pg_buf *out)
{
    pg_multiaddr *addrs = pg_calloc(PG_NET_ADVERTISED_MAX, sizeof(*addrs));
    if (addrs == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_bytes addr_views[PG_NET_ADVERTISED_MAX];
    pg_bytes protocols[PG_NET_PROTOCOLS_MAX];
    uint8_t key[PG_ED25519_ENCODED_BYTES];
    pg_public_key_encode_ed25519(host->config.identity->public_key, key);
    pg_identify_msg msg = {
        .public_key = PG_BYTES_OF(key),
        .listen_addrs = addr_views,
        .listen_addr_count = pg_host_addrs(host, addrs),
        .protocols = protocols,
        .observed_addr = observed,
        .protocol_version = PG_BYTES_LIT(PG_IDENTIFY_PROTOCOL_VERSION),
        .agent_version = pg_bytes_cstr(host->config.agent),
    };
    for (size_t i = 0; i < msg.listen_addr_count; i++) {
        addr_views[i] = pg_multiaddr_bytes(&addrs[i]);
    }
    for (size_t i = 0; i < PG_NET_PROTOCOLS_MAX; i++) {
        if (host->protocols[i].id != NULL && !host->is_unlisted[i]) {
            protocols[msg.protocol_count] = pg_bytes_cstr(host->protocols[i].id);
            msg.protocol_count++;
        }
    }
    pg_err err = record_refresh(host, addr_views, msg.listen_addr_count);
    if (err == PG_OK) {
        msg.signed_peer_record = pg_buf_bytes(&host->record);
        err = pg_identify_msg_append(out, &msg);
    }
    while (err == PG_ERR_LIMIT && msg.listen_addr_count > 0) {
        msg.listen_addr_count--; // the record has them too
        err = pg_identify_msg_append(out, &msg);
    }
    pg_mfree(addrs);
    return err;
}

static pg_err self_send(pg_host *host, pg_stream *stream, pg_bytes observed)
{
    pg_buf message = {.max_len = 2 * PG_NET_IDENTIFY_SEND_BYTES_MAX};
    pg_time deadline = pg_after(PG_MS(PG_NET_IDENTIFY_TIMEOUT_MS));
    pg_err err = self_describe(host, observed, &message);
    if (err == PG_OK) {
        err = pg_stream_write(stream, pg_buf_bytes(&message), deadline);
    }
    if (err == PG_OK) {
        err = pg_stream_close_write(stream, deadline);
    }
    pg_buf_deinit(&message);
    return err;
}

// ---- the protocols ----

static pg_err identify_handle(pg_net_stream_ctx *ctx)
{
    return self_send(ctx->host, ctx->stream, ctx->remote_addr);
}

// Take in a message of the peer of a connection.
static pg_err exchange_read(pg_host_entry *entry, pg_stream *stream, bool is_push)
{
    pg_arena arena = pg_arena_make(PG_NET_IDENTIFY_MEMORY_BYTES_MAX);
    pg_identify_msg msg;
    pg_time deadline = pg_after(PG_MS(PG_NET_IDENTIFY_TIMEOUT_MS));
    pg_err err = pg_identify_read(stream, deadline, &arena, &msg);
    if (err == PG_OK) {
        err = pg_identify_apply(entry->book, &msg, is_push, pg_now());
    }
    pg_multiaddr observed;
    pg_multihash ours;
    if (err == PG_OK && msg.observed_addr.len > 0 &&
        pg_multiaddr_decode(msg.observed_addr, &observed) == PG_OK) {
        (void) pg_multiaddr_cut_peer(&observed, &ours);
        entry->observed = observed;
    }
    pg_arena_deinit(&arena);
    return err;
}

static pg_err push_handle(pg_net_stream_ctx *ctx)
{
    pg_host_entry *entry = pg_host_entry_get(ctx->host, ctx->conn);
    if (entry == NULL) {
        return PG_ERR_CLOSED;
    }
    PG_TRY(exchange_read(entry, ctx->stream, true));
    pg_host_emit(ctx->host, PG_HOST_EVENT_IDENTIFIED, entry);
    return PG_OK;
}

pg_err pg_identify_serve(pg_host *host)
{
    const pg_net_protocol identify = {PG_IDENTIFY_ID, identify_handle, NULL, 4};
    const pg_net_protocol push = {PG_IDENTIFY_PUSH_ID, push_handle, NULL, 4};
    PG_TRY(pg_host_serve(host, &identify));
    return pg_host_serve(host, &push);
}

pg_err pg_identify_ask(void *arg)
{
    static const char *const ids[] = {PG_IDENTIFY_ID, NULL};
    pg_host_entry *entry = arg;
    pg_host *host = entry->host;
    pg_stream *stream = NULL;
    pg_time deadline = pg_after(PG_MS(PG_NET_IDENTIFY_TIMEOUT_MS));
    pg_err err = pg_host_open_stream_on(host, entry->id, ids, deadline, &stream, NULL);
    if (err == PG_OK) {
        pg_ignore(pg_stream_close_write(stream, deadline), "the read tells");
        err = exchange_read(entry, stream, false);
    }
    pg_stream_free(&stream);
    if (entry->is_ending) {
        return PG_ERR_CLOSED;
    }
    if (err == PG_OK || err == PG_ERR_UNSUPPORTED) { // an answer, in either case
        pg_host_entry_prove(entry);
    }
    if (err == PG_OK) {
        entry->identify_state = PG_IDENTIFY_STATE_KNOWN;
        pg_host_emit(host, PG_HOST_EVENT_IDENTIFIED, entry);
    } else {
        const char *detail = pg_error_detail(err);
        size_t len = pg_min_size(strlen(detail), sizeof(entry->identify_detail) - 1);
        entry->identify_state = PG_IDENTIFY_STATE_FAILED;
        entry->identify_err = err;
        memcpy(entry->identify_detail, detail, len);
        pg_log(PG_LOG_LEVEL_DEBUG, "net.identify.failed", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_STR("detail", detail));
    }
    pg_waitq_wake_all(&entry->identified);
    return err;
}

// ---- telling of changes ----

typedef struct push_job {
    pg_host *host;
    pg_id conn;
} push_job;

static pg_err push_one(void *arg)
{
    static const char *const ids[] = {PG_IDENTIFY_PUSH_ID, NULL};
    push_job job = *(push_job *) arg;
    pg_mfree(arg);
    pg_stream *stream = NULL;
    pg_time deadline = pg_after(PG_MS(PG_NET_IDENTIFY_TIMEOUT_MS));
    PG_TRY(pg_host_open_stream_on(job.host, job.conn, ids, deadline, &stream, NULL));
    pg_host_conn conn;
    pg_err err = pg_host_conn_get(job.host, job.conn, &conn);
    if (err == PG_OK) {
        err = self_send(job.host, stream, conn.info.remote_addr);
    }
    if (err == PG_OK) {
        uint8_t end = 0;
        size_t len = 0; // freed before the peer has read it, the stream would be reset
        err = pg_stream_read(stream, pg_mut_bytes_make(&end, 1), deadline, &len);
    }
    pg_stream_free(&stream);
    return err;
}

static void push_all(pg_host *host, pg_scope *scope)
{
    for (pg_list *node = host->conns.next; node != &host->conns; node = node->next) {
        pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        if (entry->is_ending || !pg_book_peer_has_protocol(entry->book, PG_IDENTIFY_PUSH_ID)) {
            continue;
        }
        push_job *job = PG_NEW(push_job);
        if (job == NULL) {
            return; // they will learn with the next change
        }
        *job = (push_job){host, entry->id};
        if (pg_scope_spawn(scope, "net.push_one", push_one, job) != PG_OK) {
            pg_mfree(job);
        }
    }
}

pg_err pg_identify_push_run(void *arg)
{
    pg_host *host = arg;
    pg_err err = PG_OK;
    while (err == PG_OK) {
        if (!host->is_changed) {
            err = pg_waitq_wait(&host->changed, PG_FOREVER);
            continue;
        }
        err = pg_sleep_until(pg_after(PG_MS(PG_NET_PUSH_DELAY_MS)));
        if (err == PG_OK) {
            pg_scope scope;
            host->is_changed = false;
            pg_scope_init_tolerant(&scope);
            push_all(host, &scope);
            err = pg_scope_join(&scope);
        }
    }
    return err;
}
