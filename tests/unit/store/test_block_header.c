// SPDX-License-Identifier: Apache-2.0
// Goal: a header is taken only where it was written, under its key, and whole; the saved index only as it was saved.
// Method: headers written and then changed byte by byte, moved, cut; records with every field out of range.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "store/block_header.h"
#include "store/block_index_file.h"
#include "store/limits.h"

static const pg_key key = {.bytes = {7}};
static const pg_key other_key = {.bytes = {8}};
static const pg_block_place place = {3, 17};

static void header_make(pg_block_header *header, uint8_t bytes[PG_BLOCK_HEADER_BYTES])
{
    *header = (pg_block_header){pg_cid_of_blake3(PG_BYTES_LIT("abc")), 3};
    pg_block_header_encode(&key, place, header, bytes);
}

static void test_block_header__written__reads_back(void **state)
{
    (void) state;
    pg_block_header header;
    pg_block_header got;
    uint8_t bytes[PG_BLOCK_HEADER_BYTES];
    header_make(&header, bytes);
    assert_int_equal(pg_block_header_decode(&key, place, PG_BYTES_OF(bytes), &got), PG_OK);
    assert_true(pg_cid_equal(&header.cid, &got.cid));
    assert_int_equal(got.len, 3);
}

static void test_block_header__another_place_or_key__is_not_ours(void **state)
{
    (void) state;
    pg_block_header header;
    uint8_t bytes[PG_BLOCK_HEADER_BYTES];
    pg_bytes in = PG_BYTES_OF(bytes);
    header_make(&header, bytes);
    assert_int_equal(pg_block_header_decode(&key, (pg_block_place){3, 18}, in, &header),
                     PG_ERR_AUTH);
    assert_int_equal(pg_block_header_decode(&key, (pg_block_place){4, 17}, in, &header),
                     PG_ERR_AUTH);
    assert_int_equal(pg_block_header_decode(&other_key, place, in, &header), PG_ERR_AUTH);
}

static void test_block_header__any_byte_changed_or_cut__is_refused(void **state)
{
    (void) state;
    pg_block_header header;
    uint8_t bytes[PG_BLOCK_HEADER_BYTES];
    header_make(&header, bytes);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] ^= 0x40;
        pg_err err = pg_block_header_decode(&key, place, PG_BYTES_OF(bytes), &header);
        assert_int_equal(err, i < 8 ? PG_ERR_MALFORMED : PG_ERR_AUTH);
        bytes[i] ^= 0x40;
        assert_int_equal(pg_block_header_decode(&key, place, pg_bytes_make(bytes, i), &header),
                         PG_ERR_TRUNCATED);
    }
}

static void test_block_header__own_but_senseless__is_refused(void **state)
{
    (void) state;
    pg_multihash hash;
    pg_block_header got;
    uint8_t bytes[PG_BLOCK_HEADER_BYTES];
    pg_block_header header = {pg_cid_of_blake3(PG_BYTES_LIT("abc")), PG_BLOCK_BYTES_MAX + 1};
    pg_block_header_encode(&key, place, &header, bytes);
    assert_int_equal(pg_block_header_decode(&key, place, PG_BYTES_OF(bytes), &got),
                     PG_ERR_MALFORMED);
    assert_int_equal(pg_multihash_make(PG_MULTIHASH_CODE_IDENTITY, PG_BYTES_LIT("abc"), &hash),
                     PG_OK);
    header = (pg_block_header){pg_cid_make(PG_CID_CODEC_RAW, &hash), 3};
    pg_block_header_encode(&key, place, &header, bytes);
    assert_int_equal(pg_block_header_decode(&key, place, PG_BYTES_OF(bytes), &got),
                     PG_ERR_MALFORMED);
    header = (pg_block_header){pg_cid_of_blake3(PG_BYTES_LIT("abc")), 3};
    header.cid.bytes[0] = 9;
    pg_block_header_encode(&key, place, &header, bytes);
    assert_int_equal(pg_block_header_decode(&key, place, PG_BYTES_OF(bytes), &got),
                     PG_ERR_MALFORMED);
    pg_cid none = {0};
    assert_false(pg_block_cid_is_kept(&none));
}

static void test_block_units__count_the_header(void **state)
{
    (void) state;
    assert_int_equal(pg_block_units(0), 1);
    assert_int_equal(pg_block_units(4096 - 128), 1);
    assert_int_equal(pg_block_units(4096 - 127), 2);
    assert_int_equal(pg_block_units(PG_BLOCK_BYTES_MAX), 1025);
}

static void record_check(const uint8_t record[PG_BLOCK_RECORD_BYTES], size_t at, uint8_t value)
{
    uint8_t changed[PG_BLOCK_RECORD_BYTES];
    pg_block_header header;
    pg_block_place got;
    memcpy(changed, record, sizeof(changed));
    assert_int_equal(pg_block_record_decode(PG_BYTES_OF(changed), &header, &got), PG_OK);
    changed[at] = value;
    assert_int_equal(pg_block_record_decode(PG_BYTES_OF(changed), &header, &got), PG_ERR_CORRUPT);
}

static void test_block_record__fields_out_of_range__are_refused(void **state)
{
    (void) state;
    uint8_t record[PG_BLOCK_RECORD_BYTES] = {1, 0x1e, 0, 0x55};
    pg_block_header header;
    pg_block_place got;
    record_check(record, 0, 2);     // a version
    record_check(record, 0, 0);     // version 0 with BLAKE3
    record_check(record, 1, 0);     // the identity
    record_check(record, 1, 0x13);  // a hash nobody knows
    record_check(record, 42, 0xff); // a length
    assert_int_equal(
        pg_block_record_decode(pg_bytes_make(record, sizeof(record) - 1), &header, &got),
        PG_ERR_CORRUPT);
    record[0] = 0;
    record[1] = 0x12;
    assert_int_equal(pg_block_record_decode(PG_BYTES_OF(record), &header, &got), PG_OK);
    assert_int_equal(pg_cid_version(&header.cid), 0);
}

static void test_block_index_file__damaged__is_refused(void **state)
{
    (void) state;
    uint8_t file[16 + 8 + 32] = "pangea index 1\n";
    uint8_t mac[32];
    pg_block_index_file got;
    pg_bytes in = PG_BYTES_OF(file);
    pg_blake3_keyed(&key, pg_bytes_slice(in, 0, 24), mac);
    memcpy(file + 24, mac, sizeof(mac));
    assert_int_equal(pg_block_index_file_decode(&key, in, &got), PG_OK);
    assert_int_equal(got.block_count, 0);
    assert_int_equal(pg_block_index_file_decode(&other_key, in, &got), PG_ERR_CORRUPT);
    assert_int_equal(pg_block_index_file_decode(&key, pg_bytes_slice(in, 0, 55), &got),
                     PG_ERR_CORRUPT);
    file[23] = 1; // one block, which is not there
    pg_blake3_keyed(&key, pg_bytes_slice(in, 0, 24), mac);
    memcpy(file + 24, mac, sizeof(mac));
    assert_int_equal(pg_block_index_file_decode(&key, in, &got), PG_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_header__written__reads_back),
        cmocka_unit_test(test_block_header__another_place_or_key__is_not_ours),
        cmocka_unit_test(test_block_header__any_byte_changed_or_cut__is_refused),
        cmocka_unit_test(test_block_header__own_but_senseless__is_refused),
        cmocka_unit_test(test_block_units__count_the_header),
        cmocka_unit_test(test_block_record__fields_out_of_range__are_refused),
        cmocka_unit_test(test_block_index_file__damaged__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
