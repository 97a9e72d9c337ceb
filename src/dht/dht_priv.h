// SPDX-License-Identifier: Apache-2.0
// What the files of one DHT share: its own structure, and a lookup as it runs.
//
// Layer: dht.  Thread: loop thread only.
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "dht/dht.h"
#include "dht/keep.h"
#include "dht/lookup.h"
#include "dht/rpc.h"
#include "dht/table.h"
#include "runtime/fiber.h"

/** Something to be published again and again. */
typedef struct pg_dht_published {
    pg_list node; // in no list while it is being published
    pg_buf key;
    pg_buf value;     // empty: the key is provided
    bool is_provided; // else a value
    bool is_running;
    bool is_over; // unpublished while it ran
    pg_time due_at;
} pg_dht_published;

struct pg_dht {
    pg_dht_config config;
    pg_dht_key self;
    pg_dht_table table;
    pg_dht_rpc rpc;
    pg_dht_records records;
    pg_dht_providers providers;
    pg_dht_keep *keep; // on disk; NULL = not
    bool is_server;
    bool is_closing;
    uint32_t serving_count; // streams
    pg_scope scope;         // upkeep, publishing, corrections
    uint32_t corrections;   // running
    uint32_t behind;        // requests of pg_dht_spread that nobody waits for
    pg_waitq wake;          // of upkeep
    pg_time refresh_at;
    pg_time round_at;
    pg_map published;
    pg_list published_list;
    uint64_t
        densities[PG_DHT_DENSITY_SAMPLES]; // distance of the k-th nearest to random points, a ring
    size_t density_count;
    pg_dht_stats stats; // counters only
};

typedef struct pg_dht_query pg_dht_query;

/** What a lookup is for. Everything is borrowed while it runs. */
typedef struct pg_dht_query_config {
    pg_dht_msg_type type;
    pg_bytes name; // the key of the message
    const pg_dht_call *call;
    const pg_peer_id
        *wanted;  // connect with this one instead of asking it, and be done; NULL = none
    bool is_wide; // mind crowds around the target
    /** Look at an answer. Returns true when it gave what was looked for; *out_enough ends the lookup. May be NULL. */
    bool (*on_reply)(pg_dht_query *query, pg_dht_candidate_id from, const pg_dht_msg *msg,
                     bool *out_enough);
    void *user;
} pg_dht_query_config;

/** A lookup that runs: one fiber steers, one for each request waits. */
struct pg_dht_query {
    pg_dht *dht;
    pg_dht_query_config config;
    pg_buf request; // with its length in front
    pg_dht_lookup lookup;
    pg_scope scope;
    pg_waitq changed;
    pg_time started_at;
    pg_time deadline;
    pg_ip_scope reply_scope; // of the peer whose answer is being looked at
    bool is_enough;
    bool is_meeting; // a dial to the wanted peer runs
};

/** Prepare a lookup that begins with our own table. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_dht_query_init(pg_dht_query *query, pg_dht *dht,
                                      const pg_dht_query_config *config);

/** Run it to its end. Parks: yes. Errors: PG_ERR_UNREACHABLE, PG_ERR_TIMEOUT, PG_ERR_CANCELLED; what was heard until then stands. */
PG_NODISCARD pg_err pg_dht_query_run(pg_dht_query *query);

/** Free. */
void pg_dht_query_deinit(pg_dht_query *query);

/** Return the deadline of a call. */
pg_time pg_dht_call_deadline(const pg_dht_call *call);

/** Find the peers nearest to a name.
 *  out_peers[PG_DHT_LOOKUP_WIDE_MAX]. Errors as pg_dht_query_run. Parks: yes. */
PG_NODISCARD pg_err pg_dht_nearest(pg_dht *dht, pg_bytes name, const pg_dht_call *call,
                                   pg_peer_id *out_peers, size_t *out_count);

