// SPDX-License-Identifier: Apache-2.0
#include "town.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/file.h"

#define WAVE 20 // nodes that start together

/** What one start of a machine owns: a crashed one ends as a ghost, when the next may run already. */
typedef struct life {
    pg_keystore identity;
    pg_config config;
    pg_host *host;
    pg_discovery discovery;
    pg_storage storage;
    pg_finder *finder;
    town_node *node;
} life;

// ---- Beginning

static pg_err introduce(const town_node *self, pg_config *config)
{
    const town *all = self->town;
    for (size_t i = 0, tries = 0; i < TOWN_INTRODUCERS && tries < 1000; tries++) {
        const town_node *other = &all->nodes[pg_sim_random_below(all->config.nodes)];
        if (other == self || !other->is_up) {
            continue;
        }
        char text[PG_MULTIADDR_TEXT_BYTES];
        pg_multiaddr addr = other->addr;
        PG_TRY(pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_P2P, pg_peer_id_bytes(&other->id)));
        pg_multiaddr_format(&addr, text);
        PG_TRY(pg_config_set(config, PG_CONFIG_LAYER_FILE, PG_STR("net.bootstrap"),
                             pg_str_make(text)));
        i++;
    }
    return PG_OK;
}

static pg_err config_make(const town_node *self, pg_config *config)
{
    const town_config *wanted = &self->town->config;
    PG_TRY(pg_config_init(config));
    for (size_t i = 0; i < wanted->setting_count; i++) {
        PG_TRY(pg_config_set_pair(config, pg_str_make(wanted->settings[i])));
    }
    return introduce(self, config);
}

static pg_err host_make(life *own)
{
    pg_host_config config = pg_host_config_default(&own->identity.device);
    config.is_null = true;
    config.book_peers_max = (size_t) own->config.limits_book_peers;
    config.limits.connections = (uint32_t) own->config.limits_connections;
    return pg_host_new(&config, &own->host);
}

static pg_err life_begin(life *own, town_node *self)
{
    const uint8_t any[4] = {0};
    const pg_multiaddr listen =
        pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, TOWN_PORT);
    own->node = self;
    PG_TRY(pg_keystore_init(&own->identity, &self->seeds, 1700000000));
    PG_TRY(config_make(self, &own->config));
    PG_TRY(host_make(own));
    pg_err err = pg_dir_make("/data");
    PG_TRY(err == PG_ERR_EXISTS ? PG_OK : err);
    PG_TRY(pg_dir_sync("/"));
    const pg_storage_parts parts = {
        .host = own->host,
        .dhts = &own->discovery.dhts,
        .identity = &own->identity,
    };
    PG_TRY(pg_storage_open(&own->storage, "/data", &parts, &own->config));
    PG_TRY(pg_host_listen(own->host, &listen));
    PG_TRY(pg_discovery_start(&own->discovery, own->host, &own->config, own->storage.db));
    PG_TRY(pg_storage_watch(&own->storage, &parts, &own->config));
    const pg_finder_parts finder = {own->host, own->storage.db, &own->discovery.dhts,
                                    own->storage.files};
    PG_TRY(pg_finder_new(&finder, &own->config, &own->finder));
    self->host = own->host;
    self->storage = &own->storage;
    self->discovery = &own->discovery;
    self->is_up = true;
    return PG_OK;
}

static void life_end(life *own)
{
    pg_fiber_shield(true);
    pg_finder_free(&own->finder);
    if (own->host != NULL) {
        pg_host_close(own->host, pg_after(PG_SECONDS(5)));
    }
    pg_discovery_save(&own->discovery);
    pg_storage_close(&own->storage);
    pg_discovery_stop(&own->discovery);
    pg_host_free(&own->host);
    pg_config_deinit(&own->config);
    pg_keystore_deinit(&own->identity);
    pg_fiber_shield(false);
    pg_mfree(own);
}

static pg_err tasks_run(town_node *self)
{
    while (!self->must_stop) {
        if (self->task != NULL && !self->task_done) {
            self->task_err = self->task(self, self->task_arg);
            self->task_done = true;
        }
        if (pg_waitq_wait(&self->wake, PG_FOREVER) == PG_ERR_CANCELLED) {
            return PG_ERR_CANCELLED;
        }
    }
    return PG_OK;
}

