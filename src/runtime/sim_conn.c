// SPDX-License-Identifier: Apache-2.0
// Connections of the simulated network; the state diagram is in the header.
#include <string.h>

#include "base/mem.h"
#include "runtime/sim_net_priv.h"

#define RETRY_NS PG_MS(200)          // Linux's least retransmission timeout
#define RETRY_SYN_NS PG_SECONDS(1)   // and the first one of a SYN
#define RETRY_NS_MAX PG_SECONDS(120) // and the longest
#define LOSSES_IN_A_ROW_MAX 8u
#define ROOM_NEEDED                                                                                \
    (PG_SIM_SEND_BYTES_MAX - PG_SIM_SEGMENT_BYTES_MAX) // room for a whole segment, no crumbs

#define SEGMENT_OF(list_node) PG_LIST_OBJECT(list_node, pg_sim_segment, node)

static const pg_stream_ops conn_ops;
static void on_due(pg_timer *timer);
static void on_window(pg_timer *timer);
static void on_reset(pg_timer *timer);

static pg_sim_world *world_of(const pg_sim_conn *conn)
{
    return conn->machine->world;
}

pg_err pg_sim_conn_new(pg_sim_machine *machine, pg_sim_machine *far, pg_sim_conn_state state,
                       pg_sim_conn **out_conn)
{
    pg_sim_conn *conn = PG_NEW(pg_sim_conn);
    if (conn == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a connection");
    }
    conn->stream.ops = &conn_ops;
    conn->machine = machine;
    conn->far = far;
    conn->state = state;
    pg_list_init(&conn->out);
    pg_list_init(&conn->in);
    pg_waitq_init(&conn->readers);
    pg_waitq_init(&conn->writers);
    pg_list_append(&machine->conns, &conn->node);
    *out_conn = conn;
    return PG_OK;
}

// ---- Ends

static void segments_free(pg_list *segments)
{
    for (pg_list *node = pg_list_pop(segments); node != NULL; node = pg_list_pop(segments)) {
        pg_mfree(SEGMENT_OF(node));
    }
}

static void probe_start(pg_sim_conn *conn)
{
    if (!conn->window_timer.is_started) {
        pg_timer_start(&conn->window_timer, world_of(conn)->now_ns + RETRY_NS, on_window);
    }
}

// The other end is gone. Who waits for room there finds out by probing; who sends, by sending; who reads, never.
static void peer_forget(pg_sim_conn *conn)
{
    pg_sim_conn *peer = conn->peer;
    if (peer == NULL) {
        return;
    }
    conn->peer = NULL;
    peer->peer = NULL;
    if (!pg_list_is_empty(&peer->writers.waiters) && pg_list_is_empty(&peer->out)) {
        probe_start(peer);
    }
}

static void timers_stop(pg_sim_conn *conn)
{
    pg_timer_stop(&conn->due_timer);
    pg_timer_stop(&conn->window_timer);
    pg_timer_stop(&conn->reset_timer);
}

// End it here, without a word to the other side. What was received can still be read.
static void end_with(pg_sim_conn *conn, pg_err err)
{
    if (conn->is_orphan || conn->state == PG_SIM_CONN_STATE_EMBRYO) {
        pg_sim_conn_delete(conn); // nobody is there to learn it
        return;
    }
    timers_stop(conn);
    segments_free(&conn->out);
    peer_forget(conn);
    conn->state = PG_SIM_CONN_STATE_ENDED;
    conn->err = err;
    pg_waitq_wake_all(&conn->readers);
    pg_waitq_wake_all(&conn->writers);
}

void pg_sim_conn_delete(pg_sim_conn *conn)
{
    if (conn->machine != NULL) {
        timers_stop(conn);
        peer_forget(conn);
        pg_list_remove(&conn->node);
    }
    if (conn->listener != NULL) {
        pg_sim_listener_forget(conn);
    }
    segments_free(&conn->out);
    segments_free(&conn->in);
    pg_mfree(conn->spare);
    pg_mfree(conn);
}

