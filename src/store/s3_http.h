// SPDX-License-Identifier: Apache-2.0
// One HTTP exchange with an S3-compatible store, by libcurl, which has sockets of its own: it runs on a thread that may wait.
//
// Layer: store, private.  Thread: a worker's, one exchange at a time.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "store/s3_sign.h"

/** What all exchanges have in common. Borrowed, and the same from any thread. */
typedef struct pg_s3_line {
    const char *proxy;         // NULL = none, whatever the environment says
    const char *ca_file;       // NULL = those of the system
    uint32_t timeout_ms;       // of one exchange
    const atomic_bool *ending; // true: exchanges end at once with PG_ERR_CANCELLED
} pg_s3_line;

/** One exchange. */
typedef struct pg_s3_exchange {
    const char *method; // GET, HEAD, PUT or DELETE
    const char *url;
    const char *const *headers; // headers[header_count], "Name: value"
    size_t header_count;
    pg_bytes body;       // of a PUT
    pg_buf *out;         // the answer's body, when the status is 2xx; its max_len bounds it
    pg_buf trouble;      // the body of another answer, cut at a bound; the caller frees it
    long status;         // of HTTP; 0 = there was no answer
    int64_t content_len; // that the answer told; -1 = none
} pg_s3_exchange;

/** Make a handle, which keeps its connection between exchanges. NULL when memory is out. Free with pg_s3_handle_free. */
void *pg_s3_handle_new(void);

/** Free a handle and close its connection. NULL is fine. */
void pg_s3_handle_free(void *handle);

/** Do one exchange. PG_OK when there was a whole answer, whatever it says.
 *  Errors: PG_ERR_UNREACHABLE, PG_ERR_TIMEOUT, PG_ERR_AUTH (the certificate), PG_ERR_LIMIT (the answer is longer than `out` may be), PG_ERR_TRUNCATED,
 *  PG_ERR_CANCELLED, PG_ERR_NOMEM; the detail has no address but the one that was configured. */
PG_NODISCARD pg_err pg_s3_exchange_run(void *handle, const pg_s3_line *line,
                                       pg_s3_exchange *exchange);
