// SPDX-License-Identifier: Apache-2.0
// Goal: a root reads back; a wrong key, an altered root, an unknown version and every impossible content have their own errors.
// Method: roots with each field set and spoiled, sealed with the real key; every single byte of a block changed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "files/extents.h"
#include "files/root.h"
#include "memory_store.h"

static const pg_key key = {{42}};
static const pg_root_seal fresh = {{1, 2, 3}, {4, 5, 6}};

static void set(pg_buf *buf, pg_bytes bytes)
{
    pg_buf_clear(buf);
    assert_int_equal(pg_buf_append(buf, bytes), PG_OK);
}

static void add_extent(pg_buf *list, uint64_t plain_bytes, size_t hosts)
{
    pg_extent extent = {.descriptor = pg_block_cid(PG_BYTES_LIT("d")),
                        .plain_bytes = plain_bytes,
                        .host_count = hosts};
    for (size_t i = 0; i < hosts; i++) {
        extent.hosts[i] = PG_BYTES_LIT("a host");
    }
    assert_int_equal(pg_extents_append(list, &extent), PG_OK);
}

/** Seal `root` and open it again. */
static pg_err round_trip(const pg_root *root, pg_root *out)
{
    pg_buf block = {0};
    assert_int_equal(pg_root_encode(root, &key, &fresh, &block), PG_OK);
    assert_true(block.len <= PG_ROOT_BYTES_MAX);
    pg_err err = pg_root_decode(pg_buf_bytes(&block), &key, out);
    pg_buf_deinit(&block);
    return err;
}

static void test_root__each_form__reads_back(void **state)
{
    (void) state;
    for (int form = 0; form < 4; form++) {
        pg_root root = {0};
        pg_root again;
        if (form == 1) {
            uint8_t *content = test_bytes(PG_INLINE_BYTES_MAX, false);
            set(&root.content, pg_bytes_make(content, PG_INLINE_BYTES_MAX));
            set(&root.name, PG_BYTES_LIT("n\xc3\xa4me"));
            root.size_bytes = PG_INLINE_BYTES_MAX;
            pg_mfree(content);
        } else if (form > 1) {
            add_extent(&root.extents, PG_EXTENT_BYTES_MAX, 32);
            add_extent(&root.extents, 17, 0);
            root.size_bytes = PG_EXTENT_BYTES_MAX + 17;
            root.kind = PG_FILE_KIND_FOLDER;
            root.level = form == 3 ? 3 : 0;
        }
        assert_int_equal(round_trip(&root, &again), PG_OK);
        assert_int_equal(again.size_bytes, root.size_bytes);
        assert_int_equal(again.kind, root.kind);
        assert_int_equal(again.level, root.level);
        assert_true(pg_bytes_equal(pg_buf_bytes(&again.name), pg_buf_bytes(&root.name)));
        assert_true(pg_bytes_equal(pg_buf_bytes(&again.content), pg_buf_bytes(&root.content)));
        assert_true(pg_bytes_equal(pg_buf_bytes(&again.extents), pg_buf_bytes(&root.extents)));
        pg_root_deinit(&again);
        pg_root_deinit(&root);
    }
    pg_root_deinit(NULL);
}

static void test_root__length__tells_little(void **state)
{
    (void) state;
    size_t lens[2];
    for (size_t i = 0; i < 2; i++) {
        pg_root root = {.size_bytes = 1000 + i};
        pg_buf block = {0};
        uint8_t content[1001] = {0};
        set(&root.content, pg_bytes_make(content, 1000 + i));
        assert_int_equal(pg_root_encode(&root, &key, &fresh, &block), PG_OK);
        lens[i] = block.len;
        pg_buf_deinit(&block);
        pg_root_deinit(&root);
    }
    assert_int_equal(lens[0], lens[1]);
}

static void test_root__impossible_content__malformed(void **state)
{
    (void) state;
    for (int form = 0; form < 9; form++) {
        pg_root root = {.size_bytes = 3};
        pg_root again;
        set(&root.content, PG_BYTES_LIT("abc"));
        if (form == 0) {
            root.size_bytes = 4;
        } else if (form == 1) {
            root.kind = PG_FILE_KIND_COUNT;
        } else if (form == 2) {
            root.level = 1;
        } else if (form == 3) {
            set(&root.name, PG_BYTES_LIT("a/b"));
        } else if (form == 4) {
            add_extent(&root.extents, 3, 0); // content and extents
        } else {
            pg_buf_clear(&root.content);
            add_extent(&root.extents, form == 5 ? 0 : 3, form == 8 ? 1 : 0);
            root.extents.ptr[0] ^= form == 6 ? 0x08 : 0;
            root.level = form == 7 ? PG_LEVELS_MAX : 0;
            root.extents.ptr[3] ^= form == 8 ? 1 : 0; // length of the descriptor's CID
        }
        assert_int_equal(round_trip(&root, &again), PG_ERR_MALFORMED);
        pg_root_deinit(&root);
    }
}

