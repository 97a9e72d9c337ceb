// SPDX-License-Identifier: Apache-2.0
#include "place_world.h"

#include "base/mem.h"
#include "crypto/hash.h"
#include "runtime/random.h"
#include "store/db.h"

#define PORT 4417
#define SERVER_QUOTA (UINT64_C(256) << 20)

static const pg_key store_key = {.bytes = {4}};
static const pg_key db_key = {.bytes = {5}};

// ---- A life of a machine

/** What one start owns. A crashed one ends as a ghost, when the next may run already: nothing is shared. */
typedef struct life {
    pg_identity identity;
    pg_host *host;
    pg_block_store *blocks;
    pg_db *db;
    pg_place_server *server;
} life;

static bool is_needed(const pg_cid *cid, void *user)
{
    const place_node *node = user;
    for (size_t i = 0; i < node->needed_count; i++) {
        if (pg_cid_equal(&node->needed[i], cid)) {
            return true;
        }
    }
    return false;
}

static pg_err newest_grant(const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES], pg_buf *out,
                           void *user)
{
    const place_node *node = user;
    (void) lease_key;
    return node->newest == NULL ? PG_ERR_NOT_FOUND : pg_buf_append(out, pg_buf_bytes(node->newest));
}

static pg_err storage_open(life *own)
{
    static const char *steps[2];
    const pg_db_schema schema = {steps, 2};
    const pg_block_store_config config = {
        .dir = "/blocks",
        .quota_bytes = SERVER_QUOTA,
        .key = &store_key,
        .pack_bytes = PG_PACK_BYTES_MIN,
    };
    steps[0] = pg_place_schema_1;
    steps[1] = pg_place_schema_2;
    PG_TRY(pg_block_store_open(&config, &own->blocks));
    return pg_db_open("/db", &db_key, &schema, &own->db);
}

static pg_err server_start(life *own, place_node *node)
{
    const pg_place_server_config config = {
        .host = own->host,
        .blocks = own->blocks,
        .db = own->db,
        .device = &own->identity,
        .format = &place_format,
        .rules = node->rules,
        .is_unlisted = node->is_unlisted,
        .is_needed = is_needed,
        .newest_grant = newest_grant,
        .user = node,
    };
    return pg_place_server_new(&config, &own->server);
}

static pg_err life_begin(life *own, place_node *node)
{
    const uint8_t any[4] = {0};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    PG_TRY(pg_identity_init(&own->identity, &node->seed));
    const pg_host_config config = pg_host_config_default(&own->identity);
    PG_TRY(pg_host_new(&config, &own->host));
    if (node->is_host) {
        PG_TRY(storage_open(own));
        PG_TRY(server_start(own, node));
    }
    PG_TRY(pg_host_listen(own->host, &listen));
    node->host = own->host;
    node->blocks = own->blocks;
    node->db = own->db;
    node->server = own->server;
    node->starts++;
    node->is_up = true;
    return PG_OK;
}

static void life_end(life *own)
{
    pg_place_server_free(&own->server);
    if (own->host != NULL) {
        pg_host_close(own->host, pg_after(PG_SECONDS(5)));
    }
    pg_host_free(&own->host);
    pg_db_close(&own->db);
    pg_block_store_close(&own->blocks);
    pg_identity_deinit(&own->identity);
}

static pg_err node_main(void *arg)
{
    place_node *node = arg;
    life own = {.host = NULL};
    pg_err err = life_begin(&own, node);
    while (err == PG_OK && !node->stop) {
        if (node->task != NULL && !node->task_done) {
            node->task_err = node->task(node, node->task_arg);
            node->task_done = true;
            pg_waitq_wake_all(&node->finished);
        } else {
            err = pg_waitq_wait(&node->told, PG_FOREVER);
        }
    }
    pg_fiber_shield(true);
    life_end(&own);
    pg_fiber_shield(false);
    return err;
}

// ---- Nodes, from the script

void place_node_make(place_node *node, unsigned number, bool is_host)
{
    *node = (place_node){.is_host = is_host};
    pg_waitq_init(&node->told);
    pg_waitq_init(&node->finished);
    memset(node->seed.bytes, (int) number, sizeof(node->seed.bytes));
    node->rules.quota_bytes = SERVER_QUOTA / 2;
    CHECK_OK(pg_identity_init(&node->identity, &node->seed));
    CHECK_OK(pg_sim_machine_new(&node->machine));
    pg_endpoint at = pg_sim_machine_endpoint(node->machine);
    node->addr = pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_TCP, PORT);
}

