// SPDX-License-Identifier: Apache-2.0
// `pangea backup` and `pangea restore`: a node as one file, and back. Beside a node that runs only its database comes from it, as a
// copy; all else of the directory is read from here.
#include "node/backup.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/backup_drill.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/data_folder.h"
#include "cli/invocation.h"
#include "cli/passphrase.h"
#include "node/data.h"
#include "node/node.h"
#include "node/storage.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/time.h"

/** A backup being made. */
typedef struct making {
    const pg_invocation *invocation;
    pg_buf folder; // NUL-terminated, as the paths below
    pg_buf file;
    pg_buf copy; // of the database; empty: there is none
    uint32_t schema;
    pg_data data; // when no node runs: nobody else gets in meanwhile
    pg_config config;
    bool has_config;
    pg_keystore identity;
    pg_buf keystore; // as it is to stand in the backup
    bool is_locked;
    pg_backup_sum sum;
} making;

// ---- Backup

// A folder gets a file named by the time.
static pg_err file_name(making *self)
{
    const char *named = self->invocation->arguments[0];
    pg_file_info info;
    pg_err err = pg_path_stat(named, &info);
    if (err == PG_OK && info.type == PG_FILE_TYPE_FOLDER) {
        return pg_buf_printf(&self->file, "%s/pangea-%lld.backup", named,
                             (long long) (pg_wall_ms() / 1000));
    }
    if (err != PG_OK && err != PG_ERR_NOT_FOUND) {
        return err;
    }
    return pg_buf_printf(&self->file, "%s", named);
}

static pg_err identity_take(making *self)
{
    const char *folder = (const char *) self->folder.ptr;
    pg_secret passphrase = {0};
    pg_secret lock = {0};
    pg_err err = pg_passphrase_read(self->invocation, false, &passphrase);
    if (err == PG_OK) {
        err = pg_passphrase_read_option(self->invocation, "lock-file", true, &lock);
    }
    if (err == PG_OK) {
        err = pg_identity_load(folder, pg_secret_bytes(&passphrase), &self->identity);
    }
    if (err == PG_OK && lock.len > 0) {
        self->is_locked = true;
        err = pg_identity_lock(&self->identity, pg_secret_bytes(&lock), &self->keystore);
    } else if (err == PG_OK) {
        err = pg_identity_file(folder, &self->keystore, &self->is_locked);
    }
    pg_secret_deinit(&passphrase);
    pg_secret_deinit(&lock);
    return err;
}

static pg_err copy_alone(making *self)
{
    const char *folder = (const char *) self->folder.ptr;
    pg_storage storage = {0};
    PG_TRY(pg_data_open(folder, &self->data));
    pg_err err = pg_storage_inspect_database(&storage, folder, &self->identity);
    if (err == PG_OK && storage.db != NULL) {
        self->schema = pg_db_version(storage.db);
        err = pg_storage_copy_database(&storage, folder, &self->identity, &self->copy);
    }
    pg_storage_close(&storage);
    return err;
}

static pg_err database_copy(making *self)
{
    json_object *answer = NULL;
    pg_err err = pg_client_ask(self->invocation, "POST", "/api/v1/backup", NULL, &answer);
    if (err == PG_ERR_NO_NODE) {
        return copy_alone(self);
    }
    PG_TRY(err);
    // The node says where it is from its own point of view; the name is what counts.
    const char *slash = strrchr(pg_answer_text(answer, "path"), '/');
    self->schema = (uint32_t) pg_answer_u64(answer, "version");
    err = slash == NULL ? pg_fail(PG_ERR_PROTOCOL, "the node's answer names no file")
                        : pg_data_name((const char *) self->folder.ptr, slash + 1, &self->copy);
    json_object_put(answer);
    return err;
}

