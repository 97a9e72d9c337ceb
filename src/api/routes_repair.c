// SPDX-License-Identifier: Apache-2.0
// The routes of the guard: how files stand, what was repaired, repairs by hand, leaving. docs/openapi.yaml describes them.
#include <string.h>

#include "api/fields.h"
#include "api/limits.h"
#include "api/page.h"
#include "api/routes.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "files/guard.h"
#include "files/guard_log.h"

static pg_err guard_of(const pg_api_request *request, pg_guard **out_guard)
{
    const pg_api_context *context = request->user;
    if (context->guard == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "this node keeps nothing for others");
    }
    *out_guard = context->guard;
    return PG_OK;
}

// ---- Notes

/** Notes being collected, on the database's thread. */
static pg_err on_note(const pg_guard_note_line *note, void *user)
{
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "time_s", note->time_s);
    pg_field_add_cid(object, "extent", &note->descriptor);
    pg_field_add_text(object, "what", note->what);
    pg_field_add_text(object, "detail", note->detail);
    (void) json_object_array_add(user, object);
    return PG_OK;
}

static pg_err notes_add(const pg_api_request *request, json_object *object, const pg_cid *extent,
                        size_t max)
{
    const pg_api_context *context = request->user;
    json_object *notes = json_object_new_array();
    pg_field_add(object, "notes", notes);
    return pg_guard_log_notes(context->db, extent, max, on_note, notes);
}

// ---- Status

static json_object *audits_make(const pg_guard_stats *stats)
{
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "interval_s", stats->rules.audit_interval_s);
    pg_field_add_u64(object, "asked", stats->audits_total);
    pg_field_add_u64(object, "proven", stats->audits_proven_total);
    pg_field_add_u64(object, "silent", stats->audits_silent_total);
    pg_field_add_u64(object, "faults", stats->audits_fault_total);
    pg_field_add_u64(object, "answered", stats->answers.answered_total);
    pg_field_add_u64(object, "not_held", stats->answers.not_held_total);
    pg_field_add_u64(object, "busy", stats->answers.busy_total);
    pg_field_add_u64(object, "read_bytes", stats->answers.bytes_total);
    return object;
}

static json_object *evidence_make(const pg_guard_stats *stats)
{
    json_object *object = json_object_new_object();
    pg_field_add_u64(object, "told", stats->evidence_told_total);
    pg_field_add_u64(object, "taken", stats->evidence.taken_total);
    pg_field_add_u64(object, "known", stats->evidence.known_total);
    pg_field_add_u64(object, "refused", stats->evidence.refused_total);
    return object;
}

static json_object *balance_make(const pg_guard_stats *stats)
{
    json_object *object = json_object_new_object();
    pg_field_add_bool(object, "is_enabled", stats->rules.rebalances);
    pg_field_add_u64(object, "margin_percent", stats->rules.rebalance_margin);
    pg_field_add_u64(object, "bandwidth", stats->rules.rebalance_bandwidth);
    pg_field_add_u64(object, "fill_percent", stats->balance.fill);
    pg_field_add_u64(object, "median_percent", stats->balance.median);
    pg_field_add_u64(object, "hosts", stats->balance.hosts);
    pg_field_add_u64(object, "moved_slots", stats->rebalanced_slots_total);
    pg_field_add_u64(object, "moved_bytes", stats->rebalanced_bytes_total);
    pg_field_add_u64(object, "failed", stats->rebalance_failed_total);
    return object;
}

static pg_err repair_get(const pg_api_request *request, json_object **out_body)
{
    pg_guard *guard = NULL;
    PG_TRY(guard_of(request, &guard));
    const pg_guard_stats stats = pg_guard_get_stats(guard);
    json_object *object = json_object_new_object();
    pg_field_add_bool(object, "is_enabled", stats.rules.repairs);
    pg_field_add_u64(object, "patience_s", stats.rules.patience_s);
    pg_field_add_u64(object, "bandwidth", stats.rules.bandwidth);
    pg_field_add_u64(object, "rounds", stats.rounds_total);
    pg_field_add_u64(object, "hosts", stats.peers);
    pg_field_add_u64(object, "hosts_silent", stats.peers_silent);
    pg_field_add_u64(object, "hosts_lost", stats.peers_lost);
    pg_field_add_u64(object, "queued", stats.queued);
    pg_field_add_u64(object, "queued_urgent", stats.queued_urgent);
    pg_field_add_u64(object, "repairs", stats.repairs_total);
    pg_field_add_u64(object, "repairs_failed", stats.repairs_failed_total);
    pg_field_add_u64(object, "repaired_slots", stats.repaired_slots_total);
    pg_field_add_u64(object, "repaired_bytes", stats.repaired_bytes_total);
    pg_field_add(object, "audits", audits_make(&stats));
    pg_field_add(object, "evidence", evidence_make(&stats));
    pg_field_add(object, "rebalance", balance_make(&stats));
    pg_err err = notes_add(request, object, NULL, PG_API_NOTES_MAX);
    if (err != PG_OK) {
        json_object_put(object);
        return err;
    }
    *out_body = object;
    return PG_OK;
}

