// SPDX-License-Identifier: Apache-2.0
#include "net/null_security.h"

#include "crypto/public_key.h"
#include "net/framed.h"
#include "runtime/runtime.h"

pg_err pg_null_security_handshake(pg_stream *stream, const pg_identity *identity,
                                  const pg_peer_id *expected_id, pg_time deadline,
                                  pg_peer_id *out_peer, pg_buf *out_public_key)
{
    uint8_t own[PG_ED25519_ENCODED_BYTES];
    pg_public_key decoded;
    pg_peer_id peer;
    if (!pg_runtime_is_sim()) {
        return pg_fail(PG_ERR_INVALID, "connections without security exist in simulations only");
    }
    pg_public_key_encode_ed25519(identity->public_key, own);
    PG_TRY(pg_framed_write(stream, PG_BYTES_OF(own), deadline));
    PG_TRY(pg_framed_read(stream, PG_PUBLIC_KEY_BYTES_MAX, deadline, out_public_key));
    PG_TRY(pg_public_key_decode(pg_buf_bytes(out_public_key), &decoded));
    pg_peer_id_of_key(pg_buf_bytes(out_public_key), &peer);
    if (expected_id != NULL && !pg_peer_id_equal(expected_id, &peer)) {
        return pg_fail(PG_ERR_AUTH, "another peer than expected answered");
    }
    *out_peer = peer;
    return PG_OK;
}
