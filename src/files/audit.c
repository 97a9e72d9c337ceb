// SPDX-License-Identifier: Apache-2.0
#include "files/audit.h"

#include <string.h>

#include "crypto/hash.h"
#include "files/format.pb-c.h"
#include "files/wire_priv.h"

/** Derive the coefficients, none of them 0: a block that counted for nothing would not be proven. */
static void derive(const pg_audit_challenge *challenge, pg_mut_bytes out)
{
    uint8_t number[4];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(number));
    pg_writer_u32be(&writer, challenge->segment);
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea audit v1"));
    pg_blake3_stream_update(&stream, PG_BYTES_OF(challenge->nonce));
    pg_blake3_stream_update(&stream, PG_BYTES_OF(challenge->extent_id));
    pg_blake3_stream_update(&stream, PG_BYTES_OF(number));
    pg_blake3_stream_update(&stream, challenge->auditor);
    pg_blake3_stream_final(&stream, out);
    for (size_t b = 0; b < out.len; b++) {
        out.ptr[b] = (uint8_t) (1 + out.ptr[b] % 255);
    }
}

void pg_audit_compute(const pg_audit_challenge *challenge, pg_bytes shard,
                      uint8_t out_sum[PG_AUDIT_BLOCK_BYTES])
{
    uint8_t coefficients[PG_AUDIT_BLOCKS_MAX];
    pg_assert(shard.len <= PG_SHARD_BYTES_MAX);
    size_t blocks = (shard.len + PG_AUDIT_BLOCK_BYTES - 1) / PG_AUDIT_BLOCK_BYTES;
    derive(challenge, pg_mut_bytes_make(coefficients, blocks));
    pg_gf_combine(shard, coefficients, pg_mut_bytes_make(out_sum, PG_AUDIT_BLOCK_BYTES));
}

pg_err pg_audit_judge(pg_code code, const uint8_t *const *answers, pg_rs_verdict *out_verdict)
{
    pg_rs *rs = NULL;
    PG_TRY(pg_rs_new(code.data, code.parity, &rs));
    pg_err err = pg_rs_check(rs, PG_AUDIT_BLOCK_BYTES, answers, out_verdict);
    pg_rs_free(&rs);
    return err;
}

pg_err pg_audit_answer_encode(const pg_audit_answer *answer, pg_buf *out)
{
    Pangea__Files__AuditAnswer message = PANGEA__FILES__AUDIT_ANSWER__INIT;
    message.version = PG_FILES_VERSION;
    message.segment = answer->segment;
    message.shard = answer->shard;
    message.sum = pg_pb_view(PG_BYTES_OF(answer->sum));
    return pg_pb_append(out, &message.base);
}

static pg_err take_answer(const Pangea__Files__AuditAnswer *message, pg_audit_answer *out_answer)
{
    if (message->segment >= PG_EXTENT_SEGMENTS_MAX || message->shard >= PG_CODE_SHARDS_MAX ||
        message->sum.len != PG_AUDIT_BLOCK_BYTES) {
        return pg_fail(PG_ERR_MALFORMED, "audit answer: impossible segment, shard or length");
    }
    out_answer->segment = message->segment;
    out_answer->shard = message->shard;
    memcpy(out_answer->sum, message->sum.data, PG_AUDIT_BLOCK_BYTES);
    return PG_OK;
}

pg_err pg_audit_answer_decode(pg_bytes in, pg_audit_answer *out_answer)
{
    if (in.len > PG_AUDIT_ANSWER_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "audit answer: has %zu bytes, at most %u", in.len,
                       PG_AUDIT_ANSWER_BYTES_MAX);
    }
    PG_TRY(pg_wire_check_version("audit answer", in));
    pg_arena arena = pg_wire_arena(in.len);
    ProtobufCMessage *message = NULL;
    pg_err err = pg_wire_read("audit answer", &pangea__files__audit_answer__descriptor, in, &arena,
                              &message);
    if (err == PG_OK) {
        err = take_answer((const Pangea__Files__AuditAnswer *) message, out_answer);
    }
    pg_arena_deinit(&arena);
    return err;
}
