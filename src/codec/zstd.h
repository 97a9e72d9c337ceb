// SPDX-License-Identifier: Apache-2.0
// Compression of one segment by zstd, with a probe that says beforehand whether it will pay. Bounded both ways: a segment
// has at most 8 MiB, and what comes out of one has exactly the length that was declared for it.
//
// Layer: codec.  Thread: any, one pg_zstd at a time: give each worker its own.  Spec: RFC 8878
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

#define PG_ZSTD_PLAIN_BYTES_MAX (8U << 20)
#define PG_ZSTD_LEVEL_DEFAULT 1
#define PG_ZSTD_LEVEL_MAX 19

/** Working memory for both directions, about 1.5 MiB at level 1, kept from call to call. */
typedef struct pg_zstd pg_zstd;

/** Make one. Free with pg_zstd_free. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_zstd_new(pg_zstd **out_zstd);

/** Free and null the pointer. NULL is fine. */
void pg_zstd_free(pg_zstd **zstd);

/** Return the room that compressing `plain_bytes` can need. */
size_t pg_zstd_bound(size_t plain_bytes);

/** Compress a segment to one frame, the same bytes for the same input, level and version of the library.
 *  level     1..PG_ZSTD_LEVEL_MAX
 *  space     where to; *out_len is how much was written
 *  Errors: PG_ERR_INVALID (too long, level), PG_ERR_FULL when it does not fit `space`: give it as much room as would be
 *  worth it, PG_ERR_NOMEM. `space` is then undefined. */
PG_NODISCARD pg_err pg_zstd_compress(pg_zstd *zstd, int level, pg_bytes plain, pg_mut_bytes space,
                                     size_t *out_len);

/** Decompress one frame that must hold exactly plain.len bytes, no more, no less, and nothing behind it.
 *  plain     where to, at most PG_ZSTD_PLAIN_BYTES_MAX
 *  Errors: PG_ERR_CORRUPT, PG_ERR_INVALID (too long), PG_ERR_NOMEM; `plain` is then undefined. */
PG_NODISCARD pg_err pg_zstd_decompress(pg_zstd *zstd, pg_bytes stored, pg_mut_bytes plain);

/** Return whether compressing at level 1 will save at least 1/32, judged by compressing 1/64 of the segment in pieces
 *  spread over it. Always true below 256 KiB, where trying costs as little. Cost: about 3 % of compressing. */
bool pg_zstd_probe(pg_zstd *zstd, pg_bytes plain);
