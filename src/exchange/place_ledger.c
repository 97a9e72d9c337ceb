// SPDX-License-Identifier: Apache-2.0
// Grants in, claims out: the transactions that change leases. Looking and listing is in place_ledger_read.c.
#include "exchange/place_ledger_priv.h"
#include "exchange/place_ledger_row_priv.h"
#include "exchange/place_server.h"

#define EXPIRE_MAX 64U // leases of one transaction: each may have 32,768 rows

const char *const pg_place_schema_1 =
    "CREATE TABLE place_lease (id INTEGER PRIMARY KEY, lease_key BLOB NOT NULL,"
    " descriptor BLOB NOT NULL, is_whole INTEGER NOT NULL, root BLOB NOT NULL,"
    " slots INTEGER NOT NULL, sequence INTEGER NOT NULL, grant_sequence INTEGER NOT NULL,"
    " expiry_s INTEGER NOT NULL, expiry_max_s INTEGER NOT NULL, uploader BLOB NOT NULL,"
    " UNIQUE (lease_key, descriptor));"
    "CREATE INDEX place_lease_descriptor ON place_lease (descriptor);"
    "CREATE INDEX place_lease_expiry ON place_lease (expiry_s);"
    "CREATE TABLE place_block (lease INTEGER NOT NULL, slot INTEGER NOT NULL, name BLOB NOT NULL,"
    " len INTEGER NOT NULL, PRIMARY KEY (lease, slot, name)) WITHOUT ROWID;"
    "CREATE TABLE place_receipt (lease INTEGER NOT NULL, host BLOB NOT NULL,"
    " sequence INTEGER NOT NULL, time_s INTEGER NOT NULL, receipt BLOB NOT NULL,"
    " PRIMARY KEY (lease, host)) WITHOUT ROWID;"
    "CREATE TABLE place_dropped (lease_key BLOB NOT NULL, descriptor BLOB NOT NULL,"
    " sequence INTEGER NOT NULL, until_s INTEGER NOT NULL,"
    " PRIMARY KEY (lease_key, descriptor)) WITHOUT ROWID;"
    "CREATE INDEX place_dropped_until ON place_dropped (until_s);"
    "CREATE TABLE place_stray (name BLOB PRIMARY KEY, used_s INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE place_clock (id INTEGER PRIMARY KEY CHECK (id = 1), seen_s INTEGER NOT NULL,"
    " quiet_s INTEGER NOT NULL)";

// What was committed before has none until its next grant; the DHTs may have it.
const char *const pg_place_schema_2 =
    "ALTER TABLE place_lease ADD COLUMN signed BLOB NOT NULL DEFAULT x''";

void pg_ledger_change_deinit(pg_ledger_change *change)
{
    pg_buf_deinit(&change->added);
    pg_buf_deinit(&change->removed);
    pg_buf_deinit(&change->ended);
}

// ---- Rows of blocks

// Append the names of a statement's rows, bound already.
static pg_err names_collect(pg_stmt *stmt, pg_buf *out)
{
    pg_err err = PG_OK;
    while (pg_stmt_next(stmt, &err)) {
        pg_held_name name;
        PG_TRY(pg_ledger_name_take(pg_stmt_blob(stmt, 0), &name));
        PG_TRY(pg_buf_append(out, PG_BYTES_OF(name.bytes)));
    }
    return err;
}

static pg_err rows_remove_slot(pg_db_conn *conn, int64_t lease, int32_t slot,
                               pg_ledger_change *change)
{
    pg_stmt *stmt = NULL;
    PG_TRY(
        pg_db_prepare(conn, "SELECT name FROM place_block WHERE lease = ?1 AND slot = ?2", &stmt));
    pg_stmt_bind_i64(stmt, 1, lease);
    pg_stmt_bind_i64(stmt, 2, slot);
    PG_TRY(names_collect(stmt, &change->removed));
    PG_TRY(pg_db_prepare(conn, "DELETE FROM place_block WHERE lease = ?1 AND slot = ?2", &stmt));
    pg_stmt_bind_i64(stmt, 1, lease);
    pg_stmt_bind_i64(stmt, 2, slot);
    return pg_stmt_run(stmt);
}

