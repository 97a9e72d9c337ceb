// SPDX-License-Identifier: Apache-2.0
#include "net/ping.h"

#include "runtime/random.h"

// js-libp2p sends 32 bytes and closes at once; others keep the stream for many rounds. Both are an echo until the end.
static pg_err ping_handle(pg_net_stream_ctx *ctx)
{
    for (;;) {
        uint8_t payload[PG_PING_BYTES];
        pg_time deadline = pg_after(PG_MS(PG_NET_PING_IDLE_MS));
        pg_err err = pg_stream_read_full(ctx->stream, PG_MUT_BYTES_OF(payload), deadline);
        if (err == PG_ERR_CLOSED) {
            return PG_OK;
        }
        if (err != PG_OK) {
            return err;
        }
        PG_TRY(pg_stream_write(ctx->stream, PG_BYTES_OF(payload),
                               pg_after(PG_MS(PG_NET_PING_REPLY_MS))));
    }
}

pg_err pg_ping_serve(pg_host *host)
{
    const pg_net_protocol ping = {PG_PING_ID, ping_handle, NULL, PG_NET_PING_STREAMS_MAX};
    return pg_host_serve(host, &ping);
}

pg_err pg_ping_init(pg_ping *ping, pg_host *host, const pg_peer_id *peer, pg_time deadline)
{
    static const char *const ids[] = {PG_PING_ID, NULL};
    pg_stream *stream = NULL;
    pg_book_peer *book = NULL;
    PG_TRY(pg_host_open_stream(host, peer, ids, deadline, &stream, NULL));
    pg_err err = pg_peer_book_add(pg_host_book(host), peer, pg_now(), &book);
    if (err != PG_OK) {
        pg_stream_free(&stream);
        return err;
    }
    pg_book_peer_pin(book);
    *ping = (pg_ping){stream, book};
    return PG_OK;
}

pg_err pg_ping_round(pg_ping *ping, pg_time deadline, int64_t *out_rtt_ns)
{
    uint8_t sent[PG_PING_BYTES];
    uint8_t received[PG_PING_BYTES];
    pg_random_bytes(PG_MUT_BYTES_OF(sent));
    pg_time start = pg_now();
    PG_TRY(pg_stream_write(ping->stream, PG_BYTES_OF(sent), deadline));
    PG_TRY(pg_stream_read_full(ping->stream, PG_MUT_BYTES_OF(received), deadline));
    if (!pg_bytes_equal(PG_BYTES_OF(sent), PG_BYTES_OF(received))) {
        return pg_fail(PG_ERR_CORRUPT, "other bytes came back than were sent");
    }
    *out_rtt_ns = pg_now() - start;
    ping->book->rtt_ns = *out_rtt_ns;
    return PG_OK;
}

void pg_ping_deinit(pg_ping *ping)
{
    if (ping->stream != NULL) {
        uint8_t end = 0;
        size_t len = 0;
        pg_time deadline = pg_after(PG_MS(PG_NET_FAREWELL_MS));
        if (pg_stream_close_write(ping->stream, deadline) == PG_OK) {
            pg_ignore(pg_stream_read(ping->stream, pg_mut_bytes_make(&end, 1), deadline, &len),
                      "only so that freeing is no reset");
        }
        pg_stream_free(&ping->stream);
        pg_book_peer_unpin(ping->book);
    }
    *ping = (pg_ping){NULL, NULL};
}

pg_err pg_ping_once(pg_host *host, const pg_peer_id *peer, pg_time deadline, int64_t *out_rtt_ns)
{
    pg_ping ping = {NULL, NULL};
    PG_TRY(pg_ping_init(&ping, host, peer, deadline));
    pg_err err = pg_ping_round(&ping, deadline, out_rtt_ns);
    pg_ping_deinit(&ping);
    return err;
}
