// SPDX-License-Identifier: Apache-2.0
#include "files_world.h"

#include "base/log.h"
#include "base/mem.h"
#include "node/config.h"
#include "node/discovery.h"
#include "runtime/file.h"
#include "runtime/random.h"

// ---- A node

/** What one start of a machine owns: a crashed one ends as a ghost, when the next may run already. */
typedef struct life {
    pg_keystore identity;
    pg_config config;
    pg_host *host;
    pg_discovery discovery;
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
    own->config.storage_quota_bytes =
        self->world->quota_bytes != 0 ? self->world->quota_bytes : 64 << 20;
    own->config.storage_cache_bytes = 4 << 20;
    if (self->world->ttl_ms != 0) {
        own->config.storage_ttl_ms = self->world->ttl_ms;
    }
    if (self->world->patience_s != 0) {
        own->config.repair_patience_ms = self->world->patience_s * 1000;
    }
    if (self->world->audit_s != 0) {
        own->config.audit_interval_ms = self->world->audit_s * 1000;
    }
    if (self->world->cold_s != 0) {
        own->config.archive_cold_after_ms = self->world->cold_s * 1000;
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
    own->config.dht_allow_private = true;
    own->config.dht_enabled = self->world->has_dht;
    const pg_storage_parts parts = {own->host, &own->discovery.dhts, &own->identity,
                                    self->is_restored, self->world->objects[self->number]};
    PG_TRY(pg_storage_open(&own->storage, "/data", &parts, &own->config));
    PG_TRY(pg_host_listen(own->host, &listen));
    PG_TRY(pg_discovery_start(&own->discovery, own->host, &own->config, own->storage.db));
    PG_TRY(pg_scope_spawn(&own->mesh, "sim.mesh", mesh_run, own));
    self->host = own->host;
    self->storage = &own->storage;
    self->device = &own->identity.device;
    self->dhts = &own->discovery.dhts;
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
    pg_discovery_save(&own->discovery);
    pg_storage_close(&own->storage);
    pg_discovery_stop(&own->discovery);
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
        } else {
            err = pg_waitq_wait(&self->told, PG_FOREVER);
        }
    }
    CHECK(err == PG_OK || err == PG_ERR_CANCELLED);
    life_end(own);
    return err;
}

void sim_node_start(sim_node *self)
{
    self->stop = false;
    self->task = NULL;
    CHECK_OK(pg_sim_machine_start(self->machine, "sim.node", node_main, self));
    while (!self->is_up) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    }
}

void sim_node_crash(sim_node *self)
{
    self->is_up = false;
    pg_sim_machine_crash(self->machine);
}

void sim_nodes_make(sim_world *world, size_t first_up)
{
    sim_nodes_make_with(world, first_up, 0);
}

void sim_nodes_make_with(sim_world *world, size_t first_up, uint64_t ttl_ms)
{
    sim_nodes_make_of(world, first_up, &(sim_world){.ttl_ms = ttl_ms});
}

void sim_nodes_make_of(sim_world *world, size_t first_up, const sim_world *like)
{
    const uint64_t ttl_ms = like->ttl_ms;
    const bool has_dht = like->has_dht;
    const uint64_t patience_s = like->patience_s;
    const uint64_t audit_s = like->audit_s;
    const uint64_t cold_s = like->cold_s;
    const pg_objects *objects[NODES];
    memcpy(objects, like->objects, sizeof(objects));
    const uint64_t quota_bytes = like->quota_bytes;
    memset(world, 0, sizeof(*world));
    world->cold_s = cold_s;
    memcpy(world->objects, objects, sizeof(objects));
    world->ttl_ms = ttl_ms;
    world->has_dht = has_dht;
    world->patience_s = patience_s;
    world->audit_s = audit_s;
    world->quota_bytes = quota_bytes;
    for (size_t i = 0; i < NODES; i++) {
        sim_node *self = &world->nodes[i];
        self->world = world;
        self->number = i;
        pg_waitq_init(&self->told);
        memset(&self->seeds, (int) i + 1, sizeof(self->seeds));
        CHECK_OK(pg_sim_machine_new(&self->machine));
        if (i < first_up) {
            sim_node_start(self);
        }
    }
}

