// SPDX-License-Identifier: Apache-2.0
#include "api/file_document.h"

#include <string.h>

#include "api/fields.h"
#include "crypto/secret.h"

static const char *const kind_names[PG_FILE_KIND_COUNT] = {
    [PG_FILE_KIND_FILE] = "file",
    [PG_FILE_KIND_FOLDER] = "folder",
};

static const char *const state_names[PG_FILE_STATE_COUNT] = {
    [PG_FILE_STATE_PENDING] = "pending",
    [PG_FILE_STATE_PARTIAL] = "partial",
    [PG_FILE_STATE_COMPLETE] = "complete",
};

const char *pg_file_kind_name(pg_file_kind kind)
{
    return kind_names[kind];
}

pg_err pg_file_kind_from_name(const char *name, pg_file_kind *out_kind)
{
    if (name == NULL) {
        *out_kind = PG_FILE_KIND_FILE;
        return PG_OK;
    }
    for (pg_file_kind kind = PG_FILE_KIND_FILE; kind < PG_FILE_KIND_COUNT; kind++) {
        if (strcmp(name, kind_names[kind]) == 0) {
            *out_kind = kind;
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_INVALID, "kind: file or folder, not '%s'", name);
}

static void code_add(json_object *object, pg_code code)
{
    pg_field_add_u64(object, "data_shards", code.data);
    pg_field_add_u64(object, "parity_shards", code.parity);
}

static json_object *hosts_make(const pg_file_entry *entry)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < entry->host_count; i++) {
        json_object *host = json_object_new_object();
        pg_field_add_peer(host, "peer_id", &entry->hosts[i].peer);
        pg_field_add_u64(host, "slots", entry->hosts[i].slots);
        pg_field_add_u64(host, "bytes", entry->hosts[i].bytes);
        (void) json_object_array_add(list, host);
    }
    return list;
}

static void link_add(json_object *object, const pg_link *value)
{
    char link[PG_LINK_TEXT_BYTES];
    pg_link_format(value, link);
    pg_field_add_text(object, "link", link);
    pg_wipe(link, sizeof(link));
    pg_field_add_cid(object, "root", &value->root);
}

json_object *pg_pin_document(const pg_pin *pin)
{
    json_object *object = json_object_new_object();
    link_add(object, &pin->link);
    pg_field_add_name(object, "name", pg_buf_bytes(&pin->name));
    pg_field_add_text(object, "kind", kind_names[pin->kind]);
    pg_field_add_text(object, "state", pin->is_complete ? "complete" : "incomplete");
    pg_field_add_u64(object, "size_bytes", pin->size_bytes);
    pg_field_add_u64(object, "kept_bytes", pin->kept_bytes);
    pg_field_add_u64(object, "pinned_ms", pin->pinned_ms < 0 ? 0 : (uint64_t) pin->pinned_ms);
    return object;
}

json_object *pg_file_document(const pg_file_entry *entry, bool with_hosts)
{
    json_object *object = json_object_new_object();
    link_add(object, &entry->link);
    pg_field_add_name(object, "name", pg_buf_bytes(&entry->name));
    pg_field_add_text(object, "kind", kind_names[entry->kind]);
    pg_field_add_text(object, "state", state_names[entry->state]);
    pg_field_add_u64(object, "size_bytes", entry->size_bytes);
    pg_field_add_u64(object, "packed_bytes", entry->packed_bytes);
    pg_field_add_u64(object, "stored_bytes", entry->stored_bytes);
    pg_field_add_u64(object, "extents", entry->extents);
    pg_field_add_u64(object, "segments", entry->segments);
    code_add(object, entry->code);
    pg_field_add_u64(object, "survives", entry->survives);
    pg_field_add_u64(object, "put_ms", entry->put_ms < 0 ? 0 : (uint64_t) entry->put_ms);
    pg_field_add_u64(object, "expiry_s", entry->expiry_s);
    if (with_hosts) {
        pg_field_add(object, "hosts", hosts_make(entry));
    }
    return object;
}

static json_object *slots_make(pg_slot_set slots)
{
    json_object *list = json_object_new_array();
    for (int slot = 0; slot < (int) PG_PLACE_SLOTS_MAX; slot++) {
        if ((slots >> slot & 1) != 0) {
            (void) json_object_array_add(list, json_object_new_int(slot));
        }
    }
    return list;
}

json_object *pg_extent_document(const pg_extent_info *extent)
{
    json_object *object = json_object_new_object();
    json_object *holders = json_object_new_array();
    for (size_t i = 0; i < extent->holder_count; i++) {
        const pg_slot_holder *held = &extent->holders[i];
        json_object *holder = json_object_new_object();
        pg_field_add_peer(holder, "peer_id", &held->peer);
        pg_field_add(holder, "slots", slots_make(held->slots));
        pg_field_add_bool(holder, "is_reachable", held->is_reachable);
        pg_field_add_u64(holder, "expiry_s", held->expiry_s);
        (void) json_object_array_add(holders, holder);
    }
    pg_field_add_u64(object, "number", extent->number);
    pg_field_add_u64(object, "plain_bytes", extent->plain_bytes);
    pg_field_add_cid(object, "descriptor", &extent->descriptor);
    code_add(object, extent->code);
    pg_field_add(object, "holders", holders);
    return object;
}
