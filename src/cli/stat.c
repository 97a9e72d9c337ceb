// SPDX-License-Identifier: Apache-2.0
// `pangea stat`: what the running node keeps and does.
#include <stdio.h>
#include <string.h>

#include <json-c/linkhash.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/invocation.h"
#include "cli/span.h"

// One value: sizes as people read them, the rest as it is.
static void value_tell(const pg_output *output, const char *name, json_object *value)
{
    char text[PG_SIZE_TEXT_BYTES];
    const char *told = json_object_get_string(value);
    if (strstr(name, "bytes") != NULL && json_object_is_type(value, json_type_int)) {
        pg_size_format(json_object_get_uint64(value), text);
        told = text;
    }
    pg_output_line(output, "  %-20s %s", name, told);
}

static void section_tell(const pg_output *output, const char *name, json_object *section)
{
    pg_output_line(output, "%s", name);
    json_object_object_foreach(section, key, value)
    {
        value_tell(output, key, value);
    }
}

static pg_err stat_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    char uptime[PG_SPAN_TEXT_BYTES];
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/stat", NULL, &answer));
    pg_span_format((int64_t) pg_answer_u64(answer, "uptime_ms") / 1000, uptime);
    pg_output_line(&invocation->output, "up for %s, %llu peers", uptime,
                   (unsigned long long) pg_answer_u64(answer, "peers"));
    json_object_object_foreach(answer, name, value)
    {
        if (json_object_is_type(value, json_type_object)) {
            section_tell(&invocation->output, name, value);
        }
    }
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

const pg_command pg_command_stat = {
    .name = "stat",
    .summary = "tell what the running node keeps and does",
    .run = stat_run,
};
