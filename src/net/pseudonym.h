// SPDX-License-Identifier: Apache-2.0
// Names for addresses and peers in log lines: the same one for the same address for a day, so that lines can be read
// together, and nothing that leads back to the address once the key is gone.
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include "base/bytes.h"
#include "crypto/secret.h"
#include "runtime/time.h"

/** Characters of a pseudonym and a NUL. */
#define PG_PSEUDONYM_TEXT_BYTES 11

/** The key in force. All-zero: none yet. Wipe with pg_pseudonyms_deinit. */
typedef struct pg_pseudonyms {
    pg_key key;
    pg_time expires_at;
} pg_pseudonyms;

/** Write the pseudonym of some bytes; the key is drawn anew once a day. */
void pg_pseudonym_make(pg_pseudonyms *pseudonyms, pg_bytes of,
                       char out_text[PG_PSEUDONYM_TEXT_BYTES]);

/** Forget the key. */
void pg_pseudonyms_deinit(pg_pseudonyms *pseudonyms);
