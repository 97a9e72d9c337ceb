// SPDX-License-Identifier: Apache-2.0
#include "net/echo.h"

#include "base/mem.h"

#define ECHO_BUFFER_BYTES 16384

static pg_err echo_handle(pg_net_stream_ctx *ctx)
{
    uint8_t *space = pg_malloc(ECHO_BUFFER_BYTES);
    if (space == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = PG_OK;
    size_t len = 0;
    do {
        err = pg_stream_read(ctx->stream, pg_mut_bytes_make(space, ECHO_BUFFER_BYTES),
                             pg_after(PG_MS(PG_NET_TRANSFER_IDLE_MS)), &len);
        if (err == PG_OK && len > 0) {
            err = pg_stream_write(ctx->stream, pg_bytes_make(space, len),
                                  pg_after(PG_MS(PG_NET_TRANSFER_IDLE_MS)));
        }
    } while (err == PG_OK && len > 0);
    pg_mfree(space);
    return err;
}

pg_err pg_echo_serve(pg_host *host)
{
    const pg_net_protocol echo = {PG_ECHO_ID, echo_handle, NULL, PG_NET_ECHO_STREAMS_MAX};
    return pg_host_serve(host, &echo);
}
