// SPDX-License-Identifier: Apache-2.0
// The simulated world's own structures: the world, its machines, and the processes that run on them.
//
//      world --< machine --< process (the one that runs, and ended or crashed ones not yet cleared away)
//                       |--< listeners, connections, datagram sockets (sim_net_priv.h)
//                       |--- disk --< open files
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "runtime/sim.h"
#include "runtime/sim_disk_priv.h"
#include "runtime/sim_random_priv.h"
#include "runtime/world_priv.h"

#define PG_SIM_START_NS PG_SECONDS(1000)            // the monotonic clock at the start of every run
#define PG_SIM_START_WALL_MS INT64_C(1767225600000) // 2026-01-01T00:00:00Z
#define PG_SIM_MACHINES_MAX                                                                        \
    65535 // as many addresses as machines can have under 10.0.0.0/8, and more than enough

/** What runs on a machine: its first fiber, and those that one spawns. */
typedef struct pg_sim_process {
    pg_list node; // in pg_sim_machine.processes
    struct pg_sim_machine *machine;
    pg_scope scope; // of the first fiber
    pg_fiber_fn fn;
    void *arg;
    pg_waitq ended;
    pg_err result;
    char *detail;     // of the failure; owned, may be NULL
    uint32_t waiters; // fibers in join or stop
    bool is_ended;    // by itself or by a crash
} pg_sim_process;

struct pg_sim_machine {
    pg_machine base;
    struct pg_sim_world *world;
    uint32_t number; // from 1
    pg_endpoint address;
    bool is_down; // from a crash to the next start: packets to it vanish
    uint16_t port_next;
    int64_t wall_offset_ms;
    pg_sim_rng rng;
    pg_sim_process *process; // the latest; NULL before the first start
    pg_list processes;
    pg_list listeners; // of pg_sim_listener
    pg_list conns;     // of pg_sim_conn
    pg_list sockets;   // of pg_sim_udp
    pg_list files;     // of pg_sim_file
    pg_sim_disk disk;
    pg_sim_disk_faults faults;
};

typedef struct pg_sim_world {
    pg_world base;
    pg_sim_config config;
    pg_time now_ns;
    uint64_t events;
    uint64_t digest;
    pg_sim_machine **machines; // machines[machine_count], by number - 1
    size_t machine_count;
    size_t machine_cap;
    pg_map addresses; // ip -> the machine that has it, or had it last
    pg_map paths;     // pair of machine numbers -> pg_sim_path
    pg_list flying;   // of datagrams under way
    pg_sim_rng script_rng;
    pg_sim_rng outside_rng; // pg_random_bytes outside all machines
    pg_sim_rng network_rng;
    pg_fiber_fn script;
    void *script_arg;
} pg_sim_world;

/** Return the running world. It is an error of ours to call this in a real run. */
pg_sim_world *pg_sim_world_get(void);

/** Return the machine of the running fiber in *out_machine. Errors: PG_ERR_UNSUPPORTED outside all machines, PG_ERR_CANCELLED for a ghost. */
PG_NODISCARD pg_err pg_sim_machine_self(pg_sim_machine **out_machine);

/** Fold something that happened into the digest of the run. */
void pg_sim_world_note(pg_sim_world *world, uint64_t what, uint64_t detail);

/** Stop all processes of all machines, wait for their ends, and free the machines. Parks: yes. */
void pg_sim_machines_end(pg_sim_world *world);

extern const pg_socket_ops pg_sim_socket_ops;
extern const pg_file_ops pg_sim_file_ops;
extern const pg_job_ops pg_sim_job_ops;
