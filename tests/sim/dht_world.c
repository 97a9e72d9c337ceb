// SPDX-License-Identifier: Apache-2.0
#include "dht_world.h"

#include <string.h>

#include "base/mem.h"
#include "dht/limits.h"
#include "net/conn_manager.h"
#include "net/framed.h"
#include "runtime/random.h"

#define WAVE 20 // nodes that start together

// ---- nodes that lie ----

#define FAKE_PREFIX_BITS 10 // of a point: nearer to the target than any node's
#define FAKES_A_PREFIX 100  // so that no two liars tell of the same peers

/** Names of nobody, by how their points begin. */
static struct {
    uint64_t names[1U << FAKE_PREFIX_BITS][FAKES_A_PREFIX]; // the bytes in which they differ
    size_t counts[1U << FAKE_PREFIX_BITS];
} fakes;

static unsigned prefix_of(const pg_dht_key *key)
{
    return ((unsigned) key->bytes[0] << 8 | key->bytes[1]) >> (16 - FAKE_PREFIX_BITS);
}

static pg_peer_id fake_make(uint64_t number)
{
    pg_peer_id fake = {.len = 34, .bytes = {0x12, 32}};
    memcpy(fake.bytes + 2, &number, sizeof(number));
    return fake;
}

// Looking for one name costs a thousand hashes; looking for all of them little more than one hash for each.
static void fakes_fill(void)
{
    size_t full = fakes.counts[0] == FAKES_A_PREFIX ? PG_ARRAY_LEN(fakes.counts) : 0;
    for (uint64_t number = 0; full < PG_ARRAY_LEN(fakes.counts); number++) {
        pg_peer_id fake = fake_make(number);
        pg_dht_key key = pg_dht_key_of_peer(&fake);
        size_t *count = &fakes.counts[prefix_of(&key)];
        if (*count < FAKES_A_PREFIX) {
            fakes.names[prefix_of(&key)][(*count)++] = number;
            full += *count == FAKES_A_PREFIX ? 1 : 0;
        }
    }
}

/** The peers of an answer, with what their views show. */
typedef struct tale {
    pg_dht_peer_info infos[PG_DHT_K];
    pg_peer_id ids[PG_DHT_K];
    pg_multiaddr addrs[PG_DHT_K];
    pg_bytes views[PG_DHT_K];
    size_t count;
} tale;

static void tale_add(tale *self, const pg_peer_id *id, const pg_multiaddr *addr)
{
    size_t i = self->count++;
    self->ids[i] = *id;
    self->addrs[i] = *addr;
    self->views[i] = pg_multiaddr_bytes(&self->addrs[i]);
    self->infos[i] = (pg_dht_peer_info){
        .id = pg_peer_id_bytes(&self->ids[i]), .addrs = &self->views[i], .addr_count = 1};
}

static void liar_tell(tale *self, const pg_dht_key *target)
{
    uint8_t first;
    fakes_fill();
    pg_random_bytes(pg_mut_bytes_make(&first, 1));
    for (size_t i = first; self->count < PG_DHT_K; i++) {
        pg_peer_id fake = fake_make(fakes.names[prefix_of(target)][i % FAKES_A_PREFIX]);
        uint8_t nowhere[4] = {99, 0, 0, 1};
        pg_random_bytes(pg_mut_bytes_make(nowhere + 1, 2));
        pg_multiaddr addr =
            pg_multiaddr_make(PG_BYTES_OF(nowhere), PG_MULTIADDR_TRANSPORT_TCP, DHT_WORLD_PORT);
        tale_add(self, &fake, &addr);
    }
}

static void sybil_tell(tale *self, const dht_world *world)
{
    for (size_t i = 0; i < world->count && self->count < PG_DHT_K; i++) {
        if (world->nodes[i].manner == DHT_MANNER_SYBIL) {
            tale_add(self, &world->nodes[i].id, &world->nodes[i].addr);
        }
    }
}

