// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include <json-c/json_tokener.h>

#include "api/call_priv.h"
#include "api/door.h"
#include "api/fields.h"
#include "api/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "runtime/trace.h"

// ---- Life

pg_api_call *call_new(api_door *door, const char *target)
{
    pg_api_call *call = PG_NEW(pg_api_call);
    if (call == NULL) {
        return NULL;
    }
    call->api = door->api;
    call->door = door;
    call->refs = 1;
    door->api->stats.running++;
    call->param = "";
    pg_scope_init_tolerant(&call->scope);
    pg_waitq_init(&call->reader);
    pg_waitq_init(&call->writer);
    call->uri_err = pg_uri_decode(pg_str_make(target), &call->uri);
    if (call->uri_err != PG_OK) {
        call->document = pg_api_problem(call->uri_err, 0, pg_error_detail(call->uri_err));
    }
    return call;
}

static void call_unref(pg_api_call *call)
{
    call->refs--;
    if (call->refs > 0) {
        return;
    }
    for (size_t i = 0; i < call->header_count; i++) {
        pg_mfree(call->headers[i].value);
    }
    json_object_put(call->document);
    pg_mfree(call);
}

// Let the library look at the connection again.
static void call_poke(pg_api_call *call)
{
    if (call->is_suspended && call->connection != NULL) {
        call->is_suspended = false;
        MHD_resume_connection(call->connection);
        call->door->is_poked = true;
        pg_foreign_wake(call->door->events);
    }
}

static void call_suspend(pg_api_call *call)
{
    call->is_suspended = true;
    MHD_suspend_connection(call->connection);
}

