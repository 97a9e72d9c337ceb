// SPDX-License-Identifier: Apache-2.0
// Where the node's data is: --data, else $XDG_DATA_HOME/pangea, else ~/.local/share/pangea.
//
// Layer: cli.  Thread: any.
#pragma once

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "cli/invocation.h"

/** Append the data directory and a NUL that is not counted. Errors: PG_ERR_INVALID (no --data, and no home), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_data_folder(const pg_invocation *invocation, pg_buf *out);
