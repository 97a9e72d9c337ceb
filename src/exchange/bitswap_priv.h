// SPDX-License-Identifier: Apache-2.0
// What the files of Bitswap share: bitswap.c (life, peers), bitswap_send.c (the writer of a peer), bitswap_recv.c (its streams),
// bitswap_serve.c (what it wants of us), bitswap_ask.c (what we want of it), bitswap_fetch.c (our callers).
//
// Layer: exchange, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "exchange/bitswap.h"
#include "exchange/bitswap_msg.h"
#include "exchange/limits.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"

#define PG_BITSWAP_DETAIL_BYTES 160

/** Copy an error's detail, cut to its space: it is overwritten by the next failure. */
static inline void pg_bitswap_detail_copy(const char *detail, char out[PG_BITSWAP_DETAIL_BYTES])
{
    size_t len = pg_min_size(strlen(detail), PG_BITSWAP_DETAIL_BYTES - 1);
    memcpy(out, detail, len);
    out[len] = '\0';
}

typedef struct pg_bitswap_peer pg_bitswap_peer;

// ---- What a peer wants of us

//      HELD: it is not here; an announcement may bring it
//      ANSWER: a yes or no is to be sent. After a yes the want is done with, after a no it is HELD
//      BLOCK: the block is to be read and sent
//      READING: a fiber reads it. Then the want is done with: an outgoing block has taken its place
typedef enum pg_bitswap_held_state {
    PG_BITSWAP_HELD_STATE_HELD,
    PG_BITSWAP_HELD_STATE_ANSWER,
    PG_BITSWAP_HELD_STATE_BLOCK,
    PG_BITSWAP_HELD_STATE_READING,
} pg_bitswap_held_state;

/** All wants of one block that is not here. */
typedef struct pg_bitswap_demand {
    pg_multihash hash;
    pg_list wants;
} pg_bitswap_demand;

/** A want of a peer, in its ledger. */
typedef struct pg_bitswap_held {
    pg_bitswap_peer *peer;
    pg_list node; // in the list of the peer for its state, but READING
    pg_bitswap_held_state state;
    pg_bitswap_demand
        *demand; // that it is part of: the block is not here; NULL = it is, or can never be
    pg_list demand_node;
    bool is_have;
    bool send_dont_have;
    bool has;        // ANSWER: which
    bool is_orphan;  // READING: not in the ledger any more, nobody wants the result
    uint32_t round;  // number of the message that named it last
    pg_cid cid;      // len 0: of a kind we do not know, and never have
    uint8_t raw_len; // the CID as it came
    uint8_t raw[];
} pg_bitswap_held;

/** A block read from the disk, to be sent. Its bytes count as pending. */
typedef struct pg_bitswap_outgoing {
    pg_list node; // in peer.ready
    pg_cid cid;
    pg_buf data;
} pg_bitswap_outgoing;

// ---- What we want of a peer

//      QUEUED --gathered into a message--> SENT --the last that waits has gone, or a no came--> CANCELLING --told--> GONE
//      SENT --the block or a yes came--> DONE
//      SENT --the stream broke, once--> QUEUED;  CANCELLING, GONE, DONE --wanted again--> QUEUED
//
// The last ones of GONE and DONE are remembered: a block that comes too late, or once more, is no fault of its sender.
typedef enum pg_bitswap_ask_state {
    PG_BITSWAP_ASK_STATE_QUEUED,
    PG_BITSWAP_ASK_STATE_SENT,
    PG_BITSWAP_ASK_STATE_CANCELLING,
    PG_BITSWAP_ASK_STATE_GONE,
    PG_BITSWAP_ASK_STATE_DONE,
    PG_BITSWAP_ASK_STATE_COUNT,
} pg_bitswap_ask_state;

/** A want of ours, in the list of one peer. */
typedef struct pg_bitswap_query {
    pg_cid cid;
    pg_bitswap_ask_state state;
    bool is_have;
    bool was_sent;    // an answer may come
    bool was_resent;  // since the stream broke
    uint64_t message; // number of the message it was sent in
    pg_list node;     // in the list of the peer for its state
    pg_list waits;    // pg_bitswap_wait
} pg_bitswap_query;

/** A caller of ours, from its first want to its return. */
typedef struct pg_bitswap_call {
    pg_waitq changed;
    pg_err err; // of the last wait that failed, with its detail
    char detail[PG_BITSWAP_DETAIL_BYTES];
} pg_bitswap_call;

