// SPDX-License-Identifier: Apache-2.0
// Goal: both handshakes give the published bytes, every change of a message ends them, and the ciphers they end in count
// their messages.
// Method: the cacophony vector; the public vector of the hybrid pattern under its present and its older name, whose
// handshake hashes cover every byte sent; then changed messages, one bit at a time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "crypto/noise.h"
#include "vectors.h"

#define SPACE_BYTES 2048

typedef struct noise_pair {
    pg_noise *initiator;
    pg_noise *responder;
} noise_pair;

static void assert_hex(const uint8_t *bytes, size_t len, const char *want)
{
    char text[2 * 64 + 1];
    assert_true(2 * len < sizeof(text));
    pg_hex_encode(pg_bytes_make(bytes, len), text);
    assert_string_equal(text, want);
}

static pg_key run_of(uint8_t byte)
{
    pg_key key;
    memset(key.bytes, byte, sizeof(key.bytes));
    return key;
}

// The private values of the public vectors: runs of one byte, counted up from a base.
static pg_noise *party(pg_noise_pattern pattern, const char *name, bool initiator, uint8_t base)
{
    pg_noise_seeds seeds;
    pg_key secret = run_of((uint8_t) (base + (initiator ? 1 : 2)));
    seeds.ephemeral = run_of((uint8_t) (base + (initiator ? 3 : 4)));
    memset(seeds.kem_key, base + 5, sizeof(seeds.kem_key));
    memset(seeds.kem_random, base + 6, sizeof(seeds.kem_random));
    pg_noise_config config = {pattern, name, initiator, PG_BYTES_EMPTY, &secret, &seeds};
    pg_noise *noise = NULL;
    assert_int_equal(pg_noise_new(&config, &noise), PG_OK);
    return noise;
}

static noise_pair pair_make(pg_noise_pattern pattern, const char *name)
{
    return (noise_pair){party(pattern, name, true, 0x10), party(pattern, name, false, 0x10)};
}

static void pair_free(noise_pair *pair)
{
    pg_noise_free(&pair->initiator);
    pg_noise_free(&pair->responder);
}

static size_t write_next(pg_noise *noise, pg_bytes payload, uint8_t *space)
{
    size_t len = 0;
    size_t overhead = pg_noise_overhead(noise);
    assert_true(pg_noise_is_our_turn(noise));
    assert_int_equal(pg_noise_write(noise, payload, pg_mut_bytes_make(space, SPACE_BYTES), &len),
                     PG_OK);
    assert_int_equal(len, overhead + payload.len);
    return len;
}

// Passes messages to and fro until the `steps`-th is done.
static void advance(noise_pair *pair, int steps)
{
    for (int step = 0; step < steps; step++) {
        pg_noise *from = step % 2 == 0 ? pair->initiator : pair->responder;
        pg_noise *to = step % 2 == 0 ? pair->responder : pair->initiator;
        uint8_t space[SPACE_BYTES];
        size_t len = write_next(from, PG_BYTES_LIT("payload"), space);
        pg_bytes payload = PG_BYTES_EMPTY;
        assert_int_equal(pg_noise_read(to, pg_mut_bytes_make(space, len), &payload), PG_OK);
        assert_true(pg_bytes_equal(payload, PG_BYTES_LIT("payload")));
    }
}

