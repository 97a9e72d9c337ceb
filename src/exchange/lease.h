// SPDX-License-Identifier: Apache-2.0
// What owners and hosts sign to each other about the blocks of one extent. The owner signs with the lease key of the extent, the host
// with its device key; each kind is a signed envelope in a domain of its own, so none passes for another.
//
//      grant     "keep this until then", or with expiry 0 "drop it"; a later sequence replaces an earlier one
//      release   "this host need no longer keep these slots", when they have moved to another
//      abandon   "what this uploader pushed, of these blocks, needs no place here": before a commit
//      owner     "this uploader acts for me": who commits is no stranger with an old grant
//      receipt   a host: "I hold these slots under this grant"
//
// A lease is of an extent, kept in slots, or of one block that is kept whole (the root of a file that stands in it); then the
// descriptor named is that block, and there is one slot, 0.
//
// All keys are Ed25519. A statement has one spelling: what decodes is what encoding its fields with the same key gives. Sequences are
// at least 1, and all numbers below 2^63.
//
// Layer: exchange.  Thread: any.  Spec: docs/protocols/place.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "crypto/public_key.h"
#include "exchange/limits.h"

/** A set of slots of one extent: bit i is slot i. */
typedef uint32_t pg_slot_set;

/** What an owner promises and demands. Times are Unix seconds. */
typedef struct pg_lease_grant {
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES]; // who signed it
    pg_cid descriptor;                          // or the block that is kept whole
    bool is_whole;                              // one block, no slots
    pg_cid root;       // that the hosts of the extent keep too; len 0 = none
    uint64_t expiry_s; // 0 = drop
    uint64_t sequence; // higher than of every grant and release before it
} pg_lease_grant;

/** Slots that a host may drop. */
typedef struct pg_lease_release {
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    pg_cid descriptor;
    pg_peer_id host;
    pg_slot_set slots;
    uint64_t sequence;
} pg_lease_release;

/** Blocks that were pushed for a commit that will not be. */
typedef struct pg_lease_abandon {
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    pg_peer_id host;
    pg_peer_id uploader;           // who pushed them
    uint8_t blocks[PG_HASH_BYTES]; // pg_lease_blocks_digest
} pg_lease_abandon;

/** Who commits is the owner, or acts for it. */
typedef struct pg_lease_owner {
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    pg_cid descriptor;
    pg_peer_id host;     // that is told
    pg_peer_id uploader; // who tells it
} pg_lease_owner;

/** What a host says it holds. */
typedef struct pg_lease_receipt {
    pg_peer_id host; // who signed it
    pg_cid descriptor;
    pg_slot_set slots;
    uint64_t sequence; // of the grant it holds them under
    uint64_t expiry_s; // of that grant
    uint64_t time_s;   // when it said so
} pg_lease_receipt;

/** Sign a grant and append it to `out`. grant->lease_key is not read: the signer's counts. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_lease_grant_encode(const pg_identity *lease, const pg_lease_grant *grant,
                                          pg_buf *out);

/** Read a grant; its signature holds.
 *  Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_TRUNCATED, PG_ERR_UNSUPPORTED (version, named; kind of key), PG_ERR_AUTH, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_lease_grant_decode(pg_bytes in, pg_lease_grant *out_grant);

/** Return the sequence of a grant that pg_lease_grant_decode has taken before, which is not verified again; 0 without memory. */
uint64_t pg_lease_grant_sequence(pg_bytes in);

/** Sign a release and append it to `out`. Errors as pg_lease_grant_encode. */
PG_NODISCARD pg_err pg_lease_release_encode(const pg_identity *lease,
                                            const pg_lease_release *release, pg_buf *out);

/** Read a release. Errors as pg_lease_grant_decode. */
PG_NODISCARD pg_err pg_lease_release_decode(pg_bytes in, pg_lease_release *out_release);

/** Give the digest by which an abandonment names its blocks: BLAKE3 of their CIDs, one after the other. */
void pg_lease_blocks_digest(const pg_cid *cids, size_t count, uint8_t out_digest[PG_HASH_BYTES]);

/** Sign an abandonment and append it to `out`. Errors as pg_lease_grant_encode. */
PG_NODISCARD pg_err pg_lease_abandon_encode(const pg_identity *lease,
                                            const pg_lease_abandon *abandon, pg_buf *out);

/** Read an abandonment. Errors as pg_lease_grant_decode. */
PG_NODISCARD pg_err pg_lease_abandon_decode(pg_bytes in, pg_lease_abandon *out_abandon);

/** Sign that an uploader acts for the owner, and append it to `out`. Errors as pg_lease_grant_encode. */
PG_NODISCARD pg_err pg_lease_owner_encode(const pg_identity *lease, const pg_lease_owner *owner,
                                          pg_buf *out);

/** Read it. Errors as pg_lease_grant_decode. */
PG_NODISCARD pg_err pg_lease_owner_decode(pg_bytes in, pg_lease_owner *out_owner);

/** Sign a receipt and append it to `out`; receipt->host is not read. Errors as pg_lease_grant_encode. */
PG_NODISCARD pg_err pg_lease_receipt_encode(const pg_identity *host,
                                            const pg_lease_receipt *receipt, pg_buf *out);

/** Read a receipt. Errors as pg_lease_grant_decode. */
PG_NODISCARD pg_err pg_lease_receipt_decode(pg_bytes in, pg_lease_receipt *out_receipt);
