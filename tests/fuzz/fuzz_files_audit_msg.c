// SPDX-License-Identifier: Apache-2.0
// Goal: what reads as a message of an audit is written again as the same bytes; a statement that was signed by somebody reads as what it says.
#include "files/audit_msg.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    request_check(in);
    reply_check(in);
    statement_check(in);
    return 0;
}
