// SPDX-License-Identifier: Apache-2.0
// Goal: peers that speak Bitswap badly, or with bad intent, hurt only themselves: what is held for them is bounded, wrong blocks are
//       never given to anyone, nobody else waits for them, and ordinary peers of other implementations get what the specification says.
// Method: peers that write and read messages by hand, on bad networks, against ours. Every seed is a run of its own.
#include "codec/pb_walk.h"
#include "sim_blocks.h"

#define LACKS_MAX 8

/** What a peer by hand does with the wants that come. */
typedef enum hand_mode {
    HAND_SILENT,    // reads, answers nothing
    HAND_DEAF,      // does not even read
    HAND_WRONG,     // sends another block of the right kind
    HAND_WRONG_ONE, // for the first want, the right one for the others
    HAND_FLIPPED,   // sends a block that some other want is for, then the right one
    HAND_TWICE,     // sends each block twice
    HAND_LATE,      // sends the right block after a second
    HAND_HAS,       // says that it has it, and sends nothing
    HAND_LACKS_THEN_BLOCK,
    HAND_RESET, // resets each stream
} hand_mode;

/** A peer by hand: what it does, and what it has heard. */
typedef struct hand {
    hand_mode mode;
    pg_stream *out; // to machine 0
    uint32_t wants;
    uint32_t cancels;
    uint32_t has;
    uint32_t lacks;
    uint32_t blocks;
    uint64_t block_bytes;
    pg_buf lacked[LACKS_MAX]; // the first CIDs lacked
    pg_cid last_block;
    uint32_t answered;
} hand;

static hand *hand_of(const sim_node *self)
{
    return self->user;
}

// ---- Speaking by hand

static pg_err hand_open(sim_node *self)
{
    static const char *const ids[] = {PG_BITSWAP_ID, NULL};
    hand *it = hand_of(self);
    pg_stream_free(&it->out);
    return pg_host_open_stream(self->host, &self->all->nodes[0].id, ids, pg_after(PG_MINUTES(1)),
                               &it->out, NULL);
}

static pg_err hand_send(sim_node *self, const pg_buf *message)
{
    hand *it = hand_of(self);
    if (it->out == NULL) {
        PG_TRY(hand_open(self));
    }
    return pg_framed_write(it->out, pg_buf_bytes(message), pg_after(PG_MINUTES(1)));
}

static void want_put(pg_buf *entries, pg_bytes cid, bool is_have, bool send_dont_have)
{
    const pg_bitswap_want want = {
        .cid = cid, .priority = 1, .is_have = is_have, .send_dont_have = send_dont_have};
    CHECK_OK(pg_bitswap_want_encode(&want, entries));
}

static pg_err wants_send(sim_node *self, pg_buf *entries, bool is_full)
{
    pg_buf message = {0};
    CHECK_OK(pg_bitswap_wantlist_encode(pg_buf_bytes(entries), is_full, &message));
    pg_err err = hand_send(self, &message);
    pg_buf_deinit(&message);
    pg_buf_clear(entries);
    return err;
}

static pg_err block_send(sim_node *self, const pg_cid *cid, pg_bytes data)
{
    pg_buf message = {0};
    CHECK_OK(pg_bitswap_block_encode(cid, data.len, &message));
    CHECK_OK(pg_buf_append(&message, data));
    pg_err err = hand_send(self, &message);
    pg_buf_deinit(&message);
    return err;
}

static pg_err presence_send(sim_node *self, pg_bytes cid, bool has)
{
    pg_buf message = {0};
    CHECK_OK(pg_bitswap_presence_encode(cid, has, &message));
    pg_err err = hand_send(self, &message);
    pg_buf_deinit(&message);
    return err;
}

// Blocks 0 to 99 of 3,000 bytes are what peers by hand have.
#define HAND_BLOCKS 100
#define HAND_BYTES 3000

static pg_err hand_answer(sim_node *self, const pg_bitswap_want *want)
{
    hand *it = hand_of(self);
    pg_cid cid = {0};
    pg_buf block = {0};
    for (uint64_t i = 0; i < HAND_BLOCKS; i++) {
        pg_buf_deinit(&block);
        block = sim_block_make(i, HAND_BYTES, &cid);
        if (pg_bytes_equal(pg_cid_bytes(&cid), want->cid)) {
            break;
        }
    }
    pg_bytes data = pg_buf_bytes(&block);
    pg_err err = PG_OK;
    it->answered++;
    if (want->is_have) {
        err = it->mode == HAND_SILENT ? PG_OK : presence_send(self, want->cid, true);
    } else if (it->mode == HAND_WRONG || (it->mode == HAND_WRONG_ONE && it->answered == 1)) {
        block.ptr[17] ^= 1U;
        err = block_send(self, &cid, data);
    } else if (it->mode == HAND_LACKS_THEN_BLOCK) {
        err = presence_send(self, want->cid, false);
        err = err == PG_OK ? block_send(self, &cid, data) : err;
    } else if (it->mode == HAND_TWICE || it->mode == HAND_WRONG_ONE || it->mode == HAND_LATE) {
        if (it->mode == HAND_LATE) {
            PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1))));
        }
        err = block_send(self, &cid, data);
        if (err == PG_OK && it->mode == HAND_TWICE) {
            err = block_send(self, &cid, data);
        }
    }
    pg_buf_deinit(&block);
    return err;
}

