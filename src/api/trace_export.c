// SPDX-License-Identifier: Apache-2.0
#include "api/trace_export.h"

#include <string.h>

#include <curl/curl.h>
#include <json-c/json_object.h>

#include "api/fields.h"
#include "api/json_post.h"
#include "api/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "runtime/fiber.h"
#include "runtime/offload.h"

struct pg_trace_export {
    char *endpoint;
    const char *version;
    pg_span *ring; // [PG_API_TRACE_SPANS_MAX]
    size_t first;
    size_t count;
    pg_trace_stats stats;
    pg_scope scope;
    pg_waitq ready; // the ring is half full, or it ends
    bool is_ending;
    bool is_failing; // told once
    pg_worker *worker;
};

// ---- JSON

// Numbers of 64 bits are texts in OTLP's JSON.
static json_object *u64_make(uint64_t number)
{
    pg_buf text = {0};
    json_object *made = NULL;
    if (pg_buf_printf(&text, "%llu", (unsigned long long) number) == PG_OK) {
        made = json_object_new_string((const char *) text.ptr);
    }
    pg_buf_deinit(&text);
    return made;
}

static json_object *attribute_make(const char *name, const char *text, uint64_t number)
{
    json_object *attribute = json_object_new_object();
    json_object *value = json_object_new_object();
    pg_field_add_text(attribute, "key", name);
    if (text != NULL) {
        pg_field_add_text(value, "stringValue", text);
    } else {
        pg_field_add(value, "intValue", u64_make(number));
    }
    pg_field_add(attribute, "value", value);
    return attribute;
}

static void id_add(json_object *object, const char *name, const uint8_t *id, size_t len)
{
    char text[2 * PG_TRACE_ID_BYTES + 1];
    pg_hex_encode(pg_bytes_make(id, len), text);
    pg_field_add_text(object, name, text);
}

static json_object *status_make(pg_err err)
{
    enum { STATUS_ERROR = 2 };
    json_object *status = json_object_new_object();
    if (err != PG_OK) {
        pg_field_add_u64(status, "code", STATUS_ERROR); // its detail may have an address
    }
    return status;
}

static json_object *span_make(const pg_span *span)
{
    static const uint8_t none[PG_SPAN_ID_BYTES];
    json_object *object = json_object_new_object();
    json_object *attributes = json_object_new_array();
    uint64_t start = (uint64_t) span->wall_ns;
    id_add(object, "traceId", span->context.trace_id, PG_TRACE_ID_BYTES);
    id_add(object, "spanId", span->context.span_id, PG_SPAN_ID_BYTES);
    if (memcmp(span->parent_id, none, sizeof(none)) != 0) {
        id_add(object, "parentSpanId", span->parent_id, PG_SPAN_ID_BYTES);
    }
    pg_field_add_text(object, "name", span->name);
    pg_field_add_u64(object, "kind", span->kind);
    pg_field_add(object, "startTimeUnixNano", u64_make(start));
    pg_field_add(object, "endTimeUnixNano", u64_make(start + (uint64_t) span->duration_ns));
    for (size_t i = 0; i < span->attribute_count; i++) {
        const pg_span_attribute *it = &span->attributes[i];
        (void) json_object_array_add(attributes, attribute_make(it->name, it->text, it->number));
    }
    if (span->err != PG_OK) {
        (void) json_object_array_add(attributes,
                                     attribute_make("error.type", pg_err_name(span->err), 0));
    }
    pg_field_add(object, "attributes", attributes);
    pg_field_add(object, "status", status_make(span->err));
    return object;
}

static json_object *resource_make(const char *version)
{
    json_object *resource = json_object_new_object();
    json_object *attributes = json_object_new_array();
    (void) json_object_array_add(attributes, attribute_make("service.name", "pangea", 0));
    (void) json_object_array_add(attributes, attribute_make("service.version", version, 0));
    pg_field_add(resource, "attributes", attributes);
    return resource;
}

static json_object *one_in_list(json_object *object)
{
    json_object *list = json_object_new_array();
    (void) json_object_array_add(list, object);
    return list;
}

pg_err pg_trace_write(const pg_span *spans, size_t count, const char *version, pg_buf *out)
{
    json_object *list = json_object_new_array();
    json_object *scope = json_object_new_object();
    json_object *of_scope = json_object_new_object();
    json_object *of_resource = json_object_new_object();
    json_object *body = json_object_new_object();
    for (size_t i = 0; i < count; i++) {
        (void) json_object_array_add(list, span_make(&spans[i]));
    }
    pg_field_add_text(scope, "name", "pangea");
    pg_field_add(of_scope, "scope", scope);
    pg_field_add(of_scope, "spans", list);
    pg_field_add(of_resource, "resource", resource_make(version));
    pg_field_add(of_resource, "scopeSpans", one_in_list(of_scope));
    pg_field_add(body, "resourceSpans", one_in_list(of_resource));
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE);
    pg_err err = text == NULL ? PG_ERR_NOMEM : pg_buf_append(out, pg_bytes_cstr(text));
    json_object_put(body);
    return err;
}

