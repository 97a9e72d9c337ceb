// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "base/str.h"
#include "runtime/file.h"
#include "store/reserve_priv.h"

#define STEP_BYTES 16384U

// Bytes that a file system which compresses cannot make smaller (xorshift, from a fixed start).
static void noise_make(uint8_t *out)
{
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < STEP_BYTES; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out[i] = (uint8_t) (state >> 56);
    }
}

static pg_err size_find(pg_file *file, uint64_t *out_size)
{
    pg_file_info info;
    PG_TRY(pg_file_stat(file, &info));
    *out_size = info.size_bytes;
    return PG_OK;
}

static pg_err grow(pg_file *file, uint64_t size_bytes)
{
    uint64_t at = 0;
    pg_err err = size_find(file, &at);
    if (err != PG_OK || at >= size_bytes) {
        return err;
    }
    uint8_t *noise = pg_malloc(STEP_BYTES);
    if (noise == NULL) {
        return PG_ERR_NOMEM;
    }
    noise_make(noise);
    while (at < size_bytes && err == PG_OK) {
        uint64_t step = size_bytes - at < STEP_BYTES ? size_bytes - at : STEP_BYTES;
        err = pg_file_write_at(file, at, pg_bytes_make(noise, (size_t) step));
        at += step;
    }
    pg_mfree(noise);
    return err;
}

void pg_reserve_fill(pg_reserve *reserve)
{
    pg_file *file = NULL;
    if (reserve->path == NULL || !reserve->is_short) {
        return;
    }
    pg_err err = pg_file_open(reserve->path, PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE, &file);
    if (err == PG_OK) {
        err = grow(file, reserve->size_bytes);
    }
    pg_file_free(&file);
    reserve->is_short = err != PG_OK; // what fitted stays, the rest when there is room
}

bool pg_reserve_give(pg_reserve *reserve)
{
    pg_file *file = NULL;
    uint64_t size = 0;
    if (reserve->path == NULL || !reserve->may_give) {
        return false;
    }
    pg_err err = pg_file_open(reserve->path, PG_FILE_MODE_WRITE, &file);
    if (err == PG_OK) {
        err = size_find(file, &size);
    }
    if (err == PG_OK && size > 0) {
        err = pg_file_truncate(file, 0);
        reserve->is_short = true;
    }
    pg_file_free(&file);
    reserve->has_given = err == PG_OK && size > 0;
    return reserve->has_given;
}

pg_err pg_reserve_init(pg_reserve *reserve, const char *database, uint64_t size_bytes)
{
    pg_buf path = {0};
    PG_TRY(pg_buf_printf(&path, "%s.reserve", database));
    *reserve = (pg_reserve){.path = (char *) path.ptr, .size_bytes = size_bytes, .is_short = true};
    pg_reserve_fill(reserve);
    return PG_OK;
}

void pg_reserve_deinit(pg_reserve *reserve)
{
    pg_mfree(reserve->path);
    reserve->path = NULL;
}
