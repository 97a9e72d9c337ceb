// SPDX-License-Identifier: Apache-2.0
// News for whoever listens: a ring of the last events, each with a number that only grows, also over restarts of the node. A listener
// is a place in it: who is too slow for the ring goes on at its tail and is told that there was a gap. Not for: HTTP (routes_events.c).
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/time.h"

typedef struct pg_events pg_events;

/** Make an empty ring whose first event will have the number `first_id`, at least 1: the wall clock in milliseconds grows faster than
 *  events come. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_events_new(uint64_t first_id, pg_events **out_events);

/** Free, and set *events to NULL. Nobody may listen any more. NULL is fine. */
void pg_events_free(pg_events **events);

/** Add an event and wake who listens. One that is too long, or for which memory is out, is left out, which shows as a gap. Parks: no.
 *  kind   static
 *  data   one line of JSON, at most PG_API_EVENT_BYTES_MAX; copied */
void pg_events_publish(pg_events *events, const char *kind, pg_bytes data);

/** Return true when somebody listens: else nobody need make the data of an event that only tells how something goes on. */
bool pg_events_has_listeners(const pg_events *events);

/** Return how many listen. */
uint64_t pg_events_listeners(const pg_events *events);

/** A place in the ring. */
typedef struct pg_events_listener {
    pg_events *events;
    uint64_t next_id;
} pg_events_listener;

/** Listen: after the event `last_id` where that was seen, else to what comes from now on (0). One from the future, or from before the ring, begins
 *  at the ring's tail, with a gap. End with pg_events_leave. Errors: PG_ERR_BUSY at PG_API_LISTENERS_MAX. */
PG_NODISCARD pg_err pg_events_listen(pg_events *events, uint64_t last_id,
                                     pg_events_listener *out_listener);

/** Wait for the next event and write it as server-sent events have it ("id: 7\nevent: peer\ndata: {..}\n\n"), appended to `out`; after a gap an event
 *  "gap" comes first. Parks: yes.
 *  Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_events_next(pg_events_listener *listener, pg_time deadline, pg_buf *out);

/** Listen no more. All-zero is fine. */
void pg_events_leave(pg_events_listener *listener);
