// SPDX-License-Identifier: Apache-2.0
// Goal: the payloads are libp2p's, an identity holds for one static key only, unknown fields are skipped, and a
// stripped offer is noticed.
// Method: payloads encoded, then bytes added and changed by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/noise_libp2p.h"

#define HYBRID PG_STR("/noise-mlkem768-hfs/0.2.0")
#define CLASSICAL PG_STR("/noise")

static const pg_str muxers[] = {{"/yamux/1.0.0", 12}, {"/mplex/6.7.0", 12}};
static const pg_str securities[] = {{"/noise-mlkem768-hfs/0.2.0", 25}, {"/noise", 6}};
static const pg_noise_offer offer = {{muxers, 2}, {securities, 2}};
static const uint8_t noise_static[PG_X25519_BYTES] = {7, 7, 7};

static pg_identity identity_make(void)
{
    pg_key seed = {{1, 2, 3}};
    pg_identity identity = {0};
    assert_int_equal(pg_identity_init(&identity, &seed), PG_OK);
    return identity;
}

static pg_buf payload_make(const pg_noise_offer *what)
{
    pg_identity identity = identity_make();
    pg_buf out = {0};
    assert_int_equal(pg_noise_payload_encode(&identity, noise_static, what, &out), PG_OK);
    pg_identity_deinit(&identity);
    return out;
}

static void test_payload__encoded__reads_back(void **state)
{
    (void) state;
    pg_identity identity = identity_make();
    pg_buf payload = payload_make(&offer);
    // Field 1024, length-delimited: tag 8194 as varint.
    assert_memory_equal(payload.ptr + payload.len - 9, "\x82\x40\x06/noise", 9);
    pg_arena arena = pg_arena_make(PG_NOISE_PAYLOAD_ARENA_BYTES);
    pg_noise_peer peer = {0};
    assert_int_equal(pg_noise_payload_decode(pg_buf_bytes(&payload), noise_static, &arena, &peer),
                     PG_OK);
    assert_true(pg_peer_id_equal(&peer.id, &identity.peer_id));
    assert_int_equal(peer.identity_key.len, PG_ED25519_ENCODED_BYTES);
    assert_int_equal(peer.offer.muxers.count, 2);
    assert_true(pg_str_equal(peer.offer.muxers.ids[1], muxers[1]));
    assert_int_equal(peer.offer.securities.count, 2);
    assert_true(pg_str_equal(peer.offer.securities.ids[0], HYBRID));
    pg_arena_deinit(&arena);
    pg_buf_deinit(&payload);
    pg_identity_deinit(&identity);
}

static void test_payload__other_static_key__is_refused(void **state)
{
    (void) state;
    pg_buf payload = payload_make(&offer);
    pg_arena arena = pg_arena_make(PG_NOISE_PAYLOAD_ARENA_BYTES);
    pg_noise_peer peer = {0};
    const uint8_t other[PG_X25519_BYTES] = {8};
    assert_int_equal(pg_noise_payload_decode(pg_buf_bytes(&payload), other, &arena, &peer),
                     PG_ERR_AUTH);
    assert_int_equal(peer.id.len, 0);
    pg_arena_deinit(&arena);
    pg_buf_deinit(&payload);
}

static pg_err decode_with(const pg_noise_offer *what, pg_bytes extra, size_t times)
{
    pg_buf payload = payload_make(what);
    for (size_t i = 0; i < times; i++) {
        assert_int_equal(pg_buf_append(&payload, extra), PG_OK);
    }
    pg_arena arena = pg_arena_make(PG_NOISE_PAYLOAD_ARENA_BYTES);
    pg_noise_peer peer = {0};
    pg_err err = pg_noise_payload_decode(pg_buf_bytes(&payload), noise_static, &arena, &peer);
    pg_arena_deinit(&arena);
    pg_buf_deinit(&payload);
    return err;
}

static void test_payload__unknown_fields__are_skipped(void **state)
{
    (void) state;
    assert_int_equal(decode_with(&offer, PG_BYTES_LIT("\x1a\x04test"), 50), PG_OK); // field 3
    const pg_noise_offer nothing = {0};
    assert_int_equal(decode_with(&nothing, PG_BYTES_LIT("\x22\x03\x0a\x01h"), 1), PG_OK);
}

// Extensions with `count` more entries of one byte each, after the offer of two.
static pg_err decode_with_entries(pg_bytes entry, size_t count)
{
    uint8_t extra[600] = {0x22, 0, 0};
    size_t len = entry.len * count;
    extra[1] = (uint8_t) (len | 0x80);
    extra[2] = (uint8_t) (len >> 7);
    for (size_t i = 0; i < count; i++) {
        memcpy(extra + 3 + i * entry.len, entry.ptr, entry.len);
    }
    return decode_with(&offer, pg_bytes_make(extra, 3 + len), 1);
}

