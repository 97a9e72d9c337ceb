// SPDX-License-Identifier: Apache-2.0
// Goal: every file whose put was acknowledged is readable while at most two of its ten hosts are down, whatever crashed, was cut off or
//       had a bad disk meanwhile; a put that is not acknowledged leaves nothing; a put without hosts waits and goes out by itself.
// Method: 14 nodes as the program builds them (node/storage.h), real cryptography and databases on simulated disks and networks, all
//       connected to all; crashes at moments the seed chooses. PG_SIM_SEEDS=N runs more seeds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "node/config.h"
#include "node/storage.h"
#include "runtime/file.h"
#include "runtime/random.h"
#include "sim_test.h"

/** Fail at once: the scenario's fibers are many, and the seed is printed when the program aborts. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void) fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__,     \
                           #condition, pg_error_last()->text);                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_OK(expression) CHECK((expression) == PG_OK)

#define NODES 14
#define PORT 4417
#define HOSTS_MAX 16
#define READER (NODES - 1) // takes nothing for others: never a host

typedef struct sim_node sim_node;

/** What is to be put, and what came of it. */
typedef struct sim_file {
    uint64_t content; // seed of the bytes
    size_t size;
    pg_link link;
    pg_file_state state;
    uint32_t survives;
    uint64_t expiry_s;
    size_t host_count;
    pg_peer_id hosts[HOSTS_MAX];
} sim_file;

/** One machine with a node on it. */
struct sim_node {
    pg_sim_machine *machine;
    struct sim_world *world;
    size_t number;
    pg_keystore_seeds seeds;
    pg_peer_id id;
    pg_multiaddr addr;
    pg_host *host; // of the life that runs
    pg_storage *storage;
    bool is_up;
    bool stop;
    pg_err (*task)(sim_node *self); // run once
    sim_file *file;
    pg_err task_err;
    char task_text[PG_ERROR_TEXT_BYTES_MAX];
    bool task_done;
    pg_get_report report;
    uint64_t lease_count;
};

/** The world of one seed. */
typedef struct sim_world {
    sim_node nodes[NODES];
    uint64_t ttl_ms; // of leases; 0 = the default
    bool is_long;    // hours go by: tasks may wait a minute to begin
} sim_world;

// ---- A node

/** What one start of a machine owns: a crashed one ends as a ghost, when the next may run already. */
typedef struct life {
    pg_keystore identity;
    pg_config config;
    pg_host *host;
    pg_storage storage;
    pg_scope mesh;
    sim_node *node;
} life;

// Stays connected to all nodes with a lower number, as a list of peers would have it.
static pg_err mesh_run(void *arg)
{
    life *own = arg;
    sim_node *self = own->node;
    for (;;) {
        for (size_t i = 0; i < self->number; i++) {
            const sim_node *other = &self->world->nodes[i];
            const pg_dial_options options = {.eager = true};
            if (other->is_up && !pg_host_is_connected(own->host, &other->id)) {
                CHECK_OK(pg_host_learn(own->host, &other->id, &other->addr, PG_BOOK_SOURCE_GIVEN,
                                       PG_FOREVER));
                pg_ignore(
                    pg_host_connect(own->host, &other->id, &options, pg_after(PG_SECONDS(5)), NULL),
                    "tried again in a while");
            }
        }
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(self->world->is_long ? 30 : 1))));
    }
}

static pg_err life_begin(life *own, sim_node *self)
{
    const uint8_t any[4] = {0};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    own->node = self;
    pg_scope_init_tolerant(&own->mesh);
    PG_TRY(pg_keystore_init(&own->identity, &self->seeds, 1700000000));
    PG_TRY(pg_config_init(&own->config));
    own->config.storage_quota_bytes = 64 << 20;
    own->config.storage_cache_bytes = 4 << 20;
    if (self->world->ttl_ms != 0) {
        own->config.storage_ttl_ms = self->world->ttl_ms;
    }
    if (self->number == READER) {
        PG_TRY(pg_config_set(&own->config, PG_CONFIG_LAYER_COMMAND, PG_STR("storage.accept"),
                             PG_STR("nobody")));
    }
    const pg_host_config host = pg_host_config_default(&own->identity.device);
    PG_TRY(pg_host_new(&host, &own->host));
    pg_err err = pg_dir_make("/data");
    PG_TRY(err == PG_ERR_EXISTS ? PG_OK : err);
    PG_TRY(pg_dir_sync("/"));
    PG_TRY(pg_storage_open(&own->storage, "/data", own->host, &own->identity, &own->config));
    PG_TRY(pg_host_listen(own->host, &listen));
    PG_TRY(pg_scope_spawn(&own->mesh, "sim.mesh", mesh_run, own));
    self->host = own->host;
    self->storage = &own->storage;
    self->id = own->identity.device.peer_id;
    pg_endpoint at = pg_sim_machine_endpoint(self->machine);
    self->addr = pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    self->is_up = true;
    return PG_OK;
}

