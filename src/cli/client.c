// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <string.h>

#include <curl/curl.h>
#include <json-c/json_tokener.h>

#include "base/bytes.h"
#include "base/str.h"
#include "cli/data_folder.h"

#define ANSWER_BYTES_MAX (64U << 20)

static size_t on_curl_data(char *data, size_t item_bytes, size_t count, void *user)
{
    pg_buf *answer = user;
    size_t len = item_bytes * count;
    return pg_buf_append(answer, pg_bytes_make(data, len)) == PG_OK ? len : 0;
}

static pg_err err_from_name(const char *name)
{
#define PG_ERR_MATCH(symbol, number, err_name, class, text)                                        \
    if (strcmp(name, err_name) == 0) {                                                             \
        return symbol;                                                                             \
    }
    PG_ERR_TABLE(PG_ERR_MATCH)
#undef PG_ERR_MATCH
    return PG_ERR_PROTOCOL;
}

// The node's own error, as if it had happened here.
static pg_err problem_take(json_object *problem)
{
    json_object *code = NULL;
    json_object *detail = NULL;
    if (!json_object_object_get_ex(problem, "code", &code) ||
        !json_object_object_get_ex(problem, "detail", &detail)) {
        return pg_fail(PG_ERR_PROTOCOL, "the node failed without saying why");
    }
    pg_err err = err_from_name(json_object_get_string(code));
    return pg_fail(err == PG_OK ? PG_ERR_PROTOCOL : err, "%s", json_object_get_string(detail));
}

static pg_err exchange_run(CURL *curl, const char *folder, long *out_status)
{
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_COULDNT_CONNECT) {
        return pg_fail(PG_ERR_NO_NODE, "no node is running on %s: start one with `pangea run`",
                       folder);
    }
    if (code != CURLE_OK) {
        return pg_fail(PG_ERR_CLOSED, "the node went away: %s", curl_easy_strerror(code));
    }
    (void) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, out_status);
    return PG_OK;
}

static pg_err answer_read(const pg_buf *text, long status, json_object **out_answer)
{
    enum json_tokener_error error = json_tokener_success;
    json_object *answer = json_tokener_parse_verbose((const char *) text->ptr, &error);
    if (answer == NULL || !json_object_is_type(answer, json_type_object)) {
        json_object_put(answer);
        return pg_fail(PG_ERR_PROTOCOL, "the node's answer is no JSON object");
    }
    if (status != 200) {
        pg_err err = problem_take(answer);
        json_object_put(answer);
        return err;
    }
    *out_answer = answer;
    return PG_OK;
}

// Everything about one request but the folder's name. `answer` gets a NUL behind its content.
static pg_err request_run(const char *folder, const char *method, const char *path,
                          json_object *body, pg_buf *answer, long *out_status)
{
    pg_buf socket = {0};
    pg_buf url = {0};
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    pg_err err = curl == NULL || headers == NULL ? PG_ERR_NOMEM : PG_OK;
    if (err == PG_OK) {
        err = pg_buf_printf(&socket, "%s/api.sock", folder);
    }
    if (err == PG_OK) {
        err = pg_buf_printf(&url, "http://localhost%s", path);
    }
    if (err == PG_OK) {
        (void) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, (const char *) socket.ptr);
        (void) curl_easy_setopt(curl, CURLOPT_URL, (const char *) url.ptr);
        (void) curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
        (void) curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
        (void) curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_curl_data);
        (void) curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
        if (body != NULL) {
            (void) curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
            (void) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json_object_to_json_string(body));
        }
        err = exchange_run(curl, folder, out_status);
    }
    if (err == PG_OK) {
        err = pg_buf_append(answer, PG_BYTES_LIT("\0"));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    pg_buf_deinit(&url);
    pg_buf_deinit(&socket);
    return err;
}

pg_err pg_client_ask(const pg_invocation *invocation, const char *method, const char *path,
                     json_object *body, json_object **out_answer)
{
    pg_buf folder = {0};
    pg_buf answer = {.max_len = ANSWER_BYTES_MAX};
    long status = 0;
    pg_err err = pg_data_folder(invocation, &folder);
    if (err == PG_OK) {
        err = request_run((const char *) folder.ptr, method, path, body, &answer, &status);
    }
    if (err == PG_OK) {
        err = answer_read(&answer, status, out_answer);
    }
    pg_buf_deinit(&answer);
    pg_buf_deinit(&folder);
    return err;
}
