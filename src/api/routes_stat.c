// SPDX-License-Identifier: Apache-2.0
#include "api/fields.h"
#include "api/figures.h"
#include "api/limits.h"
#include "api/routes.h"

static json_object *store_make(const pg_block_store *blocks)
{
    if (blocks == NULL) {
        return NULL;
    }
    const pg_block_store_stats stats = pg_block_store_stats_get(blocks);
    json_object *object = json_object_new_object();
    pg_figures_add(PG_FIGURE_PART_STORE, &stats, object);
    return object;
}

static json_object *place_make(const pg_place_server *place)
{
    if (place == NULL) {
        return NULL;
    }
    const pg_place_stats stats = pg_place_server_get_stats(place);
    json_object *object = json_object_new_object();
    pg_figures_add(PG_FIGURE_PART_PLACE, &stats, object);
    return object;
}

static json_object *files_make(const pg_files *files)
{
    if (files == NULL) {
        return NULL;
    }
    const pg_files_stats stats = pg_files_get_stats(files);
    json_object *object = json_object_new_object();
    pg_figures_add(PG_FIGURE_PART_FILES, &stats, object);
    return object;
}

static json_object *catalogue_make(const pg_files *files)
{
    static const char *const phases[PG_CATALOGUE_PHASE_COUNT] = {
        [PG_CATALOGUE_PHASE_OFF] = "off",
        [PG_CATALOGUE_PHASE_EMPTY] = "empty",
        [PG_CATALOGUE_PHASE_RESTORING] = "restoring",
        [PG_CATALOGUE_PHASE_BEHIND] = "behind",
        [PG_CATALOGUE_PHASE_TOO_LARGE] = "too_large",
        [PG_CATALOGUE_PHASE_PUBLISHED] = "published",
    };
    if (files == NULL) {
        return NULL;
    }
    const pg_catalogue_status status = pg_files_catalogue_status(files);
    json_object *object = json_object_new_object();
    pg_field_add(object, "state", json_object_new_string(phases[status.phase]));
    pg_field_add_u64(object, "sequence", status.sequence);
    pg_field_add_u64(object, "published_s", status.published_s);
    pg_field_add_u64(object, "peers", status.peers);
    pg_field_add_u64(object, "looks", status.looks);
    pg_field_add_u64(object, "snapshots", status.snapshots);
    if (status.reason != NULL) {
        pg_field_add(object, "reason", json_object_new_string(status.reason));
    }
    return object;
}

static json_object *health_make(const pg_health *health)
{
    if (health == NULL) {
        return NULL;
    }
    const pg_health_stats stats = pg_health_get_stats(health);
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "peers", stats.peers);
    pg_field_add_u64(object, "barred", stats.barred);
    pg_field_add_u64(object, "observations_total", stats.observations_total);
    pg_field_add_u64(object, "self_observers", stats.self_observers);
    pg_field_add_u64(object, "self_score", stats.self_score);
    pg_field_add_bool(object, "self_low", stats.self_low != 0);
    pg_field_add_u64(object, "self_warnings_total", stats.self_warnings_total);
    pg_field_add_u64(object, "barred_total", stats.barred_total);
    pg_field_add_u64(object, "forecast_examples", stats.examples);
    pg_field_add_u64(object, "rounds_total", stats.rounds_total);
    pg_field_add_u64(object, "rounds_lost_total", stats.rounds_lost_total);
    return object;
}

static json_object *archive_make(const pg_vault *vault)
{
    if (vault == NULL) {
        return NULL;
    }
    const pg_vault_stats stats = pg_vault_get_stats(vault);
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "extents", stats.extents);
    pg_field_add_u64(object, "bytes", stats.bytes);
    pg_field_add_u64(object, "damaged", stats.damaged);
    pg_field_add_bool(object, "has_credentials", stats.has_credentials);
    pg_field_add_bool(object, "is_failing", stats.is_failing);
    pg_field_add_text(object, "failure", stats.failure);
    return object;
}

static json_object *bitswap_make(const pg_bitswap *bitswap)
{
    if (bitswap == NULL) {
        return NULL;
    }
    const pg_bitswap_stats stats = pg_bitswap_get_stats(bitswap);
    json_object *object = json_object_new_object();
    pg_figures_add(PG_FIGURE_PART_BITSWAP, &stats, object);
    return object;
}

// Returns false in a node that looks for nobody.
static bool finding_get(const pg_api_context *context, pg_figures_finding *out_finding)
{
    pg_api_finding finding = {.remembered = 0};
    if (context->finding == NULL) {
        return false;
    }
    context->finding(context->finder, &finding);
    *out_finding = (pg_figures_finding){
        .manager = finding.manager,
        .mdns = finding.mdns,
        .mdns_refused = finding.mdns.messages_bad + finding.mdns.messages_skipped +
                        finding.mdns.addrs_refused + finding.mdns.peers_refused,
        .bootstrap_peers = finding.bootstrap_peers,
        .bootstrap_good = finding.bootstrap_good,
        .remembered = finding.remembered,
    };
    for (size_t i = 0; i < PG_DIAL_REASON_COUNT; i++) {
        out_finding->dials += finding.manager.dials[i];
    }
    return true;
}

