// SPDX-License-Identifier: Apache-2.0
// Talks to the running node over its Unix socket, by libcurl. Short questions can be asked from anywhere (pg_client_ask). Files
// go through a client of their own: made on a fiber, it talks inside a job, since libcurl, archives and standard input block, and it
// can be interrupted all the while.
//
//      pg_client_open(invocation, &client);
//      err = pg_client_run(client, job, arg);      // the job: pg_client_upload, or pg_client_download_begin and _read
//      pg_client_free(&client);
//
// Layer: cli.  Thread: blocks the caller's; one thread at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "cli/invocation.h"
#include "runtime/offload.h"

/** Ask the node of the data directory.
 *  method, path   "POST", "/api/v1/dial"
 *  body           what to send, borrowed; NULL = nothing
 *  out_answer     the JSON object that came; owned by the caller, json_object_put
 *  Errors: PG_ERR_NO_NODE (none is running there), PG_ERR_PROTOCOL (no such answer), and what the node failed with, with its detail */
PG_NODISCARD pg_err pg_client_ask(const pg_invocation *invocation, const char *method,
                                  const char *path, json_object *body, json_object **out_answer);

/** A conversation with one node. */
typedef struct pg_client pg_client;

/** Make a client of the node of the invocation's data directory. It connects when it is first used. Errors: PG_ERR_NOMEM, as pg_data_folder. */
PG_NODISCARD pg_err pg_client_open(const pg_invocation *invocation, pg_client **out_client);

/** The same for the node of another directory. */
PG_NODISCARD pg_err pg_client_open_folder(const char *folder, pg_client **out_client);

/** Let each exchange from now on end after a time, with PG_ERR_CLOSED. */
void pg_client_limit(pg_client *client, long timeout_ms);

/** Free; what is under way is broken off. NULL is fine. */
void pg_client_free(pg_client **client);

/** Run a job that uses the client, and wait for it. When the fiber is cancelled, all that the job waits for with the client ends with
 *  PG_ERR_CANCELLED. Parks: yes. Returns what the job returned. */
PG_NODISCARD pg_err pg_client_run(pg_client *client, pg_job_fn job, void *arg);

/** Append a body with one text, {"name": "text"}, that is a secret and has nothing to be escaped. End it with pg_client_secret_wipe.
 *  Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_client_secret_body(const char *name, const char *text, pg_buf *out);

/** Wipe and free. */
void pg_client_secret_wipe(pg_buf *body);

/** As pg_client_ask; the body is text, borrowed, and may hold a secret. `out_status` (may be NULL): 200 to 299.
 *  Errors also PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_client_call(pg_client *client, const char *method, const char *path,
                                   const pg_buf *body, json_object **out_answer, long *out_status);

/** Write to standard output, while the client can be interrupted. Errors: PG_ERR_CLOSED (nobody reads), PG_ERR_FULL, PG_ERR_IO, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_client_write_stdout(pg_client *client, pg_bytes bytes);

/** Return PG_ERR_CANCELLED when the client was interrupted, for what takes long without it. */
PG_NODISCARD pg_err pg_client_check(void *client);

// ---- Files

/** How far the node is with a transfer. */
typedef struct pg_client_progress {
    uint64_t moved_bytes;  // over the socket
    bool is_known;         // the node has told what follows
    uint64_t placed_bytes; // of a put: on hosts; of a pin: done
    uint64_t total_bytes;  // 0 = not known
    uint64_t hosts;
} pg_client_progress;

typedef void (*pg_client_listener)(const pg_client_progress *progress, void *user);

/** What to send. */
typedef struct pg_upload {
    const char *path; // with its query
    const char *type; // of the content; NULL = application/octet-stream
    // Gives the next bytes, at least one; none at the end.
    pg_err (*read)(pg_mut_bytes space, size_t *out_len, void *user);
    int wait_fd; // what `read` may have to wait for: it is called when that is ready; -1 = nothing
    bool is_sized;
    uint64_t size_bytes; // when is_sized
    pg_client_listener progress;
    void *user;
} pg_upload;

/** Send a stream and take the node's answer, status 200 or 202.
 *  Errors: those of `read`, as pg_client_call; PG_ERR_CLOSED (the node went away) */
PG_NODISCARD pg_err pg_client_upload(pg_client *client, const pg_upload *upload,
                                     json_object **out_answer, long *out_status);

#define PG_CLIENT_NAME_BYTES 1024

/** What the node tells before the bytes of a file. */
typedef struct pg_download_head {
    char name[PG_CLIENT_NAME_BYTES]; // as it was stored, any bytes but NUL; empty = not told
    bool is_folder;
    bool is_sized;
    uint64_t size_bytes; // when is_sized
} pg_download_head;

/** Take in what comes of a stream for a while, to be read later. Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_client_rest(pg_client *client, int64_t rest_ms);

/** Ask for a stream and wait for its first byte, or its end. `body` as for pg_client_call. Errors as pg_client_call. */
PG_NODISCARD pg_err pg_client_download_begin(pg_client *client, const char *method,
                                             const char *path, const pg_buf *body,
                                             pg_download_head *out_head);

/** Tell that the stream that was begun is the file from byte `start` on. */
void pg_client_download_from(pg_client *client, uint64_t start);

/** Take the next bytes, at least one; none at the end, after which all of it has come. `client` comes last, as in every source.
 *  Errors: what made the node break off; PG_ERR_TRUNCATED, PG_ERR_CLOSED, PG_ERR_CANCELLED */
PG_NODISCARD pg_err pg_client_download_read(pg_mut_bytes space, size_t *out_len, void *client);

/** Ask what the node knows of the client's last transfer; *out_transfer is NULL when it knows nothing. Owned by the caller. */
void pg_client_transfer(pg_client *client, json_object **out_transfer);
