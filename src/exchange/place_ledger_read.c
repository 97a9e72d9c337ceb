// SPDX-License-Identifier: Apache-2.0
#include "codec/frame.h"
#include "exchange/place_ledger_row_priv.h"
#include "exchange/place_neighbours.h"
#include "runtime/random.h"

#define PAGE_ROWS 2048
#define PAGE_LEASES 256
#define DRAWS_MAX 64U // with one id in ten left one draw in 800 goes to a neighbour of a gap

// ---- Rows

void pg_ledger_key_bind(pg_stmt *stmt, const pg_ledger_key *key)
{
    pg_stmt_bind_blob(stmt, 1, PG_BYTES_OF(key->lease_key));
    pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(&key->descriptor));
}

pg_err pg_ledger_name_take(pg_bytes blob, pg_held_name *out_name)
{
    pg_multihash hash;
    if (blob.len != sizeof(out_name->bytes) ||
        pg_multihash_make(blob.ptr[0], pg_bytes_slice(blob, 1, blob.len), &hash) != PG_OK) {
        return pg_fail(PG_ERR_CORRUPT, "ledger: not the name of a block");
    }
    memcpy(out_name->bytes, blob.ptr, sizeof(out_name->bytes));
    return PG_OK;
}

static pg_err cid_take(pg_bytes blob, pg_cid *out_cid)
{
    return pg_cid_decode(blob, out_cid) == PG_OK ? PG_OK
                                                 : pg_fail(PG_ERR_CORRUPT, "ledger: not a CID");
}

static pg_err peer_take(pg_bytes blob, pg_peer_id *out_peer)
{
    return pg_peer_id_decode(blob, out_peer) == PG_OK
               ? PG_OK
               : pg_fail(PG_ERR_CORRUPT, "ledger: not a PeerId");
}

static pg_err key_take(pg_bytes blob, uint8_t out_key[PG_ED25519_PUBLIC_BYTES])
{
    if (blob.len != PG_ED25519_PUBLIC_BYTES) {
        return pg_fail(PG_ERR_CORRUPT, "ledger: not a lease key");
    }
    memcpy(out_key, blob.ptr, blob.len);
    return PG_OK;
}

pg_err pg_ledger_lease_take(pg_stmt *stmt, pg_ledger_lease *out_lease)
{
    pg_ledger_lease lease = {
        .id = pg_stmt_i64(stmt, 0),
        .is_whole = pg_stmt_i64(stmt, 1) != 0,
        .slots = (pg_slot_set) pg_stmt_i64(stmt, 3),
        .sequence = (uint64_t) pg_stmt_i64(stmt, 4),
        .grant_sequence = (uint64_t) pg_stmt_i64(stmt, 5),
        .expiry_s = (uint64_t) pg_stmt_i64(stmt, 6),
        .expiry_max_s = (uint64_t) pg_stmt_i64(stmt, 7),
    };
    pg_bytes root = pg_stmt_blob(stmt, 2);
    if (root.len > 0) {
        PG_TRY(cid_take(root, &lease.root));
    }
    PG_TRY(peer_take(pg_stmt_blob(stmt, 8), &lease.uploader));
    *out_lease = lease;
    return PG_OK;
}

pg_err pg_ledger_keyed_collect(pg_stmt *stmt, pg_buf *out)
{
    pg_err err = PG_OK;
    while (pg_stmt_next(stmt, &err)) {
        pg_ledger_keyed one = {0};
        PG_TRY(pg_ledger_lease_take(stmt, &one.lease));
        PG_TRY(cid_take(pg_stmt_blob(stmt, PG_LEDGER_LEASE_COLUMN_COUNT), &one.key.descriptor));
        PG_TRY(key_take(pg_stmt_blob(stmt, PG_LEDGER_LEASE_COLUMN_COUNT + 1), one.key.lease_key));
        PG_TRY(pg_buf_append(out, pg_bytes_make(&one, sizeof(one))));
    }
    return err;
}

// ---- One lease

