// SPDX-License-Identifier: Apache-2.0
// Goal: whatever a peer sends, slowly, never or by the thousand, costs it its stream at most; others are served, nothing is left in the
// account, and memory is bounded. And a client believes a host nothing that it cannot verify.
// Method: an attacker that writes bytes on a stream of its own; a host whose handler is replaced by one that lies.
#include "base/mem.h"
#include "codec/frame.h"
#include "crypto/hash.h"
#include "exchange/place_msg.h"
#include "net/framed.h"
#include "place_world.h"
#include "runtime/random.h"

#define HOST (&w->host)

/** How a lying host answers. */
typedef enum lie {
    LIE_UNKNOWN_ID,
    LIE_HUGE_HEAD,
    LIE_NONSENSE,
    LIE_UNKNOWN_STATUS,
    LIE_FORGED_RECEIPT, // signed by somebody else
    LIE_FEWER_SLOTS,
    LIE_OTHER_SEQUENCE,
    LIE_OTHER_DESCRIPTOR,
    LIE_NO_RECEIPT,
    LIE_IMPOSSIBLE_SEQUENCE,
    LIE_LATER_SEQUENCE, // which can be, and so is believed
    LIE_SHORT_BITS,
    LIE_FORGED_PASSED_ON, // receipts of others in HAVE
    LIE_OWN_PASSED_ON,
    LIE_SILENCE,
    LIE_HANGS_UP,
    LIE_COUNT,
} lie;

/** The world of one test. */
typedef struct world {
    place_node host;
    place_node attacker;
    place_node owner;
    place_extent extent;
    lie lie;
    uint64_t sequence;
    bool was_asked_bare; // by HAVE, without receipts
    pg_place_stats stats;
    pg_host_stats net;
} world;

static void world_make(world *w)
{
    memset(w, 0, sizeof(*w));
    place_node_make(&w->host, 1, true);
    place_node_make(&w->attacker, 2, false);
    place_node_make(&w->owner, 3, false);
    place_extent_make(&w->extent, 1, 4, 3, 10000);
    CHECK(place_node_start(&w->host));
    CHECK(place_node_start(&w->attacker));
    CHECK(place_node_start(&w->owner));
}

static void world_end(world *w)
{
    place_node_stop(&w->owner);
    place_node_stop(&w->attacker);
    place_node_stop(&w->host);
    place_extent_free(&w->extent);
    place_node_free(&w->host);
    place_node_free(&w->attacker);
    place_node_free(&w->owner);
}

static pg_err on_stats(place_node *self, void *arg)
{
    world *w = arg;
    w->stats = pg_place_server_get_stats(self->server);
    w->net = pg_host_get_stats(self->host);
    place_check_account(self);
    return PG_OK;
}

static void expect_bytes(world *w, uint64_t bytes)
{
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(2))));
    CHECK_OK(place_node_do(HOST, on_stats, w));
    CHECK(w->stats.lease_bytes + w->stats.session_bytes == bytes);
}

static pg_err on_honest(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_holding holding = {0};
    CHECK_OK(place_upload(self, HOST, &w->extent, 0xf, ++w->sequence));
    CHECK_OK(place_have(self, HOST, &w->extent, &holding));
    CHECK(holding.slots == 0xf);
    return PG_OK;
}

// ---- An attacker's stream

static pg_stream *stream_open(place_node *self, const place_node *host)
{
    static const char *const ids[] = {PG_PLACE_ID, NULL};
    const pg_dial_options options = {.eager = true};
    pg_stream *stream = NULL;
    const pg_peer_id *peer = &host->identity.peer_id;
    place_node_meet(self, host);
    CHECK_OK(pg_host_connect(self->host, peer, &options, pg_after(PG_SECONDS(30)), NULL));
    CHECK_OK(pg_host_open_stream(self->host, peer, ids, pg_after(PG_SECONDS(30)), &stream, NULL));
    return stream;
}

static void put(pg_stream *stream, const pg_place_request *request)
{
    pg_buf head = {0};
    CHECK_OK(pg_place_request_encode(request, &head));
    CHECK_OK(pg_stream_write(stream, pg_buf_bytes(&head), pg_after(PG_SECONDS(30))));
    pg_buf_deinit(&head);
}