static void reset_send(pg_sim_conn *conn)
{
    pg_sim_conn *peer = conn->peer;
    if (peer != NULL && !peer->reset_timer.is_started &&
        !pg_sim_rng_chance(&world_of(conn)->network_rng,
                           pg_sim_net_link(conn->machine, conn->far)->loss_ppm)) {
        pg_time at = world_of(conn)->now_ns + pg_sim_net_travel_ns(conn->machine, conn->far);
        pg_timer_start(&peer->reset_timer, at, on_reset);
    }
}

void pg_sim_conn_drop(pg_sim_conn *conn)
{
    reset_send(conn);
    pg_sim_conn_delete(conn);
}

void pg_sim_conn_crash(pg_sim_conn *conn)
{
    bool has_owner = !conn->is_orphan && conn->listener == NULL;
    timers_stop(conn);
    peer_forget(conn);
    pg_list_remove(&conn->node);
    conn->machine = NULL;
    segments_free(&conn->out);
    segments_free(&conn->in);
    conn->in_bytes = 0;
    conn->state = PG_SIM_CONN_STATE_ENDED;
    conn->err = PG_ERR_CANCELLED;
    if (!has_owner) {
        pg_sim_conn_delete(conn);
    }
}

static void on_reset(pg_timer *timer)
{
    pg_sim_conn *conn = PG_LIST_OBJECT(timer, pg_sim_conn, reset_timer);
    if (conn->state == PG_SIM_CONN_STATE_DIALING) {
        end_with(conn, PG_ERR_REFUSED);
    } else if (pg_sim_net_reach(conn->machine, &conn->local, &conn->remote) != NULL) {
        end_with(conn, PG_ERR_RESET);
    } // else it is lost: nobody sends a reset twice
}

// ---- Sending

static pg_sim_segment *segment_new(pg_sim_segment_kind kind, size_t len)
{
    pg_sim_segment *segment = pg_malloc(sizeof(*segment) + len);
    if (segment != NULL) {
        *segment = (pg_sim_segment){.kind = kind, .len = (uint32_t) len};
    }
    return segment;
}

static pg_time segment_due(pg_sim_conn *conn, const pg_sim_segment *segment)
{
    const pg_sim_link *link = pg_sim_net_link(conn->machine, conn->far);
    pg_time due = pg_sim_net_departure(conn->machine, conn->far, segment->len, INT64_MAX) +
                  pg_sim_net_travel_ns(conn->machine, conn->far);
    int64_t round_trip_ns = 2 * (link->latency_ns + link->jitter_ns);
    int64_t retry_ns = round_trip_ns > RETRY_NS ? round_trip_ns : RETRY_NS;
    for (unsigned i = 0;
         i < LOSSES_IN_A_ROW_MAX && pg_sim_rng_chance(&world_of(conn)->network_rng, link->loss_ppm);
         i++) {
        due += retry_ns;
        retry_ns *= 2;
    }
    return due > conn->last_due_ns ? due : conn->last_due_ns;
}

static void segment_send(pg_sim_conn *conn, pg_sim_segment *segment)
{
    segment->due_ns = segment_due(conn, segment);
    conn->last_due_ns = segment->due_ns;
    pg_list_append(&conn->out, &segment->node);
    conn->window_bytes += segment->len;
    if (!conn->due_timer.is_started) {
        pg_timer_start(&conn->due_timer, segment->due_ns, on_due);
    }
}

pg_err pg_sim_conn_signal(pg_sim_conn *conn, pg_sim_segment_kind kind)
{
    pg_sim_segment *segment = segment_new(kind, 0);
    if (segment == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a segment");
    }
    if (kind == PG_SIM_SEGMENT_KIND_SYN) {
        conn->spare = segment_new(PG_SIM_SEGMENT_KIND_ACK, 0);
        if (conn->spare == NULL) {
            pg_mfree(segment);
            return pg_fail(PG_ERR_NOMEM, "no memory for a segment");
        }
    }
    segment_send(conn, segment);
    return PG_OK;
}