static void life_forget(place_node *node)
{
    node->is_up = false;
    node->stop = false;
    node->task = NULL;
    node->host = NULL;
    node->blocks = NULL;
    node->db = NULL;
    node->server = NULL;
}

bool place_node_start(place_node *node)
{
    life_forget(node);
    CHECK_OK(pg_sim_machine_start(node->machine, "sim.node", node_main, node));
    while (!node->is_up) {
        if (pg_sim_machine_join(node->machine, pg_after(PG_MS(1))) != PG_ERR_TIMEOUT) {
            return node->is_up;
        }
    }
    return true;
}

void place_node_stop(place_node *node)
{
    node->stop = true;
    pg_waitq_wake_all(&node->told);
    CHECK_OK(pg_sim_machine_join(node->machine, pg_after(PG_SECONDS(60))));
    life_forget(node);
}

void place_node_crash(place_node *node)
{
    pg_sim_machine_crash(node->machine);
    life_forget(node);
}

void place_node_free(place_node *node)
{
    pg_identity_deinit(&node->identity);
}

void place_node_begin(place_node *node, place_task task, void *arg)
{
    node->task_done = false;
    node->task_arg = arg;
    node->task = task;
    pg_waitq_wake_all(&node->told);
}

pg_err place_node_wait(place_node *node, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    while (!node->task_done && pg_now() < deadline) {
        pg_ignore(pg_waitq_wait(&node->finished, deadline), "looked at again");
    }
    return node->task_done ? node->task_err : PG_ERR_BUSY;
}

pg_err place_node_do(place_node *node, place_task task, void *arg)
{
    place_node_begin(node, task, arg);
    return place_node_wait(node, PG_HOURS(100));
}

void place_node_meet(place_node *self, const place_node *other)
{
    CHECK_OK(pg_host_learn(self->host, &other->identity.peer_id, &other->addr, PG_BOOK_SOURCE_GIVEN,
                           PG_FOREVER));
}

// ---- Extents

/** A descriptor that was read: "pgfake1\n", lease key, slots (1), segments (2), shard length (4), digests slot by slot. */
typedef struct fake_view {
    pg_extent_view base;
    uint32_t shard_bytes;
    uint8_t *digests;
} fake_view;

static pg_err fake_read(pg_bytes block, pg_extent_view **out_view)
{
    pg_reader reader = pg_reader_make(block);
    if (!pg_bytes_equal(pg_reader_take(&reader, 8), PG_BYTES_LIT("pgfake1\n"))) {
        return PG_ERR_MALFORMED;
    }
    fake_view *view = PG_NEW(fake_view);
    if (view == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_reader_copy(&reader, view->base.lease_key, sizeof(view->base.lease_key));
    view->base.slots = pg_reader_u8(&reader);
    view->base.segments = pg_reader_u16be(&reader);
    view->shard_bytes = pg_reader_u32be(&reader);
    size_t len = (size_t) view->base.slots * view->base.segments * PG_HASH_BYTES;
    view->digests = pg_malloc(len);
    pg_err err = view->digests == NULL ? PG_ERR_NOMEM : PG_OK;
    pg_extent_view *base = &view->base;
    if (err == PG_OK) {
        pg_reader_copy(&reader, view->digests, len);
        err = pg_reader_finish(&reader);
    }
    if (err != PG_OK) {
        place_format.free(&base);
        return err;
    }
    *out_view = base;
    return PG_OK;
}

static void fake_shard(const pg_extent_view *base, uint32_t segment, uint32_t slot, pg_cid *out_cid,
                       uint32_t *out_bytes)
{
    const fake_view *view = (const fake_view *) (const void *) base;
    pg_multihash hash;
    size_t index = (size_t) slot * base->segments + segment;
    CHECK_OK(pg_multihash_make(PG_MULTIHASH_CODE_BLAKE3,
                               pg_bytes_make(view->digests + index * PG_HASH_BYTES, PG_HASH_BYTES),
                               &hash));
    *out_cid = pg_cid_make(PG_CID_CODEC_RAW, &hash);
    *out_bytes = view->shard_bytes;
}

static void fake_free(pg_extent_view **base)
{
    fake_view *view = PG_LIST_OBJECT(*base, fake_view, base);
    pg_mfree(view->digests);
    pg_mfree(view);
    *base = NULL;
}

const pg_extent_format place_format = {fake_read, fake_shard, fake_free};

void place_shard(const place_extent *extent, uint32_t slot, uint32_t segment, pg_buf *out,
                 pg_cid *out_cid)
{
    uint8_t *space = NULL;
    uint64_t words[] = {extent->number, slot, segment};
    pg_blake3_stream stream;
    pg_buf_clear(out);
    CHECK_OK(pg_buf_extend(out, extent->shard_bytes, &space));
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, pg_bytes_make(words, sizeof(words)));
    pg_blake3_stream_final(&stream, pg_mut_bytes_make(space, extent->shard_bytes));
    *out_cid = pg_cid_of_blake3(pg_buf_bytes(out));
}

