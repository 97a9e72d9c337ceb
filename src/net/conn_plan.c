// SPDX-License-Identifier: Apache-2.0
#include "net/conn_plan.h"

#include "net/limits.h"

// The weights, as the most each can add. Each outweighs all that come behind it together, but for use and age: what is
// old and unused is worth less than what is young and in use.
#define WORTH_KEPT 1000000
#define WORTH_USEFUL 1000 // times 0..100
#define WORTH_STREAM 3000 // times 0..STREAMS_COUNTED
#define STREAMS_COUNTED 8
#define WORTH_USE 10000
#define WORTH_AGE 5000
#define WORTH_NEAR 2000
#define WORTH_CHOSEN 1000

#define USE_NS PG_MINUTES(30)
#define AGE_NS PG_HOURS(24)
#define NEAR_NS PG_MS(500)
#define REDIAL_USE_NS PG_MINUTES(10)
#define ACQUAINTED_NS PG_MINUTES(1)

// `most` at 0, falling evenly to nothing at `span`.
static int64_t falling(int64_t value, int64_t span, int64_t most)
{
    if (value <= 0) {
        return most;
    }
    return value >= span ? 0 : most - (int64_t) ((__int128_t) most * value / span);
}

int64_t pg_conn_grade(const pg_conn_view *view)
{
    uint32_t useful =
        view->usefulness < PG_NET_USEFULNESS_MAX ? view->usefulness : PG_NET_USEFULNESS_MAX;
    uint32_t streams = view->streams < STREAMS_COUNTED ? view->streams : STREAMS_COUNTED;
    int64_t grade = view->is_kept ? WORTH_KEPT : 0;
    grade += (int64_t) useful * WORTH_USEFUL;
    grade += (int64_t) streams * WORTH_STREAM;
    grade += falling(view->idle_ns, USE_NS, WORTH_USE);
    grade += WORTH_AGE - falling(view->age_ns, AGE_NS, WORTH_AGE);
    grade += view->rtt_ns == 0 ? WORTH_NEAR / 2 : falling(view->rtt_ns, NEAR_NS, WORTH_NEAR);
    grade += view->is_outbound ? WORTH_CHOSEN : 0;
    return grade;
}

bool pg_conn_is_worth_redial(const pg_conn_view *view)
{
    bool is_used = view->idle_ns < REDIAL_USE_NS && view->age_ns - view->idle_ns >= ACQUAINTED_NS;
    bool is_in_use = view->streams > 0 && view->age_ns >= ACQUAINTED_NS;
    return view->usefulness > 0 || (view->is_outbound && (is_in_use || is_used));
}

// ---- letting go ----

static bool is_chosen(size_t index, const size_t *indices, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (indices[i] == index) {
            return true;
        }
    }
    return false;
}

size_t pg_conn_plan_trim(const pg_conn_view *views, size_t count, const pg_conn_marks *marks,
                         size_t *out_indices)
{
    size_t chosen = 0;
    size_t judged = 0;
    for (size_t i = 0; i < count; i++) {
        judged += views[i].age_ns >= marks->grace_ns ? 1U : 0U;
    }
    while (judged > marks->high + chosen && chosen < PG_NET_MANAGER_TRIMS_MAX) {
        size_t worst = count;
        int64_t worst_grade = 0;
        for (size_t i = 0; i < count; i++) {
            if (views[i].is_kept || views[i].age_ns < marks->grace_ns) {
                continue;
            }
            int64_t grade = pg_conn_grade(&views[i]);
            if ((worst == count || grade < worst_grade) && !is_chosen(i, out_indices, chosen)) {
                worst = i;
                worst_grade = grade;
            }
        }
        if (worst == count) {
            break; // all others must stay
        }
        out_indices[chosen] = worst;
        chosen++;
    }
    return chosen;
}

// ---- dialing ----

/** A plan being made: the room that is left shrinks with each peer chosen. */
typedef struct dial_plan {
    const pg_conn_marks *marks;
    pg_dial_room room;
} dial_plan;

static bool is_allowed(const dial_plan *plan, pg_dial_reason reason)
{
    const pg_conn_marks *marks = plan->marks;
    size_t taken = plan->room.connected + plan->room.dialing;
    switch (reason) {
    case PG_DIAL_REASON_KEPT:
        return true;
    case PG_DIAL_REASON_LOST:
        return taken < marks->high;
    case PG_DIAL_REASON_FOUND:
        return taken < ((size_t) marks->low + marks->high) / 2;
    case PG_DIAL_REASON_KNOWN:
        return taken < marks->low && plan->room.dialing_known < PG_NET_MANAGER_DIALS_KNOWN_MAX;
    case PG_DIAL_REASON_COUNT:
        break;
    }
    return false;
}

static pg_time due_of(const dial_plan *plan, const pg_dial_view *view)
{
    bool is_known = view->reason == PG_DIAL_REASON_KNOWN;
    return is_known && plan->room.known_due_at > view->due_at ? plan->room.known_due_at
                                                              : view->due_at;
}

static bool is_before(const pg_dial_view *a, const pg_dial_view *b)
{
    if (a->reason != b->reason) {
        return a->reason < b->reason;
    }
    return a->worth != b->worth ? a->worth > b->worth : a->due_at < b->due_at;
}

size_t pg_conn_plan_dial(const pg_dial_view *views, size_t count, const pg_dial_room *room,
                         const pg_conn_marks *marks, size_t *out_indices, pg_time *out_due_at)
{
    dial_plan plan = {.marks = marks, .room = *room};
    size_t chosen = 0;
    while (plan.room.dialing < PG_NET_MANAGER_DIALS_MAX) {
        const pg_dial_view *next = NULL;
        for (size_t i = 0; i < count; i++) {
            if (is_allowed(&plan, views[i].reason) && due_of(&plan, &views[i]) <= room->now &&
                (next == NULL || is_before(&views[i], next)) &&
                !is_chosen(i, out_indices, chosen)) {
                next = &views[i];
            }
        }
        if (next == NULL) {
            break;
        }
        out_indices[chosen] = (size_t) (next - views);
        chosen++;
        plan.room.dialing++;
        plan.room.dialing_known += next->reason == PG_DIAL_REASON_KNOWN ? 1U : 0U;
    }
    *out_due_at = PG_FOREVER;
    for (size_t i = 0; i < count; i++) {
        pg_time due_at = due_of(&plan, &views[i]);
        if (due_at > room->now && is_allowed(&plan, views[i].reason)) {
            *out_due_at = pg_earlier(*out_due_at, due_at);
        }
    }
    return chosen;
}
