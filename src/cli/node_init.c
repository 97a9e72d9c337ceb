// SPDX-License-Identifier: Apache-2.0
// `pangea init` and `pangea id`: make an identity, and show it. Both work without a running node.
#include "base/str.h"
#include "cli/command.h"
#include "cli/data_folder.h"
#include "cli/invocation.h"
#include "cli/passphrase.h"
#include "crypto/peer_id_text.h"
#include "node/data.h"

static void identity_tell(const pg_invocation *invocation, const pg_keystore *keystore)
{
    char device[PG_PEER_ID_TEXT_BYTES];
    char person[PG_PEER_ID_TEXT_BYTES];
    pg_peer_id_format(&keystore->device.peer_id, device);
    pg_peer_id_format(&keystore->person.peer_id, person);
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "peer_id", json_object_new_string(device));
    (void) json_object_object_add(object, "person_id", json_object_new_string(person));
    pg_output_object(&invocation->output, object);
    pg_output_line(&invocation->output, "peer    %s", device);
    pg_output_line(&invocation->output, "person  %s", person);
}

static pg_err identity_make(const char *folder, pg_bytes passphrase, pg_keystore *out_keystore)
{
    pg_data data = {0};
    PG_TRY(pg_data_open(folder, &data));
    pg_err err = pg_identity_make(folder, passphrase, out_keystore);
    pg_data_close(&data);
    return err;
}

static pg_err init_or_id(const pg_invocation *invocation, bool is_new)
{
    pg_buf folder = {0};
    pg_secret passphrase = {0};
    pg_keystore keystore = {0};
    pg_err err = pg_data_folder(invocation, &folder);
    if (err == PG_OK) {
        err = pg_passphrase_read(invocation, is_new, &passphrase);
    }
    if (err == PG_OK) {
        const char *path = (const char *) folder.ptr;
        pg_bytes secret = pg_secret_bytes(&passphrase);
        err = is_new ? identity_make(path, secret, &keystore)
                     : pg_identity_load(path, secret, &keystore);
    }
    if (err == PG_OK) {
        identity_tell(invocation, &keystore);
    }
    pg_keystore_deinit(&keystore);
    pg_secret_deinit(&passphrase);
    pg_buf_deinit(&folder);
    return err;
}

static pg_err init_run(pg_invocation *invocation)
{
    return init_or_id(invocation, true);
}

static pg_err id_run(pg_invocation *invocation)
{
    return init_or_id(invocation, false);
}

static const pg_option identity_options[] = {
    PG_PASSPHRASE_OPTION,
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_init = {
    .name = "init",
    .summary = "make an identity in the data directory",
    .description =
        "Makes two keys: the person's, and this device's, which the person's certifies.\n"
        "Without a passphrase whoever can read the file (mode 0600) has them.",
    .example = "pangea init --passphrase-file -",
    .options = identity_options,
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