static pg_err hand_hear(sim_node *self, const pg_bitswap_part *part)
{
    hand *it = hand_of(self);
    if (part->kind == PG_BITSWAP_PART_WANT && part->want.is_cancel) {
        it->cancels++;
    } else if (part->kind == PG_BITSWAP_PART_WANT) {
        it->wants++;
        return hand_answer(self, &part->want);
    } else if (part->kind == PG_BITSWAP_PART_PRESENCE && part->has) {
        it->has++;
    } else if (part->kind == PG_BITSWAP_PART_PRESENCE) {
        if (it->lacks < LACKS_MAX) {
            CHECK_OK(pg_buf_append(&it->lacked[it->lacks], part->cid));
        }
        it->lacks++;
    } else if (part->kind == PG_BITSWAP_PART_BLOCK || part->kind == PG_BITSWAP_PART_BLOCK_HEAD) {
        it->blocks++;
    }
    return PG_OK;
}

static pg_err message_hear(sim_node *self, pg_bytes message)
{
    pg_bitswap_msg_reader reader = pg_bitswap_msg_reader_make(message.len);
    pg_bitswap_part part = {.kind = PG_BITSWAP_PART_NOTHING};
    while (part.kind != PG_BITSWAP_PART_END) {
        CHECK_OK(pg_bitswap_part_decode(&reader, message, &part)); // ours are always sound
        pg_bytes data = part.kind == PG_BITSWAP_PART_BLOCK_HEAD
                            ? pg_bytes_slice(message, part.used, part.follow)
                            : part.data;
        if (part.kind == PG_BITSWAP_PART_BLOCK || part.kind == PG_BITSWAP_PART_BLOCK_HEAD) {
            hand_of(self)->block_bytes += data.len;
            CHECK_OK(pg_bitswap_prefix_cid(&part.prefix, data, &hand_of(self)->last_block));
        }
        PG_TRY(hand_hear(self, &part));
        message = pg_bytes_slice(message, part.used + part.follow, message.len);
    }
    return PG_OK;
}

static pg_err hand_stream(pg_net_stream_ctx *ctx)
{
    sim_node *self = ctx->user;
    pg_buf message = {0};
    pg_err err = PG_OK;
    if (hand_of(self)->mode == HAND_RESET) {
        return PG_ERR_REFUSED;
    }
    while (hand_of(self)->mode == HAND_DEAF) {
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1))));
    }
    while (err == PG_OK) {
        pg_buf_clear(&message);
        err = pg_framed_read(ctx->stream, PG_BITSWAP_MESSAGE_BYTES_MAX, PG_FOREVER, &message);
        if (err == PG_OK) {
            err = message_hear(self, pg_buf_bytes(&message));
        }
    }
    pg_buf_deinit(&message);
    return err == PG_ERR_CLOSED ? PG_OK : err;
}

// Machine 0 and perhaps others are ours, those from `by_hand_from` on speak by hand.
static void hands_make(sim_nodes *all, size_t count, size_t by_hand_from, hand_mode mode)
{
    sim_nodes_make(all, count, by_hand_from, hand_stream);
    for (size_t i = by_hand_from; i < count; i++) {
        hand *it = PG_NEW(hand);
        CHECK(it != NULL);
        it->mode = mode;
        all->nodes[i].user = it;
    }
}

static pg_err hand_end(sim_node *self)
{
    pg_stream_free(&hand_of(self)->out);
    return PG_OK;
}

static void hands_stop(sim_nodes *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->nodes[i].by_hand) {
            hand_of(&all->nodes[i])->mode = HAND_RESET; // let a deaf one go
            CHECK_OK(sim_task_run(&all->nodes[i], hand_end));
        }
    }
    sim_nodes_stop(all);
    for (size_t i = 0; i < all->count; i++) {
        hand *it = all->nodes[i].user;
        for (size_t j = 0; it != NULL && j < LACKS_MAX; j++) {
            pg_buf_deinit(&it->lacked[j]);
        }
        pg_mfree(it);
    }
}

static pg_bitswap_stats stats_of(const sim_nodes *all, size_t number)
{
    return pg_bitswap_get_stats(all->nodes[number].bitswap);
}

