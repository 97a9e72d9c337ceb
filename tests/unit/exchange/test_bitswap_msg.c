// SPDX-License-Identifier: Apache-2.0
// Goal: Bitswap messages are read as the specification's protobuf says, whatever pieces they come in, and what we write is read by the
//       same rules; what is longer than its limit, cut or twisted is refused or passed over, never believed.
// Method: messages by hand, byte by byte after the .proto of Bitswap 1.2.0; each read whole, and through windows that grow by one byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec/pb_walk.h"
#include "crypto/hash.h"
#include "exchange/bitswap_msg.h"
#include "exchange/limits.h"

// ---- Reading a message to a transcript

static void note_part(const pg_bitswap_part *part, pg_bytes data, pg_buf *out)
{
    char hex[2 * PG_BITSWAP_CID_BYTES_MAX + 1];
    switch (part->kind) {
    case PG_BITSWAP_PART_WANT:
        pg_hex_encode(part->want.cid, hex);
        assert_int_equal(pg_buf_printf(out, "%s %s prio %d%s;",
                                       part->want.is_cancel ? "cancel"
                                       : part->want.is_have ? "have"
                                                            : "block",
                                       hex, part->want.priority,
                                       part->want.send_dont_have ? " tell" : ""),
                         PG_OK);
        break;
    case PG_BITSWAP_PART_WANTS_END:
        assert_int_equal(pg_buf_printf(out, "%s;", part->is_full ? "full" : "more"), PG_OK);
        break;
    case PG_BITSWAP_PART_BLOCK:
    case PG_BITSWAP_PART_BLOCK_HEAD:
        assert_int_equal(
            pg_buf_printf(
                out, "data %llu/%llx/%llx/%llu: %zu bytes, first %02x last %02x;",
                (unsigned long long) part->prefix.version, (unsigned long long) part->prefix.codec,
                (unsigned long long) part->prefix.hash,
                (unsigned long long) part->prefix.digest_len, data.len,
                data.len == 0 ? 0U : data.ptr[0], data.len == 0 ? 0U : data.ptr[data.len - 1]),
            PG_OK);
        break;
    case PG_BITSWAP_PART_PRESENCE:
        pg_hex_encode(part->cid, hex);
        assert_int_equal(pg_buf_printf(out, "%s %s;", part->has ? "has" : "lacks", hex), PG_OK);
        break;
    case PG_BITSWAP_PART_NOTHING:
    case PG_BITSWAP_PART_END:
        break;
    }
}

// Read `message` through windows of at most `window_max` bytes, and beginning with `window_min`. Appends what was read to `out`.
static pg_err read_through(pg_bytes message, size_t window_min, size_t window_max, pg_buf *out)
{
    pg_bitswap_msg_reader reader = pg_bitswap_msg_reader_make(message.len);
    size_t at = 0;
    size_t window = window_min;
    for (;;) {
        pg_bitswap_part part;
        pg_err err = pg_bitswap_part_decode(&reader, pg_bytes_slice(message, at, window), &part);
        if (err == PG_ERR_TRUNCATED && window < window_max) {
            window++;
            continue;
        }
        PG_TRY(err);
        window = window_min;
        bool is_head = part.kind == PG_BITSWAP_PART_BLOCK_HEAD;
        assert_true(at + part.used + part.follow <= message.len);
        note_part(&part, is_head ? pg_bytes_slice(message, at + part.used, part.follow) : part.data,
                  out);
        at += part.used + part.follow;
        if (part.kind == PG_BITSWAP_PART_END) {
            assert_int_equal(at, message.len);
            return PG_OK;
        }
    }
}

// Read in one piece and byte by byte; both must tell the same.
static pg_err read_both(pg_bytes message, pg_buf *out)
{
    pg_buf again = {0};
    size_t before = out->len;
    pg_err err = read_through(message, PG_BITSWAP_WINDOW_BYTES, PG_BITSWAP_WINDOW_BYTES, out);
    assert_int_equal(read_through(message, 0, PG_BITSWAP_WINDOW_BYTES, &again), err);
    assert_true(
        pg_bytes_equal(pg_bytes_slice(pg_buf_bytes(out), before, out->len), pg_buf_bytes(&again)));
    pg_buf_deinit(&again);
    return err;
}

