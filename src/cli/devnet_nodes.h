// SPDX-License-Identifier: Apache-2.0
// The nodes of a network on this machine: real processes of this program on loopback, each with a data folder and a log, all
// connected with all.
//
// Layer: cli.  Thread: loop thread only; all calls may park but those that return at once.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "cli/output.h"
#include "crypto/peer_id.h"
#include "runtime/fiber.h"
#include "runtime/process.h"

/** The most nodes: each names all before it in its list of peers (node/config.h). */
#define PG_DEVNET_NODES_MAX 64

typedef struct pg_devnet pg_devnet;

/** One node. */
typedef struct pg_devnet_node {
    pg_devnet *net;
    size_t index; // from 1
    pg_process *process;
    pg_buf data; // its folder, and below it the others, each with a NUL behind
    pg_buf log;
    pg_buf peer_id;
    pg_buf addr;
    bool has_ended;
    int status; // then: exit code, or 128 + the signal
} pg_devnet_node;

/** A network. All-zero: none. */
struct pg_devnet {
    const pg_output *output;
    pg_buf folder;               // that holds the nodes' folders
    pg_buf program;              // this one
    const char *const *settings; // settings[setting_count], "section.key=value" for every node
    size_t setting_count;
    uint64_t base_port; // 0 = free ones
    pg_devnet_node nodes[PG_DEVNET_NODES_MAX];
    size_t count; // started
    size_t alive;
    bool is_stopping;
    pg_scope watchers; // a fiber for each node's end
    pg_waitq changed;  // somebody ended
};

/** Prepare a network in `folder`, which is there. The caller has set output, settings and base_port. End it with pg_devnet_stop. */
PG_NODISCARD pg_err pg_devnet_init(pg_devnet *net, const char *folder);

/** Start one node more and wait until it accepts connections.
 *  Errors: PG_ERR_CLOSED (it ended; the last line of its log is told), PG_ERR_TIMEOUT, PG_ERR_CANCELLED, as pg_process_spawn */
PG_NODISCARD pg_err pg_devnet_start(pg_devnet *net);

/** Wait until every node is connected with every other. Errors: PG_ERR_TIMEOUT, PG_ERR_CLOSED (one has ended), PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_devnet_connect(pg_devnet *net);

/** Wait while nodes run, and tell of those that end. Errors: PG_ERR_CANCELLED, PG_ERR_CLOSED (all have ended). */
PG_NODISCARD pg_err pg_devnet_watch(pg_devnet *net);

/** End all nodes, by their pids, first kindly, and free. Goes on even when the fiber is cancelled. */
void pg_devnet_stop(pg_devnet *net);