// ---- One extent

static void slots_add(json_object *object, const char *name, pg_slot_set slots)
{
    json_object *list = json_object_new_array();
    for (unsigned slot = 0; slot < PG_PLACE_SLOTS_MAX; slot++) {
        if ((slots >> slot & 1) != 0) {
            (void) json_object_array_add(list, json_object_new_int((int) slot));
        }
    }
    pg_field_add(object, name, list);
}

// Four decimals: more would say more than is known.
static void chance_add(json_object *object, const char *name, double chance)
{
    pg_field_add(object, name,
                 json_object_new_double((double) (int64_t) (chance * 10000 + 0.5) / 10000));
}

static json_object *member_make(const pg_guard_member *member)
{
    json_object *object = json_object_new_object();
    pg_field_add_peer(object, "peer_id", &member->peer);
    slots_add(object, "slots", member->slots);
    slots_add(object, "faulty", member->faulty);
    pg_field_add_bool(object, "is_living", member->is_living);
    pg_field_add_u64(object, "silent_s", member->silent_s);
    pg_field_add_u64(object, "proven_s", member->proven_s);
    chance_add(object, "availability", member->availability);
    pg_field_add_bool(object, "is_forecast", member->is_forecast);
    return object;
}

static json_object *report_make(const pg_guard_report *report)
{
    json_object *object = json_object_new_object();
    json_object *members = json_object_new_array();
    pg_field_add_cid(object, "extent", &report->descriptor);
    pg_field_add_bool(object, "is_whole", report->is_whole);
    pg_field_add_bool(object, "is_kept", report->is_kept);
    pg_field_add_bool(object, "is_urgent", report->is_urgent);
    pg_field_add_bool(object, "is_repaired", report->is_repaired);
    pg_field_add_u64(object, "slots", report->slots);
    pg_field_add_u64(object, "needed", report->needed);
    slots_add(object, "missing", report->missing);
    slots_add(object, "lost", report->lost);
    pg_field_add_u64(object, "copies_lost", report->copies_lost);
    pg_field_add_u64(object, "position", report->position);
    pg_field_add_u64(object, "networks", report->networks);
    chance_add(object, "readable", report->readable);
    for (size_t i = 0; i < report->member_count; i++) {
        (void) json_object_array_add(members, member_make(&report->members[i]));
    }
    pg_field_add(object, "hosts", members);
    return object;
}

// ---- The extents of a link

/** An extent of a link, and hosts to begin with. */
typedef struct extent_row {
    pg_cid descriptor;
    size_t hint_count;
    pg_peer_id hints[PG_PLACE_SLOTS_MAX];
} extent_row;

/** A link being taken apart. */
typedef struct extents_read {
    pg_cid root;
    pg_buf rows; // extent_row[]
    uint64_t total;
    pg_err err;
} extents_read;

static void on_root(const pg_link_info *info, void *user)
{
    extents_read *self = user;
    self->total = info->is_inline ? 1 : info->extents;
    if (info->is_inline) { // its root is all there is
        const extent_row row = {.descriptor = self->root};
        self->err = pg_buf_append(&self->rows, pg_bytes_make(&row, sizeof(row)));
    }
}

static bool on_extent(const pg_extent_info *info, void *user)
{
    extents_read *self = user;
    extent_row row = {.descriptor = info->descriptor};
    for (size_t i = 0; i < info->holder_count && row.hint_count < PG_PLACE_SLOTS_MAX; i++) {
        row.hints[row.hint_count++] = info->holders[i].peer;
    }
    self->err = pg_buf_append(&self->rows, pg_bytes_make(&row, sizeof(row)));
    return self->err == PG_OK && self->rows.len / sizeof(row) < PG_API_EXTENTS_MAX;
}

