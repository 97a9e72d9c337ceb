// SPDX-License-Identifier: Apache-2.0
// The blocks of a link, wherever they are: on this node, with the hosts that the hints and receipts name, or with any connected peer. The
// store of a decoding (decode.h). What comes over the network is offered to the cache.
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/map.h"
#include "files/decode.h"
#include "files/fetch_archived.h"
#include "files/holders.h"
#include "files/service_priv.h"

/** What is known of one extent. */
typedef struct pg_fetch_extent {
    pg_holders holders;
    pg_cid descriptor;
    pg_archived archived;
} pg_fetch_extent;

/** The blocks of one file being got. In place; begin with pg_fetch_init, end with pg_fetch_deinit. */
typedef struct pg_fetch {
    pg_files *files;
    pg_map extents;   // by extent id: pg_fetch_extent
    int64_t shard_ns; // that a shard took lately; 0 = not known
    bool is_kept;     // the caller keeps what it gets: nothing is offered to the cache
    bool asks_all;    // wait for the answer of every host, since who answers is the question
    pg_get_report report;
} pg_fetch;

/** Begin. */
void pg_fetch_init(pg_fetch *fetch, pg_files *files);

/** Free. No fiber may be in a call on its store. */
void pg_fetch_deinit(pg_fetch *fetch);

/** Return it as the store of a decoding. */
pg_files_store pg_fetch_store(pg_fetch *fetch);

/** Return what is known of the hosts of an extent; NULL before its descriptor was got. Borrowed. */
const pg_holders *pg_fetch_holders(const pg_fetch *fetch,
                                   const uint8_t extent_id[PG_EXTENT_ID_BYTES]);
