// SPDX-License-Identifier: Apache-2.0
// Goal: invitations read back as they were written, in either case; the text is that of tests/vectors/invite, which never changes; what
// is mistyped, cut off, too new or expired is told as such.
// Method: direct calls; one text taken apart by hand after docs/protocols/invite.md. `test_net_invite --regenerate` writes the vectors
// anew: only for a new version of the format.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/multibase.h"
#include "crypto/hash.h"
#include "crypto/peer_id_text.h"
#include "net/invite.h"

#define VECTORS VECTORS_DIR "/invite/v1.txt"
#define PEER "12D3KooWGzh3cCBmVJhSKvwVYLfMaZqYhkVLPGDM7SgEqx9bZr7F"

static const char *const some_addrs[] = {
    "/ip4/192.0.2.7/tcp/4417",
    "/ip6/2001:db8::7/udp/4417/quic-v1",
    "/dns4/home.example/tcp/443",
};

static pg_invite make(bool is_private, uint64_t expires_s, size_t addr_count)
{
    pg_invite invite = {.is_private = is_private, .expires_s = expires_s, .addr_count = addr_count};
    assert_int_equal(pg_peer_id_parse(PG_STR(PEER), &invite.peer), PG_OK);
    for (size_t i = 0; i < addr_count; i++) {
        assert_int_equal(pg_multiaddr_parse(pg_str_make(some_addrs[i]), &invite.addrs[i]), PG_OK);
    }
    for (size_t i = 0; is_private && i < PG_KEY_BYTES; i++) {
        invite.network_key.bytes[i] = (uint8_t) (0xa0 + i);
    }
    return invite;
}

static pg_err parse(const char *text, pg_invite *invite)
{
    return pg_invite_parse(pg_str_make(text), invite);
}

static void assert_same(const pg_invite *a, const pg_invite *b)
{
    assert_true(pg_peer_id_equal(&a->peer, &b->peer));
    assert_int_equal(a->is_private, b->is_private);
    assert_memory_equal(a->network_key.bytes, b->network_key.bytes, PG_KEY_BYTES);
    assert_int_equal(a->expires_s, b->expires_s);
    assert_int_equal(a->addr_count, b->addr_count);
    for (size_t i = 0; i < a->addr_count; i++) {
        assert_true(pg_multiaddr_equal(&a->addrs[i], &b->addrs[i]));
    }
}

static void test_invite__written__reads_back(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 6; i++) {
        char text[PG_INVITE_TEXT_BYTES];
        pg_invite invite = make(i % 2 == 1, i < 2 ? 0 : 1893456000, 1 + i / 2);
        pg_invite back;
        memset(&back, 0xff, sizeof(back));
        assert_int_equal(pg_invite_format(&invite, text), PG_OK);
        assert_int_equal(parse(text, &back), PG_OK);
        assert_same(&invite, &back);
        for (char *c = text; *c != '\0'; c++) { // as a QR code has it
            *c = (char) (*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
        }
        memset(&back, 0xff, sizeof(back));
        assert_int_equal(parse(text, &back), PG_OK);
        assert_same(&invite, &back);
        pg_invite_wipe(&back);
        assert_int_equal(back.network_key.bytes[0], 0);
    }
    pg_invite_wipe(NULL);
}

// ---- vectors ----

static pg_buf vectors_make(void)
{
    pg_buf out = {0};
    for (unsigned i = 0; i < 4; i++) {
        char text[PG_INVITE_TEXT_BYTES];
        char hex[2 * PG_MULTIADDR_BYTES_MAX + 1];
        pg_invite invite = make(i % 2 == 1, i < 2 ? 0 : 1893456000, i < 2 ? 1 : 3);
        assert_int_equal(pg_invite_format(&invite, text), PG_OK);
        pg_hex_encode(pg_peer_id_bytes(&invite.peer), hex);
        assert_int_equal(pg_buf_printf(&out, "peer %s\n", hex), PG_OK);
        assert_int_equal(
            pg_buf_printf(&out, "expires %llu\n", (unsigned long long) invite.expires_s), PG_OK);
        if (invite.is_private) {
            pg_hex_encode(pg_key_bytes(&invite.network_key), hex);
            assert_int_equal(pg_buf_printf(&out, "key %s\n", hex), PG_OK);
        }
        for (size_t j = 0; j < invite.addr_count; j++) {
            pg_hex_encode(pg_multiaddr_bytes(&invite.addrs[j]), hex);
            assert_int_equal(pg_buf_printf(&out, "addr %s\n", hex), PG_OK);
        }
        assert_int_equal(pg_buf_printf(&out, "text %s\n\n", text), PG_OK);
    }
    return out;
}

static void test_invite__vectors__are_what_is_written(void **state)
{
    (void) state;
    static char kept[8192];
    pg_buf made = vectors_make();
    FILE *file = fopen(VECTORS, "rb");
    assert_non_null(file);
    size_t len = fread(kept, 1, sizeof(kept), file);
    (void) fclose(file);
    assert_true(pg_bytes_equal(pg_buf_bytes(&made), pg_bytes_make(kept, len)));
    pg_buf_deinit(&made);
}