// ---- A client that waits for blocks to come, as others do

static pg_bytes sha512_cid(void)
{
    static uint8_t cid[4 + 64] = {0x01, 0x55, 0x13, 0x40, 1, 2, 3};
    return PG_BYTES_OF(cid);
}

static pg_err wait_for_blocks(sim_node *self)
{
    pg_buf entries = {0};
    pg_cid a = sim_block_cid(1, 500);
    pg_cid b = sim_block_cid(2, 600);
    pg_cid c = sim_block_cid(3, 50000);
    sim_node_meet(self, &self->all->nodes[0]);
    want_put(&entries, pg_cid_bytes(&a), true, false);
    want_put(&entries, pg_cid_bytes(&b), false, false);
    want_put(&entries, pg_cid_bytes(&c), false, true);
    want_put(&entries, sha512_cid(), false, true);
    want_put(&entries, sha512_cid(), true, false);
    want_put(&entries, PG_BYTES_LIT("no CID at all"), true, true);
    PG_TRY(wants_send(self, &entries, false));
    pg_buf_deinit(&entries);
    return PG_OK;
}

static pg_err put_and_announce(sim_node *self)
{
    sim_block_put(self, 1, 500);
    sim_block_put(self, 2, 600);
    pg_cid c = sim_block_put(self, 3, 50000);
    pg_cid a = sim_block_cid(1, 500);
    pg_cid b = sim_block_cid(2, 600);
    pg_multihash hash = pg_cid_multihash(&b);
    pg_cid other_codec = pg_cid_make(PG_CID_CODEC_DAG_PB, &hash); // the same block
    pg_cid absent = sim_block_cid(99, 10);
    pg_bitswap_announce(self->bitswap, &a);
    pg_bitswap_announce(self->bitswap, &other_codec);
    pg_bitswap_announce(self->bitswap, &c);
    pg_bitswap_announce(self->bitswap, &absent);
    pg_bitswap_announce(self->bitswap, &a);
    return PG_OK;
}

static pg_err want_and_cancel(sim_node *self)
{
    pg_buf entries = {0};
    pg_cid d = sim_block_cid(4, 700);
    pg_cid e = sim_block_cid(5, 800);
    pg_cid f = sim_block_cid(6, 900);
    want_put(&entries, pg_cid_bytes(&d), false, false);
    want_put(&entries, pg_cid_bytes(&e), false, false);
    PG_TRY(wants_send(self, &entries, false));
    const pg_bitswap_want cancel = {.cid = pg_cid_bytes(&d), .is_cancel = true};
    CHECK_OK(pg_bitswap_want_encode(&cancel, &entries));
    PG_TRY(wants_send(self, &entries, false));
    want_put(&entries, pg_cid_bytes(&f), false, true);
    PG_TRY(wants_send(self, &entries, true)); // e is wanted no more
    pg_buf_deinit(&entries);
    return PG_OK;
}

static pg_err put_and_announce_rest(sim_node *self)
{
    for (uint64_t i = 4; i <= 6; i++) {
        pg_cid cid = sim_block_put(self, i, 300 + 100 * i);
        pg_bitswap_announce(self->bitswap, &cid);
    }
    return PG_OK;
}

static pg_err want_there(sim_node *self)
{
    pg_buf entries = {0};
    for (uint64_t i = 1; i <= 6; i++) {
        pg_cid cid = sim_block_cid(i, i == 3 ? 50000 : i < 3 ? 400 + 100 * i : 300 + 100 * i);
        want_put(&entries, pg_cid_bytes(&cid), i % 2 == 0, true);
    }
    PG_TRY(wants_send(self, &entries, false));
    pg_buf_deinit(&entries);
    return PG_OK;
}

static pg_err waiting_script(void *arg)
{
    sim_nodes *all = arg;
    hands_make(all, 2, 1, HAND_SILENT);
    const hand *client = hand_of(&all->nodes[1]);
    CHECK_OK(sim_task_run(&all->nodes[1], wait_for_blocks));
    SIM_AWAIT(client->lacks == 3);
    CHECK(client->blocks == 0 && client->has == 0);
    CHECK(stats_of(all, 0).wants_held == 3 && stats_of(all, 0).wants_unserved == 3);
    pg_cid c = sim_block_cid(3, 50000);
    CHECK(pg_bytes_equal(pg_buf_bytes(&client->lacked[0]), pg_cid_bytes(&c)));
    CHECK(pg_bytes_equal(pg_buf_bytes(&client->lacked[1]), sha512_cid())); // as it came
    CHECK(pg_bytes_equal(pg_buf_bytes(&client->lacked[2]), PG_BYTES_LIT("no CID at all")));

    CHECK_OK(sim_task_run(&all->nodes[0], put_and_announce));
    SIM_AWAIT(client->blocks == 2 && client->has == 1);
    CHECK(client->block_bytes == 50600);
    SIM_AWAIT(stats_of(all, 0).wants_served == 3);
    CHECK(stats_of(all, 0).wants_held == 0);

    CHECK_OK(sim_task_run(&all->nodes[1], want_and_cancel));
    SIM_AWAIT(client->lacks == 4);
    CHECK(stats_of(all, 0).wants_held == 1);
    CHECK_OK(sim_task_run(&all->nodes[0], put_and_announce_rest));
    SIM_AWAIT(client->blocks == 3);
    pg_cid f = sim_block_cid(6, 900);
    CHECK(pg_cid_equal(&client->last_block, &f)); // not what was cancelled
    CHECK_OK(sim_task_run(&all->nodes[1], want_there));
    SIM_AWAIT(client->blocks == 6 && client->has == 4);
    CHECK(client->lacks == 4 && client->wants == 0);
    hands_stop(all);
    return PG_OK;
}

