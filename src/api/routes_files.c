// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "api/fields.h"
#include "api/file_document.h"
#include "api/limits.h"
#include "api/page.h"
#include "api/routes.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "exchange/limits.h"

// What a person has mistyped is their request's fault, not a peer's.
static pg_err link_read(const pg_api_request *request, pg_link *out_link)
{
    const char *text = NULL;
    PG_TRY(pg_field_text(request->body, "link", &text));
    pg_err err = pg_link_parse(pg_str_make(text), out_link);
    return err == PG_OK ? PG_OK : pg_api_refuse(request->call, 400, err);
}

static pg_err root_read(const pg_api_request *request, pg_cid *out_root)
{
    pg_err err = pg_cid_parse(pg_str_make(request->param), out_root);
    return err == PG_OK ? PG_OK : pg_api_refuse(request->call, 400, err);
}

// ---- A put or a get under way

typedef struct transfer_job {
    pg_api_context *context;
    pg_api_call *call;
    pg_transfer *transfer; // NULL = it was given no id
    pg_usage_kind *usage;  // where its end is noted; NULL = nowhere
    pg_time began_at;
    uint64_t bytes; // so far
    uint64_t start; // of a get
} transfer_job;

static pg_usage_kind *usage_of(const pg_api_context *context, pg_transfer_kind kind)
{
    pg_usage *usage = pg_telemetry_usage(context->telemetry);
    return usage == NULL                  ? NULL
           : kind == PG_TRANSFER_KIND_PUT ? &usage->put
           : kind == PG_TRANSFER_KIND_GET ? &usage->get
                                          : NULL;
}

static pg_err job_begin(transfer_job *job, const pg_api_request *request, pg_transfer_kind kind)
{
    *job = (transfer_job){.context = request->user, .call = request->call, .began_at = pg_now()};
    job->usage = usage_of(job->context, kind);
    const char *id = pg_api_header(request->call, "Pangea-Transfer");
    if (id == NULL) {
        return PG_OK;
    }
    return pg_error_wrap(
        pg_transfers_begin(&job->context->transfers, id, kind, pg_now(), &job->transfer),
        "Pangea-Transfer");
}

static void job_end(const transfer_job *job, pg_err err, const pg_get_report *report)
{
    if (job->transfer != NULL) {
        pg_transfer_end(job->transfer, err, pg_error_detail(err), report, pg_now());
        pg_api_transfer_tell(job->context, job->transfer);
    }
}

static void job_note(const transfer_job *job, pg_err err)
{
    if (job->usage != NULL) {
        pg_usage_note(job->usage, err, job->bytes, pg_now() - job->began_at);
    }
}

static void on_files_progress(const pg_transfer_progress *progress, void *user)
{
    transfer_job *job = user;
    job->bytes = progress->bytes;
    if (job->transfer != NULL && pg_transfer_go_on(job->transfer, progress, pg_now()) &&
        pg_events_has_listeners(job->context->events)) {
        pg_api_transfer_tell(job->context, job->transfer);
    }
}

// ---- Put

// A root may carry more, but what is shown to people, and stands in JSON, is text.
static pg_err name_check(pg_bytes name)
{
    pg_str rest = pg_str_make_len((const char *) name.ptr, name.len);
    while (rest.len > 0) {
        size_t len = pg_str_printable_len(rest);
        if (len == 0) {
            return pg_fail(PG_ERR_INVALID, "no UTF-8, or with control characters");
        }
        rest = pg_str_make_len(rest.ptr + len, rest.len - len);
    }
    return pg_root_check_name(name);
}

static pg_err hash_read(const char *text, const char *name, uint8_t out[PG_PUT_SOURCE_BYTES])
{
    pg_err err = text == NULL ? PG_ERR_INVALID
                              : pg_hex_decode(pg_str_make(text),
                                              pg_mut_bytes_make(out, PG_PUT_SOURCE_BYTES));
    return err == PG_OK ? PG_OK : pg_fail(PG_ERR_INVALID, "%s: 64 hexadecimal digits", name);
}

/** Read what makes a put one that can be gone on with; options->origin stays NULL where none of it is there. */
static pg_err origin_read(const pg_api_request *request, pg_put_origin *origin,
                          pg_put_options *options)
{
    const pg_uri *uri = request->uri;
    const char *source = pg_uri_get(uri, "source");
    PG_TRY(pg_uri_u64(uri, "start", INT64_MAX, 0, &options->start));
    if (source == NULL && pg_uri_get(uri, "version") == NULL) {
        return options->start == 0
                   ? PG_OK
                   : pg_fail(PG_ERR_INVALID, "start: of a put without source and version");
    }
    PG_TRY(hash_read(source, "source", origin->source));
    PG_TRY(hash_read(pg_uri_get(uri, "version"), "version", origin->version));
    options->origin = origin;
    return PG_OK;
}

