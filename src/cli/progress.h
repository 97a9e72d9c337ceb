// SPDX-License-Identifier: Apache-2.0
// How far a long command is: a bar with speed and time left on a terminal, a plain line now and then elsewhere.
//
// Layer: cli.  Thread: any, one at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/output.h"
#include "runtime/time.h"

/** The progress of one command. */
typedef struct pg_progress {
    const char *title; // static: "encode"
    uint64_t total;    // bytes; 0 = not known
    uint64_t first;    // bytes that were done before this run
    uint64_t done;
    pg_time started;
    pg_time shown; // when something was last shown
    uint64_t shown_done;
    bool visible;
    bool terminal;
    bool drawn; // a bar stands on the terminal's line
} pg_progress;

/** Begin; `total` may be 0 and set later. Shows nothing with --quiet, and with --json only the bar of a terminal. */
void pg_progress_begin(pg_progress *progress, const pg_output *output, const char *title,
                       uint64_t total);

/** Tell that `done` bytes are done. Cheap: call it as often as there is news. */
void pg_progress_update(pg_progress *progress, uint64_t done);

/** Take the bar away, so that other lines can be written; the next update draws it again. */
void pg_progress_clear(pg_progress *progress);

/** Return the seconds since the beginning, at least a microsecond. */
double pg_progress_seconds(const pg_progress *progress);