// ---- Floods

static pg_err flood_wants(sim_node *self)
{
    pg_buf entries = {0};
    sim_node_meet(self, &self->all->nodes[0]);
    pg_cid cid = sim_block_cid(0, 10);
    for (uint32_t i = 0; i < 20000; i++) {
        memcpy(cid.bytes + 8, &i, sizeof(i));
        want_put(&entries, pg_cid_bytes(&cid), i % 2 == 0, i % 4 < 2);
    }
    PG_TRY(wants_send(self, &entries, false)); // in one message of a MiB
    cid = sim_block_cid(7, 100000);
    want_put(&entries, pg_cid_bytes(&cid), false, true);
    PG_TRY(wants_send(self, &entries, false));
    pg_buf_deinit(&entries);
    return PG_OK;
}

static pg_err put_seven(sim_node *self)
{
    sim_block_put(self, 7, 100000);
    return PG_OK;
}

static pg_err fetch_seven(sim_node *self)
{
    pg_buf got = {0};
    pg_cid cid = sim_block_cid(7, 100000);
    sim_node_meet(self, &self->all->nodes[0]);
    pg_err err = pg_bitswap_fetch(self->bitswap, &self->all->nodes[0].id, &cid,
                                  pg_after(PG_SECONDS(30)), &got);
    SIM_CHECK(err != PG_OK || got.len == 100000);
    pg_buf_deinit(&got);
    return err;
}

static pg_err flood_script(void *arg)
{
    sim_nodes *all = arg;
    hands_make(all, 5, 2, HAND_SILENT);
    CHECK_OK(sim_task_run(&all->nodes[0], put_seven));
    for (size_t i = 2; i < 5; i++) {
        sim_task_begin(&all->nodes[i], flood_wants);
    }
    CHECK_OK(sim_task_run(&all->nodes[1], fetch_seven));
    for (size_t i = 2; i < 5; i++) {
        const hand *client = hand_of(&all->nodes[i]);
        CHECK_OK(sim_task_end(&all->nodes[i], PG_MINUTES(1)));
        SIM_AWAIT(client->blocks == 1); // the newest wants are those that count
        CHECK(client->lacks > 0 && client->lacks <= 10000);
    }
    CHECK(stats_of(all, 0).wants_held <= 3 * PG_BITSWAP_WANTS_MAX);
    CHECK(stats_of(all, 0).wants_held > 2 * PG_BITSWAP_WANTS_MAX);
    hands_stop(all);
    return PG_OK;
}

// ---- Peers that take nothing

#define DEAF 18
#define DEAF_BLOCKS 8

static pg_err put_deaf(sim_node *self)
{
    for (uint64_t i = 0; i < DEAF_BLOCKS; i++) {
        sim_block_put(self, 200 + 2 * i, 1 << 20);
    }
    return put_seven(self);
}

static pg_err want_deaf(sim_node *self)
{
    pg_buf entries = {0};
    sim_node_meet(self, &self->all->nodes[0]);
    for (uint64_t i = 0; i < DEAF_BLOCKS; i++) {
        pg_cid cid = sim_block_cid(200 + 2 * i, 1 << 20);
        want_put(&entries, pg_cid_bytes(&cid), false, true);
    }
    PG_TRY(wants_send(self, &entries, false));
    pg_buf_deinit(&entries);
    return PG_OK;
}

