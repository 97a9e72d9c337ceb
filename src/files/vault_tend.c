// SPDX-License-Identifier: Apache-2.0
// What happens to what is archived: it follows the grants of its owner, is read back in part now and then, and goes when its lease has been over for as
// long as hosts wait. And the probe, by which an operator sees whether the settings work.
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "files/limits.h"
#include "files/vault_priv.h"
#include "runtime/random.h"
#include "runtime/time.h"

// ---- Deleting

static pg_err on_object(const char *name, uint64_t bytes, void *user)
{
    (void) bytes;
    return pg_buf_append(user, pg_bytes_make(name, strlen(name) + 1));
}

static pg_err prefix_remove(pg_vault *vault, const char *prefix)
{
    pg_buf names PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL};
    PG_TRY(vault->objects.list(vault->objects.self, prefix, on_object, &names));
    for (size_t at = 0; at < names.len;) {
        const char *name = (const char *) names.ptr + at;
        PG_TRY(vault->objects.remove(vault->objects.self, name));
        at += strlen(name) + 1;
    }
    return PG_OK;
}

static bool is_root_of_another(const pg_vault *vault, const pg_vault_row *row)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&vault->rows, &cursor)) {
        const pg_vault_row *other = cursor.value;
        if (other != row && (pg_cid_equal(&other->root, &row->root) ||
                             pg_cid_equal(&other->descriptor, &row->root))) {
            return true;
        }
    }
    return false;
}

/** Delete the objects, then the row: who is interrupted deletes once more. */
static pg_err extent_remove(pg_vault *vault, pg_vault_row *row)
{
    char prefix[PG_VAULT_NAME_BYTES];
    pg_vault_prefix(&row->descriptor, prefix);
    PG_TRY(prefix_remove(vault, prefix));
    if (row->root.len > 0 && !is_root_of_another(vault, row)) {
        pg_vault_prefix(&row->root, prefix);
        PG_TRY(prefix_remove(vault, prefix));
    }
    PG_TRY(pg_vault_row_remove(vault->config.files->config.db, &row->descriptor));
    pg_vault_close(vault, &row->descriptor);
    pg_vault_index(vault, row, false);
    (void) pg_map_take(&vault->rows, pg_cid_bytes(&row->descriptor));
    pg_mfree(row);
    vault->mark++;
    vault->totals.deleted_total++;
    return PG_OK;
}

// ---- Grants

/** Follow the newest grant that the DHTs know, of what is not kept here any more. *out_dropped: its owner wants it no more. */
static pg_err grant_follow(pg_vault *vault, pg_vault_row *row, bool *out_dropped)
{
    pg_files *files = vault->config.files;
    pg_buf encoded PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_PLACE_SIGNED_BYTES_MAX};
    pg_lease_grant grant;
    if (pg_now() < row->ask_at) {
        return PG_OK;
    }
    // Often at first: that the lease went was likely told together with a grant, which is on its way into the DHTs.
    uint64_t wait_s = (uint64_t) PG_VAULT_GRANT_FIRST_S << (row->asks < 16 ? row->asks : 16);
    row->ask_at = pg_after(PG_SECONDS(wait_s < PG_VAULT_GRANT_S ? wait_s : PG_VAULT_GRANT_S));
    row->asks++;
    if (pg_files_newest_grant(files, row->lease_key, &encoded) != PG_OK ||
        pg_lease_grant_decode(pg_buf_bytes(&encoded), &grant) != PG_OK ||
        memcmp(grant.lease_key, row->lease_key, sizeof(grant.lease_key)) != 0 ||
        !pg_cid_equal(&grant.descriptor, &row->descriptor) || grant.sequence <= row->sequence) {
        return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
    }
    row->sequence = grant.sequence;
    *out_dropped = grant.expiry_s == 0;
    if (*out_dropped) {
        return PG_OK;
    }
    row->expiry_s = grant.expiry_s;
    return pg_vault_row_write(files->config.db, row);
}

// ---- Checks

static pg_err extent_check(pg_vault *vault, pg_vault_row *row, pg_vault_round *round)
{
    pg_err err = pg_vault_verify(vault, row);
    round->checked++;
    if (err == PG_ERR_CORRUPT) {
        pg_buf detail = {.ptr = NULL};
        pg_ignore(pg_buf_printf(&detail, "archive: %s", pg_error_detail(err)), "then without it");
        round->damaged++;
        row->state = PG_VAULT_STATE_DAMAGED;
        vault->mark++;
        pg_log(PG_LOG_LEVEL_WARN, "vault.damaged", PG_LOG_STR("detail", pg_error_detail(err)));
        PG_TRY(pg_vault_row_write(vault->config.files->config.db, row));
        pg_guard_note(vault->config.guard, &row->descriptor, "damaged", &detail);
        return PG_OK;
    }
    pg_vault_note(vault, err);
    if (err != PG_OK) {
        return err == PG_ERR_CANCELLED ? err : PG_OK;
    }
    row->checked_s = pg_guard_now_s();
    return pg_vault_row_write(vault->config.files->config.db, row);
}

