// SPDX-License-Identifier: Apache-2.0
// `pangea run`: the node itself, in this process, until it is told to stop.
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/data_folder.h"
#include "cli/invocation.h"
#include "cli/log_sink.h"
#include "cli/passphrase.h"
#include "node/node.h"
#include "runtime/runtime.h"

/** One run. */
typedef struct node_start {
    pg_invocation *invocation;
    pg_buf data;
    pg_secret passphrase;
    char *settings[PG_REPEATED_MAX];
    size_t setting_count;
    pg_pseudonyms pseudonyms;
} node_start;

static pg_err on_config(const pg_config *config, void *user)
{
    node_start *self = user;
    return pg_log_sink_start(config, (const char *) self->data.ptr, &self->pseudonyms);
}

static void on_identity_made(const char *data, void *user)
{
    const node_start *self = user;
    pg_output_note(&self->invocation->output, "made a new identity in %s", data);
}

static void on_ready(pg_str document, void *user)
{
    const node_start *self = user;
    (void) fprintf(self->invocation->output.result, "%.*s", PG_STR_ARGS(document));
    (void) fflush(self->invocation->output.result);
}

// `--listen ADDR` and `--set KEY=VALUE` in their order; both replace what the file says.
static pg_err settings_read(node_start *self)
{
    size_t position = 0;
    const char *value = NULL;
    while ((value = pg_invocation_next(self->invocation, "listen", &position)) != NULL) {
        pg_buf pair = {0};
        PG_TRY(pg_buf_printf(&pair, "net.listen=%s", value));
        self->settings[self->setting_count++] = (char *) pair.ptr;
    }
    position = 0;
    while ((value = pg_invocation_next(self->invocation, "set", &position)) != NULL) {
        char *pair = pg_str_dup(pg_str_make(value));
        if (pair == NULL) {
            return PG_ERR_NOMEM;
        }
        self->settings[self->setting_count++] = pair;
    }
    return PG_OK;
}

static pg_err node_fiber(void *arg)
{
    node_start *self = arg;
    PG_TRY(pg_passphrase_read(self->invocation, false, &self->passphrase));
    const pg_node_options options = {
        .data = (const char *) self->data.ptr,
        .config_file = pg_invocation_option(self->invocation, "config"),
        .settings = (const char *const *) self->settings,
        .setting_count = self->setting_count,
        .ready_file = pg_invocation_option(self->invocation, "ready-file"),
        .passphrase = pg_secret_bytes(&self->passphrase),
        .version = PANGEA_VERSION,
        .pseudonyms = &self->pseudonyms,
        .on_config = on_config,
        .on_ready = on_ready,
        .on_identity_made = on_identity_made,
        .user = self,
    };
    return pg_node_run(&options);
}

static pg_err run_run(pg_invocation *invocation)
{
    node_start self = {.invocation = invocation};
    pg_err err = pg_data_folder(invocation, &self.data);
    if (err == PG_OK) {
        err = settings_read(&self);
    }
    if (err == PG_OK) {
        err = pg_runtime_run(NULL, node_fiber, &self);
    }
    pg_log_sink_stop();
    pg_pseudonyms_deinit(&self.pseudonyms);
    pg_secret_deinit(&self.passphrase);
    for (size_t i = 0; i < self.setting_count; i++) {
        pg_mfree(self.settings[i]);
    }
    pg_buf_deinit(&self.data);
    return err;
}

static const pg_option run_options[] = {
    {"config", 0, PG_VALUE_KIND_FILE, "FILE", "settings (pangea.conf in the data directory)"},
    {"listen", 0, PG_VALUE_KIND_TEXTS, "MULTIADDR", "listen here; may be given several times"},
    {"set", 0, PG_VALUE_KIND_SETTINGS, "KEY=VALUE", "one setting; may be given several times"},
    {"ready-file", 0, PG_VALUE_KIND_FILE, "FILE", "write what it prints to FILE too, once ready"},
    PG_PASSPHRASE_OPTION,
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_run = {
    .name = "run",
    .summary = "run the node until it is told to stop",
    .description =
        "Prints one JSON object once the node accepts connections: its peer_id, its addrs\n"
        "and the socket of its local API. An identity is made where there is none. SIGTERM\n"
        "and Ctrl-C let what runs finish first (net.drain_timeout), a second one does not;\n"
        "SIGHUP rereads the settings.",
    .example = "pangea run --listen /ip4/0.0.0.0/tcp/4417 --set log.level=debug",
    .options = run_options,
    .run = run_run,
};
