// SPDX-License-Identifier: Apache-2.0
// What is remembered of peers, in memory: addresses with their source and expiry, protocols, program, whether they can do
// the hybrid handshake, the newest signed peer record, the round trip. Bounded: peers only heard of make room before those that
// called, and these before those that were reached; of these the one not seen for longest, unless it is pinned.
// Pure: time and chance are arguments.
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "codec/multiaddr.h"
#include "crypto/peer_id.h"
#include "net/backoff.h"
#include "runtime/time.h"

typedef struct pg_peer_book pg_peer_book;

/** How well a peer is known. */
typedef enum pg_familiarity {
    PG_FAMILIARITY_HEARD_OF,
    PG_FAMILIARITY_MET,     // it was connected
    PG_FAMILIARITY_REACHED, // and we reached it, or the user named it
    PG_FAMILIARITY_COUNT,
} pg_familiarity;

/** Who told an address, the most trusted first. */
typedef enum pg_book_source {
    PG_BOOK_SOURCE_GIVEN,    // the user or the configuration
    PG_BOOK_SOURCE_REACHED,  // a dial to it succeeded
    PG_BOOK_SOURCE_SIGNED,   // the peer, in a signed record
    PG_BOOK_SOURCE_IDENTIFY, // the peer, unsigned
    PG_BOOK_SOURCE_HEARSAY,  // other peers
    PG_BOOK_SOURCE_COUNT,
} pg_book_source;

/** One address of a peer. */
typedef struct pg_book_addr {
    pg_multiaddr addr; // without /p2p/ID at the end
    pg_book_source source;
    pg_time expires_at;
    pg_time confirmed_at; // when it was last told or reached; may be before the clock's origin
    pg_backoff backoff;   // of dials to it
} pg_book_addr;

/** One peer. Read it freely, change it by the functions below; a pointer is good until the next pg_peer_book_add unless pinned. */
typedef struct pg_book_peer {
    pg_peer_id id;
    pg_book_addr *addrs; // addrs[addr_count], no order
    size_t addr_count;
    char *agent; // printable; NULL = not told
    char **protocols;
    size_t protocol_count;
    bool is_hybrid;       // has shown that it can do a post-quantum handshake, whichever
    bool is_hybrid_noise; // that of Noise: libp2p nodes of other make have it in QUIC only
    pg_buf record;        // signed envelope; empty = none
    uint64_t record_seq;
    int64_t rtt_ns; // 0 = not known
    pg_time seen_at;
    uint32_t pins;  // connections and wishes that hold it in the book
    uint32_t keeps; // wishes that connections with it stay (pg_host_keep)
    pg_peer_book *book;
    pg_familiarity filed; // in which list of the book it is, or would be when nothing pinned it
    pg_list place;        // there
} pg_book_peer;

/** The book. Own in place, end with pg_peer_book_deinit. */
struct pg_peer_book {
    pg_map peers;
    pg_list loose[PG_FAMILIARITY_COUNT]; // what nothing pins: who was seen last, or pinned, is last
    size_t max;
};

/** Make an empty book of at most `max` peers. */
void pg_peer_book_init(pg_peer_book *book, size_t max);

/** Return a peer, or NULL. Does not count as seen. */
pg_book_peer *pg_peer_book_get(const pg_peer_book *book, const pg_peer_id *id);

/** Return a peer in *out_peer, new in the book where need be, and count it as seen at `now`.
 *  Errors: PG_ERR_LIMIT (full of pinned peers), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_peer_book_add(pg_peer_book *book, const pg_peer_id *id, pg_time now,
                                     pg_book_peer **out_peer);

/** Hold a peer in the book, once more. */
void pg_book_peer_pin(pg_book_peer *peer);

/** Undo one pg_book_peer_pin. */
void pg_book_peer_unpin(pg_book_peer *peer);

/** Remember an address, or that it is still good: the more trusted source and the later expiry stay. A full list drops the
 *  expired, else the least trusted, which may be this one. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_book_peer_add_addr(pg_book_peer *peer, const pg_multiaddr *addr,
                                          pg_book_source source, pg_time expires_at, pg_time now);

/** Remember an address from an earlier run: as pg_book_peer_add_addr, but for when it was last confirmed. One that is known already stays
 *  as it is. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_book_peer_restore_addr(pg_book_peer *peer, const pg_book_addr *addr,
                                              pg_time now);

/** Forget all addresses of one source. */
void pg_book_peer_drop_addrs(pg_book_peer *peer, pg_book_source source);

/** Note how a dial to an address ended; an unknown address is ignored. A success counts for PG_NET_BOOK_REACHED_TTL_MS. */
void pg_book_peer_dialed(pg_book_peer *peer, const pg_multiaddr *addr, bool success, pg_time now,
                         uint64_t random);

/** Give the addresses worth a dial at `now`, best first: not expired, and out of backoff unless `eager`.
 *  out_addrs[PG_NET_BOOK_ADDRS_MAX]
 *  out_due   when no address is due: when the first will be; PG_FOREVER when there is none at all */
size_t pg_book_peer_dial_addrs(const pg_book_peer *peer, pg_time now, bool eager,
                               pg_multiaddr *out_addrs, pg_time *out_due);

/** Return how well a peer is known: what it would cost a stranger to appear so. */
pg_familiarity pg_book_peer_familiarity(const pg_book_peer *peer);

/** Note that a peer has shown that it can do a post-quantum handshake: of Noise, or another. */
void pg_book_peer_note_hybrid(pg_book_peer *peer, bool is_noise);

/** Return true when an address is worth a dial at `now`, as pg_book_peer_dial_addrs, which also says what *out_due is. */
bool pg_book_peer_is_due(const pg_book_peer *peer, pg_time now, pg_time *out_due);

/** Remember the program a peer says it is, made printable and cut at PG_NET_AGENT_BYTES_MAX. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_book_peer_set_agent(pg_book_peer *peer, pg_bytes agent);

/** Remember the protocols a peer serves, in place of those known; the first PG_NET_BOOK_PROTOCOLS_MAX of sound length count.
 *  Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_book_peer_set_protocols(pg_book_peer *peer, const pg_bytes *protocols,
                                               size_t count);

/** Return true when the peer said that it serves the protocol. */
bool pg_book_peer_has_protocol(const pg_book_peer *peer, const char *protocol);

/** Keep a signed record, verified by the caller, if its sequence is higher than the known one's; its addresses replace those
 *  of earlier records and of unsigned messages.
 *  Errors: PG_ERR_EXISTS (not newer; nothing changed), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_book_peer_set_record(pg_book_peer *peer, pg_bytes envelope, uint64_t seq,
                                            const pg_multiaddr *addrs, size_t addr_count,
                                            pg_time now);

/** Return the next peer in the order they were added, NULL at the end. Begin with an all-zero cursor; add nothing meanwhile. */
const pg_book_peer *pg_peer_book_next(const pg_peer_book *book, pg_map_cursor *cursor);

/** Free the book and all it holds. */
void pg_peer_book_deinit(pg_peer_book *book);
