// SPDX-License-Identifier: Apache-2.0
#include "node/node.h"

#include <string.h>

#include "api/door.h"
#include "api/routes.h"
#include "api/telemetry.h"
#include "api/trace_export.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/echo.h"
#include "net/host.h"
#include "net/perf.h"
#include "net/pnet.h"
#include "node/data.h"
#include "node/discovery.h"
#include "node/finder.h"
#include "node/memory.h"
#include "node/storage.h"
#include "node/supervision.h"
#include "node/token.h"
#include "runtime/fiber.h"
#include "runtime/process.h"

#define SOCKET_NAME "api.sock"
#define FLUSH_SECONDS 10  // for what changed lately to be published
#define RELOAD_SECONDS 30 // for another reload to end

/** All that runs, in the order it is built. */
typedef struct node {
    const pg_node_options *options;
    pg_data data;
    pg_config config;
    pg_keystore identity;
    pg_key network_key; // of the private network
    char *agent;
    pg_host *host;
    pg_discovery discovery;
    pg_storage storage;
    pg_finder *finder;
    pg_api_context context;
    pg_buf socket_path;
    char api_token[PG_API_TOKEN_CHARS + 1]; // of the TCP door
    pg_trace_export *traces;
    pg_telemetry *telemetry;
    pg_api *api;
    pg_supervision supervision;
    pg_memory memory;
    bool is_reloading;
    pg_waitq reloaded; // for who wants to reload meanwhile
} node;

// ---- configuration ----

static pg_err config_read(const char *path, bool is_named, pg_config *config)
{
    pg_buf text = {0};
    pg_err err = pg_file_load(path, PG_CONFIG_FILE_BYTES_MAX, &text);
    if (err == PG_ERR_NOT_FOUND && !is_named) {
        err = PG_OK;
    } else if (err == PG_OK) {
        err = pg_config_parse(config, pg_buf_bytes(&text), path);
    }
    pg_buf_deinit(&text);
    return err;
}

static pg_err config_fill(const pg_node_options *options, pg_config *config)
{
    pg_buf path = {0};
    pg_err err = PG_OK;
    if (options->config_file != NULL) {
        err = config_read(options->config_file, true, config);
    } else {
        err = pg_data_name(options->data, PG_CONFIG_NAME, &path);
        if (err == PG_OK) {
            err = config_read((const char *) path.ptr, false, config);
        }
    }
    pg_buf_deinit(&path);
    for (size_t i = 0; i < options->setting_count && err == PG_OK; i++) {
        err = pg_config_set_pair(config, pg_str_make(options->settings[i]));
    }
    return err;
}

pg_err pg_node_configure(const pg_node_options *options, pg_config *out_config)
{
    pg_config config;
    PG_TRY(pg_config_init(&config));
    pg_err err = config_fill(options, &config);
    if (err != PG_OK) {
        pg_config_deinit(&config);
        return err;
    }
    *out_config = config;
    return PG_OK;
}

static pg_host_config host_config_make(const node *self)
{
    const pg_config *config = &self->config;
    pg_host_config made = pg_host_config_default(&self->identity.device);
    made.agent = self->agent;
    made.pseudonyms = self->options->pseudonyms;
    made.require_pq = config->security_require_pq;
    made.network_key = config->net_swarm_key[0] != '\0' ? &self->network_key : NULL;
    made.limits = (pg_admission_limits){
        .connections = (uint32_t) config->limits_connections,
        .connections_per_peer = (uint32_t) config->limits_connections_per_peer,
        .connections_per_ip = (uint32_t) config->limits_connections_per_ip,
        .connections_per_subnet = (uint32_t) config->limits_connections_per_subnet,
        .accepts_per_ip = (uint32_t) config->limits_accepts_per_ip,
        .streams = (uint32_t) config->limits_streams,
        .streams_per_peer = (uint32_t) config->limits_streams_per_peer,
    };
    made.pending_max = (uint32_t) config->limits_pending;
    made.memory_max_bytes = (size_t) config->limits_memory_bytes;
    made.book_peers_max = (size_t) config->limits_book_peers;
    made.dial_timeout_ns = PG_MS(config->net_dial_timeout_ms);
    made.handshake_timeout_ns = PG_MS(config->net_handshake_timeout_ms);
    return made;
}

