// SPDX-License-Identifier: Apache-2.0
// The routes of the local API, version 1: what each asks of the node and how the answer looks. docs/openapi.yaml describes them all, and
// a test holds it against them.
//
//      routes.c          GET  /livez, /readyz          200 while the process serves, while the node does
//                        GET  /api/v1/node             who this is, where it listens, what it does
//                        GET  /api/v1/peers            the connections, and what is known of their peers
//                        POST /api/v1/dial, ping, perf be connected to a target; round trips; throughput
//      routes_events.c   GET  /api/v1/events           what happens, as server-sent events
//                        GET  /api/v1/transfers, /api/v1/transfers/{id}   how puts, gets and pins go on
//      routes_files.c    POST /api/v1/files            put a file; GET: all that were put here
//                        POST /api/v1/files/start      where a put that was broken off goes on
//                        POST /api/v1/files/get        get a file
//                        GET, DELETE /api/v1/files/{root}
//                        POST, GET /api/v1/pins, DELETE /api/v1/pins/{root}
//                        POST /api/v1/links/inspect    who holds what of a file
//      routes_blocks.c   POST /api/v1/blocks, GET /api/v1/blocks/{cid}
//      routes_service.c  POST /api/v1/reload         reread the settings; GET, POST /api/v1/log: the level of the log
//      routes_backup.c   POST /api/v1/backup           a copy of the database
//      routes_stat.c     GET  /api/v1/stat             what the parts of the node hold and did; GET /metrics: for Prometheus
//      doctor.c          GET  /api/v1/doctor           facts of the node's health
//      routes_health.c   GET  /api/v1/health, health/{peer}  how fit hosts are
//      routes_telemetry.c  /api/v1/telemetry, telemetry/send  what is told of this node to a collector, if its owner agreed
//      routes_dht.c      /api/v1/dht, /api/v1/dht/...  peers, records and providers of the DHTs
//      routes_invite.c   POST /api/v1/invite, join     invite others to the network of the node; come to a node that invites
//
// A target is a PeerId or a multiaddr, with or without "/p2p/ID". Links are secrets: they stand in bodies, never in a path or a log.
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include <stdbool.h>

#include "api/events.h"
#include "api/server.h"
#include "api/telemetry.h"
#include "api/trace_export.h"
#include "api/transfers.h"
#include "base/bytes.h"
#include "crypto/peer_id.h"
#include "crypto/secret.h"
#include "dht/pair.h"
#include "exchange/bitswap.h"
#include "exchange/place_server.h"
#include "files/guard.h"
#include "files/service.h"
#include "files/vault.h"
#include "health/health.h"
#include "net/conn_manager.h"
#include "net/host.h"
#include "net/mdns.h"
#include "runtime/socket.h"
#include "store/blocks.h"
#include "store/db.h"

/** How the node comes to its peers. */
typedef struct pg_api_finding {
    pg_conn_manager_stats manager;
    pg_mdns_stats mdns;     // of what runs now
    size_t bootstrap_peers; // on the list
    size_t bootstrap_good;  // of these, when last looked at
    size_t remembered;      // known from earlier runs
} pg_api_finding;

/** Is told of a setting that differs after a reload: its name, static, and whether it was taken over or wants a restart. */
typedef void (*pg_api_setting_fn)(const char *key, bool is_taken, void *user);

/** What the routes speak for. Lives as long as the server. */
typedef struct pg_api_context {
    pg_host *host;
    const pg_dht_pair *dhts;   // members NULL: switched off
    const pg_peer_id *person;  // whose device this is
    const pg_key *network_key; // of the private network; NULL: none
    const char *version;       // of the program
    bool is_view_only;         // it keeps nothing for strangers
    pg_time started_at;
    bool is_ready; // the node accepts connections and does not stop yet

    // NULL in a node without them: their routes then answer PG_ERR_UNSUPPORTED, and their part of /stat is null.
    pg_files *files;
    pg_bitswap *bitswap;
    pg_place_server *place;
    pg_block_store *blocks;
    pg_db *db;
    pg_health *health;
    pg_guard *guard;
    pg_vault *vault;

    // As configured; of no interest without `vault`.
    struct {
        const char *endpoint;
        const char *bucket;
        const char *proxy; // empty: none
    } archive;

    // Copy the database to a file, whose path it appends with a NUL that is not counted. Parks. NULL where there is none.
    pg_err (*copy_database)(void *keeper, pg_buf *out_path);
    void *keeper;

    // Must not park; NULL in a node that does not look for peers.
    void (*finding)(const void *finder, pg_api_finding *out_finding);
    const void *finder;

    const pg_trace_export *traces;
    pg_telemetry
        *telemetry; // made after the context, with pg_api_telemetry_look; NULL where there is none

    // Rereads the settings; may park. NULL in a node that has no file of them.
    pg_err (*reload)(void *reloader, pg_api_setting_fn each, void *user);
    void *reloader;

    // Of pg_api_context_open.
    uint64_t started_ms; // wall clock
    pg_events *events;
    pg_transfers transfers;
} pg_api_context;

/** Make what the routes need for themselves; the rest of the context is filled in, `host` at least. From now on its connections are events.
 *  Errors: PG_ERR_NOMEM, and those of pg_host_watch. */
PG_NODISCARD pg_err pg_api_context_open(pg_api_context *context);

/** End what pg_api_context_open made, after the server and before the host. One that was never opened is fine. */
void pg_api_context_close(pg_api_context *context);

/** All routes, for pg_api_config; their user is a pg_api_context. */
extern const pg_api_route *const pg_api_tables[];

/** The lists in it. */
extern const pg_api_route pg_api_node_routes[];
extern const pg_api_route pg_api_event_routes[];
extern const pg_api_route pg_api_file_routes[];
extern const pg_api_route pg_api_block_routes[];
extern const pg_api_route pg_api_service_routes[];
extern const pg_api_route pg_api_stat_routes[];
extern const pg_api_route pg_api_dht_routes[];
extern const pg_api_route pg_api_invite_routes[];
extern const pg_api_route pg_api_doctor_routes[];
extern const pg_api_route pg_api_health_routes[];
extern const pg_api_route pg_api_backup_routes[];
extern const pg_api_route pg_api_repair_routes[];
extern const pg_api_route pg_api_telemetry_routes[];
extern const pg_api_route pg_api_archive_routes[];

/** Give the files of the node that a request is to. Errors: PG_ERR_UNSUPPORTED (it keeps none). */
PG_NODISCARD pg_err pg_api_files_of(const pg_api_request *request, pg_files **out_files);

/** Look for pg_telemetry_config what the parts of a node did; `context` is a pg_api_context. Parks: no. */
void pg_api_telemetry_look(pg_telemetry_facts *facts, void *context);

/** Tell of a transfer: an event with the document that GET /api/v1/transfers/{id} gives. Parks: no. */
void pg_api_transfer_tell(pg_api_context *context, const pg_transfer *transfer);

/** Append what scripts wait for in the ready file: one JSON object with `peer_id`, `addrs` with "/p2p/ID", `api`, the socket's path, and `api_listen`
 *  where there is a TCP door. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_api_ready_write(const pg_api_context *context, const char *socket_path,
                                       const pg_endpoint *tcp, pg_buf *out);
