// SPDX-License-Identifier: Apache-2.0
// The host's side of placement: takes blocks of owners, within its quota and rules, and keeps what carries a valid grant until
// it expires. Keeps a ledger of leases in the node's database; the blocks are in the block store. What no lease, pin, cache or session
// accounts for is given back, but never before its time.
//
// Layer: exchange.  Thread: loop thread only.  Spec: docs/protocols/place.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "exchange/extent_format.h"
#include "exchange/lease.h"
#include "net/host.h"
#include "store/blocks.h"
#include "store/db.h"

/** The tables of this room, step by step (store/db.h). */
extern const char *const pg_place_schema_1;
extern const char *const pg_place_schema_2;

/** From whom a host takes blocks. */
typedef enum pg_place_accept {
    PG_PLACE_ACCEPT_ANYONE,
    PG_PLACE_ACCEPT_NOBODY,
    PG_PLACE_ACCEPT_COUNT,
} pg_place_accept;

/** Settings; may be changed while it runs. */
typedef struct pg_place_rules {
    pg_place_accept accept;
    uint64_t quota_bytes;        // for blocks of others, of what the block store may take
    uint64_t uploader_bytes_max; // from one uploader; 0 = no limit of its own
} pg_place_rules;

/** Slots that somebody brings who did not show to be the owner. */
typedef struct pg_place_claim {
    const pg_cid *descriptor; // or the block that is kept whole; it was pushed
    bool is_whole;
    pg_slot_set slots;          // that are not held here yet
    const pg_peer_id *claimant; // who brings them: what it gives up itself is no obstacle
    const pg_peer_id *hosts; // hosts[host_count]: of the extent, as receipts tell that it brought
    size_t host_count;
} pg_place_claim;

/** What it stands on; all outlive the server. */
typedef struct pg_place_server_config {
    pg_host *host;
    pg_block_store *blocks;
    pg_db *db;                 // has the tables
    const pg_identity *device; // signs receipts
    const pg_extent_format *format;
    pg_place_rules rules;
    bool
        is_unlisted; // peers are not told that it is served: for a node that keeps what it promised and looks for no more
    /** Return true when a block must stay for another reason (pin, cache, own file). Does not park. */
    bool (*is_needed)(const pg_cid *cid, void *user);
    /** Give back space that the block store lacks: of what matters less, at least `bytes` where there is so much. Returns false when there
     *  was nothing. May park. NULL = there never is. */
    bool (*make_room)(uint64_t bytes, void *user);
    /** Append the newest grant of a lease key that others know of; it is verified here. Parks. Errors: PG_ERR_NOT_FOUND, any. NULL = nobody
     *  is asked. */
    pg_err (*newest_grant)(const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES], pg_buf *out,
                           void *user);
    /** Find out which of the claimed slots others hold who can be asked. Parks, at most PG_PLACE_CLAIM_MS. Errors: PG_ERR_BUSY (it cannot be told
     *  now), any. NULL = nobody is asked. */
    pg_err (*held_elsewhere)(const pg_place_claim *claim, pg_slot_set *out_held, void *user);
    /** Hear that the owner dropped an extent or whole block, and its lease here is over. Does not park. NULL = of no interest. */
    void (*dropped)(const pg_lease_grant *grant, void *user);
    /** Return true when this node put the extent itself: it is no host of it, and is to be given none of it. May park. NULL = it puts nothing. */
    bool (*is_own)(const pg_cid *descriptor, void *user);
    void *user;
} pg_place_server_config;

typedef struct pg_place_server pg_place_server;

