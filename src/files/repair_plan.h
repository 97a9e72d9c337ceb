// SPDX-License-Identifier: Apache-2.0
// What is to be repaired of an extent, how urgently, and by whom: decided from who answers and who does not. Every host that sees the same
// hosts alive comes to the same order of leaders, so that many who notice one loss make no storm. Pure.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/repair.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "crypto/peer_id.h"
#include "exchange/lease.h"

/** What is believed of a host. */
typedef enum pg_repair_standing {
    PG_REPAIR_STANDING_LIVING, // answered just now
    PG_REPAIR_STANDING_SILENT, // does not answer; it may come back
    PG_REPAIR_STANDING_LOST,   // silent for longer than patience lasts
} pg_repair_standing;

/** One host of an extent. */
typedef struct pg_repair_member {
    pg_peer_id peer;
    pg_slot_set slots; // it claims and no audit denies
    pg_repair_standing standing;
    bool is_lost_if_urgent; // silent for a quarter of patience
    bool is_back;           // it answers, and was taken for lost lately
} pg_repair_member;

/** An extent and its hosts. */
typedef struct pg_repair_case {
    pg_bytes extent_id;              // any bytes that name it
    unsigned slots;                  // n
    unsigned needed;                 // k
    unsigned copies;                 // of a block that is kept whole, wanted; 0: an extent
    const pg_repair_member *members; // members[count]
    size_t count;
    const pg_peer_id *self;
} pg_repair_case;

/** What is to be done. */
typedef struct pg_repair_plan {
    pg_slot_set lost;     // slots that nobody holds and nobody is waited for
    pg_slot_set at_risk;  // slots that nobody living holds
    unsigned copies_lost; // of a whole block
    bool is_urgent;       // a fifth of the slots has nobody living
    bool is_hopeless;     // fewer slots have somebody living than it takes to compute others
    unsigned position;    // of ourselves among those who could lead: 0 is the leader
} pg_repair_plan;

/** Decide. */
pg_repair_plan pg_repair_plan_make(const pg_repair_case *what);

/** Return true when there is something to be done, and it can be done. */
static inline bool pg_repair_plan_has_work(const pg_repair_plan *plan)
{
    return (plan->lost != 0 && !plan->is_hopeless) || plan->copies_lost > 0;
}

/** Return the chance that at most `parity` slots are missing when each host is there with a chance of its own: that the extent can be read.
 *  sets, chances   of each host, [count]; hosts fail independently of each other, which networks and owners make less true than it sounds */
double pg_repair_readable(const pg_slot_set *sets, const double *chances, size_t count,
                          unsigned parity);
