// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 as QUIC in libp2p uses it: both sides show a certificate with their identity, the key agreement is X25519MLKEM768
// where both can do it, else X25519, and nothing is resumed. Not for: packets (quic_conn.h), the certificate's format
// (crypto/tls_certificate.h).
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p tls, RFC 9001
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ngtcp2/ngtcp2_crypto.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "crypto/secret.h"
#include "crypto/tls_certificate.h"

/** What all handshakes of a host share: its certificate, and OpenSSL's contexts for both roles. */
typedef struct pg_quic_tls pg_quic_tls;

/** Which key agreements are offered and taken. */
typedef enum pg_quic_groups {
    PG_QUIC_GROUPS_ANY,       // the hybrid one first
    PG_QUIC_GROUPS_HYBRID,    // no other (security.require_pq)
    PG_QUIC_GROUPS_CLASSICAL, // as peers that know no better: for tests
} pg_quic_groups;

/** Make them, with a fresh certificate. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_quic_tls_new(const pg_identity *identity, pg_quic_groups groups,
                                    pg_quic_tls **out_tls);

/** Free. No handshake may be left. NULL is fine. */
void pg_quic_tls_free(pg_quic_tls **tls);

/** What a handshake wants of the other side. */
typedef struct pg_quic_tls_wish {
    bool is_client;
    bool hybrid_only;              // client: offer no classical key agreement
    const pg_peer_id *expected_id; // copied; NULL: whoever it is
} pg_quic_tls_wish;

/** One handshake. Lives from the first packet until the peer is proven, and is freed then, since it holds some 50 KiB. */
typedef struct pg_quic_handshake {
    ngtcp2_crypto_conn_ref ref; // what OpenSSL's object points to
    struct ssl_st *ssl;
    struct ngtcp2_crypto_ossl_ctx *ctx;
    bool require_pq; // PG_QUIC_GROUPS_HYBRID
    bool is_client;
    bool hybrid_only;
    pg_peer_id expected_id; // length 0: whoever it is
    pg_tls_peer peer;       // proven
    pg_err refused;         // why the peer's certificate was refused; PG_OK: it was not
    char detail[160];
} pg_quic_handshake;

/** Prepare a handshake.
 *  ngtcp2   where the connection's pointer will stand
 *  Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_quic_handshake_new(const pg_quic_tls *tls, const pg_quic_tls_wish *wish,
                                          ngtcp2_conn **ngtcp2, pg_quic_handshake **out_handshake);

/** Tie it to a connection, once that is made. */
void pg_quic_handshake_attach(pg_quic_handshake *handshake, ngtcp2_conn *ngtcp2);

/** What a handshake that has completed came to. */
typedef struct pg_quic_tls_result {
    const char *security; // "tls/X25519MLKEM768"; static
    bool is_hybrid;
    pg_key secret; // of this connection, known to both ends only
} pg_quic_tls_result;

/** Take the result. Errors: PG_ERR_PROTOCOL (no "libp2p", or nobody was proven). */
PG_NODISCARD pg_err pg_quic_handshake_result(const pg_quic_handshake *handshake,
                                             pg_quic_tls_result *out_result);

/** Say why a handshake failed: by a refused certificate, else by the TLS alert that was sent or has come.
 *  alert   0 = none
 *  by_peer the peer sent it */
PG_NODISCARD pg_err pg_quic_handshake_fail(const pg_quic_handshake *handshake, uint8_t alert,
                                           bool by_peer);

/** Free, and wipe. After the connection, or when it has been told to forget the handshake. NULL is fine. */
void pg_quic_handshake_free(pg_quic_handshake **handshake);
