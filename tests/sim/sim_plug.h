// SPDX-License-Identifier: Apache-2.0
// A machine whose plug is pulled at a chosen call of its disk. The linker puts these functions before those of runtime/file.h
// (-Wl,--wrap=pg_file_write_at and its kin, see meson.build), so a program includes this once.
#pragma once

#include "runtime/file.h"
#include "runtime/sim.h"

/** A machine and when its plug is pulled. */
typedef struct sim_plug {
    pg_sim_machine *machine;
    uint64_t calls_left; // 0: the plug stays in
    uint64_t crashes;    // by the plug
} sim_plug;

static sim_plug *sim_plug_now; // for the functions in between, which get no argument; NULL: none

static inline bool sim_plug_is_pulled(void)
{
    if (sim_plug_now == NULL || sim_plug_now->calls_left == 0 || --sim_plug_now->calls_left > 0) {
        return false;
    }
    sim_plug_now->crashes++;
    pg_sim_machine_crash(sim_plug_now->machine);
    return true;
}

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for --wrap
pg_err __real_pg_file_write_at(pg_file *file, uint64_t offset, pg_bytes bytes);
pg_err __real_pg_file_sync(pg_file *file);
pg_err __real_pg_file_truncate(pg_file *file, uint64_t size_bytes);
pg_err __wrap_pg_file_write_at(pg_file *file, uint64_t offset, pg_bytes bytes);
pg_err __wrap_pg_file_sync(pg_file *file);
pg_err __wrap_pg_file_truncate(pg_file *file, uint64_t size_bytes);

pg_err __wrap_pg_file_write_at(pg_file *file, uint64_t offset, pg_bytes bytes)
{
    return sim_plug_is_pulled() ? PG_ERR_CANCELLED : __real_pg_file_write_at(file, offset, bytes);
}

pg_err __wrap_pg_file_sync(pg_file *file)
{
    return sim_plug_is_pulled() ? PG_ERR_CANCELLED : __real_pg_file_sync(file);
}

pg_err __wrap_pg_file_truncate(pg_file *file, uint64_t size_bytes)
{
    return sim_plug_is_pulled() ? PG_ERR_CANCELLED : __real_pg_file_truncate(file, size_bytes);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
