// SPDX-License-Identifier: Apache-2.0
// The messages of /pangea/audit/1.0.0: a challenge for one shard, and the signed statement that answers it. A statement names the challenge,
// so that whoever sees it later can judge it too. Pure; who asks and who answers are audit_round.h and audit_serve.h.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/audit.md
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "files/audit.h"

/** What an auditor asks one holder. Who asks is known from the connection. */
typedef struct pg_audit_request {
    pg_cid descriptor; // or a block that is kept whole: then segment and shard are 0
    uint32_t segment;
    uint32_t shard;
    uint8_t nonce[PG_AUDIT_NONCE_BYTES];
} pg_audit_request;

/** How it went; the numbers are those on the wire. */
typedef enum pg_audit_status {
    PG_AUDIT_STATUS_OK = 0,
    PG_AUDIT_STATUS_NOT_HELD = 1, // the holder says itself that it does not have it
    PG_AUDIT_STATUS_BUSY = 2,     // asked too much lately
    PG_AUDIT_STATUS_COUNT,
} pg_audit_status;

/** What a holder answers. */
typedef struct pg_audit_reply {
    pg_audit_status status;
    pg_bytes statement; // encoded; with OK only. Borrowed
} pg_audit_reply;

/** What a holder has signed. Large: not for a small stack by the dozen. */
typedef struct pg_audit_statement {
    pg_peer_id holder; // who signed it
    pg_peer_id auditor;
    pg_cid descriptor;
    uint8_t nonce[PG_AUDIT_NONCE_BYTES];
    uint64_t time_s; // wall clock of the holder
    pg_audit_answer answer;
} pg_audit_statement;

/** Append a request. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_audit_request_encode(const pg_audit_request *request, pg_buf *out);

/** Read a request. Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (version, named), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_audit_request_decode(pg_bytes in, pg_audit_request *out_request);

/** Append a reply. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_audit_reply_encode(const pg_audit_reply *reply, pg_buf *out);

/** Read a reply; its statement is not looked into, and shows a part of `in`. Errors as pg_audit_request_decode. */
PG_NODISCARD pg_err pg_audit_reply_decode(pg_bytes in, pg_audit_reply *out_reply);

/** Sign a statement and append the envelope; statement->holder is not read: the signer's counts. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_audit_statement_encode(const pg_identity *holder,
                                              const pg_audit_statement *statement, pg_buf *out);

/** Read a statement; its signature holds. Whether it fits the challenge is for the caller.
 *  Errors: PG_ERR_LIMIT, PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED, PG_ERR_AUTH, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_audit_statement_decode(pg_bytes in, pg_audit_statement *out_statement);