static pg_err put_options_read(const pg_api_request *request, pg_put_options *options)
{
    const pg_uri *uri = request->uri;
    const char *name = pg_uri_get(uri, "name");
    const char *code = pg_uri_get(uri, "code");
    uint64_t length = pg_api_body_bytes(request->call);
    if (name != NULL && name[0] != '\0') {
        options->name = pg_bytes_cstr(name);
        PG_TRY(pg_error_wrap(name_check(options->name), "name"));
    }
    options->code = PG_CODE_DEFAULT;
    if (code != NULL && strcmp(code, "auto") != 0) {
        PG_TRY(pg_error_wrap(pg_code_from_text(pg_str_make(code), &options->code), "code"));
    }
    PG_TRY(pg_file_kind_from_name(pg_uri_get(uri, "kind"), &options->kind));
    PG_TRY(pg_uri_bool(uri, "no_compress", &options->no_compress));
    PG_TRY(pg_uri_u64(uri, "ttl_s", PG_PLACE_EXPIRY_S_MAX, 0, &options->ttl_s));
    return pg_uri_u64(uri, "total_bytes", INT64_MAX,
                      length == UINT64_MAX ? 0 : length + options->start, &options->total_bytes);
}

/** Let the node choose the code where the request leaves it to it. */
static pg_err code_choose(const pg_api_request *request, pg_files *files, pg_put_options *options,
                          double *out_loss)
{
    const char *code = pg_uri_get(request->uri, "code");
    if (code == NULL || strcmp(code, "auto") != 0) {
        return PG_OK;
    }
    return pg_files_choose_code(files, options->origin, &options->code, out_loss);
}

static pg_err on_put_read(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user)
{
    const transfer_job *job = user;
    return pg_api_read_until(job->call, space, deadline, out_len);
}