static void descriptor_make(place_extent *extent)
{
    uint8_t head[8 + PG_ED25519_PUBLIC_BYTES + 1 + 2 + 4];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(head));
    pg_buf shard = {0};
    pg_writer_put(&writer, PG_BYTES_LIT("pgfake1\n"));
    pg_writer_put(&writer, PG_BYTES_OF(extent->lease.public_key));
    pg_writer_u8(&writer, (uint8_t) extent->slots);
    pg_writer_u16be(&writer, (uint16_t) extent->segments);
    pg_writer_u32be(&writer, extent->shard_bytes);
    CHECK_OK(pg_buf_append(&extent->descriptor, pg_writer_bytes(&writer)));
    for (uint32_t slot = 0; slot < extent->slots; slot++) {
        for (uint32_t segment = 0; segment < extent->segments; segment++) {
            pg_cid cid;
            place_shard(extent, slot, segment, &shard, &cid);
            pg_multihash hash = pg_cid_multihash(&cid);
            CHECK_OK(pg_buf_append(&extent->descriptor, pg_multihash_digest(&hash)));
        }
    }
    pg_buf_deinit(&shard);
    extent->cid = pg_cid_of_blake3(pg_buf_bytes(&extent->descriptor));
}

void place_extent_make(place_extent *extent, uint64_t number, uint32_t slots, uint32_t segments,
                       uint32_t shard_bytes)
{
    pg_key seed = {.bytes = {0xee}};
    memcpy(seed.bytes + 1, &number, sizeof(number));
    *extent = (place_extent){
        .slots = slots, .segments = segments, .shard_bytes = shard_bytes, .number = number};
    CHECK(slots <= PLACE_SLOTS_MAX);
    CHECK_OK(pg_identity_init(&extent->lease, &seed));
    descriptor_make(extent);
}

void place_extent_add_root(place_extent *extent, size_t len)
{
    uint8_t *space = NULL;
    CHECK_OK(pg_buf_extend(&extent->root_block, len, &space));
    memset(space, (int) extent->number + 1, len);
    extent->root = pg_cid_of_blake3(pg_buf_bytes(&extent->root_block));
}

void place_extent_free(place_extent *extent)
{
    pg_identity_deinit(&extent->lease);
    pg_buf_deinit(&extent->descriptor);
    pg_buf_deinit(&extent->root_block);
}

static uint64_t space_of(size_t len)
{
    return ((uint64_t) len + 128 + 4095) / 4096 * 4096;
}

uint64_t place_extent_space(const place_extent *extent, pg_slot_set slots)
{
    uint64_t shards = (uint64_t) __builtin_popcount(slots) * extent->segments;
    uint64_t root = extent->root.len > 0 ? space_of(extent->root_block.len) : 0;
    return shards * space_of(extent->shard_bytes) + space_of(extent->descriptor.len) + root;
}

// ---- Owners

/** A fiber that pushes: every STEP-th shard. */
typedef struct pusher {
    pg_place_session *session;
    const place_extent *extent;
    pg_slot_set slots;
    uint32_t first;
} pusher;

#define PUSHERS 5U

static pg_time soon(void)
{
    return pg_after(PG_SECONDS(60));
}

static pg_err push_run(void *arg)
{
    const pusher *one = arg;
    const place_extent *extent = one->extent;
    pg_buf shard = {0};
    pg_err err = PG_OK;
    for (uint32_t i = one->first; err == PG_OK && i < extent->slots * extent->segments;
         i += PUSHERS) {
        uint32_t slot = i / extent->segments;
        pg_cid cid;
        if ((one->slots >> slot & 1U) != 0) {
            place_shard(extent, slot, i % extent->segments, &shard, &cid);
            err = pg_place_push(one->session, &cid, pg_buf_bytes(&shard), soon());
        }
    }
    pg_buf_deinit(&shard);
    return err;
}

