// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "api/fields.h"
#include "api/limits.h"
#include "api/routes.h"
#include "runtime/time.h"

// ---- What becomes an event

static void event_tell(pg_api_context *context, const char *kind, json_object *document)
{
    const char *text = json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN |
                                                                    JSON_C_TO_STRING_NOSLASHESCAPE);
    if (text != NULL) {
        pg_events_publish(context->events, kind, pg_bytes_cstr(text));
    }
    json_object_put(document);
}

static void on_host_event(const pg_host_event *event, void *user)
{
    static const char *const names[] = {
        [PG_HOST_EVENT_CONNECTED] = "connected",
        [PG_HOST_EVENT_IDENTIFIED] = "identified",
        [PG_HOST_EVENT_DISCONNECTED] = "disconnected",
    };
    if (event->peer == NULL || event->kind >= PG_ARRAY_LEN(names)) {
        return;
    }
    json_object *document = json_object_new_object();
    pg_field_add_peer(document, "peer_id", event->peer);
    pg_field_add_text(document, "event", names[event->kind]);
    event_tell(user, "peer", document);
}

void pg_api_transfer_tell(pg_api_context *context, const pg_transfer *transfer)
{
    event_tell(context, "transfer", pg_transfer_document(transfer));
}

pg_err pg_api_context_open(pg_api_context *context)
{
    context->started_ms = (uint64_t) pg_wall_ms();
    PG_TRY(pg_events_new(context->started_ms, &context->events));
    pg_err err = pg_host_watch(context->host, on_host_event, context);
    if (err != PG_OK) {
        pg_events_free(&context->events);
    }
    return err;
}

void pg_api_context_close(pg_api_context *context)
{
    if (context->events != NULL) {
        pg_host_unwatch(context->host, on_host_event, context);
    }
    pg_events_free(&context->events);
    pg_transfers_deinit(&context->transfers);
}

// ---- Routes

static pg_err last_id_read(const pg_api_request *request, uint64_t *out_id)
{
    const char *text = pg_api_header(request->call, "Last-Event-ID");
    if (text == NULL) {
        *out_id = 0;
        return PG_OK;
    }
    return pg_error_wrap(pg_str_to_u64(pg_str_make(text), INT64_MAX, out_id), "Last-Event-ID");
}

static pg_err events_send(pg_api_call *call, pg_events_listener *listener, pg_buf *text)
{
    pg_api_answer(call, "text/event-stream", PG_API_LENGTH_UNKNOWN);
    PG_TRY(pg_api_write(call, PG_BYTES_LIT(": here\n\n"))); // so that the head is sent
    for (;;) {
        pg_buf_clear(text);
        pg_err err = pg_events_next(listener, pg_after(PG_MS(PG_API_EVENTS_QUIET_MS)), text);
        if (err == PG_ERR_TIMEOUT) {
            err = pg_buf_append(text, PG_BYTES_LIT(": still here\n\n"));
        }
        PG_TRY(err);
        PG_TRY(pg_api_write(call, pg_buf_bytes(text)));
    }
}

static pg_err events_get(const pg_api_request *request, json_object **out_body)
{
    pg_api_context *context = request->user;
    pg_events_listener listener = {0};
    pg_buf text = {0};
    uint64_t last_id = 0;
    (void) out_body;
    PG_TRY(last_id_read(request, &last_id));
    pg_err err = pg_events_listen(context->events, last_id, &listener);
    if (err != PG_OK) {
        return pg_api_refuse(request->call, 503, err);
    }
    err = events_send(request->call, &listener, &text);
    pg_buf_deinit(&text);
    pg_events_leave(&listener);
    return err;
}

static void on_transfer(const pg_transfer *transfer, void *user)
{
    (void) json_object_array_add(user, pg_transfer_document(transfer));
}

static pg_err transfers_get(const pg_api_request *request, json_object **out_body)
{
    pg_api_context *context = request->user;
    json_object *list = json_object_new_array();
    pg_transfers_each(&context->transfers, pg_now(), on_transfer, list);
    *out_body = json_object_new_object();
    pg_field_add(*out_body, "transfers", list);
    return PG_OK;
}

static pg_err transfer_get(const pg_api_request *request, json_object **out_body)
{
    pg_api_context *context = request->user;
    PG_TRY(pg_transfer_id_check(pg_str_make(request->param)));
    const pg_transfer *transfer = pg_transfers_find(&context->transfers, request->param, pg_now());
    if (transfer == NULL) {
        return pg_fail(PG_ERR_NOT_FOUND, "no transfer %s, or it ended long ago", request->param);
    }
    *out_body = pg_transfer_document(transfer);
    return PG_OK;
}

const pg_api_route pg_api_event_routes[] = {
    {.method = "GET", .path = "/api/v1/events", .handler = events_get},
    {.method = "GET", .path = "/api/v1/transfers", .handler = transfers_get},
    {.method = "GET", .path = "/api/v1/transfers/{id}", .handler = transfer_get},
    {.path = NULL},
};
