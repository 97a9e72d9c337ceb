// SPDX-License-Identifier: Apache-2.0
#include "files/evidence.h"

#include <string.h>

#include "crypto/hash.h"
#include "files/format.pb-c.h"
#include "files/wire_priv.h"

// ---- What is told

pg_err pg_evidence_encode(const pg_evidence *evidence, pg_buf *out)
{
    Pangea__Files__Evidence message = PANGEA__FILES__EVIDENCE__INIT;
    message.version = PG_FILES_VERSION;
    message.shard_bytes = evidence->shard_bytes;
    message.statement = pg_pb_view(evidence->statement);
    return pg_pb_append(out, &message.base);
}

/** A telling whose statement is to be found again in what it was read from. */
typedef struct taking {
    pg_bytes in;
    pg_evidence evidence;
} taking;

static pg_err evidence_take(const ProtobufCMessage *base, void *out)
{
    const Pangea__Files__Evidence *message = (const Pangea__Files__Evidence *) base;
    taking *self = out;
    size_t len = message->statement.len;
    if (len == 0 || message->shard_bytes == 0 || message->shard_bytes > PG_SHARD_BYTES_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "evidence: no statement, or a shard of %u bytes",
                       message->shard_bytes);
    }
    self->evidence.shard_bytes = message->shard_bytes;
    // The last field, and the encoding is exact: it stands at the end.
    self->evidence.statement = pg_bytes_slice(self->in, self->in.len - len, self->in.len);
    return PG_OK;
}

pg_err pg_evidence_decode(pg_bytes in, pg_evidence *out_evidence)
{
    taking self = {.in = in};
    PG_TRY(
        pg_wire_take("evidence", &pangea__files__evidence__descriptor, in, evidence_take, &self));
    *out_evidence = self.evidence;
    return PG_OK;
}

// ---- What is said to it

pg_err pg_evidence_reply_encode(pg_evidence_status status, pg_buf *out)
{
    Pangea__Files__EvidenceReply message = PANGEA__FILES__EVIDENCE_REPLY__INIT;
    message.version = PG_FILES_VERSION;
    message.status = (uint32_t) status;
    return pg_pb_append(out, &message.base);
}

static pg_err reply_take(const ProtobufCMessage *base, void *out)
{
    const Pangea__Files__EvidenceReply *message = (const Pangea__Files__EvidenceReply *) base;
    if (message->status >= PG_EVIDENCE_STATUS_COUNT) {
        return pg_fail(PG_ERR_UNSUPPORTED, "evidence: unknown status %u", message->status);
    }
    *(pg_evidence_status *) out = (pg_evidence_status) message->status;
    return PG_OK;
}

pg_err pg_evidence_reply_decode(pg_bytes in, pg_evidence_status *out_status)
{
    return pg_wire_take("reply to evidence", &pangea__files__evidence_reply__descriptor, in,
                        reply_take, out_status);
}

// ---- The judgement

/** Is it the shard that the statement is about? *out_challenge is then the question it answers, but for the auditor. */
static bool is_its_shard(const pg_audit_statement *statement, const pg_descriptor *read,
                         pg_bytes shard, pg_audit_challenge *challenge)
{
    const pg_audit_answer *answer = &statement->answer;
    uint8_t digest[PG_HASH_BYTES];
    if (read == NULL) {
        pg_multihash hash = pg_cid_multihash(&statement->descriptor);
        pg_bytes id = pg_multihash_digest(&hash);
        if (answer->segment != 0 || answer->shard != 0 || id.len != PG_EXTENT_ID_BYTES ||
            pg_cid_verify(&statement->descriptor, shard) != PG_OK) {
            return false;
        }
        memcpy(challenge->extent_id, id.ptr, PG_EXTENT_ID_BYTES);
        return true;
    }
    if (answer->segment >= read->segment_count || answer->shard >= pg_code_shards(read->code)) {
        return false;
    }
    memcpy(challenge->extent_id, read->extent_id, PG_EXTENT_ID_BYTES);
    pg_blake3(shard, digest);
    return memcmp(digest, pg_descriptor_digest(read, answer->segment, answer->shard),
                  PG_HASH_BYTES) == 0;
}

bool pg_evidence_holds(const pg_audit_statement *statement, const pg_descriptor *read,
                       pg_bytes shard)
{
    uint8_t sum[PG_AUDIT_BLOCK_BYTES];
    pg_audit_challenge challenge = {
        .segment = statement->answer.segment,
        .auditor = pg_peer_id_bytes(&statement->auditor),
    };
    memcpy(challenge.nonce, statement->nonce, sizeof(challenge.nonce));
    if (shard.len > PG_SHARD_BYTES_MAX || !is_its_shard(statement, read, shard, &challenge)) {
        return false;
    }
    pg_audit_compute(&challenge, shard, sum);
    return memcmp(sum, statement->answer.sum, sizeof(sum)) != 0;
}
