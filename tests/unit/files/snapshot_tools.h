// SPDX-License-Identifier: Apache-2.0
// The catalogue of a database as bytes, and such bytes into another, for tests. In a fiber.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "files/snapshot.h"
#include "store/db.h"

/** Give the snapshot of a catalogue. Free with pg_buf_deinit. */
pg_buf snapshot_of(pg_db *db);

/** Take a snapshot in; returns how much changed. It has to be good. */
uint64_t snapshot_take(pg_db *db, pg_bytes snapshot, bool is_adopting, bool *out_pins);

/** Make the snapshot of one file with its extents, or of a removed one. NULL: not in it. */
pg_buf snapshot_make(const pg_snapshot_file *file, const pg_catalogue_extent *extents,
                     const pg_snapshot_removed *removed);
