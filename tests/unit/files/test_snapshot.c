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
#include "files/limits.h"
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

static void file_add(pg_buf *out, const pg_snapshot_file *file, const pg_catalogue_extent *extents)
{
    assert_int_equal(pg_snapshot_file_add(out, file), PG_OK);
    for (uint32_t i = 0; i < file->placed_count; i++) {
        assert_int_equal(pg_snapshot_extent_add(out, &extents[i]), PG_OK);
    }
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
    file_add(&out, &small, &extents[2]);
    file_add(&out, &large, extents);
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
    size_t extents;
    size_t removed;
    size_t pins;
} heard;

static pg_err on_file(const pg_snapshot_file *file, void *user)
{
    heard *self = user;
    self->files++;
    return pg_snapshot_file_add(&self->again, file);
}

static pg_err on_extent(const pg_catalogue_extent *extent, void *user)
{
    heard *self = user;
    self->extents++;
    return pg_snapshot_extent_add(&self->again, extent);
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

/** Read in parts of `step` bytes. */
static pg_err read_steps(pg_bytes in, size_t step, const pg_snapshot_visitor *visitor)
{
    pg_snapshot_decoder decoder;
    pg_err err = PG_OK;
    pg_snapshot_decoder_init(&decoder, visitor);
    while (in.len > 0 && err == PG_OK) {
        // On the heap, in its own length: reading beyond it is seen.
        pg_buf part = {0};
        assert_int_equal(pg_buf_append(&part, pg_bytes_slice(in, 0, step)), PG_OK);
        err = pg_snapshot_decode(&decoder, pg_buf_bytes(&part));
        in = pg_bytes_slice(in, part.len, in.len);
        pg_buf_deinit(&part);
    }
    err = err == PG_OK ? pg_snapshot_decode_end(&decoder) : err;
    pg_snapshot_decoder_deinit(&decoder);
    return err;
}

static pg_err read_in(pg_bytes in, size_t step, heard *out_heard)
{
    const pg_snapshot_visitor visitor = {on_file, on_extent, on_removed, on_pin, out_heard};
    pg_buf again = out_heard->again;
    *out_heard = (heard){.again = again};
    pg_buf_clear(&out_heard->again);
    bool has_pins = in.len > 16 && in.ptr[16] == PG_SNAPSHOT_VERSION_PINS;
    assert_int_equal(pg_snapshot_begin(&out_heard->again, has_pins), PG_OK);
    return read_steps(in, step, &visitor);
}

static pg_err read_again(pg_bytes in, heard *out_heard)
{
    return read_in(in, in.len, out_heard);
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
        assert_int_equal(got.extents, 3);
        assert_int_equal(got.removed, 2);
        assert_int_equal(got.pins, 2 * pins);
        pg_buf_deinit(&got.again);
        pg_buf_deinit(&made);
    }
}

static void test_snapshot__in_parts_of_any_length__is_the_same(void **state)
{
    (void) state;
    heard got = {.files = 0};
    pg_buf made = sample_make(true);
    for (size_t step = 1; step <= made.len; step++) {
        assert_int_equal(read_in(pg_buf_bytes(&made), step, &got), PG_OK);
        assert_int_equal(pg_snapshot_end(&got.again), PG_OK);
        assert_true(pg_bytes_equal(pg_buf_bytes(&made), pg_buf_bytes(&got.again)));
    }
    pg_buf_deinit(&got.again);
    pg_buf_deinit(&made);
}

/** Return where each record begins, and the end; bytes of the sample before it are a snapshot without its end. */
static size_t records_find(size_t out_at[8])
{
    static pg_catalogue_extent extents[3];
    size_t count = 0;
    pg_buf out = {0};
    const pg_snapshot_file small = small_make(&extents[2]);
    const pg_snapshot_file large = large_make(extents);
    const pg_snapshot_pin pin = pin_make(0x20);
    const pg_snapshot_removed removed = {cid_of(1), 0};
    assert_int_equal(pg_snapshot_begin(&out, true), PG_OK);
    out_at[count++] = out.len;
    file_add(&out, &small, &extents[2]);
    out_at[count++] = out.len;
    file_add(&out, &large, extents);
    for (size_t i = 0; i < 2; i++) {
        out_at[count++] = out.len;
        assert_int_equal(pg_snapshot_removed_add(&out, &removed), PG_OK);
    }
    out_at[count++] = out.len;
    assert_int_equal(pg_snapshot_pin_add(&out, &pin), PG_OK);
    out_at[count++] = out.len;
    out_at[count++] = out.len + 1 + 32 + 8 + 1; // one that was let go of
    pg_buf_deinit(&out);
    return count;
}

