// SPDX-License-Identifier: Apache-2.0
// Audits: does every holder still have its whole shard? The auditor sends a nonce; each holder answers with one 4 KiB sum over
// all blocks of its shard, weighted by coefficients that follow from the nonce and from who asks. Since the code is linear, the
// answers form a codeword when all of them are true: nobody needs the data, nor a stored answer, to judge them. Pure: asking is
// audit_round.h, answering audit_serve.h.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/files.md, section "Audit".
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/rs.h"
#include "files/code.h"
#include "files/descriptor.h"
#include "files/limits.h"

#define PG_AUDIT_NONCE_BYTES 32

/** What an auditor asks of the holders of one segment. */
typedef struct pg_audit_challenge {
    uint8_t nonce[PG_AUDIT_NONCE_BYTES]; // fresh
    uint8_t extent_id[PG_EXTENT_ID_BYTES];
    uint32_t segment;
    pg_bytes auditor; // PeerId of who asks; holders take it from the authenticated connection
} pg_audit_challenge;

/** What a holder answers. */
typedef struct pg_audit_answer {
    uint32_t segment;
    uint32_t shard;
    uint8_t sum[PG_AUDIT_BLOCK_BYTES];
} pg_audit_answer;

/** Compute the holder's sum over its shard, at most PG_SHARD_BYTES_MAX bytes: one pass over it. */
void pg_audit_compute(const pg_audit_challenge *challenge, pg_bytes shard,
                      uint8_t out_sum[PG_AUDIT_BLOCK_BYTES]);

/** Judge the answers to one challenge.
 *  answers[n]   answers[i] is the sum of shard i, NULL where none came
 *  out_verdict  CONSISTENT: all who answered hold their shard. LIAR: shard `liar` is not held. INCONSISTENT: somebody lies, who is
 *               not told. UNPROVEN: too few answers; whole shards settle it. Certain while at most one lies (codec/rs.h)
 *  Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_audit_judge(pg_code code, const uint8_t *const *answers,
                                   pg_rs_verdict *out_verdict);

/** Encode an answer and append it to `out`. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_audit_answer_encode(const pg_audit_answer *answer, pg_buf *out);

/** Read an answer. Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (version, named), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_audit_answer_decode(pg_bytes in, pg_audit_answer *out_answer);