static pg_err deaf_script(void *arg)
{
    sim_nodes *all = arg;
    hands_make(all, 2 + DEAF, 2, HAND_DEAF);
    CHECK_OK(sim_task_run(&all->nodes[0], put_deaf));
    for (size_t i = 2; i < 2 + DEAF; i++) {
        sim_task_begin(&all->nodes[i], want_deaf);
    }
    for (size_t i = 2; i < 2 + DEAF; i++) {
        CHECK_OK(sim_task_end(&all->nodes[i], PG_MINUTES(1)));
    }
    SIM_AWAIT(stats_of(all, 0).wants_held >=
              DEAF * (DEAF_BLOCKS - 4));                 // all memory for blocks is taken
    CHECK_OK(sim_task_run(&all->nodes[1], fetch_seven)); // yet another is served before long
    SIM_AWAIT(stats_of(all, 0).wants_held == 0);         // those who take nothing are given up
    CHECK(stats_of(all, 0).blocks_sent == 1);
    hands_stop(all);
    return PG_OK;
}

#define EMPTY 300         // number of a block of no bytes
#define EMPTY_ROUNDS 5000 // wants of it, each by another CID

static pg_err put_empty(sim_node *self)
{
    sim_block_put(self, EMPTY, 0);
    sim_block_put(self, 200, 1 << 20);
    return PG_OK;
}

static pg_err want_large(sim_node *self)
{
    pg_buf entries = {0};
    sim_node_meet(self, &self->all->nodes[0]);
    pg_cid large = sim_block_cid(200, 1 << 20);
    want_put(&entries, pg_cid_bytes(&large), false, true);
    PG_TRY(wants_send(self, &entries, false));
    pg_buf_deinit(&entries);
    return PG_OK;
}

static pg_err want_empty(sim_node *self)
{
    pg_buf entries = {0};
    pg_cid empty = sim_block_cid(EMPTY, 0);
    pg_multihash hash = pg_cid_multihash(&empty);
    for (uint32_t i = 1; i <= EMPTY_ROUNDS; i++) {
        pg_cid cid = pg_cid_make(0x4000U + i, &hash);
        want_put(&entries, pg_cid_bytes(&cid), false, true);
        if (i % 500 == 0) {
            PG_TRY(wants_send(self, &entries, false));
            PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1)))); // what is read is read before the next
        }
    }
    pg_buf_deinit(&entries);
    return PG_OK;
}

// One block fills the stream of a peer that does not read; then it wants one that has no bytes to count, under many names.
static pg_err empty_script(void *arg)
{
    sim_nodes *all = arg;
    hands_make(all, 2, 1, HAND_DEAF);
    hand *client = hand_of(&all->nodes[1]);
    CHECK_OK(sim_task_run(&all->nodes[0], put_empty));
    CHECK_OK(sim_task_run(&all->nodes[1], want_large));
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(10)))); // the stream is full
    CHECK_OK(sim_task_run(&all->nodes[1], want_empty));
    // As many are ready as may be, as many held; the rest waits in the stream.
    CHECK(stats_of(all, 0).wants_held > PG_BITSWAP_WANTS_MAX / 2);
    client->mode = HAND_SILENT;
    SIM_AWAIT(client->blocks == 1 + EMPTY_ROUNDS);
    CHECK(client->block_bytes == 1 << 20 && client->lacks == 0);
    hands_stop(all);
    return PG_OK;
}

// ---- Servers that give something else

static pg_err fetch_from_hand(sim_node *self, uint64_t number, int64_t within_ns)
{
    pg_buf got = {0};
    pg_cid cid = sim_block_cid(number, HAND_BYTES);
    sim_node_meet(self, &self->all->nodes[1]);
    pg_err err =
        pg_bitswap_fetch(self->bitswap, &self->all->nodes[1].id, &cid, pg_after(within_ns), &got);
    SIM_CHECK((err == PG_OK) == (got.len == HAND_BYTES));
    pg_buf_deinit(&got);
    return err;
}

/** One of several fetches at once. */
typedef struct hand_fetch {
    sim_node *self;
    uint64_t number;
    pg_err err;
} hand_fetch;

static pg_err hand_fetch_run(void *arg)
{
    hand_fetch *it = arg;
    it->err = fetch_from_hand(it->self, it->number, PG_SECONDS(30));
    return PG_OK;
}

// Returns how many of eight fetches at once end with `err`.
static size_t eight_end_with(sim_node *self, pg_err err)
{
    hand_fetch fetches[8];
    pg_scope scope;
    size_t count = 0;
    pg_scope_init(&scope);
    for (size_t i = 0; i < PG_ARRAY_LEN(fetches); i++) {
        fetches[i] = (hand_fetch){self, i, PG_OK};
        CHECK_OK(pg_scope_spawn(&scope, "sim.fetch", hand_fetch_run, &fetches[i]));
    }
    CHECK_OK(pg_scope_join(&scope));
    for (size_t i = 0; i < PG_ARRAY_LEN(fetches); i++) {
        count += fetches[i].err == err ? 1U : 0U;
    }
    return count;
}

