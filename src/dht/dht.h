// SPDX-License-Identifier: Apache-2.0
// Kademlia as libp2p speaks it: one DHT on a host, client and server. A node has two of them, a local one among the peers on
// its own networks and a global one; pair.h asks both. What a record may say is told by validators from above (record.h).
//
// A call that waits runs a lookup; others may run beside it. Nobody may be in a call when the DHT is freed.
//
// Layer: dht.  Thread: loop thread only.  Spec: libp2p kad-dht; docs/protocols/dht.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/multiaddr.h"
#include "crypto/peer_id.h"
#include "dht/message.h"
#include "dht/providers.h"
#include "dht/reach.h"
#include "dht/record.h"
#include "dht/records.h"
#include "net/host.h"
#include "runtime/time.h"

#define PG_DHT_ID_LOCAL "/pangea/lan/kad/1.0.0"
#define PG_DHT_ID_GLOBAL "/pangea/kad/1.0.0"

typedef struct pg_dht pg_dht;

/** Whether a node answers others. */
typedef enum pg_dht_mode {
    PG_DHT_MODE_AUTO, // server as long as one of the host's addresses is in the realm
    PG_DHT_MODE_CLIENT,
    PG_DHT_MODE_SERVER,
} pg_dht_mode;

/** Settings of one DHT. pg_dht_config_default gives usable ones. */
typedef struct pg_dht_config {
    pg_host *host;        // outlives the DHT
    const char *protocol; // static
    pg_dht_realm realm;
    bool private_too; // let the global realm have private addresses: for networks of tests
    pg_dht_mode mode;
    const pg_dht_validators *validators; // outlives the DHT
    int64_t ttl_ns;                      // of records and providers kept for others
    int64_t refresh_ns;                  // of buckets; 0 = never by itself
    int64_t republish_ns;                // of what this node published
    size_t idle_streams_max;             // kept for further requests; 0 = a stream for each request
    bool is_trusting; // believe every answer, take any crowd: without the defences, for comparison
} pg_dht_config;

/** Return the defaults of a realm. */
pg_dht_config pg_dht_config_default(pg_host *host, pg_dht_realm realm,
                                    const pg_dht_validators *validators);

/** Begin: serve the protocol where the mode says so, take the host's peers that serve it into the table, keep the table
 *  fresh. Parks: no. Errors: PG_ERR_EXISTS (the protocol is served already), PG_ERR_LIMIT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_dht_new(const pg_dht_config *config, pg_dht **out_dht);

/** Change the mode; peers are told by identify. Errors as pg_dht_new. */
PG_NODISCARD pg_err pg_dht_set_mode(pg_dht *dht, pg_dht_mode mode);

/** Return the validators the DHT was made with. Borrowed. */
const pg_dht_validators *pg_dht_get_validators(const pg_dht *dht);

/** Return the store of records held for others, to look into. Borrowed. */
pg_dht_records *pg_dht_get_records(pg_dht *dht);

/** Return the store of providers, likewise. Borrowed. */
pg_dht_providers *pg_dht_get_providers(pg_dht *dht);

// One request of a lookup, for those who want to see its way

typedef enum pg_dht_step_kind {
    PG_DHT_STEP_ANSWERED,
    PG_DHT_STEP_FAILED,
    PG_DHT_STEP_LEFT, // still open when the lookup was over
} pg_dht_step_kind;

/** What became of one request. Borrowed for the call. */
typedef struct pg_dht_step {
    pg_dht_step_kind kind;
    pg_dht_realm realm;
    pg_dht_msg_type request;
    const pg_peer_id *peer;
    const pg_peer_id *teller; // who told of the peer; NULL: our own table
    unsigned hop;             // 1 for peers of our own table
    unsigned prefix;          // bits it shares with the target
    int64_t asked_ns;         // since the start of the lookup
    int64_t took_ns;
    size_t told;    // peers in the answer
    size_t fresh;   // of these, new to the lookup
    bool has_found; // it gave what was looked for
    pg_err err;     // FAILED: why
} pg_dht_step;

/** Hears of the requests of a lookup, as they end. Must not park. */
typedef struct pg_dht_trace {
    void (*on_step)(const pg_dht_step *step, void *user);
    void *user;
} pg_dht_trace;

/** What all calls may be told. All-zero is the usual. */
typedef struct pg_dht_call {
    pg_time deadline;          // 0 = PG_DHT_LOOKUP_MS from now
    const pg_dht_trace *trace; // NULL = none
    bool keeps;                // put, provide: publish again and again, until pg_dht_unpublish
    uint32_t quorum;           // get: answers to compare where values may change; 0 = PG_DHT_QUORUM
} pg_dht_call;