// The next answer's status, or why there is none.
static pg_err get(pg_stream *stream, pg_place_status *out_status)
{
    pg_buf head = {0};
    pg_arena arena = pg_arena_make(PG_PLACE_ARENA_BYTES);
    pg_place_response response = {0};
    pg_err err = pg_framed_read(stream, PG_PLACE_HEAD_BYTES_MAX, pg_after(PG_MINUTES(3)), &head);
    if (err == PG_OK) {
        err = pg_place_response_decode(pg_buf_bytes(&head), &arena, &response);
    }
    *out_status = response.status;
    pg_arena_deinit(&arena);
    pg_buf_deinit(&head);
    return err;
}

static void expect_status(pg_stream *stream, pg_place_status wanted)
{
    pg_place_status status = PG_PLACE_STATUS_COUNT;
    CHECK_OK(get(stream, &status));
    CHECK(status == wanted);
}

static void expect_reset(pg_stream **stream)
{
    pg_place_status status = PG_PLACE_STATUS_COUNT;
    CHECK_ERR(get(*stream, &status), PG_ERR_RESET);
    pg_stream_free(stream);
}

static pg_stream *session_open(place_node *self, const place_node *host)
{
    pg_stream *stream = stream_open(self, host);
    put(stream, &(pg_place_request){.kind = PG_PLACE_KIND_OPEN, .lease_key = {7}});
    expect_status(stream, PG_PLACE_STATUS_OK);
    return stream;
}

static pg_place_request push_of(const pg_cid *cid, uint32_t len)
{
    return (pg_place_request){
        .id = 1, .kind = PG_PLACE_KIND_PUSH, .cids = cid, .cid_count = 1, .body_bytes = len};
}

// ---- What breaks the protocol

static pg_err on_nonsense(place_node *self, void *arg)
{
    world *w = arg;
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_LIT("block"));
    pg_place_request push = push_of(&cid, 5);
    pg_place_request open = {.kind = PG_PLACE_KIND_OPEN, .lease_key = {7}};
    static const pg_bytes nonsense[] = {
        {(const uint8_t *) "\xff\xff\x7f", 3},         // a head of 2 MiB
        {(const uint8_t *) "\x80\x80\x80\x80\x80", 5}, // a length that does not end
        {(const uint8_t *) "\x04\xff\xff\xff\xff", 5}, // no protobuf
        {(const uint8_t *) "\x04\x08\x01\x10\x63", 5}, // a kind nobody knows
        {(const uint8_t *) "\x02\x08\x01", 3},         // no kind
        {(const uint8_t *) "\x01\x08", 2},             // cut
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(nonsense); i++) {
        pg_stream *stream = stream_open(self, HOST);
        CHECK_OK(pg_stream_write(stream, nonsense[i], PG_FOREVER));
        if (i == 1) {
            CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("\x80\x80\x80\x80\x80"), PG_FOREVER));
        }
        expect_reset(&stream);
    }
    pg_stream *stream = stream_open(self, HOST);
    put(stream, &push); // outside a session
    expect_reset(&stream);
    stream = session_open(self, HOST);
    put(stream, &open); // inside one
    expect_reset(&stream);
    stream = session_open(self, HOST);
    push.body_bytes = PG_BITSWAP_BLOCK_BYTES_MAX + 1;
    put(stream, &push);
    expect_reset(&stream);
    return PG_OK;
}

static pg_err on_wrong_bodies(place_node *self, void *arg)
{
    world *w = arg;
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_LIT("block"));
    pg_place_request push = push_of(&cid, 5);
    pg_stream *stream = session_open(self, HOST);
    put(stream, &push);
    CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("other"), PG_FOREVER));
    expect_status(stream, PG_PLACE_STATUS_CORRUPT);
    put(stream, &push); // and the session goes on
    CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("block"), PG_FOREVER));
    expect_status(stream, PG_PLACE_STATUS_OK);
    push.body_bytes = 4; // there it is, and so are fewer bytes wrong
    put(stream, &push);
    CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("bloc"), PG_FOREVER));
    expect_status(stream, PG_PLACE_STATUS_CORRUPT);
    push.body_bytes = 5; // more bytes than the head says: no head
    put(stream, &push);
    CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("block\x04\xff\xff\xff\xff"), PG_FOREVER));
    pg_place_status status = PG_PLACE_STATUS_COUNT;
    if (get(stream, &status) == PG_OK) { // the reset may overtake the answer
        CHECK(status == PG_PLACE_STATUS_OK);
        expect_reset(&stream);
    }
    pg_stream_free(&stream);
    return PG_OK;
}

