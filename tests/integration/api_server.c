// SPDX-License-Identifier: Apache-2.0
// The local API before a files service that does as it is told (tests/unit/api/fake_files.h): what test_api.py and test_openapi.py talk
// to. Two hosts on loopback, so that there is a peer. Runs until SIGTERM.
//
//      api_server FOLDER [bare]    FOLDER is there, and gets the socket; bare: a node without files
//
// It prints one JSON object: the ready document of a node and "token", "peer_addr", "peer_invite", "routes" (method, path and parameters of each). Beside the
// routes of the API it has
//
//      GET  /test/counters     what the fake was asked for
//      POST /test/publish      {"count", "kind"?}: that many events
//      POST /test/part         end the connection with the peer
//      POST /test/early        an answer that is written before the body is read
//      POST /test/short        a streamed answer that ends before its length
#include <stdio.h>
#include <string.h>

#include <json-c/json_tokener.h>

#include "api/door.h"
#include "api/fields.h"
#include "api/routes.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/multiaddr.h"
#include "crypto/identity.h"
#include "dht/pair.h"
#include "fake_files.h"
#include "net/invite.h"
#include "net/perf.h"
#include "runtime/process.h"
#include "runtime/random.h"
#include "runtime/runtime.h"

#define TOKEN "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

typedef struct fixture {
    const char *folder;
    bool is_bare;
    pg_identity identities[2];
    pg_host *hosts[2];
    pg_block_store *blocks;
    pg_db *db;
    pg_health *health;
    pg_telemetry *telemetry;
    pg_dht_validators validators;
    pg_dht_pair dhts[2]; // of each host: a local one
    pg_api_context context;
    pg_buf socket_path;
    pg_api *api;
} fixture;

static fixture self;

static const uint64_t perf_bytes_max = 1U << 20;

// ---- Routes of the test

static pg_err counters_get(const pg_api_request *request, json_object **out_body)
{
    (void) request;
    const fake_counters counters = fake_files_counters(self.context.files);
    *out_body = json_object_new_object();
    pg_field_add_u64(*out_body, "puts_running", counters.puts_running);
    pg_field_add_u64(*out_body, "gets_running", counters.gets_running);
    pg_field_add_u64(*out_body, "cancelled", counters.cancelled);
    pg_field_add_u64(*out_body, "bytes_in", counters.bytes_in);
    pg_field_add_u64(*out_body, "bytes_out", counters.bytes_out);
    return PG_OK;
}

static pg_err publish_post(const pg_api_request *request, json_object **out_body)
{
    uint64_t count = 0;
    (void) out_body;
    PG_TRY(pg_field_u64(request->body, "count", 100000, 1, &count));
    for (uint64_t i = 0; i < count; i++) {
        char data[64];
        (void) snprintf(data, sizeof(data), "{\"n\":%llu}", (unsigned long long) i);
        pg_events_publish(self.context.events, "test", pg_bytes_cstr(data));
    }
    return PG_OK;
}

static pg_err part_post(const pg_api_request *request, json_object **out_body)
{
    (void) request;
    (void) out_body;
    pg_host_disconnect(self.hosts[0], pg_host_id(self.hosts[1]));
    return PG_OK;
}

static pg_err early_post(const pg_api_request *request, json_object **out_body)
{
    (void) out_body;
    pg_api_answer(request->call, "text/plain", 5);
    return pg_api_write(request->call, PG_BYTES_LIT("early"));
}

static pg_err short_post(const pg_api_request *request, json_object **out_body)
{
    (void) out_body;
    pg_api_answer(request->call, "text/plain", 10);
    return pg_api_write(request->call, PG_BYTES_LIT("short"));
}

static const pg_api_route test_routes[] = {
    {.method = "GET", .path = "/test/counters", .handler = counters_get},
    {.method = "POST", .path = "/test/publish", .handler = publish_post},
    {.method = "POST", .path = "/test/part", .handler = part_post},
    {.method = "POST", .path = "/test/early", .handler = early_post, .streams = true},
    {.method = "POST", .path = "/test/short", .handler = short_post, .streams = true},
    {.path = NULL},
};

// ---- What a node would have

// Settings that changed the first time, and a file with a mistake afterwards.
static pg_err on_reload(void *reloader, pg_api_setting_fn each, void *user)
{
    bool *has_reloaded = reloader;
    if (*has_reloaded) {
        return pg_fail(PG_ERR_INVALID, "pangea.conf: line 3: a mistake");
    }
    *has_reloaded = true;
    each("log.level", true, user);
    each("net.listen", false, user);
    return PG_OK;
}

static bool has_reloaded;

static void on_log_line(const pg_log_line *line, void *user)
{
    (void) line;
    (void) user;
}