// ---- Delivery

static bool conn_try_failed(pg_sim_conn *conn, pg_timer *timer, void (*fire)(pg_timer *),
                            bool is_syn)
{
    unsigned tries_max = is_syn ? PG_SIM_SYN_TRIES_MAX : PG_SIM_TRIES_MAX;
    if (conn->tries == tries_max) {
        end_with(conn, PG_ERR_TIMEOUT);
        return false;
    }
    int64_t pause_ns = (is_syn ? RETRY_SYN_NS : RETRY_NS) << conn->tries;
    conn->tries++;
    pause_ns = pause_ns < RETRY_NS_MAX ? pause_ns : RETRY_NS_MAX;
    pg_timer_start(timer, world_of(conn)->now_ns + pause_ns, fire);
    return true;
}

// Nobody there knows this connection: the answer is a reset.
static void answer_with_reset(pg_sim_conn *conn)
{
    if (conn->is_orphan) {
        pg_sim_conn_delete(conn);
        return;
    }
    segments_free(&conn->out);
    if (!conn->reset_timer.is_started) {
        pg_time at = world_of(conn)->now_ns + pg_sim_net_travel_ns(conn->machine, conn->far);
        pg_timer_start(&conn->reset_timer, at, on_reset);
    }
}

static void segment_receive(pg_sim_conn *conn, pg_sim_segment *segment)
{
    if (conn->state == PG_SIM_CONN_STATE_EMBRYO) {
        conn->state = PG_SIM_CONN_STATE_OPEN;
        pg_sim_listener_offer(conn);
    }
    switch (segment->kind) {
    case PG_SIM_SEGMENT_KIND_DATA:
        pg_list_append(&conn->in, &segment->node);
        conn->in_bytes += segment->len;
        pg_waitq_wake_one(&conn->readers);
        return;
    case PG_SIM_SEGMENT_KIND_FIN:
        conn->fin_received = true;
        pg_waitq_wake_one(&conn->readers);
        break;
    case PG_SIM_SEGMENT_KIND_SYNACK:
        conn->state = PG_SIM_CONN_STATE_OPEN;
        segment_send(conn, conn->spare);
        conn->spare = NULL;
        pg_waitq_wake_one(&conn->writers);
        break;
    case PG_SIM_SEGMENT_KIND_SYN:
    case PG_SIM_SEGMENT_KIND_ACK:
        break;
    }
    pg_mfree(segment);
}

// Bring the head of the queue to the other end. Returns false when the queue has to wait, or is no more.
static bool head_deliver(pg_sim_conn *conn)
{
    pg_sim_segment *segment = SEGMENT_OF(conn->out.next);
    pg_sim_world *world = world_of(conn);
    bool is_syn = segment->kind == PG_SIM_SEGMENT_KIND_SYN;
    pg_sim_machine *to = pg_sim_net_reach(conn->machine, &conn->local, &conn->remote);
    if (to == NULL || (conn->tries != 0 &&
                       pg_sim_rng_chance(&world->network_rng,
                                         pg_sim_net_link(conn->machine, conn->far)->loss_ppm))) {
        (void) conn_try_failed(conn, &conn->due_timer, on_due, is_syn);
        return false;
    }
    pg_sim_world_note(world, (uint64_t) conn->machine->number << 32 | to->number, segment->len);
    if (is_syn) {
        pg_err err = pg_sim_listener_admit(to, conn);
        if (err == PG_ERR_REFUSED) {
            answer_with_reset(conn);
            return false;
        }
        if (err != PG_OK) {
            (void) conn_try_failed(conn, &conn->due_timer, on_due, true);
            return false;
        }
    } else if (conn->peer == NULL) {
        answer_with_reset(conn);
        return false;
    }
    conn->tries = 0;
    pg_list_remove(&segment->node);
    if (is_syn) {
        pg_mfree(segment);
    } else {
        segment_receive(conn->peer, segment);
    }
    return true;
}