static void life_end(life *own)
{
    pg_fiber_shield(true);
    pg_scope_close(&own->mesh);
    if (own->host != NULL) {
        pg_host_close(own->host, pg_after(PG_SECONDS(5)));
    }
    pg_storage_close(&own->storage);
    pg_host_free(&own->host);
    pg_config_deinit(&own->config);
    pg_keystore_deinit(&own->identity);
    pg_fiber_shield(false);
    pg_mfree(own);
}

static pg_err node_main(void *arg)
{
    sim_node *self = arg;
    life *own = PG_NEW(life);
    CHECK(own != NULL);
    pg_err err = life_begin(own, self);
    while (err == PG_OK && !self->stop) {
        if (self->task != NULL && !self->task_done) {
            self->task_err = self->task(self);
            (void) snprintf(self->task_text, sizeof(self->task_text), "%s",
                            pg_error_detail(self->task_err));
            self->task_done = true;
        }
        err = pg_sleep_until(pg_after(self->world->is_long ? PG_MINUTES(1) : PG_MS(20)));
    }
    CHECK(err == PG_OK || err == PG_ERR_CANCELLED);
    life_end(own);
    return err;
}

static void node_start(sim_node *self)
{
    self->stop = false;
    self->task = NULL;
    CHECK_OK(pg_sim_machine_start(self->machine, "sim.node", node_main, self));
    while (!self->is_up) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    }
}

static void node_crash(sim_node *self)
{
    self->is_up = false;
    pg_sim_machine_crash(self->machine);
}

static void nodes_make_with(sim_world *world, size_t first_up, uint64_t ttl_ms)
{
    memset(world, 0, sizeof(*world));
    world->ttl_ms = ttl_ms;
    for (size_t i = 0; i < NODES; i++) {
        sim_node *self = &world->nodes[i];
        self->world = world;
        self->number = i;
        memset(&self->seeds, (int) i + 1, sizeof(self->seeds));
        CHECK_OK(pg_sim_machine_new(&self->machine));
        if (i < first_up) {
            node_start(self);
        }
    }
}

static void nodes_make(sim_world *world, size_t first_up)
{
    nodes_make_with(world, first_up, 0);
}

static void nodes_stop(sim_world *world)
{
    for (size_t i = 0; i < NODES; i++) {
        world->nodes[i].stop = true;
    }
    for (size_t i = 0; i < NODES; i++) {
        if (world->nodes[i].is_up) {
            CHECK_OK(pg_sim_machine_join(world->nodes[i].machine, pg_after(PG_MINUTES(2))));
        }
    }
}

static void connections_count(const pg_host_conn *conn, void *user)
{
    *(size_t *) user += conn->is_identified ? 1 : 0;
}

// Wait until everybody who is up knows everybody who is up.
static void nodes_meet(sim_world *world)
{
    size_t up = 0;
    for (size_t i = 0; i < NODES; i++) {
        up += world->nodes[i].is_up ? 1 : 0;
    }
    pg_time deadline = pg_after(PG_MINUTES(5));
    for (size_t i = 0; i < NODES; i++) {
        size_t known = 0;
        while (world->nodes[i].is_up && known < up - 1) {
            CHECK(pg_now() < deadline);
            CHECK_OK(pg_sleep_until(pg_after(PG_MS(50))));
            known = 0;
            pg_host_conns_each(world->nodes[i].host, connections_count, &known);
        }
    }
}

static void task_begin(sim_node *self, pg_err (*task)(sim_node *), sim_file *file)
{
    self->file = file;
    self->task_done = false;
    self->task = task;
}

static pg_err task_end(sim_node *self, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    while (!self->task_done && pg_now() < deadline) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
    return self->task_done ? self->task_err : PG_ERR_TIMEOUT;
}

// ---- Files

