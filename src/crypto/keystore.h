// SPDX-License-Identifier: Apache-2.0
// The keystore: all long-lived secrets of a node as one small file. This part turns it into bytes and back; who writes
// them gives the file mode 0600 and replaces it in one step.
//
//      offset  bytes
//      0       16    "pangea keystore\n"
//      16      1     version, 1
//      17      1     how it is locked: 0 not at all, 1 Argon2id and AES-256-GCM
//      18      36    only when locked: memory in KiB (4, big-endian), passes (4), salt (16), nonce (12)
//      then          the body; when locked encrypted, with everything before it as associated data, and a tag of 16
//      end     32    SHA-256 of everything before it
//
// The body is the seeds of person and device (32 each), the owner secret (32), and the certificate after its length (2).
// The checksum tells damage (PG_ERR_CORRUPT) from a wrong passphrase (PG_ERR_KEY), at no cost in Argon2id.
//
// Layer: crypto.  Thread: any, one keystore at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/certificate.h"
#include "crypto/identity.h"
#include "crypto/kdf.h"
#include "crypto/secret.h"

#define PG_KEYSTORE_BYTES_MAX 1024

/** The secrets of a node. Own in place, end with pg_keystore_deinit. The all-zero value is an ended one. */
typedef struct pg_keystore {
    pg_identity person;
    pg_identity device;      // its PeerId is the node's
    pg_secret owner;         // 32 bytes: lease keys and catalogue keys derive from it
    pg_buf certificate;      // encoded: device is person's
    pg_certificate verified; // the same, read
} pg_keystore;

/** The secrets of a new keystore. The caller wipes them. */
typedef struct pg_keystore_seeds {
    pg_key person;
    pg_key device;
    pg_key owner;
} pg_keystore_seeds;

/** Derive the owner secret of a person, as new keystores have it. */
void pg_keystore_owner_derive(const pg_key *person, pg_key *out_owner);

/** Draw the seeds of person and device from pg_random_bytes, and derive the owner secret. */
void pg_keystore_seeds_draw(pg_keystore_seeds *out_seeds);

/** Make a new keystore with a certificate that does not expire; `seeds` NULL draws them.
 *  Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_keystore_init(pg_keystore *keystore, const pg_keystore_seeds *seeds,
                                     uint64_t now_s);

/** Wipe and free. NULL and the all-zero value are fine. */
void pg_keystore_deinit(pg_keystore *keystore);

/** How to lock a keystore. Salt and nonce come from pg_random_bytes, new ones each time. */
typedef struct pg_keystore_lock {
    pg_bytes passphrase;
    pg_argon2_cost cost;
    uint8_t salt[PG_ARGON2_SALT_BYTES];
    uint8_t nonce[PG_AEAD_NONCE_BYTES];
} pg_keystore_lock;

/** Make a lock of the usual cost with new salt and nonce; the passphrase is borrowed. */
pg_keystore_lock pg_keystore_lock_make(pg_bytes passphrase);

/** Append the file's bytes to a buffer, which holds secrets in the clear when `lock` is NULL: wipe it. With a lock it takes
 *  what pg_argon2id takes. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (cost, passphrase, buffer). */
PG_NODISCARD pg_err pg_keystore_encode(const pg_keystore *keystore, const pg_keystore_lock *lock,
                                       pg_buf *out);

/** Tell whether the file's bytes are locked, so that a passphrase has to be asked for. Reads the first 18 bytes only.
 *  Errors: PG_ERR_CORRUPT (no keystore), PG_ERR_UNSUPPORTED (version, lock). */
PG_NODISCARD pg_err pg_keystore_is_locked(pg_bytes in, bool *out_locked);

/** Read a keystore; `passphrase` is ignored when it is not locked. What a locked one costs is bounded by pg_argon2id's
 *  limits. End *out_keystore with pg_keystore_deinit.
 *  Errors: PG_ERR_CORRUPT, PG_ERR_UNSUPPORTED (the version it would need is named), PG_ERR_KEY (wrong passphrase),
 *  PG_ERR_LIMIT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_keystore_decode(pg_bytes in, pg_bytes passphrase, pg_keystore *out_keystore);
