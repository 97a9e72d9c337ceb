// SPDX-License-Identifier: Apache-2.0
// Goal: the formats are those of tests/vectors/files, which never change. Method: make every vector again with fixed randomness and
// compare the text; decode the blocks of the compressed file, whose encoding depends on the version of zstd.
// `test_files_vectors --regenerate` writes the files anew: only for a new version of the formats.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "files/audit.h"
#include "files/code.h"
#include "files/keys.h"
#include "memory_store.h"
#include "runtime/runtime.h"

#define V1_PATH VECTORS_DIR "/files/v1.txt"
#define TEXT_PATH VECTORS_DIR "/files/v1-text.txt"
#define TEXT_BYTES 100000U

/** A file on its way through the pipelines. */
typedef struct trip {
    memory_store store;
    pg_files_encoding encoding;
    pg_files_encoded encoded;
    pg_link link;
} trip;

static pg_err encode_run(void *arg)
{
    trip *t = arg;
    pg_files_source source = memory_source(&t->store);
    pg_files_sink sink = memory_sink(&t->store);
    return pg_files_encode_stream(&t->encoding, &source, &sink, &t->encoded);
}

static void put_hex(pg_buf *out, const char *title, pg_bytes bytes)
{
    char *hex = pg_malloc(2 * bytes.len + 1);
    assert_non_null(hex);
    pg_hex_encode(bytes, hex);
    assert_int_equal(pg_buf_printf(out, "%s %s\n", title, hex), PG_OK);
    pg_mfree(hex);
}

static void put_line(pg_buf *out, const char *title, const char *text)
{
    assert_int_equal(pg_buf_printf(out, "%s %s\n", title, text), PG_OK);
}

/** Encode with randomness of `seed`, key first, and write the link and all blocks; shards by CID only unless `whole`.
 *  Returns the link. */
static pg_link put_file(pg_buf *out, pg_files_encoding encoding, pg_bytes plain, uint64_t seed,
                        bool whole)
{
    trip t = {.encoding = encoding};
    char text[PG_LINK_TEXT_BYTES > PG_CID_TEXT_BYTES ? PG_LINK_TEXT_BYTES : PG_CID_TEXT_BYTES];
    pg_key key;
    test_random_seed(seed);
    test_random(pg_mut_bytes_make(key.bytes, PG_KEY_BYTES));
    t.encoding.file_key = &key;
    t.encoding.random = test_random;
    t.store.source = plain;
    assert_int_equal(pg_runtime_run(NULL, encode_run, &t), PG_OK);
    t.link = (pg_link){t.encoded.root, key};
    pg_link_format(&t.link, text);
    put_hex(out, "key", pg_key_bytes(&key));
    put_line(out, "link", text);
    for (size_t i = 0; i < t.store.count; i++) {
        const memory_block *block = &t.store.blocks[i];
        pg_cid_format(&block->cid, text);
        if (block->is_shard) {
            assert_int_equal(pg_buf_printf(out, "shard extent %u segment %u slot %u ",
                                           (unsigned) block->extent, block->segment, block->slot),
                             PG_OK);
        }
        put_line(out, "cid", text);
        if (whole || !block->is_shard) {
            put_hex(out, "block", pg_buf_bytes(&block->bytes));
        }
    }
    memory_free(&t.store);
    return t.link;
}

static void put_inline(pg_buf *out)
{
    char text[PG_LINK_TEXT_BYTES];
    static const char content[] = "a file of 37 bytes stands in its root";
    put_line(out, "\n# Inline file, content:", content);
    pg_files_encoding encoding = {.code = PG_CODE_DEFAULT, .name = PG_BYTES_LIT("note.txt")};
    pg_link link = put_file(out, encoding, pg_bytes_make(content, sizeof(content) - 1), 1, false);
    put_line(out, "\n# Empty file", "without a name");
    encoding.name = PG_BYTES_EMPTY;
    link.key = put_file(out, encoding, PG_BYTES_EMPTY, 2, false).key;
    pg_link_format(&link, text);
    put_line(out, "\n# Link with the root of the inline file and the key of the empty one:",
             "a wrong key");
    put_line(out, "link", text);
}