// ---- Beginning and end

static pg_err host_start(unsigned which)
{
    pg_key seed;
    pg_multiaddr addr;
    pg_key_random(&seed);
    PG_TRY(pg_identity_init(&self.identities[which], &seed));
    pg_host_config config = pg_host_config_default(&self.identities[which]);
    config.agent = "api-server/1";
    PG_TRY(pg_host_new(&config, &self.hosts[which]));
    PG_TRY(pg_perf_serve(self.hosts[which], &perf_bytes_max));
    PG_TRY(pg_multiaddr_parse(PG_STR("/ip4/127.0.0.1/tcp/0"), &addr));
    return pg_host_listen(self.hosts[which], &addr);
}

static pg_err dht_start(unsigned which)
{
    pg_dht_config config =
        pg_dht_config_default(self.hosts[which], PG_DHT_REALM_LOCAL, &self.validators);
    config.mode = PG_DHT_MODE_SERVER;
    return pg_dht_new(&config, &self.dhts[which].local);
}

static pg_err dhts_start(void)
{
    PG_TRY(pg_dht_validators_add(&self.validators, &pg_dht_validator_test));
    PG_TRY(dht_start(0));
    return dht_start(1);
}

static pg_err blocks_open(void)
{
    static const pg_key key;
    pg_buf path = {0};
    PG_TRY(pg_buf_printf(&path, "%s/blocks", self.folder));
    const pg_block_store_config config = {
        .dir = (const char *) path.ptr, .quota_bytes = 64U << 20, .key = &key};
    pg_err err = pg_block_store_open(&config, &self.blocks);
    pg_buf_deinit(&path);
    return err;
}

static pg_err database_open(void)
{
    static const pg_key key;
    const char *const steps[] = {pg_health_schema_1, pg_telemetry_schema_1};
    const pg_db_schema schema = {steps, 2};
    pg_buf path = {0};
    PG_TRY(pg_buf_printf(&path, "%s/db", self.folder));
    pg_err err = pg_db_open((const char *) path.ptr, &key, &schema, &self.db);
    pg_buf_deinit(&path);
    return err;
}

// A book with one host that failed an audit.
static pg_err health_open(void)
{
    const pg_health_config config = {.db = self.db};
    PG_TRY(pg_health_open(&config, &self.health));
    const pg_health_observation seen = {.peer = pg_host_id(self.hosts[1]),
                                        .kind = PG_HEALTH_AUDIT_FAILED,
                                        .evidence = PG_BYTES_LIT("signed")};
    pg_health_note(self.health, &seen);
    return PG_OK;
}

static pg_err on_telemetry_send(const char *url, pg_bytes document, void *user)
{
    (void) url;
    (void) document;
    (void) user;
    return PG_OK;
}

static pg_err telemetry_start(void)
{
    const pg_telemetry_config config = {
        .db = self.db,
        .version = "1.2.3",
        .look = pg_api_telemetry_look,
        .user = &self.context,
        .send = on_telemetry_send,
        .rules = {true, "https://collector.example/", 24 * 3600},
    };
    PG_TRY(pg_telemetry_new(&config, &self.telemetry));
    self.context.telemetry = self.telemetry;
    return PG_OK;
}

static pg_err on_copy_database(void *keeper, pg_buf *out_path)
{
    (void) keeper;
    return pg_buf_printf(out_path, "/copy");
}

static void on_finding(const void *finder, pg_api_finding *out_finding)
{
    (void) finder;
    *out_finding = (pg_api_finding){
        .manager = {.connected = 3, .dials = {1, 2, 3, 4}},
        .mdns = {.links = 1, .messages_bad = 1, .addrs_refused = 2},
        .bootstrap_peers = 2,
        .remembered = 5,
    };
}

static pg_err api_start(void)
{
    static const pg_api_route *tables[16] = {test_routes};
    const pg_endpoint tcp = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
    for (size_t i = 0; pg_api_tables[i] != NULL; i++) {
        tables[i + 1] = pg_api_tables[i];
    }
    self.context = (pg_api_context){
        .host = self.hosts[0],
        .person = pg_host_id(self.hosts[0]),
        .version = "test",
        .started_at = pg_now(),
        .is_ready = true,
        .dhts = &self.dhts[0],
    };
    if (!self.is_bare) {
        PG_TRY(blocks_open());
        PG_TRY(database_open());
        PG_TRY(dhts_start());
        PG_TRY(health_open());
        self.context.health = self.health;
        self.context.files = fake_files_new();
        self.context.bitswap = fake_bitswap();
        self.context.place = fake_place();
        self.context.blocks = self.blocks;
        self.context.db = self.db;
        self.context.guard = fake_guard();
        self.context.vault = fake_vault();
        self.context.archive.endpoint = "https://s3.example.org";
        self.context.archive.bucket = "pangea";
        self.context.archive.proxy = "";
        self.context.copy_database = on_copy_database;
        self.context.finding = on_finding;
        self.context.reload = on_reload;
        self.context.reloader = &has_reloaded;
    }
    PG_TRY(pg_api_context_open(&self.context));
    if (!self.is_bare) {
        PG_TRY(telemetry_start());
    }
    PG_TRY(pg_buf_printf(&self.socket_path, "%s/api.sock", self.folder));
    const pg_api_config config = {
        .socket_path = (const char *) self.socket_path.ptr,
        .tcp = &tcp,
        .token = PG_BYTES_LIT(TOKEN),
        .tables = tables,
        .user = &self.context,
    };
    return pg_api_new(&config, &self.api);
}

