// SPDX-License-Identifier: Apache-2.0
// A document on its way to a collector: one POST over HTTP by libcurl, which says nothing but the document: no name of the program, no
// cookie, no user; redirects are not followed. Proxies are those of the environment (https_proxy, http_proxy, no_proxy).
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"

typedef struct pg_telemetry_sender pg_telemetry_sender;

/** Check the URL of a collector: https, or http on this machine (127.0.0.1, [::1], localhost); no user name or password in it; printable, at most
 *  PG_API_TELEMETRY_URL_BYTES_MAX bytes. Thread: any. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_telemetry_url_check(pg_str url);

/** Begin, with a thread of its own. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT, PG_ERR_IO (libcurl would not start). */
PG_NODISCARD pg_err pg_telemetry_sender_new(pg_telemetry_sender **out_sender);

/** Send a document, once, for PG_API_TELEMETRY_TIMEOUT_MS at most; it is over at return, cancelled or not. Parks: yes.
 *  sender   a pg_telemetry_sender
 *  Errors: PG_ERR_UNREACHABLE, PG_ERR_REFUSED (an answer other than 2xx), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_telemetry_send(const char *url, pg_bytes document, void *sender);

/** End, free, and set *sender to NULL. NULL is fine. Parks: yes. */
void pg_telemetry_sender_free(pg_telemetry_sender **sender);
