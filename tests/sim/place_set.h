// SPDX-License-Identifier: Apache-2.0
// A host and two owners, each a machine, and the steps that scripts of placement share.
#pragma once

#include "place_world.h"

#define DAY_S UINT64_C(86400)
#define HOST (&w->host)

/** The world of one test. */
typedef struct world {
    place_node host;
    place_node owner;
    place_node other; // another owner
    place_extent extent;
    place_extent second;
    uint64_t freed_bytes;
    pg_place_stats stats;
} world;

// ---- Steps

static inline pg_err on_sweep(place_node *self, void *arg)
{
    world *w = arg;
    CHECK_OK(pg_place_server_sweep(self->server, &w->freed_bytes));
    place_check_account(self);
    return PG_OK;
}

static inline pg_err on_stats(place_node *self, void *arg)
{
    world *w = arg;
    w->stats = pg_place_server_get_stats(self->server);
    return PG_OK;
}

static inline void sweep(world *w)
{
    CHECK_OK(place_node_do(HOST, on_sweep, w));
    CHECK_OK(place_node_do(HOST, on_stats, w));
}

static inline pg_place_stats stats(world *w)
{
    CHECK_OK(place_node_do(HOST, on_stats, w));
    return w->stats;
}

static inline pg_err on_account(place_node *self, void *arg)
{
    (void) arg;
    place_check_account(self);
    return PG_OK;
}

// What was dropped is deleted in the background; then the account is that of the store again.
static inline void await_empty(world *w)
{
    while (stats(w).lease_bytes + w->stats.session_bytes > 0) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
    CHECK_OK(place_node_do(HOST, on_account, w));
}

static inline pg_err on_upload(place_node *self, void *arg)
{
    world *w = arg;
    return place_upload(self, HOST, &w->extent, 0x5, 100);
}

static inline pg_place_session *open_it(place_node *self, world *w)
{
    pg_place_session *session = NULL;
    CHECK_OK(place_open(self, HOST, &w->extent, &session));
    return session;
}

static inline void expect_slots(place_node *self, world *w, pg_slot_set slots, uint64_t sequence)
{
    pg_place_holding holding = {0};
    CHECK_OK(place_have(self, HOST, &w->extent, &holding));
    CHECK(holding.slots == slots && holding.has_descriptor == (slots != 0));
    CHECK(holding.sequence == sequence);
}

// Send a grant as it is, and tell what the host knows.
static inline pg_err send_grant(pg_place_session *session, const pg_buf *grant, pg_slot_set slots,
                                uint64_t *out_known)
{
    const pg_place_commit commit = {.grant = pg_buf_bytes(grant), .slots = slots};
    pg_lease_receipt receipt = {0};
    return pg_place_commit_send(session, &commit, pg_after(PG_SECONDS(60)), &receipt, NULL,
                                out_known);
}

static inline void world_make(world *w)
{
    memset(w, 0, sizeof(*w));
    place_node_make(&w->host, 1, true);
    place_node_make(&w->owner, 2, false);
    place_node_make(&w->other, 3, false);
    place_extent_make(&w->extent, 1, 4, 3, 10000);
    place_extent_make(&w->second, 2, 4, 3, 10000);
    CHECK(place_node_start(&w->host));
    CHECK(place_node_start(&w->owner));
    CHECK(place_node_start(&w->other));
}

static inline void world_end(world *w)
{
    CHECK_OK(
        pg_sleep_until(pg_after(PG_SECONDS(1)))); // what was being pushed is then there, or not
    CHECK_OK(place_node_do(HOST, on_account, w));
    place_node_stop(&w->owner);
    place_node_stop(&w->other);
    place_node_stop(&w->host);
    place_extent_free(&w->extent);
    place_extent_free(&w->second);
    place_node_free(&w->host);
    place_node_free(&w->owner);
    place_node_free(&w->other);
}

static inline void restart(world *w)
{
    place_node_stop(&w->host);
    CHECK(place_node_start(&w->host));
}

static inline pg_err on_drop(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    CHECK_OK(place_drop(session, &w->extent, 101));
    CHECK_OK(place_drop(session, &w->extent, 101)); // the answer may have been lost
    expect_slots(self, w, 0, 0);
    pg_place_session_free(&session);
    return PG_OK;
}
