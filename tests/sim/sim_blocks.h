// SPDX-License-Identifier: Apache-2.0
// Machines with a host, a block store and Bitswap, for simulated scenarios of the exchange; and peers without Bitswap that speak it by
// hand, to do what ours never does. A script gives a machine tasks, which run in a fiber of it.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec/frame.h"
#include "crypto/hash.h"
#include "exchange/bitswap.h"
#include "exchange/bitswap_msg.h"
#include "exchange/limits.h"
#include "net/framed.h"
#include "net/host.h"
#include "runtime/random.h"
#include "sim_test.h"

/** Fail at once: a scenario's fibers are many, and the seed is printed when the program aborts. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void) fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__,     \
                           #condition, pg_error_last()->text);                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_OK(expression) CHECK((expression) == PG_OK)

#define SIM_NODES_MAX 24
#define SIM_PORT 4417

/** One machine. What it points to is there while it is up. */
typedef struct sim_node {
    pg_sim_machine *machine;
    size_t number;
    pg_key seed;
    pg_peer_id id;
    pg_multiaddr addr;
    pg_host *host;
    pg_block_store *store;
    pg_bitswap *bitswap;      // NULL when it speaks by hand
    pg_bitswap **own_bitswap; // to end it before the machine ends
    struct sim_nodes *all;
    bool is_up;
    bool stop;
    bool by_hand;
    pg_net_handler handler; // by_hand: of streams of PG_BITSWAP_ID
    pg_err (*task)(struct sim_node *self);
    pg_err task_err;
    bool task_done;
    void *user;
} sim_node;

/** The world of one seed. */
typedef struct sim_nodes {
    sim_node nodes[SIM_NODES_MAX];
    size_t count;
} sim_nodes;

// ---- Blocks of known content

/** Fill a block: its content is determined by its number and length. */
static inline void sim_block_fill(uint64_t number, pg_mut_bytes out)
{
    uint64_t state = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < out.len; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out.ptr[i] = (uint8_t) (state >> 56);
    }
}

/** Make a block and its CID: even numbers by BLAKE3, odd ones by SHA-256. Freed by the caller. */
static inline pg_buf sim_block_make(uint64_t number, size_t len, pg_cid *out_cid)
{
    pg_buf block = {0};
    uint8_t *space = NULL;
    CHECK_OK(pg_buf_extend(&block, len, &space));
    sim_block_fill(number, (pg_mut_bytes){space, len});
    pg_bytes bytes = pg_buf_bytes(&block);
    *out_cid = number % 2 == 0 ? pg_cid_of_blake3(bytes) : pg_cid_of_sha256(bytes);
    return block;
}

/** Put a block into the store of a machine. Run on it. */
static inline pg_cid sim_block_put(sim_node *self, uint64_t number, size_t len)
{
    pg_cid cid;
    pg_buf block = sim_block_make(number, len, &cid);
    CHECK_OK(pg_block_store_put(self->store, &cid, pg_buf_bytes(&block)));
    pg_buf_deinit(&block);
    return cid;
}

/** Return the CID of a block. */
static inline pg_cid sim_block_cid(uint64_t number, size_t len)
{
    pg_cid cid;
    pg_buf block = sim_block_make(number, len, &cid);
    pg_buf_deinit(&block);
    return cid;
}

// ---- Machines

/** What one start of a machine owns. A crashed one ends as a ghost, when the next may run already: nothing is shared. */
typedef struct sim_life {
    pg_identity identity;
    pg_host *host;
    pg_block_store *store;
    pg_bitswap *bitswap;
} sim_life;

static inline pg_err sim_life_serve(sim_life *own, sim_node *self)
{
    static const pg_key key = {.bytes = {7}};
    if (self->by_hand) {
        const pg_net_protocol protocol = {PG_BITSWAP_ID, self->handler, self, 0};
        return self->handler == NULL ? PG_OK : pg_host_serve(own->host, &protocol);
    }
    const pg_block_store_config config = {
        .dir = "/blocks", .quota_bytes = UINT64_C(1) << 30, .key = &key};
    PG_TRY(pg_block_store_open(&config, &own->store));
    return pg_bitswap_new(own->host, own->store, &own->bitswap);
}

static inline pg_err sim_life_begin(sim_life *own, sim_node *self)
{
    const uint8_t any[4] = {0};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, SIM_PORT);
    PG_TRY(pg_identity_init(&own->identity, &self->seed));
    const pg_host_config config = pg_host_config_default(&own->identity);
    PG_TRY(pg_host_new(&config, &own->host));
    PG_TRY(sim_life_serve(own, self));
    PG_TRY(pg_host_listen(own->host, &listen));
    pg_endpoint at = pg_sim_machine_endpoint(self->machine);
    self->addr = pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_TCP, SIM_PORT);
    self->host = own->host;
    self->store = own->store;
    self->bitswap = own->bitswap;
    self->own_bitswap = &own->bitswap;
    self->id = own->identity.peer_id;
    self->is_up = true;
    return PG_OK;
}

