// SPDX-License-Identifier: Apache-2.0
// Who may come in over TCP. Any page in a browser of this machine can send requests to 127.0.0.1, and with a name of its own that
// resolves there (DNS rebinding) read the answers: so the Host has to be ours, a foreign Origin is refused, and the API wants a token.
// The Unix socket needs none of this: the mode of its file says who may.
//
// Layer: api.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/limits.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "runtime/socket.h"

/** What a request says of itself. NULL where it does not. */
typedef struct pg_door_head {
    const char *host;
    const char *origin;
    const char *authorization;
} pg_door_head;

/** Check a request that came over TCP.
 *  port          of the door
 *  token         that it wants as "Bearer TOKEN"; compared in constant time; empty = none, as for /livez
 *  out_status    on failure 401 (no token, or a wrong one) or 403 (Host or Origin)
 *  Errors: PG_ERR_ACCESS. */
PG_NODISCARD pg_err pg_door_check(const pg_door_head *head, uint16_t port, pg_bytes token,
                                  unsigned *out_status);

/** Read where to listen: "127.0.0.1:4480" or "[::1]:4480"; only loopback, and port 0 takes a free one. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_door_endpoint(pg_str text, pg_endpoint *out_endpoint);

/** Write a token as base64url and a NUL. */
void pg_door_token_format(const uint8_t token[PG_API_TOKEN_BYTES],
                          char out_text[PG_API_TOKEN_CHARS + 1]);
