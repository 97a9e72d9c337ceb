// SPDX-License-Identifier: Apache-2.0
// A simulated network of nodes with a DHT each, for tests and benchmarks. A script makes it, gives nodes tasks, and reads
// what came of them. Each node has a public address in a /24 of its own, unless it is said to be a sybil.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "dht/dht.h"
#include "net/host.h"
#include "runtime/sim.h"

/** Fail at once: the fibers are many, and the seed is printed when the program aborts. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void) fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__,     \
                           #condition, pg_error_last()->text);                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_OK(expression) CHECK((expression) == PG_OK)

#define DHT_WORLD_PORT 4417

typedef struct dht_node dht_node;
typedef struct dht_world dht_world;

/** How a node serves. */
typedef enum dht_manner {
    DHT_MANNER_HONEST,
    DHT_MANNER_LIAR, // tells of peers that do not exist, right at the target, with addresses where nobody answers
    DHT_MANNER_SYBIL, // tells only of its kind, keeps nothing and knows of nothing
} dht_manner;

/** One node. The script reads what tasks leave in it. */
struct dht_node {
    dht_world *world;
    size_t index;
    pg_sim_machine *machine;
    pg_key seed;
    pg_peer_id id;
    pg_multiaddr addr;
    dht_manner manner;
    pg_host *host;
    pg_dht *dht;
    bool is_up;
    bool must_stop;
    pg_waitq wake;
    pg_err (*task)(dht_node *self, void *arg);
    void *task_arg;
    pg_err task_err;
    bool task_done;
};

/** Settings of a network. */
typedef struct dht_world_config {
    size_t nodes;
    bool is_null; // no cryptography on connections
    uint32_t
        connections; // a node has at most, with a manager that lets some go; 0 = the host's default, and none
    int64_t refresh_ns; // 0 = the default
    int64_t republish_ns;
    pg_dht_mode mode;
    unsigned liars_percent; // of the nodes
    bool is_trusting;       // all nodes without the defences
} dht_world_config;

/** A network. */
struct dht_world {
    dht_world_config config;
    pg_dht_validators validators;
    dht_node *nodes; // nodes[count]
    size_t count;
    size_t cap;
};

/** Make the nodes and start them, each knowing a few of those before it. Parks, in the script. `cap`: nodes it may ever have. */
void dht_world_make(dht_world *world, const dht_world_config *config, size_t cap);

/** Add one node, not started. */
dht_node *dht_world_add(dht_world *world);

/** Give a node that is not up its address: in a /24 of its own, or, with `subnets` not 0, in one of so many. */
void dht_node_place(dht_node *node, size_t subnets);

/** Choose the key of a node that is not up so that it shares at least `prefix` bits with a point: by trying. */
void dht_node_grind(dht_node *node, const pg_dht_key *target, unsigned prefix);

/** Start a node, or start it again after a crash, and let it meet `count` random others that are up. */
void dht_node_start(dht_node *node, size_t count);

/** Give a node a task, to be run in a fiber of its machine. */
void dht_node_begin(dht_node *node, pg_err (*task)(dht_node *self, void *arg), void *arg);

/** Wait for the task's end; PG_ERR_TIMEOUT when it takes longer. */
pg_err dht_node_end(dht_node *node, int64_t within_ns);

/** Begin and end a task. */
pg_err dht_node_do(dht_node *node, pg_err (*task)(dht_node *self, void *arg), void *arg,
                   int64_t within_ns);

/** Return a random node that is up, honest, and has no task. */
dht_node *dht_world_random(dht_world *world);

/** Sum what all nodes that are up did. */
pg_dht_stats dht_world_stats(const dht_world *world);

/** Stop all and free. */
void dht_world_end(dht_world *world);
