// SPDX-License-Identifier: Apache-2.0
// The pangea command: read the command line, run what it names, tell how it ended.
//
// Layer: cli.  Thread: the main thread, which becomes the loop thread.
#include <signal.h>
#include <string.h>

#include "cli/exit_codes.h"
#include "cli/help.h"
#include "cli/invocation.h"
#include "runtime/fiber.h"
#include "runtime/process.h"
#include "runtime/runtime.h"

/** A command that runs, and the fiber that stops it when the person presses Ctrl-C. */
typedef struct supervision {
    pg_invocation *invocation;
    pg_scope work;
    pg_err result;
    pg_error_record record; // detail of `result`, from the command's own fiber
} supervision;

static pg_err command_run(void *arg)
{
    supervision *self = arg;
    self->result = self->invocation->command->run(self->invocation);
    self->record = pg_error_keep();
    return PG_OK;
}

static pg_err signals_run(void *arg)
{
    supervision *self = arg;
    int signal_number = 0;
    pg_err err = pg_signal_wait(PG_FOREVER, &signal_number);
    if (err == PG_OK) {
        pg_scope_cancel(&self->work);
    }
    return err;
}

/** Run the command in a fiber beside one that waits for signals. */
static pg_err supervise(void *arg)
{
    supervision *self = arg;
    pg_scope signals;
    pg_scope_init_tolerant(&signals);
    pg_scope_init(&self->work);
    pg_err err = pg_scope_spawn(&signals, "cli.signals", signals_run, self);
    if (err == PG_OK) {
        err = pg_scope_spawn(&self->work, "cli.command", command_run, self);
    }
    if (err == PG_OK) {
        err = pg_scope_join(&self->work);
    }
    pg_scope_close(&signals);
    return err;
}

static pg_err run_command(pg_invocation *invocation, supervision *self)
{
    PG_TRY(pg_invocation_check(invocation));
    if (!invocation->command->waits) {
        return invocation->command->run(invocation);
    }
    *self = (supervision){.invocation = invocation};
    PG_TRY(pg_runtime_run(NULL, supervise, self));
    if (self->result == PG_ERR_CANCELLED) {
        return pg_fail(PG_ERR_CANCELLED, "interrupted");
    }
    return pg_error_again(&self->record, self->result);
}

static pg_err run(pg_invocation *invocation, supervision *self)
{
    if (pg_invocation_has(invocation, "help")) {
        if (invocation->command != NULL) {
            pg_help_command(stdout, invocation->command);
        } else if (invocation->group != NULL) {
            pg_help_group(stdout, invocation->group);
        } else {
            pg_help_program(stdout);
        }
        return PG_OK;
    }
    if (invocation->command != NULL) {
        return run_command(invocation, self);
    }
    if (invocation->group != NULL && invocation->argument_count > 0) {
        return pg_command_unknown(invocation->group, invocation->arguments[0]);
    }
    return pg_fail(
        PG_ERR_INVALID, "which command? It comes before the options; `pangea help%s%s` lists them",
        invocation->group == NULL ? "" : " ", invocation->group == NULL ? "" : invocation->group);
}

int main(int argc, char **argv)
{
    // A pipe nobody reads and a file too large are errors of the write, not the end of the process: it has to clean up.
    (void) signal(SIGPIPE, SIG_IGN);
    (void) signal(SIGXFSZ, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        argv[1] += 2;
    }
    static supervision self; // larger than a frame should be
    static pg_invocation invocation;
    pg_err err = pg_invocation_read(argc, argv, &invocation);
    if (err == PG_OK) {
        err = run(&invocation, &self);
    }
    if (err == PG_OK) {
        err = pg_output_finish(&invocation.output);
    }
    if (err != PG_OK) {
        pg_output_error(&invocation.output,
                        invocation.command == NULL ? NULL : invocation.command->name, err);
    }
    return pg_exit_code(err);
}