static void on_due(pg_timer *timer)
{
    pg_sim_conn *conn = PG_LIST_OBJECT(timer, pg_sim_conn, due_timer);
    pg_time now_ns = world_of(conn)->now_ns;
    while (!pg_list_is_empty(&conn->out) && SEGMENT_OF(conn->out.next)->due_ns <= now_ns) {
        if (!head_deliver(conn)) {
            return;
        }
    }
    if (!pg_list_is_empty(&conn->out)) {
        pg_timer_start(timer, SEGMENT_OF(conn->out.next)->due_ns, on_due);
    } else if (conn->is_orphan) {
        pg_sim_conn_delete(conn);
    }
}

// News of room at the other end has arrived; or it is time to ask an end that is gone.
static void on_window(pg_timer *timer)
{
    pg_sim_conn *conn = PG_LIST_OBJECT(timer, pg_sim_conn, window_timer);
    if (pg_sim_net_reach(conn->machine, &conn->local, &conn->remote) == NULL) {
        (void) conn_try_failed(conn, timer, on_window, false);
        return;
    }
    if (conn->peer == NULL) {
        answer_with_reset(conn);
        return;
    }
    conn->tries = 0;
    conn->window_bytes -= conn->credit_bytes;
    conn->credit_bytes = 0;
    pg_waitq_wake_one(&conn->writers);
}

// ---- What the owner calls

// Tell the sender of room. Who does not wait for it learns it at once: nobody could tell the difference.
static void credit_give(pg_sim_conn *sender, size_t bytes)
{
    if (sender == NULL || bytes == 0) {
        return;
    }
    sender->credit_bytes += bytes;
    if (pg_list_is_empty(&sender->writers.waiters) && !sender->window_timer.is_started) {
        sender->window_bytes -= sender->credit_bytes;
        sender->credit_bytes = 0;
    } else if (!sender->window_timer.is_started) {
        pg_time at = world_of(sender)->now_ns + pg_sim_net_travel_ns(sender->machine, sender->far);
        pg_timer_start(&sender->window_timer, at, on_window);
    }
}

static size_t received_take(pg_sim_conn *conn, pg_mut_bytes space)
{
    size_t done = 0;
    while (done < space.len && conn->in_bytes != 0) {
        pg_sim_segment *segment = SEGMENT_OF(conn->in.next);
        size_t part = pg_min_size(space.len - done, segment->len - conn->in_offset);
        memcpy(space.ptr + done, segment->data + conn->in_offset, part);
        done += part;
        conn->in_offset += part;
        conn->in_bytes -= part;
        if (conn->in_offset == segment->len) {
            conn->in_offset = 0;
            pg_list_remove(&segment->node);
            pg_mfree(segment);
        }
    }
    return done;
}

static pg_err conn_failure(const pg_sim_conn *conn)
{
    if (conn->err == PG_ERR_CANCELLED) {
        return PG_ERR_CANCELLED; // of a crashed machine: nobody will read a detail
    }
    return pg_fail(conn->err, "simulated connection: %s", pg_err_text(conn->err));
}

static pg_err on_read(pg_stream *stream, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    pg_sim_conn *conn = (pg_sim_conn *) stream;
    PG_TRY(pg_fiber_checkpoint());
    while (conn->in_bytes == 0 && !conn->fin_received) {
        if (conn->state == PG_SIM_CONN_STATE_ENDED) {
            return conn_failure(conn);
        }
        PG_TRY(pg_waitq_wait(&conn->readers, deadline));
    }
    if (conn->err == PG_ERR_CLOSED) {
        return conn_failure(conn);
    }
    size_t len = received_take(conn, space);
    credit_give(conn->peer, len);
    *out_len = len;
    return PG_OK;
}

