// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include <json-c/json_tokener.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/client_priv.h"
#include "runtime/foreign.h"

#define SEND_BYTES (256L << 10)
#define ANNOUNCED_BYTES (1U << 20)
#define QUESTION_INTERVAL PG_MS(200)
#define PROGRESS_MS 100
#define QUESTION_BYTES_MAX (64U << 10)
#define TELL_TRIES 20 // of PROGRESS_MS each: the node may need a moment to note why it broke off

static pg_err transfer_header(pg_client *client)
{
    char line[64];
    (void) snprintf(line, sizeof(line), "Pangea-Transfer: %s", client->id);
    return pg_client_header(client, line);
}

static pg_err transfer_url(const pg_client *client, const char *before, pg_buf *out)
{
    return pg_buf_printf(out, "%s/api/v1/transfers/%s", before, client->id);
}

void pg_client_transfer(pg_client *client, json_object **out_transfer)
{
    pg_buf path = {0};
    *out_transfer = NULL;
    pg_err err = transfer_url(client, "", &path);
    if (err == PG_OK) {
        pg_ignore(pg_client_call(client, "GET", (const char *) path.ptr, NULL, out_transfer, NULL),
                  "then it knows nothing");
    }
    pg_buf_deinit(&path);
}

static bool transfer_runs(json_object *transfer)
{
    return strcmp(pg_answer_text(transfer, "state"), "running") == 0;
}

// Why the node broke off, when it can still tell; else `err`, which has its detail already.
static pg_err transfer_fail(pg_client *client, pg_err err)
{
    const pg_error_record record = pg_error_keep();
    json_object *transfer = NULL;
    json_object *problem = NULL;
    if (err == PG_ERR_CANCELLED || err == PG_ERR_NO_NODE) {
        return err;
    }
    for (unsigned i = 0; i < TELL_TRIES; i++) {
        json_object_put(transfer);
        pg_client_transfer(client, &transfer);
        if (transfer == NULL || !transfer_runs(transfer)) {
            break;
        }
        pg_err stopped = pg_client_wait(client, -1, false, PROGRESS_MS);
        if (stopped != PG_OK) {
            json_object_put(transfer);
            return stopped;
        }
    }
    if (transfer != NULL && json_object_object_get_ex(transfer, "problem", &problem) &&
        problem != NULL) {
        err = pg_client_problem(problem);
    } else {
        err = pg_error_again(&record, err);
    }
    json_object_put(transfer);
    return err;
}

// ---- Sending

static size_t on_curl_send(char *space, size_t item_bytes, size_t count, void *user)
{
    pg_client *client = user;
    const pg_upload *upload = client->upload;
    size_t len = 0;
    if (upload->wait_fd >= 0 && !pg_fd_is_ready(upload->wait_fd, false)) {
        client->upload_waits = true;
        return CURL_READFUNC_PAUSE;
    }
    client->callback_err =
        upload->read(pg_mut_bytes_make(space, item_bytes * count), &len, upload->user);
    if (client->callback_err != PG_OK) {
        return CURL_READFUNC_ABORT;
    }
    client->progress.moved_bytes += len;
    return len;
}

static size_t on_curl_tell(char *data, size_t item_bytes, size_t count, void *user)
{
    pg_client *client = user;
    size_t len = item_bytes * count;
    return pg_buf_append(&client->question_answer, pg_bytes_make(data, len)) == PG_OK ? len : 0;
}

// A handle to ask how far the node is, used again and again. Without it there is just less to show.
static void question_make(pg_client *client)
{
    client->question_answer.max_len = QUESTION_BYTES_MAX;
    client->question_next = pg_after(QUESTION_INTERVAL);
    if (transfer_url(client, "http://localhost", &client->question_url) != PG_OK) {
        return;
    }
    CURL *question = curl_easy_init();
    if (question == NULL) {
        return;
    }
    (void) curl_easy_setopt(question, CURLOPT_UNIX_SOCKET_PATH, (const char *) client->socket.ptr);
    (void) curl_easy_setopt(question, CURLOPT_URL, (const char *) client->question_url.ptr);
    (void) curl_easy_setopt(question, CURLOPT_NOPROXY, "*");
    (void) curl_easy_setopt(question, CURLOPT_NOSIGNAL, 1L);
    (void) curl_easy_setopt(question, CURLOPT_WRITEFUNCTION, on_curl_tell);
    (void) curl_easy_setopt(question, CURLOPT_WRITEDATA, client);
    client->question = question;
}