static uint8_t byte_at(uint64_t content, size_t at)
{
    uint64_t word = (content + at / 8) * UINT64_C(0x9e3779b97f4a7c15);
    word ^= word >> 29;
    word *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint8_t) (word >> (8 * (at % 8)));
}

/** A place in the bytes of a file, for reading and for comparing. */
typedef struct cursor {
    const sim_file *file;
    size_t at;
} cursor;

static pg_err on_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    cursor *self = user;
    size_t len = pg_min_size(space.len, self->file->size - self->at);
    for (size_t i = 0; i < len; i++) {
        space.ptr[i] = byte_at(self->file->content, self->at + i);
    }
    self->at += len;
    *out_len = len;
    return PG_OK;
}

static pg_err on_write(pg_bytes bytes, void *user)
{
    cursor *self = user;
    CHECK(self->at + bytes.len <= self->file->size);
    for (size_t i = 0; i < bytes.len; i++) {
        CHECK(bytes.ptr[i] == byte_at(self->file->content, self->at + i));
    }
    self->at += bytes.len;
    return PG_OK;
}

static void entry_take(sim_file *file, const pg_file_entry *entry)
{
    file->link = entry->link;
    file->state = entry->state;
    file->survives = entry->survives;
    file->expiry_s = entry->expiry_s;
    CHECK(entry->host_count <= HOSTS_MAX);
    file->host_count = entry->host_count;
    for (size_t i = 0; i < entry->host_count; i++) {
        file->hosts[i] = entry->hosts[i].peer;
    }
}

static pg_err put_task(sim_node *self)
{
    cursor at = {self->file, 0};
    const pg_files_source source = {on_read, &at};
    const pg_put_options options = {
        .name = PG_BYTES_LIT("a file"),
        .code = PG_CODE_DEFAULT,
        .total_bytes = self->file->size,
    };
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    CHECK(entry != NULL);
    pg_err err = pg_files_put(self->storage->files, &options, &source, entry);
    if (err == PG_OK) {
        entry_take(self->file, entry);
        pg_file_entry_deinit(entry);
    }
    pg_mfree(entry);
    return err;
}

static pg_err find_task(sim_node *self)
{
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    CHECK(entry != NULL);
    pg_err err = pg_files_find(self->storage->files, &self->file->link.root, entry);
    if (err == PG_OK) {
        entry_take(self->file, entry);
        pg_file_entry_deinit(entry);
    }
    pg_mfree(entry);
    return err;
}

static pg_err get_task(sim_node *self)
{
    cursor at = {self->file, 0};
    const pg_files_output output = {.write = on_write, .user = &at};
    const pg_get_options options = {.start = 0};
    PG_TRY(pg_files_get(self->storage->files, &self->file->link, &options, &output, &self->report));
    CHECK(at.at == self->file->size);
    return PG_OK;
}

static pg_err on_block(const pg_cid *cid, uint32_t len, void *user)
{
    sim_node *self = user;
    (void) len;
    PG_TRY(pg_block_store_delete(self->storage->blocks, cid));
    pg_place_server_lost(self->storage->place, cid);
    return PG_OK;
}

// Lose every block, as a disk that forgets does.
static pg_err lose_task(sim_node *self)
{
    return pg_block_store_walk(self->storage->blocks, on_block, self);
}

static pg_err remove_task(sim_node *self)
{
    uint32_t dropped = 0;
    uint32_t hosts = 0;
    PG_TRY(pg_files_remove(self->storage->files, &self->file->link.root, &dropped, &hosts));
    CHECK(dropped <= hosts && hosts > 0);
    return PG_OK;
}

static void on_list(const pg_file_entry *entry, void *user)
{
    (void) entry;
    ++*(size_t *) user;
}

static pg_err list_task(sim_node *self)
{
    size_t count = 0;
    PG_TRY(pg_files_list(self->storage->files, on_list, &count));
    self->lease_count = count;
    return PG_OK;
}

static void run(sim_node *self, pg_err (*task)(sim_node *), sim_file *file)
{
    task_begin(self, task, file);
    pg_err err = task_end(self, PG_MINUTES(10));
    if (err != PG_OK) {
        (void) fprintf(stderr, "node %zu: %s: %s\n", self->number, pg_err_name(err),
                       self->task_text);
    }
    CHECK_OK(err);
}

static sim_node *node_of(sim_world *world, const pg_peer_id *id)
{
    for (size_t i = 0; i < NODES; i++) {
        if (pg_peer_id_equal(&world->nodes[i].id, id)) {
            return &world->nodes[i];
        }
    }
    return NULL;
}

