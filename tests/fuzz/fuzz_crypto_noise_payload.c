// SPDX-License-Identifier: Apache-2.0
// Goal: a Noise payload of any bytes ends in a verdict; behind a good identity any extensions do too, within their limits.
// Input: read as it is, and once more behind a payload with a good signature.
#include "crypto/noise_libp2p.h"
#include "fuzz.h"

static void check(pg_bytes in, const uint8_t *noise_static)
{
    pg_arena arena = pg_arena_make(PG_NOISE_PAYLOAD_ARENA_BYTES);
    pg_noise_peer peer = {0};
    if (pg_noise_payload_decode(in, noise_static, &arena, &peer) == PG_OK) {
        FUZZ_CHECK(peer.id.len != 0);
        FUZZ_CHECK(peer.offer.muxers.count <= PG_NOISE_MUXERS_MAX);
        FUZZ_CHECK(peer.offer.securities.count <= PG_NOISE_SECURITIES_MAX);
        const pg_noise_list none = {0};
        pg_str muxer = {0};
        FUZZ_CHECK(pg_noise_muxer_choose(&peer.offer.muxers, &none, &muxer) == PG_OK);
    }
    pg_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > PG_NOISE_PAYLOAD_BYTES_MAX) {
        return 0;
    }
    const uint8_t noise_static[PG_X25519_BYTES] = {1};
    check(pg_bytes_make(data, size), noise_static);
    pg_key seed = {{1}};
    pg_identity identity = {0};
    pg_noise_offer offer = {0};
    pg_buf payload = {0};
    FUZZ_CHECK(pg_identity_init(&identity, &seed) == PG_OK);
    FUZZ_CHECK(pg_noise_payload_encode(&identity, noise_static, &offer, &payload) == PG_OK);
    FUZZ_CHECK(pg_buf_append(&payload, pg_bytes_make(data, size)) == PG_OK);
    check(pg_buf_bytes(&payload), noise_static);
    pg_buf_deinit(&payload);
    pg_identity_deinit(&identity);
    return 0;
}
