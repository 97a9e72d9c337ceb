// SPDX-License-Identifier: Apache-2.0
// The owner's side of placement: shards go to a host in an upload session, and become its promise with the commit of descriptor and
// grant. Not for: which host gets which slot (files).
//
// Layer: exchange.  Thread: loop thread only.  Spec: docs/protocols/place.md
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "exchange/lease.h"
#include "net/host.h"
#include "runtime/fiber.h"
#include "runtime/time.h"

#define PG_PLACE_ID "/pangea/place/1.0.0"

/** An upload session with one host: one stream, on which requests are answered in any order. */
typedef struct pg_place_session pg_place_session;

/** Open a session under a lease key, dialing where there is no connection.
 *  expected_bytes  about how much will be pushed: a host that has no room for it says so now; 0 = unknown
 *  Errors: those of pg_host_open_stream, PG_ERR_FULL (no room), PG_ERR_REFUSED (it takes nothing from us, or is too busy), PG_ERR_LIMIT (more than it
 *  takes from one uploader), PG_ERR_TIMEOUT, PG_ERR_CANCELLED, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_place_open(pg_host *host, const pg_peer_id *peer,
                                  const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES],
                                  uint64_t expected_bytes, pg_time deadline,
                                  pg_place_session **out_session);

/** Push one block and return when the host has made it durable. Several fibers may push at once, up to PG_PLACE_INFLIGHT_MAX are under way.
 *  bytes    borrowed until return
 *  Errors: PG_ERR_FULL, PG_ERR_LIMIT, PG_ERR_REFUSED, PG_ERR_CORRUPT (the host got other bytes), PG_ERR_CLOSED and others when the stream has ended:
 *  the session is then of no more use; PG_ERR_TIMEOUT, PG_ERR_CANCELLED. Parks: yes. */
PG_NODISCARD pg_err pg_place_push(pg_place_session *session, const pg_cid *cid, pg_bytes bytes,
                                  pg_time deadline);

/** Ask which blocks of a list the host has already from this session or one before it: what an interrupted upload need not send again.
 *  out_has   out_has[cid_count]; at most PG_BITSWAP_WANTS_MAX
 *  Errors as pg_place_push. Parks: yes. */
PG_NODISCARD pg_err pg_place_ask(pg_place_session *session, const pg_cid *cids, size_t cid_count,
                                 pg_time deadline, bool *out_has);

/** What a commit asks of a host. */
typedef struct pg_place_commit {
    pg_bytes
        grant; // encoded; names the descriptor, which was pushed, and the root if there is one, pushed too
    pg_slot_set
        slots; // to be held, beside those it holds; their shards were pushed. Bit 0 for a whole block
    const pg_bytes *receipts; // receipts[receipt_count] of other hosts of the set, to be kept there
    size_t receipt_count;
    const pg_identity *
        owner; // the lease key, by which the host knows us for the owner; NULL: we are not, and it asks
               // the hosts of the extent before it takes slots from us
} pg_place_commit;

/** Make what was pushed the host's promise. The same request renews a lease by a later grant, adds slots or a root, and drops all
 *  with an expiry of 0 (no receipt then: out_receipt->slots is 0).
 *  out_receipt   verified: of this host, for this descriptor, at least these slots, this sequence
 *  out_encoded   appended to: the receipt as it came; may be NULL
 *  out_known     written with PG_ERR_CHANGED only; may be NULL
 *  Errors: PG_ERR_MISSING (shards are not there; the detail names some), PG_ERR_AUTH (bad grant, or the receipt is), PG_ERR_CHANGED (a later grant is known;
 *  its sequence is in *out_known), PG_ERR_EXISTS (we are not the owner, and others hold these slots), PG_ERR_NOT_FOUND (a root or descriptor was not pushed), PG_ERR_FULL, PG_ERR_REFUSED, PG_ERR_PROTOCOL (it
 *  names a sequence that cannot be), those of pg_lease_grant_decode, and as pg_place_push. Parks: yes. */
