// SPDX-License-Identifier: Apache-2.0
// The inside of the guard, which its parts share: rounds and hosts (guard.c), how an extent stands (guard_examine.c), audits (guard_audit.c), what
// hosts tell each other of liars (guard_evidence.c), whether this node is cut off (guard_reach.c),
// repairs (guard_repair.c), leaving (guard_leave.c), rebalancing (guard_rebalance.c), and what these three share, slots put on other hosts
// (guard_place.c).
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "exchange/place_neighbours.h"
#include "files/guard.h"
#include "files/guard_log.h"
#include "files/holders.h"
#include "files/repair_plan.h"
#include "files/service_priv.h"
#include "runtime/fiber.h"

struct pg_guard {
    pg_guard_config config;
    pg_audit_server *answers;
    pg_evidence_server *hearing;
    pg_scope scope;
    pg_map peers;   // by PeerId: guard_peer
    pg_map jobs;    // by lease id: guard_job
    pg_map settled; // by lease id: pg_time, until when it need not be looked at again
    pg_waitq woken; // the round
    bool is_woken;
    pg_waitq queued;   // the repairer
    pg_time pace_at;   // when the next byte of a repair may move
    pg_time gentle_at; // and of rebalancing
    pg_guard_balance balance;
    bool is_leaving;
    pg_guard_stats totals; // only the *_total fields
};

/** A host of extents that are kept here. */
typedef struct guard_peer {
    pg_peer_id id;
    pg_cid probe;       // of an extent that it should hold
    uint64_t round;     // in which it was last seen to matter
    uint64_t silent_s;  // since when, wall clock; 0 = it answers
    unsigned misses;    // checks in a row of this run
    pg_time back;       // when it answered after it had been taken for lost; 0 = it never was
    bool is_lost_noted; // in the log
} guard_peer;

/** An extent to be repaired. */
typedef struct guard_job {
    pg_place_lease lease;
    pg_time due; // our turn
    bool is_urgent;
} guard_job;

/** How an extent stands, with all that a repair needs. Large; begin with all-zero, end with pg_guard_exam_deinit. */
typedef struct guard_exam {
    pg_cid descriptor;
    pg_buf block;       // of the descriptor, or the whole block
    pg_descriptor read; // of an extent
    bool is_whole;
    pg_slot_set own; // slots of this node
    pg_holders holders;
    size_t standing_count;
    pg_guard_standing standings[PG_PLACE_RECEIPTS_MAX];
    size_t member_count;
    pg_repair_member members[PG_PLACE_RECEIPTS_MAX + 1];
    pg_repair_plan plan;
} guard_exam;

/** Return the seconds of the wall clock. */
uint64_t pg_guard_now_s(void);

/** Return how long a round is, and how long a leader is waited for, seconds. */
uint64_t pg_guard_round_s(const pg_guard *guard);

/** Return what is known of a host; NULL: nothing. */
guard_peer *pg_guard_peer(const pg_guard *guard, const pg_peer_id *peer);

/** Return true when a host has been silent for `patience_s`. */
bool pg_guard_peer_is_lost(const guard_peer *peer, uint64_t patience_s);

/** Return true when a host that answers was taken for lost until lately. */
bool pg_guard_peer_is_back(const pg_guard *guard, const guard_peer *peer);

/** Return true when a connected peer answers a ping, whoever it is but one: else it may be this node that is cut off. Parks: yes.
 *  but   NULL: nobody */
bool pg_guard_is_connected(const pg_guard *guard, const pg_peer_id *but);

/** Return how likely a host is there in the next 24 hours, as the health book has it; this node is there. *out_is_forecast is false where too little is
 *  known for a forecast (pg_health_fit). */
double pg_guard_availability(const pg_guard *guard, const pg_peer_id *peer, bool *out_is_forecast);

/** Write a line of the log of repairs, and of the node; frees *detail. Parks: yes. */
void pg_guard_note(pg_guard *guard, const pg_cid *descriptor, const char *what, pg_buf *detail);

