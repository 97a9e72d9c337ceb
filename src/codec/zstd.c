// SPDX-License-Identifier: Apache-2.0
#include "codec/zstd.h"

#include <stdint.h>
#include <zstd_errors.h>

#include <zstd.h>

#include "base/mem.h"

#define PROBE_BYTES_MIN (256U << 10) // shorter segments are tried instead
#define PROBE_PIECE_BYTES (8U << 10)
#define PROBE_PIECES_MAX 16U
#define PROBE_SHARE 64U // sample one byte of so many

struct pg_zstd {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    uint8_t probe_space[PROBE_PIECE_BYTES];
};

pg_err pg_zstd_new(pg_zstd **out_zstd)
{
    pg_zstd *zstd = PG_NEW(pg_zstd);
    if (zstd != NULL) {
        zstd->compressor = ZSTD_createCCtx();
        zstd->decompressor = ZSTD_createDCtx();
    }
    if (zstd == NULL || zstd->compressor == NULL || zstd->decompressor == NULL) {
        pg_zstd_free(&zstd);
        return pg_fail(PG_ERR_NOMEM, "no memory for zstd");
    }
    *out_zstd = zstd;
    return PG_OK;
}

void pg_zstd_free(pg_zstd **zstd)
{
    if (*zstd == NULL) {
        return;
    }
    (void) ZSTD_freeCCtx((*zstd)->compressor);
    (void) ZSTD_freeDCtx((*zstd)->decompressor);
    pg_mfree(*zstd);
    *zstd = NULL;
}

size_t pg_zstd_bound(size_t plain_bytes)
{
    return ZSTD_compressBound(plain_bytes);
}

static pg_err bytes_check(size_t plain_bytes)
{
    if (plain_bytes > PG_ZSTD_PLAIN_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "segment of %zu bytes, at most %u", plain_bytes,
                       PG_ZSTD_PLAIN_BYTES_MAX);
    }
    return PG_OK;
}

// What zstd says is the fault of memory or of room, else `other`.
static pg_err zstd_fail(size_t result, pg_err other)
{
    ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
    pg_err err = code == ZSTD_error_memory_allocation ? PG_ERR_NOMEM : other;
    return pg_fail(err, "zstd: %s", ZSTD_getErrorString(code));
}

pg_err pg_zstd_compress(pg_zstd *zstd, int level, pg_bytes plain, pg_mut_bytes space,
                        size_t *out_len)
{
    PG_TRY(bytes_check(plain.len));
    if (level < 1 || level > PG_ZSTD_LEVEL_MAX) {
        return pg_fail(PG_ERR_INVALID, "level %d, wants 1 to %d", level, PG_ZSTD_LEVEL_MAX);
    }
    size_t result =
        ZSTD_compressCCtx(zstd->compressor, space.ptr, space.len, plain.ptr, plain.len, level);
    if (ZSTD_isError(result)) {
        return zstd_fail(result, PG_ERR_FULL);
    }
    *out_len = result;
    return PG_OK;
}

pg_err pg_zstd_decompress(pg_zstd *zstd, pg_bytes stored, pg_mut_bytes plain)
{
    PG_TRY(bytes_check(plain.len));
    // Frames may follow each other, and some hold nothing: only one that ends where the input does is ours.
    size_t frame_len = ZSTD_findFrameCompressedSize(stored.ptr, stored.len);
    if (ZSTD_isError(frame_len)) {
        return zstd_fail(frame_len, PG_ERR_CORRUPT);
    }
    if (frame_len != stored.len) {
        return pg_fail(PG_ERR_CORRUPT, "zstd: %zu bytes behind the frame", stored.len - frame_len);
    }
    size_t result =
        ZSTD_decompressDCtx(zstd->decompressor, plain.ptr, plain.len, stored.ptr, stored.len);
    if (ZSTD_isError(result)) {
        return zstd_fail(result, PG_ERR_CORRUPT);
    }
    if (result != plain.len) {
        return pg_fail(PG_ERR_CORRUPT, "zstd: frame holds %zu bytes, wants %zu", result, plain.len);
    }
    return PG_OK;
}

bool pg_zstd_probe(pg_zstd *zstd, pg_bytes plain)
{
    if (plain.len < PROBE_BYTES_MIN) {
        return true;
    }
    size_t pieces =
        pg_min_size(plain.len / (PROBE_SHARE * PROBE_PIECE_BYTES) + 1, PROBE_PIECES_MAX);
    size_t saved = 0;
    for (size_t i = 0; i < pieces; i++) {
        // In the middle of each of `pieces` equal stretches: headers at the ends tell little of the rest.
        size_t stretch = plain.len / pieces;
        size_t at = i * stretch + (stretch - PROBE_PIECE_BYTES) / 2;
        // A piece that does not shrink does not fit either, and zstd gives up on it.
        size_t result = ZSTD_compressCCtx(zstd->compressor, zstd->probe_space, PROBE_PIECE_BYTES,
                                          plain.ptr + at, PROBE_PIECE_BYTES, PG_ZSTD_LEVEL_DEFAULT);
        saved += ZSTD_isError(result) ? 0 : PROBE_PIECE_BYTES - result;
    }
    return saved >= pieces * PROBE_PIECE_BYTES / 32;
}