// ---- building ----

static pg_err identity_open(node *self)
{
    const pg_node_options *options = self->options;
    pg_err err = pg_identity_load(options->data, options->passphrase, &self->identity);
    if (err != PG_ERR_NOT_FOUND) {
        return err;
    }
    PG_TRY(pg_identity_make(options->data, options->passphrase, &self->identity));
    options->on_identity_made(options->data, options->user);
    return PG_OK;
}

static pg_err swarm_key_load(const char *path, pg_key *out_key)
{
    pg_buf text = {0};
    pg_err err = pg_file_load(path, PG_NET_SWARM_KEY_BYTES_MAX, &text);
    if (err == PG_OK) {
        err = pg_swarm_key_parse(pg_buf_bytes(&text), out_key);
        err = pg_error_wrap(err, "net.swarm_key: %s", path);
        pg_wipe(text.ptr, text.cap);
    }
    pg_buf_deinit(&text);
    return err;
}

// A name without a slash in front is one in the data directory, so that the directory can be moved.
static pg_err network_key_read(node *self)
{
    const char *name = self->config.net_swarm_key;
    pg_buf path = {0};
    if (name[0] == '\0') {
        return PG_OK;
    }
    pg_err err = name[0] == '/' ? pg_buf_printf(&path, "%s", name)
                                : pg_data_name(self->options->data, name, &path);
    if (err == PG_OK) {
        err = swarm_key_load((const char *) path.ptr, &self->network_key);
    }
    pg_buf_deinit(&path);
    return err;
}

static pg_err announce_set(node *self, const pg_config *config)
{
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    size_t count = pg_min_size(config->net_announce.count, PG_NET_ADVERTISED_MAX);
    for (size_t i = 0; i < count; i++) {
        PG_TRY(pg_multiaddr_parse(pg_str_make(config->net_announce.items[i]), &addrs[i]));
    }
    pg_host_announce(self->host, addrs, count);
    return PG_OK;
}

// A machine without IPv6 cannot listen on "any IPv6 address"; where another address is listened on, that is no failure.
static pg_err listen_start(node *self)
{
    size_t listening = 0;
    pg_err skipped = PG_OK;
    for (size_t i = 0; i < self->config.net_listen.count; i++) {
        const char *text = self->config.net_listen.items[i];
        pg_multiaddr addr;
        PG_TRY(pg_multiaddr_parse(pg_str_make(text), &addr));
        pg_err err = pg_host_listen(self->host, &addr);
        if (err == PG_ERR_UNREACHABLE &&
            pg_str_starts_with(pg_str_make(text), PG_STR("/ip6/::/"))) {
            skipped = err;
            continue;
        }
        PG_TRY(err);
        listening++;
    }
    return listening == 0 ? skipped : PG_OK;
}

static pg_err host_start(node *self)
{
    pg_buf agent = {0};
    PG_TRY(pg_buf_printf(&agent, "pangea/%s", self->options->version));
    self->agent = (char *) agent.ptr;
    PG_TRY(network_key_read(self));
    const pg_host_config config = host_config_make(self);
    PG_TRY(pg_host_new(&config, &self->host));
    PG_TRY(pg_perf_serve(self->host, &self->config.net_perf_bytes_max));
    if (self->config.net_echo) {
        PG_TRY(pg_echo_serve(self->host));
    }
    return announce_set(self, &self->config);
}

static void on_finding(const void *finder, pg_api_finding *out_finding)
{
    pg_finder_tell(finder, out_finding);
}

static pg_err on_api_reload(void *user, pg_api_setting_fn each, void *each_user);

static pg_err on_copy_database(void *keeper, pg_buf *out_path)
{
    node *self = keeper;
    return pg_storage_copy_database(&self->storage, self->options->data, &self->identity, out_path);
}

