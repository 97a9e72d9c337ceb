// SPDX-License-Identifier: Apache-2.0
#include "net/noise_conn.h"

#include <string.h>

#include "base/arena.h"
#include "crypto/peer_id_text.h"
#include "net/limits.h"
#include "runtime/random.h"

#define LENGTH_BYTES 2

// Both patterns have three messages, and the payloads begin with the second.
#define MESSAGES 3

/** A handshake under way. */
typedef struct handshake {
    const pg_noise_conn_config *config;
    pg_stream *raw;
    pg_time deadline;
    pg_noise *noise;
    pg_buf message; // the one being sent or received, with its length
    pg_arena arena; // owns what `peer` shows
    pg_noise_peer peer;
    pg_str muxer;
} handshake;

static pg_err handshake_send(handshake *h, bool has_payload)
{
    pg_buf payload = {0};
    pg_err err = PG_OK;
    if (has_payload) {
        err = pg_noise_payload_encode(h->config->identity, pg_noise_local_static(h->noise),
                                      &h->config->offer, &payload);
    }
    pg_buf_clear(&h->message);
    size_t space_len = pg_noise_overhead(h->noise) + payload.len;
    uint8_t *space = NULL;
    size_t len = 0;
    if (err == PG_OK) {
        err = pg_buf_extend(&h->message, LENGTH_BYTES + space_len, &space);
    }
    if (err == PG_OK) {
        err = pg_noise_write(h->noise, pg_buf_bytes(&payload),
                             (pg_mut_bytes){space + LENGTH_BYTES, space_len}, &len);
    }
    if (err == PG_OK) {
        pg_writer head = pg_writer_make((pg_mut_bytes){space, LENGTH_BYTES});
        pg_writer_u16be(&head, (uint16_t) len);
        err = pg_stream_write(h->raw, pg_bytes_make(space, LENGTH_BYTES + len), h->deadline);
    }
    pg_buf_deinit(&payload);
    return err;
}

// Who it is, whether that is whom we want, and whether somebody has meddled with the negotiation.
static pg_err peer_check(handshake *h, pg_bytes payload)
{
    const pg_noise_conn_config *config = h->config;
    PG_TRY(pg_noise_payload_decode(payload, pg_noise_remote_static(h->noise), &h->arena, &h->peer));
    if (config->expected_id != NULL && !pg_peer_id_equal(config->expected_id, &h->peer.id)) {
        char wanted[PG_PEER_ID_TEXT_BYTES];
        char found[PG_PEER_ID_TEXT_BYTES];
        pg_peer_id_format(config->expected_id, wanted);
        pg_peer_id_format(&h->peer.id, found);
        return pg_fail(PG_ERR_AUTH, "dialed %s, %s answers", wanted, found);
    }
    pg_str used = config->pattern == PG_NOISE_PATTERN_XXHFS ? PG_STR(PG_NOISE_ID_HYBRID)
                                                            : PG_STR(PG_NOISE_ID_CLASSICAL);
    PG_TRY(pg_noise_downgrade_check(&config->offer.securities, &h->peer.offer.securities,
                                    PG_STR(PG_NOISE_ID_HYBRID), used));
    const pg_noise_list *ours = &config->offer.muxers;
    const pg_noise_list *theirs = &h->peer.offer.muxers;
    return pg_noise_muxer_choose(config->is_initiator ? ours : theirs,
                                 config->is_initiator ? theirs : ours, &h->muxer);
}

static pg_err handshake_receive(handshake *h, bool has_payload)
{
    uint8_t head[LENGTH_BYTES];
    PG_TRY(pg_stream_read_full(h->raw, PG_MUT_BYTES_OF(head), h->deadline));
    size_t len = (size_t) head[0] << 8 | head[1];
    size_t len_max = pg_noise_overhead(h->noise) + (has_payload ? PG_NOISE_PAYLOAD_BYTES_MAX : 0);
    if (len > len_max) {
        return pg_fail(PG_ERR_LIMIT, "Noise handshake message of %zu bytes, at most %zu", len,
                       len_max);
    }
    pg_buf_clear(&h->message);
    uint8_t *message = NULL;
    PG_TRY(pg_buf_extend(&h->message, len, &message));
    PG_TRY(pg_stream_read_full(h->raw, (pg_mut_bytes){message, len}, h->deadline));
    pg_bytes payload = PG_BYTES_EMPTY;
    PG_TRY(pg_noise_read(h->noise, (pg_mut_bytes){message, len}, &payload));
    return has_payload ? peer_check(h, payload) : PG_OK;
}

static pg_err handshake_begin(handshake *h)
{
    pg_noise_seeds seeds;
    pg_random_bytes((pg_mut_bytes){(uint8_t *) &seeds, sizeof(seeds)});
    pg_noise_config config = {
        .pattern = h->config->pattern,
        .initiator = h->config->is_initiator,
        .static_secret = h->config->static_secret,
        .seeds = &seeds,
    };
    pg_err err = pg_noise_new(&config, &h->noise);
    pg_wipe(&seeds, sizeof(seeds));
    return err;
}

// The id in our own list that reads as `id`, which lives no longer than the handshake.
static pg_str list_own(const pg_noise_list *list, pg_str id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (pg_str_equal(list->ids[i], id)) {
            return list->ids[i];
        }
    }
    return PG_STR("");
}

static pg_err handshake_end(handshake *h, pg_noise_conn_result *out_result)
{
    pg_noise_cipher send = {0};
    pg_noise_cipher receive = {0};
    pg_noise_conn_result result = {
        .peer_id = h->peer.id,
        .muxer = list_own(&h->config->offer.muxers, h->muxer),
    };
    pg_err err = pg_buf_append(&result.public_key, h->peer.identity_key);
    if (err == PG_OK) {
        err = pg_noise_split(h->noise, &send, &receive);
    }
    if (err == PG_OK) {
        err = pg_noise_stream_new(&h->raw, &send, &receive, &result.stream);
    }
    pg_noise_cipher_deinit(&send);
    pg_noise_cipher_deinit(&receive);
    if (err != PG_OK) {
        pg_buf_deinit(&result.public_key);
        return err;
    }
    *out_result = result;
    return PG_OK;
}

pg_err pg_noise_conn_handshake(pg_stream **raw, const pg_noise_conn_config *config,
                               pg_time deadline, pg_noise_conn_result *out_result)
{
    handshake h = {
        .config = config,
        .raw = *raw,
        .deadline = pg_earlier(deadline, pg_after(PG_MS(PG_NET_UPGRADE_TIMEOUT_MS))),
        .arena = pg_arena_make(PG_NOISE_PAYLOAD_ARENA_BYTES),
    };
    pg_err err = handshake_begin(&h);
    for (unsigned i = 0; i < MESSAGES && err == PG_OK; i++) {
        bool has_payload = i > 0;
        err = pg_noise_is_our_turn(h.noise) ? handshake_send(&h, has_payload)
                                            : handshake_receive(&h, has_payload);
    }
    if (err == PG_OK) {
        err = handshake_end(&h, out_result);
    }
    *raw = h.raw;
    pg_noise_free(&h.noise);
    pg_buf_deinit(&h.message);
    pg_arena_deinit(&h.arena);
    return pg_error_wrap(err, "Noise handshake");
}
