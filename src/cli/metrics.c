// SPDX-License-Identifier: Apache-2.0
// `pangea metrics`: the figures of the running node in the text format of Prometheus.
#include "base/str.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/invocation.h"

#define TEXT_BYTES_MAX (1U << 20)
#define STEP_BYTES 65536

typedef struct metrics_run {
    pg_client *client;
    pg_buf text;
} metrics_run;

static pg_err metrics_job(void *arg)
{
    metrics_run *run = arg;
    pg_download_head head;
    PG_TRY(pg_client_download_begin(run->client, "GET", "/metrics", NULL, &head));
    for (;;) {
        uint8_t *space = NULL;
        size_t len = 0;
        PG_TRY(pg_buf_extend(&run->text, STEP_BYTES, &space));
        pg_err err =
            pg_client_download_read(pg_mut_bytes_make(space, STEP_BYTES), &len, run->client);
        run->text.len -= STEP_BYTES - (err == PG_OK ? len : 0);
        if (err != PG_OK || len == 0) {
            return err;
        }
    }
}

static void text_tell(const pg_output *output, pg_str text)
{
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "text",
                                  json_object_new_string_len(text.ptr, (int) text.len));
    while (text.len > 0) {
        pg_str line;
        text = pg_str_split(text, '\n', &line);
        pg_output_line(output, "%.*s", PG_STR_ARGS(line));
    }
    pg_output_object(output, object);
}

static pg_err metrics_command(pg_invocation *invocation)
{
    metrics_run run = {.text.max_len = TEXT_BYTES_MAX};
    PG_TRY(pg_client_open(invocation, &run.client));
    pg_err err = pg_client_run(run.client, metrics_job, &run);
    if (err == PG_OK) {
        text_tell(&invocation->output, pg_buf_str(&run.text));
    }
    pg_client_free(&run.client);
    pg_buf_deinit(&run.text);
    return err;
}

const pg_command pg_command_metrics = {
    .name = "metrics",
    .summary = "print the figures of the running node for Prometheus",
    .description =
        "The same text that GET /metrics of the local API gives. `pangea stat` is for people.",
    .run = metrics_command,
    .waits = true,
};
