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
#include "files/service.h"
#include "net/host.h"
#include "runtime/fiber.h"

/** One host. */
typedef struct pg_holder {
    pg_peer_id peer;
    pg_slot_set slots;
    uint64_t expiry_s;
    bool has_answered; // it said so itself; else a receipt did
    unsigned failures; // in a row
    unsigned fetches;  // under way
} pg_holder;

/** The hosts of one extent. In place; begin with pg_holders_init. */
typedef struct pg_holders {
    pg_waitq turn; // for one of PG_FETCH_HOST_MAX fetches of a host
    size_t count;
    pg_holder items[PG_PLACE_RECEIPTS_MAX];
} pg_holders;

/** Make an empty one. */
void pg_holders_init(pg_holders *holders);

/** What is asked. */
typedef struct pg_holders_question {
    pg_host *host;
    pg_files *files; // to look for hosts whose address is not known; NULL = they are left out
    const pg_cid *descriptor;
    /** With answers for so many slots nobody else is waited for; more than there are slots: all are. */
    unsigned enough;
} pg_holders_question;

/** Ask hosts what they hold of an extent, all at once, and then those whom their receipts name, where that is not enough. Those that do not
 *  answer in time stand there as receipts tell of them, to be asked last.
 *  peers    peers[count] of PeerIds in bytes, as hints have them; what is none is skipped
 *  Parks: yes. Errors: PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_holders_ask(pg_holders *holders, const pg_holders_question *question,
                                   const pg_bytes *peers, size_t count);

/** Return the best host of a slot: one that answered and did not fail lately; NULL when there is none. */
pg_holder *pg_holders_find(pg_holders *holders, unsigned slot);

/** Wait for a turn with a host of these. Parks: yes. Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_holders_turn_take(pg_holders *holders, pg_holder *holder);

/** Give it back. */
void pg_holders_turn_give(pg_holders *holders, pg_holder *holder);
