// SPDX-License-Identifier: Apache-2.0
#include "store/s3.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypto/secret.h"
#include "runtime/fiber.h"
#include "runtime/offload.h"
#include "runtime/random.h"
#include "runtime/time.h"
#include "store/limits.h"
#include "store/s3_http.h"
#include "store/s3_xml.h"

#define BUCKET_CHARS_MIN 3
#define BUCKET_CHARS_MAX 63
#define TEXT_CHARS_MAX 255 // of other settings
#define HEADERS_OUT_MAX 8
#define SMALL_BYTES 65536U // hashed on the loop thread

/** A thread with a connection. */
typedef struct line {
    pg_worker *worker;
    void *handle;
    bool is_taken;
} line;

struct pg_s3 {
    char *bucket;
    char *region;
    char *proxy;
    char *ca_file;
    char *host;   // as the header Host has it
    char *prefix; // of all URLs: scheme and host
    bool in_host;
    pg_s3_line shared;
    atomic_bool ending;
    pg_secret credentials; // a pg_s3_credentials; empty = none
    line lines[PG_S3_LINES];
    pg_waitq line_free;
    pg_s3_stats stats;
};

/** A request, as the operations give it. */
typedef struct ask {
    const char *method;
    const char *name;  // of the object; NULL = the bucket
    const char *query; // in order, escaped
    const pg_object_range *range;
    pg_bytes body;
    pg_buf *out;
    int64_t *out_len; // that the answer tells; NULL = of no interest
} ask;

// ---- Settings

static pg_err text_check(const char *what, const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return pg_fail(PG_ERR_INVALID, "%s has a character that is not possible there", what);
        }
    }
    return len <= TEXT_CHARS_MAX
               ? PG_OK
               : pg_fail(PG_ERR_INVALID, "%s is longer than %d characters", what, TEXT_CHARS_MAX);
}

static pg_err endpoint_check(const char *endpoint)
{
    pg_str rest = pg_str_make(endpoint);
    size_t scheme = pg_str_starts_with(rest, PG_STR("https://"))  ? 8
                    : pg_str_starts_with(rest, PG_STR("http://")) ? 7
                                                                  : 0;
    PG_TRY(text_check("endpoint", endpoint));
    const char *host = endpoint + scheme;
    size_t len = strcspn(host, "/");
    if (scheme == 0 || len == 0 || (host[len] == '/' && host[len + 1] != '\0')) {
        return pg_fail(PG_ERR_INVALID,
                       "endpoint '%s' is no http or https URL of a host without a path", endpoint);
    }
    return strpbrk(host, "@?#\"'\\") == NULL
               ? PG_OK
               : pg_fail(PG_ERR_INVALID, "endpoint has more than a host and a port");
}

static pg_err bucket_check(const char *bucket)
{
    size_t len = strlen(bucket);
    PG_TRY(text_check("bucket", bucket));
    if (len < BUCKET_CHARS_MIN || len > BUCKET_CHARS_MAX ||
        strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") != len || bucket[0] == '.' ||
        bucket[0] == '-' || strstr(bucket, "..") != NULL) {
        return pg_fail(PG_ERR_INVALID,
                       "bucket '%s' is no name of one: %d to %d of a-z 0-9 . - are possible",
                       bucket, BUCKET_CHARS_MIN, BUCKET_CHARS_MAX);
    }
    return PG_OK;
}

static pg_err proxy_check(const char *proxy)
{
    if (proxy == NULL || proxy[0] == '\0') {
        return PG_OK;
    }
    PG_TRY(text_check("proxy", proxy));
    pg_str text = pg_str_make(proxy);
    return pg_str_starts_with(text, PG_STR("socks5h://")) ||
                   pg_str_starts_with(text, PG_STR("http://")) ||
                   pg_str_starts_with(text, PG_STR("https://"))
               ? PG_OK
               : pg_fail(PG_ERR_INVALID, "proxy is no socks5h, http or https URL");
}

