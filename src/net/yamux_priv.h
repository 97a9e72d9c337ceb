// SPDX-License-Identifier: Apache-2.0
// What the parts of the yamux session share: yamux.c (life of the session), yamux_stream.c (pg_stream), yamux_recv.c (the
// reader), yamux_send.c (the writer).
//
// Layer: net, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"
#include "net/budget.h"
#include "net/yamux.h"
#include "net/yamux_flow.h"
#include "net/yamux_frame.h"
#include "runtime/fiber.h"

// A stream as the wire sees it. The edges, and who takes them:
//
//                     on_stream_close_write         pg_yamux_stream_on_fin
//      OPEN ------------------> SEND_CLOSED ------------------> CLOSED
//      OPEN ------------------> RECV_CLOSED ------------------> CLOSED
//                     pg_yamux_stream_on_fin        on_stream_close_write
//      any but RESET and LOST ------> RESET_LOCAL (stream_abort), RESET_REMOTE (pg_yamux_stream_on_rst)
//      OPEN, SEND_CLOSED -----------> LOST, RECV_CLOSED -> CLOSED (pg_yamux_stream_on_end: the session has ended)
//
// In the session's map it stands (is "wired") until nothing more is to be sent for it and nothing to come. It is freed when it is
// neither wired nor held by the caller.
typedef enum pg_yamux_stream_state {
    PG_YAMUX_STREAM_STATE_OPEN,
    PG_YAMUX_STREAM_STATE_SEND_CLOSED,  // our FIN is on its way
    PG_YAMUX_STREAM_STATE_RECV_CLOSED,  // theirs has come
    PG_YAMUX_STREAM_STATE_CLOSED,       // both
    PG_YAMUX_STREAM_STATE_RESET_LOCAL,  // calls fail with PG_ERR_CLOSED
    PG_YAMUX_STREAM_STATE_RESET_REMOTE, // calls fail with PG_ERR_RESET
    PG_YAMUX_STREAM_STATE_LOST,         // calls fail with what ended the session
} pg_yamux_stream_state;

/** Received bytes nobody has read. */
typedef struct pg_yamux_chunk {
    pg_list node; // in yamux_stream.chunks
    size_t begin; // first unread byte
    size_t len;   // bytes written so far
    size_t cap;
    uint8_t bytes[];
} pg_yamux_chunk;

typedef struct pg_yamux_stream {
    pg_stream base;
    pg_yamux *session; // NULL when that is freed
    uint32_t id;
    pg_yamux_stream_state state;
    uint16_t due;     // PG_YAMUX_FLAG_* to be sent
    bool is_wired;    // in the session's map
    bool is_held;     // the caller's, not yet freed
    bool is_unacked;  // ours, and the peer has not answered yet
    bool credit_due;  // a window update is worth sending
    pg_err reset_err; // of RESET_LOCAL: why
    pg_yamux_flow flow;
    size_t
        charged_bytes; // of the session's budget: the window once it has grown, else what is queued

    pg_list chunks;          // pg_yamux_chunk, oldest first
    size_t queued_bytes;     // in them
    pg_mut_bytes read_space; // of the parked reader, what is left; len 0 = none
    size_t read_len;         // written there so far
    pg_waitq readers;

    const pg_bytes *parts; // of the parked writer, from the first unsent byte
    size_t part_count;
    size_t part_offset; // into parts[0]
    pg_waitq writers;

    pg_list node;        // in session.all
    pg_list flag_node;   // in session.flag_queue
    pg_list data_node;   // in session.data_queue
    pg_list accept_node; // in session.accept_queue
} pg_yamux_stream;

//      OPEN ---pg_yamux_close---> CLOSING ---pg_yamux_drain: GOAWAY is out---> DRAINING
//      any ---pg_yamux_break: a write failed---> BROKEN (the reader sees it and ends the session)
//      any ---pg_yamux_end: in the reader, or by abort---> ENDED
//
// From DRAINING on nothing is sent.
typedef enum pg_yamux_state {
    PG_YAMUX_STATE_OPEN,
    PG_YAMUX_STATE_CLOSING,  // no new streams; GOAWAY goes out when nothing else is to be sent
    PG_YAMUX_STATE_DRAINING, // we have closed our writing and wait for the end of theirs
    PG_YAMUX_STATE_BROKEN,
    PG_YAMUX_STATE_ENDED,
} pg_yamux_state;

#define PG_YAMUX_DETAIL_BYTES 192

struct pg_yamux {
    pg_stream *carrier;
    bool is_client;
    bool peer_gone_away; // sent GOAWAY: takes no new streams
    pg_conn_limits limits;
    pg_budget budget;
    pg_yamux_state state;
    pg_err end_err; // why it ends; PG_OK = not yet, or in good order
    char end_detail[PG_YAMUX_DETAIL_BYTES];
    pg_scope scope;
    pg_waitq ended;

    pg_map streams; // by id; those that are wired
    uint32_t next_id;
    uint32_t streams_in;
    uint32_t streams_out;
    uint32_t streams_unacked;
    pg_list accept_queue;
    uint32_t accept_count;
    pg_list all; // every pg_yamux_stream of the session, wired or held
    pg_waitq acceptors;
    pg_waitq openers;