// Calls. `call` may be NULL. All park. Common errors: PG_ERR_UNREACHABLE (the DHT knows nobody, or nobody answered), PG_ERR_TIMEOUT,
// PG_ERR_CANCELLED, PG_ERR_NOMEM

/** Find a peer, and be connected with it.
 *  out_addrs   the addresses known of it then, out_addrs[PG_NET_BOOK_ADDRS_MAX]
 *  Errors further: PG_ERR_NOT_FOUND (nobody knows it, or it does not answer), PG_ERR_INVALID (ourselves). */
PG_NODISCARD pg_err pg_dht_find_peer(pg_dht *dht, const pg_peer_id *peer, const pg_dht_call *call,
                                     pg_multiaddr *out_addrs, size_t *out_count);

/** Find the value of a key. Where values may change, those of PG_DHT_QUORUM peers are compared, fewer where fewer have any; peers
 *  that had an older one, or none, are then given the best.
 *  out_value   appended to
 *  Errors further: PG_ERR_NOT_FOUND, and as pg_dht_validators_find. */
PG_NODISCARD pg_err pg_dht_get(pg_dht *dht, pg_bytes key, const pg_dht_call *call,
                               pg_buf *out_value);

/** Have a choice compare as many answers as a call says. */
void pg_dht_choice_widen(pg_dht_choice *choice, const pg_dht_call *call);

/** The same, into a choice that others may share: ends when it has enough. */
PG_NODISCARD pg_err pg_dht_get_into(pg_dht *dht, pg_dht_choice *choice, const pg_dht_call *call);

/** Put a value under a key: with the peers nearest to it.
 *  out_stored   peers that keep it when the call returns, ourselves counted: half of those asked, and a quorum, where so many take it; the
 *               rest is given it in the background. May be NULL
 *  Errors further: PG_ERR_EXISTS (a newer one is kept here), PG_ERR_LIMIT, and those of the namespace's check. */
PG_NODISCARD pg_err pg_dht_put(pg_dht *dht, pg_bytes key, pg_bytes value, const pg_dht_call *call,
                               size_t *out_stored);

/** Tell the peers nearest to a key that this node provides it.
 *  key        multihash of a CID, 1..PG_DHT_PROVIDER_KEY_BYTES_MAX bytes
 *  out_told   peers that were told when the call returns, as for a put; may be NULL
 *  Errors further: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_dht_provide(pg_dht *dht, pg_bytes key, const pg_dht_call *call,
                                   size_t *out_told);

/** One provider that was found. Its addresses are in the host's book. Borrowed for the call. */
typedef struct pg_dht_found {
    const pg_peer_id *peer;
    pg_dht_realm realm;
} pg_dht_found;

/** Hears of providers, each once in a lookup. Returns false when it has enough. Must not park. */
typedef bool (*pg_dht_on_provider)(const pg_dht_found *found, void *user);

/** Find who provides a key. No provider is no error. Errors further: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_dht_find_providers(pg_dht *dht, pg_bytes key, const pg_dht_call *call,
                                          pg_dht_on_provider on_provider, void *user);

/** Publish a key no longer again: what is with others expires there. Unknown keys are ignored. Parks: no. */
void pg_dht_unpublish(pg_dht *dht, pg_bytes key);

/** Look up our own neighbourhood and a point in every bucket now, as upkeep does. */
PG_NODISCARD pg_err pg_dht_refresh(pg_dht *dht, const pg_dht_call *call);

// Looking in

/** What a DHT holds and did. */
typedef struct pg_dht_stats {
    pg_dht_realm realm;
    const char *protocol;
    bool is_server;
    size_t peers;           // in the table
    size_t network_size;    // estimated; 0 = not known
    uint64_t peers_refused; // by subnet
    size_t records;
    size_t record_bytes;
    size_t providers;
    size_t unsaved; // of these, not on disk as they are (keep.h)
    size_t published;
    uint64_t lookups;
    uint64_t requests; // sent
    uint64_t requests_failed;
    uint64_t streams; // opened for them
    uint64_t served;  // requests answered
    uint64_t refused; // requests that were not
    uint64_t put_refused;
    uint64_t corrected; // records given to peers that had older ones
} pg_dht_stats;

/** Return what a DHT holds and did. */
pg_dht_stats pg_dht_get_stats(const pg_dht *dht);

/** Return true when the peer is in the table. */
bool pg_dht_knows(const pg_dht *dht, const pg_peer_id *peer);

/** Call `each` for every peer of the table, the farthest buckets first; `bucket` is the number of bits shared. It must not park. */
void pg_dht_peers_each(const pg_dht *dht,
                       void (*each)(const pg_peer_id *peer, unsigned bucket, void *user),
                       void *user);

/** Stop serving, end what is under way, free, and set *dht to NULL. NULL is fine. Parks: yes, briefly. */
void pg_dht_free(pg_dht **dht);