pg_err pg_ledger_state_read(pg_db_conn *conn, const pg_ledger_key *key, pg_ledger_state *out_state)
{
    pg_ledger_state state = {0};
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT " PG_LEDGER_LEASE_COLUMNS " FROM place_lease"
                         " WHERE lease_key = ?1 AND descriptor = ?2",
                         &stmt));
    pg_ledger_key_bind(stmt, key);
    if (pg_stmt_next(stmt, &err)) {
        PG_TRY(pg_ledger_lease_take(stmt, &state.lease));
    }
    PG_TRY(err);
    PG_TRY(pg_db_prepare(
        conn,
        "SELECT sequence, until_s FROM place_dropped WHERE lease_key = ?1 AND descriptor = ?2",
        &stmt));
    pg_ledger_key_bind(stmt, key);
    if (pg_stmt_next(stmt, &err)) {
        state.dropped_sequence = (uint64_t) pg_stmt_i64(stmt, 0);
        state.dropped_until_s = (uint64_t) pg_stmt_i64(stmt, 1);
    }
    PG_TRY(err);
    *out_state = state;
    return PG_OK;
}

/** A look-up. */
struct find_job {
    const pg_ledger_key *key;
    pg_ledger_state *out_state;
};

static pg_err job_find(pg_db_conn *conn, void *arg)
{
    const struct find_job *job = arg;
    return pg_ledger_state_read(conn, job->key, job->out_state);
}

pg_err pg_ledger_find(pg_db *db, const pg_ledger_key *key, pg_ledger_state *out_state)
{
    struct find_job job = {key, out_state};
    return pg_db_read(db, job_find, &job);
}

/** A look-up of a lease key. */
struct key_job {
    const uint8_t *lease_key;
    bool has;
};

static pg_err job_has_key(pg_db_conn *conn, void *arg)
{
    struct key_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT 1 FROM place_lease WHERE lease_key = ?1 LIMIT 1", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_bytes_make(job->lease_key, PG_ED25519_PUBLIC_BYTES));
    job->has = pg_stmt_next(stmt, &err);
    return err;
}

pg_err pg_ledger_has_key(pg_db *db, const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES], bool *out_has)
{
    struct key_job job = {.lease_key = lease_key};
    PG_TRY(pg_db_read(db, job_has_key, &job));
    *out_has = job.has;
    return PG_OK;
}

// ---- What is known of an extent

/** A question. */
struct have_job {
    const pg_cid *descriptor;
    bool with_receipts;
    pg_ledger_holding holding;
};

static pg_err receipts_collect(pg_db_conn *conn, int64_t lease, pg_buf *out)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT receipt FROM place_receipt WHERE lease = ?1"
                         " ORDER BY sequence DESC, time_s DESC LIMIT ?2",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, lease);
    pg_stmt_bind_i64(stmt, 2, PG_PLACE_RECEIPTS_MAX);
    while (pg_stmt_next(stmt, &err)) {
        PG_TRY(pg_frame_append(out, pg_stmt_blob(stmt, 0)));
    }
    return err;
}

static pg_err job_have(pg_db_conn *conn, void *arg)
{
    struct have_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT " PG_LEDGER_LEASE_COLUMNS " FROM place_lease"
                         " WHERE descriptor = ?1 ORDER BY expiry_s DESC LIMIT 1",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    if (!pg_stmt_next(stmt, &err)) {
        return err;
    }
    PG_TRY(pg_ledger_lease_take(stmt, &job->holding.lease));
    return job->with_receipts
               ? receipts_collect(conn, job->holding.lease.id, &job->holding.receipts)
               : PG_OK;
}

pg_err pg_ledger_have(pg_db *db, const pg_cid *descriptor, bool with_receipts,
                      pg_ledger_holding *out_holding)
{
    struct have_job job = {.descriptor = descriptor, .with_receipts = with_receipts};
    pg_err err = pg_db_read(db, job_have, &job);
    if (err != PG_OK) {
        pg_buf_deinit(&job.holding.receipts);
        return err;
    }
    *out_holding = job.holding;
    return PG_OK;
}

/** A question for the signed grant. */
struct grant_job {
    const pg_ledger_key *key;
    pg_buf *out;
};

static pg_err job_grant(pg_db_conn *conn, void *arg)
{
    const struct grant_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(
        conn, "SELECT signed FROM place_lease WHERE lease_key = ?1 AND descriptor = ?2", &stmt));
    pg_ledger_key_bind(stmt, job->key);
    if (!pg_stmt_next(stmt, &err)) {
        return err != PG_OK ? err : PG_ERR_NOT_FOUND;
    }
    pg_bytes grant = pg_stmt_blob(stmt, 0);
    return grant.len == 0 ? PG_ERR_NOT_FOUND : pg_buf_append(job->out, grant);
}

