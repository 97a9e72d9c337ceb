// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json_tokener.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/client_priv.h"
#include "cli/data_folder.h"
#include "crypto/secret.h"
#include "runtime/fiber.h"
#include "runtime/foreign.h"
#include "runtime/random.h"

#define ANSWER_BYTES_MAX (64U << 20)
#define INBOX_BYTES (1U << 20) // of a stream, beside what libcurl holds
#define RECEIVE_BYTES (256L << 10)
#define PIPE_BYTES 4096 // a pipe that is ready takes this much without waiting
#define TURN_MS 1000

// ---- The client

pg_err pg_client_open_folder(const char *folder, pg_client **out_client)
{
    uint8_t id[8];
    char hex[2 * sizeof(id) + 1];
    pg_client *client = PG_NEW(pg_client);
    pg_err err = client == NULL ? PG_ERR_NOMEM : PG_OK;
    if (err == PG_OK) {
        atomic_init(&client->must_stop, false);
        err = pg_buf_printf(&client->folder, "%s", folder);
    }
    if (err == PG_OK) {
        err = pg_buf_printf(&client->socket, "%s/api.sock", folder);
    }
    if (err == PG_OK) {
        // Without TLS: the socket is the whole world.
        client->multi =
            curl_global_init(CURL_GLOBAL_NOTHING) == CURLE_OK ? curl_multi_init() : NULL;
        err = client->multi == NULL ? PG_ERR_NOMEM : PG_OK;
    }
    if (err != PG_OK) {
        pg_client_free(&client);
        return pg_fail(err, "cannot make a client of %s", folder);
    }
    pg_random_bytes(PG_MUT_BYTES_OF(id));
    pg_hex_encode(PG_BYTES_OF(id), hex);
    (void) snprintf(client->id, sizeof(client->id), "cli-%s", hex);
    *out_client = client;
    return PG_OK;
}

pg_err pg_client_open(const pg_invocation *invocation, pg_client **out_client)
{
    pg_buf folder = {0};
    pg_err err = pg_data_folder(invocation, &folder);
    if (err == PG_OK) {
        err = pg_client_open_folder((const char *) folder.ptr, out_client);
    }
    pg_buf_deinit(&folder);
    return err;
}

void pg_client_limit(pg_client *client, long timeout_ms)
{
    client->timeout_ms = timeout_ms;
}

void pg_client_free(pg_client **client)
{
    pg_client *self = *client;
    if (self == NULL) {
        return;
    }
    pg_client_end(self);
    (void) curl_multi_cleanup(self->multi);
    pg_buf_deinit(&self->socket);
    pg_buf_deinit(&self->folder);
    pg_mfree(self);
    *client = NULL;
}

// ---- Jobs

/** A job, and the fiber that tells it to stop. */
typedef struct client_run {
    pg_client *client;
    pg_scope scope;
    pg_job_fn job;
    void *arg;
    pg_err result;
    pg_error_record record;
} client_run;

static pg_err job_fiber(void *arg)
{
    client_run *run = arg;
    run->result = pg_offload_io(run->job, run->arg);
    run->record = pg_error_keep();
    pg_scope_cancel(&run->scope);
    return PG_OK;
}

// Cancelled when the command is, or when the job is over.
static pg_err stop_fiber(void *arg)
{
    client_run *run = arg;
    pg_ignore(pg_sleep_until(PG_FOREVER), "it ends by being cancelled");
    atomic_store(&run->client->must_stop, true);
    (void) curl_multi_wakeup(run->client->multi); // from any thread
    return PG_OK;
}

pg_err pg_client_run(pg_client *client, pg_job_fn job, void *arg)
{
    client_run run = {.client = client, .job = job, .arg = arg, .result = PG_ERR_CANCELLED};
    atomic_store(&client->must_stop, false);
    pg_scope_init(&run.scope);
    pg_err err = pg_scope_spawn(&run.scope, "cli.stop", stop_fiber, &run);
    if (err == PG_OK) {
        err = pg_scope_spawn(&run.scope, "cli.job", job_fiber, &run);
    }
    if (err != PG_OK) {
        pg_scope_close(&run.scope);
        return err;
    }
    pg_ignore(pg_scope_join(&run.scope), "the job itself tells how it ended");
    return pg_error_again(&run.record, run.result);
}

// ---- One exchange

