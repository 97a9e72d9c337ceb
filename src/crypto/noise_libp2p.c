// SPDX-License-Identifier: Apache-2.0
#include "crypto/noise_libp2p.h"

#include "codec/pb.h"
#include "crypto/libp2p.pb-c.h"
#include "crypto/public_key.h"

#define SIGNED_PREFIX PG_BYTES_LIT("noise-libp2p-static-key:")
#define SIGNED_BYTES (24 + PG_X25519_BYTES)

// What the identity key signs: the prefix, then the static key.
static void signed_write(const uint8_t *noise_static, uint8_t out_message[SIGNED_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_message, SIGNED_BYTES));
    pg_writer_put(&writer, SIGNED_PREFIX);
    pg_writer_put(&writer, pg_bytes_make(noise_static, PG_X25519_BYTES));
    pg_assert(!writer.failed && writer.len == SIGNED_BYTES);
}

static pg_err list_view(const pg_noise_list *list, size_t max, ProtobufCBinaryData *out_views)
{
    if (list->count > max) {
        return pg_fail(PG_ERR_LIMIT, "an offer of %zu protocols, at most %zu", list->count, max);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->ids[i].len > PG_NOISE_PROTOCOL_BYTES_MAX) {
            return pg_fail(PG_ERR_LIMIT, "a protocol id of %zu characters", list->ids[i].len);
        }
        out_views[i] = pg_pb_view(pg_bytes_make(list->ids[i].ptr, list->ids[i].len));
    }
    return PG_OK;
}

pg_err pg_noise_payload_encode(const pg_identity *identity,
                               const uint8_t noise_static[PG_X25519_BYTES],
                               const pg_noise_offer *offer, pg_buf *out)
{
    uint8_t message[SIGNED_BYTES];
    uint8_t signature[PG_ED25519_SIGNATURE_BYTES];
    uint8_t key[PG_ED25519_ENCODED_BYTES];
    signed_write(noise_static, message);
    pg_identity_sign(identity, PG_BYTES_OF(message), signature);
    pg_public_key_encode_ed25519(identity->public_key, key);

    ProtobufCBinaryData muxers[PG_NOISE_MUXERS_MAX];
    ProtobufCBinaryData securities[PG_NOISE_SECURITIES_MAX];
    PG_TRY(list_view(&offer->muxers, PG_NOISE_MUXERS_MAX, muxers));
    PG_TRY(list_view(&offer->securities, PG_NOISE_SECURITIES_MAX, securities));
    Pangea__Crypto__NoiseExtensions extensions = PANGEA__CRYPTO__NOISE_EXTENSIONS__INIT;
    extensions.n_stream_muxers = offer->muxers.count;
    extensions.stream_muxers = muxers;
    extensions.n_securities = offer->securities.count;
    extensions.securities = securities;
    Pangea__Crypto__NoisePayload payload = PANGEA__CRYPTO__NOISE_PAYLOAD__INIT;
    payload.has_identity_key = true;
    payload.identity_key = pg_pb_view(PG_BYTES_OF(key));
    payload.has_identity_sig = true;
    payload.identity_sig = pg_pb_view(PG_BYTES_OF(signature));
    payload.extensions = &extensions;
    size_t len = protobuf_c_message_get_packed_size(&payload.base);
    if (len > PG_NOISE_PAYLOAD_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a noise payload of %zu bytes, at most %d", len,
                       PG_NOISE_PAYLOAD_BYTES_MAX);
    }
    return pg_pb_append(out, &payload.base);
}

static pg_err list_copy(size_t count, const ProtobufCBinaryData *views, size_t max, pg_arena *arena,
                        pg_noise_list *out_list)
{
    if (count > max) {
        return pg_fail(PG_ERR_LIMIT, "an offer of %zu protocols, at most %zu", count, max);
    }
    pg_str *ids = pg_arena_alloc(arena, count * sizeof(*ids));
    if (ids == NULL) {
        return pg_fail(PG_ERR_LIMIT, "an offer that takes too much memory");
    }
    for (size_t i = 0; i < count; i++) {
        if (views[i].len > PG_NOISE_PROTOCOL_BYTES_MAX) {
            return pg_fail(PG_ERR_LIMIT, "a protocol id of %zu characters", views[i].len);
        }
        ids[i] = pg_str_make_len((const char *) views[i].data, views[i].len);
    }
    *out_list = (pg_noise_list){ids, count};
    return PG_OK;
}

static pg_err offer_copy(const Pangea__Crypto__NoiseExtensions *extensions, pg_arena *arena,
                         pg_noise_offer *out_offer)
{
    if (extensions == NULL) {
        return PG_OK;
    }
    PG_TRY(list_copy(extensions->n_stream_muxers, extensions->stream_muxers, PG_NOISE_MUXERS_MAX,
                     arena, &out_offer->muxers));
    return list_copy(extensions->n_securities, extensions->securities, PG_NOISE_SECURITIES_MAX,
                     arena, &out_offer->securities);
}

pg_err pg_noise_payload_decode(pg_bytes in, const uint8_t noise_static[PG_X25519_BYTES],
                               pg_arena *arena, pg_noise_peer *out_peer)
{
    if (in.len > PG_NOISE_PAYLOAD_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a noise payload of %zu bytes, at most %d", in.len,
                       PG_NOISE_PAYLOAD_BYTES_MAX);
    }
    ProtobufCMessage *unpacked = NULL;
    PG_TRY(pg_pb_unpack(&pangea__crypto__noise_payload__descriptor, in, arena, &unpacked));
    const Pangea__Crypto__NoisePayload *payload = (const Pangea__Crypto__NoisePayload *) unpacked;
    pg_noise_peer peer = {.identity_key = pg_pb_bytes(payload->identity_key)};
    pg_public_key key = {0};
    PG_TRY(pg_error_wrap(pg_public_key_decode(peer.identity_key, &key), "noise identity"));
    uint8_t message[SIGNED_BYTES];
    signed_write(noise_static, message);
    PG_TRY(pg_error_wrap(
        pg_public_key_verify(&key, PG_BYTES_OF(message), pg_pb_bytes(payload->identity_sig)),
        "noise identity"));
    PG_TRY(pg_error_wrap(offer_copy(payload->extensions, arena, &peer.offer), "noise extensions"));
    pg_peer_id_of_key(peer.identity_key, &peer.id);
    *out_peer = peer;
    return PG_OK;
}

static bool list_has(const pg_noise_list *list, pg_str id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (pg_str_equal(list->ids[i], id)) {
            return true;
        }
    }
    return false;
}

pg_err pg_noise_muxer_choose(const pg_noise_list *initiator, const pg_noise_list *responder,
                             pg_str *out_muxer)
{
    if (initiator->count == 0 || responder->count == 0) {
        *out_muxer = (pg_str){0};
        return PG_OK;
    }
    for (size_t i = 0; i < initiator->count; i++) {
        if (list_has(responder, initiator->ids[i])) {
            *out_muxer = initiator->ids[i];
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_PROTOCOL, "the two sides have no muxer in common");
}

pg_err pg_noise_downgrade_check(const pg_noise_list *ours, const pg_noise_list *theirs,
                                pg_str strongest, pg_str used)
{
    if (!pg_str_equal(used, strongest) && list_has(ours, strongest) &&
        list_has(theirs, strongest)) {
        return pg_fail(PG_ERR_DOWNGRADE,
                       "both sides offer %.*s, yet %.*s was negotiated: somebody in between took "
                       "the offer out",
                       PG_STR_ARGS(strongest), PG_STR_ARGS(used));
    }
    return PG_OK;
}