static pg_err extents_find(const pg_api_request *request, extents_read *self)
{
    pg_files *files = NULL;
    const char *text = NULL;
    pg_link link;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(pg_field_text(request->body, "link", &text));
    pg_err err = pg_link_parse(pg_str_make(text), &link);
    pg_field_wipe(request->body, "link");
    if (err != PG_OK) {
        return pg_api_refuse(request->call, 400, err);
    }
    self->root = link.root;
    err = pg_files_inspect(files, &link, on_root, on_extent, self);
    pg_link_wipe(&link);
    return err != PG_OK ? err : self->err;
}

/** What is done with each extent. */
typedef pg_err (*extent_fn)(const pg_api_request *request, const extent_row *row,
                            json_object **out_object);

static pg_err extents_each(const pg_api_request *request, extent_fn each, json_object **out_body)
{
    extents_read read = {.err = PG_OK};
    json_object *list = json_object_new_array();
    pg_err err = extents_find(request, &read);
    for (size_t at = 0; at + sizeof(extent_row) <= read.rows.len && err == PG_OK;
         at += sizeof(extent_row)) {
        extent_row row;
        json_object *object = NULL;
        memcpy(&row, read.rows.ptr + at, sizeof(row));
        err = each(request, &row, &object);
        if (err == PG_OK) {
            (void) json_object_array_add(list, object);
        }
    }
    pg_buf_deinit(&read.rows);
    if (err != PG_OK) {
        json_object_put(list);
        return err;
    }
    *out_body = json_object_new_object();
    pg_field_add_u64(*out_body, "total", read.total);
    pg_field_add(*out_body, "extents", list);
    return PG_OK;
}

// ---- Explain

