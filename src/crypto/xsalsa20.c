// SPDX-License-Identifier: Apache-2.0
#include "crypto/xsalsa20.h"

#include <sodium.h>

#include "base/mem.h"
#include "crypto/setup_priv.h"

#define BLOCK_BYTES 64

_Static_assert(crypto_stream_xsalsa20_NONCEBYTES == PG_XSALSA20_NONCE_BYTES, "size");
_Static_assert(crypto_stream_xsalsa20_KEYBYTES == PG_KEY_BYTES, "size");

// The rest of a block begun before, at most `in.len` bytes. Returns how many.
static size_t xor_in_block(const pg_xsalsa20 *cipher, pg_bytes in, uint8_t *out)
{
    size_t begin = (size_t) (cipher->position % BLOCK_BYTES);
    if (begin == 0) {
        return 0;
    }
    uint8_t block[BLOCK_BYTES] = {0};
    (void) crypto_stream_xsalsa20_xor_ic(block, block, sizeof(block), cipher->nonce,
                                         cipher->position / BLOCK_BYTES, cipher->key.bytes);
    size_t len = pg_min_size(in.len, BLOCK_BYTES - begin);
    for (size_t i = 0; i < len; i++) {
        out[i] = in.ptr[i] ^ block[begin + i];
    }
    pg_wipe(block, sizeof(block));
    return len;
}

void pg_xsalsa20_xor(pg_xsalsa20 *cipher, pg_bytes in, uint8_t *out)
{
    (void) pg_crypto_algs_get();
    size_t done = xor_in_block(cipher, in, out);
    cipher->position += done;
    if (in.len > done) {
        (void) crypto_stream_xsalsa20_xor_ic(out + done, in.ptr + done, in.len - done,
                                             cipher->nonce, cipher->position / BLOCK_BYTES,
                                             cipher->key.bytes);
        cipher->position += in.len - done;
    }
}
