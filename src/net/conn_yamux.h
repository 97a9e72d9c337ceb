// SPDX-License-Identifier: Apache-2.0
// A connection carried by yamux over a secure stream. Not for: making that stream (upgrade.h).
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "net/conn.h"
#include "runtime/stream.h"

/** Start yamux on a secure stream. Parks: no.
 *  secure   taken on PG_OK, and *secure set to NULL
 *  info     what stays the same for the life of the connection; peer, key and addresses are copied
 *  Errors: PG_ERR_NOMEM, PG_ERR_CANCELLED */
PG_NODISCARD pg_err pg_conn_yamux_new(pg_stream **secure, const pg_conn_info *info,
                                      const pg_conn_limits *limits, pg_conn **out_conn);
