// SPDX-License-Identifier: Apache-2.0
// The X.509 certificate by which a libp2p peer shows its identity in TLS and QUIC: self-signed with a throw-away key, and in
// an extension the identity key with its signature over that key. Not for: certificates of devices (certificate.h), the TLS
// handshake itself (net).
//
// Layer: crypto.  Thread: any, one object at a time.  Spec: libp2p tls, "Peer Authentication"
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "crypto/public_key.h"

/** A certificate of a peer: one with an RSA identity and an RSA key of 4,096 bits each has 2,300. */
#define PG_TLS_CERTIFICATE_BYTES_MAX 4096

/** Largest key of a certificate, in bits (RSA), so that verifying stays cheap; and the least strength of key and signature. */
#define PG_TLS_CERTIFICATE_KEY_BITS_MAX 8192
#define PG_TLS_CERTIFICATE_SECURITY_BITS_MIN 112

/** A certificate of ours is valid from an hour ago, since clocks differ, for ten years: it lives as long as the process. */
#define PG_TLS_CERTIFICATE_BEFORE_S 3600
#define PG_TLS_CERTIFICATE_AFTER_S (10LL * 365 * 86400)

/** A certificate of ours with its secret key. Own in place, end with pg_tls_certificate_deinit. */
typedef struct pg_tls_certificate {
    struct x509_st *x509;
    struct evp_pkey_st *key; // ECDSA on P-256
} pg_tls_certificate;

/** Make a fresh key and a certificate for `identity`; `wall_ms` is now. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_tls_certificate_init(pg_tls_certificate *certificate,
                                            const pg_identity *identity, int64_t wall_ms);

/** Append the certificate as DER. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT of the buffer. */
PG_NODISCARD pg_err pg_tls_certificate_encode(const pg_tls_certificate *certificate, pg_buf *out);

/** Free the certificate and wipe its key. NULL and the all-zero value are fine. */
void pg_tls_certificate_deinit(pg_tls_certificate *certificate);

/** Who a certificate belongs to. */
typedef struct pg_tls_peer {
    pg_peer_id id;
    size_t public_key_len;
    uint8_t public_key[PG_PUBLIC_KEY_BYTES_MAX]; // as PublicKey protobuf
} pg_tls_peer;

/** Read a peer's certificate and verify all of it: its own signature, its dates, and the identity's signature over its key. That the
 *  peer has the key is for the handshake to prove.
 *  der      the whole certificate and nothing behind it
 *  wall_ms  now
 *  Errors: PG_ERR_LIMIT (too long, key too large), PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (a critical extension or a kind of key we
 *  do not know, a weak signature), PG_ERR_AUTH (a signature does not hold, not valid now), PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_tls_certificate_decode(pg_bytes der, int64_t wall_ms, pg_tls_peer *out_peer);
