// SPDX-License-Identifier: Apache-2.0
// The heads of placement messages: a request with what belongs to its kind, a response with its status. The pure part; bodies of
// blocks follow a PUSH on the stream and are not seen here.
//
// Layer: exchange.  Thread: any.  Spec: docs/protocols/place.md, section "Messages"
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/public_key.h"
#include "exchange/lease.h"
#include "exchange/limits.h"

/** What is asked; the numbers are those on the wire. */
typedef enum pg_place_kind {
    PG_PLACE_KIND_OPEN = 1,
    PG_PLACE_KIND_PUSH = 2,
    PG_PLACE_KIND_ASK = 3,
    PG_PLACE_KIND_COMMIT = 4,
    PG_PLACE_KIND_RELEASE = 5,
    PG_PLACE_KIND_HAVE = 6,
    PG_PLACE_KIND_ABANDON = 7, // later than the rest: an older host ends the stream
    PG_PLACE_KIND_COUNT,
} pg_place_kind;

/** How it went; the numbers are those on the wire. */
typedef enum pg_place_status {
    PG_PLACE_STATUS_OK = 0,
    PG_PLACE_STATUS_FULL = 1,
    PG_PLACE_STATUS_NOT_ACCEPTED = 2,
    PG_PLACE_STATUS_TOO_LARGE = 3,
    PG_PLACE_STATUS_BAD_GRANT = 4,
    PG_PLACE_STATUS_SUPERSEDED = 5,
    PG_PLACE_STATUS_CORRUPT = 6,
    PG_PLACE_STATUS_MISSING = 7,
    PG_PLACE_STATUS_NOT_FOUND = 8,
    PG_PLACE_STATUS_BUSY = 9,
    PG_PLACE_STATUS_HELD = 10, // later than the rest: only who is not the owner gets it
    PG_PLACE_STATUS_COUNT,
} pg_place_status;

/** A request. Fields of other kinds are zero. Pointers are borrowed: of a decoded one they live as long as its arena. */
typedef struct pg_place_request {
    uint64_t id; // the response carries it
    pg_place_kind kind;
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES]; // OPEN
    uint64_t expected_bytes;
    const pg_cid *cids; // cids[cid_count]: PUSH and HAVE one, ASK and ABANDON 1..PG_PLACE_ASK_MAX
    size_t cid_count;
    uint32_t body_bytes; // PUSH: what follows, 0..PG_BITSWAP_BLOCK_BYTES_MAX
    pg_bytes grant;      // COMMIT, encoded
    pg_slot_set slots;
    const pg_bytes
        *receipts; // receipts[receipt_count], encoded; at most PG_PLACE_COMMIT_RECEIPTS_MAX
    size_t receipt_count;
    pg_bytes release;      // RELEASE, encoded
    pg_bytes abandon;      // ABANDON, encoded
    pg_bytes owner;        // COMMIT, encoded; empty: somebody else, or an older program
    bool without_receipts; // HAVE; an older host sends them all the same
} pg_place_request;

/** A response. Pointers as in pg_place_request. */
typedef struct pg_place_response {
    uint64_t id;
    pg_place_status status;
    pg_bytes has;            // ASK: bit i % 8 of byte i / 8 says that the host has the i-th
    pg_bytes receipt;        // COMMIT: of the host, encoded
    uint64_t known_sequence; // SUPERSEDED
    const pg_cid *missing;   // MISSING: missing[missing_count], at most PG_PLACE_MISSING_MAX
    size_t missing_count;
    pg_slot_set slots; // HAVE, as the rest
    bool has_descriptor;
    uint64_t sequence;
    uint64_t expiry_s;
    const pg_bytes *receipts; // receipts[receipt_count], encoded; at most PG_PLACE_RECEIPTS_MAX
    size_t receipt_count;
    pg_slot_set leaving; // of slots: being handed over, soon another's alone
    uint32_t
        fill; // 1 + percent of the quota that is used, 1..101; 0: it takes nothing, or is older
} pg_place_response;

/** Append a request, its length in front. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (longer than PG_PLACE_HEAD_BYTES_MAX, or the buffer's). */
PG_NODISCARD pg_err pg_place_request_encode(const pg_place_request *request, pg_buf *out);

/** Read a request without its length. What its kind needs is there, and within its limits; fields of other kinds are not looked at.
 *  arena   of PG_PLACE_ARENA_BYTES or more; owns what *out_request points to, `in` excepted
 *  Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (kind), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_request_decode(pg_bytes in, pg_arena *arena,
                                            pg_place_request *out_request);

/** Append a response, its length in front. Errors as pg_place_request_encode. */
PG_NODISCARD pg_err pg_place_response_encode(const pg_place_response *response, pg_buf *out);

/** Read a response without its length; whether it fits the request is for the caller. Errors as pg_place_request_decode, UNSUPPORTED of the
 *  status. */
PG_NODISCARD pg_err pg_place_response_decode(pg_bytes in, pg_arena *arena,
                                             pg_place_response *out_response);

/** What reading one head may take. */
#define PG_PLACE_ARENA_BYTES ((size_t) 64 << 10)

/** Return the error that a status is to the one who asked; PG_OK for OK. */
pg_err pg_place_status_err(pg_place_status status);

/** Return a status in words, for the detail of that error. Static. */
const char *pg_place_status_text(pg_place_status status);