static pg_telemetry_rules telemetry_rules_make(const pg_config *config)
{
    return (pg_telemetry_rules){
        .is_enabled = config->telemetry_enabled,
        .url = config->telemetry_url,
        .interval_s = config->telemetry_interval_ms / 1000,
    };
}

static pg_err telemetry_start(node *self)
{
    const pg_telemetry_config config = {
        .db = self->storage.db,
        .version = self->options->version,
        .look = pg_api_telemetry_look,
        .user = &self->context,
        .rules = telemetry_rules_make(&self->config),
    };
    PG_TRY(pg_telemetry_new(&config, &self->telemetry));
    self->context.telemetry = self->telemetry;
    return PG_OK;
}

static pg_err api_start(node *self)
{
    PG_TRY(pg_data_name(self->options->data, SOCKET_NAME, &self->socket_path));
    self->context = (pg_api_context){
        .host = self->host,
        .dhts = &self->discovery.dhts,
        .person = &self->identity.person.peer_id,
        .network_key = self->config.net_swarm_key[0] != '\0' ? &self->network_key : NULL,
        .version = self->options->version,
        .is_view_only = pg_config_is_view_only(&self->config),
        .started_at = pg_now(),
        .is_ready = true,
        .files = self->storage.files,
        .bitswap = self->storage.bitswap,
        .place = self->storage.place,
        .blocks = self->storage.blocks,
        .health = self->storage.health,
        .guard = self->storage.guard,
        .vault = self->storage.vault,
        .archive = {self->config.archive_endpoint, self->config.archive_bucket,
                    self->config.archive_proxy},
        .copy_database = on_copy_database,
        .keeper = self,
        .db = self->storage.db,
        .finding = on_finding,
        .finder = self->finder,
        .reload = on_api_reload,
        .reloader = self,
    };
    if (self->config.trace_endpoint[0] != '\0') {
        PG_TRY(pg_error_wrap(
            pg_trace_export_new(self->config.trace_endpoint, self->options->version, &self->traces),
            "trace.endpoint"));
        self->context.traces = self->traces;
    }
    PG_TRY(pg_api_context_open(&self->context));
    PG_TRY(telemetry_start(self));
    const char *path = (const char *) self->socket_path.ptr;
    pg_endpoint tcp;
    pg_api_config config = {.socket_path = path, .tables = pg_api_tables, .user = &self->context};
    if (self->config.api_listen[0] != '\0') {
        PG_TRY(pg_error_wrap(pg_door_endpoint(pg_str_make(self->config.api_listen), &tcp),
                             "api.listen"));
        PG_TRY(pg_token_open(self->options->data, self->api_token));
        config.tcp = &tcp;
        config.token = pg_bytes_make(self->api_token, PG_API_TOKEN_CHARS);
    }
    return pg_error_wrap(pg_api_new(&config, &self->api), "local API at %s", path);
}

static pg_err ready_tell(node *self)
{
    pg_buf document = {0};
    const char *path = self->options->ready_file;
    const pg_endpoint tcp = pg_api_tcp(self->api);
    pg_err err =
        pg_api_ready_write(&self->context, (const char *) self->socket_path.ptr, &tcp, &document);
    if (err == PG_OK && path != NULL) {
        err = pg_error_wrap(pg_file_replace(path, pg_buf_bytes(&document), 0644), "ready file");
    }
    if (err == PG_OK) {
        self->options->on_ready(pg_buf_str(&document), self->options->user);
    }
    pg_buf_deinit(&document);
    return err;
}