static void expect_text(pg_bytes message, const char *text)
{
    pg_buf out = {0};
    assert_int_equal(read_both(message, &out), PG_OK);
    assert_int_equal(pg_buf_printf(&out, "%s", ""), PG_OK); // a NUL, also of nothing
    assert_string_equal((const char *) out.ptr, text);
    pg_buf_deinit(&out);
}

static void expect_error(pg_bytes message, pg_err err)
{
    pg_buf out = {0};
    assert_int_equal(read_both(message, &out), err);
    pg_buf_deinit(&out);
}

// The bytes that a text of hexadecimal digits stands for. Freed by the caller.
static pg_buf from_hex(const char *text)
{
    pg_buf buf = {0};
    uint8_t *space = NULL;
    assert_int_equal(pg_buf_extend(&buf, strlen(text) / 2, &space), PG_OK);
    assert_int_equal(pg_hex_decode(pg_str_make(text), (pg_mut_bytes){space, buf.len}), PG_OK);
    return buf;
}

// ---- Messages as another implementation writes them: made with the .proto of boxo 0.37 by Go's protobuf 1.36

static const char wants_hex[] = "0a300a0b0a070155120361626310010a180a07015512036162641080808080f8ff"
                                "ffffff01200128010a050a01ff18011001";
static const char answers_hex[] = "0a001a0d0a0401551220120568656c6c6f1a060a040070122022040a02015522"
                                  "060a020156100128ac02";
static const char old_hex[] = "0a0012036f6c641200";

static void test_msg__foreign_wantlist__every_entry_is_read(void **state)
{
    (void) state;
    pg_buf message = from_hex(wants_hex);
    expect_text(pg_buf_bytes(&message), "block 01551203616263 prio 1;"
                                        "have 01551203616264 prio -2147483648 tell;"
                                        "cancel ff prio 0;full;");
    pg_buf_deinit(&message);
}

static void test_msg__foreign_answers__blocks_and_presences_are_read(void **state)
{
    (void) state;
    pg_buf message = from_hex(answers_hex);
    expect_text(pg_buf_bytes(&message), "more;data 1/55/12/32: 5 bytes, first 68 last 6f;"
                                        "data 0/70/12/32: 0 bytes, first 00 last 00;"
                                        "has 0155;lacks 0156;");
    pg_buf_deinit(&message);
    message = from_hex(old_hex);
    expect_text(pg_buf_bytes(&message), "more;data 0/70/12/32: 3 bytes, first 6f last 64;"
                                        "data 0/70/12/32: 0 bytes, first 00 last 00;");
    pg_buf_deinit(&message);
}

static void test_msg__cut_anywhere__is_malformed_or_a_shorter_message(void **state)
{
    (void) state;
    pg_buf message = from_hex(answers_hex);
    size_t good = 0;
    for (size_t cut = 0; cut < message.len; cut++) {
        pg_buf out = {0};
        pg_err err = read_both(pg_bytes_make(message.ptr, cut), &out);
        assert_true(err == PG_OK || err == PG_ERR_MALFORMED);
        good += err == PG_OK ? 1U : 0U;
        pg_buf_deinit(&out);
    }
    assert_int_equal(good, 6); // nothing, and after each field but the last
    pg_buf_deinit(&message);
}

static void test_msg__fields_of_the_future__are_passed_over(void **state)
{
    (void) state;
    expect_text(
        PG_BYTES_LIT("\x4a\x03xyz"                                            // 9: bytes
                     "\x50\x07"                                               // 10: a number
                     "\x0a\x17"                                               // wantlist
                     "\x1a\x02zz"                                             // 3 of it
                     "\x0a\x0d\x0a\x02\x01\x55\x3d\x01\x02\x03\x04\x4a\x02xy" // entry with 7, 9
                     "\x20\x00\x10\x00"                                       // 4 of it, full false
                     "\x22\x08\x0a\x02\x01\x56\x10\x07\x18\x01"          // a presence of type 7
                     "\x1a\x0b\x0a\x04\x01\x55\x1e\x20\x1a\x01w\x12\x00" // block with 3
                     ),
        "block 0155 prio 0;more;data 1/55/1e/32: 0 bytes, first 00 last 00;");
    expect_text(PG_BYTES_LIT(""), "");
}