static pg_err rows_remove_all(pg_db_conn *conn, int64_t lease, pg_ledger_change *change)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "SELECT name FROM place_block WHERE lease = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, lease);
    PG_TRY(names_collect(stmt, &change->removed));
    PG_TRY(pg_db_prepare(conn, "DELETE FROM place_block WHERE lease = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, lease);
    return pg_stmt_run(stmt);
}

static pg_err rows_add(pg_db_conn *conn, int64_t lease, const pg_ledger_commit *commit,
                       pg_slot_set slots, pg_ledger_change *change)
{
    for (size_t i = 0; i < commit->block_count; i++) {
        const pg_ledger_block *block = &commit->blocks[i];
        if (block->slot >= 0 && (slots >> block->slot & 1U) == 0) {
            continue;
        }
        pg_stmt *stmt = NULL;
        PG_TRY(pg_db_prepare(conn,
                             "INSERT INTO place_block (lease, slot, name, len)"
                             " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                             &stmt));
        pg_stmt_bind_i64(stmt, 1, lease);
        pg_stmt_bind_i64(stmt, 2, block->slot);
        pg_stmt_bind_blob(stmt, 3, PG_BYTES_OF(block->name.bytes));
        pg_stmt_bind_i64(stmt, 4, block->len);
        PG_TRY(pg_stmt_run(stmt));
        if (pg_db_changes(conn) > 0) {
            PG_TRY(pg_buf_append(&change->added, PG_BYTES_OF(block->name.bytes)));
        }
    }
    return PG_OK;
}

// ---- Leases

// A lease that was dropped before may have had a further expiry: grants of that time can be replayed until then.
static pg_err lease_insert(pg_db_conn *conn, const pg_ledger_commit *commit,
                           uint64_t dropped_until_s, int64_t *out_id)
{
    const pg_lease_grant *grant = commit->grant;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO place_lease (lease_key, descriptor, is_whole, root, slots,"
                         " sequence, grant_sequence, expiry_s, expiry_max_s, uploader, signed)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, max(?7, ?9), ?8, ?10)",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, PG_BYTES_OF(grant->lease_key));
    pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(&grant->descriptor));
    pg_stmt_bind_i64(stmt, 3, grant->is_whole);
    pg_stmt_bind_blob(stmt, 4, pg_cid_bytes(&grant->root));
    pg_stmt_bind_i64(stmt, 5, commit->slots);
    pg_stmt_bind_i64(stmt, 6, (int64_t) grant->sequence);
    pg_stmt_bind_i64(stmt, 7, (int64_t) grant->expiry_s);
    pg_stmt_bind_blob(stmt, 8, pg_peer_id_bytes(commit->uploader));
    pg_stmt_bind_i64(stmt, 9, (int64_t) dropped_until_s);
    pg_stmt_bind_blob(stmt, 10, commit->encoded);
    PG_TRY(pg_stmt_run(stmt));
    *out_id = pg_db_last_id(conn);
    return PG_OK;
}

static pg_err lease_update(pg_db_conn *conn, int64_t id, pg_slot_set slots,
                           const pg_ledger_commit *commit)
{
    const pg_lease_grant *grant = commit->grant;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "UPDATE place_lease SET root = ?2, slots = ?3, sequence = ?4,"
                         " grant_sequence = ?4, expiry_s = ?5,"
                         " expiry_max_s = max(expiry_max_s, ?5), signed = ?6 WHERE id = ?1",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, id);
    pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(&grant->root));
    pg_stmt_bind_i64(stmt, 3, slots);
    pg_stmt_bind_i64(stmt, 4, (int64_t) grant->sequence);
    pg_stmt_bind_i64(stmt, 5, (int64_t) grant->expiry_s);
    pg_stmt_bind_blob(stmt, 6, commit->encoded);
    return pg_stmt_run(stmt);
}

static pg_err slots_update(pg_db_conn *conn, int64_t id, pg_slot_set slots, uint64_t sequence)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "UPDATE place_lease SET slots = ?2, sequence = ?3 WHERE id = ?1",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, id);
    pg_stmt_bind_i64(stmt, 2, slots);
    pg_stmt_bind_i64(stmt, 3, (int64_t) sequence);
    return pg_stmt_run(stmt);
}

// ---- Dropped leases

static pg_err dropped_remove(pg_db_conn *conn, const pg_ledger_key *key, pg_ledger_change *change)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM place_dropped WHERE lease_key = ?1 AND descriptor = ?2",
                         &stmt));
    pg_ledger_key_bind(stmt, key);
    PG_TRY(pg_stmt_run(stmt));
    change->tombs -= (int64_t) pg_db_changes(conn);
    return PG_OK;
}

