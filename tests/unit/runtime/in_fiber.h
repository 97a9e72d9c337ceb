// SPDX-License-Identifier: Apache-2.0
// Runs the body of a test as the first fiber of a real run: cmocka reports a failed assertion by a long jump, which must
// not leave a fiber's stack, so the body runs its assertions through CHECK.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "runtime/runtime.h"
#include "runtime/time.h"

/** Check inside a fiber: ends the process at once. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void) fprintf(stderr, "%s:%d: check failed: %s (last error: %s)\n", __FILE__,         \
                           __LINE__, #condition, pg_error_last()->text);                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_OK(expression) CHECK((expression) == PG_OK)

/** Check the code of a result. */
#define CHECK_ERR(expression, want)                                                                \
    do {                                                                                           \
        pg_err check_got = (expression);                                                           \
        if (check_got != (want)) {                                                                 \
            (void) fprintf(stderr, "%s:%d: %s is %s, not %s (last error: %s)\n", __FILE__,         \
                           __LINE__, #expression, pg_err_name(check_got), pg_err_name(want),       \
                           pg_error_last()->text);                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** Long enough for anything that does not hang. */
#define SOON pg_after(PG_SECONDS(30))

/** Run `fn(arg)` as the first fiber; it has to succeed. */
static inline void in_fiber(pg_fiber_fn fn, void *arg)
{
    assert_int_equal(pg_runtime_run(NULL, fn, arg), PG_OK);
}