static void test_noise_xx__cacophony_vector__matches_every_byte(void **state)
{
    (void) state;
    vectors file = vectors_open("cacophony/noise_xx.txt");
    assert_true(vectors_next(&file));
    pg_key secrets[2];
    pg_noise_seeds seeds[2] = {0};
    memcpy(secrets[0].bytes, vectors_bytes(&file, "init_static").ptr, PG_KEY_BYTES);
    memcpy(secrets[1].bytes, vectors_bytes(&file, "resp_static").ptr, PG_KEY_BYTES);
    memcpy(seeds[0].ephemeral.bytes, vectors_bytes(&file, "init_ephemeral").ptr, PG_KEY_BYTES);
    memcpy(seeds[1].ephemeral.bytes, vectors_bytes(&file, "resp_ephemeral").ptr, PG_KEY_BYTES);
    pg_noise *parties[2] = {0};
    for (int i = 0; i < 2; i++) {
        pg_noise_config config = {
            PG_NOISE_PATTERN_XX, NULL,     i == 0, vectors_bytes(&file, "init_prologue"),
            &secrets[i],         &seeds[i]};
        assert_int_equal(pg_noise_new(&config, &parties[i]), PG_OK);
    }
    uint8_t hash[PG_HASH_BYTES];
    memcpy(hash, vectors_bytes(&file, "handshake_hash").ptr, sizeof(hash));

    pg_noise_cipher ciphers[2][2] = {0}; // [party][send, receive]
    for (size_t i = 0; vectors_next(&file); i++) {
        uint8_t space[SPACE_BYTES];
        pg_bytes payload = vectors_bytes(&file, "payload");
        pg_bytes want = vectors_bytes(&file, "ciphertext");
        size_t from = i % 2;
        if (i < 3) {
            pg_bytes got = PG_BYTES_EMPTY;
            size_t len = write_next(parties[from], payload, space);
            assert_true(pg_bytes_equal(pg_bytes_make(space, len), want));
            assert_int_equal(pg_noise_read(parties[1 - from], pg_mut_bytes_make(space, len), &got),
                             PG_OK);
            assert_true(pg_bytes_equal(got, payload));
            continue;
        }
        if (i == 3) {
            for (int p = 0; p < 2; p++) {
                assert_true(pg_noise_is_done(parties[p]));
                assert_memory_equal(pg_noise_hash(parties[p]), hash, sizeof(hash));
                assert_int_equal(pg_noise_split(parties[p], &ciphers[p][0], &ciphers[p][1]), PG_OK);
            }
        }
        // The vector lets the responder speak first after the handshake.
        assert_int_equal(pg_noise_encrypt(&ciphers[from][0], payload, space), PG_OK);
        assert_true(pg_bytes_equal(pg_bytes_make(space, payload.len + PG_AEAD_TAG_BYTES), want));
        assert_int_equal(pg_noise_decrypt(&ciphers[1 - from][1], want, space), PG_OK);
        assert_true(pg_bytes_equal(pg_bytes_make(space, payload.len), payload));
    }
    assert_int_equal(file.count, 7);
    for (int p = 0; p < 2; p++) {
        pg_noise_cipher_deinit(&ciphers[p][0]);
        pg_noise_cipher_deinit(&ciphers[p][1]);
        pg_noise_free(&parties[p]);
    }
}

static void check_hybrid(const char *name, const char *hash, const char *first, const char *second)
{
    noise_pair pair = pair_make(PG_NOISE_PATTERN_XXHFS, name);
    static const size_t lens[] = {1216, 1200, 64};
    for (size_t step = 0; step < 3; step++) {
        pg_noise *from = step == 1 ? pair.responder : pair.initiator;
        pg_noise *to = step == 1 ? pair.initiator : pair.responder;
        uint8_t space[SPACE_BYTES];
        pg_bytes payload = PG_BYTES_EMPTY;
        assert_int_equal(write_next(from, PG_BYTES_EMPTY, space), lens[step]);
        assert_int_equal(pg_noise_read(to, pg_mut_bytes_make(space, lens[step]), &payload), PG_OK);
        assert_int_equal(payload.len, 0);
    }
    assert_hex(pg_noise_hash(pair.initiator), PG_HASH_BYTES, hash);
    assert_hex(pg_noise_hash(pair.responder), PG_HASH_BYTES, hash);

    // The keys themselves are not given out: what they encrypt stands for them.
    pg_key keys[2];
    assert_int_equal(pg_hex_decode(pg_str_make(first), PG_MUT_BYTES_OF(keys[0].bytes)), PG_OK);
    assert_int_equal(pg_hex_decode(pg_str_make(second), PG_MUT_BYTES_OF(keys[1].bytes)), PG_OK);
    pg_noise_cipher known[2] = {0};
    pg_noise_cipher send = {0};
    pg_noise_cipher receive = {0};
    assert_int_equal(pg_noise_split(pair.initiator, &send, &receive), PG_OK);
    uint8_t a[4 + PG_AEAD_TAG_BYTES];
    uint8_t b[4 + PG_AEAD_TAG_BYTES];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pg_noise_cipher_init(&known[i], &keys[i]), PG_OK);
        assert_int_equal(pg_noise_encrypt(&known[i], PG_BYTES_LIT("text"), a), PG_OK);
        assert_int_equal(pg_noise_encrypt(i == 0 ? &send : &receive, PG_BYTES_LIT("text"), b),
                         PG_OK);
        assert_memory_equal(a, b, sizeof(a));
        pg_noise_cipher_deinit(&known[i]);
    }
    pg_noise_cipher_deinit(&send);
    pg_noise_cipher_deinit(&receive);
    pair_free(&pair);
}

