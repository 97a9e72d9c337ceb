// SPDX-License-Identifier: Apache-2.0
// Host names to addresses by the system's resolver; a table of names in a simulated run.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/socket.h"

#define PG_RESOLVE_MAX 16

/** Resolve `name`; ports of the results are 0. PG_IP_FAMILY_NONE asks for both families. Parks: yes.
 *  out_endpoints[PG_RESOLVE_MAX]
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_TIMEOUT, PG_ERR_CANCELLED, PG_ERR_UNREACHABLE. */
PG_NODISCARD pg_err pg_resolve(const char *name, pg_ip_family family, pg_time deadline,
                               pg_endpoint *out_endpoints, size_t *out_count);