/** Send one request to many peers at once. Parks: yes.
 *  peers      peers[count], at most PG_DHT_LOOKUP_WIDE_MAX
 *             Returns when half of them took it, and a quorum; the rest goes on without the caller, also when the call is cancelled
 *  msg        PUT_VALUE, whose answer must give the value back, or ADD_PROVIDER, which has none
 *  out_done   how many took it */
PG_NODISCARD pg_err pg_dht_spread(pg_dht *dht, const pg_peer_id *peers, size_t count,
                                  const pg_dht_msg *msg, pg_time deadline, size_t *out_done);

/** Remember to publish again. A value replaces the one before. Errors: PG_ERR_LIMIT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_dht_publish_again(pg_dht *dht, pg_bytes key, pg_bytes value,
                                         bool is_provided);

/** It could not be published now: try again soon. Unknown keys are ignored. */
void pg_dht_publish_soon(pg_dht *dht, pg_bytes key);

/** Give the value of "/pk/" and a PeerId without a record: from the PeerId, which may hold the key itself, or from a connection.
 *  Borrowed from `key` or the connection until the next wait. Returns false when it is not known. */
bool pg_dht_pk_known(const pg_dht *dht, pg_bytes key, pg_bytes *out_value);

/** Return true when this node provides a key. */
bool pg_dht_is_providing(const pg_dht *dht, pg_bytes key);

/** Check that a checked value is at least as good as the one kept. Errors: PG_ERR_EXISTS (a better one is kept). */
PG_NODISCARD pg_err pg_dht_record_is_news(const pg_dht *dht, const pg_dht_validator *validator,
                                          pg_bytes key, pg_bytes value);

/** Keep a checked value where it is at least as good as the one kept. Errors: PG_ERR_EXISTS (a better one is kept), and as pg_dht_records_put. */
PG_NODISCARD pg_err pg_dht_record_keep(pg_dht *dht, const pg_dht_validator *validator, pg_bytes key,
                                       pg_bytes value, const pg_dht_source *source);

/** Return how many entries differ from what is on disk; 0 for NULL. */
size_t pg_dht_unsaved(const pg_dht_keep *keep);

/** Return true when an address belongs to the DHT's realm. */
bool pg_dht_is_in_realm(const pg_dht *dht, const pg_multiaddr *addr);

/** Give the addresses of a peer that may be told to somebody in scope `asker`: of the realm, and not from hearsay.
 *  out_addrs[PG_DHT_ADDRS_MAX], borrowed from the book until the next wait. Returns how many. */
size_t pg_dht_addrs_of(const pg_dht *dht, const pg_peer_id *peer, pg_ip_scope asker,
                       pg_bytes out_addrs[PG_DHT_ADDRS_MAX]);

/** Learn the addresses of a peer from a message that came from `from`. Returns true when the peer can be dialed now, or is connected;
 *  *out_news when an address was new. */
bool pg_dht_addrs_learn(pg_dht *dht, const pg_dht_peer_info *info, const pg_peer_id *peer,
                        pg_ip_scope from, bool *out_news);

/** Tell from where a connection comes; NONE and 0 when it is no more. */
void pg_dht_conn_where(const pg_dht *dht, pg_id conn, pg_ip_scope *out_scope,
                       pg_dht_group *out_group);

/** Note how far the nearest peers of a random point are. */
void pg_dht_density_note(pg_dht *dht, uint64_t distance);

/** Return half of the distance within which the PG_DHT_K nearest peers of a point should be; 0 when not known yet. */
uint64_t pg_dht_density_reach(const pg_dht *dht);

/** The handler of the protocol. */
pg_err pg_dht_serve(pg_net_stream_ctx *ctx);

/** The fiber that keeps the table fresh and the stores clean. `arg` is the DHT. */
pg_err pg_dht_upkeep_run(void *arg);

/** A fiber that publishes again. `arg` is the DHT. */
pg_err pg_dht_publish_run(void *arg);

/** Forget what is to be published. */
void pg_dht_published_free(pg_dht *dht);
