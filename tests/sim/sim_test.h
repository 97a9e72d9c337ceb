// SPDX-License-Identifier: Apache-2.0
// Running simulated scenarios over seeds. A scenario is a script for pg_sim_run that returns PG_OK, or fails by SIM_CHECK.
//
//      PG_SIM_SEED=7 program     that seed alone        (or: program --seed 7)
//      PG_SIM_SEEDS=1000 program the seeds 1 to 1000, instead of the test's own number; PG_SIM_FIRST=501 leaves out those before
//
// All of them are run for every submission (PG_TEST_SLOW), half unless told. Under AddressSanitizer, where each takes some four times as long, it is
// a third of that: memory is misused on ways through the code, and those a few seeds go already. PG_TEST_LONG (`make test-long`) runs all everywhere.
//
// A failing seed is printed with the command to run it again, also when the program aborts.
#pragma once

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/sim.h"

#define SIM_SEEDS_DEFAULT 20

/** Fail the scenario when `condition` does not hold. Only in functions that return pg_err; cmocka's assertions must not be used in
 *  a fiber, since they leave it by longjmp. */
#define SIM_CHECK(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            return pg_fail(PG_ERR_BUG, "%s:%d: %s", __FILE__, __LINE__, #condition);               \
        }                                                                                          \
    } while (0)

static char sim_abort_text[128];
static struct sigaction sim_segv_before; // cmocka's own would leave the fiber by longjmp

static inline void sim_on_abort(int signal_number)
{
    ssize_t written = write(STDERR_FILENO, sim_abort_text, strlen(sim_abort_text));
    (void) written;
    (void) signal(signal_number, SIG_DFL);
    (void) raise(signal_number);
}

/** Take `--seed N` from the arguments of main. */
static inline void sim_arguments(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--seed") == 0) {
        (void) setenv("PG_SIM_SEED", argv[2], 1);
    }
    (void) signal(SIGABRT, sim_on_abort);
    (void) sigaction(SIGSEGV, NULL, &sim_segv_before);
    if (sim_segv_before.sa_handler == SIG_DFL) {
        sim_segv_before.sa_handler = sim_on_abort;
    }
}

static inline uint64_t sim_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/** How many of the `count` seeds of a test to run unless told: all, half or a third of them, or a sixth. */
static inline uint64_t sim_seed_count(uint64_t count)
{
    uint64_t part = getenv("PG_TEST_SLOW") != NULL ? 1 : 2;
#ifdef PG_WITH_ASAN
    part *= 3;
#endif
    return getenv("PG_TEST_LONG") != NULL ? count : (count + part - 1) / part;
}

/** Which of the `count` seeds of a test to run. */
static inline void sim_seed_range(uint64_t count, uint64_t *out_first, uint64_t *out_last)
{
    uint64_t only = sim_setting("PG_SIM_SEED", 0);
    *out_first = only != 0 ? only : sim_setting("PG_SIM_FIRST", 1);
    *out_last = only != 0 ? only : sim_setting("PG_SIM_SEEDS", sim_seed_count(count));
}

/** Fail unless the scenarios came to what they are about: `seen` times in all, where `count` seeds do `least` times. */
static inline void sim_saw(const char *what, uint64_t seen, uint64_t least, uint64_t count)
{
    uint64_t first = 0;
    uint64_t last = 0;
    sim_seed_range(count, &first, &last);
    uint64_t want = least * (last - first + 1) / count;
    (void) printf("  %" PRIu64 " %s, at least %" PRIu64 "\n", seen, what, want);
    if (first != last && seen < want) { // one seed may have none
        fail_msg("%" PRIu64 " %s, fewer than %" PRIu64, seen, what, want);
    }
}

/** Run the script once under each of the seeds 1 to `count`, or what the environment says; fail the test at the first that fails. */
static inline void sim_seeds(const pg_sim_config *config, uint64_t count, pg_fiber_fn script,
                             void *arg)
{
    uint64_t first = 0;
    uint64_t last = 0;
    (void) sigaction(SIGSEGV, &sim_segv_before, NULL);
    sim_seed_range(count, &first, &last);
    for (uint64_t seed = first; seed <= last; seed++) {
        pg_sim_config with_seed = *config;
        with_seed.seed = seed;
        (void) snprintf(sim_abort_text, sizeof(sim_abort_text), "aborted in seed %" PRIu64 "\n",
                        seed);
        pg_err err = pg_sim_run(&with_seed, script, arg, NULL);
        if (err != PG_OK) {
            fail_msg("seed %" PRIu64 ": %s", seed, pg_error_detail(err));
        }
    }
    sim_abort_text[0] = '\0';
}
