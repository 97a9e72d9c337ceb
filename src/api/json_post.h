// SPDX-License-Identifier: Apache-2.0
// JSON that is posted to a collector, by libcurl on a thread: the collector may take its time.
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/offload.h"

/** What is posted where. All of it is borrowed. */
typedef struct pg_json_post_request {
    const char *url; // http or https; checked by the caller
    pg_bytes body;
    uint32_t timeout_ms; // of all of it
    bool is_direct;      // past the proxies that the environment names
} pg_json_post_request;

/** Post it, and nothing that names this node: no user agent, no password out of a file, no redirect followed. curl_global_init was called.
 *  Errors: PG_ERR_UNREACHABLE, PG_ERR_REFUSED (another status than 2xx, named), PG_ERR_NOMEM, those of pg_worker_call. Parks: yes. */
PG_NODISCARD pg_err pg_json_post(pg_worker *worker, const pg_json_post_request *request);
