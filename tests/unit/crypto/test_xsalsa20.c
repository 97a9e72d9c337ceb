// SPDX-License-Identifier: Apache-2.0
// Goal: the key stream is XSalsa20's, however it is cut. Method: the vector of NaCl's tests (stream3), and random cuts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "crypto/xsalsa20.h"

static pg_xsalsa20 vector_cipher(void)
{
    pg_xsalsa20 cipher = {0};
    assert_int_equal(
        pg_hex_decode(PG_STR("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389"),
                      PG_MUT_BYTES_OF(cipher.key.bytes)),
        PG_OK);
    assert_int_equal(pg_hex_decode(PG_STR("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37"),
                                   PG_MUT_BYTES_OF(cipher.nonce)),
                     PG_OK);
    return cipher;
}

static void test_xsalsa20__zeros__give_the_known_key_stream(void **state)
{
    (void) state;
    pg_xsalsa20 cipher = vector_cipher();
    uint8_t out[32] = {0};
    uint8_t wanted[32];
    pg_xsalsa20_xor(&cipher, PG_BYTES_OF(out), out);
    assert_int_equal(
        pg_hex_decode(PG_STR("eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880"),
                      PG_MUT_BYTES_OF(wanted)),
        PG_OK);
    assert_memory_equal(out, wanted, sizeof(wanted));
}

static void test_xsalsa20__any_cuts__give_the_same_stream(void **state)
{
    (void) state;
    static uint8_t whole[5000];
    static uint8_t cut[5000];
    memset(whole, 7, sizeof(whole));
    pg_xsalsa20 once = vector_cipher();
    pg_xsalsa20_xor(&once, PG_BYTES_OF(whole), whole);
    for (size_t step = 1; step < 200; step += 13) {
        pg_xsalsa20 often = vector_cipher();
        memset(cut, 7, sizeof(cut));
        for (size_t done = 0; done < sizeof(cut); done += step) {
            pg_bytes piece = pg_bytes_slice(PG_BYTES_OF(cut), done, step);
            pg_xsalsa20_xor(&often, piece, cut + done);
        }
        assert_memory_equal(whole, cut, sizeof(cut));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xsalsa20__zeros__give_the_known_key_stream),
        cmocka_unit_test(test_xsalsa20__any_cuts__give_the_same_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
