// SPDX-License-Identifier: Apache-2.0
// The local doors: HTTP/1.1 on a Unix socket (mode 0600) and, if wanted, on TCP of this machine, by libmicrohttpd, whose descriptor our
// loop waits on. Each request is served in a fiber of its own. Bodies and answers of any length stream with back pressure: the library
// is made to wait as long as the fiber does. A client that closes its connection, or its half of it, cancels its fiber. Errors are
// problem+json (RFC 9457) made of the error record, as long as nothing was sent; later the connection is closed early, so that the
// client sees it too. Not for: what a route does (routes.h), who may come in (door.h).
//
// Layer: api.  Thread: loop thread only.  Not in a simulated run.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

#include "api/uri.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/socket.h"

typedef struct pg_api pg_api;

/** An exchange with a client: a request on its way in, and the answer on its way out. */
typedef struct pg_api_call pg_api_call;

/** A request being served. Borrowed. */
typedef struct pg_api_request {
    const char *path;  // of the route, as its table has it
    const char *param; // what stands for the name in braces in that path, else ""
    const pg_uri *uri; // its parameters are ones the route knows
    json_object *
        body; // what was sent, an object; an empty one when nothing was. NULL on a route that streams
    void *user;        // of the API
    pg_api_call *call; // for the functions below
} pg_api_request;

/** Serve one request, in a fiber of its own: *out_body, owned by the server then, is the answer. An error becomes a problem document.
 *  A handler that has answered by pg_api_write leaves *out_body alone. May park. */
typedef pg_err (*pg_api_handler)(const pg_api_request *request, json_object **out_body);

/** One route. A list of them ends with `path` NULL. */
typedef struct pg_api_route {
    const char *method; // "GET", "POST", "DELETE"
    const char *path;   // its last part may be a name in braces: "/api/v1/files/{root}"
    pg_api_handler handler;
    const char *query; // names of its parameters, separated by spaces; NULL = none
    bool streams;      // the handler reads the body itself, by pg_api_read
} pg_api_route;

/** How to serve. */
typedef struct pg_api_config {
    const char *socket_path;
    const pg_endpoint *tcp; // NULL: no TCP door
    pg_bytes token;         // of the TCP door, as text; borrowed as long as the API lives
    const pg_api_route *const *tables; // lists of routes, static; NULL at the end
    void *user;                        // given to every handler
} pg_api_config;

/** Serve. Parks: no.
 *  Errors: as pg_unix_listen and pg_tcp_listen; PG_ERR_NOMEM, PG_ERR_IO (libmicrohttpd would not start) */
PG_NODISCARD pg_err pg_api_new(const pg_api_config *config, pg_api **out_api);

/** Return where the TCP door is, with its real port; PG_IP_FAMILY_NONE where there is none. */
pg_endpoint pg_api_tcp(const pg_api *api);

/** What the server does and did. */
typedef struct pg_api_stats {
    uint64_t requests[4]; // answered, by class of status: 2xx, 3xx, 4xx, 5xx
    uint64_t running;     // being served
    uint64_t refused;     // at the door: no token, another host, another site
} pg_api_stats;

/** Cancel the requests being served, answer them, close the doors, free, and set *api to NULL. NULL is fine. Parks: yes. */
void pg_api_free(pg_api **api);

// ---- For handlers

/** Return what the server that a request came to does and did. */
pg_api_stats pg_api_call_stats(const pg_api_call *call);

/** Return a header of the request, or NULL. Borrowed until the next wait. */
const char *pg_api_header(const pg_api_call *call, const char *name);

/** Return the length that the client gave its body; UINT64_MAX where it did not. */
uint64_t pg_api_body_bytes(const pg_api_call *call);

/** Read the body: fill `space` or come to the end; *out_len may be short only there. Bytes are copied once, from where the library
 *  received them. Parks: yes.
 *  Errors: PG_ERR_RESET (the client is gone), PG_ERR_TIMEOUT (nothing came for PG_API_STREAM_IDLE_MS), PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_api_read(pg_api_call *call, pg_mut_bytes space, size_t *out_len);

/** Read what comes of the body until the deadline: *out_len may be short then too, and is 0 only at the end. Its client may be silent for
 *  PG_API_SOURCE_IDLE_MS. Parks: yes.
 *  Errors: PG_ERR_TIMEOUT (nothing came until then), as pg_api_read. */
PG_NODISCARD pg_err pg_api_read_until(pg_api_call *call, pg_mut_bytes space, pg_time deadline,
                                      size_t *out_len);

#define PG_API_LENGTH_UNKNOWN UINT64_MAX

/** Say how a streamed answer looks. Nothing is sent before the first pg_api_write, or the end of the handler with PG_OK.
 *  type     content type, static
 *  length   of the body that will be written; PG_API_LENGTH_UNKNOWN = it is sent in chunks */
void pg_api_answer(pg_api_call *call, const char *type, uint64_t length);

/** Add a header to a streamed answer, at most PG_API_HEADERS_MAX. `name` is static, `value` is copied. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_api_answer_header(pg_api_call *call, const char *name, const char *value);

/** Write the next bytes of the body: returns when they are the library's. Parks: yes.
 *  Errors: PG_ERR_RESET (the client is gone), PG_ERR_TIMEOUT (it took nothing for PG_API_STREAM_IDLE_MS), PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_api_write(pg_api_call *call, pg_bytes bytes);

/** Let a handler's document have another status than 200. */
void pg_api_status_set(pg_api_call *call, unsigned status);

/** Let a handler's failure have another status than pg_api_status gives, and return `err`. */
PG_NODISCARD pg_err pg_api_refuse(pg_api_call *call, unsigned status, pg_err err);

// ---- Problems

/** Return the HTTP status of an error: 400 for INVALID, 404 for NOT_FOUND, and so on; 500 for what fits nothing. */
unsigned pg_api_status(pg_err err);

/** Make the problem document of an error with its detail; NULL when memory is out. Owned by the caller.
 *  status   0 = pg_api_status(err) */
json_object *pg_api_problem(pg_err err, unsigned status, const char *detail);
