// SPDX-License-Identifier: Apache-2.0
// Whole nodes as the program builds them (node/storage.h) on simulated machines, and what the scenarios of files have them do: put,
// get, find, remove, crash.
#pragma once

#include "files/service.h"
#include "node/storage.h"
#include "runtime/fiber.h"
#include "sim_test.h"

/** Fail at once: the scenario's fibers are many, and the seed is printed when the program aborts. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void) fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__,     \
                           #condition, pg_error_last()->text);                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_OK(expression) CHECK((expression) == PG_OK)

#ifndef NODES // a scenario may be built with more
#define NODES 14
#endif
#define PORT 4417
#define HOSTS_MAX 16
#define READER (NODES - 1) // takes nothing for others: never a host

typedef struct sim_node sim_node;

/** What is to be put, and what came of it. */
typedef struct sim_file {
    uint64_t content; // seed of the bytes
    size_t size;
    pg_code code;   // all-zero: the default
    uint64_t ttl_s; // 0: kept until it is removed
    pg_link link;
    pg_file_state state;
    uint32_t survives;
    uint64_t expiry_s;
    size_t host_count;
    pg_peer_id hosts[HOSTS_MAX];
    uint32_t slots[HOSTS_MAX]; // that each has
} sim_file;

/** One machine with a node on it. */
struct sim_node {
    pg_sim_machine *machine;
    struct sim_world *world;
    size_t number;
    pg_keystore_seeds seeds;
    pg_peer_id id;
    pg_multiaddr addr;
    pg_host *host; // of the life that runs
    pg_storage *storage;
    const pg_identity *device;
    bool is_restored; // its identity was made from the secret of another's person
    const pg_dht_pair *dhts;
    bool is_up;
    bool stop;
    pg_waitq told;                  // to stop, or of a task
    pg_err (*task)(sim_node *self); // run once
    sim_file *file;
    pg_err task_err;
    char task_text[PG_ERROR_TEXT_BYTES_MAX];
    bool task_done;
    pg_get_report report;
    uint64_t list_count;
};

/** The world of one seed. */
typedef struct sim_world {
    sim_node nodes[NODES];
    uint64_t ttl_ms;      // of leases; 0 = the default
    bool is_long;         // hours go by: who lost a connection may wait half a minute to dial again
    bool has_dht;         // else nodes know only whom they are connected with
    uint64_t patience_s;  // with hosts that do not answer; 0 = the default
    uint64_t audit_s;     // between two audits of an extent; 0 = the default
    uint64_t cold_s;      // without reads until an extent may be archived; 0 = the default
    uint64_t quota_bytes; // of a node; 0 = 64 MiB
    const pg_objects *objects[NODES]; // where nodes archive; NULL = nowhere
} sim_world;

/** Make the machines, and start the first `first_up` of them. */
void sim_nodes_make(sim_world *world, size_t first_up);

/** The same, with leases of another length. */
void sim_nodes_make_with(sim_world *world, size_t first_up, uint64_t ttl_ms);

/** The same, with the settings of `like` (ttl_ms, has_dht, patience_s, audit_s, cold_s, objects, quota_bytes). */
void sim_nodes_make_of(sim_world *world, size_t first_up, const sim_world *like);

/** Stop all that run, in good order. */
void sim_nodes_stop(sim_world *world);

/** Wait until everybody who is up knows everybody who is up. */
void sim_nodes_meet(sim_world *world);

/** Start a machine and wait until its node is up. */
void sim_node_start(sim_node *self);

/** Pull the plug. */
void sim_node_crash(sim_node *self);

/** Return the node with an id; NULL when it is none. */
sim_node *sim_node_of(sim_world *world, const pg_peer_id *id);

/** Have a node do something in a fiber of its machine: one of those below. */
void sim_task_begin(sim_node *self, pg_err (*task)(sim_node *), sim_file *file);

/** Wait for its end. Returns its result, PG_ERR_TIMEOUT when it is not done in time. */
pg_err sim_task_end(sim_node *self, int64_t within_ns);

/** Both; it has to succeed. */
void sim_run(sim_node *self, pg_err (*task)(sim_node *), sim_file *file);

/** Put a file; *self->file is filled in. */
pg_err sim_put(sim_node *self);

/** Look a file up in the catalogue; *self->file is filled in. */
pg_err sim_find(sim_node *self);

/** Fill `space` with the bytes of a file from `at` on: for sources of a test's own. */
void sim_content_fill(const sim_file *file, size_t at, pg_mut_bytes space);

/** Get a file and compare it; self->report is what the get met with. */
pg_err sim_get(sim_node *self);

/** Pin a file, all of it. */
pg_err sim_pin(sim_node *self);

/** Let go of it. */
pg_err sim_unpin(sim_node *self);

/** Count the pins in list_count: 1 for a complete one, 100 for one that is not. */
pg_err sim_pins(sim_node *self);

/** Lose every block, as a disk that forgets does. */
pg_err sim_lose(sim_node *self);

/** Remove a file. */
pg_err sim_remove(sim_node *self);

/** Remove the file that was put last. */
pg_err sim_remove_newest(sim_node *self);

/** Count the files of the catalogue in self->list_count. */
pg_err sim_list(sim_node *self);

/** Crash `count` hosts of a file, chosen by the seed. */
void sim_hosts_crash(sim_world *world, const sim_file *file, size_t count);

/** Return how many leases all nodes that are up keep. */
uint64_t sim_leases(const sim_world *world);

/** Print the log from now on, when PG_SIM_LOG is set. */
void sim_log_begin(void);

/** How many of the `count` seeds of a long run (PG_TEST_LONG, as `make test-long` sets it) to run unless told: a third. What the first ones do not show is
 *  for the long run to find. */
static inline uint64_t sim_files_seed_count(uint64_t count)
{
    return getenv("PG_TEST_LONG") != NULL ? count : (count + 2) / 3;
}

/** Return true when scenarios run at their full length: where a long run was asked for, or a seed. */
static inline bool sim_files_is_long(void)
{
    return getenv("PG_SIM_SEED") != NULL || getenv("PG_SIM_SEEDS") != NULL ||
           getenv("PG_TEST_LONG") != NULL;
}

/** Return true when a scenario is left out: under AddressSanitizer, where it takes minutes, unless the run is a long one. Others go the same ways. */
static inline bool sim_files_is_too_long(void)
{
#ifdef PG_WITH_ASAN
    return !sim_files_is_long();
#else
    return false;
#endif
}

/** Run a scenario, which gets a sim_world, over seeds on a network like the internet. */
static inline void sim_files_seeds(pg_fiber_fn script, uint64_t seeds)
{
    static sim_world world;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(5), .jitter_ns = PG_MS(2), .loss_ppm = 5000},
        .events_max = 50000000,
    };
    sim_log_begin();
    sim_seeds(&config, sim_files_seed_count(seeds), script, &world);
}
