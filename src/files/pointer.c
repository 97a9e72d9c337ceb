// SPDX-License-Identifier: Apache-2.0
#include "files/pointer.h"

#include <string.h>

#include "crypto/kdf.h"
#include "files/extents.h"

#define ROOT_BYTES 32

static void key_derive(const pg_secret *owner, pg_bytes purpose, pg_key *out_key)
{
    pg_hkdf(PG_BYTES_EMPTY, pg_secret_bytes(owner), purpose,
            pg_mut_bytes_make(out_key->bytes, PG_KEY_BYTES));
}

void pg_catalogue_key(const pg_secret *owner, pg_key *out_key)
{
    key_derive(owner, PG_BYTES_LIT("pangea catalogue v1"), out_key);
}

static pg_err cipher_init(const pg_secret *owner, pg_aead *aead)
{
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    key_derive(owner, PG_BYTES_LIT("pangea catalogue feed v1"), &key);
    return pg_aead_init(aead, PG_AEAD_ALG_AES_256_GCM, &key);
}

/** Associated data: it opens in its own record only. */
static pg_bytes data_make(const pg_peer_id *person, uint64_t sequence, pg_mut_bytes space)
{
    pg_writer writer = pg_writer_make(space);
    pg_writer_u8(&writer, PG_POINTER_VERSION);
    pg_writer_u64be(&writer, sequence);
    pg_writer_put(&writer, pg_peer_id_bytes(person));
    pg_assert(!writer.failed);
    return pg_writer_bytes(&writer);
}

pg_err pg_pointer_encode(const pg_secret *owner, const pg_peer_id *person, uint64_t sequence,
                         const uint8_t nonce[PG_AEAD_NONCE_BYTES], const pg_cid *root,
                         uint8_t out[PG_POINTER_BYTES])
{
    uint8_t data[1 + 8 + PG_PEER_ID_BYTES_MAX];
    pg_aead aead PG_CLEANUP(pg_aead_deinit) = {0};
    PG_TRY(cipher_init(owner, &aead));
    const pg_multihash hash = pg_cid_multihash(root);
    out[0] = PG_POINTER_VERSION;
    memcpy(out + 1, nonce, PG_AEAD_NONCE_BYTES);
    return pg_aead_seal(&aead, nonce, data_make(person, sequence, PG_MUT_BYTES_OF(data)),
                        pg_multihash_digest(&hash), out + 1 + PG_AEAD_NONCE_BYTES);
}

pg_err pg_pointer_decode(pg_bytes in, const pg_secret *owner, const pg_peer_id *person,
                         uint64_t sequence, pg_cid *out_root)
{
    uint8_t data[1 + 8 + PG_PEER_ID_BYTES_MAX];
    uint8_t root[ROOT_BYTES];
    if (in.len > 0 && in.ptr[0] != PG_POINTER_VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "the pointer to the catalogue has version %u; this program knows version %d",
                       in.ptr[0], PG_POINTER_VERSION);
    }
    if (in.len != PG_POINTER_BYTES) {
        return pg_fail(PG_ERR_MALFORMED, "a pointer to a catalogue of %zu bytes", in.len);
    }
    pg_aead aead PG_CLEANUP(pg_aead_deinit) = {0};
    PG_TRY(cipher_init(owner, &aead));
    pg_bytes sealed = pg_bytes_slice(in, 1 + PG_AEAD_NONCE_BYTES, in.len);
    if (pg_aead_open(&aead, in.ptr + 1, data_make(person, sequence, PG_MUT_BYTES_OF(data)), sealed,
                     root) != PG_OK) {
        return pg_fail(PG_ERR_CORRUPT, "the pointer to the catalogue does not open");
    }
    *out_root = pg_block_cid_of_digest(root);
    return PG_OK;
}
