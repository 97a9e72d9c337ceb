// SPDX-License-Identifier: Apache-2.0
// What a program says to the one that started it and looks after it: systemd, or what speaks as it does. Without one nothing is said.
// Not in a simulated run.
//
// Layer: runtime.  Thread: loop thread only.  Spec: sd_notify(3), "Standalone Implementations"
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

/** Return true when somebody listens: $NOTIFY_SOCKET is set. */
bool pg_supervisor_is_there(void);

/** Say something: assignments as "READY=1", newlines between them. PG_OK where nobody listens. Parks: no; waits a second at most, and only where
 *  more was said than is read.
 *  Errors: PG_ERR_INVALID ($NOTIFY_SOCKET is no address of a Unix socket), PG_ERR_NOT_FOUND, PG_ERR_REFUSED, PG_ERR_BUSY, PG_ERR_IO */
PG_NODISCARD pg_err pg_supervisor_tell(const char *text);

/** Return within what time the supervisor wants to hear "WATCHDOG=1" again, nanoseconds; 0 where it does not. From $WATCHDOG_USEC, unless
 *  $WATCHDOG_PID is another process. */
int64_t pg_supervisor_watchdog_ns(void);
