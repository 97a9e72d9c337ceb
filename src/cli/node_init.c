// SPDX-License-Identifier: Apache-2.0
// `pangea init` and `pangea id`: make an identity, restore it from its secret, show it. Both work without a running node.
#include "base/str.h"
#include "cli/command.h"
#include "cli/data_folder.h"
#include "cli/invocation.h"
#include "cli/passphrase.h"
#include "crypto/peer_id_text.h"
#include "crypto/recovery.h"
#include "node/data.h"

static void identity_tell(const pg_invocation *invocation, const pg_keystore *keystore,
                          bool with_secret)
{
    char device[PG_PEER_ID_TEXT_BYTES];
    char person[PG_PEER_ID_TEXT_BYTES];
    char secret[PG_RECOVERY_TEXT_BYTES] = "";
    pg_peer_id_format(&keystore->device.peer_id, device);
    pg_peer_id_format(&keystore->person.peer_id, person);
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "peer_id", json_object_new_string(device));
    (void) json_object_object_add(object, "person_id", json_object_new_string(person));
    if (with_secret) {
        pg_recovery_format(keystore, secret);
        (void) json_object_object_add(object, "secret", json_object_new_string(secret));
        pg_output_warn(
            &invocation->output,
            "whoever has the secret is you: reads and removes all your files. Write it down,"
            " keep it from others");
    }
    pg_output_object(&invocation->output, object);
    pg_output_line(&invocation->output, "peer    %s", device);
    pg_output_line(&invocation->output, "person  %s", person);
    if (with_secret) {
        pg_output_line(&invocation->output, "secret  %s", secret);
    }
    pg_wipe(secret, sizeof(secret));
}

/** Make, show or restore an identity in the folder. */
typedef pg_err (*identity_fn)(const pg_invocation *invocation, const char *folder,
                              pg_bytes passphrase, pg_keystore *out_keystore);

static pg_err identity_make(const pg_invocation *invocation, const char *folder,
                            pg_bytes passphrase, pg_keystore *out_keystore)
{
    pg_data data = {0};
    (void) invocation;
    PG_TRY(pg_data_open(folder, &data));
    pg_err err = pg_identity_make(folder, passphrase, out_keystore);
    pg_data_close(&data);
    return err;
}

static pg_err identity_show(const pg_invocation *invocation, const char *folder,
                            pg_bytes passphrase, pg_keystore *out_keystore)
{
    (void) invocation;
    return pg_identity_load(folder, passphrase, out_keystore);
}

static pg_err seeds_read(const pg_invocation *invocation, pg_keystore_seeds *out_seeds)
{
    pg_secret text = {0};
    PG_TRY(pg_secret_text_read(invocation, &text));
    pg_err err = pg_recovery_parse(pg_str_make_len((const char *) text.ptr, text.len), out_seeds);
    pg_secret_deinit(&text);
    return err;
}

static pg_err identity_restore(const pg_invocation *invocation, const char *folder,
                               pg_bytes passphrase, pg_keystore *out_keystore)
{
    pg_data data = {0};
    pg_keystore_seeds seeds;
    PG_TRY(seeds_read(invocation, &seeds));
    pg_err err = pg_data_open(folder, &data);
    if (err == PG_OK) {
        err = pg_identity_restore(folder, &seeds, passphrase, out_keystore);
        pg_data_close(&data);
    }
    pg_wipe(&seeds, sizeof(seeds));
    return err;
}

static pg_err identity_run(const pg_invocation *invocation, bool is_new, identity_fn run)
{
    pg_buf folder = {0};
    pg_secret passphrase = {0};
    pg_keystore keystore = {0};
    pg_err err = pg_data_folder(invocation, &folder);
    if (err == PG_OK) {
        err = pg_passphrase_read(invocation, is_new, &passphrase);
    }
    if (err == PG_OK) {
        err = run(invocation, (const char *) folder.ptr, pg_secret_bytes(&passphrase), &keystore);
    }
    if (err == PG_OK) {
        identity_tell(invocation, &keystore, !is_new && pg_invocation_has(invocation, "secret"));
    }
    pg_keystore_deinit(&keystore);
    pg_secret_deinit(&passphrase);
    pg_buf_deinit(&folder);
    return err;
}

static pg_err init_run(pg_invocation *invocation)
{
    bool restores = pg_invocation_has(invocation, "restore");
    if (!restores && pg_invocation_has(invocation, "secret-file")) {
        return pg_fail(PG_ERR_INVALID, "--secret-file goes with --restore");
    }
    PG_TRY(identity_run(invocation, true, restores ? identity_restore : identity_make));
    if (restores) {
        pg_output_note(&invocation->output,
                       "`pangea run` finds your files when it meets other nodes; `pangea ls` shows"
                       " how far it is");
    }
    return PG_OK;
}

static pg_err id_run(pg_invocation *invocation)
{
    return identity_run(invocation, false, identity_show);
}

static const pg_option init_options[] = {
    PG_PASSPHRASE_OPTION,
    {"restore", 0, PG_VALUE_KIND_NONE, NULL, "be a person again whose secret you have"},
    {"secret-file", 0, PG_VALUE_KIND_FILE, "FILE",
     "the secret, first line of FILE (- to be asked, which is the default)"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

static const pg_option identity_options[] = {
    PG_PASSPHRASE_OPTION,
    {"secret", 0, PG_VALUE_KIND_NONE, NULL, "show the secret too, from which all can be restored"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_init = {
    .name = "init",
    .summary = "make an identity in the data directory",
    .description =
        "Makes two keys: the person's, and this device's, which the person's certifies.\n"
        "Without a passphrase whoever can read the file (mode 0600) has them.\n"
        "With --restore the person's key comes from the secret that `pangea id --secret`\n"
        "showed, this device gets a new key, and the node finds the person's files again.\n"
        "The node will keep pieces of other people's files, up to storage.quota, as others\n"
        "keep its own; with `pangea config set node.mode view-only` it keeps none.",
    .example = "pangea init --passphrase-file -",
    .options = init_options,
    .run = init_run,
    .waits = true,
};

const pg_command pg_command_id = {
    .name = "id",
    .summary = "show the identity in the data directory",
    .options = identity_options,
    .run = id_run,
    .waits = true,
};