static pg_err files_post(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_put_options options = {.progress = on_files_progress};
    pg_put_origin origin;
    transfer_job job;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(origin_read(request, &origin, &options));
    PG_TRY(put_options_read(request, &options));
    double loss = -1;
    PG_TRY(code_choose(request, files, &options, &loss));
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    if (entry == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = job_begin(&job, request, PG_TRANSFER_KIND_PUT);
    if (err != PG_OK) {
        goto out;
    }
    options.user = &job;
    err = pg_files_put(files, &options, &(pg_files_source){on_put_read, &job}, entry);
    job_note(&job, err == PG_OK && entry->state == PG_FILE_STATE_PENDING ? PG_ERR_PENDING : err);
    job_end(&job, err, NULL);
    if (err == PG_OK) {
        *out_body = pg_file_document(entry, true);
        if (loss >= 0) {
            pg_field_add(*out_body, "loss", json_object_new_double(loss));
        }
        pg_api_status_set(request->call, entry->state == PG_FILE_STATE_PENDING ? 202 : 200);
        pg_file_entry_deinit(entry);
    }
out:
    pg_mfree(entry);
    return err;
}

static pg_err files_start_post(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_put_origin origin;
    const char *source = NULL;
    const char *version = NULL;
    pg_put_start start;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(pg_field_text(request->body, "source", &source));
    PG_TRY(pg_field_text(request->body, "version", &version));
    PG_TRY(hash_read(source, "source", origin.source));
    PG_TRY(hash_read(version, "version", origin.version));
    PG_TRY(pg_files_put_start(files, &origin, &start));
    *out_body = json_object_new_object();
    pg_field_add_u64(*out_body, "start", start.start);
    pg_field_add_bool(*out_body, "was_changed", start.was_changed);
    if (start.is_done) {
        pg_field_add_cid(*out_body, "root", &start.root);
    }
    return PG_OK;
}

// ---- Get

static pg_err get_headers_add(pg_api_call *call, const pg_root *root, pg_buf *text)
{
    PG_TRY(pg_buf_printf(text, "%llu", (unsigned long long) root->size_bytes));
    PG_TRY(pg_api_answer_header(call, "Pangea-Size", (const char *) text->ptr));
    PG_TRY(pg_api_answer_header(call, "Pangea-Kind", pg_file_kind_name(root->kind)));
    if (root->name.len == 0) {
        return PG_OK;
    }
    pg_buf_clear(text);
    PG_TRY(pg_uri_escape(pg_buf_bytes(&root->name), text));
    return pg_api_answer_header(call, "Pangea-Name", (const char *) text->ptr);
}

static pg_err on_get_begin(const pg_root *root, void *user)
{
    const transfer_job *job = user;
    pg_buf text = {0};
    if (job->start > root->size_bytes) {
        return pg_fail(PG_ERR_INVALID, "start is %llu, the file has %llu bytes",
                       (unsigned long long) job->start, (unsigned long long) root->size_bytes);
    }
    pg_api_answer(job->call, "application/octet-stream", root->size_bytes - job->start);
    pg_err err = get_headers_add(job->call, root, &text);
    pg_buf_deinit(&text);
    return err;
}

static pg_err on_get_write(pg_bytes bytes, void *user)
{
    const transfer_job *job = user;
    return pg_api_write(job->call, bytes);
}

static pg_err files_get_post(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_link link;
    transfer_job job;
    pg_get_options options = {.progress = on_files_progress, .user = &job};
    pg_get_report report = {0};
    (void) out_body;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(pg_field_u64(request->body, "start", INT64_MAX, 0, &options.start));
    PG_TRY(link_read(request, &link));
    pg_err err = job_begin(&job, request, PG_TRANSFER_KIND_GET);
    if (err == PG_OK) {
        const pg_files_output output = {on_get_begin, on_get_write, &job};
        job.start = options.start;
        err = pg_files_get(files, &link, &options, &output, &report);
        job_note(&job, err);
        job_end(&job, err, &report);
    }
    pg_link_wipe(&link);
    return err;
}

// ---- The catalogue

typedef struct file_list {
    pg_buf text; // of a JSON document, since many objects of json-c would take ten times the memory
    size_t count;
    pg_err err;
} file_list;

/** Append a document, which is wiped and freed. */
static void list_add(file_list *list, json_object *document)
{
    const char *text = json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN |
                                                                    JSON_C_TO_STRING_NOSLASHESCAPE);
    pg_bytes bytes = text == NULL ? PG_BYTES_EMPTY : pg_bytes_cstr(text);
    if (list->err == PG_OK && list->count > 0) {
        list->err = pg_buf_append(&list->text, PG_BYTES_LIT(","));
    }
    if (list->err == PG_OK) {
        list->err = pg_buf_append(&list->text, bytes);
    }
    list->count++;
    pg_wipe((void *) (uintptr_t) bytes.ptr, bytes.len);
    pg_field_wipe(document, "link");
    json_object_put(document);
}

static void on_files_entry(const pg_file_entry *entry, void *user)
{
    list_add(user, pg_file_document(entry, false));
}

static void on_files_pin(const pg_pin *pin, void *user)
{
    list_add(user, pg_pin_document(pin));
}

static pg_err pins_list(pg_files *files, file_list *list)
{
    PG_TRY(pg_buf_printf(&list->text, "{\"pins\":["));
    PG_TRY(pg_files_pins(files, on_files_pin, list));
    PG_TRY(pg_error_wrap(list->err, "the list of pins"));
    return pg_buf_append(&list->text, PG_BYTES_LIT("]}"));
}

static pg_err files_list(pg_files *files, pg_file_page *page, file_list *list)
{
    char next[PG_API_PAGE_NEXT_BYTES];
    PG_TRY(pg_buf_printf(&list->text, "{\"files\":["));
    PG_TRY(pg_files_list(files, page, on_files_entry, list));
    PG_TRY(pg_error_wrap(list->err, "the list of files"));
    if (!page->has_more) {
        return pg_buf_append(&list->text, PG_BYTES_LIT("]}"));
    }
    pg_api_page_next(page, next);
    return pg_buf_printf(&list->text, "],\"next\":\"%s\"}", next);
}

/** Send a page of the files that were put here; NULL: the pins. */
static pg_err list_send(pg_api_call *call, pg_files *files, pg_file_page *page)
{
    file_list list = {.text.max_len = PG_API_LIST_BYTES_MAX};
    pg_err err = page == NULL ? pins_list(files, &list) : files_list(files, page, &list);
    if (err == PG_OK) {
        pg_api_answer(call, "application/json", list.text.len);
        err = pg_api_write(call, pg_buf_bytes(&list.text));
    }
    pg_wipe(list.text.ptr, list.text.cap);
    pg_buf_deinit(&list.text);
    return err;
}

