// SPDX-License-Identifier: Apache-2.0
// Whole nodes by the hundred on simulated machines, each as the program builds it (node/storage.h, discovery.h, finder.h), without
// cryptography on connections. A script makes them, starts and stops them, and gives them tasks. Each has a public address in a /24 of its
// own. Not for: a dozen nodes that are to be watched closely (files_world.h).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "crypto/keystore.h"
#include "net/host.h"
#include "node/config.h"
#include "node/discovery.h"
#include "node/finder.h"
#include "node/storage.h"
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

#define TOWN_PORT 4417
#define TOWN_INTRODUCERS 3 // whom a newcomer has in its list
#define TOWN_SETTINGS_MAX 24

typedef struct town town;
typedef struct town_node town_node;

/** Something a node does in a fiber of its own machine. */
typedef pg_err (*town_task)(town_node *self, void *arg);

/** One machine, and the node on it while it is up. */
struct town_node {
    town *town;
    size_t index;
    pg_sim_machine *machine;
    pg_keystore_seeds seeds;
    pg_peer_id id;
    pg_multiaddr addr;
    bool is_up;
    bool must_stop;
    pg_host *host; // of the life that runs, as the two below
    pg_storage *storage;
    pg_discovery *discovery;
    pg_waitq wake;
    town_task task;
    void *task_arg;
    pg_err task_err;
    bool task_done;
};

/** Settings. */
typedef struct town_config {
    size_t nodes;                            // machines, not started
    const char *settings[TOWN_SETTINGS_MAX]; // "section.key=value" of every node
    size_t setting_count;
} town_config;

struct town {
    town_config config;
    town_node *nodes; // [config.nodes]
    size_t started;   // ever
};

/** Make the machines. */
void town_make(town *self, const town_config *config);

/** Start a node, and return when it is up. It knows a few of those that are up. Parks, in the script. */
void town_node_start(town_node *node);

/** Start nodes [first, first + count) some at a time. */
void town_nodes_start(town *self, size_t first, size_t count);

/** Stop a node in good order. */
void town_node_stop(town_node *node);

/** Pull the plug. */
void town_node_crash(town_node *node);

/** Give a node that is up a task, to be run in a fiber of its machine. */
void town_begin(town_node *node, town_task task, void *arg);

/** Wait for its end. PG_ERR_TIMEOUT when it takes longer. */
pg_err town_end(town_node *node, int64_t within_ns);

/** Both. */
pg_err town_do(town_node *node, town_task task, void *arg, int64_t within_ns);

/** Return a random node that is up and has no task. */
town_node *town_random(town *self);

/** Return how many are up. */
size_t town_up(const town *self);

/** Stop all and free. */
void town_deinit(town *self);
