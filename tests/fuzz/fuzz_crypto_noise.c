// SPDX-License-Identifier: Apache-2.0
// Goal: a handshake message of any bytes, at any step of either pattern, ends in a verdict; a changed one never passes
// where it is authenticated; what a transport cipher is given is refused.
// Input: one byte (bit 0 pattern, bits 1-2 step), then the message.
#include <string.h>

#include "base/mem.h"
#include "crypto/noise.h"
#include "fuzz.h"

static pg_noise *party(pg_noise_pattern pattern, bool initiator)
{
    pg_key secret = {{initiator ? 1 : 2}};
    pg_noise_seeds seeds = {.ephemeral = {{initiator ? 3 : 4}}};
    pg_noise_config config = {pattern, NULL, initiator, PG_BYTES_EMPTY, &secret, &seeds};
    pg_noise *noise = NULL;
    FUZZ_CHECK(pg_noise_new(&config, &noise) == PG_OK);
    return noise;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    int step = data[0] >> 1 & 3;
    step = step == 3 ? 0 : step;
    pg_noise *sides[2] = {party((pg_noise_pattern) (data[0] & 1), true),
                          party((pg_noise_pattern) (data[0] & 1), false)};
    uint8_t space[2048];
    size_t len = 0;
    pg_bytes payload = PG_BYTES_EMPTY;
    for (int i = 0; i < step; i++) {
        FUZZ_CHECK(pg_noise_write(sides[i % 2], PG_BYTES_EMPTY, PG_MUT_BYTES_OF(space), &len) ==
                   PG_OK);
        FUZZ_CHECK(pg_noise_read(sides[1 - i % 2], pg_mut_bytes_make(space, len), &payload) ==
                   PG_OK);
    }
    uint8_t *message = pg_malloc(size - 1);
    FUZZ_CHECK(message != NULL);
    memcpy(message, data + 1, size - 1);
    pg_err err = pg_noise_read(sides[1 - step % 2], pg_mut_bytes_make(message, size - 1), &payload);
    FUZZ_CHECK(step == 0 || err != PG_OK || size > 64); // only a replay of a real message may pass
    if (err == PG_OK) {
        FUZZ_CHECK(payload.len <= size - 1 && payload.ptr >= message);
    } else {
        FUZZ_CHECK(pg_noise_read(sides[1 - step % 2], pg_mut_bytes_make(message, size - 1),
                                 &payload) == PG_ERR_CLOSED);
    }
    pg_noise_cipher cipher = {0};
    pg_key key = {{5}};
    FUZZ_CHECK(pg_noise_cipher_init(&cipher, &key) == PG_OK);
    err = pg_noise_decrypt(&cipher, pg_bytes_make(message, size - 1), message);
    FUZZ_CHECK(err == PG_ERR_AUTH || err == PG_ERR_TRUNCATED || err == PG_ERR_LIMIT);
    pg_noise_cipher_deinit(&cipher);
    pg_mfree(message);
    pg_noise_free(&sides[0]);
    pg_noise_free(&sides[1]);
    return 0;
}
