// SPDX-License-Identifier: Apache-2.0
// The guard looks after extents while their owners are away: hosts watch each other and audit each other, and when one is lost for good
// another takes its place, chosen and filled by those who are left, with the grant that the owner signed. The owner's node audits what was put
// there, too. Not for: what the owner's node does about it (tend.c, spread.c).
//
//      round: who answers? ──> silent for too long, or a fault ──> examine ──> lost slots ──> queue, by urgency
//      audits, at random times ──> faults ──^                                     leader's turn ──> examine again ──> repair
//
// Layer: files.  Thread: loop thread only.  Spec: docs/protocols/audit.md, docs/protocols/repair.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/identity.h"
#include "exchange/limits.h"
#include "exchange/place_server.h"
#include "files/audit_serve.h"
#include "files/evidence_serve.h"
#include "files/service.h"

/** The tables of the guard (store/db.h). */
extern const char *const pg_guard_schema_1;
extern const char *const pg_guard_schema_2;

typedef struct pg_guard pg_guard;

/** Settings; may be changed while it runs. */
typedef struct pg_guard_rules {
    uint64_t patience_s;       // a host that is silent for so long has lost what it held
    uint64_t audit_interval_s; // between two audits of one extent from here, in the mean; 0 = none
    uint64_t
        bandwidth;   // of repairs, bytes a second, what is fetched and pushed together; 0 = no cap
    bool repairs;    // else losses are only noted
    bool rebalances; // give slots to emptier hosts
    uint64_t rebalance_bandwidth; // bytes a second; 0 = no cap
    unsigned rebalance_margin;    // percent of the quota by which a host has to be emptier
} pg_guard_rules;

/** How full this node is beside others, as of the last round of rebalancing. Percent of quotas. */
typedef struct pg_guard_balance {
    unsigned fill;
    unsigned median;
    uint64_t hosts; // that told; 0: there was no round yet, or nobody
} pg_guard_balance;

/** What it stands on; all outlive it. */
typedef struct pg_guard_config {
    pg_files *files;
    pg_place_server *place;    // of this node
    const pg_identity *device; // signs answers to audits
    pg_guard_rules rules;
} pg_guard_config;

/** What it does and did. */
typedef struct pg_guard_stats {
    uint64_t rounds_total;
    uint64_t peers; // hosts of extents that are kept here
    uint64_t peers_silent;
    uint64_t peers_lost; // silent for longer than patience lasts
    uint64_t queued;     // extents that wait for their repair, or their leader
    uint64_t queued_urgent;
    uint64_t repairs_total; // that put something in a new place
    uint64_t repairs_failed_total;
    uint64_t repaired_slots_total;
    uint64_t repaired_bytes_total; // pushed to new hosts
    uint64_t audits_total;         // that were asked from here
    uint64_t audits_proven_total;  // slots, as the two below
    uint64_t audits_fault_total;
    uint64_t audits_silent_total;
    uint64_t rebalanced_slots_total; // given to emptier hosts
    uint64_t rebalanced_bytes_total; // pushed for it
    uint64_t rebalance_failed_total;
    pg_guard_balance balance;
    uint64_t evidence_told_total;  // to hosts that took it
    pg_evidence_stats evidence;    // that others told
    pg_audit_server_stats answers; // of this node to others
    pg_guard_rules rules;
} pg_guard_stats;

/** One host of an extent, as far as is known here. */
typedef struct pg_guard_member {
    pg_peer_id peer;
    pg_slot_set slots;   // it claims
    pg_slot_set faulty;  // of these, what audits found not to be there
    bool is_living;      // it answered just now; or it is this node
    uint64_t silent_s;   // since when it is silent, wall clock; 0 = it is not, as far as is known
    uint64_t proven_s;   // when an audit from here proved some of it last; 0 = never
    double availability; // how likely it is there in the next 24 hours, by the health book
    bool is_forecast; // that is a forecast; else too little is known yet, and its score stands in
} pg_guard_member;

