// SPDX-License-Identifier: Apache-2.0
// Who holds which slots of an extent, as far as is known: the hosts of the hints are asked, and what their receipts say of others counts
// until those are found not to have it.
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "exchange/lease.h"
#include "exchange/limits.h"
#include "files/service_priv.h"

/** One host. */
typedef struct pg_holder {
    pg_peer_id peer;
    pg_slot_set slots;
    uint64_t expiry_s;
    bool has_answered; // it said so itself; else a receipt did
    unsigned failures; // in a row
} pg_holder;

/** The hosts of one extent. The all-zero value is an empty one. */
typedef struct pg_holders {
    size_t count;
    pg_holder items[PG_PLACE_RECEIPTS_MAX];
} pg_holders;

/** Ask hosts what they hold of an extent, all at once, and then those whom their receipts name. Those that do not answer in time are left out.
 *  peers    peers[count] of PeerIds in bytes, as hints have them; what is none is skipped
 *  Parks: yes. Errors: PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_holders_ask(pg_holders *holders, pg_files *files, const pg_cid *descriptor,
                                   const pg_bytes *peers, size_t count);

/** Return the slots that somebody known holds. */
pg_slot_set pg_holders_slots(const pg_holders *holders);

/** Return the best host of a slot: one that answered and did not fail lately; NULL when there is none. */
pg_holder *pg_holders_find(pg_holders *holders, unsigned slot);
