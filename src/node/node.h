// SPDX-License-Identifier: Apache-2.0
// A running node: reads the configuration, builds every service in order, serves until it is told to stop, and takes them
// down in reverse. What it is told by signals: SIGTERM and SIGINT stop (a second one at once), SIGHUP rereads the configuration.
//
// Layer: node.  Thread: loop thread only.  Not in a simulated run.
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "net/pseudonym.h"
#include "node/config.h"

/** Name of the configuration in the data directory. */
#define PG_CONFIG_NAME "pangea.conf"

/** What a node is started with. Borrowed until pg_node_run returns. */
typedef struct pg_node_options {
    const char *data;            // directory; made where need be
    const char *config_file;     // NULL: pangea.conf in the data directory, if there is one
    const char *const *settings; // settings[setting_count]: "section.key=value", over the file's
    size_t setting_count;
    const char *ready_file; // NULL: none
    pg_bytes passphrase;    // of the identity; empty: none
    const char *version;    // of the program

    pg_pseudonyms *pseudonyms; // of addresses in log lines

    /** Called before anything else of a configuration counts, at the start and at each reload. An error means that it does not count. */
    pg_err (*on_config)(const pg_config *config, void *user);
    /** Called once the node accepts connections, with the ready document (a JSON object and a newline). */
    void (*on_ready)(pg_str document, void *user);
    /** Called when a new identity was made. */
    void (*on_identity_made)(const char *data, void *user);
    void *user;
} pg_node_options;

/** Read the configuration that a start with these options would have. `config` is to be ended with pg_config_deinit. Parks: yes.
 *  Errors: PG_ERR_INVALID (line and key in the detail), PG_ERR_NOT_FOUND (a file that was named), and those of pg_file_load */
PG_NODISCARD pg_err pg_node_configure(const pg_node_options *options, pg_config *out_config);

/** Run a node until it is told to stop. Parks: yes.
 *  Errors: PG_ERR_BUSY (another node on the directory, a port or the socket in use), PG_ERR_INVALID (configuration), PG_ERR_KEY (identity
 *  locked), and those of its parts; the detail tells which */
PG_NODISCARD pg_err pg_node_run(const pg_node_options *options);