static pg_err files_get(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_file_page page;
    (void) out_body;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(pg_api_page_read(request->uri, &page));
    return list_send(request->call, files, &page);
}

static pg_err file_get(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_cid root;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(root_read(request, &root));
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    if (entry == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_files_find(files, &root, entry);
    if (err == PG_OK) {
        *out_body = pg_file_document(entry, true);
        pg_file_entry_deinit(entry);
    }
    pg_mfree(entry);
    return err;
}

static pg_err file_delete(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_cid root;
    uint32_t dropped = 0;
    uint32_t hosts = 0;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(root_read(request, &root));
    PG_TRY(pg_files_remove(files, &root, &dropped, &hosts));
    *out_body = json_object_new_object();
    pg_field_add_u64(*out_body, "dropped", dropped);
    pg_field_add_u64(*out_body, "hosts", hosts);
    return PG_OK;
}

// ---- Pins

static pg_err pins_post(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_link link;
    transfer_job job;
    pg_pin pin;
    const pg_pin_options options = {on_files_progress, &job};
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(link_read(request, &link));
    pg_err err = job_begin(&job, request, PG_TRANSFER_KIND_PIN);
    if (err == PG_OK) {
        err = pg_files_pin(files, &link, &options, &pin);
        job_end(&job, err, NULL);
    }
    pg_link_wipe(&link);
    if (err == PG_OK) {
        *out_body = pg_pin_document(&pin);
        pg_pin_deinit(&pin);
    }
    return err;
}

static pg_err pins_get(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    (void) out_body;
    PG_TRY(pg_api_files_of(request, &files));
    return list_send(request->call, files, NULL);
}

static pg_err pin_delete(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_cid root;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(root_read(request, &root));
    PG_TRY(pg_files_unpin(files, &root));
    *out_body = json_object_new_object();
    pg_field_add_cid(*out_body, "root", &root);
    return PG_OK;
}

// ---- Links

typedef struct inspection {
    json_object *document;
    json_object *extents;
} inspection;

static void on_inspect_root(const pg_link_info *info, void *user)
{
    inspection *found = user;
    pg_field_add_name(found->document, "name", info->name);
    pg_field_add_text(found->document, "kind", pg_file_kind_name(info->kind));
    pg_field_add_u64(found->document, "size_bytes", info->size_bytes);
    pg_field_add_bool(found->document, "is_inline", info->is_inline);
    pg_field_add_u64(found->document, "extent_count", info->extents);
}

static bool on_inspect_extent(const pg_extent_info *extent, void *user)
{
    const inspection *found = user;
    (void) json_object_array_add(found->extents, pg_extent_document(extent));
    return json_object_array_length(found->extents) < PG_API_EXTENTS_MAX;
}

static pg_err link_inspect_post(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_link link;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(link_read(request, &link));
    inspection found = {json_object_new_object(), json_object_new_array()};
    pg_field_add_cid(found.document, "root", &link.root);
    pg_err err = pg_files_inspect(files, &link, on_inspect_root, on_inspect_extent, &found);
    pg_link_wipe(&link);
    pg_field_add(found.document, "extents", found.extents);
    if (err != PG_OK) {
        json_object_put(found.document);
        return err;
    }
    *out_body = found.document;
    return PG_OK;
}

const pg_api_route pg_api_file_routes[] = {
    {.method = "POST",
     .path = "/api/v1/files",
     .handler = files_post,
     .query = "name kind code no_compress ttl_s total_bytes source version start",
     .streams = true},
    {.method = "GET", .path = "/api/v1/files", .handler = files_get, .query = PG_API_PAGE_QUERY},
    {.method = "POST", .path = "/api/v1/files/start", .handler = files_start_post},
    {.method = "POST", .path = "/api/v1/files/get", .handler = files_get_post},
    {.method = "GET", .path = "/api/v1/files/{root}", .handler = file_get},
    {.method = "DELETE", .path = "/api/v1/files/{root}", .handler = file_delete},
    {.method = "POST", .path = "/api/v1/pins", .handler = pins_post},
    {.method = "GET", .path = "/api/v1/pins", .handler = pins_get},
    {.method = "DELETE", .path = "/api/v1/pins/{root}", .handler = pin_delete},
    {.method = "POST", .path = "/api/v1/links/inspect", .handler = link_inspect_post},
    {.path = NULL},
};
