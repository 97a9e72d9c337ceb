// SPDX-License-Identifier: Apache-2.0
// The routes of the cold archive: what it has, credentials, a probe, a round by hand. docs/openapi.yaml describes them.
#include <string.h>

#include "api/fields.h"
#include "api/routes.h"
#include "crypto/secret.h"
#include "files/vault.h"

static pg_err vault_of(const pg_api_request *request, pg_vault **out_vault)
{
    const pg_api_context *context = request->user;
    if (context->vault == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "no archive is configured: set archive.endpoint and "
                                           "archive.bucket, and restart the node");
    }
    *out_vault = context->vault;
    return PG_OK;
}

static json_object *requests_make(const pg_s3_stats *stats)
{
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "requests", stats->requests_total);
    pg_field_add_u64(object, "retries", stats->retries_total);
    pg_field_add_u64(object, "failures", stats->failures_total);
    pg_field_add_u64(object, "bytes_up", stats->bytes_up_total);
    pg_field_add_u64(object, "bytes_down", stats->bytes_down_total);
    return object;
}

static void rules_add(json_object *object, const pg_vault_rules *rules)
{
    pg_field_add_u64(object, "cold_after_s", rules->cold_after_s);
    pg_field_add_u64(object, "bandwidth", rules->bandwidth);
    pg_field_add_u64(object, "quota_bytes", rules->quota_bytes);
    pg_field_add_text(object, "when", rules->healthy_too ? "cold" : "degraded");
}

static pg_err archive_get(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    pg_vault *vault = NULL;
    PG_TRY(vault_of(request, &vault));
    const pg_vault_stats stats = pg_vault_get_stats(vault);
    json_object *object = json_object_new_object();
    pg_field_add_text(object, "endpoint", context->archive.endpoint);
    pg_field_add_text(object, "bucket", context->archive.bucket);
    pg_field_add_text(object, "proxy", context->archive.proxy);
    pg_field_add_bool(object, "has_credentials", stats.has_credentials);
    pg_field_add_bool(object, "is_failing", stats.is_failing);
    pg_field_add_text(object, "failure", stats.failure);
    rules_add(object, &stats.rules);
    pg_field_add_u64(object, "extents", stats.extents);
    pg_field_add_u64(object, "bytes", stats.bytes);
    pg_field_add_u64(object, "pending", stats.pending);
    pg_field_add_u64(object, "damaged", stats.damaged);
    pg_field_add_u64(object, "rounds", stats.rounds_total);
    pg_field_add_u64(object, "uploads", stats.uploads_total);
    pg_field_add_u64(object, "uploads_failed", stats.uploads_failed_total);
    pg_field_add_u64(object, "uploaded_bytes", stats.uploaded_bytes_total);
    pg_field_add_u64(object, "reads", stats.reads_total);
    pg_field_add_u64(object, "reads_bytes", stats.reads_bytes_total);
    pg_field_add_u64(object, "reads_failed", stats.reads_failed_total);
    pg_field_add_u64(object, "corrupt", stats.corrupt_total);
    pg_field_add_u64(object, "deleted", stats.deleted_total);
    pg_field_add(object, "store", requests_make(&stats.requests));
    *out_body = object;
    return PG_OK;
}

static pg_err keys_read(const pg_api_request *request, pg_s3_credentials *out_credentials)
{
    const char *access = NULL;
    const char *secret = NULL;
    PG_TRY(pg_field_text(request->body, "access_key", &access));
    PG_TRY(pg_field_text(request->body, "secret_key", &secret));
    return pg_s3_credentials_make(pg_str_make(access), pg_str_make(secret), out_credentials);
}

static pg_err login_post(const pg_api_request *request, json_object **out_body)
{
    pg_vault *vault = NULL;
    pg_s3_credentials credentials = {.access_key = ""};
    pg_err err = vault_of(request, &vault);
    if (err == PG_OK) {
        err = keys_read(request, &credentials);
        err = err == PG_ERR_INVALID ? pg_api_refuse(request->call, 400, err) : err;
    }
    pg_field_wipe(request->body, "access_key");
    pg_field_wipe(request->body, "secret_key");
    if (err == PG_OK) {
        err = pg_vault_login(vault, &credentials);
    }
    pg_wipe(&credentials, sizeof(credentials));
    PG_TRY(err);
    return archive_get(request, out_body);
}

static pg_err logout_post(const pg_api_request *request, json_object **out_body)
{
    pg_vault *vault = NULL;
    PG_TRY(vault_of(request, &vault));
    PG_TRY(pg_vault_login(vault, NULL));
    return archive_get(request, out_body);
}

static pg_err test_post(const pg_api_request *request, json_object **out_body)
{
    pg_vault *vault = NULL;
    PG_TRY(vault_of(request, &vault));
    PG_TRY(pg_vault_probe(vault));
    return archive_get(request, out_body);
}

static pg_err round_post(const pg_api_request *request, json_object **out_body)
{
    pg_vault *vault = NULL;
    pg_vault_round round;
    PG_TRY(vault_of(request, &vault));
    PG_TRY(pg_vault_run(vault, &round));
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "looked", round.looked);
    pg_field_add_u64(object, "cold", round.cold);
    pg_field_add_u64(object, "uploaded", round.uploaded);
    pg_field_add_u64(object, "failed", round.failed);
    pg_field_add_u64(object, "elsewhere", round.elsewhere);
    pg_field_add_u64(object, "deleted", round.deleted);
    pg_field_add_u64(object, "checked", round.checked);
    pg_field_add_u64(object, "damaged", round.damaged);
    pg_field_add_text(object, "failure", pg_vault_get_stats(vault).failure);
    *out_body = object;
    return PG_OK;
}

const pg_api_route pg_api_archive_routes[] = {
    {.method = "GET", .path = "/api/v1/archive", .handler = archive_get},
    {.method = "POST", .path = "/api/v1/archive", .handler = round_post},
    {.method = "POST", .path = "/api/v1/archive/login", .handler = login_post},
    {.method = "POST", .path = "/api/v1/archive/logout", .handler = logout_post},
    {.method = "POST", .path = "/api/v1/archive/test", .handler = test_post},
    {.path = NULL},
};