static pg_err dropped_make_room(pg_db_conn *conn, pg_ledger_change *change)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "DELETE FROM place_dropped WHERE (lease_key, descriptor) IN"
                         " (SELECT lease_key, descriptor FROM place_dropped"
                         " ORDER BY until_s LIMIT 1)",
                         &stmt));
    PG_TRY(pg_stmt_run(stmt));
    change->tombs -= (int64_t) pg_db_changes(conn);
    return PG_OK;
}

static pg_err dropped_add(pg_db_conn *conn, const pg_ledger_key *key, uint64_t sequence,
                          uint64_t until_s, pg_ledger_change *change)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO place_dropped (lease_key, descriptor, sequence, until_s)"
                         " VALUES (?1, ?2, ?3, ?4)",
                         &stmt));
    pg_ledger_key_bind(stmt, key);
    pg_stmt_bind_i64(stmt, 3, (int64_t) sequence);
    pg_stmt_bind_i64(stmt, 4, (int64_t) until_s);
    PG_TRY(pg_stmt_run(stmt));
    change->tombs++;
    return PG_OK;
}

static pg_err dropped_raise(pg_db_conn *conn, const pg_ledger_key *key, uint64_t sequence)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "UPDATE place_dropped SET sequence = ?3 WHERE lease_key = ?1"
                         " AND descriptor = ?2",
                         &stmt));
    pg_ledger_key_bind(stmt, key);
    pg_stmt_bind_i64(stmt, 3, (int64_t) sequence);
    return pg_stmt_run(stmt);
}

// Remove a lease and all that belongs to it.
static pg_err lease_end(pg_db_conn *conn, const pg_ledger_lease *lease, pg_ledger_change *change)
{
    pg_stmt *stmt = NULL;
    PG_TRY(rows_remove_all(conn, lease->id, change));
    PG_TRY(pg_db_prepare(conn, "DELETE FROM place_receipt WHERE lease = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, lease->id);
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn, "DELETE FROM place_lease WHERE id = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, lease->id);
    PG_TRY(pg_stmt_run(stmt));
    return pg_buf_append(&change->ended, pg_bytes_make(&lease->uploader, sizeof(lease->uploader)));
}

// Remove a lease for its owner, and remember it.
static pg_err lease_drop(pg_db_conn *conn, const pg_ledger_key *key, const pg_ledger_lease *lease,
                         uint64_t sequence, bool make_room, pg_ledger_change *change)
{
    PG_TRY(lease_end(conn, lease, change));
    if (make_room) {
        PG_TRY(dropped_make_room(conn, change));
    }
    return dropped_add(conn, key, sequence, lease->expiry_max_s, change);
}

// ---- Receipts

static pg_err receipt_add(pg_db_conn *conn, int64_t lease, const pg_ledger_receipt *one)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO place_receipt (lease, host, sequence, time_s, receipt)"
                         " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (lease, host) DO UPDATE"
                         " SET sequence = ?3, time_s = ?4, receipt = ?5"
                         " WHERE (sequence, time_s) < (?3, ?4)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, lease);
    pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(&one->receipt.host));
    pg_stmt_bind_i64(stmt, 3, (int64_t) one->receipt.sequence);
    pg_stmt_bind_i64(stmt, 4, (int64_t) one->receipt.time_s);
    pg_stmt_bind_blob(stmt, 5, one->encoded);
    return pg_stmt_run(stmt);
}

static pg_err receipts_add(pg_db_conn *conn, int64_t lease, const pg_ledger_commit *commit)
{
    for (size_t i = 0; i < commit->receipt_count; i++) {
        PG_TRY(receipt_add(conn, lease, &commit->receipts[i]));
    }
    if (commit->receipt_count == 0) {
        return PG_OK;
    }
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "DELETE FROM place_receipt WHERE lease = ?1 AND host NOT IN"
                         " (SELECT host FROM place_receipt WHERE lease = ?1"
                         " ORDER BY sequence DESC, time_s DESC LIMIT ?2)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, lease);
    pg_stmt_bind_i64(stmt, 2, PG_PLACE_RECEIPTS_MAX);
    return pg_stmt_run(stmt);
}

/** Receipts that came by another way than a commit. */
struct receipts_job {
    const pg_ledger_key *key;
    const pg_ledger_commit *commit; // its receipts only
};

