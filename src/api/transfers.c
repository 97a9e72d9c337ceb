// SPDX-License-Identifier: Apache-2.0
#include "api/transfers.h"

#include <string.h>

#include "api/fields.h"
#include "api/server.h"
#include "base/mem.h"
#include "crypto/peer_id_text.h"

static const char *const kind_names[PG_TRANSFER_KIND_COUNT] = {
    [PG_TRANSFER_KIND_PUT] = "put",
    [PG_TRANSFER_KIND_GET] = "get",
    [PG_TRANSFER_KIND_PIN] = "pin",
};

static const char *const state_names[PG_TRANSFER_STATE_COUNT] = {
    [PG_TRANSFER_STATE_RUNNING] = "running",
    [PG_TRANSFER_STATE_DONE] = "done",
    [PG_TRANSFER_STATE_FAILED] = "failed",
};

pg_err pg_transfer_id_check(pg_str id)
{
    bool is_fine = id.len >= PG_API_TRANSFER_ID_CHARS_MIN && id.len <= PG_API_TRANSFER_ID_CHARS_MAX;
    for (size_t i = 0; i < id.len && is_fine; i++) {
        char c = id.ptr[i];
        is_fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '_' || c == '-';
    }
    return is_fine ? PG_OK
                   : pg_fail(PG_ERR_INVALID,
                             "the id of a transfer has %d to %d letters, digits, '_' and '-'",
                             PG_API_TRANSFER_ID_CHARS_MIN, PG_API_TRANSFER_ID_CHARS_MAX);
}

static void transfer_forget(pg_transfers *transfers, pg_transfer *transfer)
{
    (void) pg_map_take(&transfers->map, pg_bytes_cstr(transfer->id));
    pg_mfree(transfer->detail);
    pg_mfree(transfer);
}

static bool is_running(const pg_transfer *transfer)
{
    return transfer->state == PG_TRANSFER_STATE_RUNNING;
}

// Forget those that are over their time.
static void old_forget(pg_transfers *transfers, pg_time now)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&transfers->map, &cursor)) {
        pg_transfer *transfer = cursor.value;
        if (!is_running(transfer) && now - transfer->ended_at > PG_MS(PG_API_TRANSFER_KEEP_MS)) {
            transfer_forget(transfers, transfer);
        }
    }
}

// Make room by the one that ended first.
static void oldest_forget(pg_transfers *transfers)
{
    pg_transfer *oldest = NULL;
    pg_map_cursor cursor = {0};
    while (pg_map_next(&transfers->map, &cursor)) {
        pg_transfer *transfer = cursor.value;
        if (!is_running(transfer) && (oldest == NULL || transfer->ended_at < oldest->ended_at)) {
            oldest = transfer;
        }
    }
    if (oldest != NULL) {
        transfer_forget(transfers, oldest);
    }
}

pg_err pg_transfers_begin(pg_transfers *transfers, const char *id, pg_transfer_kind kind,
                          pg_time now, pg_transfer **out_transfer)
{
    PG_TRY(pg_transfer_id_check(pg_str_make(id)));
    old_forget(transfers, now);
    pg_transfer *known = pg_map_get(&transfers->map, pg_bytes_cstr(id));
    if (known != NULL && is_running(known)) {
        return pg_fail(PG_ERR_EXISTS, "a transfer with the id %s is running", id);
    }
    if (known != NULL) {
        transfer_forget(transfers, known);
    }
    if (pg_map_count(&transfers->map) >= PG_API_TRANSFERS_MAX) {
        oldest_forget(transfers);
    }
    if (pg_map_count(&transfers->map) >= PG_API_TRANSFERS_MAX) {
        return pg_fail(PG_ERR_BUSY, "%d transfers are running", PG_API_TRANSFERS_MAX);
    }
    pg_transfer *transfer = PG_NEW(pg_transfer);
    if (transfer == NULL) {
        return PG_ERR_NOMEM;
    }
    memcpy(transfer->id, id, strlen(id));
    transfer->kind = kind;
    transfer->told_at = now;
    pg_err err = pg_map_add(&transfers->map, pg_bytes_cstr(id), transfer);
    if (err != PG_OK) {
        pg_mfree(transfer);
        return err;
    }
    *out_transfer = transfer;
    return PG_OK;
}

