// SPDX-License-Identifier: Apache-2.0
// Goal: the proof of a private network is the one docs/protocols/quic.md defines. The exchange is tested in tests/sim.
// Method: values computed by another implementation of HMAC-SHA256.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "net/quic_pnet.h"

static void test_quic_pnet__proof__is_as_defined(void **state)
{
    (void) state;
    static const struct {
        pg_quic_pnet_role role;
        const char *want;
    } cases[] = {
        {PG_QUIC_PNET_ROLE_CLIENT,
         "f942b659d840a95c2d363deb47743b4b300ab88cfb615fe020b2d3f184a4b875"},
        {PG_QUIC_PNET_ROLE_SERVER,
         "9d635e070ef500246f5778da2805e14fc8dd7335c512fa72c8ad552cf987153a"},
    };
    pg_key network;
    pg_key secret;
    for (size_t i = 0; i < PG_KEY_BYTES; i++) {
        network.bytes[i] = (uint8_t) i;
        secret.bytes[i] = 0xa5;
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(cases); i++) {
        uint8_t proof[PG_HASH_BYTES];
        char text[2 * PG_HASH_BYTES + 1];
        pg_quic_pnet_proof(&network, cases[i].role, &secret, proof);
        pg_hex_encode(PG_BYTES_OF(proof), text);
        assert_string_equal(text, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quic_pnet__proof__is_as_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