pg_err pg_ledger_grant_read(pg_db *db, const pg_ledger_key *key, pg_buf *out)
{
    struct grant_job job = {key, out};
    return pg_db_read(db, job_grant, &job);
}

/** A question for hosts. */
struct hosts_job {
    int64_t lease;
    pg_buf *out;
};

static pg_err job_hosts(pg_db_conn *conn, void *arg)
{
    const struct hosts_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT host FROM place_receipt WHERE lease = ?1"
                         " ORDER BY sequence DESC, time_s DESC LIMIT ?2",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, job->lease);
    pg_stmt_bind_i64(stmt, 2, PG_PLACE_RECEIPTS_MAX);
    while (pg_stmt_next(stmt, &err)) {
        pg_peer_id host;
        PG_TRY(peer_take(pg_stmt_blob(stmt, 0), &host));
        PG_TRY(pg_buf_append(job->out, pg_bytes_make(&host, sizeof(host))));
    }
    return err;
}

pg_err pg_ledger_hosts(pg_db *db, int64_t lease, pg_buf *out)
{
    struct hosts_job job = {lease, out};
    return pg_db_read(db, job_hosts, &job);
}

/** A question for the hosts of a page of leases. */
struct hosts_page_job {
    int64_t after;
    pg_buf *out;
};

static pg_err job_hosts_page(pg_db_conn *conn, void *arg)
{
    const struct hosts_page_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(
        pg_db_prepare(conn,
                      "SELECT id, descriptor, host FROM"
                      " (SELECT id, descriptor FROM place_lease WHERE id > ?1 ORDER BY id LIMIT ?2)"
                      " LEFT JOIN place_receipt ON lease = id ORDER BY id",
                      &stmt));
    pg_stmt_bind_i64(stmt, 1, job->after);
    pg_stmt_bind_i64(stmt, 2, PAGE_LEASES);
    while (pg_stmt_next(stmt, &err)) {
        pg_place_lease_host one = {.lease = pg_stmt_i64(stmt, 0)};
        PG_TRY(cid_take(pg_stmt_blob(stmt, 1), &one.descriptor));
        if (!pg_stmt_is_null(stmt, 2)) {
            PG_TRY(peer_take(pg_stmt_blob(stmt, 2), &one.host));
        }
        PG_TRY(pg_buf_append(job->out, pg_bytes_make(&one, sizeof(one))));
    }
    return err;
}

pg_err pg_ledger_hosts_page(pg_db *db, int64_t after, pg_buf *out)
{
    struct hosts_page_job job = {after, out};
    return pg_db_read(db, job_hosts_page, &job);
}

// ---- Leases that end

/** A look for them. */
struct ending_job {
    uint64_t after_s;
    uint64_t until_s;
    pg_buf *out;
};

static pg_err job_ending(pg_db_conn *conn, void *arg)
{
    const struct ending_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT lease_key, descriptor FROM place_lease"
                         " WHERE expiry_s > ?1 AND expiry_s <= ?2 ORDER BY expiry_s LIMIT ?3",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) job->after_s);
    pg_stmt_bind_i64(stmt, 2, (int64_t) job->until_s);
    pg_stmt_bind_i64(stmt, 3, PG_PLACE_LOOKS_MAX);
    while (pg_stmt_next(stmt, &err)) {
        pg_ledger_key key = {.descriptor = {.len = 0}};
        PG_TRY(key_take(pg_stmt_blob(stmt, 0), key.lease_key));
        PG_TRY(cid_take(pg_stmt_blob(stmt, 1), &key.descriptor));
        PG_TRY(pg_buf_append(job->out, pg_bytes_make(&key, sizeof(key))));
    }
    return err;
}

pg_err pg_ledger_ending(pg_db *db, uint64_t after_s, uint64_t until_s, pg_buf *out)
{
    struct ending_job job = {after_s, until_s, out};
    return pg_db_read(db, job_ending, &job);
}

// ---- Pages

// Blocks take whole units of 4,096 bytes with a header of 128 (store/block_header.h); one that stands in two slots counts once.
#define LISTED                                                                                     \
    "SELECT " PG_LEDGER_LEASE_COLUMNS ", descriptor,"                                              \
    " (SELECT coalesce(sum((len + 128 + 4095) / 4096 * 4096), 0) FROM"                             \
    " (SELECT DISTINCT name, len FROM place_block WHERE lease = place_lease.id)),"                 \
    " lease_key FROM place_lease"