static pg_err node_main(void *arg)
{
    town_node *self = arg;
    life *own = PG_NEW(life);
    CHECK(own != NULL);
    pg_err err = life_begin(own, self);
    if (err == PG_OK) {
        err = tasks_run(self);
    }
    CHECK(err == PG_OK || err == PG_ERR_CANCELLED);
    life_end(own);
    return err;
}

// ---- Driving

static void node_begin(town_node *node)
{
    CHECK(!node->is_up);
    node->must_stop = false;
    node->task = NULL;
    node->task_done = true;
    pg_waitq_init(&node->wake);
    CHECK_OK(pg_sim_machine_start(node->machine, "sim.node", node_main, node));
}

static void node_await(const town_node *node)
{
    while (!node->is_up) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
}

void town_node_start(town_node *node)
{
    node_begin(node);
    node_await(node);
}

void town_nodes_start(town *self, size_t first, size_t count)
{
    for (size_t at = first; at < first + count;) {
        size_t wave = at == 0 ? 1 : pg_min_size(WAVE, first + count - at);
        for (size_t i = 0; i < wave; i++) {
            node_begin(&self->nodes[at + i]);
        }
        for (size_t i = 0; i < wave; i++) {
            node_await(&self->nodes[at + i]);
        }
        at += wave;
    }
}

void town_node_stop(town_node *node)
{
    CHECK(node->is_up);
    node->is_up = false;
    node->must_stop = true;
    pg_waitq_wake_all(&node->wake);
    CHECK_OK(pg_sim_machine_join(node->machine, pg_after(PG_MINUTES(10))));
}

void town_node_crash(town_node *node)
{
    CHECK(node->is_up);
    node->is_up = false;
    pg_sim_machine_crash(node->machine);
}

void town_begin(town_node *node, town_task task, void *arg)
{
    CHECK(node->is_up && node->task_done);
    node->task = task;
    node->task_arg = arg;
    node->task_done = false;
    pg_waitq_wake_all(&node->wake);
}

pg_err town_end(town_node *node, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    while (!node->task_done && pg_now() < deadline) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(20))));
    }
    return node->task_done ? node->task_err : PG_ERR_TIMEOUT;
}

pg_err town_do(town_node *node, town_task task, void *arg, int64_t within_ns)
{
    town_begin(node, task, arg);
    return town_end(node, within_ns);
}

town_node *town_random(town *self)
{
    for (;;) {
        town_node *node = &self->nodes[pg_sim_random_below(self->config.nodes)];
        if (node->is_up && node->task_done) {
            return node;
        }
    }
}

size_t town_up(const town *self)
{
    size_t up = 0;
    for (size_t i = 0; i < self->config.nodes; i++) {
        up += self->nodes[i].is_up ? 1 : 0;
    }
    return up;
}

// ---- The whole

static void node_make(town *self, size_t index)
{
    town_node *node = &self->nodes[index];
    pg_keystore identity;
    pg_endpoint at = {.family = PG_IP_FAMILY_V4,
                      .ip = {20, (uint8_t) (index >> 8), (uint8_t) index, 7}};
    uint64_t number = index + 1;
    node->town = self;
    node->index = index;
    node->task_done = true;
    memset(&node->seeds, 0x5a, sizeof(node->seeds));
    memcpy(node->seeds.person.bytes, &number, sizeof(number));
    memcpy(node->seeds.device.bytes, &number, sizeof(number));
    memcpy(node->seeds.owner.bytes, &number, sizeof(number));
    CHECK_OK(pg_keystore_init(&identity, &node->seeds, 1700000000));
    node->id = identity.device.peer_id;
    pg_keystore_deinit(&identity);
    CHECK_OK(pg_sim_machine_new(&node->machine));
    pg_sim_machine_move(node->machine, &at);
    node->addr = pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_TCP, TOWN_PORT);
}

void town_make(town *self, const town_config *config)
{
    *self = (town){.config = *config};
    self->nodes = pg_calloc(config->nodes, sizeof(*self->nodes));
    CHECK(self->nodes != NULL);
    for (size_t i = 0; i < config->nodes; i++) {
        node_make(self, i);
    }
}

void town_deinit(town *self)
{
    for (size_t i = 0; i < self->config.nodes; i++) {
        if (self->nodes[i].is_up) {
            town_node_crash(&self->nodes[i]);
        }
    }
    pg_mfree(self->nodes);
    *self = (town){.nodes = NULL};
}