static void test_msg__cids_without_bytes_or_too_long__are_passed_over(void **state)
{
    (void) state;
    pg_buf message = {0};
    pg_buf entries = {0};
    uint8_t cid[PG_BITSWAP_CID_BYTES_MAX + 1];
    memset(cid, 1, sizeof(cid));
    for (size_t len = 0; len <= sizeof(cid); len += len == 0 ? PG_BITSWAP_CID_BYTES_MAX : 1) {
        pg_bitswap_want want = {.cid = pg_bytes_make(cid, len)};
        assert_int_equal(pg_bitswap_want_encode(&want, &entries), PG_OK);
        assert_int_equal(pg_bitswap_presence_encode(want.cid, true, &message), PG_OK);
    }
    assert_int_equal(pg_bitswap_wantlist_encode(pg_buf_bytes(&entries), false, &message), PG_OK);
    pg_buf out = {0};
    assert_int_equal(read_both(pg_buf_bytes(&message), &out), PG_OK);
    assert_int_equal(out.len,
                     2 * (2 * PG_BITSWAP_CID_BYTES_MAX) + strlen("has ;block  prio 0;more;"));
    pg_buf_deinit(&out);
    pg_buf_deinit(&entries);
    pg_buf_deinit(&message);
}

static void test_msg__broken_lengths__are_malformed(void **state)
{
    (void) state;
    expect_error(PG_BYTES_LIT("\x0a\x05\x0a\x04\x0a\x02\x01"), PG_ERR_MALFORMED); // ends inside
    expect_error(PG_BYTES_LIT("\x0a\x04\x0a\x03\x0a\x02\x01\x55"),
                 PG_ERR_MALFORMED); // entry > list
    expect_error(PG_BYTES_LIT("\x0a\x04\x0a\x02\x0a\x03\x01\x55"), PG_ERR_MALFORMED); // CID > entry
    expect_error(PG_BYTES_LIT("\x1a\x02\x0a\x03"), PG_ERR_MALFORMED);
    expect_error(PG_BYTES_LIT("\x1a\x03\x0a\x01\x01"), PG_ERR_MALFORMED); // a prefix of one number
    expect_error(PG_BYTES_LIT("\x1a\x02\x12\x00"), PG_ERR_MALFORMED);     // none at all
    expect_error(PG_BYTES_LIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), PG_ERR_MALFORMED);
    expect_error(PG_BYTES_LIT("\x0b"), PG_ERR_MALFORMED);
}

// ---- Large blocks

static const uint8_t mebibyte[1 << 20] = {0x5a, [(1 << 20) - 1] = 0xa5};

// A message with one block of `len` bytes, its wrapping `behind` bytes longer.
static void large_append(pg_buf *message, size_t len, size_t behind)
{
    assert_int_equal(pg_pb_put_head(message, 3, 6 + 1 + pg_pb_varint_len(len) + len + behind),
                     PG_OK);
    assert_int_equal(pg_pb_put_bytes(message, 1, PG_BYTES_LIT("\x01\x55\x1e\x20")), PG_OK);
    assert_int_equal(pg_pb_put_head(message, 2, len), PG_OK);
    for (size_t at = 0; at < len; at += sizeof(mebibyte)) {
        assert_int_equal(pg_buf_append(message, pg_bytes_slice(PG_BYTES_OF(mebibyte), 0, len - at)),
                         PG_OK);
    }
    static const uint8_t zeros[64];
    assert_int_equal(pg_buf_append(message, pg_bytes_make(zeros, behind)), PG_OK);
}

