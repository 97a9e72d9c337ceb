// SPDX-License-Identifier: Apache-2.0
// All limits of the room on one page. Who connects is a program of this machine, not a stranger: these bound accidents.
//
// Layer: api.  Thread: any.
#pragma once

#include <stdint.h>

// ---- Connections and requests

/** Connections to one door of the local API at once. */
#define PG_API_CONNECTIONS_MAX 128

/** Path and query of a request, bytes: the longest is a put with a name of 255 bytes, each in three characters. */
#define PG_API_URI_BYTES_MAX 4096

/** Parameters in a query; no route knows more than half as many. */
#define PG_API_PARAMS_MAX 16

/** Body of a request that is JSON, bytes. */
#define PG_API_BODY_BYTES_MAX 65536

/** Levels of nesting in JSON. */
#define PG_API_JSON_DEPTH_MAX 16

/** A connection on which nothing happens is closed. */
#define PG_API_IDLE_SECONDS 60

// ---- Streams

/** Memory of the library for one connection, bytes; half of it and more receives. A Unix socket holds 208 KiB: with twice as much here a put
 *  takes 10 % less CPU time and a new connection 60 % more, since the library clears all of it. */
#define PG_API_CONN_BYTES (256U * 1024)

/** What is taken of a streamed answer at once, bytes, while the handler makes the next. */
#define PG_API_REPLY_BYTES (256U * 1024)

/** A body of which nothing comes, or an answer of which nothing is taken, for so long is given up: a pipe may be slow, a video may pause. */
#define PG_API_STREAM_IDLE_MS (10 * 60 * 1000)

/** The same for what is being put: a log that is followed may be silent for hours, while its hosts keep what came before. */
#define PG_API_SOURCE_IDLE_MS (24 * 60 * 60 * 1000)

/** After a failure the rest of a body is read and dropped for so long, so that the client hears of it; then the connection is closed. */
#define PG_API_DRAIN_MS 5000

/** Headers of an answer that a route may add. */
#define PG_API_HEADERS_MAX 4

// ---- Events and transfers

/** Events kept for those who come back. */
#define PG_API_EVENTS_MAX 1024

/** The data of one event, bytes. */
#define PG_API_EVENT_BYTES_MAX 8192

/** Who listens to events at once. */
#define PG_API_LISTENERS_MAX 32

/** A listener hears at least a comment so often, which shows that the connection lives. */
#define PG_API_EVENTS_QUIET_MS 15000

/** Transfers that are remembered, and for how long after their end. */
#define PG_API_TRANSFERS_MAX 256
#define PG_API_TRANSFER_KEEP_MS (10 * 60 * 1000)

/** The id of a transfer, characters. */
#define PG_API_TRANSFER_ID_CHARS_MIN 8
#define PG_API_TRANSFER_ID_CHARS_MAX 64

/** Events about the progress of one transfer: one in so long. */
#define PG_API_TRANSFER_EVENT_MS 100

// ---- Traces

/** Spans that wait to be sent, and what one request carries of them. */
#define PG_API_TRACE_SPANS_MAX 2048
#define PG_API_TRACE_BATCH_MAX 512

/** Spans are sent so often, or when half of the room for them is taken; a collector has so long to take them. */
#define PG_API_TRACE_INTERVAL_MS 2000
#define PG_API_TRACE_TIMEOUT_MS 5000

// ---- Telemetry

/** A document, bytes: 25 fields, each a number or a word; and the URL it goes to. */
#define PG_API_TELEMETRY_BYTES_MAX 2048
#define PG_API_TELEMETRY_URL_BYTES_MAX 512

/** A collector has so long to take a document, which is sent so often at most before it is dropped. */
#define PG_API_TELEMETRY_TIMEOUT_MS 10000
#define PG_API_TELEMETRY_TRIES_MAX 3U

/** Documents that were sent are kept to be shown, the newest: two weeks of days. */
#define PG_API_TELEMETRY_KEPT_MAX 16

// ---- The TCP door

/** A token, bytes, and as base64url. */
#define PG_API_TOKEN_BYTES 32
#define PG_API_TOKEN_CHARS 43

// ---- Routes

/** Rounds of one ping request, and the pause between two of them. */
#define PG_API_PING_ROUNDS_MAX 1000
#define PG_API_PING_INTERVAL_MS_MAX 60000

/** A dial, a ping, a perf asked for over the API, unless the request names less. */
#define PG_API_DIAL_TIMEOUT_MS 30000
#define PG_API_PING_TIMEOUT_MS 10000
#define PG_API_PERF_TIMEOUT_MS (10 * 60 * 1000)

/** The longest time an invitation may hold, unless it holds for ever: ten years. */
#define PG_API_INVITE_SECONDS_MAX (UINT64_C(10) * 366 * 24 * 60 * 60)

/** After a dial: for the peer to tell what it is. */
#define PG_API_IDENTIFY_MS 5000

/** A block looked for, unless the request names another time, and the longest it may name. */
#define PG_API_BLOCK_TIMEOUT_MS 30000
#define PG_API_BLOCK_TIMEOUT_MS_MAX (10 * 60 * 1000)

/** Files of one page of their list. */
#define PG_API_PAGE_FILES_MAX 10000U

/** A page as text, or the list of pins, bytes: about 6,000 for a file whose name is as long as can be, with every byte escaped. */
#define PG_API_LIST_BYTES_MAX (64U << 20)

/** The metrics as text, bytes: about 150 families, and two lines for each kind of fiber. */
#define PG_API_METRICS_BYTES_MAX (256U << 10)

/** Extents that an inspected link tells of. */
#define PG_API_EXTENTS_MAX 1000

/** Lines of the log of repairs in one answer. */
#define PG_API_NOTES_MAX 20

/** A lookup in the DHTs asked for over the API. */
#define PG_API_DHT_TIMEOUT_MS_MAX (10 * 60 * 1000)

/** Blocks whose headers a quick look at the store reads. */
#define PG_API_DOCTOR_SAMPLE 256

/** Providers in one answer. */
#define PG_API_DHT_PROVIDERS_MAX 1000