/** What a host keeps for others. */
typedef struct pg_place_stats {
    uint64_t leases;        // extents and whole blocks under a grant
    uint64_t lease_bytes;   // of their blocks
    uint64_t session_bytes; // pushed, not committed yet
    uint64_t quota_bytes;
    uint64_t pushes_total;
    uint64_t commits_total;
    uint64_t refused_total;     // of requests, by rule
    uint64_t claims_total;      // commits of slots by others than the owner that were looked into
    uint64_t claims_held_total; // of these, refused: others hold the slots
    uint64_t claims_old_total;  // of these, refused: the owner signed a later grant
    uint64_t expired_total;     // leases dropped after their time
    uint64_t caught_up_total;   // leases that a missed grant was found for
    uint64_t quiet_s;           // nothing is deleted for so long, since the clock stepped
} pg_place_stats;

/** One lease, for listings. */
typedef struct pg_place_lease {
    int64_t id; // in this ledger, never used again
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    pg_cid descriptor;
    pg_cid root; // kept too; len 0 = none
    bool is_whole;
    pg_peer_id uploader;
    pg_slot_set slots;
    uint64_t bytes;
    uint64_t sequence;
    uint64_t expiry_s;
} pg_place_lease;

/** Reconcile the ledger with the blocks, and serve. Blocks that nobody accounts for count as pushed now.
 *  Errors: PG_ERR_EXISTS, PG_ERR_LIMIT, PG_ERR_NOMEM, those of the database and the block store. Parks: yes. */
PG_NODISCARD pg_err pg_place_server_new(const pg_place_server_config *config,
                                        pg_place_server **out_server);

/** Change the rules. What is held stays, even beyond a smaller quota. */
void pg_place_server_set_rules(pg_place_server *server, const pg_place_rules *rules);

/** Take nothing new from now on, whatever the rules said; a reload that says otherwise undoes it. */
void pg_place_server_refuse(pg_place_server *server);

/** Return true when a lease or a session needs the block: it must not be deleted. Parks: no. */
bool pg_place_server_holds(const pg_place_server *server, const pg_cid *cid);

/** List the peers that have leases here, at most `max` of them. Parks: no.
 *  out_peers   out_peers[max]. Returns how many */
size_t pg_place_server_uploaders(const pg_place_server *server, pg_peer_id *out_peers, size_t max);

/** Return true when a peer has a lease here. Parks: no. */
bool pg_place_server_is_uploader(const pg_place_server *server, const pg_peer_id *peer);

/** Hear that a block was found damaged and is gone: the lease no longer claims its slot. Parks: yes. */
void pg_place_server_lost(pg_place_server *server, const pg_cid *cid);

/** Call `each` for every lease. It must not park. Errors of the database. Parks: yes. */
PG_NODISCARD pg_err pg_place_server_leases(pg_place_server *server,
                                           void (*each)(const pg_place_lease *lease, void *user),
                                           void *user);

/** Look for grants that were missed: of leases that end within PG_PLACE_LOOK_AHEAD_S, and of those in their grace; runs by itself too.
 *  *out_count leases got one. Errors of the database, PG_ERR_CANCELLED. Parks: yes. */
PG_NODISCARD pg_err pg_place_server_catch_up(pg_place_server *server, size_t *out_count);

/** Hear of a grant that was found somewhere, decoded from `encoded`: it counts as if the owner had sent it, when its lease is kept here and knows only older
 *  ones; else nothing comes of it. Errors of the database. Parks: yes. */
PG_NODISCARD pg_err pg_place_server_hear(pg_place_server *server, pg_bytes encoded,
                                         const pg_lease_grant *grant);

/** Drop what is over its time: leases past expiry and grace, sessions and strays past theirs; runs by itself once an hour too. *out_bytes is
 *  what was given back. Errors of the database and the block store. Parks: yes. */
PG_NODISCARD pg_err pg_place_server_sweep(pg_place_server *server, uint64_t *out_bytes);

/** Return how much of the quota is used, percent, 0..PG_PLACE_FILL_MAX. Parks: no. */
unsigned pg_place_server_fill(const pg_place_server *server);

/** Return what it keeps and did. */
pg_place_stats pg_place_server_get_stats(const pg_place_server *server);

/** Serve no more, free, and set *server to NULL. NULL is fine. Parks: yes, briefly. */
void pg_place_server_free(pg_place_server **server);