static pg_err room_wait(pg_sim_conn *conn, pg_time deadline)
{
    while (conn->state != PG_SIM_CONN_STATE_ENDED && conn->window_bytes > ROOM_NEEDED) {
        if (conn->peer == NULL && pg_list_is_empty(&conn->out) && !conn->reset_timer.is_started) {
            probe_start(conn);
        }
        PG_TRY(pg_waitq_wait(&conn->writers, deadline));
    }
    if (conn->state == PG_SIM_CONN_STATE_ENDED) {
        return conn_failure(conn);
    }
    return conn->fin_sent ? pg_fail(PG_ERR_CLOSED, "writing was closed") : PG_OK;
}

// Copy the next `len` bytes of the parts; *offset is the place in the first of them.
static void parts_copy(const pg_bytes **parts, size_t *offset, uint8_t *out, size_t len)
{
    while (len != 0) {
        size_t part = pg_min_size(len, (*parts)->len - *offset);
        if (part != 0) {
            memcpy(out, (*parts)->ptr + *offset, part);
        }
        out += part;
        len -= part;
        *offset += part;
        if (*offset == (*parts)->len) {
            (*parts)++;
            *offset = 0;
        }
    }
}

static pg_err on_write(pg_stream *stream, const pg_bytes *parts, size_t part_count,
                       pg_time deadline)
{
    pg_sim_conn *conn = (pg_sim_conn *) stream;
    size_t left = 0;
    size_t offset = 0;
    PG_TRY(pg_fiber_checkpoint());
    for (size_t i = 0; i < part_count; i++) {
        left += parts[i].len;
    }
    while (left != 0) {
        PG_TRY(room_wait(conn, deadline));
        size_t len = pg_min_size(left, PG_SIM_SEGMENT_BYTES_MAX);
        pg_sim_segment *segment = segment_new(PG_SIM_SEGMENT_KIND_DATA, len);
        if (segment == NULL) {
            return pg_fail(PG_ERR_NOMEM, "no memory for a segment");
        }
        parts_copy(&parts, &offset, segment->data, len);
        segment_send(conn, segment);
        left -= len;
    }
    return PG_OK;
}

static pg_err on_close_write(pg_stream *stream, pg_time deadline)
{
    (void) deadline;
    pg_sim_conn *conn = (pg_sim_conn *) stream;
    PG_TRY(pg_fiber_checkpoint());
    if (conn->state == PG_SIM_CONN_STATE_ENDED) {
        return conn_failure(conn);
    }
    if (conn->fin_sent) {
        return PG_OK;
    }
    PG_TRY(pg_sim_conn_signal(conn, PG_SIM_SEGMENT_KIND_FIN));
    conn->fin_sent = true;
    return PG_OK;
}

static void on_stream_reset(pg_stream *stream)
{
    pg_sim_conn *conn = (pg_sim_conn *) stream;
    if (conn->machine == NULL || conn->err == PG_ERR_CLOSED) {
        return;
    }
    reset_send(conn);
    segments_free(&conn->in);
    conn->in_bytes = 0;
    conn->in_offset = 0;
    end_with(conn, PG_ERR_CLOSED);
}

static void on_free(pg_stream *stream)
{
    pg_sim_conn *conn = (pg_sim_conn *) stream;
    bool is_live = conn->machine != NULL && conn->state != PG_SIM_CONN_STATE_ENDED;
    bool is_finished = conn->fin_sent && conn->fin_received && conn->in_bytes == 0;
    if (is_live && is_finished && !pg_list_is_empty(&conn->out)) {
        conn->is_orphan = true; // the last of it still has to get there
        return;
    }
    if (is_live && !is_finished) {
        reset_send(conn);
    }
    pg_sim_conn_delete(conn);
}

static const pg_stream_ops conn_ops = {
    .read = on_read,
    .write = on_write,
    .close_write = on_close_write,
    .reset = on_stream_reset,
    .free = on_free,
};
