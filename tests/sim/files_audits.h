// SPDX-License-Identifier: Apache-2.0
// Audits by hand, for scenarios: nodes that answer them as the test wants, and that ask.
#pragma once

#include "files/audit_msg.h"
#include "files_world.h"

/** Have a node answer audits by a handler from now on. */
pg_err sim_audits_answer(sim_node *self, pg_err (*handler)(pg_net_stream_ctx *ctx));

/** Read the next request of a stream. Errors as pg_framed_read and pg_audit_request_decode. */
pg_err sim_audit_read(pg_stream *stream, pg_audit_request *out_request);

/** Answer it. Errors as pg_framed_write. */
pg_err sim_audit_reply(pg_stream *stream, const pg_audit_reply *reply);

/** Answer it with what an answer says, true or not, signed by a node. Errors as pg_framed_write. */
pg_err sim_audit_state(const sim_node *self, const pg_net_stream_ctx *ctx,
                       const pg_audit_request *request, const pg_audit_answer *answer);

/** Open a stream to ask a peer. Errors as pg_host_open_stream. */
pg_err sim_audit_open(sim_node *self, const pg_peer_id *peer, pg_stream **out_stream);

/** Ask on it; *out_reply lies in *out_bytes, which the caller frees. Errors as pg_framed_write and pg_framed_read. */
pg_err sim_audit_ask(pg_stream *stream, const pg_audit_request *request, pg_buf *out_bytes,
                     pg_audit_reply *out_reply);
