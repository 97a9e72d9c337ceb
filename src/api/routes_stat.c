// SPDX-License-Identifier: Apache-2.0
#include "api/fields.h"
#include "api/routes.h"

static json_object *store_make(const pg_block_store *blocks)
{
    if (blocks == NULL) {
        return NULL;
    }
    const pg_block_store_stats stats = pg_block_store_stats_get(blocks);
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "blocks", stats.blocks);
    pg_field_add_u64(object, "used_bytes", stats.used_bytes);
    pg_field_add_u64(object, "quota_bytes", stats.quota_bytes);
    pg_field_add_u64(object, "packs", stats.packs);
    pg_field_add_u64(object, "puts_total", stats.puts_total);
    pg_field_add_u64(object, "syncs_total", stats.syncs_total);
    pg_field_add_u64(object, "lost_total", stats.lost_total);
    pg_field_add_bool(object, "was_rebuilt", stats.was_rebuilt);
    pg_field_add_bool(object, "has_failed", stats.has_failed);
    return object;
}

static json_object *place_make(const pg_place_server *place)
{
    if (place == NULL) {
        return NULL;
    }
    const pg_place_stats stats = pg_place_server_get_stats(place);
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "leases", stats.leases);
    pg_field_add_u64(object, "lease_bytes", stats.lease_bytes);
    pg_field_add_u64(object, "session_bytes", stats.session_bytes);
    pg_field_add_u64(object, "quota_bytes", stats.quota_bytes);
    pg_field_add_u64(object, "pushes_total", stats.pushes_total);
    pg_field_add_u64(object, "commits_total", stats.commits_total);
    pg_field_add_u64(object, "refused_total", stats.refused_total);
    pg_field_add_u64(object, "expired_total", stats.expired_total);
    pg_field_add_u64(object, "caught_up_total", stats.caught_up_total);
    return object;
}

static json_object *files_make(const pg_files *files)
{
    if (files == NULL) {
        return NULL;
    }
    const pg_files_stats stats = pg_files_get_stats(files);
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "files", stats.files);
    pg_field_add_u64(object, "files_pending", stats.files_pending);
    pg_field_add_u64(object, "files_partial", stats.files_partial);
    pg_field_add_u64(object, "files_bytes", stats.files_bytes);
    pg_field_add_u64(object, "cache_bytes", stats.cache_bytes);
    pg_field_add_u64(object, "cache_bytes_max", stats.cache_bytes_max);
    pg_field_add_u64(object, "pinned_blocks", stats.pinned_blocks);
    pg_field_add_u64(object, "puts_total", stats.puts_total);
    pg_field_add_u64(object, "gets_total", stats.gets_total);
    pg_field_add_u64(object, "bytes_put_total", stats.bytes_put_total);
    pg_field_add_u64(object, "bytes_got_total", stats.bytes_got_total);
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
    pg_field_add_u64(object, "barred_total", stats.barred_total);
    pg_field_add_u64(object, "forecast_examples", stats.examples);
    pg_field_add_u64(object, "rounds_total", stats.rounds_total);
    pg_field_add_u64(object, "rounds_lost_total", stats.rounds_lost_total);
    return object;
}

static json_object *bitswap_make(const pg_bitswap *bitswap)
{
    if (bitswap == NULL) {
        return NULL;
    }
    const pg_bitswap_stats stats = pg_bitswap_get_stats(bitswap);
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "blocks_received", stats.blocks_received);
    pg_field_add_u64(object, "bytes_received", stats.bytes_received);
    pg_field_add_u64(object, "blocks_sent", stats.blocks_sent);
    pg_field_add_u64(object, "bytes_sent", stats.bytes_sent);
    pg_field_add_u64(object, "blocks_refused", stats.blocks_refused);
    pg_field_add_u64(object, "wants_served", stats.wants_served);
    pg_field_add_u64(object, "wants_unserved", stats.wants_unserved);
    pg_field_add_u64(object, "wants_held", stats.wants_held);
    pg_field_add_u64(object, "fetches_running", stats.fetches_running);
    return object;
}

static json_object *finding_make(const pg_api_context *context)
{
    if (context->finding == NULL) {
        return NULL;
    }
    pg_api_finding finding = {.remembered = 0};
    context->finding(context->finder, &finding);
    const pg_conn_manager_stats *manager = &finding.manager;
    uint64_t dials = 0;
    for (size_t i = 0; i < PG_DIAL_REASON_COUNT; i++) {
        dials += manager->dials[i];
    }
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "connected", manager->connected);
    pg_field_add_u64(object, "wanted", manager->wanted);
    pg_field_add_u64(object, "found", manager->found);
    pg_field_add_u64(object, "lost", manager->lost);
    pg_field_add_u64(object, "dialing", manager->dialing);
    pg_field_add_u64(object, "remembered", finding.remembered);
    pg_field_add_u64(object, "bootstrap_peers", finding.bootstrap_peers);
    pg_field_add_u64(object, "bootstrap_good", finding.bootstrap_good);
    pg_field_add_u64(object, "mdns_links", finding.mdns.links);
    pg_field_add_u64(object, "dials_total", dials);
    pg_field_add_u64(object, "dials_failed_total", manager->dials_failed);
    pg_field_add_u64(object, "trimmed_total", manager->trimmed);
    pg_field_add_u64(object, "pings_total", manager->pings);
    pg_field_add_u64(object, "pings_failed_total", manager->pings_failed);
    pg_field_add_u64(object, "mdns_messages_total", finding.mdns.messages);
    pg_field_add_u64(object, "mdns_refused_total",
                     finding.mdns.messages_bad + finding.mdns.messages_skipped +
                         finding.mdns.addrs_refused + finding.mdns.peers_refused);
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
    pg_field_add(body, "finding", finding_make(context));
    pg_field_add_u64(body, "peers", pg_host_get_stats(context->host).connections);
    pg_field_add_ms(body, "uptime_ms", pg_now() - context->started_at);
    *out_body = body;
    return PG_OK;
}

const pg_api_route pg_api_stat_routes[] = {
    {.method = "GET", .path = "/api/v1/stat", .handler = stat_get},
    {.path = NULL},
};