static void test_payload__lists_beyond_limits__are_refused(void **state)
{
    (void) state;
    pg_bytes muxer = PG_BYTES_LIT("\x12\x01m");
    assert_int_equal(decode_with_entries(muxer, PG_NOISE_MUXERS_MAX - 2), PG_OK);
    assert_int_equal(decode_with_entries(muxer, PG_NOISE_MUXERS_MAX - 1), PG_ERR_LIMIT);
    pg_bytes security = PG_BYTES_LIT("\x82\x40\x01s");
    assert_int_equal(decode_with_entries(security, PG_NOISE_SECURITIES_MAX - 2), PG_OK);
    assert_int_equal(decode_with_entries(security, PG_NOISE_SECURITIES_MAX - 1), PG_ERR_LIMIT);
    // The same field over and over makes the reader merge: that memory is bounded too.
    assert_int_equal(decode_with(&offer, PG_BYTES_LIT("\x22\x03\x12\x01m"), 1000), PG_ERR_LIMIT);
    assert_int_equal(decode_with(&offer, PG_BYTES_LIT("\x1a\x04test"), 2000), PG_ERR_LIMIT);
    uint8_t long_id[6 + 256] = {0x22, 0x83, 0x02, 0x12, 0x80, 0x02};
    assert_int_equal(decode_with(&offer, PG_BYTES_OF(long_id), 1), PG_ERR_LIMIT);
    assert_int_equal(decode_with(&offer, PG_BYTES_LIT("\x22\x05"), 1), PG_ERR_MALFORMED);
}

static void test_payload__offer_of_ours_too_large__is_refused(void **state)
{
    (void) state;
    pg_identity identity = identity_make();
    static const pg_str ids[PG_NOISE_MUXERS_MAX + 1];
    static char text[PG_NOISE_PROTOCOL_BYTES_MAX + 1];
    const pg_str too_long = {text, sizeof(text)};
    pg_str full[PG_NOISE_MUXERS_MAX];
    for (size_t i = 0; i < PG_ARRAY_LEN(full); i++) {
        full[i] = pg_str_make_len(text, PG_NOISE_PROTOCOL_BYTES_MAX);
    }
    const pg_noise_offer offers[] = {
        {.muxers = {ids, PG_NOISE_MUXERS_MAX + 1}},
        {.securities = {ids, PG_NOISE_SECURITIES_MAX + 1}},
        {.muxers = {&too_long, 1}},
        {.muxers = {full, PG_ARRAY_LEN(full)}},
    };
    pg_buf out = {0};
    for (size_t i = 0; i < PG_ARRAY_LEN(offers); i++) {
        assert_int_equal(pg_noise_payload_encode(&identity, noise_static, &offers[i], &out),
                         PG_ERR_LIMIT);
    }
    assert_int_equal(out.len, 0);
    pg_identity_deinit(&identity);
}

static void test_payload__without_identity__is_refused(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(PG_NOISE_PAYLOAD_ARENA_BYTES);
    pg_noise_peer peer = {0};
    assert_int_equal(pg_noise_payload_decode(PG_BYTES_EMPTY, noise_static, &arena, &peer),
                     PG_ERR_TRUNCATED);
    pg_arena_deinit(&arena);
}

static void test_muxer__chosen__by_the_initiators_order(void **state)
{
    (void) state;
    const pg_str reversed[] = {muxers[1], muxers[0]};
    const pg_str foreign[] = {PG_STR("/other")};
    const pg_noise_list ours = {muxers, 2};
    const pg_noise_list theirs = {reversed, 2};
    const pg_noise_list strange = {foreign, 1};
    const pg_noise_list none = {0};
    pg_str muxer = {0};
    assert_int_equal(pg_noise_muxer_choose(&ours, &theirs, &muxer), PG_OK);
    assert_true(pg_str_equal(muxer, muxers[0]));
    assert_int_equal(pg_noise_muxer_choose(&theirs, &ours, &muxer), PG_OK);
    assert_true(pg_str_equal(muxer, muxers[1]));
    assert_int_equal(pg_noise_muxer_choose(&ours, &strange, &muxer), PG_ERR_PROTOCOL);
    assert_int_equal(pg_noise_muxer_choose(&none, &strange, &muxer), PG_OK);
    assert_int_equal(muxer.len, 0);
    assert_int_equal(pg_noise_muxer_choose(&ours, &none, &muxer), PG_OK);
}

static void test_downgrade__both_list_hybrid_and_are_not_in_it__is_refused(void **state)
{
    (void) state;
    const pg_noise_list both = {securities, 2};
    const pg_noise_list classical = {securities + 1, 1};
    const pg_noise_list silent = {0};
    assert_int_equal(pg_noise_downgrade_check(&both, &both, HYBRID, CLASSICAL), PG_ERR_DOWNGRADE);
    assert_int_equal(pg_noise_downgrade_check(&both, &both, HYBRID, HYBRID), PG_OK);
    assert_int_equal(pg_noise_downgrade_check(&both, &classical, HYBRID, CLASSICAL), PG_OK);
    assert_int_equal(pg_noise_downgrade_check(&classical, &both, HYBRID, CLASSICAL), PG_OK);
    assert_int_equal(pg_noise_downgrade_check(&both, &silent, HYBRID, CLASSICAL), PG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payload__encoded__reads_back),
        cmocka_unit_test(test_payload__other_static_key__is_refused),
        cmocka_unit_test(test_payload__unknown_fields__are_skipped),
        cmocka_unit_test(test_payload__lists_beyond_limits__are_refused),
        cmocka_unit_test(test_payload__offer_of_ours_too_large__is_refused),
        cmocka_unit_test(test_payload__without_identity__is_refused),
        cmocka_unit_test(test_muxer__chosen__by_the_initiators_order),
        cmocka_unit_test(test_downgrade__both_list_hybrid_and_are_not_in_it__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