static void test_root__too_large__refused_both_ways(void **state)
{
    (void) state;
    pg_root root = {.size_bytes = PG_ROOT_BYTES_MAX};
    pg_buf block = {0};
    uint8_t *content = test_bytes(PG_ROOT_BYTES_MAX + 1, false);
    set(&root.content, pg_bytes_make(content, PG_ROOT_BYTES_MAX));
    assert_int_equal(pg_root_encode(&root, &key, &fresh, &block), PG_ERR_LIMIT);
    pg_root again;
    assert_int_equal(pg_root_decode(pg_bytes_make(content, PG_ROOT_BYTES_MAX + 1), &key, &again),
                     PG_ERR_LIMIT);
    pg_mfree(content);
    pg_buf_deinit(&block);
    pg_root_deinit(&root);
}

static void test_root__every_changed_byte__is_noticed(void **state)
{
    (void) state;
    pg_root root = {.size_bytes = 3};
    pg_root again;
    pg_buf block = {0};
    set(&root.content, PG_BYTES_LIT("abc"));
    assert_int_equal(pg_root_encode(&root, &key, &fresh, &block), PG_OK);
    for (size_t i = 0; i < block.len; i++) {
        block.ptr[i] ^= 0x40;
        pg_err err = pg_root_decode(pg_buf_bytes(&block), &key, &again);
        assert_true(err == PG_ERR_KEY || err == PG_ERR_CORRUPT || err == PG_ERR_MALFORMED ||
                    err == PG_ERR_UNSUPPORTED);
        block.ptr[i] ^= 0x40;
        err = pg_root_decode(pg_bytes_slice(pg_buf_bytes(&block), 0, i), &key, &again);
        assert_int_equal(err, PG_ERR_MALFORMED);
    }
    // The last byte belongs to the tag: right key, altered content.
    block.ptr[block.len - 1] ^= 1;
    assert_int_equal(pg_root_decode(pg_buf_bytes(&block), &key, &again), PG_ERR_CORRUPT);
    block.ptr[block.len - 1] ^= 1;
    block.ptr[1] = 7;
    assert_int_equal(pg_root_decode(pg_buf_bytes(&block), &key, &again), PG_ERR_UNSUPPORTED);
    assert_non_null(strstr(pg_error_detail(PG_ERR_UNSUPPORTED), "version 7"));
    block.ptr[1] = 1;
    pg_key other = key;
    other.bytes[31] ^= 1;
    assert_int_equal(pg_root_decode(pg_buf_bytes(&block), &other, &again), PG_ERR_KEY);
    pg_buf_deinit(&block);
    pg_root_deinit(&root);
}

static void test_name__impossible__refused(void **state)
{
    (void) state;
    char longest[PG_NAME_BYTES_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(pg_root_check_name(pg_bytes_make(longest, PG_NAME_BYTES_MAX)), PG_OK);
    assert_int_equal(pg_root_check_name(pg_bytes_make(longest, PG_NAME_BYTES_MAX + 1)),
                     PG_ERR_INVALID);
    assert_int_equal(pg_root_check_name(PG_BYTES_LIT("..")), PG_ERR_INVALID);
    assert_int_equal(pg_root_check_name(PG_BYTES_LIT(".")), PG_ERR_INVALID);
    assert_int_equal(pg_root_check_name(PG_BYTES_LIT("\x1b[2J")), PG_ERR_INVALID);
    assert_int_equal(pg_root_check_name(PG_BYTES_LIT("...")), PG_OK);
}

static void test_root__no_memory__fails_clean(void **state)
{
    (void) state;
    pg_root root = {.size_bytes = 3};
    set(&root.content, PG_BYTES_LIT("abc"));
    for (uint64_t nth = 1; nth < 40; nth++) {
        pg_buf block = {0};
        pg_root again = {0};
        pg_mem_fail_nth(nth);
        pg_err err = pg_root_encode(&root, &key, &fresh, &block);
        if (err == PG_OK) {
            err = pg_root_decode(pg_buf_bytes(&block), &key, &again);
        }
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_true(failed ? err == PG_ERR_NOMEM || err == PG_ERR_LIMIT : err == PG_OK);
        pg_root_deinit(&again);
        pg_buf_deinit(&block);
    }
    pg_root_deinit(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root__each_form__reads_back),
        cmocka_unit_test(test_root__length__tells_little),
        cmocka_unit_test(test_root__impossible_content__malformed),
        cmocka_unit_test(test_root__too_large__refused_both_ways),
        cmocka_unit_test(test_root__every_changed_byte__is_noticed),
        cmocka_unit_test(test_name__impossible__refused),
        cmocka_unit_test(test_root__no_memory__fails_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