pg_err pg_s3_config_check(const pg_s3_config *config)
{
    PG_TRY(endpoint_check(config->endpoint));
    PG_TRY(bucket_check(config->bucket));
    PG_TRY(text_check("region", config->region));
    if (config->region[0] == '\0' || strpbrk(config->region, "/,") != NULL) {
        return pg_fail(PG_ERR_INVALID, "region is no name of one: us-east-1, say");
    }
    PG_TRY(text_check("ca_file", config->ca_file));
    return proxy_check(config->proxy);
}

// ---- One request

static pg_err path_make(const pg_s3 *s3, const ask *what, pg_buf *out)
{
    PG_TRY(pg_buf_printf(out, "/"));
    if (!s3->in_host) {
        PG_TRY(pg_s3_escape(pg_str_make(s3->bucket), false, out));
        PG_TRY(pg_buf_printf(out, what->name == NULL ? "" : "/"));
    }
    return what->name == NULL ? PG_OK : pg_s3_escape(pg_str_make(what->name), true, out);
}

/** A request made ready: signed, with its headers as lines. */
typedef struct prepared {
    pg_buf path;
    pg_buf url;
    pg_buf texts; // of the headers, each with a NUL behind it
    char payload[PG_S3_DIGEST_TEXT_BYTES];
    char time[PG_S3_TIME_BYTES];
    char range[64];
    const char *headers[HEADERS_OUT_MAX];
    size_t header_count;
} prepared;

static void prepared_deinit(prepared *self)
{
    pg_buf_deinit(&self->path);
    pg_buf_deinit(&self->url);
    if (self->texts.ptr != NULL) {
        pg_wipe(self->texts.ptr, self->texts.cap); // has the signature
    }
    pg_buf_deinit(&self->texts);
}

static pg_err header_write(prepared *self, const char *name, const char *value)
{
    PG_TRY(pg_buf_printf(&self->texts, "%s: %s", name, value));
    self->header_count++;
    return pg_buf_append(&self->texts, PG_BYTES_LIT("\0"));
}

static pg_err headers_write(const pg_s3 *s3, const ask *what, prepared *self)
{
    pg_s3_request request = {
        .method = what->method,
        .path = (const char *) self->path.ptr,
        .query = what->query == NULL ? "" : what->query,
        .payload = self->payload,
        .time = self->time,
        .region = s3->region,
    };
    request.headers[request.header_count++] = (pg_s3_header){"host", s3->host};
    if (what->range != NULL) {
        request.headers[request.header_count++] = (pg_s3_header){"range", self->range};
    }
    request.headers[request.header_count++] = (pg_s3_header){"x-amz-content-sha256", self->payload};
    request.headers[request.header_count++] = (pg_s3_header){"x-amz-date", self->time};
    pg_buf signature = {.ptr = NULL};
    const pg_s3_credentials *credentials =
        (const pg_s3_credentials *) (const void *) s3->credentials.ptr;
    pg_err err = pg_s3_sign(&request, credentials, &signature);
    for (size_t i = 0; i < request.header_count && err == PG_OK; i++) {
        err = header_write(self, request.headers[i].name, request.headers[i].value);
    }
    if (err == PG_OK) {
        err = header_write(self, "Authorization", (const char *) signature.ptr);
    }
    if (signature.ptr != NULL) {
        pg_wipe(signature.ptr, signature.cap);
    }
    pg_buf_deinit(&signature);
    return err;
}

static pg_err prepare(const pg_s3 *s3, const ask *what, prepared *self)
{
    PG_TRY(path_make(s3, what, &self->path));
    PG_TRY(pg_buf_printf(&self->url, "%s%s%s%s", s3->prefix, (const char *) self->path.ptr,
                         what->query == NULL ? "" : "?", what->query == NULL ? "" : what->query));
    pg_s3_time_format(pg_wall_ms(), self->time);
    if (what->range != NULL) {
        (void) snprintf(self->range, sizeof(self->range), "bytes=%llu-%llu",
                        (unsigned long long) what->range->offset,
                        (unsigned long long) (what->range->offset + what->range->len - 1));
    }
    PG_TRY(pg_buf_reserve(&self->texts, 2048)); // at once: growing leaves the signature behind
    PG_TRY(headers_write(s3, what, self));
    PG_TRY(header_write(self, "Content-Type", "application/octet-stream"));
    PG_TRY(header_write(self, "Expect", "")); // the body goes at once
    const char *text = (const char *) self->texts.ptr;
    for (size_t i = 0; i < self->header_count; i++) {
        self->headers[i] = text;
        text += strlen(text) + 1;
    }
    self->headers[self->header_count - 1] = "Expect:";
    return PG_OK;
}

