// SPDX-License-Identifier: Apache-2.0
// Signatures of requests to an S3-compatible store, AWS Signature Version 4. By hand, not by libcurl: its version of 2022 neither sorts queries
// nor names the digest of the body, which servers refuse; and a pure function can be held against published vectors.
//
// Layer: store.  Thread: any.  Source: AWS, "Authenticating Requests (AWS Signature Version 4)" for Amazon S3
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/hash.h"

#define PG_S3_ACCESS_KEY_BYTES_MAX 128
#define PG_S3_SECRET_KEY_BYTES_MAX 256
#define PG_S3_HEADERS_MAX 8
#define PG_S3_TIME_BYTES 17 // "20130524T000000Z" and a NUL
#define PG_S3_DIGEST_TEXT_BYTES (2 * PG_HASH_BYTES + 1)

/** Who asks. Secret: wipe it. */
typedef struct pg_s3_credentials {
    char access_key[PG_S3_ACCESS_KEY_BYTES_MAX + 1];
    char secret_key[PG_S3_SECRET_KEY_BYTES_MAX + 1];
} pg_s3_credentials;

/** Take credentials as a person gives them.
 *  Errors: PG_ERR_INVALID (empty, too long, or with a byte that no key has; the detail does not repeat them) */
PG_NODISCARD pg_err pg_s3_credentials_make(pg_str access_key, pg_str secret_key,
                                           pg_s3_credentials *out_credentials);

/** A header that is signed: its name in lower case. */
typedef struct pg_s3_header {
    const char *name;
    const char *value;
} pg_s3_header;

/** A request to be signed. Borrowed. */
typedef struct pg_s3_request {
    const char *method;
    const char *path;    // begins with a slash, escaped
    const char *query;   // names in order, names and values escaped, "a=b&c=d"; may be empty
    const char *payload; // SHA-256 of the body, hexadecimal
    const char *time;    // as pg_s3_time_format writes it
    const char *region;
    size_t header_count;
    pg_s3_header headers
        [PG_S3_HEADERS_MAX]; // in the order of their names; `host` and `x-amz-date` among them
} pg_s3_request;

/** Write the time of a request: "20130524T000000Z". wall_ms is at least 0. */
void pg_s3_time_format(int64_t wall_ms, char out_text[PG_S3_TIME_BYTES]);

/** Write the SHA-256 of a body, hexadecimal. */
void pg_s3_digest_format(pg_bytes body, char out_text[PG_S3_DIGEST_TEXT_BYTES]);

/** Append a name escaped as the signature wants it: all but letters, digits and "-._~" by percent signs, slashes kept where `keeps_slash`.
 *  Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_s3_escape(pg_str name, bool keeps_slash, pg_buf *out);

/** Append the value of the header Authorization. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_s3_sign(const pg_s3_request *request, const pg_s3_credentials *credentials,
                               pg_buf *out);
