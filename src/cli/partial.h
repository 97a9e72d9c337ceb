// SPDX-License-Identifier: Apache-2.0
// A file on its way that outlives the command: `.pangea-HEX.part` in the folder it goes to, and beside it a note, `.pangea-HEX.note`, which
// says how much of it is on the disk. HEX follows from the root of the link and the place, so that the same command finds it again.
//
//      pg_partial_find ----> pg_partial_begin ----> pg_partial_write ... ----> pg_partial_finish
//      what is there         make it, or go on      noted every 32 MiB         its name
//
// What is noted was made durable before, and is read and hashed anew before it is gone on with: a file that somebody changed, or that a
// crash tore, is begun anew.
//
// Layer: cli.  Thread: any, one at a time; parks on a fiber, blocks in a job.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "files/link.h"
#include "runtime/file.h"

/** How a partial file stands. The all-zero value is a closed one. */
typedef struct pg_partial {
    pg_buf data_path; // NUL-terminated, as the next
    pg_buf note_path;
    pg_file *data;
    pg_file *note;
    uint8_t id[PG_HASH_BYTES]; // of root and place
    pg_key key;                // of the link: who has it not makes no note
    uint64_t len;              // written
    uint64_t noted;            // of it on the disk, and in the note
    unsigned turn;             // of the note's two records, which is written next
    bool was_changed;          // what was there was not what the note says
    pg_blake3_stream hash;     // of what was written
} pg_partial;

/** Look for what an earlier run left of a file, and verify it: partial->len is then where to go on, 0 when there is nothing.
 *  output   what -o says; NULL = the working directory
 *  check    called now and then while the file is read, its error ends that; may be NULL
 *  Errors: PG_ERR_BUSY (another command is at it), those of `check`, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_partial_find(pg_partial *partial, const char *output, const pg_link *link,
                                    pg_err (*check)(void *user), void *user);

/** Make the file, or cut it to what was found. Errors: as pg_file_open, PG_ERR_BUSY. */
PG_NODISCARD pg_err pg_partial_begin(pg_partial *partial);

/** Write the next bytes. Errors: PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_partial_write(pg_partial *partial, pg_bytes bytes);

/** Make the file durable and give it its name. `replace` as pg_target_open. Errors: PG_ERR_EXISTS, PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_partial_finish(pg_partial *partial, const char *path, bool replace);

/** Close. What did not get its name stays when it is worth going on with, else it is removed. Goes on even when the fiber is cancelled.
 *  Returns how many bytes are left to go on from. */
uint64_t pg_partial_close(pg_partial *partial);