// Take what the node told of the transfer, and ask again when it is time.
static void question_turn(pg_client *client)
{
    if (client->question == NULL || client->question_runs) {
        return;
    }
    if (client->question_answer.len > 0 &&
        pg_buf_append(&client->question_answer, PG_BYTES_LIT("\0")) == PG_OK) {
        json_object *transfer = json_tokener_parse((const char *) client->question_answer.ptr);
        long status = 0;
        (void) curl_easy_getinfo(client->question, CURLINFO_RESPONSE_CODE, &status);
        if (status == 200 && json_object_is_type(transfer, json_type_object)) {
            client->progress.is_known = true;
            client->progress.placed_bytes = pg_answer_u64(transfer, "bytes");
            client->progress.total_bytes = pg_answer_u64(transfer, "total_bytes");
            client->progress.hosts = pg_answer_u64(transfer, "hosts");
        }
        json_object_put(transfer);
    }
    pg_buf_clear(&client->question_answer);
    if (pg_now() >= client->question_next) {
        client->question_next = pg_after(QUESTION_INTERVAL);
        (void) curl_multi_remove_handle(client->multi, client->question);
        client->question_runs = curl_multi_add_handle(client->multi, client->question) == CURLM_OK;
    }
}

static int on_curl_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
    pg_client *client = user;
    (void) purpose;
    client->upload_fd = fd;
    return CURL_SOCKOPT_OK;
}

// libcurl sees the node close the connection, but while there is nothing to send it goes on waiting for that. After a turn of its own
// nothing is left to read but the end.
static bool node_is_gone(const pg_client *client)
{
    return client->upload_waits && client->upload_fd >= 0 &&
           pg_fd_is_ready(client->upload_fd, false);
}

static pg_err upload_run(pg_client *client, const pg_upload *upload)
{
    question_make(client);
    for (;;) {
        PG_TRY(pg_client_turn(client));
        if (client->is_done) {
            return pg_client_result(client);
        }
        if (node_is_gone(client)) {
            return pg_fail(PG_ERR_CLOSED, "the node went away");
        }
        question_turn(client);
        if (upload->progress != NULL) {
            upload->progress(&client->progress, upload->user);
        }
        int fd = client->upload_waits ? upload->wait_fd : -1;
        PG_TRY(pg_client_wait(client, fd, false, PROGRESS_MS));
        if (client->upload_waits && pg_fd_is_ready(upload->wait_fd, false)) {
            client->upload_waits = false;
            (void) curl_easy_pause(client->easy, CURLPAUSE_CONT);
        }
    }
}

static pg_err upload_start(pg_client *client, const pg_upload *upload)
{
    PG_TRY(pg_client_prepare(client, "POST", upload->path));
    CURL *easy = client->easy;
    client->upload = upload;
    client->upload_waits = false;
    client->upload_fd = -1;
    client->progress = (pg_client_progress){0};
    (void) curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_curl_socket);
    (void) curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, client);
    (void) curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    (void) curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BYTES);
    (void) curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_curl_send);
    (void) curl_easy_setopt(easy, CURLOPT_READDATA, client);
    if (upload->is_sized) {
        (void) curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) upload->size_bytes);
    }
    char type[64];
    (void) snprintf(type, sizeof(type), "Content-Type: %s",
                    upload->type == NULL ? "application/octet-stream" : upload->type);
    PG_TRY(pg_client_header(client, type));
    PG_TRY(transfer_header(client));
    // What is large is announced first, so that a node that will not take it says so before it is sent.
    if (upload->is_sized && upload->size_bytes < ANNOUNCED_BYTES) {
        PG_TRY(pg_client_header(client, "Expect:"));
    }
    return pg_client_start(client);
}

pg_err pg_client_upload(pg_client *client, const pg_upload *upload, json_object **out_answer,
                        long *out_status)
{
    pg_err err = upload_start(client, upload);
    if (err == PG_OK) {
        err = upload_run(client, upload);
    }
    // The node may have answered and closed before all was sent; libcurl then only tells that it could not send.
    if (err == PG_ERR_CLOSED && client->callback_err == PG_OK) {
        err = transfer_fail(client, err);
    }
    if (err == PG_OK) {
        err = pg_client_answer(client, out_answer, out_status);
    }
    pg_client_end(client);
    return err;
}

// ---- Receiving

// Undo the percent-encoding of a header's value. What is too long is as good as not told.
static void name_read(const char *value, char out_name[PG_CLIENT_NAME_BYTES])
{
    size_t len = 0;
    for (; *value != '\0' && len + 1 < PG_CLIENT_NAME_BYTES; value++) {
        uint8_t byte = (uint8_t) *value;
        if (byte == '%' && pg_hex_decode(pg_str_make_len(value + 1, strnlen(value + 1, 2)),
                                         pg_mut_bytes_make(&byte, 1)) == PG_OK) {
            value += 2;
        }
        if (byte != 0) {
            out_name[len++] = (char) byte;
        }
    }
    out_name[*value == '\0' ? len : 0] = '\0';
}