static size_t on_curl_receive(char *data, size_t item_bytes, size_t count, void *user)
{
    pg_client *client = user;
    size_t len = item_bytes * count;
    if (client->pauses && client->inbox.len - client->inbox_begin >= INBOX_BYTES) {
        client->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    client->callback_err = pg_buf_append(&client->inbox, pg_bytes_make(data, len));
    return client->callback_err == PG_OK ? len : 0;
}

pg_err pg_client_prepare(pg_client *client, const char *method, const char *path)
{
    pg_client_end(client);
    client->inbox.max_len = ANSWER_BYTES_MAX;
    client->easy = curl_easy_init();
    if (client->easy == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot ask the node");
    }
    PG_TRY(pg_buf_printf(&client->url, "http://localhost%s", path));
    CURL *easy = client->easy;
    (void) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, (const char *) client->socket.ptr);
    (void) curl_easy_setopt(easy, CURLOPT_URL, (const char *) client->url.ptr);
    (void) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    (void) curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    (void) curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, client->timeout_ms);
    (void) curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    (void) curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_curl_receive);
    (void) curl_easy_setopt(easy, CURLOPT_WRITEDATA, client);
    return PG_OK;
}

pg_err pg_client_header(pg_client *client, const char *line)
{
    struct curl_slist *grown = curl_slist_append(client->headers, line);
    if (grown == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot ask the node");
    }
    client->headers = grown;
    return PG_OK;
}

pg_err pg_client_send_json(pg_client *client, const pg_buf *body)
{
    (void) curl_easy_setopt(client->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) body->len);
    (void) curl_easy_setopt(client->easy, CURLOPT_POSTFIELDS, (const char *) body->ptr);
    return pg_client_header(client, "Content-Type: application/json");
}

pg_err pg_client_start(pg_client *client)
{
    (void) curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, client->headers);
    return curl_multi_add_handle(client->multi, client->easy) == CURLM_OK
               ? PG_OK
               : pg_fail(PG_ERR_NOMEM, "cannot ask the node");
}

pg_err pg_client_check(void *user)
{
    pg_client *client = user;
    return atomic_load(&client->must_stop) ? pg_fail(PG_ERR_CANCELLED, "interrupted") : PG_OK;
}

pg_err pg_client_turn(pg_client *client)
{
    int running = 0;
    int left = 0;
    PG_TRY(pg_client_check(client));
    if (curl_multi_perform(client->multi, &running) != CURLM_OK) {
        return pg_fail(PG_ERR_NOMEM, "cannot talk to the node");
    }
    const CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE && message->easy_handle == client->easy) {
            client->is_done = true;
            client->result = message->data.result;
        } else if (message->msg == CURLMSG_DONE && message->easy_handle == client->question) {
            client->question_runs = false;
        }
    }
    return PG_OK;
}

pg_err pg_client_wait(pg_client *client, int fd, bool to_write, int wait_ms)
{
    struct curl_waitfd extra = {
        .fd = fd,
        .events = to_write ? CURL_WAIT_POLLOUT : CURL_WAIT_POLLIN,
    };
    (void) curl_multi_poll(client->multi, &extra, fd >= 0 ? 1 : 0, wait_ms, NULL);
    return pg_client_check(client);
}

pg_err pg_client_finish(pg_client *client)
{
    for (;;) {
        PG_TRY(pg_client_turn(client));
        if (client->is_done) {
            return PG_OK;
        }
        PG_TRY(pg_client_wait(client, -1, false, TURN_MS));
    }
}

pg_err pg_client_write_stdout(pg_client *client, pg_bytes bytes)
{
    struct stat info;
    bool is_file = fstat(STDOUT_FILENO, &info) == 0 && S_ISREG(info.st_mode);
    while (bytes.len > 0) {
        size_t want = is_file ? bytes.len : pg_min_size(bytes.len, PIPE_BYTES);
        while (!is_file && !pg_fd_is_ready(STDOUT_FILENO, true)) {
            PG_TRY(pg_client_wait(client, STDOUT_FILENO, true, TURN_MS));
            PG_TRY(pg_client_turn(client)); // else what has come would wake us again and again
        }
        PG_TRY(pg_client_check(client));
        ssize_t put = write(STDOUT_FILENO, bytes.ptr, want);
        if (put < 0 && errno != EINTR) {
            return pg_fail(errno == EPIPE    ? PG_ERR_CLOSED
                           : errno == ENOSPC ? PG_ERR_FULL
                                             : PG_ERR_IO,
                           "standard output: %s", strerror(errno));
        }
        bytes = pg_bytes_slice(bytes, put < 0 ? 0 : (size_t) put, bytes.len);
    }
    return PG_OK;
}

pg_err pg_client_result(const pg_client *client)
{
    if (client->result == CURLE_OK) {
        return PG_OK;
    }
    if (client->callback_err != PG_OK) {
        return client->callback_err;
    }
    if (client->result == CURLE_COULDNT_CONNECT) {
        return pg_fail(PG_ERR_NO_NODE, "no node is running on %s: start one with `pangea run`",
                       (const char *) client->folder.ptr);
    }
    return client->result == CURLE_OUT_OF_MEMORY ? pg_fail(PG_ERR_NOMEM, "cannot talk to the node")
                                                 : pg_fail(PG_ERR_CLOSED, "the node went away: %s",
                                                           curl_easy_strerror(client->result));
}

