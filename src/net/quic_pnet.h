// SPDX-License-Identifier: Apache-2.0
// Private networks over QUIC: libp2p defines none, since its cipher below the handshake would have to change every packet.
// Here both ends prove, on the first stream of a connection and before any other, that they have the network's key: by a MAC
// over a secret that only the two ends of this TLS connection know.
//
// Layer: net.  Thread: loop thread only.  Spec: docs/protocols/quic.md, "Private networks"
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "net/conn.h"

#define PG_QUIC_PNET_ID "/pangea/pnet-quic/1.0.0"

typedef enum pg_quic_pnet_role {
    PG_QUIC_PNET_ROLE_CLIENT = 'c',
    PG_QUIC_PNET_ROLE_SERVER = 's',
} pg_quic_pnet_role;

/** Compute what an end in this role shows of a connection with this secret. */
void pg_quic_pnet_proof(const pg_key *network_key, pg_quic_pnet_role role, const pg_key *secret,
                        uint8_t out_proof[PG_HASH_BYTES]);

/** Prove, and want the proof: as the dialer of `conn` or as its listener. Parks: yes.
 *  Errors: PG_ERR_AUTH (the peer has another key, or none), PG_ERR_TIMEOUT, PG_ERR_CANCELLED, and what ended the connection */
PG_NODISCARD pg_err pg_quic_pnet_run(pg_conn *conn, const pg_key *network_key, bool is_dialer,
                                     pg_time deadline);