// A block whose bytes stop coming: the direction is closed, the connection dies, or nothing happens for a while.
static pg_err on_short_bodies(place_node *self, void *arg)
{
    world *w = arg;
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_LIT("another"));
    pg_place_request push = push_of(&cid, 1 << 20);
    pg_stream *stream = session_open(self, HOST);
    put(stream, &push);
    CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("another"), PG_FOREVER));
    CHECK_OK(pg_stream_close_write(stream, PG_FOREVER));
    expect_reset(&stream);
    stream = session_open(self, HOST);
    put(stream, &push);
    pg_time start = pg_now();
    expect_reset(&stream);
    CHECK(pg_now() - start > PG_MS(PG_PLACE_BODY_MS) - PG_SECONDS(5));
    CHECK(pg_now() - start < PG_MS(PG_PLACE_BODY_MS) + PG_SECONDS(5));
    stream = session_open(self, HOST);
    put(stream, &push);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
    pg_stream_free(&stream);
    pg_host_disconnect(self->host, &HOST->identity.peer_id);
    return PG_OK;
}

// Say that a block is short, and then that it is long.
static pg_err on_grow(place_node *self, void *arg)
{
    world *w = arg;
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_LIT("growing"));
    pg_place_request push = push_of(&cid, 1);
    pg_stream *first = session_open(self, HOST);
    pg_stream *second = session_open(self, HOST);
    put(first, &push);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
    push.body_bytes = 100000;
    static const uint8_t zeros[100000];
    put(second, &push);
    CHECK_OK(pg_stream_write(second, PG_BYTES_OF(zeros), PG_FOREVER));
    expect_status(second, PG_PLACE_STATUS_FULL);
    push.body_bytes = 5000;
    put(second, &push);
    CHECK_OK(pg_stream_write(second, pg_bytes_make(zeros, 5000), PG_FOREVER));
    expect_status(second, PG_PLACE_STATUS_CORRUPT);
    pg_stream_free(&second);
    pg_stream_free(&first);
    return PG_OK;
}

// ---- Giving up what is another's

/** An abandonment as it is sent: the statement, and what it is beside. */
typedef struct giving_up {
    const pg_identity *key;     // that signs
    const pg_peer_id *host;     // that it names
    const pg_peer_id *uploader; // that it names
    const pg_cid *signed_cid;   // that it names
    const pg_cid *cid;          // of the request
} giving_up;

static pg_place_status give_up(pg_stream *stream, const giving_up *what)
{
    pg_buf statement = {0};
    pg_place_status status = PG_PLACE_STATUS_COUNT;
    pg_lease_abandon abandon = {.host = *what->host, .uploader = *what->uploader};
    pg_lease_blocks_digest(what->signed_cid, 1, abandon.blocks);
    CHECK_OK(pg_lease_abandon_encode(what->key, &abandon, &statement));
    put(stream, &(pg_place_request){.kind = PG_PLACE_KIND_ABANDON,
                                    .cids = what->cid,
                                    .cid_count = 1,
                                    .abandon = pg_buf_bytes(&statement)});
    CHECK_OK(get(stream, &status));
    pg_buf_deinit(&statement);
    return status;
}

static pg_stream *session_under(place_node *self, const place_node *host, const pg_identity *key)
{
    pg_stream *stream = stream_open(self, host);
    pg_place_request open = {.kind = PG_PLACE_KIND_OPEN};
    memcpy(open.lease_key, key->public_key, sizeof(open.lease_key));
    put(stream, &open);
    expect_status(stream, PG_PLACE_STATUS_OK);
    return stream;
}

static pg_err on_push_some(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = NULL;
    CHECK_OK(place_open(self, HOST, &w->extent, &session));
    CHECK_OK(place_push_all(session, &w->extent, 0x3));
    pg_place_session_free(&session);
    return PG_OK;
}