static pg_err job_receipts(pg_db_conn *conn, void *arg)
{
    const struct receipts_job *job = arg;
    pg_ledger_state state = {0};
    PG_TRY(pg_ledger_state_read(conn, job->key, &state));
    return state.lease.id == 0 ? PG_ERR_NOT_FOUND : receipts_add(conn, state.lease.id, job->commit);
}

pg_err pg_ledger_receipts_write(pg_db *db, const pg_ledger_key *key,
                                const pg_ledger_receipt *receipts, size_t count)
{
    const pg_ledger_commit commit = {.receipts = receipts, .receipt_count = count};
    struct receipts_job job = {key, &commit};
    return pg_db_write(db, job_receipts, &job);
}

// ---- Commit

bool pg_ledger_grant_is_next(const pg_ledger_state *state, const pg_lease_grant *grant,
                             uint64_t *out_known)
{
    const pg_ledger_lease *lease = &state->lease;
    bool has_lease = lease->id != 0;
    uint64_t known = has_lease ? lease->sequence : state->dropped_sequence;
    *out_known = known;
    if (grant->sequence != known) {
        return grant->sequence > known;
    }
    if (!has_lease) {
        return grant->expiry_s == 0; // dropped before, and the answer did not arrive
    }
    return grant->sequence == lease->grant_sequence && grant->expiry_s == lease->expiry_s &&
           grant->is_whole == lease->is_whole && pg_cid_equal(&grant->root, &lease->root);
}

/** A grant on its way. */
struct commit_job {
    pg_ledger_commit *commit;
    pg_ledger_change *change;
};

static pg_err commit_drop(pg_db_conn *conn, const pg_ledger_key *key, const pg_ledger_state *state,
                          const struct commit_job *job)
{
    uint64_t sequence = job->commit->grant->sequence;
    job->commit->slots = 0;
    if (state->lease.id != 0) {
        return lease_drop(conn, key, &state->lease, sequence, job->commit->make_room, job->change);
    }
    return state->dropped_sequence == 0 ? PG_ERR_NOT_FOUND : dropped_raise(conn, key, sequence);
}

static pg_err commit_keep(pg_db_conn *conn, const pg_ledger_key *key, const pg_ledger_state *state,
                          const struct commit_job *job)
{
    const pg_ledger_lease *lease = &state->lease;
    const pg_lease_grant *grant = job->commit->grant;
    pg_slot_set slots = lease->slots | job->commit->slots;
    int64_t id = lease->id;
    if (id == 0) {
        PG_TRY(lease_insert(conn, job->commit, state->dropped_until_s, &id));
        PG_TRY(dropped_remove(conn, key, job->change));
        job->change->is_new = true;
    } else {
        PG_TRY(lease_update(conn, id, slots, job->commit));
        if (!pg_cid_equal(&grant->root, &lease->root)) {
            PG_TRY(rows_remove_slot(conn, id, PG_LEDGER_SLOT_ROOT, job->change));
        }
    }
    PG_TRY(rows_add(conn, id, job->commit, slots, job->change));
    PG_TRY(receipts_add(conn, id, job->commit));
    job->commit->slots = slots;
    return PG_OK;
}

static pg_err job_commit(pg_db_conn *conn, void *arg)
{
    const struct commit_job *job = arg;
    const pg_lease_grant *grant = job->commit->grant;
    pg_ledger_key key = {.descriptor = grant->descriptor};
    pg_ledger_state state = {0};
    memcpy(key.lease_key, grant->lease_key, sizeof(key.lease_key));
    PG_TRY(pg_ledger_state_read(conn, &key, &state));
    if (!pg_ledger_grant_is_next(&state, grant, &job->commit->known_sequence)) {
        return PG_ERR_CHANGED;
    }
    return grant->expiry_s == 0 ? commit_drop(conn, &key, &state, job)
                                : commit_keep(conn, &key, &state, job);
}

pg_err pg_ledger_commit_write(pg_db *db, pg_ledger_commit *commit, pg_ledger_change *change)
{
    struct commit_job job = {commit, change};
    bool is_drop = commit->grant->expiry_s == 0;
    return is_drop ? pg_db_write_freeing(db, job_commit, &job) : pg_db_write(db, job_commit, &job);
}

// ---- Release

/** A release on its way. */
struct release_job {
    const pg_lease_release *release;
    bool make_room;
    pg_ledger_change *change;
};