// The first fiber of a machine: runs tasks until it is told to stop.
static inline pg_err sim_node_main(void *arg)
{
    sim_node *self = arg;
    sim_life own = {.host = NULL};
    pg_err err = sim_life_begin(&own, self);
    while (err == PG_OK && !self->stop) {
        if (self->task != NULL && !self->task_done) {
            self->task_err = self->task(self);
            self->task_done = true;
        }
        err = pg_sleep_until(pg_after(PG_MS(20)));
    }
    pg_fiber_shield(true);
    pg_bitswap_free(&own.bitswap);
    pg_block_store_close(&own.store);
    if (own.host != NULL) {
        pg_host_close(own.host, pg_after(PG_SECONDS(5)));
    }
    pg_host_free(&own.host);
    pg_identity_deinit(&own.identity);
    pg_fiber_shield(false);
    return err;
}

/** Start a machine, for the first time or again, and wait until it is up. */
static inline void sim_node_start(sim_node *self)
{
    self->stop = false;
    self->is_up = false;
    self->task = NULL;
    CHECK_OK(pg_sim_machine_start(self->machine, "sim.node", sim_node_main, self));
    while (!self->is_up) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    }
}

/** Make `count` machines; those from `by_hand_from` on speak by hand and give streams to `handler` (NULL = they serve none). */
static inline void sim_nodes_make(sim_nodes *all, size_t count, size_t by_hand_from,
                                  pg_net_handler handler)
{
    memset(all, 0, sizeof(*all));
    CHECK(count <= SIM_NODES_MAX);
    all->count = count;
    for (size_t i = 0; i < count; i++) {
        sim_node *self = &all->nodes[i];
        self->all = all;
        self->number = i;
        self->by_hand = i >= by_hand_from;
        self->handler = handler;
        memset(self->seed.bytes, (int) i + 1, sizeof(self->seed.bytes));
        CHECK_OK(pg_sim_machine_new(&self->machine));
        sim_node_start(self);
    }
}

/** Stop all machines that are up. */
static inline void sim_nodes_stop(sim_nodes *all)
{
    for (size_t i = 0; i < all->count; i++) {
        all->nodes[i].stop = true;
    }
    for (size_t i = 0; i < all->count; i++) {
        if (all->nodes[i].is_up) {
            CHECK_OK(pg_sim_machine_join(all->nodes[i].machine, pg_after(PG_SECONDS(60))));
        }
    }
}

/** Let a machine run a task. */
static inline void sim_task_begin(sim_node *self, pg_err (*task)(sim_node *))
{
    self->task_done = false;
    self->task = task;
}

/** Wait for the end of a task: its result, or PG_ERR_TIMEOUT. */
static inline pg_err sim_task_end(sim_node *self, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    while (!self->task_done && pg_now() < deadline) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
    return self->task_done ? self->task_err : PG_ERR_TIMEOUT;
}

/** Let a machine run a task, and wait for it. */
static inline pg_err sim_task_run(sim_node *self, pg_err (*task)(sim_node *))
{
    sim_task_begin(self, task);
    return sim_task_end(self, PG_MINUTES(10));
}

/** Know the address of another machine. Run on `self`. */
static inline void sim_node_meet(sim_node *self, const sim_node *other)
{
    CHECK_OK(pg_host_learn(self->host, &other->id, &other->addr, PG_BOOK_SOURCE_GIVEN, PG_FOREVER));
}

/** Be connected with another machine, and know its protocols. Run on `self`. */
static inline pg_err sim_node_connect(sim_node *self, const sim_node *other)
{
    pg_id conn = 0;
    const pg_dial_options options = {.eager = true};
    sim_node_meet(self, other);
    PG_TRY(pg_host_connect(self->host, &other->id, &options, pg_after(PG_SECONDS(60)), &conn));
    return pg_host_await_identify(self->host, conn, pg_after(PG_SECONDS(60)));
}

/** Wait until a condition holds, for at most a minute. For conditions that another fiber makes true. */
#define SIM_AWAIT(condition)                                                                       \
    do {                                                                                           \
        pg_time sim_until = pg_after(PG_MINUTES(1));                                               \
        while (!(condition)) {                                                                     \
            CHECK(pg_now() < sim_until);                                                           \
            CHECK_OK(pg_sleep_until(pg_after(PG_MS(5))));                                          \
        }                                                                                          \
    } while (0)
