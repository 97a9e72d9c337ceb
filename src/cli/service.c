// SPDX-License-Identifier: Apache-2.0
// `pangea reload` and `pangea log level`: looking after the running node.
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/invocation.h"

static void keys_tell(const pg_output *output, json_object *answer, const char *list,
                      const char *what)
{
    json_object *keys = pg_answer_object(answer, list);
    for (size_t i = 0; i < pg_answer_count(keys); i++) {
        pg_output_line(output, "%s %s", json_object_get_string(json_object_array_get_idx(keys, i)),
                       what);
    }
}

static pg_err reload_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "POST", "/api/v1/reload", NULL, &answer));
    keys_tell(&invocation->output, answer, "changed", "changed");
    keys_tell(&invocation->output, answer, "needs_restart", "wants a restart");
    if (pg_answer_count(pg_answer_object(answer, "changed")) == 0) {
        pg_output_note(&invocation->output, "nothing changed");
    }
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static pg_err log_level_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    if (invocation->argument_count == 0) {
        PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/log", NULL, &answer));
    } else {
        json_object *body = json_object_new_object();
        (void) json_object_object_add(body, "level",
                                      json_object_new_string(invocation->arguments[0]));
        pg_err err = pg_client_ask(invocation, "POST", "/api/v1/log", body, &answer);
        json_object_put(body);
        PG_TRY(err);
    }
    pg_output_line(&invocation->output, "%s", pg_answer_text(answer, "level"));
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static const pg_argument level_arguments[] = {
    {"LEVEL", PG_VALUE_KIND_TEXT, true, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

const pg_command pg_command_reload = {
    .name = "reload",
    .summary = "let the running node reread its settings",
    .description =
        "Tells which settings changed and which of them want a restart. A mistake in the\n"
        "file changes nothing, and is told with its line. A log file is opened anew.",
    .run = reload_run,
};

const pg_command pg_command_log_level = {
    .name = "log level",
    .summary = "show or change which lines the running node logs",
    .description = "LEVEL is error, warn, info, debug or trace. It holds until the settings are\n"
                   "reread or the node ends; log.level in them is for longer.",
    .example = "pangea log level debug",
    .arguments = level_arguments,
    .run = log_level_run,
};