static pg_err node_start(node *self)
{
    int none = 0; // from now on a signal waits for node_serve, instead of ending the process
    pg_ignore(pg_signal_wait(pg_now(), &none), "there is none yet");
    PG_TRY(pg_data_open(self->options->data, &self->data));
    PG_TRY(pg_node_configure(self->options, &self->config));
    PG_TRY(self->options->on_config(&self->config, self->options->user));
    PG_TRY(identity_open(self));
    PG_TRY(host_start(self));
    const pg_storage_parts parts = {
        .host = self->host,
        .dhts = &self->discovery.dhts,
        .identity = &self->identity,
        .is_restored = pg_identity_is_restored(self->options->data),
    };
    PG_TRY(pg_storage_open(&self->storage, self->options->data, &parts, &self->config));
    PG_TRY(listen_start(self)); // when all that peers may ask for is there
    PG_TRY(pg_discovery_start(&self->discovery, self->host, &self->config, self->storage.db));
    PG_TRY(pg_storage_watch(&self->storage, &parts, &self->config));
    const pg_finder_parts finder = {self->host, self->storage.db, &self->discovery.dhts,
                                    self->storage.files};
    PG_TRY(pg_finder_new(&finder, &self->config, &self->finder));
    PG_TRY(api_start(self));
    return ready_tell(self);
}

// ---- running ----

// What a reload did, for the log and for who asked.
typedef struct change_list {
    pg_api_setting_fn each; // NULL: nobody asked
    void *user;
    size_t taken;
    pg_buf fixed; // names, with commas between
} change_list;

static void on_change(const pg_config_key *key, bool is_taken, void *user)
{
    change_list *list = user;
    list->taken += is_taken;
    if (!is_taken) {
        pg_ignore(pg_buf_printf(&list->fixed, "%s%s", list->fixed.len == 0 ? "" : ",", key->name),
                  "the log names fewer, then");
    }
    if (list->each != NULL) {
        list->each(key->name, is_taken, list->user);
    }
}

// A bad file changes nothing. What may fail comes first, and what the owner may have written wrong before all.
static pg_err config_take(node *self, pg_config *fresh, change_list *list)
{
    PG_TRY(self->options->on_config(fresh, self->options->user));
    PG_TRY(pg_finder_reload(self->finder, fresh));
    PG_TRY(announce_set(self, fresh));
    PG_TRY(pg_discovery_reload(&self->discovery, fresh));
    pg_config_reload(&self->config, fresh, on_change, list);
    const pg_host_config config = host_config_make(self);
    pg_host_set_limits(self->host, &config);
    pg_storage_reload(&self->storage, &self->config);
    const pg_telemetry_rules rules = telemetry_rules_make(&self->config);
    return pg_telemetry_set_rules(self->telemetry, &rules);
}

static pg_err config_reread(node *self, change_list *list)
{
    pg_config fresh;
    PG_TRY(pg_node_configure(self->options, &fresh));
    pg_err err = config_take(self, &fresh, list);
    pg_config_deinit(&fresh);
    return err;
}

// One at a time: a signal and requests may come together.
static pg_err config_reload(node *self, pg_api_setting_fn each, void *user)
{
    change_list list = {.each = each, .user = user};
    while (self->is_reloading) {
        PG_TRY(pg_waitq_wait(&self->reloaded, pg_after(PG_SECONDS(RELOAD_SECONDS))));
    }
    self->is_reloading = true;
    pg_supervision_reloading(&self->supervision);
    pg_err err = config_reread(self, &list);
    if (err == PG_OK) {
        pg_log(PG_LOG_LEVEL_INFO, "node.config.reread", PG_LOG_U64("changed", list.taken),
               PG_LOG_STR("needs_restart", (const char *) list.fixed.ptr));
    } else {
        pg_log(PG_LOG_LEVEL_ERROR, "node.config.refused", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_STR("detail", pg_error_detail(err)));
    }
    pg_buf_deinit(&list.fixed);
    pg_supervision_ready(&self->supervision);
    self->is_reloading = false;
    pg_waitq_wake_all(&self->reloaded);
    return err;
}

static pg_err on_api_reload(void *user, pg_api_setting_fn each, void *each_user)
{
    return config_reload(user, each, each_user);
}

static pg_err on_status(const void *user, pg_buf *out)
{
    const node *self = user;
    const pg_host_stats host = pg_host_get_stats(self->host);
    const pg_block_store_stats store = pg_block_store_stats_get(self->storage.blocks);
    return pg_buf_printf(out, "%u peers, %llu files put, %llu MiB of blocks", host.peers,
                         (unsigned long long) pg_files_get_stats(self->storage.files).files,
                         (unsigned long long) store.used_bytes >> 20);
}

