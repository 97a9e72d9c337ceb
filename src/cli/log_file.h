// SPDX-License-Identifier: Apache-2.0
// A log in files of bounded size and number: `pangea.log` is written, `pangea.log.1` is the one before, and so on; the oldest goes. A line is
// whole in one of them. What cannot be written there is for the caller to write elsewhere: the bound holds on a disk that fails, too.
//
// Layer: cli.  Thread: one at a time opens; any writes.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** An open log. All-zero is none. */
typedef struct pg_log_file {
    bool is_open;
    char *path;
    int fd;
    uint64_t max_bytes; // of one file
    uint64_t count;     // files in all, at least 1
    _Atomic uint64_t size_bytes;
    atomic_flag is_turning;
} pg_log_file;

/** Open, and make where need be (mode 0600), the file to be written next.
 *  path   borrowed for the call
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_INVALID (no plain file), PG_ERR_IO, PG_ERR_NOMEM; the detail names it */
PG_NODISCARD pg_err pg_log_file_open(const char *path, uint64_t max_bytes, uint64_t count,
                                     pg_log_file *out_file);

/** Write one line with its newline; the next file is begun where it would not fit. Returns false when it could not be written. */
bool pg_log_file_write(pg_log_file *file, pg_bytes line);

/** Close; all-zero is fine. Nobody may write any more. */
void pg_log_file_close(pg_log_file *file);
