// SPDX-License-Identifier: Apache-2.0
// Goal: the catalogue as bytes says what it was made from, in one encoding only; the pointer to it opens for its owner, in its record. Both
// are those of tests/vectors/catalogue, which never change.
// Method: direct calls with made up files; every byte flipped, every length cut. `test_files_snapshot --regenerate` writes the vectors
// anew: only for a new version of the format.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "files/extents.h"
#include "files/pointer.h"
#include "files/snapshot.h"

#define PATH VECTORS_DIR "/catalogue/v1.txt"
#define PATH_PINS VECTORS_DIR "/catalogue/v2.txt"

static pg_cid cid_of(uint8_t byte)
{
    uint8_t digest[32];
    memset(digest, byte, sizeof(digest));
    return pg_block_cid_of_digest(digest);
}

static pg_peer_id peer_of(uint8_t byte)
{
    pg_peer_id id = {.len = 34, .bytes = {0x12, 32}};
    memset(id.bytes + 2, byte, 32);
    return id;
}

/** An extent of 2 + 1 on three hosts, which stand in no order. */
static pg_catalogue_extent extent_make(uint8_t byte, const pg_cid *root)
{
    pg_catalogue_extent extent = {
        .id = 77, // not of the snapshot, as local and missed
        .descriptor = cid_of(byte),
        .root = *root,
        .code = {2, 1},
        .slot_bytes = 1048640,
        .sequence = 1765000000123,
        .expiry_s = 1770000000,
        .local = 1,
        .holder_count = 3,
    };
    memset(extent.extent_id, byte + 1, sizeof(extent.extent_id));
    for (uint8_t i = 0; i < 3; i++) {
        extent.holders[i] = (pg_catalogue_holder){peer_of((uint8_t) (9 - i)), 1U << i, 1048640, i};
    }
    return extent;
}

static pg_snapshot_file large_make(pg_catalogue_extent *extents)
{
    pg_snapshot_file file = {
        .link.root = cid_of(0x20),
        .name = PG_BYTES_LIT("photos"),
        .kind = PG_FILE_KIND_FOLDER,
        .code = {2, 1},
        .size_bytes = 3000000,
        .packed_bytes = 2900000,
        .stored_bytes = 4500000,
        .extents = 2,
        .segments = 2,
        .put_ms = 1765000000000,
        .placed = extents,
        .placed_count = 2,
    };
    const pg_cid none = {.len = 0};
    memset(file.link.key.bytes, 0x21, PG_KEY_BYTES);
    extents[0] = extent_make(0x30, &file.link.root);
    extents[1] = extent_make(0x40, &none);
    return file;
}

static pg_snapshot_file small_make(pg_catalogue_extent *extent)
{
    pg_snapshot_file file = {
        .link.root = cid_of(0x10),
        .code = {8, 2},
        .size_bytes = 5,
        .packed_bytes = 5,
        .stored_bytes = 400,
        .put_ms = 1765000000000,
        .ttl_s = 86400,
        .placed = extent,
        .placed_count = 1,
    };
    memset(file.link.key.bytes, 0x11, PG_KEY_BYTES);
    *extent = (pg_catalogue_extent){
        .descriptor = file.link.root,
        .is_whole = true,
        .code = {8, 2},
        .slot_bytes = 100,
        .sequence = 1,
        .expiry_s = 1770000000,
        .holder_count = 1,
        .holders = {{peer_of(3), 1, 100, 0}},
    };
    memset(extent->extent_id, 0x10, sizeof(extent->extent_id));
    return file;
}

static pg_snapshot_pin pin_make(uint8_t byte)
{
    pg_snapshot_pin pin = {
        .link.root = cid_of(byte),
        .changed_ms = 1766000000000,
        .is_pinned = true,
        .name = PG_BYTES_LIT("talk.webm"),
        .kind = PG_FILE_KIND_FILE,
        .size_bytes = 700000,
    };
    memset(pin.link.key.bytes, byte + 1, PG_KEY_BYTES);
    return pin;
}

