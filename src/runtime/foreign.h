// SPDX-License-Identifier: Apache-2.0
// Descriptors of libraries that do their own input and output: we wait, they read and write. Only for the exceptions that
// ARCHITECTURE.md names (the HTTP server). Not in a simulated run.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "runtime/socket.h"
#include "runtime/time.h"

/** A descriptor that a fiber waits on. */
typedef struct pg_foreign pg_foreign;

/** Watch a descriptor, which stays the library's and has to live as long. Errors: PG_ERR_LIMIT (out of descriptors), PG_ERR_NOMEM,
 *  PG_ERR_UNSUPPORTED in a simulated run. Parks: no. */
PG_NODISCARD pg_err pg_foreign_new(int fd, pg_foreign **out_foreign);

/** Wait until there is something to read. One fiber at a time. Parks: yes. Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED,
 *  PG_ERR_CLOSED (freed meanwhile). */
PG_NODISCARD pg_err pg_foreign_wait(pg_foreign *foreign, pg_time deadline);

/** Wait until the other side of a socket has closed it, or has said that it writes no more. For a library that looks at the socket
 *  only when it has something to do there. Parks: yes. Errors as pg_foreign_wait. */
PG_NODISCARD pg_err pg_foreign_wait_hangup(pg_foreign *foreign, pg_time deadline);

/** Let who waits for something to read look again, as if there were. Parks: no. */
void pg_foreign_wake(pg_foreign *foreign);

/** Stop watching; NULL is fine. Who waits gets PG_ERR_CLOSED. Parks: no. */
void pg_foreign_free(pg_foreign **foreign);

/** Give a second descriptor of a listener, for a library to accept on and to close. Do not accept on the listener as well.
 *  Errors: PG_ERR_LIMIT, PG_ERR_UNSUPPORTED in a simulated run. Parks: no. */
PG_NODISCARD pg_err pg_listener_dup(const pg_listener *listener, int *out_fd);
