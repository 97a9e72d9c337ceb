// SPDX-License-Identifier: Apache-2.0
// Echo: every byte comes back, until the other side has closed. For tests of others against us; off unless asked for.
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "net/host.h"

#define PG_ECHO_ID "/echo/1.0.0"

/** Serve echo. Errors as pg_host_serve. */
PG_NODISCARD pg_err pg_echo_serve(pg_host *host);
