// SPDX-License-Identifier: Apache-2.0
// One setting changed in a configuration file, for commands beside `pangea config`.
//
// Layer: cli.  Thread: blocks the caller's.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "cli/invocation.h"

/** Give a key of the configuration file a value: of the file that the option --config names, which the command has, or of that in the data
 *  directory. Every other line stays as it is.
 *  out_changed   false: it stood so already. Errors: PG_ERR_INVALID (it does not fit, or the file has another mistake), of files. */
PG_NODISCARD pg_err pg_config_file_set(const pg_invocation *invocation, const char *key,
                                       const char *value, bool *out_changed);
