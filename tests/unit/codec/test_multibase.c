// SPDX-License-Identifier: Apache-2.0
// Goal: each base gives the published text and back, one spelling a value, and stays within its bounds.
// Method: vectors of RFC 4648, the multibase specification and the base58 draft (draft-msporny-base58); all lengths.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/multibase.h"

typedef struct base_vector {
    pg_base base;
    pg_bytes bytes;
    const char *text; // with its prefix
} base_vector;

#define V(base_of, literal, expected)                                                              \
    {                                                                                              \
        (base_of), {(const uint8_t *) "" literal, sizeof(literal) - 1}, (expected)                 \
    }

static const base_vector vectors[] = {
    V(PG_BASE_16, "", "f"),
    V(PG_BASE_16, "foobar", "f666f6f626172"),
    V(PG_BASE_16, "yes mani !", "f796573206d616e692021"),
    V(PG_BASE_32, "", "b"),
    V(PG_BASE_32, "f", "bmy"),
    V(PG_BASE_32, "fo", "bmzxq"),
    V(PG_BASE_32, "foo", "bmzxw6"),
    V(PG_BASE_32, "foob", "bmzxw6yq"),
    V(PG_BASE_32, "fooba", "bmzxw6ytb"),
    V(PG_BASE_32, "foobar", "bmzxw6ytboi"),
    V(PG_BASE_32, "yes mani !", "bpfsxgidnmfxgsibb"),
    V(PG_BASE_58BTC, "", "z"),
    V(PG_BASE_58BTC, "Hello World!", "z2NEpo7TZRRrLZSi2U"),
    V(PG_BASE_58BTC, "The quick brown fox jumps over the lazy dog.",
      "zUSm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z"),
    V(PG_BASE_58BTC, "\x00\x00\x28\x7f\xb4\xcd", "z11233QC4"),
    V(PG_BASE_58BTC, "\x00", "z1"),
    V(PG_BASE_58BTC, "yes mani !", "z7paNL19xttacUY"),
    V(PG_BASE_64URL, "", "u"),
    V(PG_BASE_64URL, "f", "uZg"),
    V(PG_BASE_64URL, "fo", "uZm8"),
    V(PG_BASE_64URL, "foo", "uZm9v"),
    V(PG_BASE_64URL, "foobar", "uZm9vYmFy"),
    V(PG_BASE_64URL, "yes mani !", "ueWVzIG1hbmkgIQ"),
    V(PG_BASE_64URL, "\xfb\xff", "u-_8"),
};

static void test_multibase__published_vectors__match_both_ways(void **state)
{
    (void) state;
    for (size_t i = 0; i < PG_ARRAY_LEN(vectors); i++) {
        char text[PG_BASE_TEXT_BYTES] = "";
        pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(text));
        pg_writer_multibase(&writer, vectors[i].base, vectors[i].bytes);
        pg_writer_u8(&writer, 0);
        assert_false(writer.failed);
        assert_string_equal(text, vectors[i].text);

        uint8_t bytes[64];
        pg_base base = PG_BASE_COUNT;
        size_t len = 0;
        assert_int_equal(
            pg_multibase_decode(pg_str_make(text), PG_MUT_BYTES_OF(bytes), &base, &len), PG_OK);
        assert_int_equal(base, vectors[i].base);
        assert_true(pg_bytes_equal(pg_bytes_make(bytes, len), vectors[i].bytes));
    }
}

static void test_multibase__every_length__round_trips(void **state)
{
    (void) state;
    uint8_t in[PG_BASE_BYTES_MAX];
    for (pg_base base = PG_BASE_16; base < PG_BASE_COUNT; base++) {
        for (size_t len = 0; len <= sizeof(in); len++) {
            for (size_t i = 0; i < len; i++) {
                in[i] = (uint8_t) (len % 3 == 0 ? 0xff : i * 37 + len); // all ones are the longest
            }
            char text[PG_BASE_TEXT_BYTES];
            pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(text));
            pg_writer_base(&writer, base, pg_bytes_make(in, len));
            assert_false(writer.failed);
            uint8_t out[PG_BASE_BYTES_MAX];
            size_t out_len = 0;
            pg_str written = pg_str_make_len(text, writer.len);
            assert_int_equal(pg_base_decode(base, written, PG_MUT_BYTES_OF(out), &out_len), PG_OK);
            assert_true(pg_bytes_equal(pg_bytes_make(out, out_len), pg_bytes_make(in, len)));
            if (len != 0) { // exactly fitting space is enough, less is not
                assert_int_equal(
                    pg_base_decode(base, written, pg_mut_bytes_make(out, len), &out_len), PG_OK);
                assert_int_equal(
                    pg_base_decode(base, written, pg_mut_bytes_make(out, len - 1), &out_len),
                    PG_ERR_LIMIT);
            }
        }
    }
}

