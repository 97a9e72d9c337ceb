// SPDX-License-Identifier: Apache-2.0
// Evidence: a holder's signed answer to an audit, and the shard it is about, show to anybody that the holder did not have it. The descriptor says
// what the shard's digest is, the shard what the answer had to be; nobody's word counts, and no number of liars makes an honest answer wrong.
// Here are the messages by which hosts tell each other, and the judgement. Pure: telling is evidence_tell.h, hearing evidence_serve.h.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/audit.md, section "Evidence"
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "files/audit_msg.h"
#include "files/descriptor.h"

#define PG_EVIDENCE_ID "/pangea/evidence/1.0.0"

/** What is told. */
typedef struct pg_evidence {
    pg_bytes statement;   // of the holder, encoded. Borrowed
    uint32_t shard_bytes; // of the shard that it is about, which follows when it is wanted
} pg_evidence;

/** What the host says to it; the numbers are those on the wire. */
typedef enum pg_evidence_status {
    PG_EVIDENCE_STATUS_TAKEN = 0,     // it holds, and counts
    PG_EVIDENCE_STATUS_WANTED = 1,    // the shard is to follow
    PG_EVIDENCE_STATUS_KNOWN = 2,     // that holder is at fault there already
    PG_EVIDENCE_STATUS_NOT_OURS = 3,  // no extent of the host's, or no holder of the extent
    PG_EVIDENCE_STATUS_STALE = 4,     // too old, from the future, or the holder proved it since
    PG_EVIDENCE_STATUS_UNFOUNDED = 5, // it does not hold
    PG_EVIDENCE_STATUS_BUSY = 6,      // told too much lately
    PG_EVIDENCE_STATUS_COUNT,
} pg_evidence_status;

/** Append what is told. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_evidence_encode(const pg_evidence *evidence, pg_buf *out);

/** Read what is told; the statement is not looked into, and shows a part of `in`.
 *  Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (version, named), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_evidence_decode(pg_bytes in, pg_evidence *out_evidence);

/** Append what is said to it. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_evidence_reply_encode(pg_evidence_status status, pg_buf *out);

/** Read what is said. Errors as pg_evidence_decode, UNSUPPORTED also of the status. */
PG_NODISCARD pg_err pg_evidence_reply_decode(pg_bytes in, pg_evidence_status *out_status);

/** Return true when a statement is a lie: the shard is the one it is about, and gives another sum.
 *  read    the descriptor that the statement names; NULL: it names a block that is kept whole
 *  shard   the bytes that are said to be it; checked against the digest
 *  Costs a pass over the shard: a job for the pool. */
bool pg_evidence_holds(const pg_audit_statement *statement, const pg_descriptor *read,
                       pg_bytes shard);