// ---- Sending

static void failure_tell(pg_trace_export *self, pg_err err)
{
    if (err != PG_OK && !self->is_failing) {
        pg_log(PG_LOG_LEVEL_WARN, "api.trace.failed", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_STR("detail", pg_error_detail(err)));
    }
    self->is_failing = err != PG_OK;
}

// Send the oldest spans of the ring, which new ones may be put into meanwhile.
static void batch_send(pg_trace_export *self)
{
    pg_buf body = {0};
    size_t count = pg_min_size(self->count, PG_API_TRACE_BATCH_MAX);
    count = pg_min_size(count, PG_API_TRACE_SPANS_MAX - self->first); // up to the ring's end
    pg_err err = pg_trace_write(self->ring + self->first, count, self->version, &body);
    self->first = (self->first + count) % PG_API_TRACE_SPANS_MAX;
    self->count -= count;
    if (err == PG_OK) {
        const pg_json_post_request request = {
            .url = self->endpoint,
            .body = pg_buf_bytes(&body),
            .timeout_ms = PG_API_TRACE_TIMEOUT_MS,
            .is_direct = true,
        };
        err = pg_json_post(self->worker, &request);
    }
    *(err == PG_OK ? &self->stats.exported : &self->stats.dropped) += count;
    failure_tell(self, err);
    pg_buf_deinit(&body);
}

static pg_err export_run(void *arg)
{
    pg_trace_export *self = arg;
    while (!self->is_ending) {
        pg_err err = pg_waitq_wait(&self->ready, pg_after(PG_MS(PG_API_TRACE_INTERVAL_MS)));
        if (err != PG_OK && err != PG_ERR_TIMEOUT) {
            return err;
        }
        size_t behind = self->count; // what comes meanwhile has time
        for (size_t sent = 0; sent < behind && self->count > 0 && !self->is_failing;
             sent += PG_API_TRACE_BATCH_MAX) {
            batch_send(self);
        }
        if (self->is_failing && self->count > 0) {
            batch_send(self); // one try an interval
        }
    }
    if (self->count > 0 && !self->is_failing) {
        batch_send(self);
    }
    self->stats.dropped += self->count;
    return PG_OK;
}

static void on_span(const pg_span *span, void *user)
{
    pg_trace_export *self = user;
    if (self->count == PG_API_TRACE_SPANS_MAX) {
        self->stats.dropped++;
        return;
    }
    self->ring[(self->first + self->count) % PG_API_TRACE_SPANS_MAX] = *span;
    self->count++;
    if (self->count == PG_API_TRACE_SPANS_MAX / 2) {
        (void) pg_waitq_wake_one(&self->ready);
    }
}

// ---- Life

static pg_err export_start(pg_trace_export *self, const char *endpoint)
{
    self->endpoint = pg_str_dup(pg_str_make(endpoint));
    self->ring = pg_calloc(PG_API_TRACE_SPANS_MAX, sizeof(pg_span));
    if (self->endpoint == NULL || self->ring == NULL) {
        return PG_ERR_NOMEM;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return pg_fail(PG_ERR_IO, "libcurl does not start");
    }
    PG_TRY(pg_worker_new("trace", &self->worker));
    PG_TRY(pg_scope_spawn(&self->scope, "api.trace", export_run, self));
    pg_trace_set_sink(on_span, self);
    return PG_OK;
}

pg_err pg_trace_export_new(const char *endpoint, const char *version, pg_trace_export **out_export)
{
    const pg_str url = pg_str_make(endpoint);
    if (!pg_str_starts_with(url, PG_STR("http://")) &&
        !pg_str_starts_with(url, PG_STR("https://"))) {
        return pg_fail(PG_ERR_INVALID, "'%s' is no http or https URL", endpoint);
    }
    pg_trace_export *self = PG_NEW(pg_trace_export);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->version = version;
    pg_scope_init_tolerant(&self->scope);
    pg_waitq_init(&self->ready);
    pg_err err = export_start(self, endpoint);
    if (err != PG_OK) {
        pg_trace_export_free(&self);
        return err;
    }
    *out_export = self;
    return PG_OK;
}

pg_trace_stats pg_trace_export_stats(const pg_trace_export *trace_export)
{
    return trace_export == NULL ? (pg_trace_stats){0} : trace_export->stats;
}

void pg_trace_export_free(pg_trace_export **trace_export)
{
    pg_trace_export *dead = *trace_export;
    if (dead == NULL) {
        return;
    }
    pg_trace_set_sink(NULL, NULL);
    dead->is_ending = true;
    (void) pg_waitq_wake_one(&dead->ready);
    pg_ignore(pg_scope_join(&dead->scope), "what was not sent is lost");
    pg_worker_free(&dead->worker);
    pg_mfree(dead->ring);
    pg_mfree(dead->endpoint);
    pg_mfree(dead);
    *trace_export = NULL;
}
