// SPDX-License-Identifier: Apache-2.0
#include "api/telemetry_send.h"

#include <string.h>

#include <curl/curl.h>

#include "api/json_post.h"
#include "api/limits.h"
#include "base/mem.h"
#include "runtime/offload.h"

struct pg_telemetry_sender {
    pg_worker *worker;
};

// ---- URLs

/** Return what stands between "//" and the path. */
static pg_str authority_of(pg_str rest)
{
    size_t len = 0;
    while (len < rest.len && memchr("/?#", rest.ptr[len], 3) == NULL) {
        len++;
    }
    return pg_str_make_len(rest.ptr, len);
}

static bool is_here(pg_str authority)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; i < PG_ARRAY_LEN(names); i++) {
        pg_str name = pg_str_make(names[i]);
        if (pg_str_starts_with(authority, name) &&
            (authority.len == name.len || authority.ptr[name.len] == ':')) {
            return true;
        }
    }
    return false;
}

pg_err pg_telemetry_url_check(pg_str url)
{
    const pg_str plain = PG_STR("http://");
    const pg_str sealed = PG_STR("https://");
    bool is_sealed = pg_str_starts_with(url, sealed);
    if (!is_sealed && !pg_str_starts_with(url, plain)) {
        return pg_fail(PG_ERR_INVALID, "'%.*s' is no http or https URL", PG_STR_ARGS(url));
    }
    size_t skipped = is_sealed ? sealed.len : plain.len;
    pg_str authority = authority_of(pg_str_make_len(url.ptr + skipped, url.len - skipped));
    if (authority.len == 0 || url.len > PG_API_TELEMETRY_URL_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "a URL without a host, or longer than %d bytes",
                       PG_API_TELEMETRY_URL_BYTES_MAX);
    }
    for (size_t i = 0; i < url.len; i++) {
        if (url.ptr[i] <= ' ' || url.ptr[i] > '~') {
            return pg_fail(PG_ERR_INVALID, "a URL has neither spaces nor letters beyond ASCII");
        }
    }
    if (memchr(authority.ptr, '@', authority.len) != NULL) {
        return pg_fail(PG_ERR_INVALID, "a user name or a password in the URL would tell who sends");
    }
    return is_sealed || is_here(authority)
               ? PG_OK
               : pg_fail(PG_ERR_INVALID,
                         "http goes to this machine alone (127.0.0.1, [::1], localhost): https");
}

// ---- Sending

pg_err pg_telemetry_send(const char *url, pg_bytes document, void *sender)
{
    const pg_telemetry_sender *self = sender;
    const pg_json_post_request request = {
        .url = url,
        .body = document,
        .timeout_ms = PG_API_TELEMETRY_TIMEOUT_MS,
    };
    return pg_json_post(self->worker, &request);
}

pg_err pg_telemetry_sender_new(pg_telemetry_sender **out_sender)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return pg_fail(PG_ERR_IO, "libcurl does not start");
    }
    pg_telemetry_sender *sender = PG_NEW(pg_telemetry_sender);
    if (sender == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_worker_new("telemetry", &sender->worker);
    if (err != PG_OK) {
        pg_mfree(sender);
        return err;
    }
    *out_sender = sender;
    return PG_OK;
}

void pg_telemetry_sender_free(pg_telemetry_sender **sender)
{
    if (*sender != NULL) {
        pg_worker_free(&(*sender)->worker);
        pg_mfree(*sender);
        *sender = NULL;
    }
}
