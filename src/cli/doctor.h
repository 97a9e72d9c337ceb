// SPDX-License-Identifier: Apache-2.0
// What `pangea doctor` knows and finds: its parts gather facts (doctor_facts.c), judge them (doctor_judge.c), tell them (doctor.c), and
// pack them for others (doctor_bundle.c).
//
// Layer: cli.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "cli/invocation.h"
#include "node/config.h"
#include "runtime/machine.h"

/** Ports that a node may listen on. */
#define PG_DOCTOR_PORTS_MAX 16

/** Files whose modes matter: the directory, identity, database, token, key of the private network. */
#define PG_DOCTOR_SECRETS_MAX 6

/** How a check ended. */
typedef enum pg_verdict {
    PG_VERDICT_OK,
    PG_VERDICT_WARN,
    PG_VERDICT_FAIL,
    PG_VERDICT_COUNT,
} pg_verdict;

/** A port, and who has it. */
typedef struct pg_doctor_port {
    bool is_udp;
    uint16_t number;
    pg_machine_port found;
} pg_doctor_port;

/** A file that others must not read, or must not write. */
typedef struct pg_doctor_secret {
    pg_buf path; // NUL-terminated
    const char *name;
    bool is_there;
    pg_machine_owner owner;
} pg_doctor_secret;

/** All of it. End it with pg_doctor_deinit. */
typedef struct pg_doctor {
    const pg_invocation *invocation;
    pg_buf folder; // the data directory, NUL-terminated
    bool is_deep;
    bool is_running;

    // Of the running node, or NULL.
    json_object *node;
    json_object *peers;
    json_object *stat;
    json_object *dht;
    // Of the node (docs/openapi.yaml, Doctor), or of what this process read itself; NULL: `unread` says why.
    json_object *facts;
    pg_buf unread; // NUL-terminated
    pg_err unread_err;

    // Of this machine.
    pg_config config;
    bool has_config;
    pg_buf config_fault; // NUL-terminated, empty: none
    pg_machine_disk disk;
    pg_err disk_err;
    int64_t sync_ns; // the median of some syncs; 0: the directory cannot be written to
    pg_doctor_secret secrets[PG_DOCTOR_SECRETS_MAX];
    size_t secret_count;
    pg_doctor_port ports[PG_DOCTOR_PORTS_MAX];
    size_t port_count;

    // What came out.
    json_object *checks; // a list of {name, status, found, fix}
    size_t counts[PG_VERDICT_COUNT];
} pg_doctor;

/** Gather all facts. Errors: PG_ERR_NOT_FOUND (no data directory), PG_ERR_NOMEM, those of a node that answers no sense. Parks: yes. */
PG_NODISCARD pg_err pg_doctor_gather(pg_doctor *doctor, const pg_invocation *invocation);

/** Judge them: fills `checks` and `counts`. */
void pg_doctor_judge(pg_doctor *doctor);

/** Return "ok", "warn" or "fail". Static. */
const char *pg_verdict_text(pg_verdict verdict);

/** Return the worst that was found. */
pg_verdict pg_doctor_worst(const pg_doctor *doctor);

/** Write a bundle that can be shown to others to `path`, which must not be there. Errors: PG_ERR_EXISTS, as pg_file_open, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_doctor_bundle(const pg_doctor *doctor, const char *path);

/** Free all. */
void pg_doctor_deinit(pg_doctor *doctor);