static pg_err backup_make(making *self)
{
    const pg_node_options options = {.data = (const char *) self->folder.ptr,
                                     .config_file =
                                         pg_invocation_option(self->invocation, "config")};
    PG_TRY(file_name(self));
    PG_TRY(pg_node_configure(&options, &self->config));
    self->has_config = true;
    PG_TRY(identity_take(self));
    PG_TRY(database_copy(self));
    const pg_backup_source source = {
        .data = (const char *) self->folder.ptr,
        .identity = &self->identity,
        .keystore = pg_buf_bytes(&self->keystore),
        .config = &self->config,
        .database = self->copy.len == 0 ? NULL : (const char *) self->copy.ptr,
        .schema = self->schema,
        .with_blocks = pg_invocation_has(self->invocation, "blocks"),
        .program = PANGEA_VERSION,
    };
    return pg_backup_write(&source, (const char *) self->file.ptr, &self->sum);
}

static void backup_tell(const making *self)
{
    const pg_output *output = &self->invocation->output;
    const char *file = (const char *) self->file.ptr;
    char size[PG_SIZE_TEXT_BYTES];
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "file", json_object_new_string(file));
    (void) json_object_object_add(object, "bytes",
                                  json_object_new_int64((int64_t) self->sum.bytes));
    (void) json_object_object_add(object, "schema", json_object_new_int64(self->schema));
    (void) json_object_object_add(object, "has_blocks",
                                  json_object_new_boolean(self->sum.has_blocks));
    (void) json_object_object_add(object, "is_locked", json_object_new_boolean(self->is_locked));
    pg_size_format(self->sum.bytes, size);
    pg_output_line(
        output, "%s: %s, identity%s%s%s%s", file, size, self->sum.has_settings ? ", settings" : "",
        self->sum.has_network_key ? ", network's key" : "",
        self->sum.has_database ? ", database" : "", self->sum.has_blocks ? ", blocks" : "");
    if (!self->is_locked) {
        pg_output_warn(output, "the identity in it has no passphrase: whoever gets the file is "
                               "you. Keep it as a secret, or lock the copy: --lock-file -");
    }
    pg_output_note(output, "prove it now and then: pangea backup --verify '%s'", file);
    pg_output_object(output, object);
}

static void making_end(making *self)
{
    pg_fiber_shield(true);
    if (self->copy.len > 0) {
        pg_ignore(pg_path_remove((const char *) self->copy.ptr), "the next one replaces it");
    }
    pg_data_close(&self->data);
    pg_fiber_shield(false);
    pg_keystore_deinit(&self->identity);
    if (self->keystore.ptr != NULL) {
        pg_wipe(self->keystore.ptr, self->keystore.cap);
    }
    if (self->has_config) {
        pg_config_deinit(&self->config);
    }
    pg_buf_deinit(&self->keystore);
    pg_buf_deinit(&self->copy);
    pg_buf_deinit(&self->file);
    pg_buf_deinit(&self->folder);
}

static pg_err backup_run(pg_invocation *invocation)
{
    if (pg_invocation_has(invocation, "verify")) {
        return pg_backup_drill(invocation, invocation->arguments[0]);
    }
    making *self = PG_NEW(making); // larger than a frame should be
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->invocation = invocation;
    pg_err err = pg_data_folder(invocation, &self->folder);
    if (err == PG_OK) {
        err = backup_make(self);
    }
    if (err == PG_OK) {
        backup_tell(self);
    }
    making_end(self);
    pg_mfree(self);
    return err;
}

// ---- Restore

static pg_err version_check(const pg_backup *backup)
{
    return backup->head.schema <= pg_storage_schema_version()
               ? PG_OK
               : pg_fail(PG_ERR_UNSUPPORTED,
                         "%s was made by pangea %.*s, whose database has version %llu; this "
                         "program knows up to %u: restore with that program or a newer one",
                         backup->file, PG_STR_ARGS(backup->head.program),
                         (unsigned long long) backup->head.schema, pg_storage_schema_version());
}

