// SPDX-License-Identifier: Apache-2.0
// Goal: no datagram of a stranger, no frame of a peer with the keys, and no changed handshake breaks an endpoint, takes more
//       memory than limits.h allows, or leaves any behind.
// Method: two endpoints in a simulated world. The first byte of the input chooses what the rest is: datagrams, frames for
//       either side, or changes to a handshake; pieces are set apart by a length of two bytes, little end first.
#include "fuzz.h"
#include "net/quic_priv.h"
#include "quic_hostile.h"

#define PIECES_MAX 24

typedef struct world {
    pg_bytes input;
    uint8_t mode;
    quic_side server;
    quic_side client;
    pg_conn *here;
    pg_conn *there;
    pg_udp *raw;
} world;

static bool piece_next(pg_bytes *input, pg_bytes *out_piece)
{
    if (input->len < 2) {
        return false;
    }
    size_t len = input->ptr[0] | (size_t) input->ptr[1] << 8U;
    len = pg_min_size(len, input->len - 2);
    *out_piece = pg_bytes_slice(*input, 2, len);
    *input = pg_bytes_slice(*input, 2 + len, input->len - 2 - len);
    return true;
}

static void bounds_check(const world *own)
{
    FUZZ_CHECK(own->server.memory.used_bytes <= PG_NET_MEMORY_BYTES_MAX);
    FUZZ_CHECK(own->server.failed <= PIECES_MAX);
    if (own->there != NULL) {
        pg_conn_info info;
        pg_conn_get_info(own->there, &info);
        FUZZ_CHECK(info.memory_bytes <= PG_NET_CONN_MEMORY_BYTES_MAX);
        FUZZ_CHECK(info.streams_in <= PG_NET_STREAMS_IN_MAX);
    }
}

static void datagrams_feed(world *own)
{
    const pg_quic_conn *conn = pg_quic_conn_of(own->here);
    pg_bytes piece;
    for (size_t i = 0; i < PIECES_MAX && piece_next(&own->input, &piece); i++) {
        uint8_t datagram[1500];
        size_t len = pg_min_size(piece.len, sizeof(datagram));
        memset(datagram, 0, sizeof(datagram));
        if (len > 0) {
            memcpy(datagram, piece.ptr, len);
        }
        if (len > 0 && datagram[0] >= 0xc0U) {
            len = NGTCP2_MAX_UDP_PAYLOAD_SIZE; // as long as a first packet has to be
        } else if (len > PG_NET_QUIC_CID_BYTES && datagram[0] >= 0x40U && conn->ngtcp2 != NULL) {
            memcpy(datagram + 1, ngtcp2_conn_get_dcid2(conn->ngtcp2)->data, PG_NET_QUIC_CID_BYTES);
        }
        const pg_udp_msg msg = {.peer = pg_quic_endpoint_addr(own->server.endpoint),
                                .data = pg_bytes_make(datagram, len)};
        CHECK_OK(pg_udp_send(own->raw, &msg, PG_FOREVER));
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
        bounds_check(own);
    }
    FUZZ_CHECK(pg_quic_conn_of(own->there)->state == PG_QUIC_STATE_OPEN); // no stranger ends it
}

static void frames_feed(world *own)
{
    pg_conn *from = (own->mode & 1U) != 0 ? own->here : own->there;
    pg_bytes piece;
    for (size_t i = 0; i < PIECES_MAX && piece_next(&own->input, &piece); i++) {
        piece = pg_bytes_slice(piece, 0, pg_min_size(piece.len, QUIC_HOSTILE_BYTES));
        if (!quic_hostile_send(from, piece)) {
            break;
        }
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
        bounds_check(own);
    }
}

static pg_err pair_connect(world *own)
{
    PG_TRY(quic_side_dial(&own->client, &own->server, &own->here));
    return quic_side_accept(&own->server, pg_after(PG_SECONDS(1)), &own->there);
}

static void handshake_feed(world *own)
{
    pg_bytes piece;
    for (size_t i = 0; i < PIECES_MAX && piece_next(&own->input, &piece); i++) {
        if (piece.len > 2) {
            quic_hostile_change(1 + piece.ptr[0] % 12U, piece.ptr[1] * 8U + piece.ptr[2] % 8U,
                                pg_bytes_slice(piece, 3, piece.len - 3));
        }
    }
    pg_err err = pair_connect(own);
    FUZZ_CHECK(err != PG_OK || own->here != NULL);
    quic_hostile_stop();
    bounds_check(own);
}

static pg_err body(void *arg)
{
    world *own = arg;
    const pg_endpoint at = {.family = PG_IP_FAMILY_V4, .ip = {10, 0, 0, 1}};
    const quic_side_options options = {.handshake_timeout_ns = PG_SECONDS(1)};
    quic_side_open(&own->server, 1, &at, &options);
    quic_side_open(&own->client, 2, &at, &options);
    CHECK_OK(pg_udp_bind(&at, &own->raw));
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    if (own->mode % 4 == 3) {
        handshake_feed(own);
    } else {
        CHECK_OK(pair_connect(own));
        CHECK_OK(pg_scope_spawn(&scope, "test.serve", quic_echo_run, own->there));
        if (own->mode % 4 == 0) {
            datagrams_feed(own);
        } else {
            frames_feed(own);
        }
    }
    pg_conn_free(&own->here);
    if (own->there != NULL) {
        pg_conn_abort(own->there);
    }
    pg_scope_close(&scope);
    pg_conn_free(&own->there);
    pg_udp_free(&own->raw);
    quic_side_close(&own->client);
    quic_side_close(&own->server);
    return PG_OK;
}

static pg_err on_machine(void *arg)
{
    pg_sim_machine *machine = NULL;
    CHECK_OK(pg_sim_machine_new(&machine));
    CHECK_OK(pg_sim_machine_start(machine, "test.body", body, arg));
    return pg_sim_machine_join(machine, pg_after(PG_HOURS(1)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world own; // larger than a stack likes
    memset(&own, 0, sizeof(own));
    if (size > 0) {
        own.mode = data[0];
        own.input = pg_bytes_make(data + 1, size - 1);
        net_test_run(on_machine, &own);
    }
    return 0;
}
