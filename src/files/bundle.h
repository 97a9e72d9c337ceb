// SPDX-License-Identifier: Apache-2.0
// A few small texts as one .tar.gz that anybody can open: what a person shows to somebody else. Not for: folders and files of any size
// (archive.h).
//
// Layer: files.  Thread: inside a job (runtime/offload.h): it computes.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** One text. */
typedef struct pg_bundle_text {
    const char *name; // "folder/name", relative
    pg_bytes content;
} pg_bundle_text;

/** Append the archive to `out`: ordinary files of mode 0644 without owner, modified at `now_s`.
 *  Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (of the buffer), PG_ERR_UNSUPPORTED (this libarchive has no gzip). */
PG_NODISCARD pg_err pg_bundle_pack(const pg_bundle_text *texts, size_t count, int64_t now_s,
                                   pg_buf *out);
