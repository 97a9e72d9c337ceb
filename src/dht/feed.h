// SPDX-License-Identifier: Apache-2.0
// Feeds: a name of a person that points to something which changes. The record under "/pangea/feed/<peer>/<name>" is signed by that
// peer; of two the one with the higher sequence counts. Not for: what the value means, which is between those who write and read it.
//
// Layer: dht.  Thread: any.  Spec: docs/protocols/feed.md; libp2p RFC 0002 for the envelope
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "dht/record.h"

#define PG_FEED_VERSION 1
#define PG_FEED_NAMESPACE "pangea/feed"

/** An arena that reads one record. */
#define PG_FEED_ARENA_BYTES (8 * PG_FEED_BYTES_MAX)

/** A record whose signature holds. The views live as long as the arena it was read with. */
typedef struct pg_feed_record {
    pg_peer_id owner;     // who signed it
    pg_bytes name;        // 1..PG_FEED_NAME_BYTES_MAX of a-z, 0-9 and '-'
    uint64_t sequence;    // 1 and up
    uint64_t published_s; // the owner's clock
    pg_bytes value;       // at most PG_FEED_VALUE_BYTES_MAX
    pg_bytes payload;     // what was signed; decides between two of one sequence
} pg_feed_record;

/** Append the DHT key of a feed. Errors: PG_ERR_INVALID (the name), as pg_buf_reserve. */
PG_NODISCARD pg_err pg_feed_key(const pg_peer_id *owner, pg_bytes name, pg_buf *out);

/** Sign a record and append it to a buffer; record->owner and record->payload are not read.
 *  Errors: PG_ERR_INVALID (name, sequence 0), PG_ERR_LIMIT (value), as pg_buf_reserve. */
PG_NODISCARD pg_err pg_feed_encode(const pg_identity *owner, const pg_feed_record *record,
                                   pg_buf *out);

/** Read a record and verify its signature. Whose feed it is of is for the caller to compare.
 *  arena    of PG_FEED_ARENA_BYTES or more; owns what *out_record shows
 *  Errors: as pg_envelope_decode, PG_ERR_UNSUPPORTED also for another version. */
PG_NODISCARD pg_err pg_feed_decode(pg_bytes in, pg_arena *arena, pg_feed_record *out_record);

/** Order two records of one feed: positive when `a` is the newer one. Of two with one sequence the one whose payload sorts later counts, so
 *  that all choose the same. */
int pg_feed_compare(const pg_feed_record *a, const pg_feed_record *b);

/** "/pangea/feed/<PeerId as text>/<name>": signed by that peer, of that name; the higher sequence is the newer. */
extern const pg_dht_validator pg_dht_validator_feed;