static pg_err fetch_wrong(sim_node *self)
{
    hand *server = hand_of(&self->all->nodes[1]);
    SIM_CHECK(fetch_from_hand(self, 0, PG_SECONDS(30)) == PG_ERR_CORRUPT);
    SIM_CHECK(pg_bitswap_get_stats(self->bitswap).blocks_refused == 1);
    SIM_CHECK(eight_end_with(self, PG_ERR_CORRUPT) == 8);
    server->mode = HAND_WRONG_ONE;
    server->answered = 0;
    SIM_CHECK(eight_end_with(self, PG_OK) == 7); // the one that got nothing is told apart at last
    server->mode = HAND_WRONG;
    for (int i = 0; i < 20; i++) { // too much is too much: the connection ends
        pg_err err = fetch_from_hand(self, 0, PG_SECONDS(30));
        SIM_CHECK(err != PG_OK && err != PG_ERR_NOT_FOUND);
    }
    SIM_CHECK(pg_host_get_stats(self->host).offences > 0);
    SIM_CHECK(pg_bitswap_get_stats(self->bitswap).bytes_received == UINT64_C(7) * HAND_BYTES);
    return PG_OK;
}

static pg_err fetch_odd(sim_node *self)
{
    hand *server = hand_of(&self->all->nodes[1]);
    server->mode = HAND_TWICE;
    SIM_CHECK(eight_end_with(self, PG_OK) == 8);
    SIM_CHECK(eight_end_with(self, PG_OK) == 8);
    SIM_AWAIT(pg_bitswap_get_stats(self->bitswap).blocks_refused == 16);
    server->mode = HAND_LACKS_THEN_BLOCK;
    SIM_CHECK(eight_end_with(self, PG_ERR_NOT_FOUND) == 8);
    SIM_AWAIT(pg_bitswap_get_stats(self->bitswap).blocks_refused == 24);
    server->mode = HAND_LATE;
    for (uint64_t i = 20; i < 40; i++) {
        SIM_CHECK(fetch_from_hand(self, i, PG_MS(500)) == PG_ERR_TIMEOUT);
    }
    SIM_CHECK(eight_end_with(self, PG_OK) == 8); // behind twenty that come late
    SIM_CHECK(pg_bitswap_get_stats(self->bitswap).blocks_refused == 44);
    SIM_CHECK(pg_host_get_stats(self->host).offences == 0); // odd, but no offence
    SIM_AWAIT(server->cancels >= 20 + 8);
    server->mode = HAND_SILENT;
    SIM_CHECK(fetch_from_hand(self, 50, PG_SECONDS(5)) == PG_ERR_TIMEOUT);
    server->mode = HAND_RESET;
    pg_err err = fetch_from_hand(self, 50, PG_SECONDS(60));
    SIM_CHECK(err != PG_OK && err != PG_ERR_NOT_FOUND);
    SIM_CHECK(pg_bitswap_get_stats(self->bitswap).fetches_running == 0);
    return PG_OK;
}

static pg_err server_script(sim_nodes *all, hand_mode mode, pg_err (*task)(sim_node *))
{
    hands_make(all, 2, 1, mode);
    CHECK_OK(sim_task_run(&all->nodes[0], task));
    hands_stop(all);
    return PG_OK;
}

static pg_err wrong_script(void *arg)
{
    return server_script(arg, HAND_WRONG, fetch_wrong);
}

static pg_err odd_script(void *arg)
{
    return server_script(arg, HAND_TWICE, fetch_odd);
}

// One says that it has the block and sends nothing, one sends a wrong one, one has it.
static pg_err any_of_bad(sim_node *self)
{
    sim_node *nodes = self->all->nodes;
    const pg_peer_id peers[] = {nodes[1].id, nodes[2].id, nodes[3].id};
    const pg_bitswap_sources all = {peers, 3};
    const pg_bitswap_sources bad = {peers, 2};
    const pg_bitswap_sources wrong = {&peers[1], 1};
    const pg_bitswap_sources none = {peers, 0};
    pg_buf got = {0};
    pg_peer_id from;
    pg_cid cid = sim_block_cid(2, HAND_BYTES);
    for (size_t i = 1; i <= 3; i++) {
        PG_TRY(sim_node_connect(self, &nodes[i]));
    }
    pg_time start = pg_now();
    PG_TRY(pg_bitswap_fetch_any(self->bitswap, &all, &cid, pg_after(PG_MINUTES(1)), &got, &from));
    SIM_CHECK(got.len == HAND_BYTES && pg_peer_id_equal(&from, &nodes[3].id));
    SIM_CHECK(pg_now() < start + 3 * PG_MS(PG_BITSWAP_HEDGE_MS));
    pg_buf_deinit(&got);
    pg_err err =
        pg_bitswap_fetch_any(self->bitswap, &bad, &cid, pg_after(PG_SECONDS(20)), &got, &from);
    SIM_CHECK(err == PG_ERR_TIMEOUT); // the first still says that it has it
    err = pg_bitswap_fetch_any(self->bitswap, &wrong, &cid, pg_after(PG_SECONDS(20)), &got, &from);
    SIM_CHECK(err == PG_ERR_CORRUPT);
    err = pg_bitswap_fetch_any(self->bitswap, &none, &cid, pg_after(PG_SECONDS(20)), &got, NULL);
    SIM_CHECK(err == PG_ERR_NOT_FOUND);
    return PG_OK;
}

