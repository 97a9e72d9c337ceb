// SPDX-License-Identifier: Apache-2.0
// What this machine says of itself, for who has to find out why something does not work: the disk under a path, who has a port, the
// limits of this process, whether the kernel's clock is kept by somebody. Every call asks the kernel at once on the caller's thread.
// Not in a simulated run. Not for: deciding anything while a node runs.
//
// Layer: runtime.  Thread: any; those that say so belong into a job (offload.h).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define PG_MACHINE_NAME_BYTES 24

/** The file system that holds a path. */
typedef struct pg_machine_disk {
    char kind
        [PG_MACHINE_NAME_BYTES]; // "ext4"; its number as hexadecimal where the name is not known
    bool is_remote; // on another machine: a lock or a sync there means what that one says
    bool is_memory; // gone when this machine is off
    uint64_t total_bytes;
    uint64_t free_bytes; // that this user may still take
    uint64_t files;      // that it has room for; 0 = it sets no number
    uint64_t files_free;
} pg_machine_disk;

/** Look at the file system that holds `path`. May block: for a job. Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_IO. */
PG_NODISCARD pg_err pg_machine_disk_look(const char *path, pg_machine_disk *out_disk);

/** What a file or folder is to others. */
typedef struct pg_machine_owner {
    uint32_t permissions; // 0777 and the rest of the mode bits
    bool is_ours;         // belongs to the user this process runs as
} pg_machine_owner;

/** Look at who may do what with a path, itself and not what it may point to. May block: for a job.
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_IO. */
PG_NODISCARD pg_err pg_machine_owner_look(const char *path, pg_machine_owner *out_owner);

/** This process and its limits. */
typedef struct pg_machine_process {
    int64_t pid;
    uint64_t open_files;
    uint64_t open_files_max; // UINT64_MAX = no limit
    uint64_t memory_bytes;   // resident
    uint64_t cpu_us;         // user and system
    uint64_t
        machine_bytes; // memory of the machine, or what its control group may have where that is less
    uint64_t machine_free_bytes;
} pg_machine_process;

/** Look at this process; what the kernel does not tell is 0. */
void pg_machine_process_look(pg_machine_process *out_process);

/** Return true when something keeps the kernel's clock right (NTP, PTP, the host of a virtual machine), as far as the kernel knows. */
bool pg_machine_clock_is_kept(void);

/** Who listens on a port. */
typedef struct pg_machine_port {
    bool is_taken;
    int64_t pid;                      // 0 = a process of another user, or of another container
    char name[PG_MACHINE_NAME_BYTES]; // of the program; empty as pid
} pg_machine_port;

/** Look who of this machine listens on a port, at whichever address. Reads what the kernel tells of all processes: for a job. */
void pg_machine_port_look(bool is_udp, uint16_t port, pg_machine_port *out_port);