/** Crash `count` hosts of a file, chosen by the seed. */
static void hosts_crash(sim_world *world, const sim_file *file, size_t count)
{
    size_t first = (size_t) pg_sim_random_below(file->host_count);
    for (size_t i = 0; i < count; i++) {
        sim_node *host = node_of(world, &file->hosts[(first + i * 3) % file->host_count]);
        CHECK(host != NULL && host->number != READER);
        if (host->is_up) {
            node_crash(host);
        }
    }
}

static uint64_t leases_of(const sim_world *world)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < NODES; i++) {
        if (world->nodes[i].is_up) {
            sum += pg_place_server_get_stats(world->nodes[i].storage->place).leases;
        }
    }
    return sum;
}

// ---- Scripts

// The main job: put, two hosts and the uploader die, a node that never saw the file gives it back.
static pg_err outlives_script(void *arg)
{
    static const size_t sizes[] = {0, 1, 20000, 32768, 32769, 300000, 3000000};
    sim_world *world = arg;
    nodes_make(world, NODES);
    nodes_meet(world);
    sim_file files[PG_ARRAY_LEN(sizes)];
    for (size_t i = 0; i < PG_ARRAY_LEN(sizes); i++) {
        files[i] = (sim_file){.content = i * 1000 + 7, .size = sizes[i]};
        run(&world->nodes[0], put_task, &files[i]);
        CHECK(files[i].state == PG_FILE_STATE_COMPLETE);
        CHECK(files[i].host_count == (sizes[i] <= 32768 ? 4U : 10U));
        CHECK(files[i].survives >= 2);
    }
    size_t chosen = (size_t) pg_sim_random_below(PG_ARRAY_LEN(sizes));
    hosts_crash(world, &files[chosen], 2);
    if (world->nodes[0].is_up) {
        node_crash(&world->nodes[0]);
    }
    run(&world->nodes[READER], get_task, &files[chosen]);
    nodes_stop(world);
    return PG_OK;
}

// Hosts crash while a file is put: it is put all the same, or it fails and the next try works.
static pg_err crashes_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 99, .size = 2000000};
    nodes_make(world, NODES);
    nodes_meet(world);
    task_begin(&world->nodes[0], put_task, &file);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(400)))));
        sim_node *victim = &world->nodes[1 + pg_sim_random_below(NODES - 2)];
        if (victim->is_up) {
            node_crash(victim);
        }
    }
    pg_err err = task_end(&world->nodes[0], PG_MINUTES(10));
    CHECK(err == PG_OK); // two of ten may go at any time
    CHECK(file.state != PG_FILE_STATE_PENDING);
    node_crash(&world->nodes[0]);
    run(&world->nodes[READER], get_task, &file);
    nodes_stop(world);
    return PG_OK;
}

// The uploader crashes while it puts: after its restart there is no such file, and hosts have dropped what was promised.
static pg_err uploader_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 5, .size = 2000000};
    sim_file other = {.content = 6, .size = 100000};
    nodes_make(world, NODES);
    nodes_meet(world);
    run(&world->nodes[0], put_task, &other);
    uint64_t leases = leases_of(world);
    task_begin(&world->nodes[0], put_task, &file);
    CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(800)))));
    bool is_done = world->nodes[0].task_done;
    node_crash(&world->nodes[0]);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
    node_start(&world->nodes[0]);
    nodes_meet(world);
    run(&world->nodes[0], list_task, NULL);
    if (is_done) {
        CHECK(world->nodes[0].lease_count == 2);
        run(&world->nodes[READER], get_task, &file);
    } else if (world->nodes[0].lease_count == 1) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(4)))); // time to tell the hosts
        CHECK(leases_of(world) == leases);
    }
    run(&world->nodes[READER], get_task, &other);
    nodes_stop(world);
    return PG_OK;
}

