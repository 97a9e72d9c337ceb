// SPDX-License-Identifier: Apache-2.0
#include "net/yamux.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/limits.h"
#include "net/yamux_priv.h"

static void yamux_set_state(pg_yamux *yamux, pg_yamux_state state)
{
    pg_assert(state > yamux->state);
    yamux->state = state;
    pg_log(PG_LOG_LEVEL_TRACE, "net.yamux.session", PG_LOG_U64("state", state));
}

static void yamux_wake_streams(pg_yamux *yamux)
{
    for (pg_list *node = yamux->all.next; node != &yamux->all; node = node->next) {
        pg_waitq_wake_all(&PG_LIST_OBJECT(node, pg_yamux_stream, node)->writers);
    }
}

void pg_yamux_note_end(pg_yamux *yamux, pg_err err, const char *detail)
{
    if (yamux->end_err != PG_OK || yamux->state == PG_YAMUX_STATE_ENDED) {
        return;
    }
    yamux->end_err = err;
    size_t len = strnlen(detail, sizeof(yamux->end_detail) - 1);
    memcpy(yamux->end_detail, detail, len);
    yamux->end_detail[len] = '\0';
}

void pg_yamux_drain(pg_yamux *yamux)
{
    yamux_set_state(yamux, PG_YAMUX_STATE_DRAINING);
    yamux_wake_streams(yamux);
}

void pg_yamux_break(pg_yamux *yamux, pg_err err)
{
    if (yamux->state >= PG_YAMUX_STATE_BROKEN) {
        return;
    }
    pg_yamux_note_end(yamux, err, pg_error_detail(err));
    yamux_set_state(yamux, PG_YAMUX_STATE_BROKEN);
    yamux_wake_streams(yamux);
    pg_stream_reset(yamux->carrier);
}

void pg_yamux_end(pg_yamux *yamux)
{
    yamux_set_state(yamux, PG_YAMUX_STATE_ENDED);
    pg_list *next = NULL;
    for (pg_list *node = yamux->all.next; node != &yamux->all; node = next) {
        next = node->next;
        pg_yamux_stream_on_end(PG_LIST_OBJECT(node, pg_yamux_stream, node));
    }
    pg_waitq_wake_all(&yamux->acceptors);
    pg_waitq_wake_all(&yamux->openers);
    pg_waitq_wake_all(&yamux->flushed);
    pg_waitq_wake_all(&yamux->ended);
}

pg_err pg_yamux_fail_ended(const pg_yamux *yamux)
{
    if (yamux->end_err == PG_OK) {
        return pg_fail(PG_ERR_CLOSED, "the connection was closed");
    }
    return pg_fail(yamux->end_err, "%s", yamux->end_detail);
}

pg_err pg_yamux_new(pg_stream **carrier, bool is_client, const pg_conn_limits *limits,
                    pg_yamux **out_yamux)
{
    pg_assert(limits->window_max_bytes >= PG_NET_WINDOW_BYTES_MIN);
    pg_yamux *yamux = PG_NEW(pg_yamux);
    if (yamux == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a yamux session");
    }
    yamux->carrier = *carrier;
    yamux->is_client = is_client;
    yamux->next_id = is_client ? 1 : 2;
    yamux->limits = *limits;
    yamux->budget = pg_budget_make(limits, PG_NET_CONN_MEMORY_BYTES_FREE);
    yamux->in.max_len = PG_YAMUX_BUFFER_BYTES_MAX;
    yamux->out.max_len = PG_YAMUX_BUFFER_BYTES_MAX;
    yamux->control.max_len = PG_YAMUX_CONTROL_BYTES_MAX;
    pg_scope_init_tolerant(&yamux->scope);
    pg_list_init(&yamux->all);
    pg_list_init(&yamux->accept_queue);
    pg_list_init(&yamux->flag_queue);
    pg_list_init(&yamux->data_queue);
    pg_waitq_init(&yamux->acceptors);
    pg_waitq_init(&yamux->openers);
    pg_waitq_init(&yamux->flushed);
    pg_waitq_init(&yamux->ended);
    yamux->heard_at = pg_now();
    yamux->ping_next_at = yamux->heard_at; // the reader's first act, for the round trip
    pg_err err = pg_scope_spawn(&yamux->scope, "net.yamux.reader", pg_yamux_reader_run, yamux);
    if (err != PG_OK) {
        pg_mfree(yamux);
        return err;
    }
    *carrier = NULL;
    *out_yamux = yamux;
    return PG_OK;
}

