// SPDX-License-Identifier: Apache-2.0
// A small harness: cases are run in turn, again and again, so that a noisy moment hits all alike; medians are reported,
// and each case may be compared with a limit measured in the same run.
//
// A table goes to standard output, or with --json one JSON object a row; the same objects go to the file named by
// PANGEA_BENCH_JSON if that is set. Runs take half a second a case, or PANGEA_BENCH_MS milliseconds.
#pragma once

#include <stddef.h>
#include <stdint.h>

/** One thing to measure. */
typedef struct bench_case {
    const char *name;   // unique in its run
    double bytes;       // that one call works through; 0 when only the time of a call counts
    void (*fn)(void *); // called many times with `user`
    void *user;
    const char *limit; // name of the case to compare with, or NULL
} bench_case;

/** Medians of one case. */
typedef struct bench_result {
    double wall_s; // of one call
    double cpu_s;  // of one call, all threads
} bench_result;

/** Measure all cases and print them. `out_results`, one a case, may be NULL. Exits with 1 when the clock or the file
 *  fails. */
void bench_run(const bench_case *cases, size_t count, bench_result *out_results);

/** Read the options (--json) of the program, before the first run. Exits with 2 on others. */
void bench_begin(int argc, char **argv);

/** Fill memory with bytes that do not compress, the same in every run. */
void bench_fill_random(uint8_t *out, size_t len, uint64_t seed);

/** Fill memory with text that compresses to a third or so, the same in every run. */
void bench_fill_text(uint8_t *out, size_t len, uint64_t seed);

/** Allocate, or end the program. */
void *bench_alloc(size_t len);

/** Remove a folder and all in it. */
void bench_folder_remove(const char *path);
