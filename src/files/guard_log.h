// SPDX-License-Identifier: Apache-2.0
// What the guard (guard.h) remembers over restarts, in the node's sealed database: which holder proved which slots and when, which lied or
// denied what it had promised, with the signed statement, which owes answers and since when, since when a host is silent, and why what was
// repaired. Every table is bounded.
//
// Layer: files, private.  Thread: loop thread only; all calls park while the database works.
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
#include "files/audit_round.h"
#include "store/db.h"

/** Enter what an audit found out: proofs, faults with their evidence, and answers that are owed. An item that is owed (audit_round.h) for the
 *  PG_GUARD_OWED_MAX-th time in a row, over PG_GUARD_OWED_S at least, and by a patient audit, becomes is_missed: a fault without evidence. Errors of the
 *  database. */
PG_NODISCARD pg_err pg_guard_log_audit(pg_db *db, const pg_cid *descriptor, pg_audit_result *result,
                                       uint64_t now_s);

/** What is known of one holder of an extent. */
typedef struct pg_guard_standing {
    pg_peer_id peer;
    pg_slot_set proven; // by the last audit that proved any
    uint64_t proven_s;  // when; 0 = never
    pg_slot_set faulty; // lied about, denied, or missed, and not proven since
    pg_slot_set owed;   // the last audit of it was left unanswered
    pg_slot_set due;    // of these, missed if the next one is, too
} pg_guard_standing;

/** Read what is known of the holders of an extent.
 *  out_standings   out_standings[PG_PLACE_RECEIPTS_MAX]. Errors of the database. */
PG_NODISCARD pg_err pg_guard_log_standings(pg_db *db, const pg_cid *descriptor,
                                           pg_guard_standing *out_standings, size_t *out_count);

/** Append the descriptors that somebody's fault stands against, pg_cid[], each once. Errors of the database. */
PG_NODISCARD pg_err pg_guard_log_faulty(pg_db *db, pg_buf *out);

/** A fault: evidence that others can check, as docs/protocols/audit.md says. */
typedef struct pg_guard_fault {
    uint64_t time_s;
    pg_cid descriptor;
    pg_peer_id peer;
    unsigned slot;
    pg_audit_finding finding; // DENIED or LIED; SILENT or BUSY: missed
    bool is_over;             // it was proven since
    pg_bytes statement;       // signed, of a lie; empty otherwise. Borrowed for the call
} pg_guard_fault;

/** Call `each` for every fault that is kept, newest first. Called on the database's thread: it only collects. Errors of the database. */
PG_NODISCARD pg_err pg_guard_log_faults(pg_db *db,
                                        pg_err (*each)(const pg_guard_fault *fault, void *user),
                                        void *user);

/** Write since when a host is silent, seconds; 0 = it answers. Errors of the database. */
PG_NODISCARD pg_err pg_guard_log_silent(pg_db *db, const pg_peer_id *peer, uint64_t since_s);

/** Call `each` for every silent host. Called on the database's thread: it only collects. Errors of the database. */
PG_NODISCARD pg_err pg_guard_log_silents(
    pg_db *db, pg_err (*each)(const pg_peer_id *peer, uint64_t since_s, void *user), void *user);

/** A line of the log of repairs. */
typedef struct pg_guard_note_line {
    uint64_t time_s;
    pg_cid descriptor;
    const char *what;   // a word: "repaired", "failed", ...
    const char *detail; // for the person who reads it. Borrowed for the call
} pg_guard_note_line;

/** Add a line; the oldest beyond PG_GUARD_NOTES_MAX go. Errors of the database. */
PG_NODISCARD pg_err pg_guard_log_note(pg_db *db, const pg_guard_note_line *note);

/** Call `each` for the newest `max` lines, newest first; of one extent, or of all when descriptor is NULL. Called on the database's thread: it only
 *  collects. Errors of the database. */
PG_NODISCARD pg_err pg_guard_log_notes(pg_db *db, const pg_cid *descriptor, size_t max,
                                       pg_err (*each)(const pg_guard_note_line *note, void *user),
                                       void *user);

/** Forget proofs, and answers owed, older than `before_s`: of extents that are kept no more. Errors of the database. */
PG_NODISCARD pg_err pg_guard_log_forget(pg_db *db, uint64_t before_s);
