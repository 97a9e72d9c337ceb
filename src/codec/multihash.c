// SPDX-License-Identifier: Apache-2.0
#include "codec/multihash.h"

#include <string.h>

#include "codec/varint.h"

// Every code and length taken here is below 128, so each is one byte on the wire.
_Static_assert(PG_MULTIHASH_DIGEST_BYTES_MAX < 128, "the length is one byte");

pg_err pg_multihash_make(uint64_t code, pg_bytes digest, pg_multihash *out_hash)
{
    switch (code) {
    case PG_MULTIHASH_CODE_IDENTITY:
        if (digest.len > PG_MULTIHASH_DIGEST_BYTES_MAX) {
            return pg_fail(PG_ERR_MALFORMED, "identity multihash of %zu bytes, at most %d",
                           digest.len, PG_MULTIHASH_DIGEST_BYTES_MAX);
        }
        break;
    case PG_MULTIHASH_CODE_SHA2_256:
    case PG_MULTIHASH_CODE_BLAKE3:
        if (digest.len != 32) {
            return pg_fail(PG_ERR_MALFORMED, "digest has %zu bytes, wants 32", digest.len);
        }
        break;
    default:
        return pg_fail(PG_ERR_UNSUPPORTED, "hash function 0x%llx is not known",
                       (unsigned long long) code);
    }
    pg_multihash hash = {.len = (uint8_t) (2 + digest.len)};
    hash.bytes[0] = (uint8_t) code;
    hash.bytes[1] = (uint8_t) digest.len;
    if (digest.len != 0) {
        memcpy(hash.bytes + 2, digest.ptr, digest.len);
    }
    *out_hash = hash;
    return PG_OK;
}

pg_err pg_multihash_read(pg_reader *reader, pg_multihash *out_hash)
{
    uint64_t code = 0;
    pg_bytes digest = PG_BYTES_EMPTY;
    PG_TRY(pg_reader_uvarint(reader, PG_UVARINT_MAX, &code));
    PG_TRY(pg_reader_uvarint_bytes(reader, PG_MULTIHASH_DIGEST_BYTES_MAX, &digest));
    return pg_multihash_make(code, digest, out_hash);
}

pg_err pg_multihash_decode(pg_bytes in, pg_multihash *out_hash)
{
    pg_reader reader = pg_reader_make(in);
    pg_multihash hash;
    PG_TRY(pg_multihash_read(&reader, &hash));
    PG_TRY(pg_reader_finish(&reader));
    *out_hash = hash;
    return PG_OK;
}

pg_bytes pg_multihash_digest(const pg_multihash *hash)
{
    return pg_bytes_slice(pg_multihash_bytes(hash), 2, PG_MULTIHASH_DIGEST_BYTES_MAX);
}

bool pg_multihash_equal(const pg_multihash *a, const pg_multihash *b)
{
    return pg_bytes_equal(pg_multihash_bytes(a), pg_multihash_bytes(b));
}
