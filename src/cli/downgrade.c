// SPDX-License-Identifier: Apache-2.0
// `pangea downgrade`: an older program goes back to the database from before a newer one changed it.
#include "cli/command.h"
#include "cli/data_folder.h"
#include "cli/invocation.h"
#include "cli/passphrase.h"
#include "node/data.h"
#include "node/storage.h"

static void result_tell(const pg_output *output, uint32_t from, uint32_t to)
{
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "from", json_object_new_int64(from));
    (void) json_object_object_add(object, "to", json_object_new_int64(to));
    pg_output_line(output,
                   "the database has version %u again; that of version %u is kept as pangea.db.v%u",
                   to, from, from);
    pg_output_note(output,
                   "what changed since the upgrade comes back as far as other nodes know of it");
    pg_output_object(output, object);
}

static pg_err go_back(const pg_invocation *invocation, const char *folder)
{
    pg_secret passphrase = {0};
    pg_keystore identity = {0};
    pg_data data = {0};
    uint32_t from = 0;
    uint32_t to = 0;
    pg_err err = pg_passphrase_read(invocation, false, &passphrase);
    if (err == PG_OK) {
        err = pg_identity_load(folder, pg_secret_bytes(&passphrase), &identity);
    }
    if (err == PG_OK) {
        err = pg_data_open(folder, &data);
    }
    if (err == PG_OK) {
        err = pg_storage_downgrade(folder, &identity, &from, &to);
    }
    if (err == PG_OK) {
        result_tell(&invocation->output, from, to);
    }
    pg_data_close(&data);
    pg_keystore_deinit(&identity);
    pg_secret_deinit(&passphrase);
    return err;
}

static pg_err downgrade_run(pg_invocation *invocation)
{
    pg_buf folder = {0};
    pg_err err = pg_data_folder(invocation, &folder);
    if (err == PG_OK) {
        err = go_back(invocation, (const char *) folder.ptr);
    }
    pg_buf_deinit(&folder);
    return err;
}

static const pg_option downgrade_options[] = {
    PG_PASSPHRASE_OPTION,
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_downgrade = {
    .name = "downgrade",
    .summary = "go back to the database from before a newer program changed it",
    .description =
        "For a program that finds a database too new for it. The newest copy it can read,\n"
        "which the upgrade kept for 30 days, takes the place of the database, which becomes a\n"
        "copy in turn: running the newer program upgrades once more. No node may run.",
    .example = "pangea downgrade",
    .options = downgrade_options,
    .run = downgrade_run,
    .waits = true,
};