pg_err place_push_all(pg_place_session *session, const place_extent *extent, pg_slot_set slots)
{
    pusher pushers[PUSHERS];
    pg_scope scope;
    pg_scope_init(&scope);
    for (uint32_t i = 0; i < PUSHERS; i++) {
        pushers[i] = (pusher){session, extent, slots, i};
        CHECK_OK(pg_scope_spawn(&scope, "test.push", push_run, &pushers[i]));
    }
    pg_err err = pg_place_push(session, &extent->cid, pg_buf_bytes(&extent->descriptor), soon());
    if (err == PG_OK && extent->root.len > 0) {
        err = pg_place_push(session, &extent->root, pg_buf_bytes(&extent->root_block), soon());
    }
    if (err != PG_OK) {
        pg_scope_cancel(&scope);
    }
    pg_err joined = pg_scope_join(&scope);
    return err == PG_OK ? joined : err;
}

pg_err place_open(place_node *self, const place_node *host, const place_extent *extent,
                  pg_place_session **out_session)
{
    // Eager: a host that was down a moment ago is dialed at once.
    const pg_dial_options options = {.eager = true};
    const pg_peer_id *peer = &host->identity.peer_id;
    place_node_meet(self, host);
    PG_TRY(pg_host_connect(self->host, peer, &options, soon(), NULL));
    return pg_place_open(self->host, peer, extent->lease.public_key, 0, soon(), out_session);
}

uint64_t place_now_s(void)
{
    return (uint64_t) (pg_wall_ms() / 1000);
}

void place_grant(const place_extent *extent, uint64_t expiry_s, uint64_t sequence, pg_buf *out)
{
    const pg_lease_grant grant = {
        .descriptor = extent->cid,
        .root = extent->root,
        .expiry_s = expiry_s,
        .sequence = sequence,
    };
    pg_buf_clear(out);
    CHECK_OK(pg_lease_grant_encode(&extent->lease, &grant, out));
}

pg_err place_commit(pg_place_session *session, const place_extent *extent, pg_slot_set slots,
                    uint64_t sequence, pg_lease_receipt *out_receipt)
{
    pg_buf grant = {0};
    pg_lease_receipt receipt = {0};
    uint64_t known = 0;
    place_grant(extent, place_now_s() + UINT64_C(30) * 86400, sequence, &grant);
    const pg_place_commit commit = {.grant = pg_buf_bytes(&grant), .slots = slots};
    pg_err err = pg_place_commit_send(session, &commit, soon(), &receipt, NULL, &known);
    pg_buf_deinit(&grant);
    if (err == PG_OK && out_receipt != NULL) {
        *out_receipt = receipt;
    }
    return err;
}

pg_err place_drop(pg_place_session *session, const place_extent *extent, uint64_t sequence)
{
    pg_buf grant = {0};
    pg_lease_receipt receipt = {.slots = 1};
    uint64_t known = 0;
    place_grant(extent, 0, sequence, &grant);
    const pg_place_commit commit = {.grant = pg_buf_bytes(&grant)};
    pg_err err = pg_place_commit_send(session, &commit, soon(), &receipt, NULL, &known);
    pg_buf_deinit(&grant);
    CHECK(err != PG_OK || receipt.slots == 0);
    return err;
}

pg_err place_release(pg_place_session *session, const place_extent *extent, pg_slot_set slots,
                     uint64_t sequence)
{
    const pg_lease_release release = {
        .descriptor = extent->cid,
        .host = *pg_place_session_peer(session),
        .slots = slots,
        .sequence = sequence,
    };
    pg_buf encoded = {0};
    CHECK_OK(pg_lease_release_encode(&extent->lease, &release, &encoded));
    pg_err err = pg_place_release_send(session, pg_buf_bytes(&encoded), soon());
    pg_buf_deinit(&encoded);
    return err;
}

pg_err place_upload(place_node *self, const place_node *host, const place_extent *extent,
                    pg_slot_set slots, uint64_t sequence)
{
    pg_place_session *session = NULL;
    PG_TRY(place_open(self, host, extent, &session));
    pg_err err = place_push_all(session, extent, slots);
    if (err == PG_OK) {
        err = place_commit(session, extent, slots, sequence, NULL);
    }
    pg_place_session_free(&session);
    return err;
}

