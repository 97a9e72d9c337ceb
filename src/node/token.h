// SPDX-License-Identifier: Apache-2.0
// The token of the API's TCP door, kept in the data directory: who can read that file may use the node.
//
// Layer: node.  Thread: loop thread only.
#pragma once

#include "api/limits.h"
#include "base/attr.h"
#include "base/err.h"

/** Read the token of a data directory, making one at first need (api.token, mode 0600). A secret: wipe it. Parks: yes.
 *  out_text   base64url and a NUL
 *  Errors: PG_ERR_CORRUPT (no token is in the file), PG_ERR_ACCESS (others can read it), and those of pg_file_load and pg_file_replace */
PG_NODISCARD pg_err pg_token_open(const char *folder, char out_text[PG_API_TOKEN_CHARS + 1]);
