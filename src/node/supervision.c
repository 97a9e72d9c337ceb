// SPDX-License-Identifier: Apache-2.0
#include "node/supervision.h"

#include "base/log.h"
#include "base/str.h"
#include "runtime/supervisor.h"
#include "runtime/time.h"

/** How often the line about the node is written anew, where the watchdog does not ask for more. */
#define STATUS_SECONDS 10

static void tell(const char *text)
{
    pg_err err = pg_supervisor_tell(text);
    if (err != PG_OK) {
        pg_log_limited(PG_LOG_LEVEL_WARN, "node.supervisor.deaf",
                       PG_LOG_STR("error", pg_err_name(err)),
                       PG_LOG_STR("detail", pg_error_detail(err)));
    }
}

// Say `what`, assignments each with its newline, and how the node is.
static void tell_with_status(const pg_supervision *self, const char *what)
{
    pg_buf text = {0};
    pg_err err = pg_buf_printf(&text, "%sSTATUS=", what);
    if (err == PG_OK) {
        err = self->status(self->user, &text);
    }
    tell(err == PG_OK ? (const char *) text.ptr : what);
    pg_buf_deinit(&text);
}

static pg_err watch_run(void *arg)
{
    const pg_supervision *self = arg;
    int64_t watchdog_ns = pg_supervisor_watchdog_ns();
    int64_t interval_ns = PG_SECONDS(STATUS_SECONDS);
    if (watchdog_ns != 0) {
        interval_ns = pg_earlier(interval_ns, watchdog_ns / 2); // as sd_watchdog_enabled(3) advises
    }
    for (;;) {
        PG_TRY(pg_sleep_until(pg_after(interval_ns)));
        tell_with_status(self, watchdog_ns != 0 ? "WATCHDOG=1\n" : "");
    }
}

void pg_supervision_start(pg_supervision *self, pg_supervision_status_fn status, const void *user)
{
    *self = (pg_supervision){.status = status, .user = user};
    if (!pg_supervisor_is_there()) {
        return;
    }
    pg_scope_init_tolerant(&self->scope);
    self->is_running = true;
    pg_err err = pg_scope_spawn(&self->scope, "node.watchdog", watch_run, self);
    if (err != PG_OK) {
        pg_log(PG_LOG_LEVEL_WARN, "node.watchdog.failed", PG_LOG_STR("error", pg_err_name(err)));
    }
    pg_supervision_ready(self);
}

void pg_supervision_reloading(const pg_supervision *self)
{
    pg_buf text = {0};
    if (self->is_running && pg_buf_printf(&text, "RELOADING=1\nMONOTONIC_USEC=%lld",
                                          (long long) pg_now() / 1000) == PG_OK) {
        tell((const char *) text.ptr);
    }
    pg_buf_deinit(&text);
}

void pg_supervision_ready(const pg_supervision *self)
{
    if (self->is_running) {
        tell_with_status(self, "READY=1\n");
    }
}

void pg_supervision_stopping(const pg_supervision *self)
{
    if (self->is_running) {
        tell("STOPPING=1\nSTATUS=stopping");
    }
}

void pg_supervision_end(pg_supervision *self)
{
    if (self->is_running) {
        pg_scope_close(&self->scope);
    }
    self->is_running = false;
}
