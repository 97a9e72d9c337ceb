// SPDX-License-Identifier: Apache-2.0
// What the connection manager decides: how much a peer is worth, whom to let go beyond the high-water mark, whom to dial below
// the low one. Pure: all that counts is in the arguments. Not for: doing it (conn_manager.h).
//
// Layer: net.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/time.h"

/** The most a peer can be judged useful. */
#define PG_NET_USEFULNESS_MAX 100

/** What is known of a peer that is connected. */
typedef struct pg_conn_view {
    bool is_kept;        // must stay: configured, or wished by a service
    bool is_outbound;    // we chose it
    uint32_t usefulness; // 0..PG_NET_USEFULNESS_MAX, as the services judge
    uint32_t streams;    // open now, either way
    int64_t age_ns;      // of its oldest connection
    int64_t idle_ns;     // since a stream was opened or ended
    int64_t rtt_ns;      // 0 = not known
} pg_conn_view;

/** Return what a peer is worth; more is better. A kept one is above all others; then counts, in this order: usefulness, streams
 *  open, use in the last half hour, age up to a day, nearness. */
int64_t pg_conn_grade(const pg_conn_view *view);

/** Return true when a peer whose last connection was lost should be dialed again: it was useful, or we had chosen it and it was used
 *  lately, for more than getting acquainted. Those who called us come back by themselves, and may have told us any address. */
bool pg_conn_is_worth_redial(const pg_conn_view *view);

/** How many connected peers are wanted. */
typedef struct pg_conn_marks {
    uint32_t low;  // below it known peers are dialed
    uint32_t high; // beyond it peers are let go
    int64_t
        grace_ns; // a younger connection is not judged yet: it neither goes nor displaces another
} pg_conn_marks;

/** Choose whom to let go: as many of those past their time of grace as are beyond the high-water mark, the least worth first, never a
 *  kept one.
 *  out_indices   [PG_NET_MANAGER_TRIMS_MAX], places in `views`
 *  Returns how many. Cost: O(count * result). */
size_t pg_conn_plan_trim(const pg_conn_view *views, size_t count, const pg_conn_marks *marks,
                         size_t *out_indices);

/** Why a peer would be dialed, the most urgent first. */
typedef enum pg_dial_reason {
    PG_DIAL_REASON_KEPT,  // it must be connected
    PG_DIAL_REASON_LOST,  // it was, and is worth it: up to the high-water mark
    PG_DIAL_REASON_FOUND, // it is near, or a service told of it: up to the middle between the marks
    PG_DIAL_REASON_KNOWN, // it is in the book: up to the low-water mark
    PG_DIAL_REASON_COUNT,
} pg_dial_reason;

/** A peer that may be dialed. */
typedef struct pg_dial_view {
    pg_dial_reason reason;
    int64_t worth;  // among those of one reason, more first
    pg_time due_at; // not before
} pg_dial_view;

/** What is going on. */
typedef struct pg_dial_room {
    size_t connected;     // peers
    size_t dialing;       // dials in progress
    size_t dialing_known; // of these, to peers merely known
    pg_time known_due_at; // no peer merely known is dialed before
    pg_time now;
} pg_dial_room;

/** Choose whom to dial now: by urgency, then worth, within PG_NET_MANAGER_DIALS_MAX; what is being dialed counts as connected.
 *  out_indices   [PG_NET_MANAGER_DIALS_MAX], places in `views`
 *  out_due_at    when the first of the others that the marks allow is due; PG_FOREVER when none is
 *  Returns how many. Cost: O(count * result). */
size_t pg_conn_plan_dial(const pg_dial_view *views, size_t count, const pg_dial_room *room,
                         const pg_conn_marks *marks, size_t *out_indices, pg_time *out_due_at);
