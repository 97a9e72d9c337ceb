// SPDX-License-Identifier: Apache-2.0
// The cold archive, for operators who opted in: extents kept here that nobody reads any more, and that are below their redundancy, are copied to a store
// of objects (store/objects.h), found there by others through provider records, and given back when the hosts cannot. The last resort, not a host: it
// makes no promise, and counts for no redundancy. Not for: folders as archives (archive.h).
//
//      round: cold? below redundancy? ──> due, by its turn ──> nobody else has it? ──> upload, read back ──> row ──> announced
//      a peer wants the descriptor ──> extent is opened ──> its shards are read through, each verified
//      lease over, or dropped by its owner ──> objects deleted, then the row
//
// Layer: files.  Thread: loop thread only.  Spec: docs/protocols/archive.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "codec/cid.h"
#include "files/descriptor.h"
#include "files/guard.h"
#include "files/service.h"
#include "store/objects.h"
#include "store/s3.h"

/** The tables of the archive (store/db.h). */
extern const char *const pg_vault_schema_1;

typedef struct pg_vault pg_vault;

/** Settings; may be changed while it runs. */
typedef struct pg_vault_rules {
    uint64_t cold_after_s; // without a read from here
    uint64_t bandwidth; // bytes a second, of uploads, and the same of what others read; 0 = no cap
    uint64_t quota_bytes; // of all objects
    bool healthy_too;     // extents of full redundancy are archived likewise
} pg_vault_rules;

/** What it stands on; all outlive it. */
typedef struct pg_vault_config {
    pg_files *files;
    pg_guard *guard;
    pg_place_server *place;
    const pg_objects *objects; // copied
    pg_s3 *s3; // that `objects` is of, which gets the credentials; NULL: it needs none
    pg_vault_rules rules;
} pg_vault_config;

/** What it has and did. */
typedef struct pg_vault_stats {
    uint64_t extents; // archived, whole blocks too
    uint64_t bytes;   // of their objects
    uint64_t pending; // cold, waiting for their turn or under way
    uint64_t damaged; // archived, and found not to be whole
    uint64_t rounds_total;
    uint64_t uploads_total;
    uint64_t uploads_failed_total;
    uint64_t uploaded_bytes_total;
    uint64_t reads_total; // shards and blocks given to others, or used here
    uint64_t reads_bytes_total;
    uint64_t reads_failed_total;
    uint64_t corrupt_total; // objects that were not what they should be
    uint64_t deleted_total; // extents whose time was over
    pg_s3_stats requests;
    bool has_credentials;
    bool is_failing;   // what was tried last did not work
    char failure[256]; // why; empty where nothing failed since the start
    pg_vault_rules rules;
} pg_vault_stats;

/** Begin, with the credentials and rows of the database. Errors: of the database, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_vault_new(const pg_vault_config *config, pg_vault **out_vault);

/** Change the rules. */
void pg_vault_set_rules(pg_vault *vault, const pg_vault_rules *rules);

/** Return what it has and did. */
pg_vault_stats pg_vault_get_stats(const pg_vault *vault);

/** Take credentials, and keep them in the database, which is sealed. NULL: forget them. Errors: of the database, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_vault_login(pg_vault *vault, const pg_s3_credentials *credentials);

/** Put, read, list and delete a small object, to see whether the settings work. The detail names the step that failed.
 *  Errors: those of pg_objects, PG_ERR_CORRUPT (what came back is another), PG_ERR_UNFIT (a list lacks it). Parks: yes. */
PG_NODISCARD pg_err pg_vault_probe(pg_vault *vault);

/** What a round by hand did. */
typedef struct pg_vault_round {
    uint64_t looked; // at so many leases
    uint64_t cold;
    uint64_t uploaded;
    uint64_t failed;
    uint64_t elsewhere; // another node has them
    uint64_t deleted;
    uint64_t checked; // of what is archived, read back in part
    uint64_t damaged;
} pg_vault_round;

/** Look at everything, when a round that is under way has ended, and archive what is to be, without waiting for others to do it; read some of all that is archived back. An error of one extent
 *  is counted, and told in the statistics. Errors: PG_ERR_KEY (no credentials), of the database, PG_ERR_CANCELLED. Parks: yes. */
PG_NODISCARD pg_err pg_vault_run(pg_vault *vault, pg_vault_round *out_round);

/** Return the key under which an archived block is announced; its digest names the object. Source: docs/protocols/archive.md */
pg_multihash pg_vault_key(const pg_cid *cid);

/** Return a number that changes with what is archived. NULL is fine. */
uint64_t pg_vault_mark(const pg_vault *vault);

/** Call `each` with the CIDs of descriptors, roots and whole blocks that are archived; it must not park. NULL is fine. Errors: those of `each`. */
PG_NODISCARD pg_err pg_vault_each(const pg_vault *vault,
                                  pg_err (*each)(const pg_cid *cid, void *user), void *user);

/** Return true when this node has archived an extent or whole block. NULL is fine. Parks: no. */
bool pg_vault_has(const pg_vault *vault, const pg_cid *descriptor);

/** Append a descriptor, root or whole block out of the archive, verified, whoever put it there. NULL is fine.
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_CORRUPT, those of pg_objects. Parks: yes. */
PG_NODISCARD pg_err pg_vault_block(pg_vault *vault, const pg_cid *cid, pg_buf *out);

/** One shard of an extent. */
typedef struct pg_vault_shard {
    const pg_cid *cid; // of the descriptor
    const pg_descriptor *descriptor;
    uint32_t segment;
    unsigned shard; // only data shards are archived
} pg_vault_shard;

/** Append a shard out of the archive, verified. NULL is fine. Errors likewise. Parks: yes. */
PG_NODISCARD pg_err pg_vault_get_shard(pg_vault *vault, const pg_vault_shard *what, pg_buf *out);

/** Hear that the owner has dropped an extent: its objects go in the next round. NULL is fine. Parks: no. */
void pg_vault_dropped(pg_vault *vault, const pg_lease_grant *grant);

/** Let exchanges with the store of objects end soon, since the node ends. NULL is fine. Parks: no. */
void pg_vault_end(pg_vault *vault);

/** End what is under way, free, and set *vault to NULL. NULL is fine. Parks: yes. */
void pg_vault_free(pg_vault **vault);
