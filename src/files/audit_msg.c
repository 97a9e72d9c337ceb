// SPDX-License-Identifier: Apache-2.0
#include "files/audit_msg.h"

#include <string.h>

#include "crypto/envelope.h"
#include "files/format.pb-c.h"
#include "files/wire_priv.h"
#include "store/block_header.h"

#define DOMAIN PG_BYTES_LIT("pangea-audit-statement")
#define PAYLOAD_TYPE PG_BYTES_LIT("/pangea/audit-statement")

static pg_err cid_take(const char *what, ProtobufCBinaryData field, pg_cid *out_cid)
{
    pg_cid cid;
    pg_err err = pg_cid_decode(pg_pb_bytes(field), &cid);
    if (err != PG_OK || !pg_block_cid_is_kept(&cid)) {
        return pg_fail(PG_ERR_MALFORMED, "%s: not the CID of a descriptor", what);
    }
    *out_cid = cid;
    return PG_OK;
}

static pg_err nonce_take(const char *what, ProtobufCBinaryData field,
                         uint8_t out_nonce[PG_AUDIT_NONCE_BYTES])
{
    if (field.len != PG_AUDIT_NONCE_BYTES) {
        return pg_fail(PG_ERR_MALFORMED, "%s: a nonce of %zu bytes, it has %d", what, field.len,
                       PG_AUDIT_NONCE_BYTES);
    }
    memcpy(out_nonce, field.data, field.len);
    return PG_OK;
}

// ---- Requests

pg_err pg_audit_request_encode(const pg_audit_request *request, pg_buf *out)
{
    Pangea__Files__AuditRequest message = PANGEA__FILES__AUDIT_REQUEST__INIT;
    message.version = PG_FILES_VERSION;
    message.descriptor = pg_pb_view(pg_cid_bytes(&request->descriptor));
    message.segment = request->segment;
    message.shard = request->shard;
    message.nonce = pg_pb_view(PG_BYTES_OF(request->nonce));
    return pg_pb_append(out, &message.base);
}

static pg_err request_take(const ProtobufCMessage *base, void *out)
{
    const Pangea__Files__AuditRequest *message = (const Pangea__Files__AuditRequest *) base;
    pg_audit_request request = {.segment = message->segment, .shard = message->shard};
    if (request.segment >= PG_EXTENT_SEGMENTS_MAX || request.shard >= PG_CODE_SHARDS_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "audit request: impossible segment or shard");
    }
    PG_TRY(cid_take("audit request", message->descriptor, &request.descriptor));
    PG_TRY(nonce_take("audit request", message->nonce, request.nonce));
    *(pg_audit_request *) out = request;
    return PG_OK;
}

pg_err pg_audit_request_decode(pg_bytes in, pg_audit_request *out_request)
{
    return pg_wire_take("audit request", &pangea__files__audit_request__descriptor, in,
                        request_take, out_request);
}

// ---- Replies

pg_err pg_audit_reply_encode(const pg_audit_reply *reply, pg_buf *out)
{
    Pangea__Files__AuditReply message = PANGEA__FILES__AUDIT_REPLY__INIT;
    message.version = PG_FILES_VERSION;
    message.status = (uint32_t) reply->status;
    message.statement = pg_pb_view(reply->statement);
    return pg_pb_append(out, &message.base);
}

/** A reply whose statement is to be found again in what it was read from. */
typedef struct reply_taking {
    pg_bytes in;
    pg_audit_reply reply;
} reply_taking;

static pg_err reply_take(const ProtobufCMessage *base, void *out)
{
    const Pangea__Files__AuditReply *message = (const Pangea__Files__AuditReply *) base;
    reply_taking *taking = out;
    size_t len = message->statement.len;
    if (message->status >= PG_AUDIT_STATUS_COUNT) {
        return pg_fail(PG_ERR_UNSUPPORTED, "audit reply: unknown status %u", message->status);
    }
    if ((message->status == PG_AUDIT_STATUS_OK) != (len > 0)) {
        return pg_fail(PG_ERR_MALFORMED, "audit reply: a statement goes with success only");
    }
    taking->reply.status = (pg_audit_status) message->status;
    // The last field, and the encoding is exact: it stands at the end.
    taking->reply.statement = pg_bytes_slice(taking->in, taking->in.len - len, taking->in.len);
    return PG_OK;
}

pg_err pg_audit_reply_decode(pg_bytes in, pg_audit_reply *out_reply)
{
    reply_taking taking = {.in = in};
    PG_TRY(pg_wire_take("audit reply", &pangea__files__audit_reply__descriptor, in, reply_take,
                        &taking));
    *out_reply = taking.reply;
    return PG_OK;
}

// ---- Statements

pg_err pg_audit_statement_encode(const pg_identity *holder, const pg_audit_statement *statement,
                                 pg_buf *out)
{
    pg_buf answer PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf payload PG_CLEANUP(pg_buf_deinit) = {0};
    Pangea__Files__AuditStatement message = PANGEA__FILES__AUDIT_STATEMENT__INIT;
    PG_TRY(pg_audit_answer_encode(&statement->answer, &answer));
    message.version = PG_FILES_VERSION;
    message.descriptor = pg_pb_view(pg_cid_bytes(&statement->descriptor));
    message.nonce = pg_pb_view(PG_BYTES_OF(statement->nonce));
    message.auditor = pg_pb_view(pg_peer_id_bytes(&statement->auditor));
    message.time_s = statement->time_s;
    message.answer = pg_pb_view(pg_buf_bytes(&answer));
    PG_TRY(pg_pb_append(&payload, &message.base));
    return pg_envelope_seal(holder, DOMAIN, PAYLOAD_TYPE, pg_buf_bytes(&payload), out);
}

static pg_err statement_take(const ProtobufCMessage *base, void *out)
{
    const Pangea__Files__AuditStatement *message = (const Pangea__Files__AuditStatement *) base;
    pg_audit_statement *statement = out;
    statement->time_s = message->time_s;
    PG_TRY(cid_take("audit statement", message->descriptor, &statement->descriptor));
    PG_TRY(nonce_take("audit statement", message->nonce, statement->nonce));
    if (message->time_s > INT64_MAX ||
        pg_peer_id_decode(pg_pb_bytes(message->auditor), &statement->auditor) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "audit statement: impossible time or auditor");
    }
    return pg_audit_answer_decode(pg_pb_bytes(message->answer), &statement->answer);
}

pg_err pg_audit_statement_decode(pg_bytes in, pg_audit_statement *out_statement)
{
    pg_audit_statement statement;
    pg_envelope envelope;
    if (in.len > PG_AUDIT_MESSAGE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "audit statement: has %zu bytes, at most %u", in.len,
                       PG_AUDIT_MESSAGE_BYTES_MAX);
    }
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(PG_ENVELOPE_ARENA_BYTES);
    PG_TRY(pg_error_wrap(pg_envelope_decode(in, DOMAIN, PAYLOAD_TYPE, &arena, &envelope),
                         "audit statement"));
    PG_TRY(pg_wire_take("audit statement", &pangea__files__audit_statement__descriptor,
                        envelope.payload, statement_take, &statement));
    statement.holder = envelope.signer;
    *out_statement = statement;
    return PG_OK;
}
