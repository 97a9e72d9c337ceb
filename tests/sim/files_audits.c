// SPDX-License-Identifier: Apache-2.0
#include "files_audits.h"

#include <string.h>

#include "base/mem.h"
#include "net/framed.h"

#define READ_S 60
#define ANSWER_S 15

pg_err sim_audits_answer(sim_node *self, pg_err (*handler)(pg_net_stream_ctx *ctx))
{
    const pg_net_protocol protocol = {PG_AUDIT_ID, handler, NULL, 4};
    pg_host_unserve(self->host, PG_AUDIT_ID);
    return pg_host_serve(self->host, &protocol);
}

pg_err sim_audit_read(pg_stream *stream, pg_audit_request *out_request)
{
    pg_buf bytes PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(
        pg_framed_read(stream, PG_AUDIT_MESSAGE_BYTES_MAX, pg_after(PG_SECONDS(READ_S)), &bytes));
    return pg_audit_request_decode(pg_buf_bytes(&bytes), out_request);
}

pg_err sim_audit_reply(pg_stream *stream, const pg_audit_reply *reply)
{
    pg_buf bytes PG_CLEANUP(pg_buf_deinit) = {0};
    CHECK_OK(pg_audit_reply_encode(reply, &bytes));
    return pg_framed_write(stream, pg_buf_bytes(&bytes), pg_after(PG_SECONDS(ANSWER_S)));
}

pg_err sim_audit_state(const sim_node *self, const pg_net_stream_ctx *ctx,
                       const pg_audit_request *request, const pg_audit_answer *answer)
{
    pg_buf encoded PG_CLEANUP(pg_buf_deinit) = {0};
    pg_audit_statement *statement = PG_NEW(pg_audit_statement);
    CHECK(statement != NULL);
    statement->auditor = *ctx->peer;
    statement->descriptor = request->descriptor;
    memcpy(statement->nonce, request->nonce, sizeof(statement->nonce));
    statement->time_s = (uint64_t) pg_wall_ms() / 1000;
    statement->answer = *answer;
    statement->answer.segment = request->segment;
    statement->answer.shard = request->shard;
    CHECK_OK(pg_audit_statement_encode(self->device, statement, &encoded));
    pg_mfree(statement);
    const pg_audit_reply reply = {PG_AUDIT_STATUS_OK, pg_buf_bytes(&encoded)};
    return sim_audit_reply(ctx->stream, &reply);
}

pg_err sim_audit_open(sim_node *self, const pg_peer_id *peer, pg_stream **out_stream)
{
    static const char *const ids[] = {PG_AUDIT_ID, NULL};
    return pg_host_open_stream(self->host, peer, ids, pg_after(PG_SECONDS(ANSWER_S)), out_stream,
                               NULL);
}

pg_err sim_audit_ask(pg_stream *stream, const pg_audit_request *request, pg_buf *out_bytes,
                     pg_audit_reply *out_reply)
{
    const pg_time deadline = pg_after(PG_SECONDS(ANSWER_S));
    pg_buf_clear(out_bytes);
    CHECK_OK(pg_audit_request_encode(request, out_bytes));
    PG_TRY(pg_framed_write(stream, pg_buf_bytes(out_bytes), deadline));
    pg_buf_clear(out_bytes);
    PG_TRY(pg_framed_read(stream, PG_AUDIT_MESSAGE_BYTES_MAX, deadline, out_bytes));
    return pg_audit_reply_decode(pg_buf_bytes(out_bytes), out_reply);
}