// Who only names the lease key, who heard the statement, and who uses a key of his own.
static pg_err on_give_up_foreign(place_node *self, void *arg)
{
    world *w = arg;
    const pg_peer_id *us = &self->identity.peer_id;
    const pg_cid *cid = &w->extent.cid;
    const giving_up unsigned_by_owner = {&self->identity, &HOST->identity.peer_id, us, cid, cid};
    const giving_up heard = {&w->extent.lease, &HOST->identity.peer_id, &w->owner.identity.peer_id,
                             cid, cid};
    pg_stream *stream = session_under(self, HOST, &w->extent.lease);
    CHECK(give_up(stream, &unsigned_by_owner) == PG_PLACE_STATUS_BAD_GRANT);
    CHECK(give_up(stream, &heard) == PG_PLACE_STATUS_BAD_GRANT);
    pg_stream_free(&stream);
    stream = session_under(self, HOST, &self->identity);
    CHECK(give_up(stream, &unsigned_by_owner) == PG_PLACE_STATUS_OK); // and nothing comes of it
    CHECK(give_up(stream, &heard) == PG_PLACE_STATUS_BAD_GRANT);
    pg_stream_free(&stream);
    stream = stream_open(self, HOST);
    put(stream, &(pg_place_request){.kind = PG_PLACE_KIND_ABANDON, // outside a session
                                    .cids = cid,
                                    .cid_count = 1,
                                    .abandon = PG_BYTES_LIT("statement")});
    expect_reset(&stream);
    return PG_OK;
}

// The owner itself: for another host, and for other blocks than it signed.
static pg_err on_give_up_wrong(place_node *self, void *arg)
{
    world *w = arg;
    const pg_peer_id *us = &self->identity.peer_id;
    const pg_cid *cid = &w->extent.cid;
    const pg_cid other = pg_cid_of_blake3(PG_BYTES_LIT("another"));
    pg_stream *stream = session_under(self, HOST, &w->extent.lease);
    CHECK(give_up(stream, &(giving_up){&w->extent.lease, &w->attacker.identity.peer_id, us, cid,
                                       cid}) == PG_PLACE_STATUS_BAD_GRANT);
    CHECK(give_up(stream, &(giving_up){&w->extent.lease, &HOST->identity.peer_id, us, &other,
                                       cid}) == PG_PLACE_STATUS_BAD_GRANT);
    pg_stream_free(&stream);
    return PG_OK;
}

static pg_err on_give_up_rightly(place_node *self, void *arg)
{
    world *w = arg;
    const pg_cid *cid = &w->extent.cid;
    pg_stream *stream = session_under(self, HOST, &w->extent.lease);
    CHECK(give_up(stream, &(giving_up){&w->extent.lease, &HOST->identity.peer_id,
                                       &self->identity.peer_id, cid, cid}) == PG_PLACE_STATUS_OK);
    pg_stream_free(&stream);
    return PG_OK;
}

static pg_err give_up_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_push_some, w));
    const uint64_t all = place_extent_space(&w->extent, 0x3);
    CHECK_OK(place_node_do(&w->attacker, on_give_up_foreign, w));
    CHECK_OK(place_node_do(&w->owner, on_give_up_wrong, w));
    expect_bytes(w, all);
    CHECK_OK(place_node_do(&w->owner, on_give_up_rightly, w));
    CHECK_OK(place_node_do(HOST, on_stats, w));
    CHECK(w->stats.session_bytes < all);
    CHECK_OK(place_node_do(&w->owner, on_honest, w)); // all is pushed anew
    CHECK_OK(place_node_do(&w->attacker, on_give_up_foreign, w));
    CHECK_OK(place_node_do(&w->owner, on_give_up_rightly, w));
    expect_bytes(w, place_extent_space(&w->extent, 0xf));
    world_end(w);
    return PG_OK;
}

static void test_hostile__giving_up_what_is_anothers__changes_nothing(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 2, give_up_script, &w);
}

static pg_err grow_script(void *arg)
{
    world *w = arg;
    world_make(w);
    place_node_stop(&w->host);
    w->host.rules.quota_bytes = 16384;
    CHECK(place_node_start(&w->host));
    CHECK_OK(place_node_do(&w->attacker, on_grow, w));
    expect_bytes(w, 0);
    world_end(w);
    return PG_OK;
}

static pg_err broken_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->attacker, on_nonsense, w));
    expect_bytes(w, 0);
    CHECK(w->net.offences >= 5);
    CHECK_OK(place_node_do(&w->attacker, on_wrong_bodies, w));
    expect_bytes(w, 4096);
    CHECK_OK(place_node_do(&w->attacker, on_short_bodies, w));
    expect_bytes(w, 4096);
    CHECK_OK(place_node_do(&w->owner, on_honest, w));
    world_end(w);
    return PG_OK;
}

static void seeds_run(pg_fiber_fn script, uint64_t seeds)
{
    static world w;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(5), .jitter_ns = PG_MS(2)},
        .events_max = 20000000,
    };
    sim_seeds(&config, seeds, script, &w);
}