void sim_nodes_stop(sim_world *world)
{
    for (size_t i = 0; i < NODES; i++) {
        world->nodes[i].stop = true;
        pg_waitq_wake_all(&world->nodes[i].told);
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
void sim_nodes_meet(sim_world *world)
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

void sim_task_begin(sim_node *self, pg_err (*task)(sim_node *), sim_file *file)
{
    self->file = file;
    self->task_done = false;
    self->task = task;
    pg_waitq_wake_all(&self->told);
}

pg_err sim_task_end(sim_node *self, int64_t within_ns)
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

void sim_content_fill(const sim_file *file, size_t at, pg_mut_bytes space)
{
    for (size_t i = 0; i < space.len; i++) {
        space.ptr[i] = byte_at(file->content, at + i);
    }
}

/** A place in the bytes of a file, for reading and for comparing. */
typedef struct cursor {
    const sim_file *file;
    size_t at;
} cursor;

static pg_err on_read(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user)
{
    (void) deadline;
    cursor *self = user;
    size_t len = pg_min_size(space.len, self->file->size - self->at);
    sim_content_fill(self->file, self->at, pg_mut_bytes_make(space.ptr, len));
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
        file->slots[i] = entry->hosts[i].slots;
    }
}

pg_err sim_put(sim_node *self)
{
    cursor at = {self->file, 0};
    const pg_files_source source = {on_read, &at};
    const pg_put_options options = {
        .name = PG_BYTES_LIT("a file"),
        .code = self->file->code.data == 0 ? PG_CODE_DEFAULT : self->file->code,
        .ttl_s = self->file->ttl_s,
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

pg_err sim_find(sim_node *self)
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

pg_err sim_get(sim_node *self)
{
    cursor at = {self->file, 0};
    const pg_files_output output = {.write = on_write, .user = &at};
    const pg_get_options options = {.start = 0};
    PG_TRY(pg_files_get(self->storage->files, &self->file->link, &options, &output, &self->report));
    CHECK(at.at == self->file->size);
    return PG_OK;
}

pg_err sim_pin(sim_node *self)
{
    pg_pin pin;
    const pg_pin_options options = {.progress = NULL};
    PG_TRY(pg_files_pin(self->storage->files, &self->file->link, &options, &pin));
    CHECK(pin.is_complete && pin.size_bytes == self->file->size && pin.kept_bytes > 0);
    pg_pin_deinit(&pin);
    return PG_OK;
}

pg_err sim_unpin(sim_node *self)
{
    return pg_files_unpin(self->storage->files, &self->file->link.root);
}

static void on_pin(const pg_pin *pin, void *user)
{
    sim_node *self = user;
    self->list_count += pin->is_complete ? 1 : 100;
}

pg_err sim_pins(sim_node *self)
{
    self->list_count = 0;
    return pg_files_pins(self->storage->files, on_pin, self);
}

static pg_err on_block(const pg_cid *cid, uint32_t len, void *user)
{
    sim_node *self = user;
    (void) len;
    PG_TRY(pg_block_store_delete(self->storage->blocks, cid));
    pg_place_server_lost(self->storage->place, cid);
    return PG_OK;
}

pg_err sim_lose(sim_node *self)
{
    return pg_block_store_walk(self->storage->blocks, on_block, self);
}

pg_err sim_remove(sim_node *self)
{
    uint32_t dropped = 0;
    uint32_t hosts = 0;
    PG_TRY(pg_files_remove(self->storage->files, &self->file->link.root, &dropped, &hosts));
    CHECK(dropped <= hosts && hosts > 0);
    return PG_OK;
}

// Pages of two, so that there are some.
static pg_err files_each(sim_node *self, void (*each)(const pg_file_entry *entry, void *user),
                         void *user)
{
    pg_file_page page = {.put_ms = INT64_MAX, .file = INT64_MAX, .max = 2};
    do {
        PG_TRY(pg_files_list(self->storage->files, &page, each, user));
    } while (page.has_more);
    return PG_OK;
}

static void on_newest(const pg_file_entry *entry, void *user)
{
    pg_cid *root = user;
    *root = root->len == 0 ? entry->link.root : *root;
}

pg_err sim_remove_newest(sim_node *self)
{
    pg_cid root = {.len = 0};
    uint32_t dropped = 0;
    uint32_t hosts = 0;
    PG_TRY(files_each(self, on_newest, &root));
    return pg_files_remove(self->storage->files, &root, &dropped, &hosts);
}

static void on_list(const pg_file_entry *entry, void *user)
{
    (void) entry;
    ++*(size_t *) user;
}

pg_err sim_list(sim_node *self)
{
    size_t count = 0;
    PG_TRY(files_each(self, on_list, &count));
    self->list_count = count;
    return PG_OK;
}

void sim_run(sim_node *self, pg_err (*task)(sim_node *), sim_file *file)
{
    sim_task_begin(self, task, file);
    pg_err err = sim_task_end(self, PG_MINUTES(10));
    if (err != PG_OK) {
        (void) fprintf(stderr, "node %zu: %s: %s\n", self->number, pg_err_name(err),
                       self->task_text);
    }
    CHECK_OK(err);
}

sim_node *sim_node_of(sim_world *world, const pg_peer_id *id)
{
    for (size_t i = 0; i < NODES; i++) {
        if (pg_peer_id_equal(&world->nodes[i].id, id)) {
            return &world->nodes[i];
        }
    }
    return NULL;
}

/** Crash `count` hosts of a file, chosen by the seed. */
void sim_hosts_crash(sim_world *world, const sim_file *file, size_t count)
{
    size_t first = (size_t) pg_sim_random_below(file->host_count);
    for (size_t i = 0; i < count; i++) {
        sim_node *host = sim_node_of(world, &file->hosts[(first + i * 3) % file->host_count]);
        CHECK(host != NULL && host->number != READER);
        if (host->is_up) {
            sim_node_crash(host);
        }
    }
}

uint64_t sim_leases(const sim_world *world)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < NODES; i++) {
        if (world->nodes[i].is_up) {
            sum += pg_place_server_get_stats(world->nodes[i].storage->place).leases;
        }
    }
    return sum;
}

// ---- The log

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

void sim_log_begin(void)
{
    if (getenv("PG_SIM_LOG") != NULL) {
        pg_log_set_sink(on_log, NULL, PG_LOG_LEVEL_DEBUG);
    }
}
