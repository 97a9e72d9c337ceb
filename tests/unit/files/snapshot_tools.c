// SPDX-License-Identifier: Apache-2.0
#include "snapshot_tools.h"

#include "../runtime/in_fiber.h"
#include "files/catalogue_export.h"
#include "files/catalogue_import.h"
#include "files/limits.h"

pg_buf snapshot_of(pg_db *db)
{
    pg_buf out = {0};
    pg_export export;
    uint8_t space[1000];
    size_t len = 0;
    CHECK_OK(pg_export_init(&export, db, PG_SNAPSHOT_BYTES_MAX));
    do {
        CHECK_OK(pg_export_read(PG_MUT_BYTES_OF(space), PG_FOREVER, &len, &export));
        CHECK_OK(pg_buf_append(&out, pg_bytes_make(space, len)));
    } while (len > 0);
    pg_export_deinit(&export);
    return out;
}

uint64_t snapshot_take(pg_db *db, pg_bytes snapshot, bool is_adopting, bool *out_pins)
{
    pg_import import;
    pg_import_init(&import, is_adopting);
    CHECK_OK(pg_import_part(&import, db, snapshot));
    CHECK_OK(pg_import_end(&import));
    if (out_pins != NULL) {
        *out_pins = import.has_pins;
    }
    uint64_t changed = import.changed;
    pg_import_deinit(&import);
    return changed;
}

pg_buf snapshot_make(const pg_snapshot_file *file, const pg_catalogue_extent *extents,
                     const pg_snapshot_removed *removed)
{
    pg_buf out = {0};
    CHECK_OK(pg_snapshot_begin(&out, false));
    if (file != NULL) {
        CHECK_OK(pg_snapshot_file_add(&out, file));
        for (uint32_t i = 0; i < file->placed_count; i++) {
            CHECK_OK(pg_snapshot_extent_add(&out, &extents[i]));
        }
    }
    if (removed != NULL) {
        CHECK_OK(pg_snapshot_removed_add(&out, removed));
    }
    CHECK_OK(pg_snapshot_end(&out));
    return out;
}
