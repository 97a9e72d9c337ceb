// SPDX-License-Identifier: Apache-2.0
#include "store/s3_http.h"

#include <curl/curl.h>

#include "store/limits.h"

/** An exchange with what libcurl's callbacks need. */
typedef struct run {
    CURL *curl;
    const pg_s3_line *line;
    pg_s3_exchange *exchange;
    bool is_too_long;
    bool is_out_of_memory;
} run;

void *pg_s3_handle_new(void)
{
    return curl_easy_init();
}

void pg_s3_handle_free(void *handle)
{
    curl_easy_cleanup(handle);
}

static bool is_good(long status)
{
    return status >= 200 && status < 300;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    run *self = user;
    pg_bytes part = pg_bytes_make(bytes, size * count);
    long status = 0;
    (void) curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!is_good(status)) {
        pg_buf *trouble = &self->exchange->trouble;
        size_t room = PG_S3_TROUBLE_BYTES_MAX - trouble->len;
        pg_ignore(pg_buf_append(trouble, pg_bytes_slice(part, 0, room)), "the status says enough");
        return part.len; // what is beyond the bound is of no interest
    }
    if (self->exchange->out == NULL) {
        return part.len;
    }
    pg_err err = pg_buf_append(self->exchange->out, part);
    self->is_too_long |= err == PG_ERR_LIMIT;
    self->is_out_of_memory |= err == PG_ERR_NOMEM;
    return err == PG_OK ? part.len : 0;
}

static int on_progress(void *user, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    const run *self = user;
    (void) down_all;
    (void) down;
    (void) up_all;
    (void) up;
    return atomic_load(self->line->ending) ? 1 : 0;
}

static bool line_set(CURL *curl, const pg_s3_line *line)
{
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, line->proxy == NULL ? "" : line->proxy) ==
               CURLE_OK &&
           // With a proxy nothing goes round it, and without one nothing of the environment counts.
           curl_easy_setopt(curl, CURLOPT_NOPROXY, line->proxy == NULL ? "*" : "") == CURLE_OK &&
           (line->ca_file == NULL ||
            curl_easy_setopt(curl, CURLOPT_CAINFO, line->ca_file) == CURLE_OK) &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long) PG_S3_CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) line->timeout_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long) PG_S3_SILENCE_S) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
}

static bool body_set(CURL *curl, const pg_s3_exchange *exchange)
{
    const char *method = exchange->method;
    if (pg_bytes_equal(pg_bytes_cstr(method), PG_BYTES_LIT("HEAD"))) {
        return curl_easy_setopt(curl, CURLOPT_NOBODY, 1L) == CURLE_OK;
    }
    if (pg_bytes_equal(pg_bytes_cstr(method), PG_BYTES_LIT("PUT"))) {
        const void *body = exchange->body.len > 0 ? (const void *) exchange->body.ptr : "";
        if (curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) exchange->body.len) !=
                CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) != CURLE_OK) {
            return false;
        }
    }
    return curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
}

static bool exchange_set(run *self, struct curl_slist *headers)
{
    CURL *curl = self->curl;
    return curl_easy_setopt(curl, CURLOPT_URL, self->exchange->url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK && // as it was signed
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, self) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, self) == CURLE_OK;
}

static pg_err outcome(const run *self, CURLcode code)
{
    const char *text = curl_easy_strerror(code);
    if (atomic_load(self->line->ending)) {
        return PG_ERR_CANCELLED;
    }
    if (self->is_too_long) {
        return pg_fail(PG_ERR_LIMIT, "the answer is longer than it should be");
    }
    if (self->is_out_of_memory || code == CURLE_OUT_OF_MEMORY) {
        return PG_ERR_NOMEM;
    }
    switch ((int) code) {
    case CURLE_OK:
        return PG_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return pg_fail(PG_ERR_TIMEOUT, "no answer in time");
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
        return pg_fail(PG_ERR_TRUNCATED, "the answer broke off: %s", text);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
        return pg_fail(PG_ERR_AUTH, "no secure connection: %s", text);
    default:
        return pg_fail(PG_ERR_UNREACHABLE, "%s", text);
    }
}

static pg_err headers_make(const pg_s3_exchange *exchange, struct curl_slist **out)
{
    for (size_t i = 0; i < exchange->header_count; i++) {
        struct curl_slist *longer = curl_slist_append(*out, exchange->headers[i]);
        if (longer == NULL) {
            return PG_ERR_NOMEM;
        }
        *out = longer;
    }
    return PG_OK;
}

pg_err pg_s3_exchange_run(void *handle, const pg_s3_line *line, pg_s3_exchange *exchange)
{
    run self = {.curl = handle, .line = line, .exchange = exchange};
    struct curl_slist *headers = NULL;
    curl_easy_reset(handle); // keeps the connection
    exchange->status = 0;
    exchange->content_len = -1;
    pg_err err = headers_make(exchange, &headers);
    if (err == PG_OK &&
        (!line_set(handle, line) || !body_set(handle, exchange) || !exchange_set(&self, headers))) {
        err = pg_fail(PG_ERR_INVALID, "libcurl does not take the settings");
    }
    if (err == PG_OK) {
        CURLcode code = curl_easy_perform(handle);
        (void) curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &exchange->status);
        curl_off_t len = -1;
        (void) curl_easy_getinfo(handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
        exchange->content_len = len;
        err = outcome(&self, code);
    }
    curl_slist_free_all(headers);
    return err;
}