// The second time receipts are known: they are taken as they were, and no others.
static pg_err have_twice(const place_node *self, const pg_peer_id *peer, const place_extent *extent,
                         pg_place_verified *verified, pg_place_holding *out_holding)
{
    PG_TRY(pg_place_have(self->host, peer, &extent->cid, verified, soon(), out_holding));
    size_t count = verified->count;
    CHECK(count == out_holding->receipt_count);
    PG_TRY(pg_place_have(self->host, peer, &extent->cid, verified, soon(), out_holding));
    for (size_t i = 0; i < out_holding->receipt_count && count == verified->count; i++) {
        CHECK(pg_peer_id_equal(&out_holding->receipts[i].host, &verified->items[i].receipt.host));
    }
    return PG_OK;
}

static pg_err have_once(place_node *self, const place_node *host, const place_extent *extent,
                        pg_place_holding *out_holding)
{
    const pg_dial_options options = {.eager = true};
    const pg_peer_id *peer = &host->identity.peer_id;
    PG_TRY(pg_host_connect(self->host, peer, &options, soon(), NULL));
    pg_place_verified *verified = PG_NEW(pg_place_verified);
    CHECK(verified != NULL);
    pg_place_verified_init(verified);
    pg_err err = have_twice(self, peer, extent, verified, out_holding);
    pg_mfree(verified);
    return err;
}

pg_err place_have(place_node *self, const place_node *host, const place_extent *extent,
                  pg_place_holding *out_holding)
{
    pg_err err = PG_ERR_RESET;
    place_node_meet(self, host);
    // A connection may be dead without knowing it.
    for (unsigned tries = 0; tries < 5 && pg_err_class_of(err) == PG_ERR_CLASS_RETRY; tries++) {
        err = have_once(self, host, extent, out_holding);
        if (err != PG_OK) {
            pg_host_disconnect(self->host, &host->identity.peer_id);
        }
    }
    return err;
}

// ---- Hosts

/** A sum over the blocks. */
typedef struct store_sum {
    place_node *node;
    uint64_t bytes;
} store_sum;

static pg_err on_block(const pg_cid *cid, uint32_t len, void *user)
{
    store_sum *sum = user;
    if (!is_needed(cid, sum->node) || pg_place_server_holds(sum->node->server, cid)) {
        sum->bytes += space_of(len);
    }
    return PG_OK;
}

uint64_t place_store_bytes(place_node *self)
{
    store_sum sum = {.node = self};
    CHECK_OK(pg_block_store_walk(self->blocks, on_block, &sum));
    return sum.bytes;
}

static void block_check(place_node *self, const pg_cid *cid, pg_bytes wanted)
{
    pg_buf got = {0};
    CHECK_OK(pg_block_store_get(self->blocks, cid, &got));
    CHECK(pg_bytes_equal(pg_buf_bytes(&got), wanted));
    CHECK(pg_place_server_holds(self->server, cid));
    pg_buf_deinit(&got);
}

void place_check_blocks(place_node *self, const place_extent *extent, pg_slot_set slots)
{
    pg_buf shard = {0};
    block_check(self, &extent->cid, pg_buf_bytes(&extent->descriptor));
    if (extent->root.len > 0) {
        block_check(self, &extent->root, pg_buf_bytes(&extent->root_block));
    }
    for (uint32_t i = 0; i < extent->slots * extent->segments; i++) {
        uint32_t slot = i / extent->segments;
        pg_cid cid;
        if ((slots >> slot & 1U) != 0) {
            place_shard(extent, slot, i % extent->segments, &shard, &cid);
            block_check(self, &cid, pg_buf_bytes(&shard));
        }
    }
    pg_buf_deinit(&shard);
}

void place_check_account(place_node *self)
{
    pg_place_stats stats = pg_place_server_get_stats(self->server);
    uint64_t stored = place_store_bytes(self);
    if (stats.lease_bytes + stats.session_bytes != stored) {
        (void) fprintf(stderr, "account %llu + %llu, store %llu\n",
                       (unsigned long long) stats.lease_bytes,
                       (unsigned long long) stats.session_bytes, (unsigned long long) stored);
    }
    CHECK(stats.lease_bytes + stats.session_bytes == stored);
    CHECK(stored <= self->rules.quota_bytes);
}
