// SPDX-License-Identifier: Apache-2.0
// Looking after a node that runs: its settings and its log.
#include "api/fields.h"
#include "api/routes.h"
#include "base/log.h"

// ---- Settings

typedef struct setting_lists {
    json_object *changed;
    json_object *needs_restart;
} setting_lists;

static void on_setting(const char *key, bool is_taken, void *user)
{
    const setting_lists *lists = user;
    (void) json_object_array_add(is_taken ? lists->changed : lists->needs_restart,
                                 json_object_new_string(key));
}

static pg_err reload_post(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    if (context->reload == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "this node has no settings to reread");
    }
    setting_lists lists = {json_object_new_array(), json_object_new_array()};
    pg_err err = context->reload(context->reloader, on_setting, &lists);
    if (err != PG_OK) {
        json_object_put(lists.changed);
        json_object_put(lists.needs_restart);
        return err;
    }
    *out_body = json_object_new_object();
    pg_field_add(*out_body, "changed", lists.changed);
    pg_field_add(*out_body, "needs_restart", lists.needs_restart);
    return PG_OK;
}

// ---- The log

static pg_err log_get(const pg_api_request *request, json_object **out_body)
{
    (void) request;
    *out_body = json_object_new_object();
    pg_field_add_text(*out_body, "level", pg_log_level_name(pg_log_get_level()));
    return PG_OK;
}

static pg_err log_post(const pg_api_request *request, json_object **out_body)
{
    const char *name = NULL;
    pg_log_level level = PG_LOG_LEVEL_INFO;
    PG_TRY(pg_field_text(request->body, "level", &name));
    PG_TRY(pg_log_level_from_name(pg_str_make(name), &level));
    pg_log_set_level(level);
    return log_get(request, out_body);
}

const pg_api_route pg_api_service_routes[] = {
    {.method = "POST", .path = "/api/v1/reload", .handler = reload_post},
    {.method = "GET", .path = "/api/v1/log", .handler = log_get},
    {.method = "POST", .path = "/api/v1/log", .handler = log_post},
    {.path = NULL},
};