static json_object *routes_make(void)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; pg_api_tables[i] != NULL; i++) {
        for (const pg_api_route *route = pg_api_tables[i]; route->path != NULL; route++) {
            const char *query = route->query;
            json_object *told = json_object_new_array();
            (void) json_object_array_add(told, json_object_new_string(route->method));
            (void) json_object_array_add(told, json_object_new_string(route->path));
            (void) json_object_array_add(told,
                                         query == NULL ? NULL : json_object_new_string(query));
            (void) json_object_array_add(list, told);
        }
    }
    return list;
}

static pg_err invite_tell(json_object *ready, const pg_multiaddr *addr)
{
    char text[PG_INVITE_TEXT_BYTES];
    const pg_invite invite = {
        .peer = *pg_host_id(self.hosts[1]), .addrs = {*addr}, .addr_count = 1};
    PG_TRY(pg_invite_format(&invite, text));
    pg_field_add_text(ready, "peer_invite", text);
    return PG_OK;
}

static pg_err ready_tell(void)
{
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    char addr[PG_MULTIADDR_TEXT_BYTES];
    pg_buf text = {0};
    const pg_endpoint tcp = pg_api_tcp(self.api);
    PG_TRY(pg_api_ready_write(&self.context, (const char *) self.socket_path.ptr, &tcp, &text));
    json_object *ready = json_tokener_parse((const char *) text.ptr);
    pg_buf_deinit(&text);
    (void) pg_host_addrs(self.hosts[1], addrs);
    PG_TRY(invite_tell(ready, &addrs[0]));
    PG_TRY(pg_multiaddr_append(&addrs[0], PG_MULTIADDR_CODE_P2P,
                               pg_peer_id_bytes(pg_host_id(self.hosts[1]))));
    pg_multiaddr_format(&addrs[0], addr);
    pg_field_add_text(ready, "peer_addr", addr);
    pg_field_add_text(ready, "token", TOKEN);
    pg_field_add(ready, "routes", routes_make());
    (void) printf("%s\n", json_object_to_json_string_ext(ready, JSON_C_TO_STRING_PLAIN));
    (void) fflush(stdout);
    json_object_put(ready);
    return PG_OK;
}

static pg_err serve(void)
{
    int number = 0;
    pg_log_set_sink(on_log_line, NULL, PG_LOG_LEVEL_INFO);
    pg_ignore(pg_signal_wait(pg_now(), &number), "there is none yet");
    PG_TRY(host_start(0));
    PG_TRY(host_start(1));
    PG_TRY(api_start());
    PG_TRY(ready_tell());
    return pg_signal_wait(PG_FOREVER, &number);
}

static pg_err run(void *arg)
{
    (void) arg;
    pg_err err = serve();
    pg_api_free(&self.api);
    pg_telemetry_free(&self.telemetry);
    pg_api_context_close(&self.context);
    if (self.context.files != NULL) {
        fake_files_free(&self.context.files);
    }
    pg_health_close(&self.health);
    pg_block_store_close(&self.blocks);
    pg_db_close(&self.db);
    for (int i = 0; i < 2; i++) {
        pg_dht_pair_free(&self.dhts[i]);
        pg_host_free(&self.hosts[i]);
        pg_identity_deinit(&self.identities[i]);
    }
    pg_buf_deinit(&self.socket_path);
    return err;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void) fputs("usage: api_server FOLDER [bare]\n", stderr);
        return 2;
    }
    self.folder = argv[1];
    self.is_bare = argc > 2 && strcmp(argv[2], "bare") == 0;
    pg_err err = pg_runtime_run(NULL, run, NULL);
    if (err != PG_OK) {
        (void) fprintf(stderr, "%s: %s\n", pg_err_name(err), pg_error_detail(err));
    }
    return err == PG_OK ? 0 : 1;
}
