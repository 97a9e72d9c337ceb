// SPDX-License-Identifier: Apache-2.0
// Goal: any catalogue ends in a verdict and in bounded memory, the same one in whatever parts it comes, and one that is read is written again
// as the same bytes; any pointer to one ends in a verdict.
// Input: one byte (bit 0: a pointer follows, else a snapshot; the other bits: bytes of a part, less one), then that.
#include <string.h>

#include "files/pointer.h"
#include "files/snapshot.h"
#include "fuzz.h"

static pg_err on_file(const pg_snapshot_file *file, void *user)
{
    return pg_snapshot_file_add(user, file);
}

static pg_err on_extent(const pg_catalogue_extent *extent, void *user)
{
    FUZZ_CHECK(extent->holder_count <= PG_PLACE_SLOTS_MAX);
    return pg_snapshot_extent_add(user, extent);
}

static pg_err on_removed(const pg_snapshot_removed *removed, void *user)
{
    return pg_snapshot_removed_add(user, removed);
}

static pg_err on_pin(const pg_snapshot_pin *pin, void *user)
{
    return pg_snapshot_pin_add(user, pin);
}

/** Read a snapshot in parts of `step` bytes, and write what is heard of it. */
static pg_err read_in(pg_bytes in, size_t step, pg_buf *out)
{
    const pg_snapshot_visitor visitor = {on_file, on_extent, on_removed, on_pin, out};
    pg_snapshot_decoder decoder;
    pg_err err = PG_OK;
    pg_snapshot_decoder_init(&decoder, &visitor);
    for (pg_bytes rest = in; rest.len > 0 && err == PG_OK;) {
        pg_bytes part = pg_bytes_slice(rest, 0, step);
        err = pg_snapshot_decode(&decoder, part);
        rest = pg_bytes_slice(rest, part.len, rest.len);
        FUZZ_CHECK(decoder.rest.len <= in.len);
    }
    err = err == PG_OK ? pg_snapshot_decode_end(&decoder) : err;
    pg_snapshot_decoder_deinit(&decoder);
    return err;
}

static void snapshot_try(pg_bytes in, size_t step)
{
    pg_buf again = {0};
    pg_buf parts = {0};
    bool has_pins = in.len > 16 && in.ptr[16] == PG_SNAPSHOT_VERSION_PINS;
    FUZZ_CHECK(pg_snapshot_begin(&again, has_pins) == PG_OK);
    FUZZ_CHECK(pg_snapshot_begin(&parts, has_pins) == PG_OK);
    pg_err err = read_in(in, in.len, &again);
    FUZZ_CHECK(read_in(in, step, &parts) == err); // whatever parts it comes in
    FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again), pg_buf_bytes(&parts)));
    if (err == PG_OK) {
        FUZZ_CHECK(pg_snapshot_end(&again) == PG_OK);
        FUZZ_CHECK(pg_bytes_equal(in, pg_buf_bytes(&again)));
    }
    pg_buf_deinit(&again);
    pg_buf_deinit(&parts);
}

static void pointer_try(pg_bytes in)
{
    pg_cid root = {.len = 0};
    pg_secret owner = {0};
    pg_peer_id person = {.len = 34, .bytes = {0x12, 32}};
    memset(person.bytes + 2, 1, 32);
    FUZZ_CHECK(pg_secret_init(&owner, PG_KEY_BYTES) == PG_OK);
    memset(owner.ptr, 7, PG_KEY_BYTES);
    if (pg_pointer_decode(in, &owner, &person, 4, &root) == PG_OK) {
        FUZZ_CHECK(in.len == PG_POINTER_BYTES && root.len > 0);
    }
    pg_secret_deinit(&owner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    pg_bytes rest = pg_bytes_make(data + 1, size - 1);
    if ((data[0] & 1) != 0) {
        pointer_try(rest);
    } else {
        snapshot_try(rest, (size_t) (data[0] >> 1) + 1);
    }
    return 0;
}