static void test_noise_xxhfs__public_vector_1__gives_hash_and_keys(void **state)
{
    (void) state;
    check_hybrid(NULL, "b5a3c9854777aa5dad0a633c769bcc6662713f20f14e0371e4bfd253e1869eef",
                 "0a825d67cbf14170dcccf6f5c54d50f46a9a23541122654f5bec41ef0a5657e5",
                 "f8546817671a440fd8df45b26fd6b45ebbf39e4207455ca12bc6d56ac0b35ebc");
}

static void test_noise_xxhfs__older_name__gives_its_own_hash_and_keys(void **state)
{
    (void) state;
    check_hybrid("Noise_XXhfs_25519+ML-KEM-768_ChaChaPoly_SHA256",
                 "86b6140bdd5266658b0f25b5d3088153418f072068fb1564bf0502429d5ee862",
                 "2931480a25e21d6f48b8687d7d753d0097d755fc8e76764b797a3c9db038422b",
                 "49849d5ec7ee65f51397789fee47f984fee70a4d4628ea065e2a2b89395ea67a");
}

// What the public vector says of each message: the start of A and B, all of C.
// github.com/paschal533/pq-noise-artifacts, vectors/pqc-test-vectors.json, commit 0c78eb176b15, vector 1 (CC BY 4.0).
static void test_noise_xxhfs__public_vector_1__gives_published_messages(void **state)
{
    (void) state;
    noise_pair pair = pair_make(PG_NOISE_PATTERN_XXHFS, NULL);
    uint8_t space[SPACE_BYTES];
    pg_bytes payload = PG_BYTES_EMPTY;
    size_t len = write_next(pair.initiator, PG_BYTES_EMPTY, space);
    assert_hex(space, 48,
               "197fc2c567dc03ee2aadf0ed86681dac24daa76e83ca555875dd3be7376e5306"
               "b989c17f78bdfc62afa2c0855471be97");
    assert_int_equal(pg_noise_read(pair.responder, pg_mut_bytes_make(space, len), &payload), PG_OK);
    len = write_next(pair.responder, PG_BYTES_EMPTY, space);
    assert_hex(space, 48,
               "18a6f8c1a7fddf22bd410138f79f7298cd38d1d0a542d4266d556be8609d8862"
               "71fa9be2c46cc471c8d370b63d9a6025");
    assert_int_equal(pg_noise_read(pair.initiator, pg_mut_bytes_make(space, len), &payload), PG_OK);
    len = write_next(pair.initiator, PG_BYTES_EMPTY, space);
    assert_hex(space, len,
               "ecee945a65a96f34fdaf116d3c70727852b0a25eb350bf72bb088f21cb374ba5"
               "0c973fdc4ea63d2065ac9ff9fb347f0700dcf7ec3bb3a3c01f84290c6d8931aa");
    pair_free(&pair);
}

