// SPDX-License-Identifier: Apache-2.0
#include "crypto/envelope.h"

#include "base/mem.h"
#include "codec/pb.h"
#include "codec/varint.h"
#include "crypto/libp2p.pb-c.h"
#include "crypto/public_key.h"

// RFC 0002: what is signed is domain, type and payload, each after its length as a varint. Owned by the caller.
static pg_err signed_bytes(pg_bytes domain, pg_bytes payload_type, pg_bytes payload, pg_buf *out)
{
    size_t space = domain.len + payload_type.len + 3 * PG_UVARINT_BYTES_MAX; // both are short
    if (!pg_add_size(space, payload.len, &space) || payload.len > PG_ENVELOPE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "an envelope around %zu bytes, at most %d", payload.len,
                       PG_ENVELOPE_BYTES_MAX);
    }
    PG_TRY(pg_buf_reserve(out, space));
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out->ptr, space));
    pg_writer_uvarint_bytes(&writer, domain);
    pg_writer_uvarint_bytes(&writer, payload_type);
    pg_writer_uvarint_bytes(&writer, payload);
    pg_assert(!writer.failed);
    out->len = writer.len;
    return PG_OK;
}

pg_err pg_envelope_seal(const pg_identity *identity, pg_bytes domain, pg_bytes payload_type,
                        pg_bytes payload, pg_buf *out)
{
    uint8_t key[PG_ED25519_ENCODED_BYTES];
    uint8_t signature[PG_ED25519_SIGNATURE_BYTES];
    pg_buf message PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(signed_bytes(domain, payload_type, payload, &message));
    pg_identity_sign(identity, pg_buf_bytes(&message), signature);
    pg_public_key_encode_ed25519(identity->public_key, key);

    Pangea__Crypto__Envelope envelope = PANGEA__CRYPTO__ENVELOPE__INIT;
    envelope.has_public_key = true;
    envelope.public_key = pg_pb_view(PG_BYTES_OF(key));
    envelope.has_payload_type = true;
    envelope.payload_type = pg_pb_view(payload_type);
    envelope.has_payload = true;
    envelope.payload = pg_pb_view(payload);
    envelope.has_signature = true;
    envelope.signature = pg_pb_view(PG_BYTES_OF(signature));
    size_t len = protobuf_c_message_get_packed_size(&envelope.base);
    if (len > PG_ENVELOPE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "an envelope of %zu bytes, at most %d", len,
                       PG_ENVELOPE_BYTES_MAX);
    }
    return pg_pb_append(out, &envelope.base);
}

static pg_err envelope_take(pg_bytes in, pg_bytes payload_type, pg_arena *arena,
                            pg_envelope *out_envelope, pg_bytes *out_signature)
{
    if (in.len > PG_ENVELOPE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "an envelope of %zu bytes, at most %d", in.len,
                       PG_ENVELOPE_BYTES_MAX);
    }
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_pb_unpack(&pangea__crypto__envelope__descriptor, in, arena, &message));
    const Pangea__Crypto__Envelope *envelope = (const Pangea__Crypto__Envelope *) message;
    if (!pg_bytes_equal(pg_pb_bytes(envelope->payload_type), payload_type)) {
        return pg_fail(PG_ERR_UNSUPPORTED, "an envelope with a payload of another type");
    }
    *out_envelope = (pg_envelope){
        .public_key = pg_pb_bytes(envelope->public_key),
        .payload = pg_pb_bytes(envelope->payload),
    };
    pg_peer_id_of_key(out_envelope->public_key, &out_envelope->signer);
    *out_signature = pg_pb_bytes(envelope->signature);
    return PG_OK;
}

pg_err pg_envelope_decode(pg_bytes in, pg_bytes domain, pg_bytes payload_type, pg_arena *arena,
                          pg_envelope *out_envelope)
{
    pg_envelope opened;
    pg_bytes signature;
    pg_public_key key = {0};
    pg_buf signed_message PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(envelope_take(in, payload_type, arena, &opened, &signature));
    PG_TRY(pg_error_wrap(pg_public_key_decode(opened.public_key, &key), "envelope"));
    PG_TRY(signed_bytes(domain, payload_type, opened.payload, &signed_message));
    PG_TRY(pg_error_wrap(pg_public_key_verify(&key, pg_buf_bytes(&signed_message), signature),
                         "envelope"));
    *out_envelope = opened;
    return PG_OK;
}

pg_err pg_envelope_reread(pg_bytes in, pg_bytes payload_type, pg_arena *arena,
                          pg_envelope *out_envelope)
{
    pg_envelope opened;
    pg_bytes signature;
    PG_TRY(envelope_take(in, payload_type, arena, &opened, &signature));
    *out_envelope = opened;
    return PG_OK;
}
