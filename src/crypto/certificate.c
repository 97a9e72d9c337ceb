// SPDX-License-Identifier: Apache-2.0
#include "crypto/certificate.h"

#include "base/arena.h"
#include "codec/pb.h"
#include "crypto/envelope.h"
#include "crypto/libp2p.pb-c.h"

#define DOMAIN PG_BYTES_LIT("pangea-device-cert")
#define PAYLOAD_TYPE PG_BYTES_LIT("/pangea/device-cert")
#define ARENA_BYTES 8192

pg_err pg_certificate_issue(const pg_identity *person,
                            const uint8_t device_key[PG_ED25519_PUBLIC_BYTES], uint64_t issued_at_s,
                            uint64_t expires_at_s, pg_buf *out)
{
    uint8_t encoded_key[PG_ED25519_ENCODED_BYTES];
    pg_public_key_encode_ed25519(device_key, encoded_key);
    Pangea__Crypto__Certificate message = PANGEA__CRYPTO__CERTIFICATE__INIT;
    message.has_version = true;
    message.version = PG_CERTIFICATE_VERSION;
    message.has_device_key = true;
    message.device_key = pg_pb_view(PG_BYTES_OF(encoded_key));
    message.has_issued_at_s = true;
    message.issued_at_s = issued_at_s;
    message.has_expires_at_s = expires_at_s != 0;
    message.expires_at_s = expires_at_s;
    pg_buf payload PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_pb_append(&payload, &message.base));
    return pg_envelope_seal(person, DOMAIN, PAYLOAD_TYPE, pg_buf_bytes(&payload), out);
}

static pg_err payload_decode(const pg_envelope *envelope, pg_arena *arena,
                             pg_certificate *out_certificate)
{
    ProtobufCMessage *unpacked = NULL;
    PG_TRY(pg_pb_unpack(&pangea__crypto__certificate__descriptor, envelope->payload, arena,
                        &unpacked));
    const Pangea__Crypto__Certificate *message = (const Pangea__Crypto__Certificate *) unpacked;
    if (message->version != PG_CERTIFICATE_VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a certificate of version %u, this is for %d",
                       message->version, PG_CERTIFICATE_VERSION);
    }
    pg_bytes device_key = pg_pb_bytes(message->device_key);
    pg_public_key key = {0};
    PG_TRY(pg_error_wrap(pg_public_key_decode(device_key, &key), "device"));
    *out_certificate = (pg_certificate){
        .person = envelope->signer,
        .issued_at_s = message->issued_at_s,
        .expires_at_s = message->expires_at_s,
    };
    pg_peer_id_of_key(device_key, &out_certificate->device);
    return PG_OK;
}

pg_err pg_certificate_decode(pg_bytes in, pg_certificate *out_certificate)
{
    if (in.len > PG_CERTIFICATE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a certificate of %zu bytes, at most %d", in.len,
                       PG_CERTIFICATE_BYTES_MAX);
    }
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(ARENA_BYTES);
    pg_envelope envelope = {0};
    PG_TRY(pg_error_wrap(pg_envelope_decode(in, DOMAIN, PAYLOAD_TYPE, &arena, &envelope),
                         "certificate"));
    return pg_error_wrap(payload_decode(&envelope, &arena, out_certificate), "certificate");
}

bool pg_certificate_is_valid_at(const pg_certificate *certificate, uint64_t now_s)
{
    bool begun = certificate->issued_at_s <= PG_CERTIFICATE_CLOCK_SLACK_S ||
                 certificate->issued_at_s - PG_CERTIFICATE_CLOCK_SLACK_S <= now_s;
    return begun && (certificate->expires_at_s == 0 || now_s < certificate->expires_at_s);
}