// Nobody there: the file waits here, also over a crash, and goes out when hosts appear; with few hosts it spreads as more come.
static pg_err pending_script(void *arg)
{
    sim_world *world = arg;
    sim_file files[2] = {{.content = 11, .size = 900000}, {.content = 12, .size = 900}};
    nodes_make(world, 1);
    for (size_t i = 0; i < 2; i++) {
        run(&world->nodes[0], put_task, &files[i]);
        CHECK(files[i].state == PG_FILE_STATE_PENDING && files[i].survives == 0);
    }
    node_crash(&world->nodes[0]);
    node_start(&world->nodes[0]);
    run(&world->nodes[0], get_task, &files[0]);
    for (size_t i = 1; i < 4; i++) {
        node_start(&world->nodes[i]);
    }
    nodes_meet(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(3))));
    run(&world->nodes[0], find_task, &files[0]);
    CHECK(files[0].state == PG_FILE_STATE_PARTIAL && files[0].host_count == 3);
    for (size_t i = 4; i < NODES; i++) {
        node_start(&world->nodes[i]);
    }
    nodes_meet(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(10))));
    for (size_t i = 0; i < 2; i++) {
        run(&world->nodes[0], find_task, &files[i]);
        CHECK(files[i].state == PG_FILE_STATE_COMPLETE && files[i].survives >= 2);
    }
    CHECK(pg_block_store_stats_get(world->nodes[0].storage->blocks).blocks == 0);
    hosts_crash(world, &files[0], 2);
    node_crash(&world->nodes[0]);
    run(&world->nodes[READER], get_task, &files[0]);
    nodes_stop(world);
    return PG_OK;
}

// What was removed is dropped by the hosts, at once or when they are back.
static pg_err remove_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 3, .size = 500000};
    nodes_make(world, NODES);
    nodes_meet(world);
    run(&world->nodes[0], put_task, &file);
    CHECK(leases_of(world) == 10);
    sim_node *away = node_of(world, &file.hosts[4]);
    node_crash(away);
    run(&world->nodes[0], remove_task, &file);
    CHECK(leases_of(world) == 0);
    node_start(away);
    CHECK(leases_of(world) == 1);
    nodes_meet(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(4))));
    CHECK(leases_of(world) == 0);
    for (size_t i = 0; i < NODES; i++) {
        CHECK(pg_block_store_stats_get(world->nodes[i].storage->blocks).blocks == 0);
    }
    task_begin(&world->nodes[READER], get_task, &file);
    CHECK(task_end(&world->nodes[READER], PG_MINUTES(5)) == PG_ERR_NOT_FOUND);
    nodes_stop(world);
    return PG_OK;
}

// Bad disks under two hosts: what they give is found wrong, and others are asked.
static pg_err disks_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 77, .size = 3000000};
    nodes_make(world, NODES);
    nodes_meet(world);
    run(&world->nodes[0], put_task, &file);
    const pg_sim_disk_faults faults = {.read_flip_ppm = 300000};
    for (size_t i = 0; i < 2; i++) {
        pg_sim_machine_disk(node_of(world, &file.hosts[i])->machine, &faults);
    }
    node_crash(&world->nodes[0]);
    run(&world->nodes[READER], get_task, &file);
    for (size_t i = 0; i < NODES; i++) {
        pg_sim_machine_disk(world->nodes[i].machine, &(pg_sim_disk_faults){.free_bytes = 0});
    }
    nodes_stop(world);
    return PG_OK;
}

// Cut off from two hosts, silently: the get does not wait for them for ever.
static pg_err partition_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 42, .size = 3000000};
    nodes_make(world, NODES);
    nodes_meet(world);
    run(&world->nodes[0], put_task, &file);
    for (size_t i = 0; i < 2; i++) {
        pg_sim_partition(world->nodes[READER].machine, node_of(world, &file.hosts[i])->machine,
                         true);
    }
    pg_time before = pg_now();
    run(&world->nodes[READER], get_task, &file);
    CHECK(pg_now() - before < PG_SECONDS(60));
    nodes_stop(world);
    return PG_OK;
}

// What passed through is kept and given on: with all hosts gone, the nodes that read the file have it.
static pg_err seeds_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 21, .size = 200000};
    nodes_make(world, NODES);
    nodes_meet(world);
    run(&world->nodes[0], put_task, &file);
    run(&world->nodes[READER], get_task, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
    for (size_t i = 0; i < file.host_count; i++) {
        node_crash(node_of(world, &file.hosts[i]));
    }
    node_crash(&world->nodes[0]);
    run(&world->nodes[READER], get_task, &file);
    CHECK(world->nodes[READER].report.shards_fetched == 0);
    for (size_t i = 1; i < READER; i++) { // one that is no host and never saw it
        if (world->nodes[i].is_up) {
            run(&world->nodes[i], get_task, &file);
        }
    }
    nodes_stop(world);
    return PG_OK;
}

