// SPDX-License-Identifier: Apache-2.0
// Signals to this process.
#include <signal.h>

#include "runtime/process.h"
#include "runtime/real_priv.h"

static const int numbers[PG_REAL_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

static void on_signal(uv_signal_t *handle, int number)
{
    pg_real *real = handle->data;
    for (unsigned i = 0; i < PG_REAL_SIGNALS; i++) {
        real->signals_pending |= numbers[i] == number ? 1U << i : 0;
    }
    pg_waitq_wake_one(&real->signal_waiters);
}

static pg_err signals_init(pg_real *real)
{
    pg_waitq_init(&real->signal_waiters);
    for (unsigned i = 0; i < PG_REAL_SIGNALS; i++) {
        uv_signal_t *handle = &real->signals[i];
        if (handle->data != NULL) {
            continue;
        }
        int code = uv_signal_init(&real->loop, handle);
        if (code != 0) {
            return pg_fail_errno(-code, "signals", NULL);
        }
        handle->data = real;
        code = uv_signal_start(handle, on_signal, numbers[i]);
        pg_assert(code == 0);
    }
    real->has_signals = true;
    return PG_OK;
}

void pg_real_signals_deinit(pg_real *real)
{
    for (unsigned i = 0; i < PG_REAL_SIGNALS; i++) {
        if (real->signals[i].data != NULL) {
            uv_close((uv_handle_t *) &real->signals[i], NULL);
        }
    }
}

pg_err pg_signal_wait(pg_time deadline, int *out_signal)
{
    pg_real *real = pg_real_get();
    if (real == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a simulated run has no signals");
    }
    if (!real->has_signals) {
        PG_TRY(signals_init(real));
    }
    PG_TRY(pg_fiber_checkpoint());
    while (real->signals_pending == 0) {
        PG_TRY(pg_waitq_wait(&real->signal_waiters, deadline));
    }
    unsigned first = (unsigned) __builtin_ctz(real->signals_pending);
    real->signals_pending &= ~(1U << first);
    *out_signal = numbers[first];
    return PG_OK;
}
