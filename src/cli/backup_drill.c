// SPDX-License-Identifier: Apache-2.0
#include "cli/backup_drill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/file_pages.h"
#include "cli/passphrase.h"
#include "codec/cid.h"
#include "files/catalogue.h"
#include "files/local.h"
#include "node/backup.h"
#include "node/data.h"
#include "node/storage.h"
#include "runtime/fiber.h"
#include "runtime/folder.h"
#include "runtime/offload.h"

#define SAMPLE_FILES 8 // that are opened

/** What a drill found. */
typedef struct drill {
    pg_backup backup;
    pg_buf scratch; // NUL-terminated
    bool has_database;
    uint32_t version;
    pg_local_sum local;
    bool has_blocks;
    pg_block_check blocks;
    bool is_compared;
    uint64_t live_files;
    uint64_t live_common; // files of the backup that the running node has too
    pg_buf live;          // roots of its files, live_root[], sorted
} drill;

/** A root as text, with its NUL. */
typedef char live_root[PG_CID_TEXT_BYTES];

static int root_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool is_live(const drill *self, const live_root root)
{
    return self->live_files > 0 &&
           bsearch(root, self->live.ptr, self->live_files, sizeof(live_root), root_compare) != NULL;
}

// Which files of the backup the running node has too.
static pg_err files_compare(drill *self, pg_db *db)
{
    int64_t *ids = NULL;
    size_t count = 0;
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    pg_err err =
        entry == NULL ? PG_ERR_NOMEM : pg_catalogue_files(db, PG_CATALOGUE_LISTED, &ids, &count);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        live_root root;
        err = pg_catalogue_row(db, ids[i], entry);
        if (err == PG_OK) {
            pg_cid_format(&entry->link.root, root);
            self->live_common += is_live(self, root) ? 1 : 0;
            pg_file_entry_deinit(entry);
        }
    }
    pg_mfree(ids);
    pg_mfree(entry);
    return err;
}

static pg_err storage_prove(drill *self, pg_storage *storage)
{
    self->has_database = storage->db != NULL;
    self->has_blocks = storage->blocks != NULL;
    if (self->has_database) {
        PG_TRY(pg_db_check(storage->db));
        self->version = pg_db_version(storage->db);
    }
    if (self->has_blocks) { // first, since reading a file drops what it finds damaged
        PG_TRY(pg_block_store_check(storage->blocks, 0, &self->blocks));
    }
    if (self->has_database) {
        PG_TRY(pg_files_open_local(storage->db, storage->blocks, SAMPLE_FILES, &self->local));
        PG_TRY(self->is_compared ? files_compare(self, storage->db) : PG_OK);
    }
    if (self->local.damaged > 0 || self->blocks.damaged > 0) {
        return pg_fail(PG_ERR_CORRUPT,
                       "of the files %llu, of the blocks %llu are not what they were: the "
                       "directory was damaged when the backup was made (`pangea doctor --deep`)",
                       (unsigned long long) self->local.damaged,
                       (unsigned long long) self->blocks.damaged);
    }
    return self->version == self->backup.head.schema
               ? PG_OK
               : pg_fail(PG_ERR_CORRUPT, "the database has version %u, the list says %llu",
                         self->version, (unsigned long long) self->backup.head.schema);
}

// As a node does it: the lock, the identity as it stands there, its database and blocks.
static pg_err scratch_prove(drill *self, pg_bytes passphrase)
{
    const char *folder = (const char *) self->scratch.ptr;
    pg_data data = {0};
    pg_keystore identity = {0};
    pg_storage storage = {0};
    pg_config config;
    PG_TRY(pg_config_init(&config));
    pg_err err = pg_data_open(folder, &data);
    if (err == PG_OK) {
        err = pg_identity_load(folder, passphrase, &identity);
    }
    if (err == PG_OK) {
        err = pg_storage_inspect(&storage, folder, &identity, &config);
    }
    if (err == PG_OK) {
        err = storage_prove(self, &storage);
    }
    pg_storage_close(&storage);
    pg_keystore_deinit(&identity);
    pg_data_close(&data);
    pg_config_deinit(&config);
    return err;
}