/** What a worker is handed. */
typedef struct work {
    const pg_s3_line *shared;
    void *handle;
    pg_s3_exchange exchange;
    char *payload; // NULL = it is made already
} work;

static pg_err work_run(void *arg)
{
    work *self = arg;
    return pg_s3_exchange_run(self->handle, self->shared, &self->exchange);
}

static pg_err job_digest(void *arg)
{
    work *self = arg;
    pg_s3_digest_format(self->exchange.body, self->payload);
    return PG_OK;
}

static pg_err line_take(pg_s3 *s3, line **out_line)
{
    for (;;) {
        for (size_t i = 0; i < PG_S3_LINES; i++) {
            if (!s3->lines[i].is_taken) {
                s3->lines[i].is_taken = true;
                *out_line = &s3->lines[i];
                return PG_OK;
            }
        }
        PG_TRY(pg_waitq_wait(&s3->line_free, PG_FOREVER)); // each exchange has its time
    }
}

static void line_give(pg_s3 *s3, line *taken)
{
    taken->is_taken = false;
    (void) pg_waitq_wake_one(&s3->line_free);
}

// ---- Answers

static const char *or_none(const char *text)
{
    return text[0] == '\0' ? "no word of why" : text;
}

/** Say what a refusal means. The texts of the store are shown, since they name what is wrong; they repeat no secret. */
static pg_err refusal(const pg_s3 *s3, const pg_s3_exchange *exchange)
{
    pg_s3_error error = {.code = ""};
    long status = exchange->status;
    if (pg_s3_error_decode(pg_buf_bytes(&exchange->trouble), &error) != PG_OK) {
        error.code[0] = error.message[0] = error.region[0] = '\0';
    }
    if (strcmp(error.code, "SignatureDoesNotMatch") == 0) {
        return pg_fail(PG_ERR_KEY, "the store does not take the secret key (%s)", error.code);
    }
    if (strcmp(error.code, "InvalidAccessKeyId") == 0) {
        return pg_fail(PG_ERR_KEY, "the store does not know the access key (%s)", error.code);
    }
    if (strcmp(error.code, "RequestTimeTooSkewed") == 0) {
        return pg_fail(PG_ERR_KEY, "the clock of this machine differs from the store's too much");
    }
    if (strcmp(error.code, "NoSuchBucket") == 0) {
        return pg_fail(PG_ERR_INVALID, "there is no bucket '%s'", s3->bucket);
    }
    if (error.region[0] != '\0' && strcmp(error.region, s3->region) != 0) {
        return pg_fail(PG_ERR_INVALID, "the bucket is in the region '%s', not '%s'", error.region,
                       s3->region);
    }
    if (status == 416) {
        return pg_fail(PG_ERR_CORRUPT, "the object is shorter than it should be");
    }
    if (status == 404) {
        return pg_fail(PG_ERR_NOT_FOUND, "no such object");
    }
    if (status == 403 || status == 401) {
        return pg_fail(PG_ERR_ACCESS, "the store refuses: %s, %s", or_none(error.code),
                       or_none(error.message));
    }
    if (status == 507 || strcmp(error.code, "QuotaExceeded") == 0) {
        return pg_fail(PG_ERR_FULL, "the store is full: %s", or_none(error.message));
    }
    bool is_overload = status == 503 || status == 429;
    return pg_fail(is_overload     ? PG_ERR_BUSY
                   : status >= 500 ? PG_ERR_IO
                                   : PG_ERR_PROTOCOL,
                   "the store answers with status %ld: %s, %s", status, or_none(error.code),
                   or_none(error.message));
}

