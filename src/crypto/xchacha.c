// SPDX-License-Identifier: Apache-2.0
#include "crypto/xchacha.h"

#include <sodium.h>

#include "crypto/setup_priv.h"

_Static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == PG_XCHACHA_NONCE_BYTES, "size");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == PG_XCHACHA_TAG_BYTES, "size");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == PG_KEY_BYTES, "size");

void pg_xchacha_seal(const pg_key *key, const uint8_t nonce[PG_XCHACHA_NONCE_BYTES], pg_bytes ad,
                     pg_bytes plain, uint8_t *out_cipher, uint8_t out_tag[PG_XCHACHA_TAG_BYTES])
{
    (void) pg_crypto_algs_get();
    (void) crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
        out_cipher, out_tag, NULL, plain.ptr, plain.len, ad.ptr, ad.len, NULL, nonce, key->bytes);
}

pg_err pg_xchacha_open(const pg_key *key, const uint8_t nonce[PG_XCHACHA_NONCE_BYTES], pg_bytes ad,
                       pg_bytes cipher, const uint8_t tag[PG_XCHACHA_TAG_BYTES], uint8_t *out_plain)
{
    (void) pg_crypto_algs_get();
    int result = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
        out_plain, NULL, cipher.ptr, cipher.len, tag, ad.ptr, ad.len, nonce, key->bytes);
    return result == 0 ? PG_OK : PG_ERR_AUTH;
}