static void test_hostile__broken_messages__cost_the_stream_and_leave_nothing(void **state)
{
    (void) state;
    seeds_run(broken_script, 5);
}

static void test_hostile__length_of_a_block_grows__within_the_quota(void **state)
{
    (void) state;
    seeds_run(grow_script, 2);
}

// ---- Floods

// Thousands of questions, and no answer is ever read.
static pg_err on_never_read(place_node *self, void *arg)
{
    world *w = arg;
    pg_cid cids[PG_PLACE_ASK_MAX];
    pg_stream *stream = session_open(self, HOST);
    for (size_t i = 0; i < PG_PLACE_ASK_MAX; i++) {
        cids[i] = pg_cid_of_blake3(pg_bytes_make(&i, sizeof(i)));
    }
    const pg_place_request ask = {
        .kind = PG_PLACE_KIND_ASK, .cids = cids, .cid_count = PG_PLACE_ASK_MAX};
    pg_buf head = {0};
    CHECK_OK(pg_place_request_encode(&ask, &head));
    pg_err err = PG_OK;
    unsigned asked = 0;
    while (err == PG_OK && asked < 20000) {
        err = pg_stream_write(stream, pg_buf_bytes(&head), pg_after(PG_MINUTES(5)));
        asked++;
    }
    CHECK_ERR(err, PG_ERR_RESET); // its answers filled the window
    pg_buf_deinit(&head);
    pg_stream_free(&stream);
    return PG_OK;
}

// Bodies of 2 MiB that never come, on as many streams as one may have.
static pg_err on_hold_memory(place_node *self, void *arg)
{
    world *w = arg;
    pg_stream *streams[PG_PLACE_PEER_SESSIONS_MAX] = {0};
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_LIT("never"));
    pg_place_request push = push_of(&cid, PG_BITSWAP_BLOCK_BYTES_MAX);
    for (size_t i = 0; i < PG_ARRAY_LEN(streams); i++) {
        streams[i] = session_open(self, HOST);
        put(streams[i], &push);
    }
    pg_stream *one_more = stream_open(self, HOST);
    put(one_more, &(pg_place_request){.kind = PG_PLACE_KIND_OPEN, .lease_key = {7}});
    expect_status(one_more, PG_PLACE_STATUS_BUSY);
    pg_stream_free(&one_more);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(40)))); // others are served meanwhile
    for (size_t i = 0; i < PG_ARRAY_LEN(streams); i++) {
        pg_stream_free(&streams[i]);
    }
    return PG_OK;
}

static pg_err flood_script(void *arg)
{
    world *w = arg;
    world_make(w);
    place_node_begin(&w->attacker, on_never_read, w);
    CHECK(place_node_wait(&w->attacker, PG_SECONDS(5)) == PG_ERR_BUSY);
    CHECK_OK(place_node_do(&w->owner, on_honest, w));
    CHECK_OK(place_node_do(HOST, on_stats, w));
    CHECK(w->net.memory_bytes <= (size_t) 16 << 20);
    CHECK_OK(place_node_wait(&w->attacker, PG_MINUTES(10)));
    place_node_begin(&w->attacker, on_hold_memory, w);
    CHECK(place_node_wait(&w->attacker, PG_SECONDS(5)) == PG_ERR_BUSY);
    CHECK_OK(place_node_do(&w->owner, on_honest, w));
    CHECK_OK(place_node_wait(&w->attacker, PG_MINUTES(10)));
    expect_bytes(w, place_extent_space(&w->extent, 0xf));
    world_end(w);
    return PG_OK;
}

static void test_hostile__floods__are_bounded_and_others_are_served(void **state)
{
    (void) state;
    seeds_run(flood_script, 2);
}

// ---- Hosts that lie

static uint64_t later_told; // the sequence of a grant that the host may well have seen

static void answer(pg_stream *stream, const pg_place_response *response)
{
    pg_buf out = {0};
    CHECK_OK(pg_place_response_encode(response, &out));
    pg_ignore(pg_stream_write(stream, pg_buf_bytes(&out), pg_after(PG_SECONDS(5))),
              "the client may be gone");
    pg_buf_deinit(&out);
}