static pg_err any_script(void *arg)
{
    sim_nodes *all = arg;
    hands_make(all, 4, 1, HAND_HAS);
    hand_of(&all->nodes[2])->mode = HAND_WRONG;
    hand_of(&all->nodes[3])->mode = HAND_TWICE;
    CHECK_OK(sim_task_run(&all->nodes[0], any_of_bad));
    hands_stop(all);
    return PG_OK;
}

// ---- Senders of nonsense

// Wait until the other side has done with our stream. Returns how it ended.
static pg_err out_end(sim_node *self)
{
    uint8_t space[16];
    size_t len = 1;
    pg_err err = PG_OK;
    while (err == PG_OK && len > 0) {
        err = pg_stream_read(hand_of(self)->out, PG_MUT_BYTES_OF(space), pg_after(PG_MINUTES(2)),
                             &len);
    }
    return err;
}

static pg_err send_unasked(sim_node *self)
{
    pg_cid cid;
    sim_node_meet(self, &self->all->nodes[0]);
    for (size_t len = 100; len <= 100000; len *= 1000) {
        pg_err err = PG_OK;
        pg_buf block = sim_block_make(0, len, &cid);
        PG_TRY(hand_open(self));
        for (int i = 0; i < 1000 && err == PG_OK; i++) {
            err = block_send(self, &cid, pg_buf_bytes(&block));
        }
        pg_buf_deinit(&block);
        SIM_CHECK(err == PG_OK || err == PG_ERR_RESET);
        SIM_CHECK(out_end(self) == PG_ERR_RESET);
    }
    return PG_OK;
}

static pg_err send_raw(sim_node *self, pg_bytes bytes)
{
    PG_TRY(hand_open(self));
    PG_TRY(pg_stream_write(hand_of(self)->out, bytes, pg_after(PG_SECONDS(30))));
    return out_end(self);
}

static pg_err send_nonsense(sim_node *self)
{
    sim_node_meet(self, &self->all->nodes[0]);
    // 5 MiB, a length longer than it need be, a field that cannot be, a want in a list that is too short
    SIM_CHECK(send_raw(self, PG_BYTES_LIT("\x80\x80\xc0\x02")) == PG_ERR_RESET);
    SIM_CHECK(send_raw(self, PG_BYTES_LIT("\x80\x00")) == PG_ERR_RESET);
    SIM_CHECK(send_raw(self, PG_BYTES_LIT("\x02\x00\x00")) == PG_ERR_RESET);
    SIM_CHECK(send_raw(self, PG_BYTES_LIT("\x04\x0a\x02\x0a\x05")) == PG_ERR_RESET);
    // half a message, and no more: given up after PG_BITSWAP_IDLE_MS
    SIM_CHECK(send_raw(self, PG_BYTES_LIT("\x40\x0a")) == PG_ERR_RESET);
    return PG_OK;
}

static pg_err nonsense_script(void *arg)
{
    sim_nodes *all = arg;
    hands_make(all, 3, 2, HAND_SILENT);
    CHECK_OK(sim_task_run(&all->nodes[0], put_seven));
    CHECK_OK(sim_task_run(&all->nodes[2], send_nonsense));
    CHECK(pg_host_get_stats(all->nodes[0].host).offences == 3);
    CHECK_OK(sim_task_run(&all->nodes[2], send_unasked));
    CHECK(stats_of(all, 0).blocks_refused > PG_BITSWAP_FAULTS_MAX);
    CHECK(stats_of(all, 0).blocks_refused < 4 * PG_BITSWAP_FAULTS_MAX);
    CHECK(stats_of(all, 0).blocks_received == 0);
    CHECK_OK(sim_task_run(&all->nodes[1], fetch_seven));
    hands_stop(all);
    return PG_OK;
}

// ---- Peers that leave