PG_NODISCARD pg_err pg_place_commit_send(pg_place_session *session, const pg_place_commit *commit,
                                         pg_time deadline, pg_lease_receipt *out_receipt,
                                         pg_buf *out_encoded, uint64_t *out_known);

/** Let the host drop slots. `release` is encoded. Errors: PG_ERR_AUTH, PG_ERR_CHANGED, PG_ERR_NOT_FOUND, and as pg_place_push. Parks: yes. */
PG_NODISCARD pg_err pg_place_release_send(pg_place_session *session, pg_bytes release,
                                          pg_time deadline);

/** Give up: let the host delete what was pushed in this session and not committed, in another one where this has ended. `lease` is what the session was
 *  opened under. A host that is older than this request ends the session. Errors: PG_ERR_AUTH, as pg_place_open and pg_place_push. Parks: yes. */
PG_NODISCARD pg_err pg_place_abandon(pg_place_session *session, const pg_identity *lease,
                                     pg_time deadline);

/** The same for blocks that were pushed in an earlier session; others are passed over. Parks: yes. */
PG_NODISCARD pg_err pg_place_abandon_blocks(pg_place_session *session, const pg_identity *lease,
                                            const pg_cid *cids, size_t cid_count, pg_time deadline);

/** What a host says of one extent. */
typedef struct pg_place_holding {
    pg_slot_set slots;   // 0: it does not hold the extent
    pg_slot_set leaving; // of these, what it is handing over: no reason for another to drop its own
    bool has_descriptor;
    uint64_t sequence; // of its grant
    uint64_t expiry_s;
    bool has_fill;        // it tells how full it is, since it takes more
    unsigned fill;        // percent of its quota, 0..PG_PLACE_FILL_MAX
    size_t receipt_count; // of other hosts that it knows of, verified
    pg_lease_receipt receipts[PG_PLACE_RECEIPTS_MAX];
} pg_place_holding;

/** Receipts of one extent that were verified: hosts pass on the same ones, and a signature takes 60 us. */
typedef struct pg_place_verified {
    bool is_busy;
    pg_waitq turn;
    size_t count;
    struct {
        uint8_t digest[PG_HASH_BYTES]; // of the receipt as it came
        pg_lease_receipt receipt;
    } items[PG_PLACE_RECEIPTS_MAX];
} pg_place_verified;

/** Make an empty one, of 20 KiB. */
void pg_place_verified_init(pg_place_verified *verified);

/** Ask a host what it holds of an extent, in no session. `descriptor` is the CID of the descriptor, or of a block kept whole.
 *  verified  what other hosts of this extent answered; NULL = nothing. Fibers that share one verify one after the other
 *  Errors: those of pg_host_open_stream, PG_ERR_AUTH (a receipt it passes on is none), PG_ERR_REFUSED (it is too busy), PG_ERR_UNSUPPORTED (a CID that
 *  cannot be kept), PG_ERR_PROTOCOL and others when the stream breaks, PG_ERR_TIMEOUT, PG_ERR_CANCELLED, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_place_have(pg_host *host, const pg_peer_id *peer, const pg_cid *descriptor,
                                  pg_place_verified *verified, pg_time deadline,
                                  pg_place_holding *out_holding);

/** The same where receipts are of no use, as the 64 signatures under them take 4 ms: the host is asked for none, and those that an older one sends are
 *  not looked at. out_holding->receipt_count is 0. Errors as pg_place_have, without PG_ERR_AUTH. Parks: yes. */
PG_NODISCARD pg_err pg_place_have_slots(pg_host *host, const pg_peer_id *peer,
                                        const pg_cid *descriptor, pg_time deadline,
                                        pg_place_holding *out_holding);

/** Return the peer of a session. Borrowed. */
const pg_peer_id *pg_place_session_peer(const pg_place_session *session);

/** End the session and free it; pushes that are under way end with PG_ERR_CLOSED, and must have returned before. What was pushed and not committed stays
 *  there a while. NULL is fine. Parks: yes, briefly. */
void pg_place_session_free(pg_place_session **session);