static pg_err answer_check(const pg_s3 *s3, const ask *what, const pg_s3_exchange *exchange,
                           size_t before)
{
    if (exchange->status < 200 || exchange->status > 299) {
        return refusal(s3, exchange);
    }
    uint64_t len = what->out == NULL ? 0 : what->out->len - before;
    if (what->range != NULL && len != what->range->len) {
        return pg_fail(PG_ERR_CORRUPT,
                       "the object is shorter than it should be: %llu bytes of %llu",
                       (unsigned long long) len, (unsigned long long) what->range->len);
    }
    if (what->range != NULL && exchange->status != 206 && what->range->offset != 0) {
        return pg_fail(PG_ERR_PROTOCOL, "the store does not know ranges");
    }
    return PG_OK;
}

/** Return true when the same may succeed a little later. A store whose answer breaks off may be under strain too. */
static bool is_passing(pg_err err)
{
    return err == PG_ERR_BUSY || err == PG_ERR_IO || err == PG_ERR_TRUNCATED ||
           err == PG_ERR_TIMEOUT || err == PG_ERR_UNREACHABLE;
}

// ---- Trying

static pg_err exchange_do(pg_s3 *s3, const ask *what, prepared *ready, line *taken)
{
    size_t before = what->out == NULL ? 0 : what->out->len;
    work job = {.shared = &s3->shared, .handle = taken->handle};
    if (atomic_load(&s3->ending)) {
        return PG_ERR_CANCELLED;
    }
    if (s3->credentials.len == 0) {
        return pg_fail(PG_ERR_KEY, "there are no credentials: `pangea archive login`");
    }
    PG_TRY(prepare(s3, what, ready));
    job.exchange = (pg_s3_exchange){
        .method = what->method,
        .url = (const char *) ready->url.ptr,
        .headers = ready->headers,
        .header_count = ready->header_count,
        .body = what->body,
        .out = what->out,
    };
    s3->stats.requests_total++;
    pg_err err = pg_worker_call(taken->worker, work_run, &job);
    if (err == PG_OK) {
        err = answer_check(s3, what, &job.exchange, before);
    }
    if (err == PG_OK && what->out_len != NULL) {
        *what->out_len = job.exchange.content_len;
    }
    pg_buf_deinit(&job.exchange.trouble);
    return err;
}

static pg_err try_once(pg_s3 *s3, const ask *what, const char *payload)
{
    line *taken = NULL;
    prepared ready = {.header_count = 0};
    size_t before = what->out == NULL ? 0 : what->out->len;
    size_t max_len = what->out == NULL ? 0 : what->out->max_len;
    PG_TRY(line_take(s3, &taken));
    memcpy(ready.payload, payload, sizeof(ready.payload));
    if (what->range != NULL) { // whatever comes, it is no more than that
        what->out->max_len = before + (size_t) what->range->len;
    }
    pg_err err = exchange_do(s3, what, &ready, taken);
    if (what->out != NULL) {
        what->out->max_len = max_len;
        what->out->len = err == PG_OK ? what->out->len : before;
    }
    if (err == PG_OK) {
        s3->stats.bytes_up_total += what->body.len;
        s3->stats.bytes_down_total += what->out == NULL ? 0 : what->out->len - before;
    }
    prepared_deinit(&ready);
    line_give(s3, taken);
    return err;
}

static pg_err tries_run(pg_s3 *s3, const ask *what, const char *payload)
{
    for (unsigned tries = 1;; tries++) {
        pg_err err = try_once(s3, what, payload);
        if (!is_passing(err) || tries == PG_S3_TRIES_MAX) {
            return err;
        }
        int64_t wait_ms = (int64_t) PG_S3_BACKOFF_MS << (tries - 1);
        wait_ms = wait_ms / 2 + (int64_t) pg_random_below((uint64_t) wait_ms);
        pg_log(PG_LOG_LEVEL_DEBUG, "store.s3.again", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_STR("method", what->method));
        s3->stats.retries_total++;
        PG_TRY(pg_sleep_until(pg_after(PG_MS(wait_ms))));
    }
}