static pg_err extent_explain(const pg_api_request *request, const extent_row *row,
                             json_object **out_object)
{
    pg_guard *guard = NULL;
    bool is_audited = false;
    PG_TRY(guard_of(request, &guard));
    PG_TRY(pg_uri_bool(request->uri, "audit", &is_audited));
    pg_guard_report *report = PG_NEW(pg_guard_report);
    if (report == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = is_audited ? pg_guard_audit(guard, &row->descriptor) : PG_OK;
    if (err == PG_OK) {
        err = pg_guard_explain(guard, &row->descriptor, row->hints, row->hint_count, report);
    }
    if (err == PG_OK) {
        json_object *object = report_make(report);
        err = notes_add(request, object, &row->descriptor, PG_API_NOTES_MAX);
        if (err == PG_OK) {
            *out_object = object;
        } else {
            json_object_put(object);
        }
    }
    pg_mfree(report);
    return err;
}

static pg_err explain_post(const pg_api_request *request, json_object **out_body)
{
    pg_guard *guard = NULL;
    PG_TRY(guard_of(request, &guard));
    return extents_each(request, extent_explain, out_body);
}

// ---- Repair now

static pg_err extent_repair(const pg_api_request *request, const extent_row *row,
                            json_object **out_object)
{
    pg_guard *guard = NULL;
    bool is_dry = false;
    PG_TRY(guard_of(request, &guard));
    PG_TRY(pg_uri_bool(request->uri, "dry_run", &is_dry));
    pg_guard_report *report = PG_NEW(pg_guard_report);
    if (report == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_guard_repair(guard, &row->descriptor, is_dry, report);
    if (err == PG_ERR_NOT_FOUND) { // another host's to repair; tell how it stands
        err = pg_guard_explain(guard, &row->descriptor, row->hints, row->hint_count, report);
    }
    if (err == PG_OK) {
        *out_object = report_make(report);
    }
    pg_mfree(report);
    return err;
}

static pg_err repair_post(const pg_api_request *request, json_object **out_body)
{
    pg_guard *guard = NULL;
    json_object *link = NULL;
    PG_TRY(guard_of(request, &guard));
    if (json_object_object_get_ex(request->body, "link", &link)) {
        return extents_each(request, extent_repair, out_body);
    }
    pg_guard_wake(guard);
    return repair_get(request, out_body);
}

// ---- Leaving

static pg_err leave_post(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    pg_guard *guard = NULL;
    uint64_t keep_bytes = 0;
    pg_guard_leaving left = {.leases = 0};
    PG_TRY(guard_of(request, &guard));
    PG_TRY(pg_field_u64(request->body, "keep_bytes", INT64_MAX, 0, &keep_bytes));
    if (keep_bytes == 0) {
        pg_place_server_refuse(context->place);
    }
    PG_TRY(pg_guard_leave(guard, keep_bytes, NULL, NULL, &left));
    const pg_place_stats stats = pg_place_server_get_stats(context->place);
    *out_body = json_object_new_object();
    pg_field_add_u64(*out_body, "leases", left.leases);
    pg_field_add_u64(*out_body, "moved", left.moved);
    pg_field_add_u64(*out_body, "failed", left.failed);
    pg_field_add_u64(*out_body, "pushed_bytes", left.bytes);
    pg_field_add_u64(*out_body, "kept_leases", stats.leases);
    pg_field_add_u64(*out_body, "kept_bytes", stats.lease_bytes);
    return PG_OK;
}

// ---- Files

/** Files being listed. */
typedef struct health_list {
    pg_buf roots; // pg_cid[]
    pg_err err;
} health_list;

static void on_file(const pg_file_entry *entry, void *user)
{
    health_list *self = user;
    if (self->err == PG_OK) {
        self->err =
            pg_buf_append(&self->roots, pg_bytes_make(&entry->link.root, sizeof(entry->link.root)));
    }
}

static json_object *health_make(const pg_cid *root, const pg_guard_health *health)
{
    json_object *object = json_object_new_object();
    pg_field_add_cid(object, "root", root);
    pg_field_add_u64(object, "hosts", health->hosts);
    pg_field_add_u64(object, "networks", health->networks);
    pg_field_add_u64(object, "silent", health->silent);
    pg_field_add_u64(object, "missing", health->missing);
    pg_field_add_u64(object, "proven_s", health->proven_s);
    chance_add(object, "readable", health->readable);
    pg_field_add_bool(object, "is_forecast", health->is_forecast);
    return object;
}

static pg_err files_health(pg_guard *guard, const pg_buf *roots, json_object *list)
{
    for (size_t at = 0; at + sizeof(pg_cid) <= roots->len; at += sizeof(pg_cid)) {
        pg_cid root;
        pg_guard_health health = {.hosts = 0};
        memcpy(&root, roots->ptr + at, sizeof(root));
        pg_err err = pg_guard_file_health(guard, &root, &health);
        if (err == PG_ERR_NOT_FOUND) {
            continue; // removed meanwhile
        }
        PG_TRY(err);
        (void) json_object_array_add(list, health_make(&root, &health));
    }
    return PG_OK;
}

static pg_err health_get(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    pg_guard *guard = NULL;
    pg_file_page page;
    health_list found = {.err = PG_OK};
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(pg_api_page_read(request->uri, &page));
    PG_TRY(guard_of(request, &guard));
    json_object *list = json_object_new_array();
    pg_err err = pg_files_list(files, &page, on_file, &found);
    err = err == PG_OK ? found.err : err;
    if (err == PG_OK) {
        err = files_health(guard, &found.roots, list);
    }
    pg_buf_deinit(&found.roots);
    if (err != PG_OK) {
        json_object_put(list);
        return err;
    }
    *out_body = json_object_new_object();
    pg_field_add(*out_body, "files", list);
    if (page.has_more) {
        char next[PG_API_PAGE_NEXT_BYTES];
        pg_api_page_next(&page, next);
        pg_field_add_text(*out_body, "next", next);
    }
    return PG_OK;
}

const pg_api_route pg_api_repair_routes[] = {
    {.method = "GET", .path = "/api/v1/repair", .handler = repair_get},
    {.method = "POST", .path = "/api/v1/repair", .handler = repair_post, .query = "dry_run"},
    {.method = "POST", .path = "/api/v1/repair/explain", .handler = explain_post, .query = "audit"},
    {.method = "GET",
     .path = "/api/v1/repair/files",
     .handler = health_get,
     .query = PG_API_PAGE_QUERY},
    {.method = "POST", .path = "/api/v1/storage/leave", .handler = leave_post},
    {.path = NULL},
};
