// SPDX-License-Identifier: Apache-2.0
// Talks to the running node over its Unix socket, by libcurl.
//
// Layer: cli.  Thread: blocks the caller's; outside the runtime.
#pragma once

#include <json-c/json_object.h>

#include "base/attr.h"
#include "base/err.h"
#include "cli/invocation.h"

/** Ask the node of the data directory.
 *  method, path   "POST", "/api/v1/dial"
 *  body           what to send, borrowed; NULL = nothing
 *  out_answer     the JSON object that came; owned by the caller, json_object_put
 *  Errors: PG_ERR_NO_NODE (none is running there), PG_ERR_PROTOCOL (no such answer), and what the node failed with, with its detail */
PG_NODISCARD pg_err pg_client_ask(const pg_invocation *invocation, const char *method,
                                  const char *path, json_object *body, json_object **out_answer);