static pg_err tale_answer(const dht_node *node, pg_stream *stream, tale *lies, pg_buf *buf)
{
    pg_arena arena = pg_arena_make(PG_DHT_REQUEST_MEMORY_BYTES_MAX);
    pg_dht_msg msg;
    pg_err err = pg_dht_msg_decode(pg_buf_bytes(buf), &arena, &msg);
    if (err == PG_OK && msg.type != PG_DHT_MSG_ADD_PROVIDER) {
        pg_dht_key target = pg_dht_key_of(msg.key);
        if (node->manner == DHT_MANNER_LIAR) {
            liar_tell(lies, &target);
        } else {
            sybil_tell(lies, node->world);
        }
        msg.closer = lies->infos;
        msg.closer_count = lies->count;
        pg_buf_clear(buf);
        err = pg_dht_msg_append(buf, &msg); // a put is acknowledged, and forgotten
        if (err == PG_OK) {
            err = pg_stream_write(stream, pg_buf_bytes(buf), pg_after(PG_SECONDS(10)));
        }
    }
    pg_arena_deinit(&arena);
    return err;
}

static pg_err on_liar_stream(pg_net_stream_ctx *ctx)
{
    for (;;) {
        pg_buf buf = {0};
        tale *lies = PG_NEW(tale);
        pg_err err = lies == NULL ? PG_ERR_NOMEM
                                  : pg_framed_read(ctx->stream, PG_DHT_REQUEST_BYTES_MAX,
                                                   pg_after(PG_SECONDS(60)), &buf);
        if (err == PG_OK) {
            err = tale_answer(ctx->user, ctx->stream, lies, &buf);
        }
        pg_buf_deinit(&buf);
        pg_mfree(lies);
        if (err != PG_OK) {
            return err == PG_ERR_CLOSED ? PG_OK : err;
        }
    }
}

// ---- a node's life ----

static pg_err services_start(dht_node *self, pg_host *host, pg_dht **out_dht)
{
    const dht_world_config *wanted = &self->world->config;
    pg_dht_config config =
        pg_dht_config_default(host, PG_DHT_REALM_GLOBAL, &self->world->validators);
    config.mode = wanted->mode;
    config.is_trusting = wanted->is_trusting;
    config.refresh_ns = wanted->refresh_ns != 0 ? wanted->refresh_ns : config.refresh_ns;
    config.republish_ns = wanted->republish_ns != 0 ? wanted->republish_ns : config.republish_ns;
    if (self->manner != DHT_MANNER_HONEST) { // takes part as others do, and answers in its own way
        const pg_net_protocol lies = {
            .id = PG_DHT_ID_GLOBAL, .handler = on_liar_stream, .user = self};
        config.mode = PG_DHT_MODE_CLIENT;
        PG_TRY(pg_host_serve(host, &lies));
    }
    return pg_dht_new(&config, out_dht);
}

// With a cap a node has a manager, as the program does: a full one lets somebody go, so that newcomers get in.
static pg_err manager_start(const dht_world_config *wanted, pg_host *host,
                            pg_conn_manager **out_manager)
{
    const pg_conn_marks marks = {
        .low = wanted->connections / 2,
        .high = wanted->connections * 3 / 4,
        .grace_ns = PG_SECONDS(20),
    };
    return wanted->connections == 0 ? PG_OK : pg_conn_manager_new(host, &marks, out_manager);
}

static pg_err life_begin(dht_node *self, const pg_identity *identity, pg_host **out_host,
                         pg_conn_manager **out_manager, pg_dht **out_dht)
{
    const uint8_t any[4] = {0};
    const pg_multiaddr listen =
        pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, DHT_WORLD_PORT);
    pg_host_config config = pg_host_config_default(identity);
    config.is_null = self->world->config.is_null;
    if (self->world->config.connections != 0) {
        config.limits.connections = self->world->config.connections;
    }
    PG_TRY(pg_host_new(&config, out_host));
    PG_TRY(pg_host_listen(*out_host, &listen));
    PG_TRY(manager_start(&self->world->config, *out_host, out_manager));
    return services_start(self, *out_host, out_dht);
}