typedef enum pg_bitswap_result {
    PG_BITSWAP_RESULT_NONE, // still waiting
    PG_BITSWAP_RESULT_HAS,
    PG_BITSWAP_RESULT_LACKS,
    PG_BITSWAP_RESULT_BLOCK,
    PG_BITSWAP_RESULT_FAILED,
} pg_bitswap_result;

/** What one caller waits for, from one peer. */
typedef struct pg_bitswap_wait {
    pg_list node; // in ask.waits, while the result is NONE
    pg_bitswap_call *call;
    pg_bitswap_peer *peer; // NULL = nothing was begun
    pg_bitswap_query *ask;
    bool is_have;
    pg_bitswap_result result;
    pg_err err;   // FAILED
    pg_buf block; // BLOCK
} pg_bitswap_wait;

// ---- Peers

/** A stream on which a peer sends. */
typedef struct pg_bitswap_inbound {
    pg_bitswap *bitswap;
    pg_bitswap_peer *peer;
    pg_stream *stream;
    uint8_t *window; // of PG_BITSWAP_WINDOW_BYTES; NULL between messages
    size_t begin;    // first byte that is not done with
    size_t end;
    uint32_t wants; // that came on it
} pg_bitswap_inbound;

struct pg_bitswap_peer {
    pg_bitswap *bitswap;
    pg_peer_id id;
    uint32_t users; // fibers and waits that hold it
    uint32_t epoch; // counts the ends of the last connection

    // bitswap_serve.c
    pg_map held;       // by the CID as it came
    pg_waitq answered; // woken when there may be room in it
    pg_list held_idle; // HELD, oldest first
    pg_list answers;   // ANSWER
    pg_list blocks;    // BLOCK
    pg_list ready;     // pg_bitswap_outgoing
    uint32_t ready_count;
    uint32_t round;   // number of the last message with wants
    uint32_t reading; // blocks
    size_t pending_bytes;
    pg_list budget_node; // in bitswap.budget_queue

    // bitswap_ask.c
    pg_map asks;                                     // by CID
    pg_list asks_in[PG_BITSWAP_ASK_STATE_COUNT];     // oldest first
    uint32_t asks_count[PG_BITSWAP_ASK_STATE_COUNT]; // in each
    pg_waitq room;                                   // for more of them

    // bitswap_recv.c
    uint32_t receiving; // blocks being read or verified
    pg_waitq received;
    uint32_t wrong;   // blocks that were nothing asked for, while something was
    uint32_t unasked; // blocks, while nothing was asked for
    uint32_t faults;  // such blocks in all, on this connection

    // bitswap_send.c
    bool writer_runs;
    bool is_given_up; // too slow: the writer is to end
    pg_waitq work;
    pg_stream *stream;
    pg_scope stream_scope; // of the fiber that reads on it
    pg_id stream_conn;     // that it goes over
    bool stream_is_lost;   // it was reset
    bool stream_has_ended; // nobody reads on it any more
    uint64_t message;      // number of the present one
    pg_time write_since;   // 0 = no message is on its way
};

struct pg_bitswap {
    pg_host *host;
    pg_block_store *blocks;
    pg_bitswap_backing backing; // all-zero: there is none
    pg_scope scope;
    bool is_closing;
    pg_map peers;   // by id
    pg_map demands; // by multihash
    pg_waitq left;  // woken when a caller has gone

    uint32_t held_count;
    uint32_t holders; // peers with wants
    size_t pending_bytes;
    pg_buf spares
        [PG_BITSWAP_SPARES_MAX]; // empty, with memory: a fresh MiB costs as much as hashing it
    size_t spare_count;
    pg_list budget_queue; // peers that wait for a share of it
    pg_waitq pressed;     // woken when one begins to
    pg_bitswap_stats stats;
};

/** Return true when an ask of the peer is in the state. */
static inline bool pg_bitswap_has_asks(const pg_bitswap_peer *peer, pg_bitswap_ask_state state)
{
    return peer->asks_count[state] > 0;
}

/** Return how many asks the peer has heard of, or is to hear of. */
static inline uint32_t pg_bitswap_asks_live(const pg_bitswap_peer *peer)
{
    return peer->asks_count[PG_BITSWAP_ASK_STATE_QUEUED] +
           peer->asks_count[PG_BITSWAP_ASK_STATE_SENT] +
           peer->asks_count[PG_BITSWAP_ASK_STATE_CANCELLING];
}