static void test_noise__drawn_seeds__differ_and_finish(void **state)
{
    (void) state;
    pg_key secret = run_of(1);
    pair_free(&(noise_pair){0});
    uint8_t first[2][PG_X25519_BYTES];
    for (int i = 0; i < 2; i++) {
        pg_noise_config config = {PG_NOISE_PATTERN_XXHFS, NULL,    true,
                                  PG_BYTES_EMPTY,         &secret, NULL};
        noise_pair pair = {NULL, party(PG_NOISE_PATTERN_XXHFS, NULL, false, 0x10)};
        assert_int_equal(pg_noise_new(&config, &pair.initiator), PG_OK);
        uint8_t space[SPACE_BYTES];
        pg_bytes payload = PG_BYTES_EMPTY;
        size_t len = write_next(pair.initiator, PG_BYTES_EMPTY, space);
        memcpy(first[i], space, sizeof(first[i]));
        assert_int_equal(pg_noise_read(pair.responder, pg_mut_bytes_make(space, len), &payload),
                         PG_OK);
        len = write_next(pair.responder, PG_BYTES_EMPTY, space);
        assert_int_equal(pg_noise_read(pair.initiator, pg_mut_bytes_make(space, len), &payload),
                         PG_OK);
        pair_free(&pair);
    }
    assert_memory_not_equal(first[0], first[1], sizeof(first[0]));
}

static void test_noise__both_done__know_each_other(void **state)
{
    (void) state;
    for (int pattern = 0; pattern < PG_NOISE_PATTERN_COUNT; pattern++) {
        noise_pair pair = pair_make((pg_noise_pattern) pattern, NULL);
        assert_null(pg_noise_remote_static(pair.responder));
        advance(&pair, 3);
        assert_memory_equal(pg_noise_remote_static(pair.responder),
                            pg_noise_local_static(pair.initiator), PG_X25519_BYTES);
        assert_memory_equal(pg_noise_remote_static(pair.initiator),
                            pg_noise_local_static(pair.responder), PG_X25519_BYTES);
        assert_int_equal(pg_noise_overhead(pair.initiator), 0);
        assert_false(pg_noise_is_our_turn(pair.initiator));
        pair_free(&pair);
    }
}

// Flips one bit of message `step` and tells whether the reader, or whoever reads the next message, notices.
static bool is_change_noticed(pg_noise_pattern pattern, int step, size_t bit)
{
    noise_pair pair = pair_make(pattern, NULL);
    advance(&pair, step);
    pg_noise *from = step % 2 == 0 ? pair.initiator : pair.responder;
    pg_noise *to = step % 2 == 0 ? pair.responder : pair.initiator;
    uint8_t space[SPACE_BYTES];
    pg_bytes payload = PG_BYTES_EMPTY;
    size_t len = write_next(from, PG_BYTES_LIT("payload"), space);
    space[bit / 8 % len] ^= (uint8_t) (1U << (bit % 8));
    pg_err err = pg_noise_read(to, pg_mut_bytes_make(space, len), &payload);
    if (err == PG_OK && step == 0) {
        // Nothing protects the first message by itself; the second one's tags do.
        size_t answer_len = 0;
        err = pg_noise_write(to, PG_BYTES_EMPTY, PG_MUT_BYTES_OF(space), &answer_len);
        if (err == PG_OK) {
            err = pg_noise_read(from, pg_mut_bytes_make(space, answer_len), &payload);
        }
    }
    pair_free(&pair);
    return err != PG_OK;
}

static void test_noise__any_message_changed__is_noticed(void **state)
{
    (void) state;
    for (int step = 0; step < 3; step++) {
        for (size_t bit = 0; bit < 1216 * 8; bit += 61) {
            assert_true(is_change_noticed(PG_NOISE_PATTERN_XXHFS, step, bit));
            if (bit < 100 * 8) {
                assert_true(is_change_noticed(PG_NOISE_PATTERN_XX, step, bit));
            }
        }
    }
}

static void test_noise__failed_once__stays_closed(void **state)
{
    (void) state;
    noise_pair pair = pair_make(PG_NOISE_PATTERN_XX, NULL);
    advance(&pair, 1);
    uint8_t space[SPACE_BYTES];
    pg_bytes payload = PG_BYTES_EMPTY;
    size_t len = write_next(pair.responder, PG_BYTES_EMPTY, space);
    space[40] ^= 1;
    pg_mut_bytes message = pg_mut_bytes_make(space, len);
    assert_int_equal(pg_noise_read(pair.initiator, message, &payload), PG_ERR_AUTH);
    assert_int_equal(pg_noise_read(pair.initiator, message, &payload), PG_ERR_CLOSED);
    assert_int_equal(pg_noise_write(pair.initiator, payload, message, &len), PG_ERR_CLOSED);
    pg_noise_cipher send = {0};
    pg_noise_cipher receive = {0};
    assert_int_equal(pg_noise_split(pair.initiator, &send, &receive), PG_ERR_CLOSED);
    pair_free(&pair);
    pair_free(&pair);
    pg_noise_free(NULL);
}