// Encode content by hand, with its checksum.
static void by_hand(pg_bytes content, char out_text[PG_INVITE_TEXT_BYTES])
{
    uint8_t space[PG_INVITE_BYTES_MAX];
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea invite"));
    pg_blake3_stream_update(&stream, content);
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(digest));
    memcpy(space, content.ptr, content.len);
    memcpy(space + content.len, digest, 4);
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_text, PG_INVITE_TEXT_BYTES));
    pg_writer_put(&writer, PG_BYTES_LIT("pangea-invite:b"));
    pg_writer_base(&writer, PG_BASE_32, pg_bytes_make(space, content.len + 4));
    pg_writer_u8(&writer, 0);
    assert_false(writer.failed);
}

#define ID                                                                                         \
    "\x26\x00\x24\x08\x01\x12\x20"                                                                 \
    "0123456789abcdef0123456789abcdef"
#define ADDR "\x08\x04\xc0\x00\x02\x07\x06\x11\x41" // /ip4/192.0.2.7/tcp/4417

static void test_invite__written_by_hand__reads(void **state)
{
    (void) state;
    char text[PG_INVITE_TEXT_BYTES];
    char again[PG_INVITE_TEXT_BYTES];
    pg_invite invite;
    by_hand(PG_BYTES_LIT("\1\0\x80\x01" ID "\1" ADDR), text);
    assert_int_equal(parse(text, &invite), PG_OK);
    assert_int_equal(invite.expires_s, 128);
    assert_false(invite.is_private);
    assert_int_equal(invite.addr_count, 1);
    pg_multiaddr want;
    assert_int_equal(pg_multiaddr_parse(pg_str_make(some_addrs[0]), &want), PG_OK);
    assert_true(pg_multiaddr_equal(&invite.addrs[0], &want));
    assert_int_equal(pg_invite_format(&invite, again), PG_OK);
    assert_string_equal(again, text);

    // an address of a kind that is not known is left out
    by_hand(PG_BYTES_LIT("\1\0\0" ID "\2\3\xff\xff\x03" ADDR), text);
    assert_int_equal(parse(text, &invite), PG_OK);
    assert_int_equal(invite.addr_count, 1);
    by_hand(PG_BYTES_LIT("\1\0\0" ID "\1\3\xff\xff\x03"), text);
    assert_int_equal(parse(text, &invite), PG_ERR_UNSUPPORTED);
}

static void test_invite__of_another_form__is_refused(void **state)
{
    (void) state;
    char text[PG_INVITE_TEXT_BYTES];
    pg_invite invite;
    const struct {
        pg_bytes content;
        pg_err want;
    } cases[] = {
        {PG_BYTES_LIT("\2\0\0" ID "\1" ADDR), PG_ERR_UNSUPPORTED},    // a version
        {PG_BYTES_LIT("\1\2\0" ID "\1" ADDR), PG_ERR_UNSUPPORTED},    // a flag
        {PG_BYTES_LIT("\1\0\0" ID "\1" ADDR "\0"), PG_ERR_MALFORMED}, // more behind it
        {PG_BYTES_LIT("\1\0\0" ID "\0"), PG_ERR_MALFORMED},           // no address
        {PG_BYTES_LIT("\1\0\0" ID "\2" ADDR), PG_ERR_MALFORMED},      // fewer than said
        {PG_BYTES_LIT("\1\0\0" ID "\1\0"), PG_ERR_MALFORMED},         // an empty one
        {PG_BYTES_LIT("\1\0\0" ID "\x09" ADDR ADDR ADDR ADDR ADDR ADDR ADDR ADDR ADDR),
         PG_ERR_MALFORMED},
        {PG_BYTES_LIT("\1\0\0\2\0\0\1" ADDR), PG_ERR_MALFORMED},     // no PeerId
        {PG_BYTES_LIT("\1\0\x80\0" ID "\1" ADDR), PG_ERR_MALFORMED}, // a longer varint than need be
        {PG_BYTES_LIT("\1\0\0" ID "\1\x31\x04\xc0\0\2\7\6\x11\x41\xa5\3" ID),
         PG_ERR_MALFORMED}, // /p2p/ID
        {PG_BYTES_LIT("\1\1 too short for a key"), PG_ERR_MALFORMED},
        {PG_BYTES_LIT("\1"), PG_ERR_MALFORMED},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(cases); i++) {
        by_hand(cases[i].content, text);
        assert_int_equal(parse(text, &invite), cases[i].want);
    }
}