static bool yamux_can_open(const pg_yamux *yamux)
{
    return yamux->streams_out < yamux->limits.streams_out_max &&
           yamux->streams_unacked < PG_NET_STREAMS_UNACKED_MAX;
}

static pg_err yamux_check_open(const pg_yamux *yamux)
{
    if (yamux->state != PG_YAMUX_STATE_OPEN) {
        return pg_yamux_fail_ended(yamux);
    }
    if (yamux->peer_gone_away || yamux->next_id > UINT32_MAX - 2) {
        return pg_fail(PG_ERR_CLOSED, "the connection takes no more streams");
    }
    return PG_OK;
}

pg_err pg_yamux_open(pg_yamux *yamux, pg_time deadline, pg_stream **out_stream)
{
    PG_TRY(yamux_check_open(yamux));
    while (!yamux_can_open(yamux)) {
        PG_TRY(pg_waitq_wait(&yamux->openers, deadline));
        PG_TRY(yamux_check_open(yamux));
    }
    pg_yamux_stream *stream = NULL;
    PG_TRY(pg_yamux_stream_new(yamux, yamux->next_id, &stream));
    yamux->next_id += 2;
    yamux->streams_unacked++;
    stream->is_unacked = true;
    stream->is_held = true;
    stream->due = PG_YAMUX_FLAG_SYN;
    pg_yamux_stream_queue_flags(stream);
    *out_stream = &stream->base;
    return PG_OK;
}

pg_err pg_yamux_accept(pg_yamux *yamux, pg_time deadline, pg_stream **out_stream)
{
    while (pg_list_is_empty(&yamux->accept_queue)) {
        if (yamux->state != PG_YAMUX_STATE_OPEN) {
            return pg_yamux_fail_ended(yamux);
        }
        PG_TRY(pg_waitq_wait(&yamux->acceptors, deadline));
    }
    pg_list *node = pg_list_pop(&yamux->accept_queue);
    yamux->accept_count--;
    pg_yamux_stream *stream = PG_LIST_OBJECT(node, pg_yamux_stream, accept_node);
    stream->is_held = true;
    stream->due |= PG_YAMUX_FLAG_ACK;
    pg_yamux_stream_queue_flags(stream);
    *out_stream = &stream->base;
    return PG_OK;
}

pg_yamux_stats pg_yamux_get_stats(const pg_yamux *yamux)
{
    return (pg_yamux_stats){
        .rtt_ns = yamux->rtt_ns,
        .streams_in = yamux->streams_in,
        .streams_out = yamux->streams_out,
        .bytes_in = yamux->bytes_in,
        .bytes_out = yamux->bytes_out,
        .memory_bytes = yamux->budget.used_bytes,
    };
}

pg_err pg_yamux_close(pg_yamux *yamux, pg_time deadline)
{
    if (yamux->state == PG_YAMUX_STATE_OPEN) {
        yamux_set_state(yamux, PG_YAMUX_STATE_CLOSING);
        yamux->go_away_due = true;
        pg_waitq_wake_all(&yamux->acceptors);
        pg_waitq_wake_all(&yamux->openers);
        pg_yamux_writer_kick(yamux);
    }
    while (yamux->state != PG_YAMUX_STATE_ENDED) {
        pg_err err = pg_waitq_wait(&yamux->ended, deadline);
        if (err != PG_OK) {
            pg_yamux_abort(yamux);
            return pg_error_wrap(err, "closing a connection");
        }
    }
    return yamux->end_err == PG_OK ? PG_OK : pg_yamux_fail_ended(yamux);
}

void pg_yamux_abort(pg_yamux *yamux)
{
    if (yamux->state == PG_YAMUX_STATE_ENDED) {
        return;
    }
    pg_yamux_note_end(yamux, PG_ERR_CLOSED, "the connection was aborted");
    pg_yamux_end(yamux);
    pg_scope_cancel(&yamux->scope);
    pg_stream_reset(yamux->carrier);
}

void pg_yamux_free(pg_yamux **yamux)
{
    pg_yamux *dead = *yamux;
    if (dead == NULL) {
        return;
    }
    pg_yamux_abort(dead);
    pg_scope_close(&dead->scope);
    while (!pg_list_is_empty(&dead->all)) {
        pg_yamux_stream_orphan(PG_LIST_OBJECT(dead->all.next, pg_yamux_stream, node));
    }
    pg_map_deinit(&dead->streams);
    pg_stream_free(&dead->carrier);
    pg_buf_deinit(&dead->in);
    pg_buf_deinit(&dead->out);
    pg_buf_deinit(&dead->control);
    pg_mfree(dead);
    *yamux = NULL;
}
