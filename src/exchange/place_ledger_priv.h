// SPDX-License-Identifier: Apache-2.0
// The ledger of leases in the node's database: which lease needs which blocks, what others said they hold, which leases were dropped,
// how old strays are. Each function is one transaction, durable at return; what changed is told, for the table in memory.
//
// Layer: exchange, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/peer_id.h"
#include "exchange/lease.h"
#include "exchange/place_held_priv.h"
#include "store/db.h"

/** The places of blocks of a lease that are in no slot. */
#define PG_LEDGER_SLOT_DESCRIPTOR (-1)
#define PG_LEDGER_SLOT_ROOT (-2)

/** Names a lease: one lease key, one descriptor or whole block. */
typedef struct pg_ledger_key {
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    pg_cid descriptor;
} pg_ledger_key;

/** A lease as it stands in the ledger. */
typedef struct pg_ledger_lease {
    int64_t id; // 0: there is none
    bool is_whole;
    pg_cid root; // len 0 = none
    pg_slot_set slots;
    uint64_t sequence;       // the highest of its grants and releases
    uint64_t grant_sequence; // of the grant it is held under
    uint64_t expiry_s;       // of that
    uint64_t expiry_max_s;   // the furthest it ever had
    pg_peer_id uploader;
} pg_ledger_lease;

/** A lease and what is known of a dropped one. */
typedef struct pg_ledger_state {
    pg_ledger_lease lease;
    uint64_t dropped_sequence; // 0: none is remembered
    uint64_t dropped_until_s;  // the furthest expiry it ever had
} pg_ledger_state;

/** A block that a lease needs. */
typedef struct pg_ledger_block {
    pg_held_name name;
    int32_t slot;
    uint32_t len;
} pg_ledger_block;

/** A receipt of another host, verified. */
typedef struct pg_ledger_receipt {
    pg_lease_receipt receipt;
    pg_bytes encoded; // borrowed
} pg_ledger_receipt;

/** What a transaction changed. Begin with all-zero, end with pg_ledger_change_deinit. */
typedef struct pg_ledger_change {
    pg_buf added;   // pg_held_name[], one a row that came
    pg_buf removed; // pg_held_name[], one a row that went
    pg_buf ended;   // pg_peer_id[], the uploaders of leases that are no more
    bool is_new;    // a lease was made
    int64_t tombs;  // remembered drops, more or less
} pg_ledger_change;

/** Free. */
void pg_ledger_change_deinit(pg_ledger_change *change);

/** A grant to be entered. */
typedef struct pg_ledger_commit {
    const pg_lease_grant *grant;
    pg_bytes encoded;           // the same as it was signed, for others to be shown
    pg_slot_set slots;          // to be added; afterwards, all
    const pg_peer_id *uploader; // of a new lease
    const pg_ledger_block
        *blocks; // blocks[block_count]; those of slots that are not held in the end are left out
    size_t block_count;
    const pg_ledger_receipt *receipts; // receipts[receipt_count]
    size_t receipt_count;
    bool make_room;          // forget one dropped lease, if one is added
    uint64_t known_sequence; // told when it is superseded
} pg_ledger_commit;

/** Look a lease up. */
PG_NODISCARD pg_err pg_ledger_find(pg_db *db, const pg_ledger_key *key, pg_ledger_state *out_state);

/** Say whether anything is kept under a lease key. */
PG_NODISCARD pg_err pg_ledger_has_key(pg_db *db, const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES],
                                      bool *out_has);

/** Say whether a grant is in order after what is known: later, or the same once more. Pure. *out_known is what it has to be later than. */
bool pg_ledger_grant_is_next(const pg_ledger_state *state, const pg_lease_grant *grant,
                             uint64_t *out_known);

/** Enter a grant, or with expiry 0 drop the lease. Errors: PG_ERR_CHANGED (superseded), PG_ERR_NOT_FOUND (nothing to drop), those of the
 *  database. */
PG_NODISCARD pg_err pg_ledger_commit_write(pg_db *db, pg_ledger_commit *commit,
                                           pg_ledger_change *change);

/** Keep receipts of other hosts of a lease, as a commit does. Errors: PG_ERR_NOT_FOUND (no such lease), those of the database. */
PG_NODISCARD pg_err pg_ledger_receipts_write(pg_db *db, const pg_ledger_key *key,
                                             const pg_ledger_receipt *receipts, size_t count);

/** Append the grant that a lease is held under, as it was signed. Errors: PG_ERR_NOT_FOUND (no lease, or it was made before grants were kept),
 *  those of the database. */
PG_NODISCARD pg_err pg_ledger_grant_read(pg_db *db, const pg_ledger_key *key, pg_buf *out);

/** Append the hosts that receipts of a lease name to `out`, pg_peer_id[], at most PG_PLACE_RECEIPTS_MAX, the newest first. */
PG_NODISCARD pg_err pg_ledger_hosts(pg_db *db, int64_t lease, pg_buf *out);

/** Append the hosts that receipts name of the leases after the id `after` to `out`, pg_place_lease_host[], in the order of ids, all of some leases at a
 *  time; none at the end. */
