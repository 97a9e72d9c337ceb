// SPDX-License-Identifier: Apache-2.0
// One exchange with a client. The library calls with what it has of a request: its target, its head, parts of its body, its end. The
// handler's fiber meets it here: what the fiber wants of the body is copied straight to where it wants it, what it writes straight to
// where the library sends it from. Who comes first waits: the fiber parks, the connection is suspended.
//
//      NEW --(head, call_open)--> HEAD --(fiber wants the body, or has answered)--> BODY --(end)--> WHOLE --(answer)--> REPLY
//
// Without a body HEAD leads to WHOLE at once. An answer is queued in WHOLE; in HEAD only where the client waits for leave to send the
// body. In BODY the library takes none: what is left of the body is read and dropped for a while, then the connection is closed.
//
// Layer: api, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microhttpd.h>

#include "api/server.h"
#include "runtime/fiber.h"
#include "runtime/foreign.h"

typedef enum call_state {
    CALL_STATE_NEW,
    CALL_STATE_HEAD,
    CALL_STATE_BODY,
    CALL_STATE_WHOLE,
    CALL_STATE_REPLY,
} call_state;

typedef enum answer_state {
    ANSWER_STATE_NONE,
    ANSWER_STATE_SHAPED,   // pg_api_answer was called, nothing written
    ANSWER_STATE_DOCUMENT, // JSON, whole
    ANSWER_STATE_STREAM,   // more may come
    ANSWER_STATE_ENDED,    // a stream that is whole
    ANSWER_STATE_FAILED,   // a stream that is not
} answer_state;

typedef struct answer_header {
    const char *name;
    char *value;
} answer_header;

/** Where requests come in. */
typedef struct api_door {
    pg_api *api;
    bool is_open_to_all; // over TCP: who comes has to show something
    struct MHD_Daemon *daemon;
    pg_listener *listener;
    pg_foreign *events; // the library's epoll descriptor
    bool is_poked;      // a connection was resumed, which no event tells
} api_door;

struct pg_api {
    pg_api_config config;
    pg_endpoint tcp;
    api_door doors[2]; // the Unix socket, TCP
    bool is_stopping;
    pg_api_stats stats;
    pg_scope calls;
    pg_scope loops;
};

struct pg_api_call {
    pg_api *api;
    api_door *door;
    struct MHD_Connection *connection; // NULL once the library is done with it
    const pg_api_route *route;
    const char *param;
    pg_uri uri;
    pg_err uri_err; // that it could not be read is told when the head is here
    call_state state;
    unsigned refs; // the library's, the fibers'
    bool is_suspended;
    bool has_body;
    bool expects_leave; // "Expect: 100-continue"
    uint64_t body_bytes;
    pg_scope scope;   // the handler's fiber
    pg_foreign *line; // tells of a client that hangs up; freed by the handler, at its end

    // The body: where the fiber wants it, how much is there.
    pg_mut_bytes space;
    size_t space_len;
    bool is_wanted; // the fiber has asked for the body
    pg_waitq reader;
    pg_time drain_until;

    // The answer.
    answer_state answer;
    unsigned status; // 0 = not decided
    json_object *document;
    const char *type;
    uint64_t length;
    answer_header headers[PG_API_HEADERS_MAX];
    size_t header_count;
    pg_bytes rest; // of what the fiber writes
    pg_waitq writer;
};

/** Make the exchange of a request whose target was read; NULL when memory is out. */
pg_api_call *call_new(api_door *door, const char *target);

/** Go on: the library has `*data_len` bytes of the body, or has come to the end of the head or of the body. MHD_NO closes the connection. */
enum MHD_Result call_step(pg_api_call *call, struct MHD_Connection *connection, const char *method,
                          const char *data, size_t *data_len);

/** Hear that the library is done with the exchange. */
void call_leave(pg_api_call *call, bool is_complete);
