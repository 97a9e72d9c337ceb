// SPDX-License-Identifier: Apache-2.0
// What a backup needs of a running node: a copy of its database, which nobody else can read while it is open. All else of the data
// directory the asking program reads itself.
#include "api/fields.h"
#include "api/routes.h"

static pg_err backup_post(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    if (context->copy_database == NULL || context->db == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "this node has no database");
    }
    PG_TRY(context->copy_database(context->keeper, &path));
    *out_body = json_object_new_object();
    pg_field_add_text(*out_body, "path", (const char *) path.ptr);
    pg_field_add_u64(*out_body, "version", pg_db_version(context->db));
    return PG_OK;
}

const pg_api_route pg_api_backup_routes[] = {
    {.method = "POST", .path = "/api/v1/backup", .handler = backup_post},
    {.path = NULL},
};