static pg_err tasks_run(dht_node *self)
{
    while (!self->must_stop) {
        if (self->task != NULL && !self->task_done) {
            self->task_err = self->task(self, self->task_arg);
            self->task_done = true;
        }
        pg_err err = pg_waitq_wait(&self->wake, PG_FOREVER);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
    }
    return PG_OK;
}

static pg_err node_main(void *arg)
{
    dht_node *self = arg;
    pg_identity identity;
    pg_host *host = NULL;
    pg_conn_manager *manager = NULL;
    pg_dht *dht = NULL;
    PG_TRY(pg_identity_init(&identity, &self->seed));
    pg_err err = life_begin(self, &identity, &host, &manager, &dht);
    if (err == PG_OK) {
        self->host = host;
        self->dht = dht;
        self->is_up = true;
        err = tasks_run(self);
        self->is_up = false;
    }
    pg_fiber_shield(true);
    pg_dht_free(&dht);
    pg_conn_manager_free(&manager);
    pg_host_free(&host);
    pg_identity_deinit(&identity);
    pg_fiber_shield(false);
    return err;
}

static pg_err meet(dht_node *self, void *arg)
{
    const dht_node *other = arg;
    const pg_dial_options options = {.eager = true};
    PG_TRY(pg_host_learn(self->host, &other->id, &other->addr, PG_BOOK_SOURCE_GIVEN, PG_FOREVER));
    return pg_host_connect(self->host, &other->id, &options, pg_after(PG_SECONDS(30)), NULL);
}

void dht_node_start(dht_node *node, size_t count)
{
    node->must_stop = false;
    node->is_up = false;
    node->task = NULL;
    pg_waitq_init(&node->wake);
    CHECK_OK(pg_sim_machine_start(node->machine, "sim.node", node_main, node));
    while (!node->is_up) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    }
    size_t others = 0;
    for (size_t i = 0; i < node->world->count; i++) {
        others += &node->world->nodes[i] != node && node->world->nodes[i].is_up ? 1U : 0U;
    }
    for (size_t met = 0; met < count && met < others;) {
        dht_node *other = &node->world->nodes[pg_sim_random_below(node->world->count)];
        if (other != node && other->is_up) {
            (void) dht_node_do(node, meet, other, PG_MINUTES(2)); // may fail on a bad network
            met++;
        }
    }
}

// ---- tasks ----

void dht_node_begin(dht_node *node, pg_err (*task)(dht_node *self, void *arg), void *arg)
{
    CHECK(node->is_up && (node->task == NULL || node->task_done));
    node->task = task;
    node->task_arg = arg;
    node->task_done = false;
    pg_waitq_wake_all(&node->wake);
}

pg_err dht_node_end(dht_node *node, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    while (!node->task_done && pg_now() < deadline) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
    return node->task_done ? node->task_err : PG_ERR_TIMEOUT;
}

pg_err dht_node_do(dht_node *node, pg_err (*task)(dht_node *self, void *arg), void *arg,
                   int64_t within_ns)
{
    dht_node_begin(node, task, arg);
    return dht_node_end(node, within_ns);
}

// ---- the world ----

static pg_endpoint node_endpoint(const dht_node *node, size_t sybils)
{
    size_t i = node->index;
    pg_endpoint at = {.family = PG_IP_FAMILY_V4, .ip = {20, 0, 0, 7}};
    at.ip[1] = (uint8_t) (i >> 8);
    at.ip[2] = (uint8_t) i;
    if (sybils > 0) {
        at.ip[0] = 30;
        at.ip[1] = 0;
        at.ip[2] = (uint8_t) (i % sybils);
        at.ip[3] = (uint8_t) (1 + i / sybils);
    }
    return at;
}

static void seed_use(dht_node *node, uint64_t number)
{
    pg_identity identity;
    memset(&node->seed, 0, sizeof(node->seed));
    memcpy(node->seed.bytes, &number, sizeof(number));
    CHECK_OK(pg_identity_init(&identity, &node->seed));
    node->id = identity.peer_id;
    pg_identity_deinit(&identity);
}