// Want much, and be gone before it is read.
static pg_err want_and_leave(sim_node *self)
{
    pg_buf entries = {0};
    sim_node *server = &self->all->nodes[0];
    for (uint32_t round = 0; round < 20; round++) {
        pg_cid cid = sim_block_cid(0, 10);
        PG_TRY(sim_node_connect(self, server));
        PG_TRY(hand_open(self));
        for (uint32_t i = 0; i < 1000; i++) {
            memcpy(cid.bytes + 8, &i, sizeof(i));
            want_put(&entries, pg_cid_bytes(&cid), false, i % 2 == 0);
        }
        PG_TRY(wants_send(self, &entries, false));
        PG_TRY(pg_sleep_until(pg_after(PG_MS(4) * round)));
        pg_host_disconnect(self->host, &server->id);
        SIM_AWAIT(!pg_host_is_connected(server->host, &self->id));
        SIM_AWAIT(pg_bitswap_get_stats(server->bitswap).wants_held == 0);
    }
    pg_buf_deinit(&entries);
    return PG_OK;
}

static pg_err leaving_script(void *arg)
{
    sim_nodes *all = arg;
    hands_make(all, 2, 1, HAND_SILENT);
    CHECK_OK(sim_task_run(&all->nodes[1], want_and_leave));
    hands_stop(all);
    return PG_OK;
}

// ---- Running

static void seeds_run(pg_fiber_fn script, uint64_t seeds)
{
    static sim_nodes all;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(15), .jitter_ns = PG_MS(10), .loss_ppm = 20000},
        .events_max = 50000000,
    };
    sim_seeds(&config, seeds, script, &all);
}

static void test_bitswap__wants_held__are_answered_when_the_block_is_announced(void **state)
{
    (void) state;
    seeds_run(waiting_script, 4);
}

static void test_bitswap__flood_of_wants__is_bounded_and_the_newest_count(void **state)
{
    (void) state;
    seeds_run(flood_script, 2);
}

static void test_bitswap__peers_that_take_nothing__are_given_up_and_starve_nobody(void **state)
{
    (void) state;
    seeds_run(deaf_script, 2);
}

static void test_bitswap__empty_blocks_for_a_deaf_peer__are_bounded_by_number(void **state)
{
    (void) state;
    seeds_run(empty_script, 2);
}

static void test_bitswap__wrong_blocks__are_corrupt_and_an_offence(void **state)
{
    (void) state;
    seeds_run(wrong_script, 3);
}

static void test_bitswap__odd_servers__do_no_harm(void **state)
{
    (void) state;
    seeds_run(odd_script, 3);
}

static void test_bitswap__any_of_bad_ones__is_fetched_from_the_good_one(void **state)
{
    (void) state;
    seeds_run(any_script, 3);
}

static void test_bitswap__nonsense_and_unasked_blocks__cost_their_sender_the_stream(void **state)
{
    (void) state;
    seeds_run(nonsense_script, 3);
}

static void test_bitswap__peers_that_leave__are_forgotten(void **state)
{
    (void) state;
    seeds_run(leaving_script, 4);
}

static void stack_print(const pg_fiber_stats *stats, void *user)
{
    size_t *kinds = user;
    (void) printf("fiber %-24s stack %6zu high water %6zu started %zu\n", stats->kind,
                  stats->stack_bytes, stats->high_water_bytes, stats->started_total);
    CHECK(stats->high_water_bytes < stats->stack_bytes / 4 * 3);
    *kinds += strncmp(stats->kind, "exchange.", 9) == 0 ? 1U : 0U;
}

static pg_err stacks_script(void *arg)
{
    size_t kinds = 0;
    PG_TRY(waiting_script(arg));
    PG_TRY(wrong_script(arg));
    pg_fiber_stats_each(stack_print, &kinds);
    CHECK(kinds >= 4);
    return PG_OK;
}

static void test_bitswap__stacks_painted__every_kind_keeps_a_quarter_free(void **state)
{
    (void) state;
    static sim_nodes all;
    const pg_sim_config config = {.seed = 1, .measure_stacks = true};
    assert_int_equal(pg_sim_run(&config, stacks_script, &all, NULL), PG_OK);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bitswap__wants_held__are_answered_when_the_block_is_announced),
        cmocka_unit_test(test_bitswap__flood_of_wants__is_bounded_and_the_newest_count),
        cmocka_unit_test(test_bitswap__peers_that_take_nothing__are_given_up_and_starve_nobody),
        cmocka_unit_test(test_bitswap__empty_blocks_for_a_deaf_peer__are_bounded_by_number),
        cmocka_unit_test(test_bitswap__wrong_blocks__are_corrupt_and_an_offence),
        cmocka_unit_test(test_bitswap__odd_servers__do_no_harm),
        cmocka_unit_test(test_bitswap__any_of_bad_ones__is_fetched_from_the_good_one),
        cmocka_unit_test(test_bitswap__nonsense_and_unasked_blocks__cost_their_sender_the_stream),
        cmocka_unit_test(test_bitswap__peers_that_leave__are_forgotten),
        cmocka_unit_test(test_bitswap__stacks_painted__every_kind_keeps_a_quarter_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
