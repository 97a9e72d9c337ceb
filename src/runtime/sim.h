// SPDX-License-Identifier: Apache-2.0
// The simulated world: one process, virtual time, seeded randomness, machines with addresses and disks, a network with
// faults. A run is a pure function of its seed; a failing seed is a bug report. A script fiber outside all machines drives it.
//
//      static pg_err script(void *arg) { pg_sim_machine *a = ..; pg_sim_machine_start(a, "node", node_main, cfg); .. }
//      err = pg_sim_run(&(pg_sim_config){.seed = 7}, script, NULL);
//
// Layer: runtime.  Thread: the caller's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/fiber.h"
#include "runtime/socket.h"
#include "runtime/time.h"

typedef struct pg_sim_machine pg_sim_machine;

/** What a link does to packets. Streams never lose bytes: loss costs them time, as retransmission does. */
typedef struct pg_sim_link {
    int64_t latency_ns;        // one way
    int64_t jitter_ns;         // uniform, added; reorders datagrams, never bytes of a stream
    uint32_t loss_ppm;         // of datagrams and stream segments
    uint32_t duplicate_ppm;    // of datagrams
    uint64_t bytes_per_second; // 0 = no limit
} pg_sim_link;

/** Settings of a run. */
typedef struct pg_sim_config {
    uint64_t seed;
    pg_sim_link link;      // between any two machines, unless set otherwise
    int64_t start_wall_ms; // 0 = a fixed date
    uint64_t events_max; // 0 = no limit; a run that exceeds it fails with PG_ERR_LIMIT: a livelock
    bool measure_stacks;
} pg_sim_config;

/** What a run did. */
typedef struct pg_sim_stats {
    uint64_t events; // fiber switches, deliveries and timers
    int64_t virtual_ns;
    uint64_t digest; // of all events in order: equal for equal seeds
} pg_sim_stats;

/** Run a world until `script(arg)` has returned; machines still running are then stopped. On failure the seed is printed with the
 *  command to run it again. Out_stats may be NULL. Returns what the script returned, PG_ERR_LIMIT, or PG_ERR_BUG when every fiber waits for ever. */
PG_NODISCARD pg_err pg_sim_run(const pg_sim_config *config, pg_fiber_fn script, void *arg,
                               pg_sim_stats *out_stats);

/** Make a machine with the IPv4 address 10.x.y.z and the name `m<number>.sim` of its number (from 1), and an empty disk. Owned by
 *  the world. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_sim_machine_new(pg_sim_machine **out_machine);

/** Return the machine's present address, port 0. */
pg_endpoint pg_sim_machine_endpoint(const pg_sim_machine *machine);

/** Start `fn(arg)` as the first fiber of the machine. Errors: PG_ERR_BUSY (it runs), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_machine_start(pg_sim_machine *machine, const char *kind, pg_fiber_fn fn,
                                         void *arg);

/** Tell the machine's first fiber to stop (as SIGTERM would) and wait for its end. Parks: yes. Returns its result, PG_OK for
 *  PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_sim_machine_stop(pg_sim_machine *machine);

/** Wait until the machine's first fiber has returned by itself. Parks: yes.
 *  Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED when the machine has crashed, else its result. */
PG_NODISCARD pg_err pg_sim_machine_join(pg_sim_machine *machine, pg_time deadline);

/** Pull the plug, now: its fibers never run again and their memory is dropped as a process's is, its connections go silent (a restart resets them),
 *  its disk keeps what was synced and, by the seed, some, part, or none of what was not. Parks: no. */
void pg_sim_machine_crash(pg_sim_machine *machine);

/** Give the machine a new address, IPv4 or IPv6, in place of the old one; its old connections go silent. Parks: no. */
void pg_sim_machine_move(pg_sim_machine *machine, const pg_endpoint *address);

/** Let the wall clock of a machine jump by `delta_ms`. */
void pg_sim_machine_clock_jump(pg_sim_machine *machine, int64_t delta_ms);

/** Faults of a machine's disk; all-zero = none. */
typedef struct pg_sim_disk_faults {
    uint64_t free_bytes; // 0 = plenty
    uint32_t write_error_ppm;
    uint32_t sync_error_ppm;
    uint32_t read_flip_ppm; // of reads that return one flipped bit
    int64_t latency_ns;     // of every call
} pg_sim_disk_faults;

/** Set the faults of a machine's disk from now on. */
void pg_sim_machine_disk(pg_sim_machine *machine, const pg_sim_disk_faults *faults);

/** Set the link between two machines, both ways. NULL: back to the default. */
void pg_sim_link_set(pg_sim_machine *a, pg_sim_machine *b, const pg_sim_link *link);

/** Cut or mend the path between two machines: what is sent meanwhile is lost (datagrams) or waits (streams). */
void pg_sim_partition(pg_sim_machine *a, pg_sim_machine *b, bool cut);

/** Return a number in [0, bound) from the world's seed, apart from what machines draw. For scripts. */
uint64_t pg_sim_random_below(uint64_t bound);
