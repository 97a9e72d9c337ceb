// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"
#include "cli/invocation.h"
#include "files/limits.h"

static pg_err version_run(pg_invocation *invocation)
{
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "version", json_object_new_string(PANGEA_VERSION));
    (void) json_object_object_add(object, "files_format", json_object_new_int(PG_FILES_VERSION));
    pg_output_object(&invocation->output, object);
    pg_output_line(&invocation->output, "pangea %s (files format %d)", PANGEA_VERSION,
                   PG_FILES_VERSION);
    return PG_OK;
}

const pg_command pg_command_version = {
    .name = "version",
    .summary = "print the version of the program and of the formats it writes",
    .run = version_run,
};
