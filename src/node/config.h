// SPDX-License-Identifier: Apache-2.0
// The configuration of a node: every key in one table with its type, default, range and help. Values come in layers: the
// default, the INI file, then `--set section.key=value`; a higher layer replaces a lower one, and a list given several
// times in one layer grows. A key nobody knows is an error that names its line and the nearest known key.
//
// Layer: node.  Thread: any, one object at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"

/** How many values one list may have, and how long a line of the file and the file itself may be. */
#define PG_CONFIG_LIST_MAX 64
#define PG_CONFIG_LINE_BYTES_MAX 180
#define PG_CONFIG_FILE_BYTES_MAX 65536

typedef enum pg_config_layer {
    PG_CONFIG_LAYER_DEFAULT,
    PG_CONFIG_LAYER_FILE,
    PG_CONFIG_LAYER_COMMAND,
} pg_config_layer;

typedef enum pg_config_type {
    PG_CONFIG_TYPE_BOOL,     // true, false
    PG_CONFIG_TYPE_NUMBER,   // digits
    PG_CONFIG_TYPE_BYTES,    // digits and KiB, MiB, GiB or nothing
    PG_CONFIG_TYPE_DURATION, // digits and ms, s, m or h; kept in milliseconds
    PG_CONFIG_TYPE_TEXT,
    PG_CONFIG_TYPE_DOOR,      // IP address of this machine and port, or empty; kept as text
    PG_CONFIG_TYPE_URL,       // of http or https, or empty; kept as text
    PG_CONFIG_TYPE_COLLECTOR, // URL that pg_telemetry_url_check takes, or empty; kept as text
    PG_CONFIG_TYPE_CHOICE,    // one of the words in `choices`; kept as text
    PG_CONFIG_TYPE_ADDRS,     // multiaddrs, one a line of the file; kept as texts
    PG_CONFIG_TYPE_PEERS,     // the same, each with /p2p/ID at its end
} pg_config_type;

/** Several texts, each NUL-terminated. */
typedef struct pg_config_list {
    char *items[PG_CONFIG_LIST_MAX];
    size_t count;
} pg_config_list;

/** All settings. Texts are owned by the configuration, NUL-terminated, and never NULL. */
typedef struct pg_config {
    char *api_listen;
    char *archive_endpoint;
    char *archive_bucket;
    char *archive_region;
    char *archive_style;
    char *archive_proxy;
    char *archive_ca_file;
    char *archive_when;
    uint64_t archive_cold_after_ms;
    uint64_t archive_bandwidth;
    uint64_t archive_quota_bytes;
    char *node_mode;
    pg_config_list net_listen;
    pg_config_list net_announce;
    pg_config_list net_bootstrap;
    pg_config_list net_peers;
    bool net_mdns;
    uint64_t net_connection_grace_ms;
    bool net_echo;
    char *net_swarm_key;
    uint64_t net_dial_timeout_ms;
    uint64_t net_handshake_timeout_ms;
    uint64_t net_drain_timeout_ms;
    uint64_t net_perf_bytes_max;
    bool dht_enabled;
    char *dht_mode;
    bool dht_allow_private;
    bool dht_test_namespace;
    uint64_t health_ping_interval_ms;
    uint64_t audit_interval_ms;
    uint64_t rebalance_bandwidth;
    bool rebalance_enabled;
    uint64_t rebalance_margin;
    uint64_t repair_bandwidth;
    bool repair_enabled;
    uint64_t repair_patience_ms;
    bool security_require_pq;
    uint64_t storage_quota_bytes;
    uint64_t storage_cache_bytes;
    uint64_t storage_uploader_bytes_max;
    char *storage_accept;
    bool storage_seed;
    uint64_t storage_ttl_ms;
    uint64_t limits_connections;
    uint64_t limits_connections_high;
    uint64_t limits_connections_low;
    uint64_t limits_connections_per_peer;
    uint64_t limits_connections_per_ip;
    uint64_t limits_connections_per_subnet;
    uint64_t limits_accepts_per_ip;
    uint64_t limits_pending;
    uint64_t limits_streams;
    uint64_t limits_streams_per_peer;
    uint64_t limits_memory_bytes;
    uint64_t limits_book_peers;
    char *log_level;
    char *log_file;
    uint64_t log_file_bytes;
    uint64_t log_file_count;
    char *log_format;
    bool telemetry_enabled;
    uint64_t telemetry_interval_ms;
    char *telemetry_url;
    char *trace_endpoint;
    uint8_t layers[96]; // [key of the table]: the pg_config_layer that last set it
} pg_config;

/** One row of the table. */
typedef struct pg_config_key {
    const char *name; // "section.key"
    pg_config_type type;
    size_t offset;       // of the member of pg_config
    const char *initial; // the default as text; a list: values separated by spaces
    uint64_t min;        // NUMBER, BYTES, DURATION
    uint64_t max;        // of these, and how many ADDRS or PEERS
    const char *choices; // CHOICE: words separated by spaces, else NULL
    bool reloads;        // takes effect on SIGHUP
    const char *help;
} pg_config_key;

/** Return the table and, in *out_count, how many rows it has. Static storage, sorted by section. */
const pg_config_key *pg_config_keys(size_t *out_count);

/** Find a key by its name. Errors: PG_ERR_INVALID; the detail suggests the nearest one. */
PG_NODISCARD pg_err pg_config_find(pg_str name, const pg_config_key **out_key);

/** Return true for a key that may have several values. */
bool pg_config_is_list(const pg_config_key *key);

/** Set everything to its default. `config` is overwritten; end it with pg_config_deinit. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_config_init(pg_config *config);

/** Set one key from text.
 *  Errors: PG_ERR_INVALID (unknown key, bad value or address, out of range, a list too long; the detail says which and suggests), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_config_set(pg_config *config, pg_config_layer layer, pg_str name,
                                  pg_str value);

/** Set one key from `section.key=value`, as the command line gives it. Errors as pg_config_set. */
PG_NODISCARD pg_err pg_config_set_pair(pg_config *config, pg_str pair);

/** Read the content of a configuration file.
 *  text   at most PG_CONFIG_FILE_BYTES_MAX bytes
 *  name   of the file, for messages ("pangea.conf: line 3: ...")
 *  Errors: PG_ERR_INVALID with line and key in the detail, PG_ERR_NOMEM. The configuration is then partly changed.
 *  Cost: O(len).   Thread: any. */
PG_NODISCARD pg_err pg_config_parse(pg_config *config, pg_bytes text, const char *name);

/** Append the value of a key as text that pg_config_set reads as the same; those of a list with newlines between. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_config_format(const pg_config *config, const pg_config_key *key,
                                     pg_buf *out);

/** Return the layer that last set a key. */
pg_config_layer pg_config_layer_of(const pg_config *config, const pg_config_key *key);

/** Is told of a key that differs: whether it was taken over, or wants a restart. */
typedef void (*pg_config_change_fn)(const pg_config_key *key, bool is_taken, void *user);

/** Take over from `from` the values of those keys that may change at run time, and tell `each` of all that differ. `from` gets the old
 *  values; free it as usual. */
void pg_config_reload(pg_config *config, pg_config *from, pg_config_change_fn each, void *user);

/** Return true when the node is view-only: it keeps nothing for strangers, relays nothing, answers nobody in the DHTs. */
bool pg_config_is_view_only(const pg_config *config);

/** Free what the configuration owns; it is all-zero then. All-zero is fine. */
void pg_config_deinit(pg_config *config);
