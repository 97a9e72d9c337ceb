// SPDX-License-Identifier: Apache-2.0
// `pangea telemetry show | on | off | status | send`: what would be told of the node, and whether it is.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/config_file_edit.h"
#include "cli/invocation.h"
#include "cli/span.h"
#include "runtime/time.h"

#define PATH "/api/v1/telemetry"

// ---- Telling

static void fields_tell(const pg_output *output, json_object *answer)
{
    json_object *fields = pg_answer_object(answer, "fields");
    for (size_t i = 0; i < pg_answer_count(fields); i++) {
        json_object *field = json_object_array_get_idx(fields, i);
        pg_output_line(output, "%-14s %s", pg_answer_text(field, "name"),
                       pg_answer_text(field, "meaning"));
    }
}

static pg_err show_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "GET", PATH, NULL, &answer));
    const pg_output *output = &invocation->output;
    pg_output_note(output, "what would be sent now, exactly, and nothing else:");
    pg_output_line(output, "%s", pg_answer_text(answer, "document"));
    pg_output_line(output, "%s", "");
    fields_tell(output, answer);
    pg_output_object(output, answer);
    return PG_OK;
}

/** Return why nothing is sent; NULL where documents are. */
static const char *why_off(json_object *answer)
{
    return pg_answer_bool(answer, "is_on")                ? NULL
           : pg_answer_optional(answer, "url")[0] == '\0' ? "telemetry.url names no collector"
           : !pg_answer_bool(answer, "is_enabled")        ? "telemetry.enabled is false"
           : pg_answer_bool(answer, "was_agreed")
               ? "the list or the URL is another than was agreed to: `pangea telemetry on`"
               : "nobody agreed yet: `pangea telemetry on`";
}

static void sent_tell(const pg_output *output, json_object *sent)
{
    char age[PG_SPAN_TEXT_BYTES];
    const char *result = pg_answer_text(sent, "result");
    pg_span_format(pg_wall_ms() / 1000 - (int64_t) pg_answer_u64(sent, "time_s"), age);
    pg_output_line(output, "%s ago, %s, %llu %s, to %s", age,
                   strcmp(result, "taken") == 0       ? "taken"
                   : strcmp(result, "not_taken") == 0 ? "not taken"
                                                      : "on its way, or the node ended meanwhile",
                   (unsigned long long) pg_answer_u64(sent, "tries"),
                   pg_answer_u64(sent, "tries") == 1 ? "try" : "tries",
                   pg_answer_text(sent, "url"));
    pg_output_line(output, "  %s", pg_answer_text(sent, "document"));
}

static void status_tell(const pg_output *output, json_object *answer)
{
    char next[PG_SPAN_TEXT_BYTES];
    json_object *sent = pg_answer_object(answer, "sent");
    const char *why = why_off(answer);
    if (why != NULL) {
        pg_output_line(output, "telemetry is off: %s", why);
    } else {
        pg_span_format((int64_t) pg_answer_u64(answer, "next_s") - pg_wall_ms() / 1000, next);
        pg_output_line(output, "telemetry is on, to %s; the next document is due in %s",
                       pg_answer_text(answer, "url"), next);
    }
    if (pg_answer_count(sent) == 0) {
        pg_output_line(output, "nothing was ever sent");
    }
    for (size_t i = 0; i < pg_answer_count(sent); i++) {
        sent_tell(output, json_object_array_get_idx(sent, i));
    }
}

static pg_err status_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "GET", PATH, NULL, &answer));
    status_tell(&invocation->output, answer);
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- On

static pg_err consent_ask(void)
{
    char line[16] = {0};
    if (isatty(STDIN_FILENO) != 1) {
        return pg_fail(PG_ERR_INVALID,
                       "no terminal to ask on: read `pangea telemetry show`, then say --yes");
    }
    (void) fputs("Send this? [y/N] ", stderr);
    (void) fflush(stderr);
    if (fgets(line, sizeof(line), stdin) == NULL ||
        (strcmp(line, "y\n") != 0 && strcmp(line, "yes\n") != 0)) {
        return pg_fail(PG_ERR_REFUSED, "not agreed to: nothing is sent");
    }
    return PG_OK;
}