void pg_client_end(pg_client *client)
{
    CURL **const handles[] = {&client->easy, &client->question};
    for (unsigned i = 0; i < PG_ARRAY_LEN(handles); i++) {
        if (*handles[i] != NULL) {
            (void) curl_multi_remove_handle(client->multi, *handles[i]);
            curl_easy_cleanup(*handles[i]);
            *handles[i] = NULL;
        }
    }
    curl_slist_free_all(client->headers);
    client->headers = NULL;
    if (client->inbox.ptr != NULL) {
        pg_wipe(client->inbox.ptr, client->inbox.cap); // links come in answers
    }
    pg_buf_deinit(&client->inbox);
    pg_buf_deinit(&client->url);
    pg_buf_deinit(&client->question_url);
    pg_buf_deinit(&client->question_answer);
    client->inbox_begin = 0;
    client->is_done = client->pauses = client->is_paused = client->question_runs = false;
    client->result = CURLE_OK;
    client->callback_err = PG_OK;
    client->upload = NULL;
}

// ---- Answers

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

pg_err pg_client_problem(json_object *problem)
{
    json_object *code = NULL;
    json_object *detail = NULL;
    if (!json_object_object_get_ex(problem, "code", &code) || code == NULL ||
        !json_object_object_get_ex(problem, "detail", &detail) || detail == NULL) {
        return pg_fail(PG_ERR_PROTOCOL, "the node failed without saying why");
    }
    pg_err err = err_from_name(json_object_get_string(code));
    if (err == PG_ERR_CANCELLED) { // not by us
        return pg_fail(PG_ERR_CLOSED, "the node has stopped, or broke it off");
    }
    return pg_fail(err == PG_OK ? PG_ERR_PROTOCOL : err, "%s", json_object_get_string(detail));
}

pg_err pg_client_answer(pg_client *client, json_object **out_answer, long *out_status)
{
    long status = 0;
    enum json_tokener_error error = json_tokener_success;
    (void) curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
    PG_TRY(pg_buf_append(&client->inbox, PG_BYTES_LIT("\0")));
    json_object *answer = json_tokener_parse_verbose((const char *) client->inbox.ptr, &error);
    if (answer == NULL || !json_object_is_type(answer, json_type_object)) {
        json_object_put(answer);
        return pg_fail(PG_ERR_PROTOCOL, "the node's answer is no JSON object");
    }
    if (status < 200 || status > 299) {
        pg_err err = pg_client_problem(answer);
        json_object_put(answer);
        return err;
    }
    *out_answer = answer;
    if (out_status != NULL) {
        *out_status = status;
    }
    return PG_OK;
}

pg_err pg_client_call(pg_client *client, const char *method, const char *path, const pg_buf *body,
                      json_object **out_answer, long *out_status)
{
    pg_err err = pg_client_prepare(client, method, path);
    if (err == PG_OK && body != NULL) {
        err = pg_client_send_json(client, body);
    }
    if (err == PG_OK) {
        err = pg_client_start(client);
    }
    if (err == PG_OK) {
        err = pg_client_finish(client);
    }
    if (err == PG_OK) {
        err = pg_client_result(client);
    }
    if (err == PG_OK) {
        err = pg_client_answer(client, out_answer, out_status);
    }
    pg_client_end(client);
    return err;
}

pg_err pg_client_secret_body(const char *name, const char *text, pg_buf *out)
{
    PG_TRY(pg_buf_reserve(out, strlen(name) + strlen(text) + sizeof("{\"\": \"\"}")));
    return pg_buf_printf(out, "{\"%s\": \"%s\"}", name,
                         text); // does not move, and leaves no copy behind
}

void pg_client_secret_wipe(pg_buf *body)
{
    if (body->ptr != NULL) {
        pg_wipe(body->ptr, body->cap);
    }
    pg_buf_deinit(body);
}

pg_err pg_client_ask(const pg_invocation *invocation, const char *method, const char *path,
                     json_object *body, json_object **out_answer)
{
    pg_client *client = NULL;
    pg_buf text = {0};
    PG_TRY(pg_client_open(invocation, &client));
    pg_err err =
        body == NULL ? PG_OK : pg_buf_printf(&text, "%s", json_object_to_json_string(body));
    if (err == PG_OK) {
        err = pg_client_call(client, method, path, body == NULL ? NULL : &text, out_answer, NULL);
    }
    pg_buf_deinit(&text);
    pg_client_free(&client);
    return err;
}
