// SPDX-License-Identifier: Apache-2.0
// Makes a fresh data directory one of the network that an invitation is to: writes the network's key and a configuration that begins
// with the inviting node.
//
// Layer: node.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "net/invite.h"

/** Write "pangea.conf" and, for a private network, "swarm.key" (both mode 0600) to a folder, which is made where need be. Parks: yes.
 *  Errors: PG_ERR_EXISTS (there is a configuration, or another key, already: the detail says what to do), PG_ERR_BUSY (a node is running on
 *  it), PG_ERR_LIMIT (no address fits into a line), and those of pg_file_replace. */
PG_NODISCARD pg_err pg_node_join(const char *folder, const pg_invite *invite);