static json_object *finding_make(const pg_api_context *context)
{
    pg_figures_finding finding;
    if (!finding_get(context, &finding)) {
        return NULL;
    }
    json_object *object = json_object_new_object();
    pg_figures_add(PG_FIGURE_PART_FINDING, &finding, object);
    return object;
}

static pg_err stat_get(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    json_object *body = json_object_new_object();
    pg_field_add(body, "store", store_make(context->blocks));
    pg_field_add(body, "place", place_make(context->place));
    pg_field_add(body, "files", files_make(context->files));
    pg_field_add(body, "catalogue", catalogue_make(context->files));
    pg_field_add(body, "health", health_make(context->health));
    pg_field_add(body, "bitswap", bitswap_make(context->bitswap));
    pg_field_add(body, "archive", archive_make(context->vault));
    pg_field_add(body, "finding", finding_make(context));
    pg_field_add_text(body, "mode", context->is_view_only ? "view-only" : "full");
    pg_field_add_u64(body, "peers", pg_host_get_stats(context->host).peers);
    pg_field_add_ms(body, "uptime_ms", pg_now() - context->started_at);
    *out_body = body;
    return PG_OK;
}

// ---- Metrics

/** The structures that the figures of one answer are in. */
typedef struct figure_store {
    pg_figures figures;
    pg_host_stats host;
    pg_block_store_stats store;
    pg_place_stats place;
    pg_files_stats files;
    pg_bitswap_stats bitswap;
    pg_figures_finding finding;
    pg_dht_stats dhts[2];
    pg_health_stats health;
    pg_guard_stats repair;
    pg_vault_stats archive;
    pg_figures_api api;
    pg_figures_process process;
} figure_store;

// What every node has.
static void own_collect(figure_store *self, const pg_api_request *request)
{
    const pg_api_context *context = request->user;
    self->figures.version = context->version;
    self->host = pg_host_get_stats(context->host);
    self->figures.parts[PG_FIGURE_PART_HOST] = &self->host;
    self->api = (pg_figures_api){
        .server = pg_api_call_stats(request->call),
        .listeners = pg_events_listeners(context->events),
        .transfers = pg_transfers_running(&context->transfers),
        .traces = pg_trace_export_stats(context->traces),
        .telemetry = pg_telemetry_get_status(context->telemetry),
    };
    self->figures.parts[PG_FIGURE_PART_API] = &self->api;
    pg_machine_process_look(&self->process.machine);
    self->process.started_ms = context->started_ms;
    self->figures.parts[PG_FIGURE_PART_PROCESS] = &self->process;
    if (finding_get(context, &self->finding)) {
        self->figures.parts[PG_FIGURE_PART_FINDING] = &self->finding;
    }
}

static void dht_collect(figure_store *self, size_t which, const pg_dht *dht)
{
    if (dht != NULL) {
        self->dhts[which] = pg_dht_get_stats(dht);
        self->figures.dhts[which] = &self->dhts[which];
    }
}

static void parts_collect(figure_store *self, const pg_api_context *context)
{
    if (context->blocks != NULL) {
        self->store = pg_block_store_stats_get(context->blocks);
        self->figures.parts[PG_FIGURE_PART_STORE] = &self->store;
    }
    if (context->place != NULL) {
        self->place = pg_place_server_get_stats(context->place);
        self->figures.parts[PG_FIGURE_PART_PLACE] = &self->place;
    }
    if (context->files != NULL) {
        self->files = pg_files_get_stats(context->files);
        self->figures.parts[PG_FIGURE_PART_FILES] = &self->files;
    }
    if (context->bitswap != NULL) {
        self->bitswap = pg_bitswap_get_stats(context->bitswap);
        self->figures.parts[PG_FIGURE_PART_BITSWAP] = &self->bitswap;
    }
    if (context->health != NULL) {
        self->health = pg_health_get_stats(context->health);
        self->figures.parts[PG_FIGURE_PART_HEALTH] = &self->health;
    }
    if (context->guard != NULL) {
        self->repair = pg_guard_get_stats(context->guard);
        self->figures.parts[PG_FIGURE_PART_REPAIR] = &self->repair;
    }
    if (context->vault != NULL) {
        self->archive = pg_vault_get_stats(context->vault);
        self->figures.parts[PG_FIGURE_PART_ARCHIVE] = &self->archive;
    }
    dht_collect(self, 0, context->dhts->local);
    dht_collect(self, 1, context->dhts->global);
}

static pg_err metrics_get(const pg_api_request *request, json_object **out_body)
{
    figure_store store = {.figures.version = ""};
    pg_buf text = {.max_len = PG_API_METRICS_BYTES_MAX};
    (void) out_body;
    own_collect(&store, request);
    parts_collect(&store, request->user);
    pg_err err = pg_figures_write(&store.figures, &text);
    if (err == PG_OK) {
        pg_api_answer(request->call, "text/plain; version=0.0.4; charset=utf-8", text.len);
        err = pg_api_write(request->call, pg_buf_bytes(&text));
    }
    pg_buf_deinit(&text);
    return err;
}

const pg_api_route pg_api_stat_routes[] = {
    {.method = "GET", .path = "/api/v1/stat", .handler = stat_get},
    {.method = "GET", .path = "/metrics", .handler = metrics_get},
    {.path = NULL},
};