static void commit_answer(const world *w, pg_net_stream_ctx *ctx, const pg_place_request *request)
{
    pg_lease_grant grant;
    pg_buf receipt = {0};
    CHECK_OK(pg_lease_grant_decode(request->grant, &grant));
    pg_lease_receipt made = {
        .descriptor = grant.descriptor,
        .slots = request->slots,
        .sequence = grant.sequence,
        .expiry_s = grant.expiry_s,
        .time_s = place_now_s(),
    };
    made.slots = w->lie == LIE_FEWER_SLOTS ? 1 : made.slots;
    made.sequence += w->lie == LIE_OTHER_SEQUENCE;
    if (w->lie == LIE_OTHER_DESCRIPTOR) {
        made.descriptor = pg_cid_of_blake3(PG_BYTES_LIT("other"));
    }
    const place_node *signer = w->lie == LIE_FORGED_RECEIPT ? &w->attacker : &w->host;
    CHECK_OK(pg_lease_receipt_encode(&signer->identity, &made, &receipt));
    pg_place_response response = {.id = request->id};
    if (w->lie == LIE_IMPOSSIBLE_SEQUENCE) {
        response.status = PG_PLACE_STATUS_SUPERSEDED;
        response.known_sequence = INT64_MAX;
    } else if (w->lie == LIE_LATER_SEQUENCE) {
        response.status = PG_PLACE_STATUS_SUPERSEDED;
        response.known_sequence = later_told = (uint64_t) pg_wall_ms() + 60000;
    } else if (w->lie != LIE_NO_RECEIPT) {
        response.receipt = pg_buf_bytes(&receipt);
    }
    answer(ctx->stream, &response);
    pg_buf_deinit(&receipt);
}

// As a host that is older: receipts, whether they are wanted or not.
static void have_answer(world *w, pg_net_stream_ctx *ctx, const pg_place_request *request)
{
    pg_buf receipt = {0};
    w->was_asked_bare |= request->without_receipts;
    const pg_lease_receipt made = {
        .descriptor = request->cids[0], .slots = 1, .sequence = 1, .expiry_s = 1};
    const place_node *signer = w->lie == LIE_OWN_PASSED_ON ? &w->host : &w->attacker;
    CHECK_OK(pg_lease_receipt_encode(&signer->identity, &made, &receipt));
    receipt.ptr[receipt.len - 1] ^= w->lie == LIE_FORGED_PASSED_ON ? 1 : 0;
    pg_bytes receipts[] = {pg_buf_bytes(&receipt)};
    answer(ctx->stream,
           &(pg_place_response){
               .id = request->id, .slots = 1, .receipts = receipts, .receipt_count = 1});
    pg_buf_deinit(&receipt);
}

// Any request but OPEN.
static void request_answer(world *w, pg_net_stream_ctx *ctx, const pg_place_request *request)
{
    switch ((int) w->lie) {
    case LIE_UNKNOWN_ID:
        answer(ctx->stream, &(pg_place_response){.id = request->id + 1});
        return;
    case LIE_HUGE_HEAD:
        CHECK_OK(pg_stream_write(ctx->stream, PG_BYTES_LIT("\xff\xff\x7f"), PG_FOREVER));
        return;
    case LIE_NONSENSE:
        CHECK_OK(pg_stream_write(ctx->stream, PG_BYTES_LIT("\x04\xff\xff\xff\xff"), PG_FOREVER));
        return;
    case LIE_UNKNOWN_STATUS:
        CHECK_OK(pg_stream_write(ctx->stream, PG_BYTES_LIT("\x04\x08\x02\x10\x63"), PG_FOREVER));
        return;
    case LIE_SHORT_BITS:
        answer(ctx->stream, &(pg_place_response){.id = request->id});
        return;
    case LIE_SILENCE:
        return;
    default:
        break;
    }
    if (request->kind == PG_PLACE_KIND_COMMIT) {
        commit_answer(w, ctx, request);
    } else {
        have_answer(w, ctx, request);
    }
}

static pg_err liar_handle(pg_net_stream_ctx *ctx)
{
    world *w = ctx->user;
    pg_err err = PG_OK;
    while (err == PG_OK) {
        pg_buf head = {0};
        pg_arena arena = pg_arena_make(PG_PLACE_ARENA_BYTES);
        pg_place_request request;
        err = pg_framed_read(ctx->stream, PG_PLACE_HEAD_BYTES_MAX, PG_FOREVER, &head);
        if (err == PG_OK) {
            CHECK_OK(pg_place_request_decode(pg_buf_bytes(&head), &arena, &request));
            if (request.kind == PG_PLACE_KIND_OPEN) {
                answer(ctx->stream, &(pg_place_response){.id = request.id});
            } else if (w->lie == LIE_HANGS_UP) {
                err = PG_ERR_CLOSED;
            } else {
                request_answer(w, ctx, &request);
            }
        }
        pg_arena_deinit(&arena);
        pg_buf_deinit(&head);
    }
    return err == PG_ERR_CLOSED ? PG_OK : err;
}