static void put_extents(pg_buf *out)
{
    uint8_t plain[33000];
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea files vector"));
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(plain));
    put_line(out,
             "\n# 33000 bytes, the extended output of BLAKE3(\"pangea files vector\"); code 3+2,",
             "segments of 8192 bytes, three to an extent");
    pg_files_encoding encoding = {.code = {3, 2}, .segment_bytes = 8192, .extent_segments = 3};
    (void) put_file(out, encoding, PG_BYTES_OF(plain), 3, false);
}

static void put_keys(pg_buf *out)
{
    static const char *const names[PG_FILES_PURPOSE_COUNT] = {
        [PG_FILES_PURPOSE_COMMITMENT] = "commitment",
        [PG_FILES_PURPOSE_ROOT] = "root",
        [PG_FILES_PURPOSE_DESCRIPTOR] = "descriptor",
        [PG_FILES_PURPOSE_SEGMENT] = "segment",
    };
    pg_key key;
    pg_key derived;
    memset(key.bytes, 0x11, PG_KEY_BYTES);
    put_line(out, "# Derived keys of the file key 11..11,", "salt \"salt\"");
    for (pg_files_purpose i = 0; i < PG_FILES_PURPOSE_COUNT; i++) {
        pg_files_derive(&key, PG_BYTES_LIT("salt"), i, &derived);
        put_hex(out, names[i], pg_key_bytes(&derived));
    }
}

static void put_padme(pg_buf *out)
{
    static const uint64_t lens[] = {0,    1,     2,       9,       100,         1000,
                                    4097, 65535, 1000000, 8388607, 123456789012};
    put_line(out, "\n# Padme:", "length and padded length");
    for (size_t i = 0; i < PG_ARRAY_LEN(lens); i++) {
        assert_int_equal(pg_buf_printf(out, "padme %llu %llu\n", (unsigned long long) lens[i],
                                       (unsigned long long) pg_padme(lens[i])),
                         PG_OK);
    }
}

static void put_audit(pg_buf *out)
{
    uint8_t shard[10000];
    pg_audit_answer answer = {.segment = 5, .shard = 2};
    pg_audit_challenge challenge = {.segment = 5, .auditor = PG_BYTES_LIT("auditor")};
    pg_buf encoded = {0};
    uint8_t digest[PG_HASH_BYTES];
    for (size_t i = 0; i < sizeof(shard); i++) {
        shard[i] = (uint8_t) (i * 7 + i / 256);
    }
    memset(challenge.nonce, 0x22, sizeof(challenge.nonce));
    memset(challenge.extent_id, 0x33, sizeof(challenge.extent_id));
    pg_audit_compute(&challenge, PG_BYTES_OF(shard), answer.sum);
    put_line(out, "\n# Audit: nonce 22..22, extent id 33..33, segment 5, auditor \"auditor\",",
             "shard of 10000 bytes (7 i + i / 256) mod 256");
    put_hex(out, "sum-begins", pg_bytes_make(answer.sum, 32));
    pg_blake3(PG_BYTES_OF(answer.sum), digest);
    put_hex(out, "sum-blake3", PG_BYTES_OF(digest));
    assert_int_equal(pg_audit_answer_encode(&answer, &encoded), PG_OK);
    pg_blake3(pg_buf_bytes(&encoded), digest);
    put_hex(out, "answer-blake3", PG_BYTES_OF(digest));
    pg_buf_deinit(&encoded);
}

static void make_v1(pg_buf *out)
{
    put_keys(out);
    put_padme(out);
    put_audit(out);
    put_inline(out);
    put_extents(out);
}

static void make_text(pg_buf *out)
{
    uint8_t *plain = test_bytes(TEXT_BYTES, true);
    put_line(out, "# 100000 bytes of text, byte i = W[(i + 13 (i / 97)) mod 68] of the words W in",
             "tests/unit/files/memory_store.c; code 8+2, compressed");
    pg_files_encoding encoding = {.code = PG_CODE_DEFAULT, .name = PG_BYTES_LIT("fox.txt")};
    (void) put_file(out, encoding, pg_bytes_make(plain, TEXT_BYTES), 4, true);
    pg_mfree(plain);
}