static pg_err node_serve(node *self)
{
    for (;;) {
        int signal_number = 0;
        PG_TRY(pg_signal_wait(PG_FOREVER, &signal_number));
        if (signal_number != PG_SIGNAL_HANGUP) {
            return PG_OK;
        }
        pg_ignore(config_reload(self, NULL, NULL), "the log says why; the node goes on as it was");
    }
}

// ---- stopping ----

static pg_err drain_run(void *arg)
{
    node *self = arg;
    pg_host_close(self->host, pg_after(PG_MS(self->config.net_drain_timeout_ms)));
    return PG_OK;
}

static pg_err impatience_run(void *arg)
{
    int signal_number = PG_SIGNAL_HANGUP;
    while (signal_number == PG_SIGNAL_HANGUP) {
        PG_TRY(pg_signal_wait(PG_FOREVER, &signal_number));
    }
    pg_scope_cancel(arg);
    return PG_OK;
}

// Let something finish, until its deadline or a second signal.
static void until_impatient(node *self, pg_fiber_fn run)
{
    pg_scope end;
    pg_scope signals;
    pg_scope_init_tolerant(&end);
    pg_scope_init_tolerant(&signals);
    if (pg_scope_spawn(&end, "node.end", run, self) == PG_OK) {
        pg_ignore(pg_scope_spawn(&signals, "node.signals", impatience_run, &end),
                  "then only the deadline ends it");
        pg_ignore(pg_scope_join(&end), "the host is freed next, done or not");
    }
    pg_scope_close(&signals);
}

// What changed in the last minute goes to the hosts while they can still be reached; the next start does it otherwise.
static pg_err flush_run(void *arg)
{
    node *self = arg;
    pg_files_flush(self->storage.files, pg_after(PG_SECONDS(FLUSH_SECONDS)));
    return PG_OK;
}

static void node_stop(node *self)
{
    self->context.is_ready = false;
    pg_vault_end(self->storage.vault); // what waits for it is to end soon
    if (self->host != NULL && self->api != NULL) {
        until_impatient(self, flush_run);
    }
    self->context.finding = NULL;
    pg_finder_free(&self->finder);
    if (self->host != NULL && self->api != NULL) {
        until_impatient(self, drain_run);
    }
    pg_api_free(&self->api);
    pg_telemetry_free(&self->telemetry);
    pg_api_context_close(&self->context);
    pg_wipe(self->api_token, sizeof(self->api_token));
    pg_trace_export_free(&self->traces);
    pg_supervision_end(&self->supervision); // which asks the parts below
    pg_discovery_save(&self->discovery);
    pg_storage_close(&self->storage);
    pg_discovery_stop(&self->discovery);
    pg_host_free(&self->host);
    pg_keystore_deinit(&self->identity);
    pg_key_wipe(&self->network_key);
    pg_mfree(self->agent);
    pg_buf_deinit(&self->socket_path);
    pg_config_deinit(&self->config);
    if (self->options->ready_file != NULL && self->data.lock != NULL) {
        pg_ignore(pg_path_remove(self->options->ready_file), "it may never have been written");
    }
    pg_data_close(&self->data);
}

pg_err pg_node_run(const pg_node_options *options)
{
    node *self = PG_NEW(node);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->options = options;
    pg_waitq_init(&self->reloaded);
    pg_memory_start(&self->memory);
    pg_err err = node_start(self);
    if (err == PG_OK) {
        pg_log(PG_LOG_LEVEL_INFO, "node.ready", PG_LOG_STR("version", options->version));
        pg_supervision_start(&self->supervision, on_status, self);
        err = node_serve(self);
        pg_supervision_stopping(&self->supervision);
        pg_log(PG_LOG_LEVEL_INFO, "node.stopping");
    }
    const pg_error_record kept = pg_error_keep();
    pg_fiber_shield(true);
    node_stop(self);
    pg_memory_end(&self->memory);
    pg_fiber_shield(false);
    pg_mfree(self);
    return pg_error_again(&kept, err);
}