static pg_err on_lie(place_node *self, void *arg)
{
    const pg_net_protocol protocol = {PG_PLACE_ID, liar_handle, arg, 0};
    pg_host_unserve(self->host, PG_PLACE_ID);
    return pg_host_serve(self->host, &protocol);
}

static pg_err believe_commit(pg_place_session *session, const world *w)
{
    pg_buf grant = {0};
    pg_buf encoded = {0};
    pg_lease_receipt receipt = {.slots = 77};
    uint64_t known = 88;
    place_grant(&w->extent, place_now_s() + 86400, 5, &grant);
    const pg_place_commit commit = {.grant = pg_buf_bytes(&grant), .slots = 0x3};
    pg_err err =
        pg_place_commit_send(session, &commit, pg_after(PG_SECONDS(5)), &receipt, &encoded, &known);
    CHECK(receipt.slots == 77 && encoded.len == 0); // untouched
    CHECK(known == (err == PG_ERR_CHANGED ? later_told : 88));
    pg_buf_deinit(&grant);
    return err;
}

static pg_err believe_ask(pg_place_session *session)
{
    bool has[1] = {true};
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_LIT("x"));
    return pg_place_ask(session, &cid, 1, pg_after(PG_SECONDS(5)), has);
}

static pg_err on_believe(place_node *self, void *arg)
{
    world *w = arg;
    static const pg_err wanted[LIE_COUNT] = {
        [LIE_UNKNOWN_ID] = PG_ERR_PROTOCOL,    [LIE_HUGE_HEAD] = PG_ERR_LIMIT,
        [LIE_NONSENSE] = PG_ERR_MALFORMED,     [LIE_UNKNOWN_STATUS] = PG_ERR_UNSUPPORTED,
        [LIE_FORGED_RECEIPT] = PG_ERR_AUTH,    [LIE_FEWER_SLOTS] = PG_ERR_AUTH,
        [LIE_OTHER_SEQUENCE] = PG_ERR_AUTH,    [LIE_OTHER_DESCRIPTOR] = PG_ERR_AUTH,
        [LIE_NO_RECEIPT] = PG_ERR_AUTH,        [LIE_IMPOSSIBLE_SEQUENCE] = PG_ERR_PROTOCOL,
        [LIE_LATER_SEQUENCE] = PG_ERR_CHANGED, [LIE_SHORT_BITS] = PG_ERR_PROTOCOL,
        [LIE_FORGED_PASSED_ON] = PG_ERR_AUTH,  [LIE_OWN_PASSED_ON] = PG_ERR_AUTH,
        [LIE_SILENCE] = PG_ERR_TIMEOUT,        [LIE_HANGS_UP] = PG_ERR_CLOSED,
    };
    if (w->lie == LIE_FORGED_PASSED_ON || w->lie == LIE_OWN_PASSED_ON) {
        pg_place_holding holding = {.slots = 77};
        CHECK_ERR(place_have(self, HOST, &w->extent, &holding), wanted[w->lie]);
        CHECK(holding.slots == 77);
        w->was_asked_bare = false;
        CHECK_OK(pg_place_have_slots(self->host, &HOST->identity.peer_id, &w->extent.cid,
                                     pg_after(PG_SECONDS(5)), &holding));
        CHECK(holding.slots == 1 && holding.receipt_count == 0); // who wants none looks at none
        CHECK(w->was_asked_bare);
        return PG_OK;
    }
    pg_place_session *session = NULL;
    CHECK_OK(place_open(self, HOST, &w->extent, &session));
    pg_err err = w->lie == LIE_SHORT_BITS ? believe_ask(session) : believe_commit(session, w);
    CHECK_ERR(err, wanted[w->lie]);
    pg_place_session_free(&session);
    return PG_OK;
}