static void test_invite__every_typo_and_cut__is_told(void **state)
{
    (void) state;
    char text[PG_INVITE_TEXT_BYTES];
    pg_invite invite = make(true, 0, 2);
    pg_invite back;
    assert_int_equal(pg_invite_format(&invite, text), PG_OK);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        text[i] = c == 'q' ? 'z' : 'q';
        pg_err err = parse(text, &back);
        assert_true(err == (i < strlen("pangea-invite:") ? PG_ERR_INVALID : PG_ERR_MALFORMED));
        text[i] = c;
        err = pg_invite_parse(pg_str_make_len(text, i), &back);
        assert_true(err == PG_ERR_INVALID || err == PG_ERR_TRUNCATED || err == PG_ERR_MALFORMED);
    }
    assert_int_equal(parse("", &back), PG_ERR_INVALID);
    assert_int_equal(parse("pangea:bafk", &back), PG_ERR_INVALID);
    assert_int_equal(parse("pangea-invite:", &back), PG_ERR_TRUNCATED);
    assert_int_equal(parse(" pangea-invite:b", &back), PG_ERR_INVALID);
    assert_int_equal(parse("pangea-invite:zabc", &back), PG_ERR_MALFORMED); // another base
    assert_int_equal(parse("pangea-invite:baaaa", &back), PG_ERR_MALFORMED);
}

static void test_invite__too_much__is_left_out(void **state)
{
    (void) state;
    char text[PG_INVITE_TEXT_BYTES];
    char name[260];
    pg_invite back;
    pg_invite invite = make(true, 1893456000, 3);
    (void) snprintf(name, sizeof(name), "/dns4/%.200d.example/tcp/1", 7);
    assert_int_equal(pg_multiaddr_parse(pg_str_make(name), &invite.addrs[1]), PG_OK);
    assert_int_equal(pg_invite_format(&invite, text), PG_OK);
    assert_int_equal(parse(text, &back), PG_OK);
    assert_int_equal(back.addr_count, 2);
    assert_true(pg_multiaddr_equal(&back.addrs[1], &invite.addrs[2]));
    invite.addrs[0] = invite.addrs[1];
    invite.addr_count = 1;
    assert_int_equal(pg_invite_format(&invite, text), PG_ERR_LIMIT);
    invite.addr_count = 0;
    assert_int_equal(pg_invite_format(&invite, text), PG_ERR_INVALID);
    invite = make(false, 0, 1);
    invite.peer.len = 0;
    assert_int_equal(pg_invite_format(&invite, text), PG_ERR_INVALID);
}

static void test_invite__expired__is_told_since_when(void **state)
{
    (void) state;
    pg_invite invite = make(false, 0, 1);
    assert_int_equal(pg_invite_check(&invite, UINT64_MAX), PG_OK);
    invite.expires_s = 1000000;
    assert_int_equal(pg_invite_check(&invite, 999999), PG_OK);
    assert_int_equal(pg_invite_check(&invite, 1000000 + 300), PG_ERR_INVALID);
    assert_non_null(strstr(pg_error_detail(PG_ERR_INVALID), "5 minutes ago"));
    assert_int_equal(pg_invite_check(&invite, 1000000 + 3 * 86400), PG_ERR_INVALID);
    assert_non_null(strstr(pg_error_detail(PG_ERR_INVALID), "3 days ago"));
}

static void test_invite__addresses__those_that_reach_farthest(void **state)
{
    (void) state;
    static const char *const all[] = {
        "/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.7/tcp/1",   "/ip4/169.254.1.1/tcp/1",
        "/ip4/8.8.4.4/tcp/1",   "/dns4/home.example/tcp/1", "/ip6/fd00::7/tcp/1",
        "/ip4/10.0.0.7/tcp/1",
    };
    pg_multiaddr ours[7];
    pg_multiaddr chosen[PG_INVITE_ADDRS_TOLD];
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(pg_multiaddr_parse(pg_str_make(all[i]), &ours[i]), PG_OK);
    }
    const size_t want[] = {3, 4, 1, 5};
    assert_int_equal(pg_invite_choose_addrs(ours, 7, chosen), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(pg_multiaddr_equal(&chosen[i], &ours[want[i]]));
    }
    assert_int_equal(pg_invite_choose_addrs(ours, 1, chosen), 1); // on this machine only
    assert_int_equal(pg_invite_choose_addrs(ours, 0, chosen), 0);
}

static int regenerate(void)
{
    pg_buf made = vectors_make();
    FILE *file = fopen(VECTORS, "wb");
    bool is_written = file != NULL && fwrite(made.ptr, 1, made.len, file) == made.len;
    is_written = file != NULL && fclose(file) == 0 && is_written;
    pg_buf_deinit(&made);
    return is_written ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--regenerate") == 0) {
        return regenerate();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invite__written__reads_back),
        cmocka_unit_test(test_invite__vectors__are_what_is_written),
        cmocka_unit_test(test_invite__written_by_hand__reads),
        cmocka_unit_test(test_invite__of_another_form__is_refused),
        cmocka_unit_test(test_invite__every_typo_and_cut__is_told),
        cmocka_unit_test(test_invite__too_much__is_left_out),
        cmocka_unit_test(test_invite__expired__is_told_since_when),
        cmocka_unit_test(test_invite__addresses__those_that_reach_farthest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
