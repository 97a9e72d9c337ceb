// SPDX-License-Identifier: Apache-2.0
// The local door: HTTP/1.1 with JSON on a Unix socket (mode 0600), by libmicrohttpd, whose descriptor our loop waits on. A
// request is suspended there and served in a fiber of its own. Errors are problem+json (RFC 9457) made of the error record.
// Not for: what a route does (routes.h).
//
// Layer: api.  Thread: loop thread only.  Not in a simulated run.
#pragma once

#include <stddef.h>

#include <json-c/json_object.h>

#include "base/attr.h"
#include "base/err.h"

typedef struct pg_api pg_api;

/** A request being served. Borrowed. */
typedef struct pg_api_request {
    const char *path;
    json_object *body; // what was sent, an object; an empty one when nothing was
    void *user;        // of the route
} pg_api_request;

/** Serve one request, in a fiber of its own: *out_body, owned by the server then, is the answer with status 200. An error becomes a
 *  problem document. May park. */
typedef pg_err (*pg_api_handler)(const pg_api_request *request, json_object **out_body);

/** One route. A list of them ends with `path` NULL. */
typedef struct pg_api_route {
    const char *method; // "GET", "POST"
    const char *path;
    pg_api_handler handler;
} pg_api_route;

/** Serve `routes` (static) at a Unix socket. Parks: no.
 *  user    given to every handler
 *  Errors: as pg_unix_listen; PG_ERR_NOMEM, PG_ERR_IO (libmicrohttpd would not start) */
PG_NODISCARD pg_err pg_api_new(const char *socket_path, const pg_api_route *routes, void *user,
                               pg_api **out_api);

/** Cancel the requests being served, answer them, close the socket, free, and set *api to NULL. NULL is fine. Parks: yes. */
void pg_api_free(pg_api **api);

/** Return the HTTP status of an error: 400 for INVALID, 404 for NOT_FOUND, and so on; 500 for what fits nothing. */
unsigned pg_api_status(pg_err err);

/** Make the problem document of an error with its detail; NULL when memory is out. Owned by the caller. */
json_object *pg_api_problem(pg_err err, const char *detail);