/** What is known of one extent. */
typedef struct pg_guard_report {
    pg_cid descriptor;
    bool is_whole; // a block that is kept whole
    bool is_kept;  // this node is one of its hosts, or was when it was asked
    bool is_urgent;
    bool is_repaired;     // by this call
    unsigned slots;       // n; of a whole block, the copies wanted
    unsigned needed;      // k
    pg_slot_set missing;  // slots that nobody living holds
    pg_slot_set lost;     // of these, to be repaired
    unsigned copies_lost; // of a whole block, to be repaired
    unsigned position;    // in the order of leaders; 0 is the leader
    unsigned networks;    // that the living are in
    double readable;      // chance that it can be read, by the forecasts of its hosts
    size_t member_count;
    pg_guard_member members[PG_PLACE_RECEIPTS_MAX + 1];
} pg_guard_report;

/** Begin: serve audits, watch, repair. Errors: of the database, PG_ERR_EXISTS, PG_ERR_LIMIT, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_guard_new(const pg_guard_config *config, pg_guard **out_guard);

/** Change the rules. */
void pg_guard_set_rules(pg_guard *guard, const pg_guard_rules *rules);

/** Return what it does and did. */
pg_guard_stats pg_guard_get_stats(const pg_guard *guard);

/** Find out how an extent stands, whoever keeps it: its hosts are asked.
 *  descriptor   of it, or the block that is kept whole
 *  hints        hints[hint_count]: hosts to begin with, beside those that are known here
 *  out_report   large: not for a small stack
 *  Errors: PG_ERR_NOT_FOUND (nobody that could be asked keeps it), of the database, PG_ERR_CANCELLED, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_guard_explain(pg_guard *guard, const pg_cid *descriptor,
                                     const pg_peer_id *hints, size_t hint_count,
                                     pg_guard_report *out_report);

/** How a file that was put here stands, from what is noted. */
typedef struct pg_guard_health {
    unsigned hosts;
    unsigned networks;
    unsigned silent;  // holders, counted by extents, that did not answer lately
    unsigned missing; // slots that nobody holds, summed over the extents
    uint64_t
        proven_s; // since when every slot on every host has been proven by an audit; 0 = some never was
    double readable;  // the least of its extents
    bool is_forecast; // enough is known of every holder for that
} pg_guard_health;

/** Tell how a file stands; asks nobody. Errors: PG_ERR_NOT_FOUND (not of this catalogue), of the database, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_guard_file_health(pg_guard *guard, const pg_cid *root,
                                         pg_guard_health *out_health);

/** Repair an extent that is kept here now, whoever leads; with `is_dry` only say what would be done. The log says what was.
 *  Errors: PG_ERR_NOT_FOUND (it is not kept here), PG_ERR_MISSING (too few shards are left), PG_ERR_UNREACHABLE (no host takes them), as
 *  pg_guard_explain. Parks: yes. */
PG_NODISCARD pg_err pg_guard_repair(pg_guard *guard, const pg_cid *descriptor, bool is_dry,
                                    pg_guard_report *out_report);

/** Look at everything now, instead of when the next round is due. Parks: no. */
void pg_guard_wake(pg_guard *guard);

/** Audit an extent now, kept here or put here. Results are in the log and in what pg_guard_explain says.
 *  Errors: PG_ERR_NOT_FOUND, as pg_guard_explain. Parks: yes. */
PG_NODISCARD pg_err pg_guard_audit(pg_guard *guard, const pg_cid *descriptor);

/** How far a leave has come. */
typedef struct pg_guard_leaving {
    uint64_t leases; // that were there
    uint64_t moved;  // handed over, and kept here no more
    uint64_t failed; // nobody took them: they stay
    uint64_t bytes;  // pushed
} pg_guard_leaving;

/** Hand over what this node keeps for others: each slot goes to another host, under the grant it is held under; with that host's promise in hand
 *  it is dropped here. Ends when at most `keep_bytes` are left. Can be called again after a failure; stopping in the middle
 *  loses nothing. The caller has seen to it that nothing new is taken.
 *  progress   may be NULL; must not park
 *  Errors: of the database, PG_ERR_BUSY (it is under way), PG_ERR_CANCELLED, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_guard_leave(pg_guard *guard, uint64_t keep_bytes,
                                   void (*progress)(const pg_guard_leaving *so_far, void *user),
                                   void *user, pg_guard_leaving *out_leaving);

/** Serve no more, end what is under way, free, and set *guard to NULL. NULL is fine. Parks: yes. */
void pg_guard_free(pg_guard **guard);
