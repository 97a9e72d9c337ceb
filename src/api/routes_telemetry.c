// SPDX-License-Identifier: Apache-2.0
// Telemetry: how it stands, all that it would say and has said; agreeing, withdrawing, sending now.
#include "api/fields.h"
#include "api/limits.h"
#include "api/routes.h"
#include "api/telemetry.h"
#include "base/mem.h"

void pg_api_telemetry_look(pg_telemetry_facts *facts, void *context)
{
    const pg_api_context *self = context;
    facts->uptime_s = (uint64_t) ((pg_now() - self->started_at) / PG_SECONDS(1));
    facts->peers = pg_host_get_stats(self->host).peers;
    if (self->files != NULL) {
        facts->files = pg_files_get_stats(self->files).files;
    }
    if (self->place != NULL) {
        facts->leases = pg_place_server_get_stats(self->place).leases;
    }
    if (self->guard != NULL) {
        const pg_guard_stats guard = pg_guard_get_stats(self->guard);
        facts->sums.repairs = (pg_usage_rate){guard.repairs_total, guard.repairs_failed_total};
        facts->sums.audits = (pg_usage_rate){guard.audits_proven_total,
                                             guard.audits_fault_total + guard.audits_silent_total};
    }
}

static pg_err telemetry_of(const pg_api_request *request, pg_telemetry **out_telemetry)
{
    const pg_api_context *context = request->user;
    if (context->telemetry == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "this node has no database, and so no telemetry");
    }
    *out_telemetry = context->telemetry;
    return PG_OK;
}

// ---- What it says and said

static json_object *fields_make(void)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; pg_telemetry_field_at(i).name != NULL; i++) {
        json_object *field = json_object_new_object();
        pg_field_add_text(field, "name", pg_telemetry_field_at(i).name);
        pg_field_add_text(field, "meaning", pg_telemetry_field_at(i).meaning);
        (void) json_object_array_add(list, field);
    }
    return list;
}

static json_object *text_make(pg_str text)
{
    return json_object_new_string_len(text.ptr, (int) text.len);
}

/** Documents being listed; on the database's thread, which has the list to itself meanwhile. */
static pg_err on_sent(const pg_telemetry_sent *sent, void *user)
{
    static const char *const results[PG_TELEMETRY_RESULT_COUNT] = {
        [PG_TELEMETRY_RESULT_UNKNOWN] = "unknown",
        [PG_TELEMETRY_RESULT_TAKEN] = "taken",
        [PG_TELEMETRY_RESULT_NOT_TAKEN] = "not_taken",
    };
    json_object *list = user;
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "time_s", sent->time_s);
    pg_field_add_text(object, "result", results[sent->result]);
    pg_field_add_u64(object, "tries", sent->tries);
    pg_field_add(object, "url", text_make(sent->url));
    pg_field_add(object, "document", text_make(sent->document));
    return json_object_array_add(list, object) == 0 ? PG_OK : PG_ERR_NOMEM;
}

static void status_add(json_object *body, const pg_telemetry_status *status)
{
    char id[PG_TELEMETRY_LIST_ID_CHARS + 1];
    pg_telemetry_list_id(status->url, id);
    pg_field_add_bool(body, "is_on", status->is_on);
    pg_field_add_bool(body, "is_enabled", status->is_enabled);
    pg_field_add_bool(body, "is_agreed", status->is_agreed);
    pg_field_add_bool(body, "was_agreed", status->was_agreed);
    pg_field_add_text(body, "url", status->url);
    pg_field_add_u64(body, "interval_s", status->interval_s);
    pg_field_add_u64(body, "agreed_s", status->agreed_s);
    pg_field_add_u64(body, "next_s", status->next_s);
    pg_field_add_u64(body, "taken_total", status->taken_total);
    pg_field_add_u64(body, "not_taken_total", status->not_taken_total);
    pg_field_add_text(body, "list_id", id);
}

static pg_err answer_make(pg_telemetry *telemetry, json_object **out_body)
{
    pg_buf document PG_CLEANUP(pg_buf_deinit) = {0};
    json_object *sent = json_object_new_array();
    pg_err err = pg_telemetry_sent_each(telemetry, on_sent, sent);
    if (err == PG_OK) {
        err = pg_telemetry_document(telemetry, &document);
    }
    if (err != PG_OK) {
        json_object_put(sent);
        return err;
    }
    const pg_telemetry_status status = pg_telemetry_get_status(telemetry);
    *out_body = json_object_new_object();
    status_add(*out_body, &status);
    pg_field_add(*out_body, "document", text_make(pg_buf_str(&document)));
    pg_field_add(*out_body, "fields", fields_make());
    pg_field_add(*out_body, "sent", sent);
    return PG_OK;
}

static pg_err telemetry_get(const pg_api_request *request, json_object **out_body)
{
    pg_telemetry *telemetry = NULL;
    PG_TRY(telemetry_of(request, &telemetry));
    return answer_make(telemetry, out_body);
}

// ---- What is done

static pg_err telemetry_post(const pg_api_request *request, json_object **out_body)
{
    pg_telemetry *telemetry = NULL;
    const char *list_id = NULL;
    PG_TRY(telemetry_of(request, &telemetry));
    PG_TRY(pg_field_text(request->body, "list_id", &list_id));
    PG_TRY(pg_telemetry_agree(telemetry, list_id));
    return answer_make(telemetry, out_body);
}

static pg_err telemetry_delete(const pg_api_request *request, json_object **out_body)
{
    pg_telemetry *telemetry = NULL;
    PG_TRY(telemetry_of(request, &telemetry));
    PG_TRY(pg_telemetry_withdraw(telemetry));
    return answer_make(telemetry, out_body);
}

static pg_err send_post(const pg_api_request *request, json_object **out_body)
{
    pg_telemetry *telemetry = NULL;
    PG_TRY(telemetry_of(request, &telemetry));
    PG_TRY(pg_telemetry_send_now(telemetry));
    return answer_make(telemetry, out_body);
}

const pg_api_route pg_api_telemetry_routes[] = {
    {.method = "GET", .path = "/api/v1/telemetry", .handler = telemetry_get},
    {.method = "POST", .path = "/api/v1/telemetry", .handler = telemetry_post},
    {.method = "DELETE", .path = "/api/v1/telemetry", .handler = telemetry_delete},
    {.method = "POST", .path = "/api/v1/telemetry/send", .handler = send_post},
    {.path = NULL},
};
