// SPDX-License-Identifier: Apache-2.0
// What an S3-compatible store answers in XML: errors, and lists of objects. Reads the few elements that matter, by their names and where they stand,
// in one pass without a tree; everything else is skipped. Texts are cut at a bound.
//
// Layer: store.  Thread: any.  Source: Amazon S3 API reference, "Error responses", "ListObjectsV2"
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "store/objects.h"

#define PG_S3_NAME_BYTES_MAX 1024 // of an object, as S3 has it

/** What was wrong. Texts are printable and NUL-terminated; empty where the answer has none. */
typedef struct pg_s3_error {
    char code[64]; // "NoSuchKey"
    char message[256];
    char region[64]; // that the bucket is in, where the answer tells
} pg_s3_error;

/** Read an error.
 *  in   what came, of any length; borrowed
 *  Errors: PG_ERR_MALFORMED (it is none: an HTML page, say). */
PG_NODISCARD pg_err pg_s3_error_decode(pg_bytes in, pg_s3_error *out_error);

/** How a list goes on. */
typedef struct pg_s3_list {
    bool is_truncated;
    char token[PG_S3_NAME_BYTES_MAX + 1]; // what to ask with for the rest
} pg_s3_list;

/** Read one page of a list, and call `each` for its objects.
 *  Errors: PG_ERR_MALFORMED, PG_ERR_LIMIT (a name or token too long), what `each` returned. */
PG_NODISCARD pg_err pg_s3_list_decode(pg_bytes in, pg_object_fn each, void *user,
                                      pg_s3_list *out_list);
