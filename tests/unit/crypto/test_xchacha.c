// SPDX-License-Identifier: Apache-2.0
// Goal: XChaCha20-Poly1305 as the draft has it, and no byte of a message may change. Method: the vector of appendix A.3.1.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "crypto/xchacha.h"

#define PLAIN                                                                                      \
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, " \
    "sunscreen would be it."

static pg_key vector_key(void)
{
    pg_key key;
    for (size_t i = 0; i < sizeof(key.bytes); i++) {
        key.bytes[i] = (uint8_t) (0x80 + i);
    }
    return key;
}

static void vector_nonce(uint8_t nonce[PG_XCHACHA_NONCE_BYTES])
{
    for (size_t i = 0; i < PG_XCHACHA_NONCE_BYTES; i++) {
        nonce[i] = (uint8_t) (0x40 + i);
    }
}

static const uint8_t ad[] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
                             0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};

static void test_xchacha__vector__seals_and_opens(void **state)
{
    (void) state;
    pg_key key = vector_key();
    uint8_t nonce[PG_XCHACHA_NONCE_BYTES];
    uint8_t cipher[sizeof(PLAIN) - 1];
    uint8_t tag[PG_XCHACHA_TAG_BYTES];
    uint8_t wanted[PG_XCHACHA_TAG_BYTES];
    vector_nonce(nonce);
    pg_xchacha_seal(&key, nonce, PG_BYTES_OF(ad), PG_BYTES_LIT(PLAIN), cipher, tag);
    assert_int_equal(
        pg_hex_decode(PG_STR("bd6d179d3e83d43b9576579493c0e939"), pg_mut_bytes_make(wanted, 16)),
        PG_OK);
    assert_memory_equal(cipher, wanted, 16);
    assert_int_equal(
        pg_hex_decode(PG_STR("c0875924c1c7987947deafd8780acf49"), pg_mut_bytes_make(wanted, 16)),
        PG_OK);
    assert_memory_equal(tag, wanted, 16);
    assert_int_equal(
        pg_xchacha_open(&key, nonce, PG_BYTES_OF(ad), PG_BYTES_OF(cipher), tag, cipher), PG_OK);
    assert_memory_equal(cipher, PLAIN, sizeof(cipher));
}

static void test_xchacha__anything_changed__does_not_open(void **state)
{
    (void) state;
    pg_key key = vector_key();
    uint8_t nonce[PG_XCHACHA_NONCE_BYTES];
    uint8_t cipher[4];
    uint8_t plain[4];
    uint8_t tag[PG_XCHACHA_TAG_BYTES];
    vector_nonce(nonce);
    pg_xchacha_seal(&key, nonce, PG_BYTES_OF(ad), PG_BYTES_LIT("abcd"), cipher, tag);
    uint8_t *const parts[] = {key.bytes, nonce, cipher, tag};
    for (size_t i = 0; i < 4; i++) {
        parts[i][1] ^= 1;
        assert_int_equal(
            pg_xchacha_open(&key, nonce, PG_BYTES_OF(ad), PG_BYTES_OF(cipher), tag, plain),
            PG_ERR_AUTH);
        parts[i][1] ^= 1;
    }
    assert_int_equal(pg_xchacha_open(&key, nonce, PG_BYTES_EMPTY, PG_BYTES_OF(cipher), tag, plain),
                     PG_ERR_AUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xchacha__vector__seals_and_opens),
        cmocka_unit_test(test_xchacha__anything_changed__does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