static void test_msg__large_blocks__are_given_by_their_heads(void **state)
{
    (void) state;
    pg_buf message = {0};
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_OF(mebibyte));
    assert_int_equal(pg_bitswap_presence_encode(pg_cid_bytes(&cid), false, &message), PG_OK);
    size_t head = message.len;
    assert_int_equal(pg_bitswap_block_encode(&cid, sizeof(mebibyte), &message), PG_OK);
    assert_int_equal(message.len - head, 4 + 6 + 4); // tag and length, prefix, tag and length
    assert_int_equal(pg_buf_append(&message, PG_BYTES_OF(mebibyte)), PG_OK);
    large_append(&message, 5000, 33); // with something behind its data
    large_append(&message, 100, 0);
    pg_buf out = {0};
    assert_int_equal(read_both(pg_buf_bytes(&message), &out), PG_OK);
    static const char expected[] = "data 1/55/1e/32: 1048576 bytes, first 5a last a5;"
                                   "data 1/55/1e/32: 5000 bytes, first 5a last 00;"
                                   "data 1/55/1e/32: 100 bytes, first 5a last 00;";
    assert_true(out.len > sizeof(expected));
    assert_memory_equal(out.ptr + out.len - (sizeof(expected) - 1), expected, sizeof(expected) - 1);
    pg_buf_deinit(&out);

    // the head is all that is needed
    pg_bitswap_msg_reader reader = pg_bitswap_msg_reader_make(message.len - head);
    pg_bitswap_part part;
    assert_int_equal(pg_bitswap_part_decode(&reader, pg_bytes_make(message.ptr + head, 14), &part),
                     PG_OK);
    assert_int_equal(part.kind, PG_BITSWAP_PART_BLOCK_HEAD);
    assert_int_equal(part.used, 14);
    assert_int_equal(part.follow, sizeof(mebibyte));
    pg_buf_deinit(&message);
}

static void test_msg__block_over_the_limit__is_refused_at_its_head(void **state)
{
    (void) state;
    pg_buf message = {0};
    large_append(&message, PG_BITSWAP_BLOCK_BYTES_MAX, 0);
    pg_buf out = {0};
    assert_int_equal(read_both(pg_buf_bytes(&message), &out), PG_OK);
    pg_buf_clear(&message);
    large_append(&message, PG_BITSWAP_BLOCK_BYTES_MAX + 1, 0);
    expect_error(pg_buf_bytes(&message), PG_ERR_LIMIT);
    pg_buf_clear(&message);
    assert_int_equal(pg_pb_put_bytes(&message, 2, PG_BYTES_OF(mebibyte)), PG_OK); // version 1.0
    pg_buf_clear(&out);
    assert_int_equal(read_both(pg_buf_bytes(&message), &out), PG_OK);
    assert_true(
        pg_bytes_starts_with(pg_buf_bytes(&out), PG_BYTES_LIT("data 0/70/12/32: 1048576 bytes")));
    pg_buf_deinit(&out);
    pg_buf_deinit(&message);
}

static void test_msg__large_block_in_another_order__is_not_supported(void **state)
{
    (void) state;
    pg_buf message = {0};
    assert_int_equal(pg_pb_put_head(&message, 3, 5000 + 3 + 6), PG_OK);
    assert_int_equal(pg_pb_put_bytes(&message, 2, pg_bytes_make(mebibyte, 5000)), PG_OK);
    assert_int_equal(pg_pb_put_bytes(&message, 1, PG_BYTES_LIT("\x01\x55\x1e\x20")), PG_OK);
    expect_error(pg_buf_bytes(&message), PG_ERR_MALFORMED); // its data come before any prefix
    pg_buf_clear(&message);
    assert_int_equal(pg_pb_put_head(&message, 3, 5000 + 3 + 203), PG_OK);
    assert_int_equal(pg_pb_put_bytes(&message, 9, pg_bytes_make(mebibyte, 200)), PG_OK);
    assert_int_equal(pg_pb_put_bytes(&message, 2, pg_bytes_make(mebibyte, 5000)), PG_OK);
    expect_error(pg_buf_bytes(&message), PG_ERR_UNSUPPORTED);
    pg_buf_deinit(&message);
}

// ---- Writing, CIDs