static pg_err slots_remove(pg_db_conn *conn, int64_t lease, pg_slot_set slots,
                           pg_ledger_change *change)
{
    for (int32_t slot = 0; slot < (int32_t) PG_PLACE_SLOTS_MAX; slot++) {
        if ((slots >> slot & 1U) != 0) {
            PG_TRY(rows_remove_slot(conn, lease, slot, change));
        }
    }
    return PG_OK;
}

static pg_err job_release(pg_db_conn *conn, void *arg)
{
    const struct release_job *job = arg;
    const pg_lease_release *release = job->release;
    pg_ledger_key key = {.descriptor = release->descriptor};
    pg_ledger_state state = {0};
    const pg_ledger_lease *lease = &state.lease;
    memcpy(key.lease_key, release->lease_key, sizeof(key.lease_key));
    PG_TRY(pg_ledger_state_read(conn, &key, &state));
    if (lease->id == 0) {
        return state.dropped_sequence == release->sequence ? PG_OK : PG_ERR_NOT_FOUND;
    }
    pg_slot_set left = lease->slots & ~release->slots;
    if (release->sequence <= lease->sequence) {
        bool is_again = release->sequence == lease->sequence && left == lease->slots;
        return is_again ? PG_OK : PG_ERR_CHANGED;
    }
    if (left == 0) {
        return lease_drop(conn, &key, lease, release->sequence, job->make_room, job->change);
    }
    PG_TRY(slots_remove(conn, lease->id, lease->slots & release->slots, job->change));
    return slots_update(conn, lease->id, left, release->sequence);
}

pg_err pg_ledger_release_write(pg_db *db, const pg_lease_release *release, bool make_room,
                               pg_ledger_change *change)
{
    struct release_job job = {release, make_room, change};
    return pg_db_write_freeing(db, job_release, &job);
}

// ---- Lost blocks

/** Where a lost block stood. */
struct claim {
    int64_t lease;
    int32_t slot;
};

/** A lost block. */
struct lose_job {
    const pg_held_name *name;
    pg_ledger_change *change;
    pg_buf claims; // struct claim[]
};

// No index leads from a block to its leases: blocks get lost so rarely that a look at all rows is cheaper than keeping one.
static pg_err claims_collect(pg_db_conn *conn, struct lose_job *job)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT lease, slot FROM place_block WHERE name = ?1", &stmt));
    pg_stmt_bind_blob(stmt, 1, PG_BYTES_OF(job->name->bytes));
    while (pg_stmt_next(stmt, &err)) {
        struct claim claim = {pg_stmt_i64(stmt, 0), (int32_t) pg_stmt_i64(stmt, 1)};
        PG_TRY(pg_buf_append(&job->claims, pg_bytes_make(&claim, sizeof(claim))));
    }
    return err;
}

static pg_err claim_remove(pg_db_conn *conn, struct claim claim, pg_ledger_change *change)
{
    pg_stmt *stmt = NULL;
    PG_TRY(rows_remove_slot(conn, claim.lease, claim.slot, change));
    if (claim.slot < 0) {
        return PG_OK;
    }
    PG_TRY(pg_db_prepare(conn, "UPDATE place_lease SET slots = slots & ~(1 << ?2) WHERE id = ?1",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, claim.lease);
    pg_stmt_bind_i64(stmt, 2, claim.slot);
    return pg_stmt_run(stmt);
}

static pg_err job_lose(pg_db_conn *conn, void *arg)
{
    struct lose_job *job = arg;
    PG_TRY(claims_collect(conn, job));
    pg_bytes rest = pg_buf_bytes(&job->claims);
    for (; rest.len > 0; rest = pg_bytes_slice(rest, sizeof(struct claim), rest.len)) {
        struct claim claim;
        memcpy(&claim, rest.ptr, sizeof(claim));
        PG_TRY(claim_remove(conn, claim, job->change));
    }
    return PG_OK;
}

pg_err pg_ledger_lose(pg_db *db, const pg_held_name *name, pg_ledger_change *change)
{
    struct lose_job job = {.name = name, .change = change};
    pg_err err = pg_db_write_freeing(db, job_lose, &job);
    pg_buf_deinit(&job.claims);
    return err;
}

// ---- Time

/** Leases that are over their time. */
struct expire_job {
    int64_t before_s;
    uint64_t now_s;
    uint64_t tombs;
    pg_ledger_change *change;
    pg_buf leases; // pg_ledger_listed[]
    uint32_t count;
};

static pg_err job_expire(pg_db_conn *conn, void *arg)
{
    struct expire_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT " PG_LEDGER_LEASE_COLUMNS ", descriptor, lease_key"
                         " FROM place_lease WHERE expiry_s < ?1 ORDER BY expiry_s LIMIT ?2",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, job->before_s);
    pg_stmt_bind_i64(stmt, 2, EXPIRE_MAX);
    PG_TRY(pg_ledger_keyed_collect(stmt, &job->leases));
    pg_bytes rest = pg_buf_bytes(&job->leases);
    for (; rest.len > 0; rest = pg_bytes_slice(rest, sizeof(pg_ledger_keyed), rest.len)) {
        pg_ledger_keyed one;
        memcpy(&one, rest.ptr, sizeof(one));
        PG_TRY(lease_end(conn, &one.lease, job->change));
        if (one.lease.expiry_max_s >= job->now_s) { // the owner has shortened it
            if ((int64_t) job->tombs + job->change->tombs >= (int64_t) PG_PLACE_TOMBS_MAX) {
                PG_TRY(dropped_make_room(conn, job->change));
            }
            PG_TRY(dropped_add(conn, &one.key, one.lease.sequence, one.lease.expiry_max_s,
                               job->change));
        }
        job->count++;
    }
    return PG_OK;
}

