// SPDX-License-Identifier: Apache-2.0
// The records this node keeps for others, in memory: bounded in all, by peer and by subnet; when the store is full those
// farthest from our own point make room for nearer ones. A listener hears of every change and may write it down; what it
// wrote comes back by pg_dht_records_restore. Not for: judging values (record.h). Pure: time is an argument.
//
// Layer: dht.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "dht/key.h"
#include "dht/quota.h"
#include "runtime/time.h"

/** Ranks by nearness to our own point. */
#define PG_DHT_RANKS 32

/** A record that is kept. */
typedef struct pg_dht_record {
    pg_bytes key;
    pg_bytes value;
    uint8_t *value_space; // the store's own
    int64_t received_wall_ms;
    pg_time expires_at;
    pg_dht_source source;
    bool is_own;     // put by this node: counts against nobody
    bool is_written; // the listener's: it may have this on disk
    pg_list age;     // first to expire first
    pg_list rank_node;
    unsigned rank;
} pg_dht_record;

/** Hears of changes, to make them durable. May not park, nor change the store. */
typedef struct pg_dht_records_listener {
    void (*on_put)(pg_dht_record *record, void *user); // new, or in place of the one with its key
    void (*on_gone)(const pg_dht_record *record, void *user);
    void *user;
} pg_dht_records_listener;

/** The store. Own in place, end with pg_dht_records_deinit. */
typedef struct pg_dht_records {
    pg_map by_key;
    pg_list age;
    pg_list ranks[PG_DHT_RANKS]; // the farthest from us first
    pg_dht_key self;
    int64_t ttl_ns;
    size_t count;
    size_t bytes;
    size_t count_max;
    size_t bytes_max;
    pg_dht_quota quota;
    uint64_t refused;
    uint64_t evicted;
    pg_dht_records_listener listener; // members may be NULL
} pg_dht_records;

/** Make an empty store with the limits of limits.h around our own point. */
void pg_dht_records_init(pg_dht_records *records, const pg_dht_key *self, int64_t ttl_ns);

/** Keep a value, checked by the caller and at least as good as the one kept under its key.
 *  source   who put it; NULL: this node
 *  Errors: PG_ERR_LIMIT (the peer or its subnet has its share), PG_ERR_FULL (of nearer records), PG_ERR_NOMEM; what was kept stays then. */
PG_NODISCARD pg_err pg_dht_records_put(pg_dht_records *records, pg_bytes key, pg_bytes value,
                                       const pg_dht_source *source, pg_time now, int64_t wall_ms);

/** Return the record of a key, NULL when there is none or it has expired. Borrowed until the store changes. */
const pg_dht_record *pg_dht_records_get(const pg_dht_records *records, pg_bytes key, pg_time now);

/** Put back what a listener wrote down: as it was given to on_put. Not told to the listener. Errors as pg_dht_records_put. */
PG_NODISCARD pg_err pg_dht_records_restore(pg_dht_records *records, const pg_dht_record *record);

/** Forget what has expired, at most `max` records. Returns how many. */
size_t pg_dht_records_expire(pg_dht_records *records, pg_time now, size_t max);

/** Free all, without telling the listener. */
void pg_dht_records_deinit(pg_dht_records *records);