/** Ask the hosts of an extent how it stands, those that this node knows of. Parks: yes. Errors: PG_ERR_NOT_FOUND (nobody has the descriptor), PG_ERR_CANCELLED,
 *  PG_ERR_NOMEM, of the database. */
PG_NODISCARD pg_err pg_guard_examine_known(pg_guard *guard, const pg_cid *descriptor,
                                           const pg_peer_id *hints, size_t hint_count,
                                           guard_exam *exam);

/** The same and, when something seems lost, pg_guard_examine_further. */
PG_NODISCARD pg_err pg_guard_examine(pg_guard *guard, const pg_cid *descriptor,
                                     const pg_peer_id *hints, size_t hint_count, guard_exam *exam);

/** Ask those who announced it too, where no receipt names them. Parks: yes, a lookup in the DHTs. Errors: PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_guard_examine_further(pg_guard *guard, guard_exam *exam);

/** Free. */
void pg_guard_exam_deinit(guard_exam *exam);

/** Tell how it stands. */
void pg_guard_exam_report(const pg_guard *guard, const guard_exam *exam,
                          pg_guard_report *out_report);

/** Find the lease of this node on an extent. Errors: PG_ERR_NOT_FOUND, of the database. Parks: yes. */
PG_NODISCARD pg_err pg_guard_lease(pg_guard *guard, const pg_cid *descriptor,
                                   pg_place_lease *out_lease);

/** Have an extent examined and, when something seems lost, once more in our turn; then it is repaired. Parks: yes. Errors as pg_guard_examine_known. */
PG_NODISCARD pg_err pg_guard_suspect(pg_guard *guard, const pg_place_lease *lease);

/** Something being put on other hosts. Begin with lease, exam, slots and is_moving; the caller frees `receipts`. */
typedef struct guard_placing {
    const pg_place_lease *lease;
    guard_exam *exam;
    pg_slot_set slots;
    bool is_moving;           // this node gives them up itself
    bool is_gentle;           // at the pace of rebalancing
    const pg_peer_id *target; // the one host that is to get them; NULL: whom the extent prefers
    pg_slot_set moved;        // the slots that found a place
    int taken;                // of slots, or copies of a whole block
    uint64_t bytes;           // pushed
    pg_buf receipts;          // of the hosts that took them, each with its length in front
} guard_placing;

/** Put slots, or a copy of a whole block, on other hosts. Parks: yes. Errors: PG_ERR_UNREACHABLE, PG_ERR_MISSING, PG_ERR_CHANGED (its owner has dropped it,
 *  or its lease ends), as pg_place_commit_send. */
PG_NODISCARD pg_err pg_guard_place(pg_guard *guard, guard_placing *placing);

/** Begin to hear what others found out about holders. Errors as pg_evidence_server_new. */
PG_NODISCARD pg_err pg_guard_evidence_begin(pg_guard *guard);

/** Tell the living hosts of an extent of the lies of an audit. Parks: yes. Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_guard_evidence_tell(pg_guard *guard, const guard_exam *exam,
                                           const pg_audit_result *result);

/** Put slots on other hosts and, with their promises in hand, drop them here. placing->is_moving is set; the caller frees its receipts. Parks: yes. Errors as
 *  pg_guard_place and pg_place_server_hand_over. */
PG_NODISCARD pg_err pg_guard_move(pg_guard *guard, guard_placing *placing);

/** Count the networks that the living hosts of an extent are in; without this node, or with another. Those whose address is not known count as one. */
unsigned pg_guard_networks(const pg_guard *guard, const guard_exam *exam, bool without_self,
                           const pg_host_candidate *with);

/** The fibers. */
pg_err pg_guard_audit_run(void *arg);
pg_err pg_guard_repair_run(void *arg);
pg_err pg_guard_rebalance_run(void *arg);
