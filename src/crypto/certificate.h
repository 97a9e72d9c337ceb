// SPDX-License-Identifier: Apache-2.0
// Certificates: a person's key says which device keys are its own. A signed envelope with a domain of its own.
//
// Layer: crypto.  Thread: any.  Spec: libp2p RFC 0002 for the envelope; the payload is message Certificate of libp2p.proto
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"

#define PG_CERTIFICATE_VERSION 1
#define PG_CERTIFICATE_BYTES_MAX 512
#define PG_CERTIFICATE_CLOCK_SLACK_S 86400 // how far a device's clock may lag behind its person's

/** A certificate whose signature holds. Times are Unix seconds. */
typedef struct pg_certificate {
    pg_peer_id person;
    pg_peer_id device;
    uint64_t issued_at_s;
    uint64_t expires_at_s; // 0: never
} pg_certificate;

/** Certify a device's Ed25519 key and append the certificate to a buffer; `expires_at_s` is 0 for never.
 *  Errors: PG_ERR_NOMEM, PG_ERR_LIMIT of the buffer. */
PG_NODISCARD pg_err pg_certificate_issue(const pg_identity *person,
                                         const uint8_t device_key[PG_ED25519_PUBLIC_BYTES],
                                         uint64_t issued_at_s, uint64_t expires_at_s, pg_buf *out);

/** Read a certificate and verify its signature. Whether it is of the person and the device at hand, and valid now, is for
 *  the caller to compare. Errors: as pg_envelope_decode, PG_ERR_UNSUPPORTED also for another version. */
PG_NODISCARD pg_err pg_certificate_decode(pg_bytes in, pg_certificate *out_certificate);

/** Return true when `now_s` lies between issue, but for PG_CERTIFICATE_CLOCK_SLACK_S, and expiry. */
bool pg_certificate_is_valid_at(const pg_certificate *certificate, uint64_t now_s);
