// SPDX-License-Identifier: Apache-2.0
// What the tests of this room share: running a body as a fiber, checks that work there, and streams that misbehave.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "runtime/sim.h"
#include "runtime/stream.h"
#include "runtime/time.h"

/** End the test program with file and line when a condition does not hold. For code in fibers, which cmocka cannot leave. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void) fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__,     \
                           #condition, pg_error_last()->text);                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** The same for a call that must give PG_OK. */
#define CHECK_OK(expression)                                                                       \
    do {                                                                                           \
        pg_err check_err = (expression);                                                           \
        if (check_err != PG_OK) {                                                                  \
            (void) fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #expression,         \
                           pg_err_name(check_err), pg_error_detail(check_err));                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** Run `fn(arg)` as the script of a simulated world, where waiting costs nothing, and expect PG_OK. */
void net_test_run(pg_fiber_fn fn, void *arg);

/** Wrap `inner` (taken) so that reads give between 1 and `chunk_max` bytes at random, and writes are cut up likewise. */
pg_stream *net_test_choppy(pg_stream *inner, size_t chunk_max);

/** Fill `bytes` with a sequence that `seed` and the position decide. */
void net_test_fill(pg_mut_bytes bytes, uint32_t seed, uint64_t position);

/** Write `total` bytes of the sequence of `seed`. */
void net_test_send(pg_stream *stream, uint32_t seed, uint64_t total);

/** Read to the end of the stream, check that it is `total` bytes of the sequence of `seed`. */
void net_test_receive(pg_stream *stream, uint32_t seed, uint64_t total);