static pg_err request(pg_s3 *s3, const ask *what)
{
    char payload[PG_S3_DIGEST_TEXT_BYTES];
    work digest = {.exchange = {.body = what->body}, .payload = payload};
    PG_TRY(what->body.len < SMALL_BYTES ? job_digest(&digest) : pg_offload(job_digest, &digest));
    pg_err err = tries_run(s3, what, payload);
    if (err != PG_OK && err != PG_ERR_NOT_FOUND && err != PG_ERR_CANCELLED) {
        s3->stats.failures_total++;
    }
    return err;
}

// ---- Operations

static pg_err on_put(void *self, const char *name, pg_bytes body)
{
    const ask what = {.method = "PUT", .name = name, .body = body};
    return request(self, &what);
}

static pg_err on_get(void *self, const char *name, const pg_object_range *range, pg_buf *out)
{
    const ask what = {.method = "GET", .name = name, .range = range, .out = out};
    return request(self, &what);
}

static pg_err on_head(void *self, const char *name, uint64_t *out_bytes)
{
    int64_t len = -1;
    const ask what = {.method = "HEAD", .name = name, .out_len = &len};
    PG_TRY(request(self, &what));
    if (len < 0) {
        return pg_fail(PG_ERR_PROTOCOL, "the store does not tell how long an object is");
    }
    *out_bytes = (uint64_t) len;
    return PG_OK;
}

static pg_err on_remove(void *self, const char *name)
{
    const ask what = {.method = "DELETE", .name = name};
    pg_err err = request(self, &what);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

/** Ask for the page after a token. */
static pg_err page_get(pg_s3 *s3, const char *prefix, const char *token, pg_buf *out)
{
    pg_buf query PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL};
    if (token[0] != '\0') {
        PG_TRY(pg_buf_printf(&query, "continuation-token="));
        PG_TRY(pg_s3_escape(pg_str_make(token), false, &query));
        PG_TRY(pg_buf_printf(&query, "&"));
    }
    PG_TRY(pg_buf_printf(&query, "list-type=2&prefix="));
    PG_TRY(pg_s3_escape(pg_str_make(prefix), false, &query));
    const ask what = {.method = "GET", .query = (const char *) query.ptr, .out = out};
    return request(s3, &what);
}

static pg_err on_list(void *self, const char *prefix, pg_object_fn each, void *user)
{
    pg_s3_list *list = PG_NEW(pg_s3_list);
    pg_err err = list == NULL ? PG_ERR_NOMEM : PG_OK;
    bool is_more = true;
    for (unsigned pages = 0; err == PG_OK && is_more; pages++) {
        pg_buf page = {.max_len = PG_S3_PAGE_BYTES_MAX};
        err = pages == PG_S3_PAGES_MAX
                  ? pg_fail(PG_ERR_LIMIT, "a list of the store has more than %u pages", pages)
                  : page_get(self, prefix, list->token, &page);
        if (err == PG_OK) {
            err = pg_s3_list_decode(pg_buf_bytes(&page), each, user, list);
            is_more = err == PG_OK && list->is_truncated;
        }
        pg_buf_deinit(&page);
    }
    pg_mfree(list);
    return err;
}

// ---- Life

static pg_err text_copy(const char *text, char **out)
{
    if (text == NULL || text[0] == '\0') {
        return PG_OK;
    }
    *out = pg_str_dup(pg_str_make(text));
    return *out == NULL ? PG_ERR_NOMEM : PG_OK;
}

