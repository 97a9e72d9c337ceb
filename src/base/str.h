// SPDX-License-Identifier: Apache-2.0
// Text: views of characters, a builder that grows, numbers read strictly, hexadecimal.
//
// Layer: base.  Thread: any, one object at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** A view of characters somebody else owns; not NUL-terminated. */
typedef struct pg_str {
    const char *ptr;
    size_t len;
} pg_str;

/** View a string literal. */
#define PG_STR(literal) ((pg_str){"" literal, sizeof(literal) - 1})

/** The pair of arguments for a "%.*s" in a format. */
#define PG_STR_ARGS(str) ((int) (str).len), (str).ptr

/** View a NUL-terminated string; NULL gives an empty view. */
pg_str pg_str_make(const char *text);

/** View `len` characters at `ptr`. */
static inline pg_str pg_str_make_len(const char *ptr, size_t len)
{
    return (pg_str){ptr, len};
}

/** Return true when both hold the same characters. */
bool pg_str_equal(pg_str a, pg_str b);

/** Return true when `str` begins with `prefix`. */
bool pg_str_starts_with(pg_str str, pg_str prefix);

/** Cut `str` at the first `separator`: *out_head is what stands before it, and what follows is returned. Without a
 *  separator the head is all of it and the rest is empty with a NULL ptr. */
pg_str pg_str_split(pg_str str, char separator, pg_str *out_head);

/** Return the length, 1..4, of the well-formed UTF-8 character at the front of `str`; 0 when there is none, or when it
 *  controls a terminal (below U+0020, U+007F..U+009F). For text of strangers on its way to a person. Source: RFC 3629 */
size_t pg_str_printable_len(pg_str str);

/** Return in how many single-character changes one name becomes the other, to guess what was meant; of longer ones the first 64 characters count.
 *  Cost: O(a * b). Source: Levenshtein's distance */
size_t pg_str_distance(pg_str a, pg_str b);

/** Return true when a name that is `distance` changes away is near enough to `typed` to have been meant. */
bool pg_str_is_near(pg_str typed, size_t distance);

/** Copy to a NUL-terminated string on the heap; free with pg_mfree. NULL when memory is out. */
PG_NODISCARD char *pg_str_dup(pg_str str);

/** Read all of `str` as a decimal number up to `max`: digits only, no sign, no space. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_str_to_u64(pg_str str, uint64_t max, uint64_t *out_value);

/** Append formatted text to a buffer; a NUL stands behind the content and is not counted. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_buf_printf(pg_buf *buf, const char *format, ...) PG_PRINTF(2, 3);

/** View a buffer as text. Borrowed until the buffer changes. */
pg_str pg_buf_str(const pg_buf *buf);

/** Write `bytes` as lower-case hexadecimal and a NUL: 2 * len + 1 characters at `out_text`. */
void pg_hex_encode(pg_bytes bytes, char *out_text);

/** Read hexadecimal, either case, exactly 2 * out.len characters. Errors: PG_ERR_MALFORMED; `out` is then undefined. */
PG_NODISCARD pg_err pg_hex_decode(pg_str text, pg_mut_bytes out);