bool pg_transfer_go_on(pg_transfer *transfer, const pg_transfer_progress *progress, pg_time now)
{
    transfer->progress = *progress;
    if (now - transfer->told_at < PG_MS(PG_API_TRANSFER_EVENT_MS)) {
        return false;
    }
    transfer->told_at = now;
    return true;
}

void pg_transfer_end(pg_transfer *transfer, pg_err err, const char *detail,
                     const pg_get_report *report, pg_time now)
{
    transfer->state = err == PG_OK ? PG_TRANSFER_STATE_DONE : PG_TRANSFER_STATE_FAILED;
    transfer->problem = err;
    transfer->detail = err == PG_OK ? NULL : pg_str_dup(pg_str_make(detail));
    transfer->has_report = report != NULL;
    if (report != NULL) {
        transfer->report = *report;
    }
    transfer->ended_at = now;
}

const pg_transfer *pg_transfers_find(pg_transfers *transfers, const char *id, pg_time now)
{
    old_forget(transfers, now);
    return pg_map_get(&transfers->map, pg_bytes_cstr(id));
}

void pg_transfers_each(pg_transfers *transfers, pg_time now,
                       void (*each)(const pg_transfer *transfer, void *user), void *user)
{
    pg_map_cursor cursor = {0};
    old_forget(transfers, now);
    while (pg_map_next(&transfers->map, &cursor)) {
        each(cursor.value, user);
    }
}

uint64_t pg_transfers_running(const pg_transfers *transfers)
{
    uint64_t count = 0;
    pg_map_cursor cursor = {0};
    while (pg_map_next(&transfers->map, &cursor)) {
        const pg_transfer *transfer = cursor.value;
        count += transfer->state == PG_TRANSFER_STATE_RUNNING;
    }
    return count;
}

static json_object *faulty_make(const pg_get_report *report)
{
    static const char *const names[PG_HOST_FAULT_COUNT] = {"late", "absent", "corrupt"};
    json_object *array = json_object_new_array();
    for (size_t i = 0; i < report->faulty_count; i++) {
        char peer[PG_PEER_ID_TEXT_BYTES];
        json_object *object = json_object_new_object();
        pg_peer_id_format(&report->faulty[i].peer, peer);
        pg_field_add_text(object, "peer_id", peer);
        pg_field_add_text(object, "fault", names[report->faulty[i].fault]);
        (void) json_object_array_add(array, object);
    }
    return array;
}

static json_object *report_make(const pg_get_report *report)
{
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "shards_fetched", report->shards_fetched);
    pg_field_add_u64(object, "shards_local", report->shards_local);
    pg_field_add_u64(object, "shards_absent", report->shards_absent);
    pg_field_add_u64(object, "shards_corrupt", report->shards_corrupt);
    pg_field_add_ms(object, "first_byte_ms", report->first_byte_ns);
    pg_field_add(object, "faulty_hosts", faulty_make(report));
    return object;
}

json_object *pg_transfer_document(const pg_transfer *transfer)
{
    json_object *object = json_object_new_object();
    const char *detail =
        transfer->detail == NULL ? pg_err_text(transfer->problem) : transfer->detail;
    bool has_failed = transfer->state == PG_TRANSFER_STATE_FAILED;
    pg_field_add_text(object, "id", transfer->id);
    pg_field_add_text(object, "kind", kind_names[transfer->kind]);
    pg_field_add_text(object, "state", state_names[transfer->state]);
    pg_field_add_u64(object, "bytes", transfer->progress.bytes);
    pg_field_add_u64(object, "total_bytes", transfer->progress.total_bytes);
    pg_field_add_u64(object, "hosts", transfer->progress.hosts);
    pg_field_add(object, "problem",
                 has_failed ? pg_api_problem(transfer->problem, 0, detail) : NULL);
    pg_field_add(object, "report", transfer->has_report ? report_make(&transfer->report) : NULL);
    return object;
}

void pg_transfers_deinit(pg_transfers *transfers)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&transfers->map, &cursor)) {
        pg_assert(!is_running(cursor.value));
        transfer_forget(transfers, cursor.value);
    }
    pg_map_deinit(&transfers->map);
}
