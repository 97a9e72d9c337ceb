// SPDX-License-Identifier: Apache-2.0
// Two machines, a server and a client, and a server that echoes: what the tests of streams share.
#pragma once

#include "base/bytes.h"
#include "runtime/socket.h"
#include "runtime/stream.h"
#include "sim_test.h"

#define PAIR_PORT 4001

static const pg_sim_link pair_link = {.latency_ns = PG_MS(10), .jitter_ns = PG_MS(2)};

/** Two machines and what they found. */
struct pair {
    pg_sim_machine *server;
    pg_sim_machine *client;
    pg_endpoint to;
    pg_time took_ns;
    size_t sent_bytes;
    pg_err client_err;
    pg_err server_err;
    bool go_on; // for scripts and machines to wait for each other
};

static inline pg_err pair_make(struct pair *pair)
{
    PG_TRY(pg_sim_machine_new(&pair->server));
    PG_TRY(pg_sim_machine_new(&pair->client));
    pair->to = pg_sim_machine_endpoint(pair->server);
    pair->to.port = PAIR_PORT;
    return PG_OK;
}

static inline pg_err pair_listen(pg_listener **out_listener)
{
    return pg_tcp_listen(&(pg_endpoint){.family = PG_IP_FAMILY_V4, .port = PAIR_PORT},
                         out_listener);
}

// ---- A server that echoes every connection to its end

static inline pg_err pair_echo_stream(pg_stream *stream)
{
    uint8_t space[5000];
    for (;;) {
        size_t len = 0;
        PG_TRY(pg_stream_read(stream, PG_MUT_BYTES_OF(space), PG_FOREVER, &len));
        if (len == 0) {
            return pg_stream_close_write(stream, PG_FOREVER);
        }
        PG_TRY(pg_stream_write(stream, pg_bytes_make(space, len), PG_FOREVER));
    }
}

static inline pg_err pair_echo_run(void *arg)
{
    pg_stream *stream = arg;
    pg_err err = pair_echo_stream(stream);
    pg_stream_free(&stream);
    return err;
}

static inline pg_err pair_echo_main(void *arg)
{
    (void) arg;
    pg_listener *listener = NULL;
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    pg_err err = pair_listen(&listener);
    while (err == PG_OK) {
        pg_stream *stream = NULL;
        err = pg_listener_accept(listener, PG_FOREVER, &stream, NULL);
        if (err == PG_OK && pg_scope_spawn(&scope, "test.echo", pair_echo_run, stream) != PG_OK) {
            pg_stream_free(&stream);
        }
    }
    pg_scope_close(&scope);
    pg_listener_free(&listener);
    return err;
}
