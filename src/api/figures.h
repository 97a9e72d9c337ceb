// SPDX-License-Identifier: Apache-2.0
// Every figure that the parts of a node give of themselves, in one table: its name in the JSON documents of the API, its name, type and help
// in the metrics, and where it stands in the part's structure. The documents and GET /metrics are both written from it, so that
// a figure is described once. Metrics hold sums and levels only: no address, no peer, no file has a label.
//
// Layer: api.  Thread: loop thread only.  Spec: Prometheus text format 0.0.4; names as prometheus.io/docs/practices/naming says
#pragma once

#include <json-c/json_object.h>

#include "api/server.h"
#include "api/telemetry.h"
#include "api/trace_export.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "dht/dht.h"
#include "exchange/bitswap.h"
#include "exchange/place_server.h"
#include "files/guard.h"
#include "files/service.h"
#include "files/vault.h"
#include "health/health.h"
#include "net/conn_manager.h"
#include "net/host.h"
#include "net/mdns.h"
#include "runtime/machine.h"
#include "store/blocks.h"

/** The parts, each with its structure. */
typedef enum pg_figure_part {
    PG_FIGURE_PART_HOST,    // pg_host_stats
    PG_FIGURE_PART_STORE,   // pg_block_store_stats
    PG_FIGURE_PART_PLACE,   // pg_place_stats
    PG_FIGURE_PART_FILES,   // pg_files_stats
    PG_FIGURE_PART_BITSWAP, // pg_bitswap_stats
    PG_FIGURE_PART_FINDING, // pg_figures_finding
    PG_FIGURE_PART_DHT,     // pg_dht_stats, of each realm
    PG_FIGURE_PART_HEALTH,  // pg_health_stats
    PG_FIGURE_PART_REPAIR,  // pg_guard_stats
    PG_FIGURE_PART_ARCHIVE, // pg_vault_stats
    PG_FIGURE_PART_API,     // pg_figures_api
    PG_FIGURE_PART_PROCESS, // pg_figures_process
    PG_FIGURE_PART_COUNT,
} pg_figure_part;

/** How the node comes to its peers, with the sums that its parts do not make. */
typedef struct pg_figures_finding {
    pg_conn_manager_stats manager;
    uint64_t dials; // for whatever reason
    pg_mdns_stats mdns;
    uint64_t mdns_refused; // of messages, addresses and peers
    uint64_t bootstrap_peers;
    uint64_t bootstrap_good;
    uint64_t remembered;
} pg_figures_finding;

/** What the local API does and did. */
typedef struct pg_figures_api {
    pg_api_stats server;
    pg_trace_stats traces;
    pg_telemetry_status telemetry;
    uint64_t listeners; // to events
    uint64_t transfers; // named ones that run
} pg_figures_api;

/** The process, and when the node was started in it. */
typedef struct pg_figures_process {
    pg_machine_process machine;
    uint64_t started_ms; // wall clock
} pg_figures_process;

/** Add the figures of a part to its JSON document, those that have a name there, in the order of the table.
 *  stats   the structure of the part */
void pg_figures_add(pg_figure_part part, const void *stats, json_object *object);

/** The structures of a node's parts; NULL where it has no such part. The two DHTs: the local, the global one. */
typedef struct pg_figures {
    const char *version;                     // of the program
    const void *parts[PG_FIGURE_PART_COUNT]; // not that of the DHTs
    const pg_dht_stats *dhts[2];
} pg_figures;

/** Append the metrics of all parts that are there. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_figures_write(const pg_figures *figures, pg_buf *out);