// A host that is silent gets no more of our requests than the window, and each ends in time.
static pg_err on_silence(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = NULL;
    CHECK_OK(place_open(self, HOST, &w->extent, &session));
    pg_time start = pg_now();
    for (unsigned i = 0; i < 2 * PG_PLACE_INFLIGHT_MAX; i++) {
        CHECK_ERR(believe_ask(session), PG_ERR_TIMEOUT);
    }
    CHECK(pg_now() - start < PG_SECONDS(5 * 2 * PG_PLACE_INFLIGHT_MAX + 5));
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err lies_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->host, on_lie, w));
    for (w->lie = 0; w->lie < LIE_COUNT; w->lie++) {
        CHECK_OK(place_node_do(&w->owner, on_believe, w));
    }
    w->lie = LIE_SILENCE;
    CHECK_OK(place_node_do(&w->owner, on_silence, w));
    world_end(w);
    return PG_OK;
}

static void test_hostile__host_lies__is_not_believed(void **state)
{
    (void) state;
    seeds_run(lies_script, 3);
}

// ---- Many

#define CROWD 40U

/** One of many who hold sessions open. */
typedef struct squatter {
    place_node node;
    pg_stream *streams[PG_PLACE_PEER_SESSIONS_MAX];
    size_t open;
} squatter;

static squatter crowd[CROWD];

static pg_err on_squat(place_node *self, void *arg)
{
    squatter *one = PG_LIST_OBJECT(self, squatter, node);
    for (one->open = 0; one->open < PG_PLACE_PEER_SESSIONS_MAX; one->open++) {
        one->streams[one->open] = session_open(self, arg);
    }
    return PG_OK;
}

static pg_err on_unsquat(place_node *self, void *arg)
{
    squatter *one = PG_LIST_OBJECT(self, squatter, node);
    (void) arg;
    for (size_t i = 0; i < one->open; i++) {
        pg_stream_free(&one->streams[i]);
    }
    return PG_OK;
}

static pg_err crowd_script(void *arg)
{
    world *w = arg;
    world_make(w);
    for (unsigned i = 0; i < CROWD; i++) {
        place_node_make(&crowd[i].node, 10 + i, false);
        CHECK(place_node_start(&crowd[i].node));
        CHECK_OK(place_node_do(&crowd[i].node, on_squat, &w->host));
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
    }
    // All places are taken, by streams that do nothing: the one that has been idle longest goes.
    CHECK_OK(place_node_do(&w->owner, on_honest, w));
    for (unsigned i = 0; i < CROWD; i++) {
        CHECK_OK(place_node_do(&crowd[i].node, on_unsquat, NULL));
        place_node_stop(&crowd[i].node);
        place_node_free(&crowd[i].node);
    }
    world_end(w);
    return PG_OK;
}

static void test_hostile__all_sessions_taken_by_idle_peers__others_get_in(void **state)
{
    (void) state;
    seeds_run(crowd_script, 1);
}

static void stack_print(const pg_fiber_stats *stats, void *user)
{
    size_t *kinds = user;
    CHECK(stats->high_water_bytes < stats->stack_bytes / 4 * 3);
    if (strncmp(stats->kind, "place.", 6) == 0) {
        (void) printf("fiber %-16s stack %6zu high water %6zu started %zu\n", stats->kind,
                      stats->stack_bytes, stats->high_water_bytes, stats->started_total);
        *kinds += 1;
    }
}

static pg_err stacks_script(void *arg)
{
    size_t kinds = 0;
    PG_TRY(broken_script(arg));
    pg_fiber_stats_each(stack_print, &kinds);
    CHECK(kinds >= 3);
    return PG_OK;
}

static void test_hostile__stacks_painted__every_kind_keeps_a_quarter_free(void **state)
{
    (void) state;
    static world w;
    const pg_sim_config config = {.seed = 1, .measure_stacks = true};
    assert_int_equal(pg_sim_run(&config, stacks_script, &w, NULL), PG_OK);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile__broken_messages__cost_the_stream_and_leave_nothing),
        cmocka_unit_test(test_hostile__giving_up_what_is_anothers__changes_nothing),
        cmocka_unit_test(test_hostile__length_of_a_block_grows__within_the_quota),
        cmocka_unit_test(test_hostile__floods__are_bounded_and_others_are_served),
        cmocka_unit_test(test_hostile__host_lies__is_not_believed),
        cmocka_unit_test(test_hostile__all_sessions_taken_by_idle_peers__others_get_in),
        cmocka_unit_test(test_hostile__stacks_painted__every_kind_keeps_a_quarter_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
