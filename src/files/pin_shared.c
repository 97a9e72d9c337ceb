// SPDX-License-Identifier: Apache-2.0
#include "files/pin_shared.h"

#include "files/catalogue_priv.h"

// A row without a key is of a file that is not pinned any more.
const char *const pg_files_schema_5 =
    "CREATE TABLE catalogue_pin (root BLOB PRIMARY KEY, changed_ms INTEGER NOT NULL, key BLOB,"
    " name BLOB, kind INTEGER, size INTEGER) WITHOUT ROWID;"
    "ALTER TABLE pin ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;"
    "INSERT INTO catalogue_pin (root, changed_ms, key, name, kind, size)"
    " SELECT root, pinned_ms, key, name, kind, size FROM pin WHERE name IS NOT NULL AND pinned_ms "
    ">= 0";

// ---- What this node does

pg_err pg_pin_shared_note(pg_db_conn *conn, const pg_pin *pin, int64_t now_ms)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO catalogue_pin (root, changed_ms, key, name, kind, size)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (root) DO UPDATE SET"
                         " changed_ms = max(?2, changed_ms + 1), key = ?3, name = ?4, kind = ?5,"
                         " size = ?6 WHERE key IS NULL",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&pin->link.root));
    pg_stmt_bind_i64(stmt, 2, now_ms > 0 ? now_ms : 0);
    pg_stmt_bind_blob(stmt, 3, pg_key_bytes(&pin->link.key));
    pg_stmt_bind_blob(stmt, 4, pg_buf_bytes(&pin->name));
    pg_stmt_bind_i64(stmt, 5, pin->kind);
    pg_stmt_bind_i64(stmt, 6, (int64_t) pin->size_bytes);
    return pg_stmt_run(stmt);
}

pg_err pg_pin_shared_drop(pg_db_conn *conn, const pg_cid *root, int64_t now_ms)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "UPDATE catalogue_pin SET changed_ms = max(?2, changed_ms + 1),"
                         " key = NULL, name = NULL, kind = 0, size = 0"
                         " WHERE root = ?1 AND key IS NOT NULL",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(root));
    pg_stmt_bind_i64(stmt, 2, now_ms > 0 ? now_ms : 0);
    return pg_stmt_run(stmt);
}

// ---- What another device did

static void pin_bind(pg_stmt *stmt, const pg_snapshot_pin *pin)
{
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&pin->link.root));
    pg_stmt_bind_i64(stmt, 2, (int64_t) pin->changed_ms);
    if (pin->is_pinned) {
        pg_stmt_bind_blob(stmt, 3, pg_key_bytes(&pin->link.key));
        pg_stmt_bind_blob(stmt, 4, pin->name);
    }
    pg_stmt_bind_i64(stmt, 5, pin->kind);
    pg_stmt_bind_i64(stmt, 6, (int64_t) pin->size_bytes);
}

/** Take over a row that is newer; of two of one time the one that says "pinned" counts. */
static pg_err row_import(pg_db_conn *conn, const pg_snapshot_pin *pin, bool *is_new)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO catalogue_pin (root, changed_ms, key, name, kind, size)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (root) DO UPDATE SET"
                         " changed_ms = ?2, key = ?3, name = ?4, kind = ?5, size = ?6"
                         " WHERE ?2 > changed_ms"
                         " OR (?2 = changed_ms AND ?3 IS NOT NULL AND key IS NULL)",
                         &stmt));
    pin_bind(stmt, pin);
    PG_TRY(pg_stmt_run(stmt));
    *is_new = pg_db_changes(conn) > 0;
    return PG_OK;
}

/** Say again that a file is pinned that this node has pinned. */
static pg_err own_restore(pg_db_conn *conn, const pg_snapshot_pin *pin)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "UPDATE catalogue_pin SET changed_ms = changed_ms + 1, key = pin.key,"
                         " name = coalesce(pin.name, x''), kind = pin.kind, size = pin.size"
                         " FROM pin WHERE catalogue_pin.root = ?1 AND pin.root = ?1"
                         " AND catalogue_pin.key IS NULL",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&pin->link.root));
    return pg_stmt_run(stmt);
}

static pg_err adopt(pg_db_conn *conn, const pg_snapshot_pin *pin)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT OR IGNORE INTO pin (root, pinned_ms, key, name, kind, size,"
                         " complete, restored) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 1)",
                         &stmt));
    pin_bind(stmt, pin);
    return pg_stmt_run(stmt);
}

pg_err pg_pin_shared_take(pg_db_conn *conn, const pg_snapshot_pin *pin, bool is_adopted,
                          bool *out_is_new)
{
    PG_TRY(row_import(conn, pin, out_is_new));
    if (!pin->is_pinned) {
        return *out_is_new ? own_restore(conn, pin) : PG_OK;
    }
    return is_adopted ? adopt(conn, pin) : PG_OK;
}

// ---- What is told

pg_err pg_pin_shared_forget(pg_db_conn *conn, uint64_t since_ms)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM catalogue_pin WHERE key IS NULL AND changed_ms < ?1",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) since_ms);
    return pg_stmt_run(stmt);
}

pg_err pg_pin_shared_any(pg_db_conn *conn, bool *out_any)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT 1 FROM catalogue_pin LIMIT 1", &stmt));
    *out_any = pg_stmt_next(stmt, &err);
    return err;
}

static pg_err row_write(pg_stmt *stmt, pg_cid *last, pg_buf *out)
{
    pg_snapshot_pin pin = {
        .changed_ms = (uint64_t) pg_stmt_i64(stmt, 1),
        .is_pinned = !pg_stmt_is_null(stmt, 2),
        .name = pg_stmt_blob(stmt, 3),
        .kind = (pg_file_kind) pg_stmt_i64(stmt, 4),
        .size_bytes = (uint64_t) pg_stmt_i64(stmt, 5),
    };
    PG_TRY(pg_cid_decode(pg_stmt_blob(stmt, 0), &pin.link.root));
    if (pin.is_pinned) {
        PG_TRY(pg_catalogue_bytes_read(stmt, 2, pin.link.key.bytes, PG_KEY_BYTES));
    }
    pg_err err = pg_snapshot_pin_add(out, &pin);
    *last = pin.link.root;
    pg_link_wipe(&pin.link);
    return err;
}

pg_err pg_pin_shared_page(pg_db_conn *conn, pg_cid *last, size_t bytes, pg_buf *out, bool *out_end)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT root, changed_ms, key, name, kind, size FROM catalogue_pin"
                         " WHERE root > ?1 ORDER BY root",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(last));
    *out_end = false;
    while (out->len < bytes) {
        if (!pg_stmt_next(stmt, &err)) {
            *out_end = true;
            return err;
        }
        PG_TRY(row_write(stmt, last, out));
    }
    return PG_OK;
}