// A host is gone for good, another has lost its disk: their slots are rebuilt elsewhere, and the leases are renewed meanwhile.
static pg_err repair_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 31, .size = 400000};
    sim_file small = {.content = 32, .size = 4000};
    nodes_make_with(world, NODES, (uint64_t) 12 * 3600 * 1000);
    nodes_meet(world);
    run(&world->nodes[0], put_task, &file);
    run(&world->nodes[0], put_task, &small);
    const pg_peer_id gone = file.hosts[1];
    const pg_peer_id robbed = file.hosts[2];
    node_crash(node_of(world, &gone));
    run(node_of(world, &robbed), lose_task, NULL);
    world->is_long = true;
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(27))));
    world->is_long = false;
    run(&world->nodes[0], find_task, &file);
    CHECK(file.state == PG_FILE_STATE_COMPLETE && file.survives == 2 && file.host_count == 10);
    for (size_t i = 0; i < file.host_count; i++) {
        CHECK(!pg_peer_id_equal(&file.hosts[i], &gone));
    }
    CHECK(file.expiry_s > (uint64_t) pg_wall_ms() / 1000 + (uint64_t) 5 * 3600);
    hosts_crash(world, &file, 2);
    node_crash(&world->nodes[0]);
    run(&world->nodes[READER], get_task, &file);
    nodes_stop(world);
    return PG_OK;
}

static void on_log(const pg_log_line *line, void *user)
{
    (void) user;
    (void) fprintf(stderr, "%10.3f %s", (double) pg_now() / 1e9, line->event);
    for (size_t i = 0; i < line->field_count; i++) {
        const pg_log_field *field = &line->fields[i];
        if (field->type == PG_LOG_TYPE_STR) {
            (void) fprintf(stderr, " %s=%s", field->name, field->str == NULL ? "" : field->str);
        } else {
            (void) fprintf(stderr, " %s=%llu", field->name, (unsigned long long) field->u64);
        }
    }
    (void) fprintf(stderr, "\n");
}

static void seeds_run(pg_fiber_fn script, uint64_t seeds)
{
    static sim_world world;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(5), .jitter_ns = PG_MS(2), .loss_ppm = 5000},
        .events_max = 50000000,
    };
    sim_seeds(&config, seeds, script, &world);
}

static void test_files__hosts_and_uploader_die__given_back(void **state)
{
    (void) state;
    seeds_run(outlives_script, 4);
}

static void test_files__hosts_crash_while_put__put_all_the_same(void **state)
{
    (void) state;
    seeds_run(crashes_script, 10);
}

static void test_files__uploader_crashes_while_putting__nothing_is_left(void **state)
{
    (void) state;
    seeds_run(uploader_script, 6);
}

static void test_files__no_hosts_or_few__waits_and_spreads(void **state)
{
    (void) state;
    seeds_run(pending_script, 2);
}

static void test_files__removed__dropped_by_all_hosts(void **state)
{
    (void) state;
    seeds_run(remove_script, 2);
}

static void test_files__bad_disks_of_two_hosts__given_back(void **state)
{
    (void) state;
    seeds_run(disks_script, 3);
}

static void test_files__cut_off_from_two_hosts__given_back_in_time(void **state)
{
    (void) state;
    seeds_run(partition_script, 2);
}

static void test_files__all_hosts_gone__given_back_by_who_read_it(void **state)
{
    (void) state;
    seeds_run(seeds_script, 2);
}

static void test_files__host_gone_and_disk_lost__rebuilt_elsewhere_and_renewed(void **state)
{
    (void) state;
    seeds_run(repair_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    if (getenv("PG_SIM_LOG") != NULL) {
        pg_log_set_sink(on_log, NULL, PG_LOG_LEVEL_DEBUG);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files__hosts_and_uploader_die__given_back),
        cmocka_unit_test(test_files__hosts_crash_while_put__put_all_the_same),
        cmocka_unit_test(test_files__uploader_crashes_while_putting__nothing_is_left),
        cmocka_unit_test(test_files__no_hosts_or_few__waits_and_spreads),
        cmocka_unit_test(test_files__removed__dropped_by_all_hosts),
        cmocka_unit_test(test_files__bad_disks_of_two_hosts__given_back),
        cmocka_unit_test(test_files__cut_off_from_two_hosts__given_back_in_time),
        cmocka_unit_test(test_files__all_hosts_gone__given_back_by_who_read_it),
        cmocka_unit_test(test_files__host_gone_and_disk_lost__rebuilt_elsewhere_and_renewed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
