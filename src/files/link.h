// SPDX-License-Identifier: Apache-2.0
// The link of a file: where its root is and the key that opens it, in 117 characters. Who has it can read the file; the part
// before '#' alone tells nothing.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/files.md, section "Link".
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/cid.h"
#include "crypto/secret.h"

/** Characters of a link: scheme 7, CID 59, '#', and 37 bytes in base58. */
#define PG_LINK_CHARS 117
#define PG_LINK_TEXT_BYTES (PG_LINK_CHARS + 1)

/** A link. Holds a secret: whoever owns it wipes it. */
typedef struct pg_link {
    pg_cid root; // raw, BLAKE3
    pg_key key;
} pg_link;

/** Write a link and a NUL. The text is a secret too: wipe it. */
void pg_link_format(const pg_link *link, char out_text[PG_LINK_TEXT_BYTES]);

/** Read a link, strictly: white space around it is refused too. Each failure has a text for the person who typed it.
 *  out_link  written only on PG_OK
 *  Errors    PG_ERR_INVALID (not a pangea link at all), PG_ERR_TRUNCATED (its end or its key is missing), PG_ERR_MALFORMED
 *            (mistyped), PG_ERR_UNSUPPORTED (of a version that this program does not know, named) */
PG_NODISCARD pg_err pg_link_parse(pg_str text, pg_link *out_link);

/** Overwrite the key. NULL is fine. */
void pg_link_wipe(pg_link *link);
