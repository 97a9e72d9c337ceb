// SPDX-License-Identifier: Apache-2.0
// Blocks from peer to peer, by Bitswap 1.2: who is asked for a block gives it if it has it, whoever asks. As libp2p's peers do it:
// each side opens a stream of its own to send, wants and answers alike, and reads what comes on the streams the other opened.
// What arrives is verified against its CID before anybody sees it, and a block nobody asked for is dropped. Not for: who keeps what
// (place_server.h), which peer to ask (files).
//
// Layer: exchange.  Thread: loop thread only.  Spec: IPFS Bitswap 1.2.0; docs/protocols/bitswap.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/peer_id.h"
#include "net/host.h"
#include "runtime/time.h"
#include "store/blocks.h"

#define PG_BITSWAP_ID "/ipfs/bitswap/1.2.0"

typedef struct pg_bitswap pg_bitswap;

/** What the exchange did since its start. */
typedef struct pg_bitswap_stats {
    uint64_t blocks_received;
    uint64_t bytes_received; // of blocks
    uint64_t blocks_sent;
    uint64_t bytes_sent;
    uint64_t blocks_refused;  // received, and not what their CID names, or not asked for
    uint64_t wants_served;    // want-have and want-block, answered with yes
    uint64_t wants_unserved;  // answered with no
    uint32_t wants_held;      // of peers, now
    uint32_t fetches_running; // of ours, now
} pg_bitswap_stats;

/** Serve the blocks of `blocks` to every peer of `host`, and be ready to fetch. Both outlive the exchange. Parks: no.
 *  Errors: PG_ERR_EXISTS, PG_ERR_LIMIT, PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_bitswap_new(pg_host *host, pg_block_store *blocks, pg_bitswap **out_bitswap);

/** Blocks that are not in the block store and can be had all the same, slowly. */
typedef struct pg_bitswap_backing {
    /** Return true when a block can be had here, also one that the block store has, when it is to be had here first. Must not park. */
    bool (*has)(const pg_cid *cid, uint32_t *out_len, void *user);
    /** Append such a block, verified. Any error: it is not here. May park. */
    pg_err (*get)(const pg_cid *cid, pg_buf *out, void *user);
    /** Hear that a peer was given a block, whether of the block store or not. Must not park. */
    void (*sent)(const pg_cid *cid, void *user);
    void *user;
} pg_bitswap_backing;

/** Serve blocks of `backing` too; copied. NULL: no more; reads of it may still be on. */
void pg_bitswap_set_backing(pg_bitswap *bitswap, const pg_bitswap_backing *backing);

/** Fetch one block from one peer, dialing it where there is no connection. Any number of fibers may fetch at once; what goes to one peer
 *  shares its streams. Ending early (deadline, cancellation) tells the peer that the block is no longer wanted.
 *  out      appended to, at most PG_BITSWAP_BLOCK_BYTES_MAX; unchanged on failure. The memory of an empty one may be exchanged for that in
 *           which the block came: fetch into an empty buffer, and again into the same one, to have no copies
 *  Errors   PG_ERR_NOT_FOUND (the peer says it does not have it), PG_ERR_CORRUPT (it sent other bytes under this CID), PG_ERR_UNSUPPORTED (it
 *           does not speak Bitswap; a CID of a hash we cannot verify), those of pg_host_open_stream, PG_ERR_TIMEOUT, PG_ERR_CANCELLED,
 *           PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_bitswap_fetch(pg_bitswap *bitswap, const pg_peer_id *peer, const pg_cid *cid,
                                     pg_time deadline, pg_buf *out);

/** Peers that may have a block, preferred first. */
typedef struct pg_bitswap_sources {
    const pg_peer_id *peers; // peers[count]
    size_t count;
} pg_bitswap_sources;

/** Ask peers which of them has a block, all at once, and fetch it from the first that does, else from the next. A peer that has it and
 *  sends nothing for PG_BITSWAP_HEDGE_MS is not waited for any longer: the next one is asked too.
 *  sources    NULL = every connected peer that speaks Bitswap
 *  out        as in pg_bitswap_fetch
 *  out_from   who gave it; may be NULL
 *  Errors     PG_ERR_NOT_FOUND (nobody asked has it, or there was nobody to ask), PG_ERR_CORRUPT (who has it sent other bytes), what the first
 *             failed with when none could be asked, and as pg_bitswap_fetch. Parks: yes. */
PG_NODISCARD pg_err pg_bitswap_fetch_any(pg_bitswap *bitswap, const pg_bitswap_sources *sources,
                                         const pg_cid *cid, pg_time deadline, pg_buf *out,
                                         pg_peer_id *out_from);

/** Ask one peer which of `cids` it has (want-have).
 *  out_has    out_has[cid_count], at most PG_BITSWAP_WANTS_MAX
 *  Errors as pg_bitswap_fetch but NOT_FOUND. Parks: yes. */
PG_NODISCARD pg_err pg_bitswap_ask(pg_bitswap *bitswap, const pg_peer_id *peer, const pg_cid *cids,
                                   size_t cid_count, pg_time deadline, bool *out_has);

/** Tell peers who want it that a block is here now. Call after a block was put by other means. Parks: no. */
void pg_bitswap_announce(pg_bitswap *bitswap, const pg_cid *cid);

/** Return what the exchange did. */
pg_bitswap_stats pg_bitswap_get_stats(const pg_bitswap *bitswap);

/** Serve no more, end what is under way with PG_ERR_CLOSED, free, and set *bitswap to NULL. NULL is fine. Parks: yes, briefly. */
void pg_bitswap_free(pg_bitswap **bitswap);