/** Two files, two removed ones; with pins also one that is pinned, and one that was let go of. */
static pg_buf sample_make(bool has_pins)
{
    static pg_catalogue_extent extents[3];
    pg_buf out = {0};
    const pg_snapshot_file small = small_make(&extents[2]);
    const pg_snapshot_file large = large_make(extents);
    assert_int_equal(pg_snapshot_begin(&out, has_pins), PG_OK);
    assert_int_equal(pg_snapshot_file_add(&out, &small), PG_OK);
    assert_int_equal(pg_snapshot_file_add(&out, &large), PG_OK);
    for (uint8_t i = 1; i < 3; i++) {
        assert_int_equal(
            pg_snapshot_removed_add(&out, &(pg_snapshot_removed){cid_of(i), 1764000000}), PG_OK);
    }
    if (has_pins) {
        const pg_snapshot_pin pin = pin_make(0x20); // of one's own file
        const pg_snapshot_pin gone = {.link.root = cid_of(0x50), .changed_ms = 1766000000001};
        assert_int_equal(pg_snapshot_pin_add(&out, &pin), PG_OK);
        assert_int_equal(pg_snapshot_pin_add(&out, &gone), PG_OK);
    }
    assert_int_equal(pg_snapshot_end(&out), PG_OK);
    return out;
}

static pg_buf sample(void)
{
    return sample_make(false);
}

/** What was heard, written again. */
typedef struct heard {
    pg_buf again;
    size_t files;
    size_t removed;
    size_t pins;
} heard;

static pg_err on_file(const pg_snapshot_file *file, void *user)
{
    heard *self = user;
    self->files++;
    return pg_snapshot_file_add(&self->again, file);
}

static pg_err on_removed(const pg_snapshot_removed *removed, void *user)
{
    heard *self = user;
    self->removed++;
    return pg_snapshot_removed_add(&self->again, removed);
}

static pg_err on_pin(const pg_snapshot_pin *pin, void *user)
{
    heard *self = user;
    self->pins++;
    return pg_snapshot_pin_add(&self->again, pin);
}

static pg_err read_again(pg_bytes in, heard *out_heard)
{
    const pg_snapshot_visitor visitor = {on_file, on_removed, on_pin, out_heard};
    pg_buf_clear(&out_heard->again);
    bool has_pins = in.len > 16 && in.ptr[16] == PG_SNAPSHOT_VERSION_PINS;
    assert_int_equal(pg_snapshot_begin(&out_heard->again, has_pins), PG_OK);
    return pg_snapshot_decode(in, &visitor);
}

static void test_snapshot__read_and_written_again__is_the_same(void **state)
{
    (void) state;
    for (size_t pins = 0; pins < 2; pins++) {
        heard got = {.files = 0};
        pg_buf made = sample_make(pins > 0);
        assert_int_equal(read_again(pg_buf_bytes(&made), &got), PG_OK);
        assert_int_equal(pg_snapshot_end(&got.again), PG_OK);
        assert_true(pg_bytes_equal(pg_buf_bytes(&made), pg_buf_bytes(&got.again)));
        assert_int_equal(got.files, 2);
        assert_int_equal(got.removed, 2);
        assert_int_equal(got.pins, 2 * pins);
        pg_buf_deinit(&got.again);
        pg_buf_deinit(&made);
    }
}

static pg_err on_pin_seen(const pg_snapshot_pin *pin, void *user)
{
    const pg_snapshot_pin like = pin_make(0x20);
    size_t *seen = user;
    if (++*seen == 1) {
        assert_true(pin->is_pinned);
        assert_true(pg_cid_equal(&pin->link.root, &like.link.root));
        assert_memory_equal(pin->link.key.bytes, like.link.key.bytes, PG_KEY_BYTES);
        assert_true(pg_bytes_equal(pin->name, like.name));
        assert_int_equal(pin->size_bytes, like.size_bytes);
        assert_int_equal(pin->changed_ms, like.changed_ms);
    } else {
        assert_false(pin->is_pinned);
        assert_int_equal(pin->changed_ms, 1766000000001);
    }
    return PG_OK;
}

static void test_snapshot__pins__are_heard_as_they_were_told(void **state)
{
    (void) state;
    size_t seen = 0;
    pg_buf made = sample_make(true);
    const pg_snapshot_visitor visitor = {.pin = on_pin_seen, .user = &seen};
    assert_int_equal(pg_snapshot_decode(pg_buf_bytes(&made), &visitor), PG_OK);
    assert_int_equal(seen, 2);
    pg_buf_deinit(&made);
}

// One catalogue, one encoding: version 2 has pins, version 1 has none.
static void test_snapshot__version_2_without_pins_or_1_with__is_refused(void **state)
{
    (void) state;
    heard got = {.files = 0};
    pg_buf plain = sample_make(false);
    pg_buf pins = sample_make(true);
    plain.ptr[16] = PG_SNAPSHOT_VERSION_PINS;
    assert_int_equal(read_again(pg_buf_bytes(&plain), &got), PG_ERR_MALFORMED);
    pins.ptr[16] = PG_SNAPSHOT_VERSION;
    assert_int_equal(read_again(pg_buf_bytes(&pins), &got), PG_ERR_MALFORMED);
    pg_buf_deinit(&got.again);
    pg_buf_deinit(&plain);
    pg_buf_deinit(&pins);
}

