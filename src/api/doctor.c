// SPDX-License-Identifier: Apache-2.0
#include "api/doctor.h"

#include "api/fields.h"
#include "api/limits.h"
#include "api/routes.h"
#include "runtime/machine.h"

static json_object *clock_make(const pg_doctor_parts *parts)
{
    json_object *object = json_object_new_object();
    const pg_files_stats stats = parts->files == NULL ? (pg_files_stats){.clock_hosts = 0}
                                                      : pg_files_get_stats(parts->files);
    pg_field_add_u64(object, "wall_ms", (uint64_t) pg_wall_ms());
    pg_field_add_bool(object, "is_kept", pg_machine_clock_is_kept());
    pg_field_add_u64(object, "hosts", stats.clock_hosts);
    pg_field_add(object, "hosts_ahead_s", json_object_new_int64(stats.clock_ahead_s));
    pg_field_add_u64(object, "quiet_s",
                     parts->place == NULL ? 0 : pg_place_server_get_stats(parts->place).quiet_s);
    return object;
}

static json_object *process_make(void)
{
    pg_machine_process process;
    pg_machine_process_look(&process);
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "pid", (uint64_t) process.pid);
    pg_field_add_u64(object, "open_files", process.open_files);
    pg_field_add_u64(object, "open_files_max", process.open_files_max);
    pg_field_add_u64(object, "memory_bytes", process.memory_bytes);
    pg_field_add_u64(object, "machine_bytes", process.machine_bytes);
    pg_field_add_u64(object, "machine_free_bytes", process.machine_free_bytes);
    return object;
}

static pg_err store_make(pg_block_store *blocks, bool is_deep, json_object **out_object)
{
    pg_block_check check;
    *out_object = NULL;
    if (blocks == NULL) {
        return PG_OK;
    }
    PG_TRY(pg_block_store_check(blocks, is_deep ? 0 : PG_API_DOCTOR_SAMPLE, &check));
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "blocks", pg_block_store_stats_get(blocks).blocks);
    pg_field_add_u64(object, "checked", check.checked);
    pg_field_add_u64(object, "damaged", check.damaged);
    pg_field_add_u64(object, "ledger_bytes", check.ledger_bytes);
    pg_field_add_u64(object, "disk_bytes", check.disk_bytes);
    if (check.damaged > 0) {
        pg_field_add_cid(object, "first_damaged", &check.first_damaged);
    } else {
        pg_field_add_text(object, "first_damaged", NULL);
    }
    *out_object = object;
    return PG_OK;
}

// Reading the whole database holds up all who want something of it: only when asked for.
static json_object *database_make(pg_db *db, bool is_deep)
{
    if (db == NULL) {
        return NULL;
    }
    pg_err err = is_deep ? pg_db_check(db) : PG_OK;
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "version", pg_db_version(db));
    pg_field_add_bool(object, "checked", is_deep);
    pg_field_add_text(object, "fault", err == PG_OK ? NULL : pg_error_detail(err));
    return object;
}

pg_err pg_doctor_facts(const pg_doctor_parts *parts, bool is_deep, json_object **out_facts)
{
    json_object *store = NULL;
    PG_TRY(store_make(parts->blocks, is_deep, &store));
    json_object *facts = json_object_new_object();
    pg_field_add(facts, "clock", clock_make(parts));
    pg_field_add(facts, "process", process_make());
    pg_field_add(facts, "store", store);
    pg_field_add(facts, "database", database_make(parts->db, is_deep));
    *out_facts = facts;
    return PG_OK;
}

static pg_err doctor_get(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    const pg_doctor_parts parts = {context->blocks, context->db, context->files, context->place};
    bool is_deep = false;
    PG_TRY(pg_uri_bool(request->uri, "deep", &is_deep));
    return pg_doctor_facts(&parts, is_deep, out_body);
}

const pg_api_route pg_api_doctor_routes[] = {
    {.method = "GET", .path = "/api/v1/doctor", .handler = doctor_get, .query = "deep"},
    {.path = NULL},
};