    // reader
    pg_buf in; // in.len bytes wait: less than a header; the space behind is for the carrier
    pg_yamux_frame payload; // of the data frame under way
    uint32_t payload_left;

    // writer
    pg_buf control; // ready-made headers: pongs, refusals
    pg_buf out;     // the batch being written
    pg_list flag_queue;
    pg_list data_queue;
    bool go_away_due;
    pg_yamux_code go_away_code;
    bool writer_runs;
    pg_waitq flushed; // woken after each batch

    // pings
    bool ping_due;
    bool ping_out; // one is under way
    uint32_t ping_value;
    pg_time ping_sent_at;
    pg_time busy_at; // when PG_NET_BUSY_BYTES were last written at once; 0 = never
    pg_time ping_next_at;
    pg_time heard_at; // when bytes last came
    bool is_trimmed;  // and since then all was given back that idling does not need
    int64_t rtt_ns;

    uint64_t bytes_in;
    uint64_t bytes_out;
};

// Buffers of an idle session, for a ping; of one that begins; and of a busy one: four full Noise frames.
#define PG_YAMUX_BUFFER_BYTES_IDLE 64
#define PG_YAMUX_BUFFER_BYTES_MIN 2048
#define PG_YAMUX_BUFFER_BYTES_MAX (4 * (PG_YAMUX_HEADER_BYTES + PG_YAMUX_DATA_BYTES_MAX))
#define PG_YAMUX_CONTROL_BYTES_MAX (256 * PG_YAMUX_HEADER_BYTES)

// yamux.c

/** GOAWAY is out: no more is sent. */
void pg_yamux_drain(pg_yamux *yamux);

/** The writer cannot go on, for `err` and its detail: cut the carrier, so that the reader ends the session. */
void pg_yamux_break(pg_yamux *yamux, pg_err err);

/** Remember why the session ends; the first reason counts. `detail` is copied. */
void pg_yamux_note_end(pg_yamux *yamux, pg_err err, const char *detail);

/** End the session, once, and wake everybody. Frees streams nobody holds. */
void pg_yamux_end(pg_yamux *yamux);

/** Fail as the session ended, or is about to; PG_ERR_CLOSED where that is in good order. */
PG_NODISCARD pg_err pg_yamux_fail_ended(const pg_yamux *yamux);

// yamux_stream.c

/** Make a stream, wired under `id`, which is free. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_yamux_stream_new(pg_yamux *yamux, uint32_t id, pg_yamux_stream **out_stream);

/** Return the stream wired under `id`, or NULL. */
pg_yamux_stream *pg_yamux_stream_find(const pg_yamux *yamux, uint32_t id);

/** Whether the peer may still write. */
bool pg_yamux_stream_is_receiving(const pg_yamux_stream *stream);

/** Give `bytes` that came to the parked reader, as many as it has room for. Return how many. */
size_t pg_yamux_stream_give(pg_yamux_stream *stream, pg_bytes bytes);

/** Queue `bytes` that came, for the next read. A stream that finds no memory is reset. */
void pg_yamux_stream_queue(pg_yamux_stream *stream, pg_bytes bytes);

/** Note the answer to our SYN. */
void pg_yamux_stream_on_ack(pg_yamux_stream *stream);

/** The peer writes no more. May free the stream. */
void pg_yamux_stream_on_fin(pg_yamux_stream *stream);

/** The peer has reset the stream. May free it. */
void pg_yamux_stream_on_rst(pg_yamux_stream *stream);

/** The session has ended. May free the stream. */
void pg_yamux_stream_on_end(pg_yamux_stream *stream);

/** The session goes away under a stream somebody still holds. */
void pg_yamux_stream_orphan(pg_yamux_stream *stream);

/** Take the stream off the wire once nothing more is to come or to go, and free it if nobody holds it. */
void pg_yamux_stream_settle(pg_yamux_stream *stream);

/** Try to make the window larger, if the peer keeps up with it and memory allows. Returns the window to give credit for. */
uint32_t pg_yamux_stream_grow(pg_yamux_stream *stream, pg_time now);

// yamux_recv.c

/** Body of the reader fiber; `arg` is the session. */
pg_err pg_yamux_reader_run(void *arg);

// yamux_send.c

/** Start the writer if there is something to send and it does not run. */
void pg_yamux_writer_kick(pg_yamux *yamux);

/** Step over parts of the parked writer that are empty or sent. */
void pg_yamux_stream_trim_parts(pg_yamux_stream *stream);

/** Queue the stream for its flags and credit. */
void pg_yamux_stream_queue_flags(pg_yamux_stream *stream);

/** Queue the stream for its data, if its writer has some and the peer gave credit. */
void pg_yamux_stream_queue_data(pg_yamux_stream *stream);

/** Queue one header of the session, waiting for the writer while too many are queued. Parks: yes. */
PG_NODISCARD pg_err pg_yamux_control_put(pg_yamux *yamux, const pg_yamux_frame *frame);