static void idle_set(const pg_api_call *call, unsigned seconds)
{
    if (call->connection != NULL) {
        (void) MHD_set_connection_option(call->connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
    }
}

static bool is_answered(const pg_api_call *call)
{
    return call->answer >= ANSWER_STATE_DOCUMENT;
}

static void answer_problem(pg_api_call *call, pg_err err)
{
    unsigned status = call->status >= 400 ? call->status : pg_api_status(err);
    call->status = status;
    json_object_put(call->document);
    call->document = pg_api_problem(err, status, pg_error_detail(err));
    call->answer = ANSWER_STATE_DOCUMENT;
}

// ---- For handlers

pg_api_stats pg_api_call_stats(const pg_api_call *call)
{
    return call->api->stats;
}

const char *pg_api_header(const pg_api_call *call, const char *name)
{
    return call->connection == NULL
               ? NULL
               : MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

uint64_t pg_api_body_bytes(const pg_api_call *call)
{
    return call->body_bytes;
}

/** How long to wait for a body. */
typedef struct patience {
    pg_time deadline; // for all that is wanted: then what came is enough
    int64_t idle_ms;  // for the next of it
} patience;

// Wait until more came, `deadline` is over, or the client was silent for too long.
static pg_err body_await(pg_api_call *call, const patience *until)
{
    const size_t seen = call->space_len;
    const pg_time idle = pg_after(PG_MS(until->idle_ms));
    if (call->connection == NULL) {
        return pg_fail(PG_ERR_RESET, "the client is gone");
    }
    pg_err err = pg_waitq_wait(&call->reader, until->deadline < idle ? until->deadline : idle);
    if (err != PG_ERR_TIMEOUT) {
        return err;
    }
    if (until->deadline <= pg_now()) {
        return err;
    }
    return call->space_len > seen ? PG_OK : pg_fail(err, "the client sends no more");
}

static pg_err body_fill(pg_api_call *call, pg_mut_bytes space, const patience *until,
                        size_t *out_len)
{
    pg_err err = PG_OK;
    call->is_wanted = true;
    call->space = space;
    call->space_len = 0;
    call_poke(call);
    while (err == PG_OK && call->space_len < space.len && call->state < CALL_STATE_WHOLE) {
        err = body_await(call, until);
    }
    if (err == PG_ERR_TIMEOUT && call->space_len > 0 && until->deadline <= pg_now()) {
        err = PG_OK;
    }
    if (err == PG_OK) {
        *out_len = call->space_len;
    }
    call->space = (pg_mut_bytes){0};
    call->space_len = 0;
    return err;
}

pg_err pg_api_read(pg_api_call *call, pg_mut_bytes space, size_t *out_len)
{
    const patience until = {PG_FOREVER, PG_API_STREAM_IDLE_MS};
    return body_fill(call, space, &until, out_len);
}

pg_err pg_api_read_until(pg_api_call *call, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    const patience until = {deadline, PG_API_SOURCE_IDLE_MS};
    idle_set(call, PG_API_SOURCE_IDLE_MS / 1000 + PG_API_IDLE_SECONDS); // the fiber gives up first
    return body_fill(call, space, &until, out_len);
}

void pg_api_answer(pg_api_call *call, const char *type, uint64_t length)
{
    call->answer = ANSWER_STATE_SHAPED;
    call->type = type;
    call->length = length;
}

pg_err pg_api_answer_header(pg_api_call *call, const char *name, const char *value)
{
    if (call->header_count == PG_API_HEADERS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "an answer has at most %d headers", PG_API_HEADERS_MAX);
    }
    char *copy = pg_str_dup(pg_str_make(value));
    if (copy == NULL) {
        return PG_ERR_NOMEM;
    }
    call->headers[call->header_count] = (answer_header){name, copy};
    call->header_count++;
    return PG_OK;
}

pg_err pg_api_write(pg_api_call *call, pg_bytes bytes)
{
    pg_err err = PG_OK;
    pg_assert(call->answer == ANSWER_STATE_SHAPED || call->answer == ANSWER_STATE_STREAM);
    call->answer = ANSWER_STATE_STREAM;
    call->rest = bytes;
    call_poke(call);
    while (err == PG_OK && call->rest.len > 0) {
        size_t seen = call->rest.len;
        err = call->connection == NULL
                  ? pg_fail(PG_ERR_RESET, "the client is gone")
                  : pg_waitq_wait(&call->writer, pg_after(PG_MS(PG_API_STREAM_IDLE_MS)));
        if (err == PG_ERR_TIMEOUT && call->rest.len < seen) {
            err = PG_OK; // it is taken slowly
        }
    }
    call->rest = PG_BYTES_EMPTY;
    return err == PG_ERR_TIMEOUT ? pg_fail(err, "the client takes no more") : err;
}

void pg_api_status_set(pg_api_call *call, unsigned status)
{
    call->status = status;
}

pg_err pg_api_refuse(pg_api_call *call, unsigned status, pg_err err)
{
    call->status = status;
    return err;
}

// ---- The handler's fiber

static pg_err json_parse(pg_bytes text, json_object **out_body)
{
    struct json_tokener *tokener = json_tokener_new_ex(PG_API_JSON_DEPTH_MAX);
    if (tokener == NULL) {
        return PG_ERR_NOMEM;
    }
    json_object *body = json_tokener_parse_ex(tokener, (const char *) text.ptr, (int) text.len);
    pg_err err = PG_OK;
    if (json_tokener_get_error(tokener) != json_tokener_success ||
        json_tokener_get_parse_end(tokener) != text.len ||
        !json_object_is_type(body, json_type_object)) {
        err = pg_fail(PG_ERR_INVALID, "the body is no JSON object");
        json_object_put(body);
    } else {
        *out_body = body;
    }
    pg_wipe(tokener->pb->buf, (size_t) tokener->pb->size); // it may have held a link
    json_tokener_free(tokener);
    return err;
}

static pg_err body_read(pg_api_call *call, json_object **out_body)
{
    if (!call->has_body) {
        *out_body = json_object_new_object();
        return *out_body == NULL ? PG_ERR_NOMEM : PG_OK;
    }
    const size_t max = PG_API_BODY_BYTES_MAX;
    size_t len = 0;
    uint8_t *text = pg_malloc(max + 1);
    if (text == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_api_read(call, pg_mut_bytes_make(text, max + 1), &len);
    if (err == PG_OK && len > max) {
        err = pg_fail(PG_ERR_INVALID, "the body has more than %zu bytes", max);
    } else if (err == PG_OK && len == 0) {
        *out_body = json_object_new_object();
        err = *out_body == NULL ? PG_ERR_NOMEM : PG_OK;
    } else if (err == PG_OK) {
        err = json_parse(pg_bytes_make(text, len), out_body);
    }
    pg_wipe(text, max + 1); // it may have held a link
    pg_mfree(text);
    return err;
}

static void call_finish(pg_api_call *call, pg_err err)
{
    bool is_begun = call->answer == ANSWER_STATE_STREAM;
    if (is_begun && err == PG_OK) {
        call->answer = ANSWER_STATE_ENDED;
    } else if (is_begun && call->state == CALL_STATE_REPLY) {
        call->answer = ANSWER_STATE_FAILED; // too late to say more than that
    } else if (err != PG_OK) {
        answer_problem(call, err);
    } else if (call->answer == ANSWER_STATE_SHAPED) {
        call->answer = ANSWER_STATE_ENDED; // an empty stream
    } else {
        call->answer = ANSWER_STATE_DOCUMENT;
    }
    if (call->status == 0) {
        call->status = 200;
    }
    pg_log(PG_LOG_LEVEL_DEBUG, "api.request", PG_LOG_STR("method", call->route->method),
           PG_LOG_STR("path", call->route->path), PG_LOG_U64("status", call->status),
           PG_LOG_STR("code", pg_err_name(err)));
    if (call->answer == ANSWER_STATE_DOCUMENT) {
        idle_set(call, PG_API_IDLE_SECONDS);
    }
    call_poke(call);
}

// A span of the request, below the one that its client names in the header `traceparent`.
static void span_begin(const pg_api_call *call, pg_span *span)
{
    pg_trace_context client;
    const char *header = pg_api_header(call, "traceparent");
    bool is_named = header != NULL && pg_traceparent_decode(pg_str_make(header), &client) == PG_OK;
    pg_span_begin_served(span, "api.request", is_named ? &client : NULL);
    pg_span_set_text(span, "http.request.method", call->route->method);
    pg_span_set_text(span, "http.route", call->route->path);
    pg_error_clear(); // a header that cannot be read is nobody's failure
}

static void span_end(const pg_api_call *call, pg_span *span, pg_err err)
{
    pg_span_set_u64(span, "http.response.status_code", call->status);
    pg_span_end(span, call->status >= 500 ? err : PG_OK);
}

static pg_err handler_run(void *arg)
{
    pg_span span;
    pg_api_call *call = arg;
    const pg_api_route *route = call->route;
    pg_api_request request = {
        .path = route->path,
        .param = call->param,
        .uri = &call->uri,
        .user = call->api->config.user,
        .call = call,
    };
    span_begin(call, &span);
    pg_err err = route->streams ? PG_OK : body_read(call, &request.body);
    if (err == PG_OK) {
        err = route->handler(&request, &call->document);
    }
    pg_field_wipe(request.body, "link");
    pg_field_wipe(request.body, "invite");
    json_object_put(request.body);
    call_finish(call, err);
    span_end(call, &span, err);
    pg_foreign_free(&call->line); // wakes call_run
    return PG_OK;
}

// Beside the handler: wait for its end, or for the client to hang up, which the library does not notice while it is suspended.
static pg_err call_run(void *arg)
{
    pg_api_call *call = arg;
    pg_err err = pg_scope_spawn(&call->scope, "api.handler", handler_run, call);
    if (err != PG_OK) {
        pg_foreign_free(&call->line);
        call_finish(call, err);
    } else {
        pg_ignore(pg_foreign_wait_hangup(call->line, PG_FOREVER),
                  "whatever ended the wait, the handler has to end");
    }
    pg_scope_close(&call->scope);
    call_unref(call);
    return PG_OK;
}

// ---- The head

static bool route_find(pg_api_call *call, const char *method)
{
    bool is_path_known = false;
    for (const pg_api_route *const *table = call->api->config.tables; *table != NULL; table++) {
        for (const pg_api_route *route = *table; route->path != NULL; route++) {
            const char *param = NULL;
            if (!pg_uri_match(call->uri.path, route->path, &param)) {
                continue;
            }
            is_path_known = true;
            if (strcmp(route->method, method) == 0) {
                call->route = route;
                call->param = param;
                return true;
            }
        }
    }
    return is_path_known;
}

static pg_err head_admit(pg_api_call *call)
{
    if (!call->door->is_open_to_all) {
        return PG_OK;
    }
    const pg_door_head head = {
        .host = pg_api_header(call, MHD_HTTP_HEADER_HOST),
        .origin = pg_api_header(call, MHD_HTTP_HEADER_ORIGIN),
        .authorization = pg_api_header(call, MHD_HTTP_HEADER_AUTHORIZATION),
    };
    const pg_str path = pg_str_make(call->uri_err == PG_OK ? call->uri.path : "/api/");
    bool is_api =
        pg_str_starts_with(path, PG_STR("/api/")) || pg_str_starts_with(path, PG_STR("/metrics"));
    return pg_door_check(&head, call->api->tcp.port,
                         is_api ? call->api->config.token : PG_BYTES_EMPTY, &call->status);
}

static pg_err head_check(pg_api_call *call, const char *method)
{
    pg_err err = head_admit(call);
    if (err != PG_OK) {
        call->api->stats.refused++;
        pg_log_limited(PG_LOG_LEVEL_INFO, "api.refused", PG_LOG_U64("status", call->status));
        return err;
    }
    if (call->uri_err != PG_OK) {
        return call->uri_err;
    }
    if (call->api->is_stopping) {
        return pg_fail(PG_ERR_CANCELLED, "the node stops");
    }
    if (!route_find(call, method)) {
        return pg_fail(PG_ERR_NOT_FOUND, "no such path: %s", call->uri.path);
    }
    if (call->route == NULL) {
        call->status = 405;
        return pg_fail(PG_ERR_UNSUPPORTED, "%s is not for %s", call->uri.path, method);
    }
    return pg_uri_check(&call->uri, call->route->query);
}

static void body_foresee(pg_api_call *call)
{
    const char *length = pg_api_header(call, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *coding = pg_api_header(call, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    uint64_t bytes = 0;
    call->expects_leave = pg_api_header(call, MHD_HTTP_HEADER_EXPECT) != NULL;
    call->body_bytes = UINT64_MAX;
    if (coding == NULL &&
        (length == NULL || pg_str_to_u64(pg_str_make(length), UINT64_MAX - 1, &bytes) == PG_OK)) {
        call->body_bytes = bytes;
    }
    call->has_body = call->body_bytes > 0;
}

static pg_err fiber_start(pg_api_call *call)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL) {
        return pg_fail(PG_ERR_BUG, "a connection without a socket");
    }
    PG_TRY(pg_foreign_new(info->connect_fd, &call->line));
    pg_err err = pg_scope_spawn(&call->api->calls, "api.call", call_run, call);
    if (err != PG_OK) {
        pg_foreign_free(&call->line);
        return err;
    }
    call->refs++;
    return PG_OK;
}

static void call_open(pg_api_call *call, const char *method)
{
    call->state = CALL_STATE_HEAD;
    body_foresee(call);
    pg_err err = head_check(call, method);
    if (err == PG_OK) {
        err = fiber_start(call);
    }
    if (err != PG_OK && err == call->uri_err) {
        call->answer = ANSWER_STATE_DOCUMENT; // which tells of the target
        call->status = pg_api_status(err);
    } else if (err != PG_OK) {
        answer_problem(call, err);
    }
    bool streams = err == PG_OK && call->route->streams;
    unsigned more = streams ? PG_API_STREAM_IDLE_MS / 1000 : 0; // the fiber gives up first
    idle_set(call, PG_API_IDLE_SECONDS + more);
}

// ---- The body

static enum MHD_Result body_take(pg_api_call *call, const char *data, size_t *data_len)
{
    if (is_answered(call)) { // nobody wants the rest
        if (call->drain_until == 0) {
            call->drain_until = pg_after(PG_MS(PG_API_DRAIN_MS));
        }
        *data_len = 0;
        return pg_now() < call->drain_until ? MHD_YES : MHD_NO;
    }
    size_t len = pg_min_size(*data_len, call->space.len - call->space_len);
    if (len > 0) {
        memcpy(call->space.ptr + call->space_len, data, len);
        call->space_len += len;
        *data_len -= len;
        if (call->space_len == call->space.len) {
            (void) pg_waitq_wake_one(&call->reader);
        }
    }
    if (*data_len > 0) {
        call_suspend(call); // what is left stays where it was received
    }
    return MHD_YES;
}

// ---- The answer

static ssize_t on_mhd_content(void *user, uint64_t position, char *space, size_t max)
{
    pg_api_call *call = user;
    (void) position;
    size_t len = pg_min_size(call->rest.len, max);
    if (len > 0) {
        memcpy(space, call->rest.ptr, len);
        call->rest = pg_bytes_slice(call->rest, len, call->rest.len);
        if (call->rest.len == 0) {
            (void) pg_waitq_wake_one(&call->writer);
        }
        return (ssize_t) len;
    }
    if (call->answer == ANSWER_STATE_STREAM) {
        call_suspend(call);
        return 0;
    }
    return call->answer == ANSWER_STATE_ENDED ? MHD_CONTENT_READER_END_OF_STREAM
                                              : MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *stream_make(pg_api_call *call)
{
    uint64_t size = call->length == PG_API_LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN : call->length;
    return MHD_create_response_from_callback(size, PG_API_REPLY_BYTES, on_mhd_content, call, NULL);
}

static void on_mhd_text_sent(void *user)
{
    pg_buf *text = user;
    pg_wipe(text->ptr, text->cap);
    pg_buf_deinit(text);
    pg_mfree(text);
}

// The document as text that is wiped once it is sent: it may hold a link. So is what json-c keeps.
static struct MHD_Response *document_make(pg_api_call *call)
{
    const char *text =
        call->document == NULL
            ? "{}"
            : json_object_to_json_string_ext(call->document, JSON_C_TO_STRING_NOSLASHESCAPE);
    pg_buf *copy = PG_NEW(pg_buf);
    if (copy == NULL || text == NULL || pg_buf_append(copy, pg_bytes_cstr(text)) != PG_OK) {
        pg_mfree(copy);
        return NULL;
    }
    if (call->document != NULL) {
        pg_wipe((void *) (uintptr_t) text, copy->len);
        pg_field_wipe(call->document, "link");
        pg_field_wipe(call->document, "invite");
    }
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        copy->len, copy->ptr, on_mhd_text_sent, copy);
    if (response == NULL) {
        on_mhd_text_sent(copy);
    }
    return response;
}

// The methods of a path, which a refused one must be told.
static void allow_add(const pg_api_call *call, struct MHD_Response *response)
{
    pg_buf text = {0};
    pg_err err = PG_OK;
    for (const pg_api_route *const *table = call->api->config.tables; *table != NULL; table++) {
        for (const pg_api_route *route = *table; route->path != NULL; route++) {
            const char *param = NULL;
            if (err == PG_OK && pg_uri_match(call->uri.path, route->path, &param)) {
                err = pg_buf_printf(&text, "%s%s", text.len == 0 ? "" : ", ", route->method);
            }
        }
    }
    if (err == PG_OK) {
        (void) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, (const char *) text.ptr);
    }
    pg_buf_deinit(&text);
}

static enum MHD_Result answer_send(pg_api_call *call)
{
    bool is_document = call->answer == ANSWER_STATE_DOCUMENT;
    unsigned status = call->status == 0 ? 200 : call->status;
    struct MHD_Response *response = is_document ? document_make(call) : stream_make(call);
    if (response == NULL) {
        return MHD_NO;
    }
    const char *type = call->type;
    if (is_document) {
        type = status < 400 ? "application/json" : "application/problem+json";
    }
    (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void) MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (status == 401) {
        (void) MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    }
    if (status == 405) {
        allow_add(call, response);
    }
    for (size_t i = 0; i < call->header_count && !is_document; i++) {
        (void) MHD_add_response_header(response, call->headers[i].name, call->headers[i].value);
    }
    call->state = CALL_STATE_REPLY;
    call->api->stats.requests[status / 100 - 2]++;
    enum MHD_Result result = MHD_queue_response(call->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

// ---- What the library calls

static enum MHD_Result head_go_on(pg_api_call *call)
{
    if (call->has_body && is_answered(call) && call->expects_leave) {
        return answer_send(call);
    }
    if (!call->has_body || call->is_wanted || is_answered(call)) {
        call->state = CALL_STATE_BODY;
        return MHD_YES;
    }
    call_suspend(call); // until the handler asks for the body
    return MHD_YES;
}

enum MHD_Result call_step(pg_api_call *call, struct MHD_Connection *connection, const char *method,
                          const char *data, size_t *data_len)
{
    call->connection = connection;
    if (call->state == CALL_STATE_NEW) {
        call_open(call, method);
    }
    if (*data_len > 0) {
        return body_take(call, data, data_len);
    }
    if (call->state == CALL_STATE_HEAD) {
        return head_go_on(call);
    }
    if (call->state == CALL_STATE_BODY) {
        call->state = CALL_STATE_WHOLE;
        (void) pg_waitq_wake_one(&call->reader);
    }
    if (is_answered(call)) {
        return answer_send(call);
    }
    call_suspend(call);
    return MHD_YES;
}

void call_leave(pg_api_call *call, bool is_complete)
{
    call->connection = NULL;
    call->api->stats.running--;
    call->is_suspended = false;
    if (!is_complete) {
        pg_scope_cancel(&call->scope);
    }
    (void) pg_waitq_wake_one(&call->reader);
    (void) pg_waitq_wake_one(&call->writer);
    call_unref(call);
}