static pg_err decode(const char *text)
{
    uint8_t bytes[PG_BASE_BYTES_MAX];
    pg_base base = PG_BASE_COUNT;
    size_t len = 0;
    return pg_multibase_decode(pg_str_make(text), PG_MUT_BYTES_OF(bytes), &base, &len);
}

static void test_multibase__upper_case__is_read_where_the_base_has_it(void **state)
{
    (void) state;
    uint8_t bytes[16];
    pg_base base = PG_BASE_COUNT;
    size_t len = 0;
    assert_int_equal(
        pg_multibase_decode(PG_STR("BMZXW6YTBOI"), PG_MUT_BYTES_OF(bytes), &base, &len), PG_OK);
    assert_memory_equal(bytes, "foobar", 6);
    assert_int_equal(pg_multibase_decode(PG_STR("F666F6F"), PG_MUT_BYTES_OF(bytes), &base, &len),
                     PG_OK);
    assert_memory_equal(bytes, "foo", 3);
    assert_int_equal(decode("Z2NEpo7TZRRrLZSi2U"), PG_ERR_UNSUPPORTED);
}

static void test_multibase__faulty_text__is_refused(void **state)
{
    (void) state;
    assert_int_equal(decode(""), PG_ERR_MALFORMED);
    assert_int_equal(decode("xabc"), PG_ERR_UNSUPPORTED);
    assert_int_equal(decode("f1"), PG_ERR_MALFORMED);        // half a byte
    assert_int_equal(decode("f1g"), PG_ERR_MALFORMED);       // no digit
    assert_int_equal(decode("bmz"), PG_ERR_MALFORMED);       // bits left over are not zero
    assert_int_equal(decode("bmya"), PG_ERR_MALFORMED);      // a character too many
    assert_int_equal(decode("bmy======"), PG_ERR_MALFORMED); // padding
    assert_int_equal(decode("bm1"), PG_ERR_MALFORMED);
    assert_int_equal(decode("z0OIl"), PG_ERR_MALFORMED); // the four that base58 leaves out
    assert_int_equal(decode("uZ"), PG_ERR_MALFORMED);
    assert_int_equal(decode("uZm9+"), PG_ERR_MALFORMED); // the other base64
    pg_base base = PG_BASE_COUNT;
    uint8_t bytes[8];
    size_t len = 0;
    assert_int_equal(pg_multibase_decode(PG_STR("f00\0"), PG_MUT_BYTES_OF(bytes), &base, &len),
                     PG_ERR_MALFORMED);
}

static void test_multibase__too_long__is_a_limit_before_any_work(void **state)
{
    (void) state;
    static char text[4096];
    memset(text, '1', sizeof(text) - 1);
    uint8_t bytes[PG_BASE_BYTES_MAX];
    size_t len = 0;
    for (pg_base base = PG_BASE_16; base < PG_BASE_COUNT; base++) {
        assert_int_equal(pg_base_decode(base, pg_str_make(text), PG_MUT_BYTES_OF(bytes), &len),
                         PG_ERR_LIMIT);
        uint8_t space[2 * sizeof(text)];
        pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
        pg_writer_base(&writer, base, pg_bytes_make(text, PG_BASE_BYTES_MAX + 1));
        assert_true(writer.failed);
    }
    // A run of the digit zero is short in number but long in bytes.
    assert_int_equal(
        pg_base_decode(PG_BASE_58BTC, pg_str_make_len(text, 300), PG_MUT_BYTES_OF(bytes), &len),
        PG_ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multibase__published_vectors__match_both_ways),
        cmocka_unit_test(test_multibase__every_length__round_trips),
        cmocka_unit_test(test_multibase__upper_case__is_read_where_the_base_has_it),
        cmocka_unit_test(test_multibase__faulty_text__is_refused),
        cmocka_unit_test(test_multibase__too_long__is_a_limit_before_any_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