static pg_err listed_take(pg_stmt *stmt, pg_ledger_listed *out_listed)
{
    pg_ledger_listed listed = {.bytes = 0};
    PG_TRY(pg_ledger_lease_take(stmt, &listed.lease));
    PG_TRY(cid_take(pg_stmt_blob(stmt, PG_LEDGER_LEASE_COLUMN_COUNT), &listed.descriptor));
    listed.bytes = (uint64_t) pg_stmt_i64(stmt, PG_LEDGER_LEASE_COLUMN_COUNT + 1);
    PG_TRY(key_take(pg_stmt_blob(stmt, PG_LEDGER_LEASE_COLUMN_COUNT + 2), listed.lease_key));
    *out_listed = listed;
    return PG_OK;
}

/** A page of leases. */
struct list_job {
    int64_t after;
    pg_buf *out;
};

static pg_err job_list(pg_db_conn *conn, void *arg)
{
    const struct list_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, LISTED " WHERE id > ?1 ORDER BY id LIMIT ?2", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->after);
    pg_stmt_bind_i64(stmt, 2, PAGE_LEASES);
    while (pg_stmt_next(stmt, &err)) {
        pg_ledger_listed one;
        PG_TRY(listed_take(stmt, &one));
        PG_TRY(pg_buf_append(job->out, pg_bytes_make(&one, sizeof(one))));
    }
    return err;
}

pg_err pg_ledger_list(pg_db *db, int64_t after, pg_buf *out)
{
    struct list_job job = {after, out};
    return pg_db_read(db, job_list, &job);
}

// ---- One lease, as it is listed

/** A look for one. */
struct one_job {
    const pg_cid *descriptor;
    int64_t id;
    pg_ledger_listed listed;
};

/** Run a statement to its first row. */
static pg_err one_take(pg_stmt *stmt, pg_ledger_listed *out_listed)
{
    pg_err err = PG_OK;
    if (!pg_stmt_next(stmt, &err)) {
        return err != PG_OK ? err : PG_ERR_NOT_FOUND;
    }
    return listed_take(stmt, out_listed);
}

