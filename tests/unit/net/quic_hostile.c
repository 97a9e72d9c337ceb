// SPDX-License-Identifier: Apache-2.0
#include "quic_hostile.h"

#include <ngtcp2/ngtcp2_crypto.h>

#include "net/quic_priv.h"

#define PLAINTEXT_BYTES 8192
#define CHANGES 16

static struct {
    bool is_armed; // for one packet to the owner of `cid`
    ngtcp2_cid cid;
    uint8_t frames[QUIC_HOSTILE_BYTES];
    size_t len;
    struct {
        unsigned nth; // 0: none
        size_t offset;
        pg_bytes xored;
    } changes[CHANGES];
} hostile;

// The linker puts the second in the place of the library's own, and leaves that under the first name.
__typeof__(ngtcp2_crypto_encrypt_cb) __real_ngtcp2_crypto_encrypt_cb;
__typeof__(ngtcp2_crypto_encrypt_cb) __wrap_ngtcp2_crypto_encrypt_cb;

static void frames_replace(uint8_t *plaintext, size_t len, const uint8_t *aad, size_t aad_len)
{
    bool is_short = aad_len > hostile.cid.datalen && (aad[0] & 0x80U) == 0;
    if (hostile.is_armed && is_short && len >= hostile.len &&
        memcmp(aad + 1, hostile.cid.data, hostile.cid.datalen) == 0) {
        memset(plaintext, 0, len);
        memcpy(plaintext, hostile.frames, hostile.len);
        hostile.is_armed = false;
    }
}

static void handshake_change(uint8_t *plaintext, size_t len, const uint8_t *aad)
{
    for (size_t i = 0; i < CHANGES && (aad[0] & 0x80U) != 0; i++) {
        if (hostile.changes[i].nth == 0 || --hostile.changes[i].nth != 0) {
            continue;
        }
        pg_bytes xored = hostile.changes[i].xored;
        for (size_t at = 0; at < xored.len && len > 0; at++) {
            plaintext[(hostile.changes[i].offset + at) % len] ^= xored.ptr[at];
        }
    }
}

int __wrap_ngtcp2_crypto_encrypt_cb(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                                    const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plaintext,
                                    size_t len, const uint8_t *nonce, size_t nonce_len,
                                    const uint8_t *aad, size_t aad_len)
{
    static uint8_t changed[PLAINTEXT_BYTES];
    if (len <= sizeof(changed) && aad_len > 0) {
        memcpy(changed, plaintext, len);
        frames_replace(changed, len, aad, aad_len);
        handshake_change(changed, len, aad);
        plaintext = changed;
    }
    return __real_ngtcp2_crypto_encrypt_cb(dest, aead, ctx, plaintext, len, nonce, nonce_len, aad,
                                           aad_len);
}

bool quic_hostile_send(pg_conn *conn, pg_bytes frames)
{
    static const uint8_t carrier[QUIC_HOSTILE_BYTES];
    const pg_quic_conn *own = pg_quic_conn_of(conn);
    if (own->ngtcp2 == NULL) {
        return false;
    }
    CHECK(frames.len <= sizeof(hostile.frames));
    hostile.cid = *ngtcp2_conn_get_dcid2(own->ngtcp2);
    hostile.len = frames.len;
    if (frames.len > 0) {
        memcpy(hostile.frames, frames.ptr, frames.len);
    }
    hostile.is_armed = true;
    pg_time until = pg_after(PG_SECONDS(5));
    if (pg_conn_send_datagram(conn, PG_BYTES_OF(carrier)) != PG_OK) {
        hostile.is_armed = false;
        return false;
    }
    while (hostile.is_armed && own->ngtcp2 != NULL && pg_now() < until) {
        CHECK_OK(pg_sleep_until(pg_after(PG_US(100))));
    }
    bool is_sent = !hostile.is_armed;
    hostile.is_armed = false;
    return is_sent;
}

void quic_hostile_change(unsigned nth, size_t offset, pg_bytes xored)
{
    for (size_t i = 0; i < CHANGES; i++) {
        if (hostile.changes[i].nth == 0) {
            hostile.changes[i].nth = nth;
            hostile.changes[i].offset = offset;
            hostile.changes[i].xored = xored;
            return;
        }
    }
}

void quic_hostile_stop(void)
{
    memset(&hostile, 0, sizeof(hostile));
}