void dht_node_grind(dht_node *node, const pg_dht_key *target, unsigned prefix)
{
    for (;;) {
        seed_use(node, pg_sim_random_below(UINT64_MAX));
        pg_dht_key key = pg_dht_key_of_peer(&node->id);
        if (pg_dht_key_prefix(&key, target) >= prefix) {
            return;
        }
    }
}

dht_node *dht_world_add(dht_world *world)
{
    CHECK(world->count < world->cap);
    dht_node *node = &world->nodes[world->count];
    *node = (dht_node){.world = world, .index = world->count};
    world->count++;
    seed_use(node, pg_sim_random_below(UINT64_MAX));
    CHECK_OK(pg_sim_machine_new(&node->machine));
    dht_node_place(node, 0);
    return node;
}

void dht_node_place(dht_node *node, size_t subnets)
{
    const pg_endpoint at = node_endpoint(node, subnets);
    pg_sim_machine_move(node->machine, &at);
    node->addr =
        pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_TCP, DHT_WORLD_PORT);
}

// Whom a newcomer is told of first is honest, as a list of peers that one trusts is; whoever knows nobody but liars is lost.
static dht_node *introducer(dht_world *world, size_t count, bool is_first)
{
    for (;;) {
        dht_node *node = &world->nodes[pg_sim_random_below(count)];
        if (!is_first || node->manner == DHT_MANNER_HONEST) {
            return node;
        }
    }
}

void dht_world_make(dht_world *world, const dht_world_config *config, size_t cap)
{
    *world = (dht_world){.config = *config, .cap = cap};
    world->nodes = pg_calloc(cap, sizeof(*world->nodes));
    CHECK(world->nodes != NULL);
    CHECK_OK(pg_dht_validators_add(&world->validators, &pg_dht_validator_pk));
    CHECK_OK(pg_dht_validators_add(&world->validators, &pg_dht_validator_test));
    while (world->count < config->nodes) {
        size_t first = world->count;
        size_t wave = first == 0 ? 1 : pg_min_size(WAVE, config->nodes - first);
        for (size_t i = 0; i < wave; i++) {
            dht_node *node = dht_world_add(world);
            bool lies = first > 0 && pg_sim_random_below(100) < config->liars_percent;
            node->manner = lies ? DHT_MANNER_LIAR : DHT_MANNER_HONEST;
            dht_node_start(node, 0);
        }
        for (size_t met = 0; met < 2 && first > 0; met++) {
            for (size_t i = 0; i < wave; i++) {
                dht_node_begin(&world->nodes[first + i], meet, introducer(world, first, met == 0));
            }
            for (size_t i = 0; i < wave; i++) { // may fail on a bad network
                (void) dht_node_end(&world->nodes[first + i], PG_MINUTES(2));
            }
        }
    }
}

dht_node *dht_world_random(dht_world *world)
{
    for (;;) {
        dht_node *node = &world->nodes[pg_sim_random_below(world->count)];
        bool is_idle = node->task == NULL || node->task_done;
        if (node->is_up && node->manner == DHT_MANNER_HONEST && is_idle) {
            return node;
        }
    }
}

pg_dht_stats dht_world_stats(const dht_world *world)
{
    pg_dht_stats sum = {0};
    for (size_t i = 0; i < world->count; i++) {
        if (world->nodes[i].is_up) {
            pg_dht_stats one = pg_dht_get_stats(world->nodes[i].dht);
            sum.peers += one.peers;
            sum.records += one.records;
            sum.providers += one.providers;
            sum.lookups += one.lookups;
            sum.requests += one.requests;
            sum.requests_failed += one.requests_failed;
            sum.streams += one.streams;
            sum.served += one.served;
            sum.corrected += one.corrected;
        }
    }
    return sum;
}

void dht_world_end(dht_world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->nodes[i].is_up) {
            world->nodes[i].must_stop = true;
            pg_waitq_wake_all(&world->nodes[i].wake);
        }
    }
    for (size_t i = 0; i < world->count; i++) {
        if (world->nodes[i].is_up) {
            CHECK_OK(pg_sim_machine_join(world->nodes[i].machine, pg_after(PG_MINUTES(5))));
        }
    }
    pg_mfree(world->nodes);
    *world = (dht_world){.count = 0};
}
