// SPDX-License-Identifier: Apache-2.0
// The catalogue as bytes: what another device of the same person needs to find, get, renew and drop what was put. One catalogue has one
// encoding. It is written and read record by record, so that its length costs no memory. Not for: where it is kept and how it is found
// (publish.h), from and into which tables it goes (catalogue_export.h, catalogue_import.h).
//
// Layer: files.  Thread: any.  Spec: docs/protocols/catalogue.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "files/catalogue.h"

/** Version 2 is version 1 with pins behind the rest; a catalogue without pins is written as version 1, which every program reads. */
#define PG_SNAPSHOT_VERSION 1
#define PG_SNAPSHOT_VERSION_PINS 2

/** A root in a snapshot, bytes: the digest of its block. */
#define PG_SNAPSHOT_ROOT_BYTES 32

/** One file. */
typedef struct pg_snapshot_file {
    pg_link link;
    pg_bytes name;
    pg_file_kind kind;
    pg_code code;
    uint64_t size_bytes;
    uint64_t packed_bytes;
    uint64_t stored_bytes;
    uint64_t extents;
    uint64_t segments;
    uint64_t put_ms; // wall clock
    uint64_t ttl_s;
    uint32_t placed_count; // extents that follow it
} pg_snapshot_file;

/** A file that was removed. */
typedef struct pg_snapshot_removed {
    pg_cid root;
    uint64_t removed_s; // wall clock
} pg_snapshot_removed;

/** A file that some device of the person has pinned, or that the last one let go of. */
typedef struct pg_snapshot_pin {
    pg_link link;        // of one that is not pinned only the root
    uint64_t changed_ms; // wall clock; the later one counts
    bool is_pinned;
    pg_bytes name; // this and the rest: 0 of one that is not pinned
    pg_file_kind kind;
    uint64_t size_bytes;
} pg_snapshot_pin;

// Writing: begin, files in the order of their roots, each with its extents behind it, removed ones likewise, pins likewise, end. Errors of all:
// PG_ERR_NOMEM, PG_ERR_LIMIT.

/** Begin. has_pins: at least one pin will come. */
PG_NODISCARD pg_err pg_snapshot_begin(pg_buf *out, bool has_pins);

/** Append a file; its `placed_count` extents come next. */
PG_NODISCARD pg_err pg_snapshot_file_add(pg_buf *out, const pg_snapshot_file *file);

/** Append an extent; id, local and missed are not of the snapshot. Holders are written in the order of their PeerIds, whatever order they
 *  come in. */
PG_NODISCARD pg_err pg_snapshot_extent_add(pg_buf *out, const pg_catalogue_extent *extent);

/** Append a removed file. */
PG_NODISCARD pg_err pg_snapshot_removed_add(pg_buf *out, const pg_snapshot_removed *removed);

/** Append a pin. */
PG_NODISCARD pg_err pg_snapshot_pin_add(pg_buf *out, const pg_snapshot_pin *pin);

/** End. */
PG_NODISCARD pg_err pg_snapshot_end(pg_buf *out);

/** Who hears what a snapshot says, where it is not NULL. Borrowed for the call; an error ends the reading. */
typedef struct pg_snapshot_visitor {
    pg_err (*file)(const pg_snapshot_file *file, void *user);
    pg_err (*extent)(const pg_catalogue_extent *extent, void *user); // of that file
    pg_err (*removed)(const pg_snapshot_removed *removed, void *user);
    pg_err (*pin)(const pg_snapshot_pin *pin, void *user);
    void *user;
} pg_snapshot_visitor;

/** A snapshot that comes in parts. Holds at most one record of PG_SNAPSHOT_RECORD_BYTES_MAX, and keys in it: end it with
 *  pg_snapshot_decoder_deinit. */
typedef struct pg_snapshot_decoder {
    const pg_snapshot_visitor *visitor;
    pg_buf rest;           // what came and is not told yet
    size_t checked;        // bytes of a file's record that were looked at
    uint32_t extents_left; // of it that were not
    uint64_t bytes;        // of all that came
    uint8_t last_root[PG_SNAPSHOT_ROOT_BYTES];
    unsigned last_kind;
    unsigned version; // 0: did not come yet
    bool is_ended;
} pg_snapshot_decoder;

/** Begin. `visitor` is borrowed; NULL = nobody hears anything. */
void pg_snapshot_decoder_init(pg_snapshot_decoder *self, const pg_snapshot_visitor *visitor);

/** Read a part, of any length: every other encoding of what a snapshot says is refused. The visitor hears of a record once all of it came and
 *  was found good, so in whole files, and of all that stands before a fault. After an error nothing more can be read. Calls nothing but the visitor.
 *  Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (version, named), PG_ERR_NOMEM, those of the visitor.   Thread: any. */
PG_NODISCARD pg_err pg_snapshot_decode(pg_snapshot_decoder *self, pg_bytes part);

/** Tell that no more comes. Errors: PG_ERR_TRUNCATED. */
PG_NODISCARD pg_err pg_snapshot_decode_end(const pg_snapshot_decoder *self);

/** Wipe and free. The all-zero value is fine. */
void pg_snapshot_decoder_deinit(pg_snapshot_decoder *self);