/** Show all that there is to agree to, on standard error where the result is JSON, and ask. */
static pg_err consent_get(const pg_invocation *invocation, json_object *answer)
{
    pg_output output = invocation->output;
    if (pg_answer_optional(answer, "url")[0] == '\0') {
        return pg_fail(PG_ERR_INVALID,
                       "telemetry.url is not set, and the project runs no collector: name yours, "
                       "`pangea config set telemetry.url https://...`, and `pangea reload`");
    }
    if (output.json) {
        output.json = false;
        pg_output_keep_stdout(&output);
    }
    pg_output_line(&output, "About every %llu hours this goes to %s, and nothing else:",
                   (unsigned long long) pg_answer_u64(answer, "interval_s") / 3600,
                   pg_answer_text(answer, "url"));
    fields_tell(&output, answer);
    pg_output_line(&output, "As of now:");
    pg_output_line(&output, "%s", pg_answer_text(answer, "document"));
    pg_output_line(&output, "Whoever runs it sees the address that this comes from, too.");
    PG_TRY(pg_output_finish(&output));
    return pg_invocation_has(invocation, "yes") ? PG_OK : consent_ask();
}

static pg_err settings_reload(const pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "POST", "/api/v1/reload", NULL, &answer));
    json_object_put(answer);
    return PG_OK;
}

static pg_err agree(const pg_invocation *invocation, json_object *shown, json_object **out_answer)
{
    bool changed = false;
    PG_TRY(pg_config_file_set(invocation, "telemetry.enabled", "true", &changed));
    PG_TRY(settings_reload(invocation));
    json_object *body = json_object_new_object();
    (void) json_object_object_add(body, "list_id",
                                  json_object_new_string(pg_answer_text(shown, "list_id")));
    pg_err err = pg_client_ask(invocation, "POST", PATH, body, out_answer);
    json_object_put(body);
    return err;
}

static pg_err on_run(pg_invocation *invocation)
{
    json_object *shown = NULL;
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "GET", PATH, NULL, &shown));
    pg_err err = consent_get(invocation, shown);
    if (err == PG_OK) {
        err = agree(invocation, shown, &answer);
    }
    json_object_put(shown);
    PG_TRY(err);
    pg_output_note(&invocation->output, "telemetry is on; `pangea telemetry off` ends it");
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- Off, send

static pg_err off_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    bool changed = false;
    pg_err err = pg_client_ask(invocation, "DELETE", PATH, NULL, &answer);
    if (err != PG_OK && err != PG_ERR_NO_NODE) {
        return err;
    }
    pg_err set = pg_config_file_set(invocation, "telemetry.enabled", "false", &changed);
    if (set == PG_OK && err == PG_OK) {
        set = settings_reload(invocation);
    }
    if (set != PG_OK) {
        json_object_put(answer);
        return pg_error_wrap(set, "nothing is sent any more, but the settings were not changed");
    }
    pg_output_note(&invocation->output, err == PG_OK
                                            ? "telemetry is off"
                                            : "telemetry is off when the node starts: none runs");
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static pg_err send_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "POST", PATH "/send", NULL, &answer));
    json_object *sent = pg_answer_object(answer, "sent");
    pg_output_line(&invocation->output, "%s",
                   pg_answer_text(json_object_array_get_idx(sent, 0), "document"));
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- The commands

static const pg_option on_options[] = {
    {"yes", 0, PG_VALUE_KIND_NONE, NULL, "agree without being asked"},
    {"config", 0, PG_VALUE_KIND_FILE, "FILE", "settings (pangea.conf in the data directory)"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

static const pg_option off_options[] = {
    {"config", 0, PG_VALUE_KIND_FILE, "FILE", "settings (pangea.conf in the data directory)"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_telemetry_show = {
    .name = "telemetry show",
    .summary = "show exactly what would be sent now, and what each field means",
    .description =
        "Nothing is sent by it, and nothing is ever sent unless you agree: telemetry on.",
    .run = show_run,
};

const pg_command pg_command_telemetry_on = {
    .name = "telemetry on",
    .summary = "show what would be sent and where to, ask, and then send it from time to time",
    .description =
        "There is no collector of the project: telemetry.url in the settings names the one to\n"
        "send to. You agree to this list and this URL; with another, after an upgrade or a\n"
        "change of settings, nothing is sent until you agree again.",
    .example = "pangea config set telemetry.url https://collector.example/pangea\n"
               "pangea reload\n"
               "pangea telemetry on",
    .options = on_options,
    .run = on_run,
    .waits = true,
};

const pg_command pg_command_telemetry_off = {
    .name = "telemetry off",
    .summary = "send nothing any more",
    .description = "When it has returned nothing is being sent, and the tag of the week is gone.",
    .options = off_options,
    .run = off_run,
    .waits = true,
};

const pg_command pg_command_telemetry_status = {
    .name = "telemetry status",
    .summary = "tell whether something is sent, and show the last documents that were",
    .run = status_run,
};

const pg_command pg_command_telemetry_send = {
    .name = "telemetry send",
    .summary = "send a document now, in one try: to see whether the collector takes it",
    .run = send_run,
};