static void test_msg__what_is_written__is_what_another_implementation_writes(void **state)
{
    (void) state;
    pg_buf entries = {0};
    pg_buf message = {0};
    const pg_bitswap_want wants[] = {
        {.cid = PG_BYTES_LIT("\x01\x55\x12\x03"
                             "abc"),
         .priority = 1},
        {.cid = PG_BYTES_LIT("\x01\x55\x12\x03"
                             "abd"),
         .priority = INT32_MIN,
         .is_have = true,
         .send_dont_have = true},
        {.cid = PG_BYTES_LIT("\xff"), .is_cancel = true},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(wants); i++) {
        assert_int_equal(pg_bitswap_want_encode(&wants[i], &entries), PG_OK);
    }
    assert_int_equal(pg_bitswap_wantlist_encode(pg_buf_bytes(&entries), true, &message), PG_OK);
    pg_buf foreign = from_hex(wants_hex);
    assert_true(pg_bytes_equal(pg_buf_bytes(&message), pg_buf_bytes(&foreign)));
    pg_buf_deinit(&foreign);
    pg_buf_deinit(&entries);

    pg_buf_clear(&message);
    pg_cid cid = pg_cid_of_sha256(PG_BYTES_LIT("hello"));
    assert_int_equal(pg_bitswap_block_encode(&cid, 5, &message), PG_OK);
    assert_int_equal(pg_buf_append(&message, PG_BYTES_LIT("hello")), PG_OK);
    assert_int_equal(pg_bitswap_presence_encode(PG_BYTES_LIT("\x01\x56"), false, &message), PG_OK);
    foreign = from_hex("1a0d0a0401551220120568656c6c6f22060a0201561001");
    assert_true(pg_bytes_equal(pg_buf_bytes(&message), pg_buf_bytes(&foreign)));
    pg_buf_deinit(&foreign);
    pg_buf_deinit(&message);

    pg_buf full = {.max_len = 12};
    assert_int_equal(pg_bitswap_want_encode(&wants[0], &full), PG_ERR_LIMIT);
    assert_int_equal(pg_bitswap_presence_encode(wants[0].cid, true, &full), PG_ERR_LIMIT);
    assert_int_equal(pg_bitswap_block_encode(&cid, 5, &full), PG_ERR_LIMIT);
    assert_int_equal(full.len, 0);
}

static void test_prefix_cid__hashes_we_know__name_the_block(void **state)
{
    (void) state;
    pg_bytes data = PG_BYTES_LIT("hello");
    pg_cid cid;
    pg_cid blake3 = pg_cid_of_blake3(data);
    pg_cid sha256 = pg_cid_of_sha256(data);
    pg_multihash hash = pg_cid_multihash(&sha256);
    pg_cid v0;
    assert_int_equal(pg_cid_make_v0(&hash, &v0), PG_OK);
    assert_int_equal(pg_bitswap_prefix_cid(&(pg_bitswap_prefix){1, 0x55, 0x1e, 32}, data, &cid),
                     PG_OK);
    assert_true(pg_cid_equal(&cid, &blake3));
    assert_int_equal(pg_bitswap_prefix_cid(&(pg_bitswap_prefix){1, 0x55, 0x12, 32}, data, &cid),
                     PG_OK);
    assert_true(pg_cid_equal(&cid, &sha256));
    assert_int_equal(pg_bitswap_prefix_cid(&(pg_bitswap_prefix){0, 0x70, 0x12, 32}, data, &cid),
                     PG_OK);
    assert_true(pg_cid_equal(&cid, &v0));
    static const pg_bitswap_prefix unknown[] = {
        {2, 0x55, 0x12, 32}, {1, 0x10000, 0x12, 32}, {1, 0x55, 0x13, 64}, {1, 0x55, 0x12, 20},
        {0, 0x70, 0x1e, 32}, {1, 0x55, 0x00, 5},     {1, 0x55, 0x1e, 64},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(unknown); i++) {
        assert_int_equal(pg_bitswap_prefix_cid(&unknown[i], data, &cid), PG_ERR_UNSUPPORTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_msg__foreign_wantlist__every_entry_is_read),
        cmocka_unit_test(test_msg__foreign_answers__blocks_and_presences_are_read),
        cmocka_unit_test(test_msg__cut_anywhere__is_malformed_or_a_shorter_message),
        cmocka_unit_test(test_msg__fields_of_the_future__are_passed_over),
        cmocka_unit_test(test_msg__cids_without_bytes_or_too_long__are_passed_over),
        cmocka_unit_test(test_msg__broken_lengths__are_malformed),
        cmocka_unit_test(test_msg__large_blocks__are_given_by_their_heads),
        cmocka_unit_test(test_msg__block_over_the_limit__is_refused_at_its_head),
        cmocka_unit_test(test_msg__large_block_in_another_order__is_not_supported),
        cmocka_unit_test(test_msg__what_is_written__is_what_another_implementation_writes),
        cmocka_unit_test(test_prefix_cid__hashes_we_know__name_the_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