static void test_snapshot__hosts_in_any_order__same_bytes(void **state)
{
    (void) state;
    pg_catalogue_extent extents[2];
    pg_buf a = {0};
    pg_buf b = {0};
    const pg_snapshot_file file = large_make(extents);
    assert_int_equal(pg_snapshot_file_add(&a, &file), PG_OK);
    pg_catalogue_holder first = extents[0].holders[0];
    extents[0].holders[0] = extents[0].holders[2];
    extents[0].holders[2] = first;
    extents[0].holders[1].missed = 5;
    extents[0].id = 1;
    extents[0].local = 0;
    assert_int_equal(pg_snapshot_file_add(&b, &file), PG_OK);
    assert_true(pg_bytes_equal(pg_buf_bytes(&a), pg_buf_bytes(&b)));
    pg_buf_deinit(&a);
    pg_buf_deinit(&b);
}

// Whatever is flipped or cut is refused, or is another catalogue in its one encoding.
static void test_snapshot__damaged__is_refused_or_has_one_encoding(void **state)
{
    (void) state;
    heard got = {.files = 0};
    pg_buf made = sample_make(true);
    for (size_t i = 0; i < made.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            made.ptr[i] ^= (uint8_t) (1U << bit);
            if (read_again(pg_buf_bytes(&made), &got) == PG_OK) {
                assert_int_equal(pg_snapshot_end(&got.again), PG_OK);
                assert_true(pg_bytes_equal(pg_buf_bytes(&made), pg_buf_bytes(&got.again)));
            }
            made.ptr[i] ^= (uint8_t) (1U << bit);
        }
        assert_int_not_equal(read_again(pg_bytes_make(made.ptr, i), &got), PG_OK);
    }
    made.ptr[16] = 3;
    assert_int_equal(read_again(pg_buf_bytes(&made), &got), PG_ERR_UNSUPPORTED);
    pg_buf_deinit(&got.again);
    pg_buf_deinit(&made);
}

static void test_snapshot__out_of_order_or_twice__is_refused(void **state)
{
    (void) state;
    pg_catalogue_extent extents[2];
    pg_catalogue_extent extent;
    heard got = {.files = 0};
    const pg_snapshot_file small = small_make(&extent);
    const pg_snapshot_file large = large_make(extents);
    const pg_snapshot_file *const orders[][2] = {{&large, &small}, {&small, &small}};
    for (size_t i = 0; i < PG_ARRAY_LEN(orders); i++) {
        pg_buf out = {0};
        assert_int_equal(pg_snapshot_begin(&out, false), PG_OK);
        assert_int_equal(pg_snapshot_file_add(&out, orders[i][0]), PG_OK);
        assert_int_equal(pg_snapshot_file_add(&out, orders[i][1]), PG_OK);
        assert_int_equal(pg_snapshot_end(&out), PG_OK);
        assert_int_equal(read_again(pg_buf_bytes(&out), &got), PG_ERR_MALFORMED);
        pg_buf_deinit(&out);
    }
    pg_buf_deinit(&got.again);
}

// ---- The pointer

static void secret_make(uint8_t byte, pg_secret *out)
{
    assert_int_equal(pg_secret_init(out, PG_KEY_BYTES), PG_OK);
    memset(out->ptr, byte, PG_KEY_BYTES);
}

static const uint8_t nonce[PG_AEAD_NONCE_BYTES] = {1, 2, 3};

static void test_pointer__opens_for_its_owner_in_its_record_only(void **state)
{
    (void) state;
    uint8_t sealed[PG_POINTER_BYTES];
    pg_secret owner = {0};
    pg_secret other = {0};
    pg_cid got;
    const pg_cid root = cid_of(5);
    const pg_peer_id person = peer_of(1);
    const pg_peer_id stranger = peer_of(2);
    secret_make(7, &owner);
    secret_make(8, &other);
    assert_int_equal(pg_pointer_encode(&owner, &person, 4, nonce, &root, sealed), PG_OK);
    assert_int_equal(pg_pointer_decode(PG_BYTES_OF(sealed), &owner, &person, 4, &got), PG_OK);
    assert_true(pg_bytes_equal(pg_cid_bytes(&got), pg_cid_bytes(&root)));
    assert_int_equal(pg_pointer_decode(PG_BYTES_OF(sealed), &other, &person, 4, &got),
                     PG_ERR_CORRUPT);
    assert_int_equal(pg_pointer_decode(PG_BYTES_OF(sealed), &owner, &stranger, 4, &got),
                     PG_ERR_CORRUPT);
    assert_int_equal(pg_pointer_decode(PG_BYTES_OF(sealed), &owner, &person, 5, &got),
                     PG_ERR_CORRUPT);
    for (size_t i = 1; i < sizeof(sealed); i++) {
        sealed[i] ^= 1;
        assert_int_equal(pg_pointer_decode(PG_BYTES_OF(sealed), &owner, &person, 4, &got),
                         PG_ERR_CORRUPT);
        sealed[i] ^= 1;
        assert_int_equal(pg_pointer_decode(pg_bytes_make(sealed, i), &owner, &person, 4, &got),
                         PG_ERR_MALFORMED);
    }
    sealed[0] = 2;
    assert_int_equal(pg_pointer_decode(PG_BYTES_OF(sealed), &owner, &person, 4, &got),
                     PG_ERR_UNSUPPORTED);
    pg_secret_deinit(&owner);
    pg_secret_deinit(&other);
}

