// SPDX-License-Identifier: Apache-2.0
// The configuration file as text its owner wrote: finding all its mistakes, and changing one key while every other line,
// comments and order included, stays as it is. Not for: what the keys are (config.h).
//
// Layer: node.  Thread: any.
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "node/config.h"

/** Is told of a mistake: the line, from 1, and what is wrong with it. Borrowed for the call. */
typedef void (*pg_config_mistake_fn)(unsigned line, const char *detail, void *user);

/** Look for mistakes: `each` is called for all, and how many there were is returned in *out_count. Of lines that are neither section nor pair only the
 *  first is told.
 *  text   of any length; beyond PG_CONFIG_FILE_BYTES_MAX that is the mistake, of line 0
 *  Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_config_check(pg_bytes text, pg_config_mistake_fn each, void *user,
                                    size_t *out_count);

/** Write the file `text` with another value of one key, appended to `out`: where its first line stood, else behind the last line of its section, else
 *  in a new section at the end. What stands behind the value as a comment stays. The result was parsed: the key has these values there.
 *  values   values[value_count]; several only of a list; none: the key is removed, so that its default holds
 *  Errors: PG_ERR_INVALID (a value does not fit, or cannot stand in a file; or another line is wrong: the detail names it), PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_config_edit(pg_bytes text, const pg_config_key *key, const pg_str *values,
                                   size_t value_count, pg_buf *out);
