// SPDX-License-Identifier: Apache-2.0
// Hashes: SHA-256 (what libp2p and IPFS use), BLAKE3 (what files use), HMAC-SHA256, and the CIDs they give. Not for:
// passphrases (kdf.h).
//
// Layer: crypto.  Thread: any, one object at a time.  Spec: FIPS 180-4, the BLAKE3 paper, RFC 2104.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/secret.h"

#define PG_HASH_BYTES 32

/** Hash `in` with SHA-256. Cannot fail. */
void pg_sha256(pg_bytes in, uint8_t out_digest[PG_HASH_BYTES]);

/** SHA-256 of data that comes in parts. Holds heap memory: end it with pg_sha256_stream_deinit. */
typedef struct pg_sha256_stream {
    struct evp_md_ctx_st *ctx;
} pg_sha256_stream;

/** Begin a stream. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sha256_stream_init(pg_sha256_stream *stream);

/** Add a part. */
void pg_sha256_stream_update(pg_sha256_stream *stream, pg_bytes in);

/** Give the digest of all parts and begin anew. */
void pg_sha256_stream_final(pg_sha256_stream *stream, uint8_t out_digest[PG_HASH_BYTES]);

/** Free the stream. NULL and the all-zero value are fine. */
void pg_sha256_stream_deinit(pg_sha256_stream *stream);

/** Hash `in` with BLAKE3. Cannot fail. Stack: 19 KiB. */
void pg_blake3(pg_bytes in, uint8_t out_digest[PG_HASH_BYTES]);

/** Hash `in` with BLAKE3 under a key: a MAC, or a pseudo-random function. Cannot fail. */
void pg_blake3_keyed(const pg_key *key, pg_bytes in, uint8_t out_digest[PG_HASH_BYTES]);

/** BLAKE3 of data that comes in parts: 1.9 KiB, in place, no heap. */
typedef struct pg_blake3_stream {
    uint64_t state[240]; // a blake3_hasher
} pg_blake3_stream;

/** Begin a stream; `key` is NULL for the plain hash. */
void pg_blake3_stream_init(pg_blake3_stream *stream, const pg_key *key);

/** Add a part. */
void pg_blake3_stream_update(pg_blake3_stream *stream, pg_bytes in);

/** Give `out.len` bytes of output for all parts so far; the stream may go on. The first 32 bytes are the digest. */
void pg_blake3_stream_final(const pg_blake3_stream *stream, pg_mut_bytes out);

/** Authenticate `in` under a key of any length with HMAC-SHA256. Cannot fail, takes no heap. */
void pg_hmac_sha256(pg_bytes key, pg_bytes in, uint8_t out_mac[PG_HASH_BYTES]);

/** Make the CID of raw bytes by BLAKE3, as shards, descriptors and roots have it. */
pg_cid pg_cid_of_blake3(pg_bytes data);

/** Make the CID of raw bytes by SHA-256, as IPFS expects it of public blocks. */
pg_cid pg_cid_of_sha256(pg_bytes data);

/** Verify that `data` is what a CID names, by the hash function its multihash names.
 *  Errors: PG_ERR_CORRUPT, PG_ERR_UNSUPPORTED (a hash we do not compute). */
PG_NODISCARD pg_err pg_cid_verify(const pg_cid *cid, pg_bytes data);

/** Return the version of the OpenSSL underneath. Static. */
const char *pg_crypto_library_version(void);
