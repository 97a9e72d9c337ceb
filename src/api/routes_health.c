// SPDX-License-Identifier: Apache-2.0
// The routes of the health book; docs/openapi.yaml describes them.
#include "api/fields.h"
#include "api/routes.h"
#include "base/str.h"
#include "crypto/peer_id_text.h"
#include "health/health.h"

#define PROOF_TEXT_BYTES (2 * PG_HEALTH_EVIDENCE_BYTES_MAX + 1)

static const char *const kind_names[PG_HEALTH_KIND_COUNT] = {
    [PG_HEALTH_PING_OK] = "ping_ok",         [PG_HEALTH_PING_FAILED] = "ping_failed",
    [PG_HEALTH_AUDIT_HELD] = "audit_held",   [PG_HEALTH_AUDIT_FAILED] = "audit_failed",
    [PG_HEALTH_TRANSFER_OK] = "transfer_ok", [PG_HEALTH_REFUSED] = "refused",
};

static pg_err health_of(const pg_api_request *request, pg_health **out_health)
{
    const pg_api_context *context = request->user;
    if (context->health == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "this node keeps no book of its hosts");
    }
    *out_health = context->health;
    return PG_OK;
}

// Two decimals: what is behind them is chance.
static void points_add(json_object *object, const char *name, double points)
{
    pg_field_add(object, name,
                 json_object_new_double((double) (int64_t) (points * 100 + 0.5) / 100));
}

static json_object *counts_make(const uint32_t counts[PG_HEALTH_KIND_COUNT])
{
    json_object *object = json_object_new_object();
    for (size_t i = 0; i < PG_HEALTH_KIND_COUNT; i++) {
        pg_field_add_u64(object, kind_names[i], counts[i]);
    }
    return object;
}

static json_object *report_make(const pg_health_report *report)
{
    json_object *object = json_object_new_object();
    const char *reason = pg_health_reason_text(report->judgement.reason);
    pg_field_add_peer(object, "peer_id", &report->peer);
    pg_field_add_text(object, "state", pg_health_state_name(report->judgement.state));
    pg_field_add_text(object, "reason", reason[0] == '\0' ? NULL : reason);
    pg_field_add_u64(object, "since_s", report->judgement.since_s);
    points_add(object, "score", report->score);
    points_add(object, "uptime", report->parts.uptime);
    points_add(object, "latency", report->parts.latency);
    points_add(object, "availability", report->parts.availability);
    pg_field_add(object, "forecast",
                 report->is_forecast ? json_object_new_double(
                                           (double) (int64_t) (report->fit * 10000 + 0.5) / 10000)
                                     : NULL);
    pg_field_add_ms(object, "rtt_ms", report->rtt_ns);
    pg_field_add_u64(object, "first_s", report->first_s);
    pg_field_add_u64(object, "last_s", report->last_s);
    pg_field_add_u64(object, "seen_s", report->seen_s);
    pg_field_add_u64(object, "observers", report->observers);
    pg_field_add_u64(object, "known_hours", report->known_hours);
    pg_field_add(object, "observations", counts_make(report->counts));
    return object;
}

static void on_report(const pg_health_report *report, void *user)
{
    (void) json_object_array_add(user, report_make(report));
}

static pg_err health_get(const pg_api_request *request, json_object **out_body)
{
    pg_health *health = NULL;
    PG_TRY(health_of(request, &health));
    json_object *peers = json_object_new_array();
    pg_health_each(health, on_report, peers);
    *out_body = json_object_new_object();
    pg_field_add(*out_body, "peers", peers);
    return PG_OK;
}

static void on_evidence(const pg_health_evidence *evidence, void *user)
{
    char proof[PROOF_TEXT_BYTES];
    bool is_judgement = evidence->state != PG_HEALTH_STATE_NEW;
    const char *reason = pg_health_reason_text(evidence->reason);
    json_object *object = json_object_new_object();
    pg_hex_encode(pg_bytes_slice(evidence->proof, 0, PG_HEALTH_EVIDENCE_BYTES_MAX), proof);
    pg_field_add_u64(object, "time_s", evidence->time_s);
    pg_field_add_text(object, "event",
                      is_judgement ? pg_health_state_name(evidence->state)
                                   : kind_names[evidence->kind]);
    pg_field_add_text(object, "reason", reason[0] == '\0' ? NULL : reason);
    points_add(object, "score", evidence->score);
    pg_field_add_text(object, "proof_hex", proof);
    (void) json_object_array_add(user, object);
}

static pg_err peer_get(const pg_api_request *request, json_object **out_body)
{
    pg_health *health = NULL;
    pg_peer_id peer;
    pg_health_report report;
    PG_TRY(health_of(request, &health));
    if (pg_peer_id_parse(pg_str_make(request->param), &peer) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "'%s' is no PeerId", request->param);
    }
    if (!pg_health_get(health, &peer, &report)) {
        return pg_fail(PG_ERR_NOT_FOUND, "nothing is known here of %s", request->param);
    }
    json_object *list = json_object_new_array();
    pg_err err = pg_health_evidence_each(health, &peer, on_evidence, list);
    if (err != PG_OK) {
        json_object_put(list);
        return err;
    }
    *out_body = report_make(&report);
    pg_field_add(*out_body, "evidence", list);
    return PG_OK;
}

const pg_api_route pg_api_health_routes[] = {
    {.method = "GET", .path = "/api/v1/health", .handler = health_get},
    {.method = "GET", .path = "/api/v1/health/{peer}", .handler = peer_get},
    {.path = NULL},
};
