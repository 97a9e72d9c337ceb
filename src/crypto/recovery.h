// SPDX-License-Identifier: Apache-2.0
// The secret of a person as text to be written down: with it alone a new device becomes the person's, and finds the person's files.
//
//      text     base 32 (RFC 4648, lower case, no padding), in groups of four with '-' between
//      binary   content | the first 4 bytes of SHA-256("pangea secret" | content)
//      content  version 1: 01 | the person's seed (32); the owner secret derives from it
//               version 2: 02 | the person's seed (32) | the owner secret (32), of keystores in which the two are independent
//
// Layer: crypto.  Thread: any.  Spec: docs/protocols/catalogue.md, section "The secret"
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/keystore.h"

/** The longest text and a NUL. */
#define PG_RECOVERY_TEXT_BYTES 140

/** The longest that is read, with white space. */
#define PG_RECOVERY_INPUT_BYTES_MAX 512

/** Write the secret of a keystore and a NUL. The caller wipes the text. */
void pg_recovery_format(const pg_keystore *keystore, char out_text[PG_RECOVERY_TEXT_BYTES]);

/** Read a secret: in either case, with hyphens and white space anywhere or nowhere.
 *  out_seeds   the person's and the owner's; the device's is a new random one. The caller wipes it. Written only on PG_OK
 *  Errors: PG_ERR_TRUNCATED, PG_ERR_MALFORMED (no such text), PG_ERR_CORRUPT (mistyped: the checksum does not match),
 *  PG_ERR_UNSUPPORTED (a version that this program does not know, named), PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_recovery_parse(pg_str text, pg_keystore_seeds *out_seeds);
