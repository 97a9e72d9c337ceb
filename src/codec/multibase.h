// SPDX-License-Identifier: Apache-2.0
// Binary as text in the bases that CIDs, PeerIds and multiaddrs use, with or without the letter that names the base.
// Bounded, since base58 takes quadratic time. Not for: plain hexadecimal (base/str.h), large data.
//
// Layer: codec.  Thread: any.  Spec: multiformats/multibase, RFC 4648; base58 with Bitcoin's alphabet
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"

typedef enum pg_base {
    PG_BASE_16,    // 'f' lower case, 'F' upper case is read
    PG_BASE_32,    // 'b' lower case without padding, 'B' upper case is read
    PG_BASE_58BTC, // 'z'
    PG_BASE_64URL, // 'u' without padding
    PG_BASE_COUNT,
} pg_base;

/** The most bytes that are written as text or read from it at once. */
#define PG_BASE_BYTES_MAX 256
/** The most characters that come out, with prefix and NUL: base 16 is the longest. */
#define PG_BASE_TEXT_BYTES (2 * PG_BASE_BYTES_MAX + 2)

/** Write `in`, at most PG_BASE_BYTES_MAX bytes, as characters without a prefix; a longer one fails the writer. */
void pg_writer_base(pg_writer *writer, pg_base base, pg_bytes in);

/** Read all of `text`, which has no prefix, into `space`; every value has one spelling but for the case of letters in
 *  bases 16 and 32.
 *  Errors: PG_ERR_MALFORMED, PG_ERR_LIMIT when it does not fit `space` or PG_BASE_BYTES_MAX; `space` is then undefined. */
PG_NODISCARD pg_err pg_base_decode(pg_base base, pg_str text, pg_mut_bytes space, size_t *out_len);

/** Write the letter of the base and then `in`, as pg_writer_base. */
void pg_writer_multibase(pg_writer *writer, pg_base base, pg_bytes in);

/** Read a text whose first letter names its base. Errors as pg_base_decode, PG_ERR_UNSUPPORTED for another letter. */
PG_NODISCARD pg_err pg_multibase_decode(pg_str text, pg_mut_bytes space, pg_base *out_base,
                                        size_t *out_len);
