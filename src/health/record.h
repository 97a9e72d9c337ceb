// SPDX-License-Identifier: Apache-2.0
// What one peer observed of another, as a signed record in the DHT: "/pangea/health/<subject>/<observer>". Of two the one with the higher
// sequence counts. Observers announce themselves as providers of a key made of the subject, so that what all of them say can be found.
//
// Layer: health.  Thread: any.  Spec: docs/protocols/health.md, "In the DHT"; libp2p RFC 0002 for the envelope
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/multihash.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "dht/record.h"

#define PG_HEALTH_RECORD_VERSION 1
#define PG_HEALTH_RECORD_NAMESPACE "pangea/health"

/** A record: payload of at most 70 bytes, and the envelope around it. */
#define PG_HEALTH_RECORD_BYTES_MAX 512

/** What it says. */
typedef struct pg_health_record {
    pg_peer_id observer; // who signed it
    pg_peer_id subject;
    uint64_t sequence; // 1 and up
    uint16_t hours;    // of observation it stands on, at most PG_HEALTH_HOURS
    uint8_t uptime;    // the parts of the score, 0..100
    uint8_t latency;
    uint8_t availability;
} pg_health_record;

/** Append the DHT key of a record. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_health_record_key(const pg_peer_id *subject, const pg_peer_id *observer,
                                         pg_buf *out);

/** Return the key that observers of a peer announce: SHA-256 over "pangea-health-v1" and the PeerId, as a multihash. */
pg_multihash pg_health_provider_key(const pg_peer_id *subject);

/** Sign a record and append it; record->observer is not read: the signer's counts. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_health_record_encode(const pg_identity *observer,
                                            const pg_health_record *record, pg_buf *out);

/** Read a record; its signature holds, and it has the one spelling there is.
 *  Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED (also who observes itself), PG_ERR_TRUNCATED, PG_ERR_UNSUPPORTED (version; kind of key), PG_ERR_AUTH,
 *  PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_health_record_decode(pg_bytes in, pg_health_record *out_record);

/** A record under the key of its subject and its signer. */
extern const pg_dht_validator pg_dht_validator_health;
