// SPDX-License-Identifier: Apache-2.0
// What `pangea status` shows, made from the node's answers. Pure: no terminal, no clock, no socket.
//
//      {"node": {..}, "dhts": [..], "transfers": [..], "store": {..}, "place": {..}, "files": {..}, "catalogue": {..}, ..}
//
// is what it works on: the answers of /api/v1/node, /dht, /transfers and /stat in one object.
//
// Layer: cli.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json_object.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** Make the list of what is not as it should be, each with what to do: [{"text", "fix"}]. Owned by the caller. */
json_object *pg_status_warnings(json_object *status);

/** How it is to look. */
typedef struct pg_status_look {
    const char *folder; // the node's data directory
    int64_t now_s;      // by the wall clock
    bool has_color;
} pg_status_look;

/** Append the screen, lines that end with '\n', at most 80 columns but for names and warnings. `status` has its "warnings" already.
 *  Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_status_draw(json_object *status, const pg_status_look *look, pg_buf *out);

/** Append the warnings alone; nothing where there are none. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_status_draw_warnings(json_object *status, const pg_status_look *look,
                                            pg_buf *out);
