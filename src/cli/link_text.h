// SPDX-License-Identifier: Apache-2.0
// A link as a person gives it to a command: an argument, or "-" for the first line of standard input, so that it need not stand in
// the history of a shell. Who has a link can read the file: what is read here is wiped, and taken off the list of processes.
//
// Layer: cli.  Thread: any, one at a time.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "cli/invocation.h"
#include "files/link.h"

/** A link and its text. Holds a secret: pg_link_text_wipe. */
typedef struct pg_link_text {
    char text[PG_LINK_TEXT_BYTES];
    pg_link link;
} pg_link_text;

/** Take the link that an argument holds, or names by "-".
 *  Errors: as pg_link_parse; PG_ERR_INVALID when nothing comes from standard input. */
PG_NODISCARD pg_err pg_link_text_take(const pg_invocation *invocation, size_t argument,
                                      pg_link_text *out_link);

/** Append the body of a request for a file from byte `start` on. End it with pg_client_secret_wipe. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_link_text_body_from(const pg_link_text *link, uint64_t start, pg_buf *out);

/** Overwrite. */
void pg_link_text_wipe(pg_link_text *link);