static pg_err scratch_remove(void *arg)
{
    const drill *self = arg;
    const char *path = (const char *) self->scratch.ptr;
    const char *slash = strrchr(path, '/');
    char *parent =
        slash == NULL
            ? pg_str_dup(PG_STR("."))
            : pg_str_dup(pg_str_make_len(path, slash == path ? 1 : (size_t) (slash - path)));
    pg_folder *folder = NULL;
    pg_err err = parent == NULL ? PG_ERR_NOMEM : pg_folder_open(parent, &folder);
    if (err == PG_OK) {
        err = pg_folder_remove(folder, slash == NULL ? path : slash + 1);
    }
    pg_folder_free(&folder);
    pg_mfree(parent);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

static pg_err live_list(drill *self, const pg_invocation *invocation)
{
    pg_file_pages pages;
    pg_err err = PG_OK;
    pg_file_pages_begin(&pages, invocation);
    while (pg_file_pages_next(&pages, &err)) {
        for (size_t i = 0; i < pg_answer_count(pages.files) && err == PG_OK; i++) {
            live_root root = {0};
            (void) snprintf(root, sizeof(root), "%s",
                            pg_answer_text(json_object_array_get_idx(pages.files, i), "root"));
            err = pg_buf_append(&self->live, PG_BYTES_OF(root));
        }
        if (err != PG_OK) {
            break;
        }
    }
    pg_file_pages_end(&pages);
    self->live_files = self->live.len / sizeof(live_root);
    if (self->live_files > 0) {
        qsort(self->live.ptr, self->live_files, sizeof(live_root), root_compare);
    }
    return err;
}

// What the node it was made of has, if that one runs.
static pg_err live_ask(drill *self, const pg_invocation *invocation)
{
    json_object *node = NULL;
    pg_err err = pg_client_ask(invocation, "GET", "/api/v1/node", NULL, &node);
    if (err != PG_OK) {
        return err == PG_ERR_NO_NODE ? PG_OK : err;
    }
    pg_str peer = pg_str_make(pg_answer_text(node, "peer_id"));
    self->is_compared = pg_str_equal(peer, self->backup.head.device);
    json_object_put(node);
    return self->is_compared ? live_list(self, invocation) : PG_OK;
}

static void result_tell(const drill *self, const pg_output *output)
{
    const pg_backup_head *head = &self->backup.head;
    json_object *object = json_object_new_object();
    (void) json_object_object_add(
        object, "peer_id", json_object_new_string_len(head->device.ptr, (int) head->device.len));
    (void) json_object_object_add(object, "made_s", json_object_new_int64((int64_t) head->made_s));
    (void) json_object_object_add(object, "schema", json_object_new_int64((int64_t) head->schema));
    (void) json_object_object_add(object, "files",
                                  json_object_new_int64((int64_t) self->local.files));
    (void) json_object_object_add(
        object, "files_live",
        self->is_compared ? json_object_new_int64((int64_t) self->live_files) : NULL);
    (void) json_object_object_add(object, "files_opened",
                                  json_object_new_int64((int64_t) self->local.opened));
    (void) json_object_object_add(object, "files_on_hosts",
                                  json_object_new_int64((int64_t) self->local.on_hosts));
    (void) json_object_object_add(
        object, "blocks",
        self->has_blocks ? json_object_new_int64((int64_t) self->blocks.checked) : NULL);
    char live[96] = "";
    char blocks[160] = "; blocks are not in it";
    if (self->is_compared) {
        (void) snprintf(live, sizeof(live), " (%llu of them in the running node, which has %llu)",
                        (unsigned long long) self->live_common,
                        (unsigned long long) self->live_files);
    }
    if (self->has_blocks) {
        (void) snprintf(blocks, sizeof(blocks),
                        "; %llu files opened to the last byte, %llu are with hosts; each of %llu "
                        "blocks is as its digest says",
                        (unsigned long long) self->local.opened,
                        (unsigned long long) self->local.on_hosts,
                        (unsigned long long) self->blocks.checked);
    }
    pg_output_line(output,
                   "proved: restored and opened as %.*s; database version %u whole, %llu files "
                   "in it%s%s",
                   PG_STR_ARGS(head->device), self->version, (unsigned long long) self->local.files,
                   live, blocks);
    pg_output_object(output, object);
}

static pg_err drill_run(drill *self, const pg_invocation *invocation, const char *file,
                        pg_bytes passphrase)
{
    PG_TRY(pg_backup_read(file, passphrase, &self->backup));
    PG_TRY(pg_buf_printf(&self->scratch, "%s.drill", file));
    PG_TRY(live_ask(self, invocation));
    PG_TRY(pg_offload_io(scratch_remove, self)); // of a drill that was killed
    pg_err err = pg_backup_place(&self->backup, (const char *) self->scratch.ptr);
    if (err == PG_OK) {
        err = scratch_prove(self, passphrase);
    }
    const pg_error_record kept = pg_error_keep();
    pg_fiber_shield(true);
    pg_err removed = pg_offload_io(scratch_remove, self);
    pg_fiber_shield(false);
    if (err != PG_OK) {
        return pg_error_again(&kept, err);
    }
    return removed;
}

pg_err pg_backup_drill(const pg_invocation *invocation, const char *file)
{
    pg_secret passphrase = {0};
    drill *self = PG_NEW(drill);
    pg_err err = self == NULL ? PG_ERR_NOMEM : pg_passphrase_read(invocation, false, &passphrase);
    if (err == PG_OK) {
        err = drill_run(self, invocation, file, pg_secret_bytes(&passphrase));
    }
    if (err == PG_OK) {
        result_tell(self, &invocation->output);
    }
    if (self != NULL) {
        pg_buf_deinit(&self->live);
        pg_backup_close(&self->backup);
        pg_buf_deinit(&self->scratch);
    }
    pg_mfree(self);
    pg_secret_deinit(&passphrase);
    return err;
}