pg_err pg_ledger_expire(pg_db *db, uint64_t before_s, uint64_t now_s, uint64_t tombs,
                        pg_ledger_change *change, uint32_t *out_count)
{
    struct expire_job job = {
        .before_s = (int64_t) before_s, .now_s = now_s, .tombs = tombs, .change = change};
    pg_err err = pg_db_write_freeing(db, job_expire, &job);
    pg_buf_deinit(&job.leases);
    if (err == PG_OK) {
        *out_count = job.count;
    }
    return err;
}

/** Drops that need not be remembered. */
struct forget_job {
    int64_t now_s;
    uint64_t count;
};

static pg_err job_forget(pg_db_conn *conn, void *arg)
{
    struct forget_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM place_dropped WHERE until_s < ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->now_s);
    PG_TRY(pg_stmt_run(stmt));
    job->count = pg_db_changes(conn);
    return PG_OK;
}

pg_err pg_ledger_forget(pg_db *db, uint64_t now_s, uint64_t *out_count)
{
    struct forget_job job = {.now_s = (int64_t) now_s};
    PG_TRY(pg_db_write_freeing(db, job_forget, &job));
    *out_count = job.count;
    return PG_OK;
}

// ---- Strays and the clock

/** Strays to be written. */
struct strays_job {
    const pg_ledger_stray *strays;
    size_t count;
};

static pg_err job_strays(pg_db_conn *conn, void *arg)
{
    const struct strays_job *job = arg;
    for (size_t i = 0; i < job->count; i++) {
        const pg_ledger_stray *stray = &job->strays[i];
        pg_stmt *stmt = NULL;
        if (stray->is_gone) {
            PG_TRY(pg_db_prepare(conn, "DELETE FROM place_stray WHERE name = ?1", &stmt));
        } else {
            PG_TRY(pg_db_prepare(
                conn, "INSERT OR REPLACE INTO place_stray (name, used_s) VALUES (?1, ?2)", &stmt));
            pg_stmt_bind_i64(stmt, 2, stray->used_s);
        }
        pg_stmt_bind_blob(stmt, 1, PG_BYTES_OF(stray->name.bytes));
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

pg_err pg_ledger_strays_write(pg_db *db, const pg_ledger_stray *strays, size_t count)
{
    struct strays_job job = {strays, count};
    return pg_db_write(db, job_strays, &job);
}

static pg_err job_clock(pg_db_conn *conn, void *arg)
{
    const pg_ledger_notes *notes = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(
        conn, "INSERT OR REPLACE INTO place_clock (id, seen_s, quiet_s) VALUES (1, ?1, ?2)",
        &stmt));
    pg_stmt_bind_i64(stmt, 1, notes->seen_s);
    pg_stmt_bind_i64(stmt, 2, notes->quiet_s);
    return pg_stmt_run(stmt);
}

pg_err pg_ledger_clock_write(pg_db *db, int64_t seen_s, int64_t quiet_s)
{
    pg_ledger_notes notes = {.seen_s = seen_s, .quiet_s = quiet_s};
    return pg_db_write(db, job_clock, &notes);
}