static void head_read(pg_client *client, pg_download_head *out_head)
{
    struct curl_header *header = NULL;
    *out_head = (pg_download_head){0};
    CURL *easy = client->easy;
    if (curl_easy_header(easy, "Pangea-Name", 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
        name_read(header->value, out_head->name);
    }
    if (curl_easy_header(easy, "Pangea-Kind", 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
        out_head->is_folder = strcmp(header->value, "folder") == 0;
    }
    if (curl_easy_header(easy, "Pangea-Size", 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
        out_head->is_sized =
            pg_str_to_u64(pg_str_make(header->value), UINT64_MAX, &out_head->size_bytes) == PG_OK;
    }
    client->is_sized = out_head->is_sized;
    client->size_bytes = out_head->size_bytes;
    client->taken_bytes = 0;
}

static bool inbox_is_empty(const pg_client *client)
{
    return client->inbox_begin == client->inbox.len;
}

// Turn until there is something in the inbox, or the end.
static pg_err inbox_fill(pg_client *client)
{
    for (;;) {
        PG_TRY(pg_client_turn(client));
        if (!inbox_is_empty(client) || client->is_done) {
            return PG_OK;
        }
        PG_TRY(pg_client_wait(client, -1, false, 1000));
    }
}

pg_err pg_client_rest(pg_client *client, int64_t rest_ms)
{
    pg_time end = pg_after(PG_MS(rest_ms));
    int64_t left_ms = rest_ms;
    while (left_ms > 0) {
        PG_TRY(pg_client_wait(client, -1, false, (int) left_ms));
        PG_TRY(pg_client_turn(client));
        left_ms = (end - pg_now()) / PG_MS(1);
    }
    return PG_OK;
}

pg_err pg_client_download_begin(pg_client *client, const char *method, const char *path,
                                const pg_buf *body, pg_download_head *out_head)
{
    PG_TRY(pg_client_prepare(client, method, path));
    client->pauses = true;
    if (body != NULL) {
        PG_TRY(pg_client_send_json(client, body));
    }
    PG_TRY(transfer_header(client));
    PG_TRY(pg_client_start(client));
    PG_TRY(inbox_fill(client));
    if (client->is_done && client->result != CURLE_OK && inbox_is_empty(client)) {
        return transfer_fail(client, pg_client_result(client));
    }
    long status = 0;
    (void) curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200) {
        head_read(client, out_head);
        return PG_OK;
    }
    json_object *answer = NULL;
    PG_TRY(pg_client_finish(client));
    PG_TRY(pg_client_result(client));
    PG_TRY(pg_client_answer(client, &answer, NULL));
    json_object_put(answer);
    return pg_fail(PG_ERR_PROTOCOL, "the node answered with status %ld", status);
}

static pg_err download_end(pg_client *client)
{
    pg_err err = pg_client_result(client);
    if (err != PG_OK) {
        return transfer_fail(client, err);
    }
    if (client->is_sized && client->taken_bytes != client->size_bytes) {
        return pg_fail(PG_ERR_TRUNCATED, "the node gave %llu bytes of %llu",
                       (unsigned long long) client->taken_bytes,
                       (unsigned long long) client->size_bytes);
    }
    return PG_OK;
}

void pg_client_download_from(pg_client *client, uint64_t start)
{
    client->taken_bytes = start;
}

pg_err pg_client_download_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    pg_client *client = user;
    if (client->easy == NULL) {
        return pg_fail(PG_ERR_CLOSED, "the download has failed already");
    }
    if (inbox_is_empty(client)) {
        pg_buf_clear(&client->inbox);
        client->inbox_begin = 0;
        if (client->is_paused) {
            client->is_paused = false;
            (void) curl_easy_pause(client->easy, CURLPAUSE_CONT);
        }
        if (!client->is_done) {
            PG_TRY(inbox_fill(client));
        }
    }
    if (inbox_is_empty(client)) {
        PG_TRY(download_end(client));
    }
    size_t len = pg_min_size(space.len, client->inbox.len - client->inbox_begin);
    if (len > 0) {
        memcpy(space.ptr, client->inbox.ptr + client->inbox_begin, len);
    }
    client->inbox_begin += len;
    client->taken_bytes += len;
    *out_len = len;
    return PG_OK;
}
