// SPDX-License-Identifier: Apache-2.0
// A folder as one stream and back: the pax format of POSIX, written and read by libarchive; the files themselves are touched by
// runtime/folder.h alone, so that no archive, whoever made it, leads outside of the folder it is unpacked into. Both ways memory is
// bounded. Not for: the stream's way through the network (encode.h, decode.h).
//
// Layer: files.  Thread: inside a job (runtime/offload.h): all calls block.  Spec: docs/protocols/files.md, section "Folders as files"
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** What an archive holds. */
typedef struct pg_archive_sum {
    uint64_t entries; // files, folders and links
    uint64_t bytes;   // of the contents of its files
    uint64_t skipped; // what no archive of ours holds: devices, pipes, sockets
} pg_archive_sum;

/** Told of what is left out, with its path inside the folder. Both texts are borrowed for the call. */
typedef void (*pg_archive_listener)(const char *path, const char *what, void *user);

/** Who wants to know of what is left out; all-zero: nobody. */
typedef struct pg_archive_notes {
    pg_archive_listener skipped;
    void *user;
} pg_archive_notes;

// ---- Packing

/** Walk over a folder and count, without reading its files: what packing will give, if nothing changes.
 *  out_stream_bytes   about how long the stream will be
 *  Errors: those of opening (the folder itself or one in it), PG_ERR_LIMIT (too deep, too many, a path too long), PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_archive_measure(const char *folder, pg_archive_sum *out_sum,
                                       uint64_t *out_stream_bytes);

/** A folder being packed. */
typedef struct pg_packer pg_packer;

/** Begin to pack a folder. Its content becomes the archive: names relative to it, in byte order, folders before what is in them; mode
 *  (without set-user-ID and its kin) and time of change; files with several names once, and as links for the rest; symbolic links as
 *  they are; sparse files as such. No owners, no extended attributes.
 *  Errors: as pg_archive_measure. */
PG_NODISCARD pg_err pg_packer_new(const char *folder, const pg_archive_notes *notes,
                                  pg_packer **out_packer);

/** Give the next bytes of the stream, short only at its end. `packer` comes last, as with every source of bytes (encode.h).
 *  Errors: PG_ERR_CHANGED (a file or folder changed while it was read; named), PG_ERR_ACCESS (named), as pg_archive_measure, PG_ERR_IO */
PG_NODISCARD pg_err pg_packer_read(pg_mut_bytes space, size_t *out_len, void *packer);

/** Return what was packed so far. */
pg_archive_sum pg_packer_sum(const pg_packer *packer);

/** Free. NULL is fine. */
void pg_packer_free(pg_packer **packer);

// ---- Unpacking

/** Where to unpack, and what to take. */
typedef struct pg_unpack_options {
    const char *target;   // becomes a folder
    bool replace;         // what is there, whatever it is; else PG_ERR_EXISTS
    uint64_t entries_max; // 0 = PG_ARCHIVE_ENTRIES_MAX
    pg_archive_notes notes;
} pg_unpack_options;

/** Gives the next bytes of an archive, at least one; none at its end. */
typedef pg_err (*pg_archive_source)(pg_mut_bytes space, size_t *out_len, void *user);

/** Unpack an archive. It is written under a hidden name beside the target, made durable, and renamed when it is whole; after a failure
 *  nothing of it is left, and what was to be replaced is untouched. Every name is taken inside the folder: paths that are absolute,
 *  have "..", lead through a link or a file, or stand there twice end it with an error. Hard links reach only what the archive itself
 *  brought. Set-user-ID and its kin are dropped, modes are limited by the process's mask; devices and pipes are left out and told.
 *  source      read to its end; what follows the archive is dropped
 *  Errors      those of `source`; PG_ERR_EXISTS (the target), PG_ERR_MALFORMED (no archive, or a hostile one: told how), PG_ERR_TRUNCATED,
 *              PG_ERR_LIMIT (too many entries, too deep, a name too long), PG_ERR_FULL, PG_ERR_ACCESS, PG_ERR_NOMEM, PG_ERR_IO */
PG_NODISCARD pg_err pg_archive_unpack(const pg_unpack_options *options, pg_archive_source source,
                                      void *user, pg_archive_sum *out_sum);
