// SPDX-License-Identifier: Apache-2.0
// Where a restored file goes: written beside its place under another name and renamed when it is whole, or to standard output.
//
// Layer: cli.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "runtime/file.h"

/** An open target. The all-zero value is a closed one. */
typedef struct pg_target {
    pg_buf path;   // NUL-terminated
    pg_buf hidden; // where it is written until it is whole; empty for standard output
    pg_file *file;
    bool replace;
    uint64_t offset;
} pg_target;

/** Refuse to write over what is there, unless told to, and over what is no file at all. Parks: yes. Errors: PG_ERR_EXISTS, PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_target_check(const char *path, bool replace);

/** Open `path`, "-" for standard output. Parks: yes.
 *  replace  whether a file that is there may be replaced
 *  Errors: PG_ERR_EXISTS, PG_ERR_INVALID (a folder or device), as pg_file_open */
PG_NODISCARD pg_err pg_target_open(pg_target *target, pg_str path, bool replace);

/** Write the next bytes. Parks: yes. Errors: PG_ERR_FULL, PG_ERR_CLOSED (nobody reads), PG_ERR_IO. */
PG_NODISCARD pg_err pg_target_write(pg_target *target, pg_bytes bytes);

/** Make the file durable and give it its name. Parks: yes. Errors: PG_ERR_EXISTS, PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_target_finish(pg_target *target);

/** Close, and remove what did not get its name. Goes on even when the fiber is cancelled. Parks: yes. */
void pg_target_close(pg_target *target);
