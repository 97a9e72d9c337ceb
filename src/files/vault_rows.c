// SPDX-License-Identifier: Apache-2.0
// The tables of the archive.
#include <string.h>

#include "base/mem.h"
#include "files/vault_priv.h"
#include "store/stmt.h"

const char *const pg_vault_schema_1 =
    "CREATE TABLE vault_extent (descriptor BLOB PRIMARY KEY, root BLOB NOT NULL,"
    " is_whole INTEGER NOT NULL, lease_key BLOB NOT NULL, sequence INTEGER NOT NULL,"
    " expiry_s INTEGER NOT NULL, bytes INTEGER NOT NULL, block_bytes INTEGER NOT NULL,"
    " root_bytes INTEGER NOT NULL, segments INTEGER NOT NULL, state INTEGER NOT NULL,"
    " stored_s INTEGER NOT NULL, checked_s INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE vault_read (descriptor BLOB PRIMARY KEY, read_s INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE vault_credentials (id INTEGER PRIMARY KEY CHECK (id = 1),"
    " access_key TEXT NOT NULL, secret_key TEXT NOT NULL)";

// ---- Extents

static pg_err job_row_write(pg_db_conn *conn, void *arg)
{
    const pg_vault_row *row = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT OR REPLACE INTO vault_extent (descriptor, root, is_whole,"
                         " lease_key, sequence, expiry_s, bytes, block_bytes, root_bytes, segments,"
                         " state, stored_s, checked_s)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&row->descriptor));
    pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(&row->root));
    pg_stmt_bind_i64(stmt, 3, row->is_whole);
    pg_stmt_bind_blob(stmt, 4, PG_BYTES_OF(row->lease_key));
    pg_stmt_bind_i64(stmt, 5, (int64_t) row->sequence);
    pg_stmt_bind_i64(stmt, 6, (int64_t) row->expiry_s);
    pg_stmt_bind_i64(stmt, 7, (int64_t) row->bytes);
    pg_stmt_bind_i64(stmt, 8, row->block_bytes);
    pg_stmt_bind_i64(stmt, 9, row->root_bytes);
    pg_stmt_bind_i64(stmt, 10, row->segments);
    pg_stmt_bind_i64(stmt, 11, row->state);
    pg_stmt_bind_i64(stmt, 12, (int64_t) row->stored_s);
    pg_stmt_bind_i64(stmt, 13, (int64_t) row->checked_s);
    return pg_stmt_run(stmt);
}

pg_err pg_vault_row_write(pg_db *db, const pg_vault_row *row)
{
    pg_vault_row copy = *row; // the job's: this one may change meanwhile
    return pg_db_write(db, job_row_write, &copy);
}

static pg_err job_row_remove(pg_db_conn *conn, void *arg)
{
    const pg_cid *descriptor = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM vault_extent WHERE descriptor = ?1", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(descriptor));
    return pg_stmt_run(stmt);
}

pg_err pg_vault_row_remove(pg_db *db, const pg_cid *descriptor)
{
    pg_cid copy = *descriptor;
    return pg_db_write(db, job_row_remove, &copy);
}

static pg_err corrupt(void)
{
    return pg_fail(PG_ERR_CORRUPT, "a row of the archive is none");
}

static pg_err row_take(pg_stmt *stmt, pg_vault_row *row)
{
    pg_bytes root = pg_stmt_blob(stmt, 1);
    pg_bytes key = pg_stmt_blob(stmt, 3);
    int64_t state = pg_stmt_i64(stmt, 10);
    if (pg_cid_decode(pg_stmt_blob(stmt, 0), &row->descriptor) != PG_OK ||
        (root.len > 0 && pg_cid_decode(root, &row->root) != PG_OK) ||
        key.len != sizeof(row->lease_key) || state < PG_VAULT_STATE_UPLOADING ||
        state > PG_VAULT_STATE_DAMAGED) {
        return corrupt();
    }
    memcpy(row->lease_key, key.ptr, key.len);
    row->is_whole = pg_stmt_i64(stmt, 2) != 0;
    row->sequence = (uint64_t) pg_stmt_i64(stmt, 4);
    row->expiry_s = (uint64_t) pg_stmt_i64(stmt, 5);
    row->bytes = (uint64_t) pg_stmt_i64(stmt, 6);
    row->block_bytes = (uint32_t) pg_stmt_i64(stmt, 7);
    row->root_bytes = (uint32_t) pg_stmt_i64(stmt, 8);
    row->segments = (uint32_t) pg_stmt_i64(stmt, 9);
    row->state = (pg_vault_state) state;
    row->stored_s = (uint64_t) pg_stmt_i64(stmt, 11);
    row->checked_s = (uint64_t) pg_stmt_i64(stmt, 12);
    return PG_OK;
}

