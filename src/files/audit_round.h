// SPDX-License-Identifier: Apache-2.0
// The auditor's side of one audit: all holders of an extent are asked for their sum over one segment at once, and the answers judged
// together. Where they do not agree, or are too few, whole shards are fetched and the true sums computed: then every lie is certain, and the
// signed answer is evidence that others can check. Not for: when to audit what (guard.h).
//
// Layer: files, private.  Thread: loop thread only.  Spec: docs/protocols/audit.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "files/audit_msg.h"
#include "files/catalogue.h"
#include "files/service_priv.h"

/** What an audit found out about one slot at one holder. */
typedef enum pg_audit_finding {
    PG_AUDIT_FINDING_SILENT,   // no answer: away, or slow
    PG_AUDIT_FINDING_BUSY,     // asked to come later
    PG_AUDIT_FINDING_UNPROVEN, // it answered, and what the others said does not suffice to judge it
    PG_AUDIT_FINDING_PROVEN,   // it has its whole shard
    PG_AUDIT_FINDING_DENIED,   // it says itself that it does not have it
    PG_AUDIT_FINDING_LIED,     // its answer is wrong, certainly
    PG_AUDIT_FINDING_COUNT,
} pg_audit_finding;

/** One slot at one holder. */
typedef struct pg_audit_item {
    pg_peer_id peer;
    unsigned slot;
    pg_audit_finding finding;
    bool is_broken; // SILENT though it took the question, while another host answered
    bool is_owed; // it could have answered and did not: BUSY, or SILENT while another host answered
    bool is_missed;   // for too long (guard_log.h): nothing proves that it is there
    pg_buf statement; // signed, with LIED only
    pg_buf
        shard; // what it should have, with the first PG_EVIDENCE_LIES_MAX of them; not of a whole block
} pg_audit_item;

/** Holders that one audit asks, counted by slots; more are left for another time. */
#define PG_AUDIT_ITEMS_MAX 64U

/** What is audited. */
typedef struct pg_audit_case {
    pg_files *files;
    const pg_cid *descriptor;           // or the block that is kept whole
    const pg_descriptor *read;          // NULL: it is kept whole
    const pg_catalogue_holder *holders; // holders[holder_count]; this node may be one of them
    size_t holder_count;
    bool
        is_local; // this node has the shards that are asked for: it judges by them, and fetches nothing
    bool is_patient; // who is busy is asked again, for about a minute
    unsigned ask_ms; // for an answer; 0 = PG_AUDIT_ASK_MS
} pg_audit_case;

/** What came of it. */
typedef struct pg_audit_result {
    uint32_t segment;
    bool is_settled; // whole shards were fetched
    bool is_patient; // who was busy was asked again
    size_t count;
    pg_audit_item items[PG_AUDIT_ITEMS_MAX];
} pg_audit_result;

/** Audit one segment, chosen at random. Parks: yes.
 *  out_result   large: not for a small stack; end it with pg_audit_result_deinit, also after an error
 *  Errors: PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_audit_round(const pg_audit_case *what, pg_audit_result *out_result);

/** Free. */
void pg_audit_result_deinit(pg_audit_result *result);

/** Return a finding in a word, as logs and the API have it ("proven"). Static. */
const char *pg_audit_finding_name(pg_audit_finding finding);
