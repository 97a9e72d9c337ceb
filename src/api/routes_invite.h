// SPDX-License-Identifier: Apache-2.0
// The routes by which others are invited to the node's network, and the node comes to others.
//
//      POST /api/v1/invite   {"expires_s"?}: make an invitation to this node
//      POST /api/v1/join     {"invite", "timeout_ms"?}: be connected to whom an invitation names
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include "api/server.h"
#include "base/attr.h"
#include "base/err.h"

/** Make an invitation that expires `expires_s` seconds from now, 0 or missing: never. Answers {"invite", "peer_id", "addrs", "private",
 *  "expires_s"}, the last since 1970. The user of the request is a pg_api_context. Parks: no.
 *  Errors: PG_ERR_INVALID, PG_ERR_NOT_FOUND (the node has no address), PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_api_invite_post(const pg_api_request *request, json_object **out_body);

/** Be connected to the peer of an invitation of this node's network. Answers {"peer_id", "private", "dial_ms"}. Parks: yes.
 *  Errors: PG_ERR_INVALID, PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (the invitation), PG_ERR_KEY (it is to another network),
 *  and those of pg_host_connect. */
PG_NODISCARD pg_err pg_api_join_post(const pg_api_request *request, json_object **out_body);
