// SPDX-License-Identifier: Apache-2.0
// A month of a network that keeps files while its hosts come and go: does any file get lost? What decides is the program's own: which hosts
// are chosen (files/host_set.h by health/health.h: histories, scores, judgements, forecasts), what is to be repaired and by whom
// (files/repair_plan.h), with the times and limits of files/limits.h. What the guard does between these, and the network, are modelled
// here, in ticks of five minutes, so that a thousand nodes and ten thousand files pass in minutes: who is up answers, who is not does
// not, repairs move their bytes at the cap. Owners put, and are away from then on. Not for: the protocols (files_world.h, town.h).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "churn.h"
#include "files/code.h"

/** Settings. */
typedef struct month_config {
    size_t nodes; // up or not, at any time; who goes for good is followed by a newcomer
    size_t files; // of one extent each
    unsigned days;
    uint64_t seed;
    churn_mix mix;
    pg_code code;
    uint64_t patience_s;    // repair.patience, at least a tick of 300
    bool is_without_repair; // hosts look, and do nothing
    bool is_without_faults; // of disk, clock and network; hosts still come and go
} month_config;

/** One day, the minima over its hours. */
typedef struct month_day {
    unsigned kept_min;   // slots of the worst extent that some host still has, up or not
    unsigned online_min; // slots of the worst extent that can be had
    double readable;     // part of extents and hours in which k slots can be had
    double up;           // part of hosts
    uint64_t lost;       // extents, so far
    uint64_t repairs;    // on this day
} month_day;

#define MONTH_DAYS_MAX 90

/** What came of it. */
typedef struct month_report {
    uint64_t lost;
    month_day days[MONTH_DAYS_MAX];
    uint64_t departed; // hosts, for good
    uint64_t disks_lost;
    uint64_t shards_rotten;
    uint64_t partitions;
    uint64_t clock_jumps;
    uint64_t bytes_put;    // of shards, on all hosts
    uint64_t bytes_lost;   // of shards, with hosts and disks
    uint64_t bytes_pushed; // by repairs
    uint64_t bytes_fetched;
    uint64_t repairs;
    uint64_t repairs_failed;
    uint64_t repairs_urgent;
    uint64_t
        repairs_again; // of slots that turned out to be held: the host came back, or another was quicker
    uint64_t checks;      // HAVE, of rounds
    uint64_t looks;       // extents examined
    uint64_t look_checks; // HAVE, of these
    uint64_t audits;
    uint64_t audit_answers;
    uint64_t node_hours; // of hosts that were up
    double readable;     // part of extents and hours
    double up;           // part of hosts and hours
    uint64_t digest;     // equal for equal seeds
} month_report;

/** Run it. Errors: PG_ERR_NOMEM, PG_ERR_INVALID (days, or a code of more slots than hosts). */
PG_NODISCARD pg_err month_run(const month_config *config, month_report *out_report);
