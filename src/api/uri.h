// SPDX-License-Identifier: Apache-2.0
// What a request asks for: the path as it came, and the parameters behind it, decoded. Strict: what is odd is refused, not mended.
//
// Layer: api.  Thread: any, one object at a time.  Spec: RFC 3986; '+' for a space as forms have it
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/limits.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

/** One parameter; both point into the text of its pg_uri and end with a NUL. */
typedef struct pg_uri_param {
    const char *name;
    const char *value;
} pg_uri_param;

/** A path and its parameters. Not to be copied: it points into itself. */
typedef struct pg_uri {
    const char *path; // not decoded: no path of ours needs it
    pg_uri_param params[PG_API_PARAMS_MAX];
    size_t param_count;
    char text[PG_API_URI_BYTES_MAX + PG_API_PARAMS_MAX +
              1]; // a parameter without '=' takes a NUL more than it had
} pg_uri;

/** Read "/path?name=value&name=value".
 *  Errors: PG_ERR_INVALID (too long, too many parameters, one twice, a broken percent sign, a zero byte); the detail says which. */
PG_NODISCARD pg_err pg_uri_decode(pg_str in, pg_uri *out_uri);

/** Check that every parameter is one of `names`, separated by spaces; NULL = there must be none. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_uri_check(const pg_uri *uri, const char *names);

/** Return the value of a parameter, or NULL. */
const char *pg_uri_get(const pg_uri *uri, const char *name);

/** Read a whole number of 0..max, `missing` where there is none. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_uri_u64(const pg_uri *uri, const char *name, uint64_t max, uint64_t missing,
                               uint64_t *out_value);

/** Read true or false, false where there is none. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_uri_bool(const pg_uri *uri, const char *name, bool *out_value);

/** Return true when `path` is as `pattern` says, whose last part may be a name in braces: "/api/v1/files/{root}". *out_param is then what
 *  stands there, not empty, else "". */
bool pg_uri_match(const char *path, const char *pattern, const char **out_param);

/** Append `text` with every byte but letters, digits and "-._~" as %XX; a NUL stands behind the content and is not counted. Errors as
 *  pg_buf_reserve. */
PG_NODISCARD pg_err pg_uri_escape(pg_bytes text, pg_buf *out);