static void test_noise__wrong_sizes__are_refused(void **state)
{
    (void) state;
    uint8_t space[SPACE_BYTES] = {0};
    static uint8_t big[PG_NOISE_MESSAGE_BYTES_MAX + 1];
    pg_bytes payload = PG_BYTES_EMPTY;
    size_t len = 0;
    noise_pair pair = pair_make(PG_NOISE_PATTERN_XXHFS, NULL);
    assert_int_equal(
        pg_noise_write(pair.initiator, PG_BYTES_EMPTY, pg_mut_bytes_make(space, 1215), &len),
        PG_ERR_LIMIT);
    assert_int_equal(pg_noise_write(pair.initiator, pg_bytes_make(big, 65535 - 1216 + 1),
                                    PG_MUT_BYTES_OF(big), &len),
                     PG_ERR_LIMIT);
    assert_int_equal(len, 0);
    assert_int_equal(write_next(pair.initiator, PG_BYTES_EMPTY, space), 1216); // it may go on
    assert_int_equal(pg_noise_read(pair.responder, pg_mut_bytes_make(space, 1215), &payload),
                     PG_ERR_TRUNCATED);
    pair_free(&pair);
    pair = pair_make(PG_NOISE_PATTERN_XX, NULL);
    assert_int_equal(pg_noise_read(pair.responder, PG_MUT_BYTES_OF(big), &payload), PG_ERR_LIMIT);
    pair_free(&pair);

    char name[PG_NOISE_NAME_BYTES_MAX + 2];
    memset(name, 'N', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    pg_key secret = run_of(1);
    pg_noise_seeds seeds = {0};
    pg_noise_config config = {PG_NOISE_PATTERN_XX, name, true, PG_BYTES_EMPTY, &secret, &seeds};
    pg_noise *noise = NULL;
    assert_int_equal(pg_noise_new(&config, &noise), PG_ERR_LIMIT);
    assert_null(noise);
}

static void test_noise__out_of_turn__is_our_bug(void **state)
{
    (void) state;
    uint8_t space[SPACE_BYTES] = {0};
    pg_bytes payload = PG_BYTES_EMPTY;
    size_t len = 0;
    pg_noise_cipher send = {0};
    pg_noise_cipher receive = {0};
    noise_pair pair = pair_make(PG_NOISE_PATTERN_XX, NULL);
    assert_int_equal(pg_noise_read(pair.initiator, PG_MUT_BYTES_OF(space), &payload), PG_ERR_BUG);
    assert_int_equal(pg_noise_write(pair.responder, payload, PG_MUT_BYTES_OF(space), &len),
                     PG_ERR_BUG);
    assert_int_equal(pg_noise_split(pair.initiator, &send, &receive), PG_ERR_BUG);
    pair_free(&pair);
}

static void test_noise__poor_keys_from_the_other_side__are_refused(void **state)
{
    (void) state;
    uint8_t space[SPACE_BYTES];
    pg_bytes payload = PG_BYTES_EMPTY;
    size_t len = 0;
    noise_pair pair = pair_make(PG_NOISE_PATTERN_XXHFS, NULL);
    len = write_next(pair.initiator, PG_BYTES_EMPTY, space);
    memset(space + 32, 0xff, 3); // two coefficients of 4,095, beyond q
    assert_int_equal(pg_noise_read(pair.responder, pg_mut_bytes_make(space, len), &payload), PG_OK);
    assert_int_equal(pg_noise_write(pair.responder, payload, PG_MUT_BYTES_OF(space), &len),
                     PG_ERR_MALFORMED);
    pair_free(&pair);
    pair = pair_make(PG_NOISE_PATTERN_XX, NULL);
    len = write_next(pair.initiator, PG_BYTES_EMPTY, space);
    memset(space, 0, 32);
    assert_int_equal(pg_noise_read(pair.responder, pg_mut_bytes_make(space, len), &payload), PG_OK);
    assert_int_equal(pg_noise_write(pair.responder, payload, PG_MUT_BYTES_OF(space), &len),
                     PG_ERR_MALFORMED);
    pair_free(&pair);
}

static void test_noise_cipher__in_place__full_frames_both_ways(void **state)
{
    (void) state;
    static uint8_t frame[PG_NOISE_MESSAGE_BYTES_MAX + 1];
    pg_key key = run_of(7);
    pg_noise_cipher a = {0};
    pg_noise_cipher b = {0};
    assert_int_equal(pg_noise_cipher_init(&a, &key), PG_OK);
    assert_int_equal(pg_noise_cipher_init(&b, &key), PG_OK);
    for (size_t len = 0; len <= PG_NOISE_PLAIN_BYTES_MAX; len = 3 * len + 1) {
        memset(frame, 'x', len);
        assert_int_equal(pg_noise_encrypt(&a, pg_bytes_make(frame, len), frame), PG_OK);
        assert_int_equal(pg_noise_decrypt(&b, pg_bytes_make(frame, len + PG_AEAD_TAG_BYTES), frame),
                         PG_OK);
        assert_true(len == 0 || (frame[0] == 'x' && frame[len - 1] == 'x'));
    }
    assert_int_equal(
        pg_noise_encrypt(&a, pg_bytes_make(frame, PG_NOISE_PLAIN_BYTES_MAX + 1), frame),
        PG_ERR_LIMIT);
    assert_int_equal(pg_noise_decrypt(&b, PG_BYTES_OF(frame), frame), PG_ERR_LIMIT);
    assert_int_equal(pg_noise_decrypt(&b, pg_bytes_make(frame, 15), frame), PG_ERR_TRUNCATED);
    pg_noise_cipher_deinit(&a);
    pg_noise_cipher_deinit(&b);
    pg_noise_cipher_deinit(NULL);
}

static void test_noise_cipher__nonces_used_up__refuses_both_ways(void **state)
{
    (void) state;
    uint8_t frame[32] = {0};
    pg_key key = run_of(7);
    pg_noise_cipher cipher = {0};
    assert_int_equal(pg_noise_cipher_init(&cipher, &key), PG_OK);
    cipher.nonce = UINT64_MAX - 1;
    assert_int_equal(pg_noise_encrypt(&cipher, pg_bytes_make(frame, 1), frame), PG_OK);
    assert_int_equal(pg_noise_encrypt(&cipher, pg_bytes_make(frame, 1), frame), PG_ERR_LIMIT);
    assert_int_equal(pg_noise_decrypt(&cipher, PG_BYTES_OF(frame), frame), PG_ERR_LIMIT);
    pg_noise_cipher_deinit(&cipher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_xx__cacophony_vector__matches_every_byte),
        cmocka_unit_test(test_noise_xxhfs__public_vector_1__gives_hash_and_keys),
        cmocka_unit_test(test_noise_xxhfs__older_name__gives_its_own_hash_and_keys),
        cmocka_unit_test(test_noise_xxhfs__public_vector_1__gives_published_messages),
        cmocka_unit_test(test_noise__drawn_seeds__differ_and_finish),
        cmocka_unit_test(test_noise__both_done__know_each_other),
        cmocka_unit_test(test_noise__any_message_changed__is_noticed),
        cmocka_unit_test(test_noise__failed_once__stays_closed),
        cmocka_unit_test(test_noise__wrong_sizes__are_refused),
        cmocka_unit_test(test_noise__out_of_turn__is_our_bug),
        cmocka_unit_test(test_noise__poor_keys_from_the_other_side__are_refused),
        cmocka_unit_test(test_noise_cipher__in_place__full_frames_both_ways),
        cmocka_unit_test(test_noise_cipher__nonces_used_up__refuses_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