static pg_err job_rows_read(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT descriptor, root, is_whole, lease_key, sequence, expiry_s, bytes,"
                         " block_bytes, root_bytes, segments, state, stored_s, checked_s"
                         " FROM vault_extent",
                         &stmt));
    while (pg_stmt_next(stmt, &err)) {
        pg_vault_row row = {.is_whole = false};
        PG_TRY(row_take(stmt, &row));
        PG_TRY(pg_buf_append(arg, pg_bytes_make(&row, sizeof(row))));
    }
    return err;
}

pg_err pg_vault_rows_read(pg_db *db, pg_buf *out)
{
    return pg_db_read(db, job_rows_read, out);
}

// ---- Reads

static pg_err job_reads_read(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT descriptor, read_s FROM vault_read", &stmt));
    while (pg_stmt_next(stmt, &err)) {
        vault_lease lease = {.round = 0};
        if (pg_cid_decode(pg_stmt_blob(stmt, 0), &lease.descriptor) != PG_OK) {
            return corrupt();
        }
        lease.read_s = (uint64_t) pg_stmt_i64(stmt, 1);
        PG_TRY(pg_buf_append(arg, pg_bytes_make(&lease, sizeof(lease))));
    }
    return err;
}

pg_err pg_vault_reads_read(pg_db *db, pg_buf *out)
{
    return pg_db_read(db, job_reads_read, out);
}

static pg_err read_write(pg_db_conn *conn, const vault_lease *lease)
{
    pg_stmt *stmt = NULL;
    if (lease->read_s == 0) {
        PG_TRY(pg_db_prepare(conn, "DELETE FROM vault_read WHERE descriptor = ?1", &stmt));
        pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&lease->descriptor));
        return pg_stmt_run(stmt);
    }
    PG_TRY(pg_db_prepare(
        conn, "INSERT OR REPLACE INTO vault_read (descriptor, read_s) VALUES (?1, ?2)", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&lease->descriptor));
    pg_stmt_bind_i64(stmt, 2, (int64_t) lease->read_s);
    return pg_stmt_run(stmt);
}

static pg_err job_reads_write(pg_db_conn *conn, void *arg)
{
    const pg_bytes *leases = arg;
    for (size_t at = 0; at + sizeof(vault_lease) <= leases->len; at += sizeof(vault_lease)) {
        vault_lease lease;
        memcpy(&lease, leases->ptr + at, sizeof(lease));
        PG_TRY(read_write(conn, &lease));
    }
    return PG_OK;
}

pg_err pg_vault_reads_write(pg_db *db, pg_bytes leases)
{
    return leases.len == 0 ? PG_OK : pg_db_write(db, job_reads_write, &leases);
}

// ---- Credentials

static pg_err job_credentials_write(pg_db_conn *conn, void *arg)
{
    const pg_s3_credentials *const *credentials = arg;
    pg_stmt *stmt = NULL;
    if (*credentials == NULL) {
        PG_TRY(pg_db_prepare(conn, "DELETE FROM vault_credentials", &stmt));
        return pg_stmt_run(stmt);
    }
    PG_TRY(pg_db_prepare(conn,
                         "INSERT OR REPLACE INTO vault_credentials (id, access_key, secret_key)"
                         " VALUES (1, ?1, ?2)",
                         &stmt));
    pg_stmt_bind_text(stmt, 1, pg_str_make((*credentials)->access_key));
    pg_stmt_bind_text(stmt, 2, pg_str_make((*credentials)->secret_key));
    return pg_stmt_run(stmt);
}

pg_err pg_vault_credentials_write(pg_db *db, const pg_s3_credentials *credentials)
{
    return pg_db_write(db, job_credentials_write, &credentials);
}

static pg_err job_credentials_read(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    pg_err found = PG_ERR_NOT_FOUND;
    PG_TRY(pg_db_prepare(conn, "SELECT access_key, secret_key FROM vault_credentials", &stmt));
    while (pg_stmt_next(stmt, &err)) {
        found = pg_s3_credentials_make(pg_stmt_text(stmt, 0), pg_stmt_text(stmt, 1), arg);
    }
    PG_TRY(err);
    return found == PG_ERR_INVALID ? corrupt() : found;
}

pg_err pg_vault_credentials_read(pg_db *db, pg_s3_credentials *out_credentials)
{
    return pg_db_read(db, job_credentials_read, out_credentials);
}
