// SPDX-License-Identifier: Apache-2.0
// What `pangea put` sends: an ordinary file, a folder as an archive, or a stream that may make us wait (standard input, a pipe).
//
// Layer: cli.  Thread: opened and closed on a fiber, read inside a job.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/source.h"
#include "crypto/hash.h"
#include "files/archive.h"
#include "files/limits.h"

/** Where the bytes come from. */
typedef struct pg_put_source {
    const char *path; // "-" = standard input
    const pg_output *output;
    pg_progress *progress; // makes way for other lines
    bool is_folder;
    bool is_sized;       // size_bytes is what will come
    uint64_t size_bytes; // or about, or 0
    pg_source file;      // of an ordinary file
    pg_packer *packer;   // of a folder
    int stream_fd;       // of a stream, else -1
    uint64_t read_bytes;
    char name[PG_NAME_BYTES_MAX + 1]; // its own; empty: it has none
} pg_put_source;

/** Open `path`, "-" for standard input. A folder is walked over when it is measured. Parks: yes.
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_INVALID (told what else it may be), as pg_source_open */
PG_NODISCARD pg_err pg_put_source_open(pg_put_source *source, const char *path,
                                       const pg_output *output, pg_progress *progress);

/** Inside the job, before the first read: walk over a folder. Errors: as pg_archive_measure and pg_packer_new. */
PG_NODISCARD pg_err pg_put_source_measure(pg_put_source *source);

/** Identify a file, so that its put can be gone on with; false where it is no ordinary one.
 *  path          its resolved path is added to the hash
 *  out_version   hash of device, inode, size and times */
bool pg_put_source_identify(const pg_put_source *source, pg_blake3_stream *path,
                            uint8_t out_version[PG_HASH_BYTES]);

/** Begin at byte `start` of a file, before the first read. */
void pg_put_source_skip(pg_put_source *source, uint64_t start);

/** Read the next bytes, at least one; none at the end. The signature of pg_upload. Errors: PG_ERR_CHANGED, PG_ERR_IO, as pg_packer_read. */
PG_NODISCARD pg_err pg_put_source_read(pg_mut_bytes space, size_t *out_len, void *source);

/** Close. Parks: yes. */
void pg_put_source_close(pg_put_source *source);
