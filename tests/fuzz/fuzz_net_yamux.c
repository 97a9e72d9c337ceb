// SPDX-License-Identifier: Apache-2.0
// Goal: whatever bytes a peer sends, a yamux session ends with an error or in good order, frees everything, and holds no more
// memory than its budget. Also: a header that is accepted encodes back to itself.
#include <string.h>

#include "fuzz.h"
#include "net/yamux.h"
#include "net/yamux_frame.h"
#include "runtime/sim.h"

#define STREAMS_HELD_MAX 8

static void check_header(pg_bytes in)
{
    pg_yamux_frame frame;
    uint8_t back[PG_YAMUX_HEADER_BYTES];
    if (pg_yamux_frame_decode(in, &frame) == PG_OK) {
        pg_yamux_frame_encode(&frame, back);
        FUZZ_CHECK(memcmp(back, in.ptr, sizeof(back)) == 0);
    }
}

static void read_all(pg_stream *stream)
{
    uint8_t space[512];
    size_t len = 1;
    while (len > 0) {
        if (pg_stream_read(stream, PG_MUT_BYTES_OF(space), PG_FOREVER, &len) != PG_OK) {
            return;
        }
    }
    pg_ignore(pg_stream_write(stream, PG_BYTES_LIT("bye"), pg_after(PG_MS(1))), "may have ended");
}

static pg_err feed(void *arg)
{
    const pg_bytes *in = arg;
    pg_conn_memory memory = {.max_bytes = 100000};
    pg_conn_limits limits = pg_conn_limits_default(&memory);
    limits.memory_max_bytes = 700000;
    pg_stream *carrier = NULL;
    pg_stream *wire = NULL;
    pg_yamux *yamux = NULL;
    PG_TRY(pg_stream_pair(1024 * 1024, &carrier, &wire));
    FUZZ_CHECK(pg_yamux_new(&carrier, false, &limits, &yamux) == PG_OK);
    FUZZ_CHECK(pg_stream_write(wire, *in, PG_FOREVER) == PG_OK);
    FUZZ_CHECK(pg_stream_close_write(wire, PG_FOREVER) == PG_OK);
    pg_stream *streams[STREAMS_HELD_MAX] = {NULL};
    size_t count = 0;
    while (pg_yamux_accept(yamux, PG_FOREVER, &streams[count % STREAMS_HELD_MAX]) == PG_OK) {
        count++;
        FUZZ_CHECK(pg_yamux_get_stats(yamux).memory_bytes <= limits.memory_max_bytes);
        if (count % STREAMS_HELD_MAX == 0) {
            for (size_t i = 0; i < STREAMS_HELD_MAX; i++) {
                pg_stream_free(&streams[i]);
            }
        }
    }
    for (size_t i = 0; i < STREAMS_HELD_MAX; i++) {
        if (streams[i] != NULL) {
            read_all(streams[i]);
        }
        pg_stream_free(&streams[i]);
    }
    pg_yamux_free(&yamux);
    pg_stream_free(&wire);
    FUZZ_CHECK(memory.used_bytes == 0);
    return PG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 64 * 1024) {
        return 0;
    }
    pg_bytes in = pg_bytes_make(data, size);
    check_header(in);
    FUZZ_CHECK(pg_sim_run(&(pg_sim_config){.seed = 1}, feed, &in, NULL) == PG_OK);
    return 0;
}
