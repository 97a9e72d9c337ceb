// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

const pg_option pg_common_options[] = {
    {"help", 'h', PG_VALUE_KIND_NONE, NULL, "show this help"},
    {"json", 0, PG_VALUE_KIND_NONE, NULL, "print the result, or the error, as one JSON object"},
    {"quiet", 'q', PG_VALUE_KIND_NONE, NULL, "print nothing but the result and errors"},
    {"color", 0, PG_VALUE_KIND_CHOICE, "auto|always|never",
     "when to use colours (auto: on a terminal)"},
    {"data", 0, PG_VALUE_KIND_FOLDER, "DIR", "the node's data directory (~/.local/share/pangea)"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command_group pg_command_groups[] = {
    {"config", "the settings of a node"},
    {"log", "what the running node logs"},
    {"block", "single public blocks, as IPFS has them"},
    {"link", "what links tell"},
    {"pin", "files that this node keeps"},
    {"shards", "files as encrypted pieces in folders, without a network"},
    {"dht", "peers, records and providers, found in the network"},
    {NULL, NULL},
};

const pg_command *const pg_commands[] = {
    &pg_command_put,          &pg_command_get,           &pg_command_ls,
    &pg_command_rm,           &pg_command_pin,           &pg_command_unpin,
    &pg_command_pin_ls,       &pg_command_link_info,     &pg_command_block_put,
    &pg_command_block_get,    &pg_command_shards_encode, &pg_command_shards_decode,
    &pg_command_init,         &pg_command_run,           &pg_command_id,
    &pg_command_dial,         &pg_command_ping,          &pg_command_perf,
    &pg_command_dht_status,   &pg_command_dht_find_peer, &pg_command_dht_get,
    &pg_command_dht_put,      &pg_command_dht_provide,   &pg_command_dht_providers,
    &pg_command_dht_explain,  &pg_command_peers,         &pg_command_invite,
    &pg_command_join,         &pg_command_status,        &pg_command_reload,
    &pg_command_log_level,    &pg_command_doctor,        &pg_command_health,
    &pg_command_backup,       &pg_command_restore,       &pg_command_downgrade,
    &pg_command_config_get,   &pg_command_config_set,    &pg_command_config_unset,
    &pg_command_config_check, &pg_command_devnet,        &pg_command_version,
    &pg_command_completion,   &pg_command_help,          NULL,
};
