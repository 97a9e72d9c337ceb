// SPDX-License-Identifier: Apache-2.0
#include "net/quic_pnet.h"

#include "net/multistream.h"
#include "net/quic_endpoint.h"
#include "runtime/stream.h"

#define PROOF_CONTEXT "pangea-pnet-quic-1"

static const pg_str ids[] = {{PG_QUIC_PNET_ID, sizeof(PG_QUIC_PNET_ID) - 1}};

void pg_quic_pnet_proof(const pg_key *network_key, pg_quic_pnet_role role, const pg_key *secret,
                        uint8_t out_proof[PG_HASH_BYTES])
{
    uint8_t text[sizeof(PROOF_CONTEXT) - 1 + 1 + PG_KEY_BYTES];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(text));
    pg_writer_put(&writer, PG_BYTES_LIT(PROOF_CONTEXT));
    pg_writer_u8(&writer, (uint8_t) role);
    pg_writer_put(&writer, pg_key_bytes(secret));
    pg_assert(!writer.failed && writer.len == sizeof(text));
    pg_hmac_sha256(pg_key_bytes(network_key), pg_writer_bytes(&writer), out_proof);
    pg_wipe(text, sizeof(text));
}

static pg_err proof_send(pg_stream *stream, const pg_key *network_key, pg_quic_pnet_role role,
                         const pg_key *secret, pg_time deadline)
{
    uint8_t proof[PG_HASH_BYTES];
    pg_quic_pnet_proof(network_key, role, secret, proof);
    PG_TRY(pg_stream_write(stream, PG_BYTES_OF(proof), deadline));
    return pg_stream_close_write(stream, deadline);
}

static pg_err proof_check(pg_stream *stream, const pg_key *network_key, pg_quic_pnet_role role,
                          const pg_key *secret, pg_time deadline)
{
    uint8_t want[PG_HASH_BYTES];
    uint8_t got[PG_HASH_BYTES];
    PG_TRY(pg_stream_read_full(stream, PG_MUT_BYTES_OF(got), deadline));
    pg_quic_pnet_proof(network_key, role, secret, want);
    return pg_secret_equal(PG_BYTES_OF(want), PG_BYTES_OF(got))
               ? PG_OK
               : pg_fail(PG_ERR_AUTH, "the peer is not in this private network: it has another "
                                      "swarm key");
}

static pg_err dialer_run(pg_conn *conn, const pg_key *network_key, pg_time deadline,
                         pg_stream **out_stream)
{
    const pg_key *secret = pg_quic_conn_secret(conn);
    size_t chosen = 0;
    PG_TRY(pg_conn_open_stream(conn, deadline, out_stream));
    PG_TRY(pg_multistream_dial(*out_stream, ids, PG_ARRAY_LEN(ids), deadline, &chosen));
    PG_TRY(proof_send(*out_stream, network_key, PG_QUIC_PNET_ROLE_CLIENT, secret, deadline));
    return proof_check(*out_stream, network_key, PG_QUIC_PNET_ROLE_SERVER, secret, deadline);
}

// The listener shows nothing before it has seen.
static pg_err listener_run(pg_conn *conn, const pg_key *network_key, pg_time deadline,
                           pg_stream **out_stream)
{
    const pg_key *secret = pg_quic_conn_secret(conn);
    size_t chosen = 0;
    PG_TRY(pg_conn_accept_stream(conn, deadline, out_stream));
    PG_TRY(pg_multistream_listen(*out_stream, ids, PG_ARRAY_LEN(ids), deadline, &chosen));
    PG_TRY(proof_check(*out_stream, network_key, PG_QUIC_PNET_ROLE_CLIENT, secret, deadline));
    return proof_send(*out_stream, network_key, PG_QUIC_PNET_ROLE_SERVER, secret, deadline);
}

static bool is_stranger(pg_err err)
{
    return err == PG_ERR_UNSUPPORTED || err == PG_ERR_PROTOCOL || err == PG_ERR_MALFORMED ||
           err == PG_ERR_LIMIT || err == PG_ERR_RESET || err == PG_ERR_REFUSED ||
           err == PG_ERR_CLOSED || err == PG_ERR_TRUNCATED;
}

pg_err pg_quic_pnet_run(pg_conn *conn, const pg_key *network_key, bool is_dialer, pg_time deadline)
{
    pg_stream *stream = NULL;
    pg_err err = is_dialer ? dialer_run(conn, network_key, deadline, &stream)
                           : listener_run(conn, network_key, deadline, &stream);
    pg_stream_free(&stream); // what was written and closed still goes out
    return is_stranger(err)
               ? pg_fail(PG_ERR_AUTH, "the peer does not prove that it is in this private network")
               : err;
}
