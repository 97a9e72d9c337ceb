// SPDX-License-Identifier: Apache-2.0
// The insides of the client: one exchange at a time, turned by libcurl's multi interface, and beside it now and then a question
// how far the node is.
//
// Layer: cli, private.  Thread: one at a time, but must_stop.
#pragma once

#include <stdatomic.h>

#include <curl/curl.h>

#include "cli/client.h"
#include "runtime/time.h"

#define PG_CLIENT_ID_BYTES 24

struct pg_client {
    pg_buf folder;
    pg_buf socket;
    CURLM *multi;
    long timeout_ms; // of an exchange; 0 = none
    atomic_bool must_stop;
    char id[PG_CLIENT_ID_BYTES]; // of the transfer, chosen by us

    // The exchange at hand.
    CURL *easy;
    struct curl_slist *headers;
    pg_buf url;
    bool is_done;
    CURLcode result;
    pg_buf inbox; // what came and was not taken; from inbox_begin on
    size_t inbox_begin;
    bool pauses; // the inbox is small, and libcurl waits when it is full
    bool is_paused;
    pg_err callback_err; // a callback of ours made libcurl break off

    // An upload.
    const pg_upload *upload;
    bool upload_waits; // for upload->wait_fd
    int upload_fd;     // libcurl's; -1 = not known
    pg_client_progress progress;

    // The question how far the node is.
    CURL *question;
    pg_buf question_url;
    pg_buf question_answer;
    bool question_runs;
    pg_time question_next;

    // A download.
    bool is_sized;
    uint64_t size_bytes;
    uint64_t taken_bytes;
};

/** Prepare an exchange; the caller sets what is special about it, then pg_client_start. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_client_prepare(pg_client *client, const char *method, const char *path);

/** Add a header to the exchange. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_client_header(pg_client *client, const char *line);

/** Send a text, borrowed until the end of the exchange, as JSON. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_client_send_json(pg_client *client, const pg_buf *body);

/** Begin the exchange. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_client_start(pg_client *client);

/** Let libcurl do what can be done at once. Errors: PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_client_turn(pg_client *client);

/** Wait until there is something to do, or until `fd` (-1 = none) may be ready, at most `wait_ms`. Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_client_wait(pg_client *client, int fd, bool to_write, int wait_ms);

/** Turn until the exchange is done. Errors: as pg_client_turn. */
PG_NODISCARD pg_err pg_client_finish(pg_client *client);

/** Return what the exchange failed with when it is done, PG_OK when a whole answer came, whatever it says. */
PG_NODISCARD pg_err pg_client_result(const pg_client *client);

/** Read the answer in the inbox: an object for status 200 to 299, else the node's error. */
PG_NODISCARD pg_err pg_client_answer(pg_client *client, json_object **out_answer, long *out_status);

/** Forget the exchange, and wipe what came. */
void pg_client_end(pg_client *client);

/** Return the error that a problem document stands for, with its detail. */
PG_NODISCARD pg_err pg_client_problem(json_object *problem);