// ---- Vectors

static void put_hex(pg_buf *out, const char *title, pg_bytes bytes)
{
    char hex[4096];
    assert_true(2 * bytes.len < sizeof(hex));
    pg_hex_encode(bytes, hex);
    assert_int_equal(pg_buf_printf(out, "%s %s\n", title, hex), PG_OK);
}

static pg_buf vectors_make(void)
{
    pg_buf out = {0};
    pg_buf snapshot = sample();
    pg_secret owner = {0};
    pg_key key;
    uint8_t sealed[PG_POINTER_BYTES];
    const pg_cid root = cid_of(5);
    const pg_peer_id person = peer_of(1);
    secret_make(7, &owner);
    put_hex(&out, "snapshot", pg_buf_bytes(&snapshot));
    assert_int_equal(pg_buf_append(&out, PG_BYTES_LIT("\n")), PG_OK);
    put_hex(&out, "owner", pg_secret_bytes(&owner));
    pg_catalogue_key(&owner, &key);
    put_hex(&out, "file_key", pg_key_bytes(&key));
    put_hex(&out, "person", pg_peer_id_bytes(&person));
    assert_int_equal(pg_buf_printf(&out, "sequence 4\n"), PG_OK);
    put_hex(&out, "nonce", PG_BYTES_OF(nonce));
    put_hex(&out, "root", pg_cid_bytes(&root));
    assert_int_equal(pg_pointer_encode(&owner, &person, 4, nonce, &root, sealed), PG_OK);
    put_hex(&out, "pointer", PG_BYTES_OF(sealed));
    pg_secret_deinit(&owner);
    pg_buf_deinit(&snapshot);
    return out;
}

static pg_buf vectors_pins_make(void)
{
    pg_buf out = {0};
    pg_buf snapshot = sample_make(true);
    put_hex(&out, "snapshot", pg_buf_bytes(&snapshot));
    pg_buf_deinit(&snapshot);
    return out;
}

static void vectors_check(const char *path, pg_buf made)
{
    static uint8_t file[8192];
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    size_t len = fread(file, 1, sizeof(file), stream);
    (void) fclose(stream);
    assert_true(pg_bytes_equal(pg_bytes_make(file, len), pg_buf_bytes(&made)));
    pg_buf_deinit(&made);
}

static void test_catalogue__vectors__are_what_is_written(void **state)
{
    (void) state;
    vectors_check(PATH, vectors_make());
    vectors_check(PATH_PINS, vectors_pins_make());
}

static bool vectors_write(const char *path, pg_buf made)
{
    FILE *stream = fopen(path, "wb");
    bool is_written = stream != NULL && fwrite(made.ptr, 1, made.len, stream) == made.len;
    is_written = stream != NULL && fclose(stream) == 0 && is_written;
    pg_buf_deinit(&made);
    return is_written;
}

static int regenerate(void)
{
    bool is_written = vectors_write(PATH, vectors_make());
    return vectors_write(PATH_PINS, vectors_pins_make()) && is_written ? EXIT_SUCCESS
                                                                       : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--regenerate") == 0) {
        return regenerate();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot__read_and_written_again__is_the_same),
        cmocka_unit_test(test_snapshot__pins__are_heard_as_they_were_told),
        cmocka_unit_test(test_snapshot__version_2_without_pins_or_1_with__is_refused),
        cmocka_unit_test(test_snapshot__hosts_in_any_order__same_bytes),
        cmocka_unit_test(test_snapshot__damaged__is_refused_or_has_one_encoding),
        cmocka_unit_test(test_snapshot__out_of_order_or_twice__is_refused),
        cmocka_unit_test(test_pointer__opens_for_its_owner_in_its_record_only),
        cmocka_unit_test(test_catalogue__vectors__are_what_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