PG_NODISCARD pg_err pg_ledger_hosts_page(pg_db *db, int64_t after, pg_buf *out);

/** Take slots out of a lease, and end it with the last. Errors: PG_ERR_CHANGED, PG_ERR_NOT_FOUND, those of the database. */
PG_NODISCARD pg_err pg_ledger_release_write(pg_db *db, const pg_lease_release *release,
                                            bool make_room, pg_ledger_change *change);

/** Take back every claim on a block that is gone: the slots it stood in, all their rows, and the rows of a descriptor or root. */
PG_NODISCARD pg_err pg_ledger_lose(pg_db *db, const pg_held_name *name, pg_ledger_change *change);

/** End some leases whose expiry is before `before_s`, where `tombs` drops are remembered; *out_count tells how many, 0 when there are no more. */
PG_NODISCARD pg_err pg_ledger_expire(pg_db *db, uint64_t before_s, uint64_t now_s, uint64_t tombs,
                                     pg_ledger_change *change, uint32_t *out_count);

/** Forget dropped leases whose grants have all expired before `now_s`; *out_count tells how many. */
PG_NODISCARD pg_err pg_ledger_forget(pg_db *db, uint64_t now_s, uint64_t *out_count);

/** What is known of an extent or whole block: of several leases, the one that lasts longest. */
typedef struct pg_ledger_holding {
    pg_ledger_lease lease;
    pg_buf receipts; // of others, each with its length in front (codec/frame.h)
} pg_ledger_holding;

/** Look up by the descriptor alone; receipts only where they are wanted. The caller frees out_holding->receipts. */
PG_NODISCARD pg_err pg_ledger_have(pg_db *db, const pg_cid *descriptor, bool with_receipts,
                                   pg_ledger_holding *out_holding);

/** Append the keys of leases that end after `after_s` and not after `until_s`, pg_ledger_key[], those that end first, at most
 *  PG_PLACE_LOOKS_MAX. */
PG_NODISCARD pg_err pg_ledger_ending(pg_db *db, uint64_t after_s, uint64_t until_s, pg_buf *out);

// Whole tables, a page at a time

/** A lease for listings. */
typedef struct pg_ledger_listed {
    pg_ledger_lease lease;
    pg_cid descriptor;
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    uint64_t bytes; // of its blocks, as stored
} pg_ledger_listed;

/** Append the leases after the id `after` to `out`, pg_ledger_listed[], in the order of ids; none at the end. */
PG_NODISCARD pg_err pg_ledger_list(pg_db *db, int64_t after, pg_buf *out);

/** Give one lease by its descriptor, the one that ends last. Errors: PG_ERR_NOT_FOUND. */
PG_NODISCARD pg_err pg_ledger_listed_find(pg_db *db, const pg_cid *descriptor,
                                          pg_ledger_listed *out_listed);

/** Give the lease with an id. Errors: PG_ERR_NOT_FOUND. */
PG_NODISCARD pg_err pg_ledger_listed_get(pg_db *db, int64_t id, pg_ledger_listed *out_listed);

/** Draw a lease, each as likely as any other as long as not nearly all of the ids up to the last are gone. Errors:
 *  PG_ERR_NOT_FOUND: there is none. */
PG_NODISCARD pg_err pg_ledger_listed_draw(pg_db *db, pg_ledger_listed *out_listed);

/** A row of a lease's blocks. */
typedef struct pg_ledger_row {
    int64_t lease;
    pg_ledger_block block;
    pg_peer_id uploader;
} pg_ledger_row;

/** Append the rows after `after` (NULL: the first) to `out`, pg_ledger_row[]; none at the end. */
PG_NODISCARD pg_err pg_ledger_rows(pg_db *db, const pg_ledger_row *after, pg_buf *out);

/** A stray and its age. */
typedef struct pg_ledger_stray {
    pg_held_name name;
    uint32_t used_s;
    bool is_gone; // for pg_ledger_strays_write: remove the row
} pg_ledger_stray;

/** Append the strays after `after` (NULL: the first) to `out`, pg_ledger_stray[]; none at the end. */
PG_NODISCARD pg_err pg_ledger_strays(pg_db *db, const pg_held_name *after, pg_buf *out);

/** Write strays[count], or remove them. */
PG_NODISCARD pg_err pg_ledger_strays_write(pg_db *db, const pg_ledger_stray *strays, size_t count);

/** What is kept of the clock (place_clock_priv.h), and sums. */
typedef struct pg_ledger_notes {
    int64_t seen_s;
    int64_t quiet_s;
    uint64_t leases;
    uint64_t bare_leases; // of extents, whose descriptor was lost
    uint64_t tombs;
} pg_ledger_notes;

/** Read. */
PG_NODISCARD pg_err pg_ledger_notes_read(pg_db *db, pg_ledger_notes *out_notes);

/** Keep what is known of the clock. */
PG_NODISCARD pg_err pg_ledger_clock_write(pg_db *db, int64_t seen_s, int64_t quiet_s);
