// SPDX-License-Identifier: Apache-2.0
// Memory for secrets: guarded, locked and wiped for those that live long; a plain value that is wiped for those that
// live as long as a function. There is no way to print either. Not for: what may be published.
//
// Layer: crypto.  Thread: any, one object at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define PG_KEY_BYTES 32

/** A secret of 32 bytes on the stack or inside an object whose owner wipes it: a symmetric key, a shared secret, the
 *  private half of an X25519 pair. `pg_key key PG_CLEANUP(pg_key_wipe) = {0};` wipes at the end of the scope. */
typedef struct pg_key {
    uint8_t bytes[PG_KEY_BYTES];
} pg_key;

/** View the bytes of a key. Borrowed. */
static inline pg_bytes pg_key_bytes(const pg_key *key)
{
    return (pg_bytes){key->bytes, PG_KEY_BYTES};
}

/** Make a new random key: a symmetric one, an X25519 private key, the seed of an identity. Cannot fail. */
void pg_key_random(pg_key *out_key);

/** Overwrite a key with zeros. */
void pg_key_wipe(pg_key *key);

/** Overwrite memory with zeros in a way the compiler keeps. */
void pg_wipe(void *memory, size_t len);

/** A secret that lives long: guard pages around it, locked into memory where the system allows, left out of core dumps.
 *  Costs four pages and a few system calls each; the all-zero value is an empty one. */
typedef struct pg_secret {
    uint8_t *ptr;
    size_t len;
} pg_secret;

#define PG_SECRET_BYTES_MAX 65536

/** Make room for a secret of `len` bytes (1..PG_SECRET_BYTES_MAX), zeroed. End it with pg_secret_deinit.
 *  Errors: PG_ERR_LIMIT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_secret_init(pg_secret *secret, size_t len);

/** Wipe and free; the secret is empty then. NULL and the all-zero value are fine. */
void pg_secret_deinit(pg_secret *secret);

/** View a secret. Borrowed until it ends. */
static inline pg_bytes pg_secret_bytes(const pg_secret *secret)
{
    return (pg_bytes){secret->ptr, secret->len};
}

/** Return true when both have the same content. The time depends on the lengths only. */
PG_NODISCARD bool pg_secret_equal(pg_bytes a, pg_bytes b);