static pg_err row_tend(pg_vault *vault, pg_vault_row *row, bool all, pg_vault_round *round)
{
    uint64_t now_s = pg_guard_now_s();
    bool is_dropped = row->is_dropped;
    if (!is_dropped && row->round != vault->totals.rounds_total) {
        PG_TRY(grant_follow(vault, row, &is_dropped));
    }
    bool is_over =
        row->expiry_s + PG_VAULT_GRACE_S < now_s &&
        pg_place_server_get_stats(vault->config.place).quiet_s == 0; // the clock is right
    if (is_dropped || is_over) {
        pg_err err = extent_remove(vault, row);
        round->deleted += err == PG_OK ? 1 : 0;
        pg_vault_note(vault, err);
        return err == PG_ERR_CANCELLED ? err : PG_OK;
    }
    if (row->state == PG_VAULT_STATE_STORED && (all || row->checked_s + PG_VAULT_CHECK_S < now_s)) {
        return extent_check(vault, row, round);
    }
    return PG_OK;
}

pg_err pg_vault_tend(pg_vault *vault, bool all, pg_vault_round *round)
{
    pg_buf names PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL}; // the map changes on the way
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&vault->rows, &cursor)) {
        const pg_vault_row *row = cursor.value;
        PG_TRY(pg_buf_append(&names, pg_bytes_make(&row->descriptor, sizeof(row->descriptor))));
    }
    for (size_t at = 0; at + sizeof(pg_cid) <= names.len; at += sizeof(pg_cid)) {
        pg_cid descriptor;
        memcpy(&descriptor, names.ptr + at, sizeof(descriptor));
        pg_vault_row *row = pg_vault_row_of(vault, &descriptor);
        PG_TRY(row == NULL ? PG_OK : row_tend(vault, row, all, round));
    }
    return PG_OK;
}

// ---- The probe

static pg_err on_probe(const char *name, uint64_t bytes, void *user)
{
    bool *is_there = user;
    (void) name;
    *is_there = bytes == PG_KEY_BYTES;
    return PG_OK;
}

static pg_err probe_read(const pg_objects *objects, const char *name, const pg_key *content)
{
    const pg_object_range range = {3, 5};
    pg_buf got PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_KEY_BYTES};
    pg_buf part PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_KEY_BYTES};
    uint64_t bytes = 0;
    bool is_listed = false;
    PG_TRY(pg_error_wrap(objects->get(objects->self, name, NULL, &got), "reading (GET)"));
    PG_TRY(pg_error_wrap(objects->get(objects->self, name, &range, &part),
                         "reading a part (GET with a range)"));
    if (!pg_bytes_equal(pg_buf_bytes(&got), pg_key_bytes(content)) ||
        !pg_bytes_equal(pg_buf_bytes(&part), pg_bytes_make(content->bytes + 3, 5))) {
        return pg_fail(PG_ERR_CORRUPT, "reading (GET): what comes back is not what was put");
    }
    PG_TRY(pg_error_wrap(objects->head(objects->self, name, &bytes), "asking (HEAD)"));
    PG_TRY(pg_error_wrap(objects->list(objects->self, name, on_probe, &is_listed),
                         "listing (GET of the bucket)"));
    return is_listed && bytes == PG_KEY_BYTES
               ? PG_OK
               : pg_fail(PG_ERR_UNFIT, "listing: the object that was just put is not there");
}

static pg_err probe_run(const pg_objects *objects)
{
    char name[PG_VAULT_NAME_BYTES];
    pg_key content;
    pg_key_random(&content);
    (void) snprintf(name, sizeof(name), "v1/test-%016llx", (unsigned long long) pg_random_u64());
    PG_TRY(
        pg_error_wrap(objects->put(objects->self, name, pg_key_bytes(&content)), "writing (PUT)"));
    pg_err err = probe_read(objects, name, &content);
    const pg_error_record kept = pg_error_keep();
    pg_err removed = pg_error_wrap(objects->remove(objects->self, name), "deleting (DELETE)");
    return err == PG_OK ? removed : pg_error_again(&kept, err);
}

pg_err pg_vault_probe(pg_vault *vault)
{
    PG_TRY(pg_vault_enter(vault));
    pg_err err = probe_run(&vault->objects);
    pg_vault_note(vault, err);
    pg_vault_leave(vault);
    return err;
}