// bitswap.c

/** Return the object of a peer, made where there is none, with one user more. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_bitswap_peer_use(pg_bitswap *bitswap, const pg_peer_id *id,
                                        pg_bitswap_peer **out_peer);

/** Return an empty buffer, with memory for `len` bytes where some is spare. */
pg_buf pg_bitswap_spare_take(pg_bitswap *bitswap, size_t len);

/** Keep the memory of a buffer for the next block, or free it; *buf is empty then. */
void pg_bitswap_spare_give(pg_bitswap *bitswap, pg_buf *buf);

/** Free spare memory when no blocks go either way. */
void pg_bitswap_spares_trim(pg_bitswap *bitswap);

/** One user less; the peer is freed when it has none and nothing is known of it. */
void pg_bitswap_peer_unuse(pg_bitswap_peer *peer);

// bitswap_serve.c

/** Wait until there is room for a want of the peer, if need be in the place of an older one. Parks: yes.
 *  Errors: PG_ERR_TIMEOUT (it takes none of the answers), PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_bitswap_serve_room(pg_bitswap_peer *peer);

/** Take an entry of a wantlist that came in message `round` of the peer. */
void pg_bitswap_serve_want(pg_bitswap_peer *peer, const pg_bitswap_want *want, uint32_t round);

/** A full wantlist has ended: drop all wants that it did not name. */
void pg_bitswap_serve_full(pg_bitswap_peer *peer, uint32_t round);

/** Read blocks that the peer waits for, as far as the limits allow. */
void pg_bitswap_serve_pump(pg_bitswap_peer *peer);

/** An answer has been put into a message. */
void pg_bitswap_serve_answered(pg_bitswap_held *held);

/** A block has been sent, or is not to be: free it, and let others be read in its place. */
void pg_bitswap_serve_release(pg_bitswap_peer *peer, pg_bitswap_outgoing *outgoing);

/** Forget all the peer wants. */
void pg_bitswap_serve_clear(pg_bitswap_peer *peer);

/** The fiber that gives up slow peers when the memory for blocks is short; `arg` is the exchange. */
pg_err pg_bitswap_serve_watch(void *arg);

// bitswap_send.c

/** Wake the writer of the peer, or start it: there is something to send. Where it cannot be started the next call tries again. */
void pg_bitswap_send_kick(pg_bitswap_peer *peer);

// bitswap_recv.c

/** Serve a stream of a peer. */
pg_err pg_bitswap_recv_stream(pg_net_stream_ctx *ctx);

// bitswap_ask.c

/** Want a block, or to know whether it is there: wait->result tells, and wait->call->changed is woken. Waits while too much is wanted of
 *  the peer. wait->call and wait->is_have are set, the rest zero; wait->peer is a user from PG_OK on, until pg_bitswap_ask_end.
 *  Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED, PG_ERR_CLOSED, PG_ERR_NOMEM. Parks: only with a deadline. */
PG_NODISCARD pg_err pg_bitswap_ask_begin(pg_bitswap *bitswap, const pg_peer_id *peer,
                                         const pg_cid *cid, pg_time deadline,
                                         pg_bitswap_wait *wait);

/** Wait no more, and free what came. A want for which nobody waits any more is cancelled. */
void pg_bitswap_ask_end(pg_bitswap_wait *wait);

/** The peer says that it has a block, or has not. */
void pg_bitswap_ask_on_presence(pg_bitswap_peer *peer, pg_bytes cid, bool has);

/** A block came: `data` is taken where somebody waits for it, else it stays the caller's. `cid` NULL = its CID cannot be made. */
void pg_bitswap_ask_on_block(pg_bitswap_peer *peer, const pg_cid *cid, pg_buf *data);

/** Append what is to be sent to a list of entries, up to `len_max` bytes in all. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_bitswap_ask_gather(pg_bitswap_peer *peer, size_t len_max, pg_buf *entries);

/** The stream broke: what was sent before message `message`, and has no answer, is to be sent once more. */
void pg_bitswap_ask_resend(pg_bitswap_peer *peer, uint64_t message);

/** Fail what was sent, and with `all` what is queued too; forget what was cancelled. */
void pg_bitswap_ask_fail(pg_bitswap_peer *peer, bool all, pg_err err, const char *detail);