static pg_err texts_make(pg_s3 *s3, const pg_s3_config *config)
{
    pg_buf text PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL};
    const char *host = strstr(config->endpoint, "://") + 3;
    size_t scheme_len = (size_t) (host - config->endpoint);
    size_t host_len = strcspn(host, "/");
    PG_TRY(text_copy(config->bucket, &s3->bucket));
    PG_TRY(text_copy(config->region, &s3->region));
    PG_TRY(text_copy(config->proxy, &s3->proxy));
    PG_TRY(text_copy(config->ca_file, &s3->ca_file));
    PG_TRY(pg_buf_printf(&text, "%s%s%.*s", config->in_host ? config->bucket : "",
                         config->in_host ? "." : "", (int) host_len, host));
    PG_TRY(text_copy((const char *) text.ptr, &s3->host));
    pg_buf_clear(&text);
    PG_TRY(pg_buf_printf(&text, "%.*s%s", (int) scheme_len, config->endpoint, s3->host));
    return text_copy((const char *) text.ptr, &s3->prefix);
}

static pg_err lines_make(pg_s3 *s3)
{
    static const char *const names[PG_S3_LINES] = {"s3-0", "s3-1", "s3-2", "s3-3"};
    for (size_t i = 0; i < PG_S3_LINES; i++) {
        s3->lines[i].handle = pg_s3_handle_new();
        if (s3->lines[i].handle == NULL) {
            return PG_ERR_NOMEM;
        }
        PG_TRY(pg_worker_new(names[i], &s3->lines[i].worker));
    }
    return PG_OK;
}

static pg_err s3_fill(pg_s3 *s3, const pg_s3_config *config)
{
    s3->in_host = config->in_host;
    PG_TRY(texts_make(s3, config));
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return pg_fail(PG_ERR_IO, "libcurl does not start");
    }
    s3->shared = (pg_s3_line){
        .proxy = s3->proxy,
        .ca_file = s3->ca_file,
        .timeout_ms = config->timeout_ms == 0 ? PG_S3_TIMEOUT_MS : config->timeout_ms,
        .ending = &s3->ending,
    };
    return lines_make(s3);
}

pg_err pg_s3_new(const pg_s3_config *config, pg_s3 **out_s3)
{
    PG_TRY(pg_s3_config_check(config));
    pg_s3 *s3 = PG_NEW(pg_s3);
    if (s3 == NULL) {
        return PG_ERR_NOMEM;
    }
    atomic_init(&s3->ending, false);
    pg_waitq_init(&s3->line_free);
    pg_err err = s3_fill(s3, config);
    if (err != PG_OK) {
        pg_s3_free(&s3);
        return err;
    }
    *out_s3 = s3;
    return PG_OK;
}

pg_err pg_s3_credentials_set(pg_s3 *s3, const pg_s3_credentials *credentials)
{
    pg_secret made = {.ptr = NULL};
    if (credentials != NULL) {
        PG_TRY(pg_secret_init(&made, sizeof(*credentials)));
        memcpy(made.ptr, credentials, sizeof(*credentials));
    }
    pg_secret_deinit(&s3->credentials);
    s3->credentials = made;
    return PG_OK;
}

bool pg_s3_has_credentials(const pg_s3 *s3)
{
    return s3->credentials.len > 0;
}

pg_objects pg_s3_objects(pg_s3 *s3)
{
    return (pg_objects){
        .put = on_put,
        .get = on_get,
        .head = on_head,
        .remove = on_remove,
        .list = on_list,
        .self = s3,
    };
}

pg_s3_stats pg_s3_get_stats(const pg_s3 *s3)
{
    return s3->stats;
}

void pg_s3_end(pg_s3 *s3)
{
    if (s3 != NULL) {
        atomic_store(&s3->ending, true);
    }
}

void pg_s3_free(pg_s3 **s3)
{
    pg_s3 *dead = *s3;
    if (dead == NULL) {
        return;
    }
    pg_s3_end(dead);
    for (size_t i = 0; i < PG_S3_LINES; i++) {
        pg_worker_free(&dead->lines[i].worker);
        pg_s3_handle_free(dead->lines[i].handle);
    }
    pg_secret_deinit(&dead->credentials);
    pg_mfree(dead->bucket);
    pg_mfree(dead->region);
    pg_mfree(dead->proxy);
    pg_mfree(dead->ca_file);
    pg_mfree(dead->host);
    pg_mfree(dead->prefix);
    pg_mfree(dead);
    *s3 = NULL;
}
