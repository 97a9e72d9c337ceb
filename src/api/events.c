// SPDX-License-Identifier: Apache-2.0
#include "api/events.h"

#include "api/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "runtime/fiber.h"

/** One event; `id` 0 where there is none. */
typedef struct event {
    uint64_t id;
    const char *kind;
    pg_buf data;
} event;

struct pg_events {
    event ring[PG_API_EVENTS_MAX]; // event i at i % PG_API_EVENTS_MAX
    uint64_t first_id;             // of this run
    uint64_t next_id;
    size_t listeners;
    pg_waitq waiters;
};

pg_err pg_events_new(uint64_t first_id, pg_events **out_events)
{
    pg_events *events = PG_NEW(pg_events);
    if (events == NULL) {
        return PG_ERR_NOMEM;
    }
    events->first_id = first_id;
    events->next_id = first_id;
    pg_waitq_init(&events->waiters);
    *out_events = events;
    return PG_OK;
}

void pg_events_free(pg_events **events)
{
    if (*events == NULL) {
        return;
    }
    pg_assert((*events)->listeners == 0);
    for (size_t i = 0; i < PG_API_EVENTS_MAX; i++) {
        pg_buf_deinit(&(*events)->ring[i].data);
    }
    pg_mfree(*events);
    *events = NULL;
}

void pg_events_publish(pg_events *events, const char *kind, pg_bytes data)
{
    event *place = &events->ring[events->next_id % PG_API_EVENTS_MAX];
    pg_buf_clear(&place->data);
    place->kind = kind;
    place->data.max_len = PG_API_EVENT_BYTES_MAX;
    place->id = pg_buf_append(&place->data, data) == PG_OK ? events->next_id : 0;
    events->next_id++;
    pg_waitq_wake_all(&events->waiters);
}

bool pg_events_has_listeners(const pg_events *events)
{
    return events->listeners > 0;
}

uint64_t pg_events_listeners(const pg_events *events)
{
    return events->listeners;
}

pg_err pg_events_listen(pg_events *events, uint64_t last_id, pg_events_listener *out_listener)
{
    if (events->listeners == PG_API_LISTENERS_MAX) {
        return pg_fail(PG_ERR_BUSY, "there are %d listeners already", PG_API_LISTENERS_MAX);
    }
    events->listeners++;
    uint64_t next_id = last_id == 0 ? events->next_id : last_id + 1;
    *out_listener = (pg_events_listener){events, next_id > events->next_id ? 0 : next_id};
    return PG_OK;
}

static uint64_t tail_of(const pg_events *events)
{
    uint64_t kept = events->next_id - events->first_id;
    return kept > PG_API_EVENTS_MAX ? events->next_id - PG_API_EVENTS_MAX : events->first_id;
}

pg_err pg_events_next(pg_events_listener *listener, pg_time deadline, pg_buf *out)
{
    pg_events *events = listener->events;
    bool has_gap = false;
    for (;;) {
        uint64_t tail = tail_of(events);
        if (listener->next_id < tail) {
            listener->next_id = tail;
            has_gap = true;
        }
        if (listener->next_id < events->next_id) {
            const event *found = &events->ring[listener->next_id % PG_API_EVENTS_MAX];
            if (found->id == listener->next_id) {
                break;
            }
            listener->next_id++; // left out
            has_gap = true;
        } else if (has_gap) {
            break; // told at once, though nothing else is to be told
        } else {
            PG_TRY(pg_waitq_wait(&events->waiters, deadline));
        }
    }
    if (has_gap) {
        PG_TRY(pg_buf_printf(out, "id: %llu\nevent: gap\ndata: {\"next_id\":%llu}\n\n",
                             (unsigned long long) (listener->next_id - 1),
                             (unsigned long long) listener->next_id));
    }
    if (listener->next_id < events->next_id) {
        const event *found = &events->ring[listener->next_id % PG_API_EVENTS_MAX];
        PG_TRY(pg_buf_printf(out, "id: %llu\nevent: %s\ndata: ", (unsigned long long) found->id,
                             found->kind));
        PG_TRY(pg_buf_append(out, pg_buf_bytes(&found->data)));
        PG_TRY(pg_buf_append(out, PG_BYTES_LIT("\n\n")));
        listener->next_id++;
    }
    return PG_OK;
}

void pg_events_leave(pg_events_listener *listener)
{
    if (listener->events != NULL) {
        listener->events->listeners--;
        *listener = (pg_events_listener){0};
    }
}
