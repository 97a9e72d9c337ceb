// SPDX-License-Identifier: Apache-2.0
// A file, or standard input, as the source of an encoding. Notices when a file changes while it is read.
//
// Layer: cli.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/file.h"

/** An open source. */
typedef struct pg_source {
    const char *path; // "-" = standard input
    pg_file *file;
    bool is_stream;    // of unknown length: a pipe, a device
    pg_file_info info; // when it was opened
    uint64_t offset;
} pg_source;

/** Open `path`, "-" for standard input. Parks: yes. Errors: PG_ERR_INVALID (a folder), as pg_file_open. */
PG_NODISCARD pg_err pg_source_open(pg_source *source, const char *path);

/** Read the next bytes: short only at the end. Parks: yes.
 *  Errors: PG_ERR_CHANGED (the file got shorter), PG_ERR_IO */
PG_NODISCARD pg_err pg_source_read(pg_source *source, pg_mut_bytes space, size_t *out_len);

/** Check after the last read that the file is still what it was. Parks: yes. Errors: PG_ERR_CHANGED, PG_ERR_IO. */
PG_NODISCARD pg_err pg_source_check(pg_source *source);

/** Return the last part of the path, empty for standard input. */
pg_bytes pg_source_name(const pg_source *source);

/** Close. */
void pg_source_close(pg_source *source);