static pg_err job_listed_find(pg_db_conn *conn, void *arg)
{
    struct one_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(
        pg_db_prepare(conn, LISTED " WHERE descriptor = ?1 ORDER BY expiry_s DESC LIMIT 1", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    return one_take(stmt, &job->listed);
}

static pg_err job_listed_get(pg_db_conn *conn, void *arg)
{
    struct one_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, LISTED " WHERE id = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->id);
    return one_take(stmt, &job->listed);
}

/** Return the last id, or the first one that is `id` or more; 0 when there is none. */
static pg_err id_find(pg_stmt *stmt, int64_t *out_id)
{
    pg_err err = PG_OK;
    *out_id = pg_stmt_next(stmt, &err) ? pg_stmt_i64(stmt, 0) : 0;
    return err;
}

// Ids that are gone are drawn again: whoever comes after many of them would be drawn for them all.
static pg_err job_listed_draw(pg_db_conn *conn, void *arg)
{
    struct one_job *job = arg;
    pg_stmt *stmt = NULL;
    int64_t last = 0;
    PG_TRY(pg_db_prepare(conn, "SELECT max(id) FROM place_lease", &stmt));
    PG_TRY(id_find(stmt, &last));
    for (unsigned tries = 0; tries < DRAWS_MAX && last > 0; tries++) {
        int64_t drawn = 1 + (int64_t) pg_random_below((uint64_t) last);
        PG_TRY(pg_db_prepare(conn, "SELECT id FROM place_lease WHERE id >= ?1 ORDER BY id LIMIT 1",
                             &stmt));
        pg_stmt_bind_i64(stmt, 1, drawn);
        PG_TRY(id_find(stmt, &job->id));
        if (job->id == drawn) {
            break;
        }
    }
    return job_listed_get(conn, job);
}

static pg_err one_read(pg_db *db, pg_db_fn fn, struct one_job *job, pg_ledger_listed *out_listed)
{
    PG_TRY(pg_db_read(db, fn, job));
    *out_listed = job->listed;
    return PG_OK;
}

pg_err pg_ledger_listed_find(pg_db *db, const pg_cid *descriptor, pg_ledger_listed *out_listed)
{
    struct one_job job = {.descriptor = descriptor};
    return one_read(db, job_listed_find, &job, out_listed);
}

pg_err pg_ledger_listed_get(pg_db *db, int64_t id, pg_ledger_listed *out_listed)
{
    struct one_job job = {.id = id};
    return one_read(db, job_listed_get, &job, out_listed);
}

pg_err pg_ledger_listed_draw(pg_db *db, pg_ledger_listed *out_listed)
{
    struct one_job job = {.id = 0};
    return one_read(db, job_listed_draw, &job, out_listed);
}

/** A page of rows. */
struct rows_job {
    const pg_ledger_row *after;
    pg_buf *out;
};

static pg_err job_rows(pg_db_conn *conn, void *arg)
{
    const struct rows_job *job = arg;
    const pg_ledger_row first = {0};
    const pg_ledger_row *after = job->after == NULL ? &first : job->after;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT lease, slot, name, len, uploader FROM place_block"
                         " JOIN place_lease ON id = lease"
                         " WHERE (lease, slot, name) > (?1, ?2, ?3)"
                         " ORDER BY lease, slot, name LIMIT ?4",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, after->lease);
    pg_stmt_bind_i64(stmt, 2, after->block.slot);
    pg_stmt_bind_blob(stmt, 3, PG_BYTES_OF(after->block.name.bytes));
    pg_stmt_bind_i64(stmt, 4, PAGE_ROWS);
    while (pg_stmt_next(stmt, &err)) {
        pg_ledger_row row = {.lease = pg_stmt_i64(stmt, 0)};
        row.block.slot = (int32_t) pg_stmt_i64(stmt, 1);
        row.block.len = (uint32_t) pg_stmt_i64(stmt, 3);
        PG_TRY(pg_ledger_name_take(pg_stmt_blob(stmt, 2), &row.block.name));
        PG_TRY(peer_take(pg_stmt_blob(stmt, 4), &row.uploader));
        PG_TRY(pg_buf_append(job->out, pg_bytes_make(&row, sizeof(row))));
    }
    return err;
}

pg_err pg_ledger_rows(pg_db *db, const pg_ledger_row *after, pg_buf *out)
{
    struct rows_job job = {after, out};
    return pg_db_read(db, job_rows, &job);
}

/** A page of strays. */
struct strays_job {
    const pg_held_name *after;
    pg_buf *out;
};

static pg_err job_strays(pg_db_conn *conn, void *arg)
{
    const struct strays_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(
        conn, "SELECT name, used_s FROM place_stray WHERE name > ?1 ORDER BY name LIMIT ?2",
        &stmt));
    pg_stmt_bind_blob(stmt, 1,
                      job->after == NULL ? PG_BYTES_EMPTY : PG_BYTES_OF(job->after->bytes));
    pg_stmt_bind_i64(stmt, 2, PAGE_ROWS);
    while (pg_stmt_next(stmt, &err)) {
        pg_ledger_stray stray = {.used_s = (uint32_t) pg_stmt_i64(stmt, 1)};
        PG_TRY(pg_ledger_name_take(pg_stmt_blob(stmt, 0), &stray.name));
        PG_TRY(pg_buf_append(job->out, pg_bytes_make(&stray, sizeof(stray))));
    }
    return err;
}

pg_err pg_ledger_strays(pg_db *db, const pg_held_name *after, pg_buf *out)
{
    struct strays_job job = {after, out};
    return pg_db_read(db, job_strays, &job);
}

static pg_err job_notes(pg_db_conn *conn, void *arg)
{
    pg_ledger_notes *notes = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT (SELECT count(*) FROM place_lease),"
                         " (SELECT count(*) FROM place_dropped),"
                         " (SELECT seen_s FROM place_clock), (SELECT quiet_s FROM place_clock),"
                         " (SELECT count(*) FROM place_lease WHERE is_whole = 0 AND NOT EXISTS"
                         " (SELECT 1 FROM place_block WHERE lease = id AND slot = ?1))",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, PG_LEDGER_SLOT_DESCRIPTOR);
    if (pg_stmt_next(stmt, &err)) {
        notes->leases = (uint64_t) pg_stmt_i64(stmt, 0);
        notes->tombs = (uint64_t) pg_stmt_i64(stmt, 1);
        notes->seen_s = pg_stmt_i64(stmt, 2);
        notes->quiet_s = pg_stmt_i64(stmt, 3);
        notes->bare_leases = (uint64_t) pg_stmt_i64(stmt, 4);
    }
    return err;
}

pg_err pg_ledger_notes_read(pg_db *db, pg_ledger_notes *out_notes)
{
    return pg_db_read(db, job_notes, out_notes);
}
