// SPDX-License-Identifier: Apache-2.0
// The commands as data. The parser, the help, the manual pages and the shell completions are all made from this table, so a
// command is described once. To add one: a row here declared, its definition beside its code, its name in commands.c.
//
// Layer: cli.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct pg_invocation pg_invocation;

/** What an option's value or an argument is, for the shell's completion. */
typedef enum pg_value_kind {
    PG_VALUE_KIND_NONE, // a flag: takes no value
    PG_VALUE_KIND_TEXT,
    PG_VALUE_KIND_TEXTS, // may be given several times
    PG_VALUE_KIND_FILE,
    PG_VALUE_KIND_FOLDER,
    PG_VALUE_KIND_CHOICE,   // one of the words that the help calls it by: "auto|always|never"
    PG_VALUE_KIND_COMMAND,  // a word of a command's name
    PG_VALUE_KIND_SETTING,  // section.key
    PG_VALUE_KIND_SETTINGS, // section.key=value; may be given several times
    PG_VALUE_KIND_PEER,     // a peer, one that is connected for preference
    PG_VALUE_KIND_LINK,     // a link
    PG_VALUE_KIND_STORED,   // a file that was put through the node: its name, root or link
    PG_VALUE_KIND_PINNED,   // a file that the node has pinned: its root or link
} pg_value_kind;

/** One option. `name` NULL ends a list of them. */
typedef struct pg_option {
    const char *name; // without the two dashes
    char letter;      // 0 = none
    pg_value_kind kind;
    const char *value; // what the help calls the value; NULL for a flag
    const char *summary;
} pg_option;

/** One argument. `name` NULL ends a list of them. Only the last may repeat. */
typedef struct pg_argument {
    const char *name; // upper case, as the help shows it
    pg_value_kind kind;
    bool optional;
    bool repeats;
} pg_argument;

/** One command. All text is static. */
typedef struct pg_command {
    const char *name;        // its words: "shards encode"
    const char *alias;       // another name, of one word; NULL = none
    const char *summary;     // one line, no full stop
    const char *description; // paragraphs, wrapped at 80; NULL = the summary says it all
    const char *example;     // lines a person could type; NULL = none
    const pg_argument *arguments;
    const pg_option *options;                 // beside those every command has
    pg_err (*run)(pg_invocation *invocation); // in a fiber when `waits`, else outside the runtime
    bool waits;
} pg_command;

/** The most options a command has, those of every command included. */
#define PG_OPTIONS_MAX 32

/** The options of every command: --help, --json, --quiet, --color, --data. */
extern const pg_option pg_common_options[];

/** All commands, in the order of the help, which shows those of groups last; ends with NULL. */
extern const pg_command *const pg_commands[];

/** A first word that several commands share, with what the help says of it; `name` NULL ends the list. */
typedef struct pg_command_group {
    const char *name;
    const char *summary;
} pg_command_group;

extern const pg_command_group pg_command_groups[];

extern const pg_command pg_command_shards_encode;
extern const pg_command pg_command_shards_decode;
extern const pg_command pg_command_init;
extern const pg_command pg_command_run;
extern const pg_command pg_command_id;
extern const pg_command pg_command_dial;
extern const pg_command pg_command_ping;
extern const pg_command pg_command_perf;
extern const pg_command pg_command_peers;
extern const pg_command pg_command_put;
extern const pg_command pg_command_get;
extern const pg_command pg_command_ls;
extern const pg_command pg_command_rm;
extern const pg_command pg_command_pin;
extern const pg_command pg_command_pin_ls;
extern const pg_command pg_command_unpin;
extern const pg_command pg_command_link_info;
extern const pg_command pg_command_block_put;
extern const pg_command pg_command_block_get;
extern const pg_command pg_command_status;
extern const pg_command pg_command_doctor;
extern const pg_command pg_command_health;
extern const pg_command pg_command_repair_status;
extern const pg_command pg_command_repair_now;
extern const pg_command pg_command_repair_explain;
extern const pg_command pg_command_leave;
extern const pg_command pg_command_telemetry_show;
extern const pg_command pg_command_telemetry_on;
extern const pg_command pg_command_telemetry_off;
extern const pg_command pg_command_telemetry_status;
extern const pg_command pg_command_telemetry_send;
extern const pg_command pg_command_archive_status;
extern const pg_command pg_command_archive_now;
extern const pg_command pg_command_archive_test;
extern const pg_command pg_command_archive_login;
extern const pg_command pg_command_archive_logout;
extern const pg_command pg_command_backup;
extern const pg_command pg_command_restore;
extern const pg_command pg_command_downgrade;
extern const pg_command pg_command_devnet;
extern const pg_command pg_command_dht_status;
extern const pg_command pg_command_dht_find_peer;
extern const pg_command pg_command_dht_get;
extern const pg_command pg_command_dht_put;
extern const pg_command pg_command_dht_provide;
extern const pg_command pg_command_dht_providers;
extern const pg_command pg_command_dht_explain;
extern const pg_command pg_command_invite;
extern const pg_command pg_command_join;
extern const pg_command pg_command_metrics;
extern const pg_command pg_command_reload;
extern const pg_command pg_command_log_level;
extern const pg_command pg_command_config_get;
extern const pg_command pg_command_config_set;
extern const pg_command pg_command_config_unset;
extern const pg_command pg_command_config_check;
extern const pg_command pg_command_completion;
extern const pg_command pg_command_help;
extern const pg_command pg_command_version;