static void restore_tell(const pg_invocation *invocation, const pg_backup *backup,
                         const char *folder)
{
    json_object *object = json_object_new_object();
    const pg_str device = backup->head.device;
    (void) json_object_object_add(object, "data", json_object_new_string(folder));
    (void) json_object_object_add(object, "peer_id",
                                  json_object_new_string_len(device.ptr, (int) device.len));
    (void) json_object_object_add(object, "made_s",
                                  json_object_new_int64((int64_t) backup->head.made_s));
    (void) json_object_object_add(object, "has_blocks",
                                  json_object_new_boolean(backup->sum.has_blocks));
    pg_output_line(&invocation->output, "%s is node %.*s as it was", folder, PG_STR_ARGS(device));
    pg_output_warn(&invocation->output,
                   "never run it while the old one runs: two nodes with one identity spoil each "
                   "other's connections and promises. For a second device of yours: `pangea init "
                   "--restore`");
    pg_output_object(&invocation->output, object);
}

static pg_err restore_run(pg_invocation *invocation)
{
    pg_buf folder = {0};
    pg_secret passphrase = {0};
    pg_backup backup = {.file = NULL};
    pg_err err = pg_data_folder(invocation, &folder);
    if (err == PG_OK) {
        err = pg_passphrase_read(invocation, false, &passphrase);
    }
    if (err == PG_OK) {
        err = pg_backup_read(invocation->arguments[0], pg_secret_bytes(&passphrase), &backup);
    }
    if (err == PG_OK) {
        err = version_check(&backup);
    }
    if (err == PG_OK) {
        err = pg_backup_place(&backup, (const char *) folder.ptr);
    }
    if (err == PG_OK) {
        restore_tell(invocation, &backup, (const char *) folder.ptr);
    }
    pg_backup_close(&backup);
    pg_secret_deinit(&passphrase);
    pg_buf_deinit(&folder);
    return err;
}

static const pg_option backup_options[] = {
    {"blocks", 0, PG_VALUE_KIND_NONE, NULL, "the blocks too: all that this node keeps"},
    {"verify", 0, PG_VALUE_KIND_NONE, NULL, "prove a backup instead of making one"},
    {"lock-file", 0, PG_VALUE_KIND_FILE, "FILE",
     "lock the copy by this passphrase, first line of FILE (- to be asked)"},
    {"config", 0, PG_VALUE_KIND_FILE, "FILE", "settings (pangea.conf in the data directory)"},
    PG_PASSPHRASE_OPTION,
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

static const pg_argument backup_arguments[] = {{"FILE", PG_VALUE_KIND_FILE, false, false},
                                               {NULL, PG_VALUE_KIND_NONE, false, false}};

const pg_command pg_command_backup = {
    .name = "backup",
    .summary = "write this node into one file, or prove such a file",
    .description =
        "Identity, settings, the network's key and the database, with --blocks also what is\n"
        "stored, as of one moment; a node may run meanwhile. Everything but the identity is\n"
        "sealed under the owner's secret; the identity keeps its passphrase, or gets the one\n"
        "of --lock-file. FILE must not be there; a folder gets a file named by the time.\n"
        "\n"
        "With --verify the file is restored beside itself, opened as a node would, looked\n"
        "through, compared with the running node, and what was restored is removed again.",
    .example = "pangea backup /mnt/usb --lock-file -\n"
               "pangea backup --verify /mnt/usb/pangea-1795776000.backup --passphrase-file -",
    .arguments = backup_arguments,
    .options = backup_options,
    .run = backup_run,
    .waits = true,
};

static const pg_option restore_options[] = {
    PG_PASSPHRASE_OPTION,
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_restore = {
    .name = "restore",
    .summary = "make a data directory of a backup",
    .description =
        "Every digest is checked before anything is placed; the directory of --data has to be\n"
        "empty or not there, and is whole or as before. The old node must not run any more.",
    .example = "pangea restore /mnt/usb/pangea-1795776000.backup --data ~/.local/share/pangea",
    .arguments = backup_arguments,
    .options = restore_options,
    .run = restore_run,
    .waits = true,
};
