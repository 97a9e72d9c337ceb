// SPDX-License-Identifier: Apache-2.0
// `pangea status`: how the running node is, on one screen; with --watch again whenever something happens.
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/data_folder.h"
#include "cli/invocation.h"
#include "cli/status_screen.h"
#include "runtime/time.h"

#define NEWS_BYTES (64U << 10) // of events, thrown away: they say only that there are news
#define REDRAW_MS 250
// The other screen, without cursor and without lines that wrap; and back.
#define SCREEN_ENTER "\033[?1049h\033[?25l\033[?7l"
#define SCREEN_LEAVE "\033[?7h\033[?25h\033[?1049l"
#define SCREEN_TOP "\033[H"
#define LINE_REST "\033[K"
#define SCREEN_REST "\033[J"

/** One run of the command. */
typedef struct status_run {
    const pg_invocation *invocation;
    pg_client *asks;
    pg_client *listens; // with --watch
    pg_buf folder;
    pg_buf text; // the last screen
    json_object *status;
    uint8_t news[NEWS_BYTES];
} status_run;

// ---- Asking

// Add an answer, or one list of it, to the status.
static pg_err part_ask(status_run *self, json_object *status, const char *path, const char *list,
                       const char *name)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_call(self->asks, "GET", path, NULL, &answer, NULL));
    json_object *part = list == NULL ? answer : pg_answer_object(answer, list);
    (void) json_object_object_add(status, name, json_object_get(part));
    json_object_put(answer);
    return PG_OK;
}

static pg_err status_ask(status_run *self)
{
    json_object *status = NULL;
    PG_TRY(pg_client_call(self->asks, "GET", "/api/v1/stat", NULL, &status, NULL));
    pg_err err = part_ask(self, status, "/api/v1/node", NULL, "node");
    if (err == PG_OK) {
        err = part_ask(self, status, "/api/v1/transfers", "transfers", "transfers");
    }
    if (err == PG_OK) {
        err = part_ask(self, status, "/api/v1/dht", "dhts", "dhts");
    }
    if (err == PG_ERR_UNSUPPORTED) { // a node without DHTs
        (void) json_object_object_add(status, "dhts", json_object_new_array());
        err = PG_OK;
    }
    if (err != PG_OK) {
        json_object_put(status);
        return err;
    }
    (void) json_object_object_add(status, "warnings", pg_status_warnings(status));
    json_object_put(self->status);
    self->status = status;
    return PG_OK;
}

static pg_err status_draw(status_run *self)
{
    const pg_output *output = &self->invocation->output;
    const pg_status_look look = {
        .folder = (const char *) self->folder.ptr,
        .now_s = pg_wall_ms() / 1000,
        .has_color = output->has_color,
    };
    pg_buf_clear(&self->text);
    return output->quiet ? pg_status_draw_warnings(self->status, &look, &self->text)
                         : pg_status_draw(self->status, &look, &self->text);
}

static pg_err once_job(void *arg)
{
    status_run *self = arg;
    PG_TRY(status_ask(self));
    return status_draw(self);
}

// ---- Watching

static bool draws(const status_run *self)
{
    return pg_output_columns(&self->invocation->output) > 0 && !self->invocation->output.json;
}

static void screen_show(const status_run *self)
{
    FILE *to = self->invocation->output.result;
    pg_str rest = pg_buf_str(&self->text);
    (void) fputs(SCREEN_TOP, to);
    while (rest.len > 0) {
        pg_str line;
        rest = pg_str_split(rest, '\n', &line);
        (void) fprintf(to, "%.*s" LINE_REST "\r\n", PG_STR_ARGS(line));
    }
    (void) fputs(LINE_REST SCREEN_REST, to);
    (void) fflush(to);
}

static void status_tell(status_run *self)
{
    if (self->invocation->output.json) {
        pg_output_object(&self->invocation->output, json_object_get(self->status));
    } else {
        (void) fprintf(self->invocation->output.result, "%.*s",
                       PG_STR_ARGS(pg_buf_str(&self->text)));
    }
    (void) fflush(self->invocation->output.result);
}

static pg_err watch_job(void *arg)
{
    status_run *self = arg;
    pg_download_head head;
    size_t len = 0;
    // Listen first: what happens while we ask is not missed.
    PG_TRY(pg_client_download_begin(self->listens, "GET", "/api/v1/events", NULL, &head));
    do {
        PG_TRY(status_ask(self));
        PG_TRY(status_draw(self));
        if (draws(self)) {
            screen_show(self);
        } else {
            status_tell(self);
        }
        PG_TRY(pg_client_rest(self->listens, REDRAW_MS));
        PG_TRY(pg_client_download_read(PG_MUT_BYTES_OF(self->news), &len, self->listens));
    } while (len > 0);
    return pg_fail(PG_ERR_CLOSED, "the node has stopped");
}

static pg_err watch(status_run *self)
{
    bool is_screen = draws(self);
    FILE *to = self->invocation->output.result;
    PG_TRY(pg_client_open_folder((const char *) self->folder.ptr, &self->listens));
    if (is_screen) {
        (void) fputs(SCREEN_ENTER, to);
    }
    pg_err err = pg_client_run(self->listens, watch_job, self);
    if (is_screen) {
        (void) fputs(SCREEN_LEAVE, to);
        status_tell(self); // stays
    }
    return err == PG_ERR_CANCELLED ? PG_OK : err; // Ctrl-C is how it ends
}

// ---- The command

static pg_err status_run_all(status_run *self)
{
    PG_TRY(pg_data_folder(self->invocation, &self->folder));
    PG_TRY(pg_client_open_folder((const char *) self->folder.ptr, &self->asks));
    if (pg_invocation_has(self->invocation, "watch")) {
        return watch(self);
    }
    PG_TRY(pg_client_run(self->asks, once_job, self));
    status_tell(self);
    return PG_OK;
}

static pg_err status_run_command(pg_invocation *invocation)
{
    static status_run self; // larger than a frame should be
    self.invocation = invocation;
    pg_err err = status_run_all(&self);
    json_object_put(self.status);
    pg_client_free(&self.listens);
    pg_client_free(&self.asks);
    pg_buf_deinit(&self.text);
    pg_buf_deinit(&self.folder);
    return err;
}

static const pg_option status_options[] = {
    {"watch", 'w', PG_VALUE_KIND_NONE, NULL,
     "show it again whenever something happens, until Ctrl-C"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_status = {
    .name = "status",
    .alias = "stat",
    .summary = "tell how the running node is, on one screen",
    .description =
        "Who it is, whom it is connected with, how its files and its disk are, what goes on;\n"
        "and what is not as it should be, with what to do. At risk are files on fewer hosts\n"
        "than they have pieces. With --quiet the warnings alone, so nothing when all is well;\n"
        "with --json all that the node counts, and with --watch too a line each time.",
    .example = "pangea status --watch",
    .options = status_options,
    .run = status_run_command,
    .waits = true,
};