static pg_buf load(const char *path)
{
    pg_buf text = {0};
    uint8_t *space = NULL;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(pg_buf_extend(&text, 1U << 20, &space), PG_OK);
    text.len = fread(space, 1, text.len, file);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void test_formats__made_again__equal_the_vectors(void **state)
{
    (void) state;
    pg_buf made = {0};
    pg_buf kept = load(V1_PATH);
    make_v1(&made);
    assert_int_equal(made.len, kept.len);
    assert_memory_equal(made.ptr, kept.ptr, made.len);
    pg_buf_deinit(&kept);
    pg_buf_deinit(&made);
}

/** Add the block of a "block HEX" line to the store; a shard's place is of no use here. */
static void take_block(trip *t, pg_str hex)
{
    uint8_t *bytes = pg_malloc(hex.len / 2 + 1);
    assert_non_null(bytes);
    assert_int_equal(pg_hex_decode(hex, pg_mut_bytes_make(bytes, hex.len / 2)), PG_OK);
    t->store.blocks = pg_realloc(t->store.blocks, (t->store.count + 1) * sizeof(memory_block));
    assert_non_null(t->store.blocks);
    memory_block *block = &t->store.blocks[t->store.count++];
    *block = (memory_block){.cid = pg_block_cid(pg_bytes_make(bytes, hex.len / 2))};
    assert_int_equal(pg_buf_append(&block->bytes, pg_bytes_make(bytes, hex.len / 2)), PG_OK);
    pg_mfree(bytes);
}

static pg_err on_get_shards(const pg_shards_want *want, pg_shard_set *out_got,
                            pg_shard_set *out_absent, void *user)
{
    (void) out_absent;
    for (unsigned i = 2; i < 10; i++) { // without the first two
        pg_cid cid =
            pg_block_cid_of_digest(pg_descriptor_digest(want->descriptor, want->segment, i));
        memory_block *block = memory_find(user, &cid);
        assert_non_null(block);
        memcpy(want->shards + (size_t) i * want->shard_bytes, block->bytes.ptr, want->shard_bytes);
        *out_got |= (pg_shard_set) 1 << i;
    }
    return PG_OK;
}

static pg_err decode_text_run(void *arg)
{
    trip *t = arg;
    pg_files_store store = memory_blocks(&t->store);
    pg_files_output output = memory_output(&t->store);
    store.get_shards = on_get_shards;
    return pg_files_decode_stream(&t->link, 0, &store, &output);
}

static void test_compressed_file__decoded__is_the_text(void **state)
{
    (void) state;
    trip t = {0};
    pg_buf kept = load(TEXT_PATH);
    pg_str rest = pg_buf_str(&kept);
    while (rest.len > 0) {
        pg_str line;
        rest = pg_str_split(rest, '\n', &line);
        pg_str value = pg_str_split(line, ' ', &line);
        if (pg_str_equal(line, PG_STR("link"))) {
            assert_int_equal(pg_link_parse(value, &t.link), PG_OK);
        } else if (pg_str_equal(line, PG_STR("block"))) {
            take_block(&t, value);
        }
    }
    assert_int_equal(pg_runtime_run(NULL, decode_text_run, &t), PG_OK);
    uint8_t *plain = test_bytes(TEXT_BYTES, true);
    assert_int_equal(t.store.output.len, TEXT_BYTES);
    assert_memory_equal(t.store.output.ptr, plain, TEXT_BYTES);
    pg_mfree(plain);
    memory_free(&t.store);
    pg_buf_deinit(&kept);
}

static void write_file(const char *path, void (*make)(pg_buf *out))
{
    pg_buf text = {0};
    make(&text);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(text.ptr, 1, text.len, file) != text.len || fclose(file) != 0) {
        (void) fprintf(stderr, "cannot write %s\n", path);
        exit(1);
    }
    pg_buf_deinit(&text);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--regenerate") == 0) {
        write_file(V1_PATH, make_v1);
        write_file(TEXT_PATH, make_text);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats__made_again__equal_the_vectors),
        cmocka_unit_test(test_compressed_file__decoded__is_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
