// SPDX-License-Identifier: Apache-2.0
// Goal: what reads as a message of an audit, or of evidence, is written again as the same bytes; a statement that was signed by somebody reads as what it says.
#include <string.h>

#include "crypto/hash.h"
#include "files/audit_msg.h"
#include "files/evidence.h"
#include "fuzz.h"

static void request_check(pg_bytes in)
{
    pg_audit_request request;
    pg_buf again = {0};
    if (pg_audit_request_decode(in, &request) == PG_OK) {
        FUZZ_CHECK(pg_audit_request_encode(&request, &again) == PG_OK);
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again), in));
        pg_buf_deinit(&again);
    }
}

static void reply_check(pg_bytes in)
{
    pg_audit_reply reply;
    pg_buf again = {0};
    if (pg_audit_reply_decode(in, &reply) == PG_OK) {
        FUZZ_CHECK(pg_audit_reply_encode(&reply, &again) == PG_OK);
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again), in));
        pg_buf_deinit(&again);
    }
}

static void statement_check(pg_bytes in)
{
    static pg_audit_statement statement;
    if (pg_audit_statement_decode(in, &statement) == PG_OK) {
        FUZZ_CHECK(statement.answer.segment < PG_EXTENT_SEGMENTS_MAX);
        FUZZ_CHECK(statement.answer.shard < PG_CODE_SHARDS_MAX);
    }
}

static void evidence_check(pg_bytes in)
{
    pg_evidence evidence;
    pg_evidence_status status;
    pg_buf again = {0};
    if (pg_evidence_decode(in, &evidence) == PG_OK) {
        FUZZ_CHECK(evidence.shard_bytes > 0 && evidence.shard_bytes <= PG_SHARD_BYTES_MAX);
        FUZZ_CHECK(pg_evidence_encode(&evidence, &again) == PG_OK);
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again), in));
        pg_buf_clear(&again);
    }
    if (pg_evidence_reply_decode(in, &status) == PG_OK) {
        FUZZ_CHECK(pg_evidence_reply_encode(status, &again) == PG_OK);
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again), in));
    }
    pg_buf_deinit(&again);
}

/** Whatever a statement says, with whatever shard, is judged without harm. */
static void judgement_check(pg_bytes in)
{
    static pg_audit_statement statement;
    size_t at = in.len < 64 ? in.len : 64;
    memset(&statement, 0, sizeof(statement));
    statement.descriptor = pg_cid_of_blake3(in);
    for (size_t i = 0; i < at; i++) {
        statement.nonce[i % PG_AUDIT_NONCE_BYTES] ^= in.ptr[i];
    }
    statement.answer.segment = in.len > 0 ? in.ptr[0] & 1 : 0;
    statement.answer.shard = in.len > 1 ? in.ptr[1] & 1 : 0;
    bool holds = pg_evidence_holds(&statement, NULL, in);
    FUZZ_CHECK(!holds || (statement.answer.segment == 0 && statement.answer.shard == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    request_check(in);
    reply_check(in);
    statement_check(in);
    evidence_check(in);
    judgement_check(in);
    return 0;
}
