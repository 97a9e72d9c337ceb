// SPDX-License-Identifier: Apache-2.0
#include "api/json_post.h"

#include <curl/curl.h>

#include "base/mem.h"

static size_t on_answer(char *bytes, size_t size, size_t count, void *user)
{
    (void) bytes;
    (void) user;
    return size * count; // of no interest
}

static bool options_set(CURL *curl, const struct curl_slist *headers,
                        const pg_json_post_request *request)
{
    return curl_easy_setopt(curl, CURLOPT_URL, request->url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           (!request->is_direct || curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK) &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body.len) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.ptr) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
}

static pg_err curl_post(CURL *curl, const struct curl_slist *headers,
                        const pg_json_post_request *request)
{
    long status = 0;
    if (!options_set(curl, headers, request)) {
        return PG_ERR_NOMEM;
    }
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        return pg_fail(PG_ERR_UNREACHABLE, "the collector: %s", curl_easy_strerror(code));
    }
    (void) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300
               ? PG_OK
               : pg_fail(PG_ERR_REFUSED, "the collector answers with status %ld%s", status,
                         status >= 300 && status < 400 ? "; redirects are not followed" : "");
}

static struct curl_slist *headers_make(void)
{
    // The last two are those of curl that are left out.
    static const char *const lines[] = {"Content-Type: application/json", "Accept:", "Expect:"};
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < PG_ARRAY_LEN(lines); i++) {
        struct curl_slist *longer = curl_slist_append(headers, lines[i]);
        if (longer == NULL) {
            curl_slist_free_all(headers);
            return NULL;
        }
        headers = longer;
    }
    return headers;
}

static pg_err job_post(void *arg)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = headers_make();
    pg_err err = curl == NULL || headers == NULL ? PG_ERR_NOMEM : curl_post(curl, headers, arg);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return err;
}

pg_err pg_json_post(pg_worker *worker, const pg_json_post_request *request)
{
    pg_json_post_request own = *request;
    return pg_worker_call(worker, job_post, &own);
}