// A file is heard of with all its extents or not at all, and of nothing behind a fault: whatever parts it comes in.
static void test_snapshot__fault_in_each_record__those_before_it_are_heard(void **state)
{
    (void) state;
    size_t at[8];
    heard got = {.files = 0};
    pg_buf made = sample_make(true);
    size_t count = records_find(at);
    assert_int_equal(at[count - 1] + 1, made.len);
    for (size_t i = 0; i + 1 < count; i++) {
        const size_t faults[] = {at[i], at[i + 1] - 1}; // its kind; its last byte is missing
        for (size_t j = 0; j < 2; j++) {
            for (size_t step = 1; step < made.len; step += step < 200 ? 1 : 97) {
                uint8_t kind = made.ptr[at[i]];
                made.ptr[at[i]] = j == 0 ? 9 : kind;
                pg_bytes in = pg_bytes_make(made.ptr, j == 0 ? made.len : faults[j]);
                pg_err want = j == 0 ? PG_ERR_MALFORMED : PG_ERR_TRUNCATED;
                assert_int_equal(read_in(in, step, &got), want);
                made.ptr[at[i]] = kind;
                assert_int_equal(got.files + got.removed + got.pins, i);
                assert_int_equal(got.extents, i == 0 ? 0 : i == 1 ? 1 : 3);
                assert_true(
                    pg_bytes_equal(pg_bytes_make(made.ptr, at[i]), pg_buf_bytes(&got.again)));
            }
        }
    }
    pg_buf_deinit(&got.again);
    pg_buf_deinit(&made);
}

// The record of a file is held whole until it is told: it is bounded, whatever its head says and in whatever parts it comes.
static void test_snapshot__record_too_long__is_refused_in_bounded_memory(void **state)
{
    (void) state;
    pg_catalogue_extent extent;
    pg_snapshot_decoder decoder;
    pg_buf made = {0};
    pg_buf more = {0};
    pg_snapshot_file file = small_make(&extent);
    assert_int_equal(pg_snapshot_begin(&made, false), PG_OK);
    file.placed_count = UINT32_MAX;
    assert_int_equal(pg_snapshot_file_add(&made, &file), PG_OK);
    assert_int_equal(read_steps(pg_buf_bytes(&made), 100, NULL), PG_ERR_LIMIT);
    made.len -= 4;
    assert_int_equal(pg_buf_append(&made, PG_BYTES_LIT("\x00\x07\x00\x00")), PG_OK);
    extent = extent_make(1, &file.link.root);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(pg_snapshot_extent_add(&more, &extent), PG_OK);
    }
    pg_snapshot_decoder_init(&decoder, NULL);
    assert_int_equal(pg_snapshot_decode(&decoder, pg_buf_bytes(&made)), PG_OK);
    pg_err err = PG_OK;
    size_t bytes = 0;
    while (err == PG_OK) {
        assert_true(bytes <= PG_SNAPSHOT_RECORD_BYTES_MAX);
        err = pg_snapshot_decode(&decoder, pg_buf_bytes(&more));
        bytes += more.len;
        assert_true(decoder.rest.cap <= 2 * PG_SNAPSHOT_RECORD_BYTES_MAX);
    }
    assert_int_equal(err, PG_ERR_LIMIT);
    pg_snapshot_decoder_deinit(&decoder);
    pg_buf_deinit(&made);
    pg_buf_deinit(&more);
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
    assert_int_equal(read_steps(pg_buf_bytes(&made), made.len, &visitor), PG_OK);
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
    file_add(&a, &file, extents);
    pg_catalogue_holder first = extents[0].holders[0];
    extents[0].holders[0] = extents[0].holders[2];
    extents[0].holders[2] = first;
    extents[0].holders[1].missed = 5;
    extents[0].id = 1;
    extents[0].local = 0;
    file_add(&b, &file, extents);
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
        file_add(&out, orders[i][0], orders[i][0] == &small ? &extent : extents);
        file_add(&out, orders[i][1], orders[i][1] == &small ? &extent : extents);
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
        cmocka_unit_test(test_snapshot__in_parts_of_any_length__is_the_same),
        cmocka_unit_test(test_snapshot__fault_in_each_record__those_before_it_are_heard),
        cmocka_unit_test(test_snapshot__record_too_long__is_refused_in_bounded_memory),
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
