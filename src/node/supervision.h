// SPDX-License-Identifier: Apache-2.0
// What a node says to its supervisor (systemd): that it is ready, rereads its settings, stops; in a line how it is; and, from a fiber
// on the loop, that the loop still turns: a node that hangs is silent, and is started again. Without a supervisor nothing is done.
//
// Layer: node.  Thread: loop thread only.  Not in a simulated run.
#pragma once

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/fiber.h"

/** Append how the node is, one line without its end. Must not park. Errors as pg_buf_reserve. */
typedef pg_err (*pg_supervision_status_fn)(const void *user, pg_buf *out);

/** Own in place; all-zero until started. */
typedef struct pg_supervision {
    pg_scope scope;
    bool is_running;
    pg_supervision_status_fn status;
    const void *user;
} pg_supervision;

/** Say that the node is ready, and go on saying how it is. What cannot be said is logged: the node goes on. Parks: no. */
void pg_supervision_start(pg_supervision *self, pg_supervision_status_fn status, const void *user);

/** Say that the settings are being reread; pg_supervision_ready has to follow. Parks: no. */
void pg_supervision_reloading(const pg_supervision *self);

/** Say that it is over, and how the node is. Parks: no. */
void pg_supervision_ready(const pg_supervision *self);

/** Say that the node stops. Parks: no. */
void pg_supervision_stopping(const pg_supervision *self);

/** Say no more. All-zero is fine. Parks: yes. */
void pg_supervision_end(pg_supervision *self);
