// SPDX-License-Identifier: Apache-2.0
#include "files/guard_log.h"

#include <string.h>

#include "base/mem.h"
#include "files/guard.h"
#include "files/limits.h"
#include "runtime/time.h"
#include "store/stmt.h"

const char *const pg_guard_schema_1 =
    "CREATE TABLE guard_proof (descriptor BLOB NOT NULL, peer BLOB NOT NULL,"
    " slots INTEGER NOT NULL, proven_s INTEGER NOT NULL,"
    " PRIMARY KEY (descriptor, peer)) WITHOUT ROWID;"
    "CREATE TABLE guard_fault (id INTEGER PRIMARY KEY, descriptor BLOB NOT NULL,"
    " peer BLOB NOT NULL, slot INTEGER NOT NULL, time_s INTEGER NOT NULL,"
    " finding INTEGER NOT NULL, is_over INTEGER NOT NULL, statement BLOB NOT NULL,"
    " UNIQUE (descriptor, peer, slot));"
    "CREATE TABLE guard_silent (peer BLOB PRIMARY KEY, since_s INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE guard_note (id INTEGER PRIMARY KEY, time_s INTEGER NOT NULL,"
    " descriptor BLOB NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL);"
    "CREATE INDEX guard_note_descriptor ON guard_note (descriptor)";

// Audits in a row that a holder left unanswered, one row a slot.
const char *const pg_guard_schema_2 =
    "CREATE TABLE guard_owed (id INTEGER PRIMARY KEY, descriptor BLOB NOT NULL,"
    " peer BLOB NOT NULL, slot INTEGER NOT NULL, count INTEGER NOT NULL,"
    " since_s INTEGER NOT NULL, last_s INTEGER NOT NULL, UNIQUE (descriptor, peer, slot))";

static pg_err cid_read(pg_bytes blob, pg_cid *out_cid)
{
    return pg_cid_decode(blob, out_cid) == PG_OK
               ? PG_OK
               : pg_fail(PG_ERR_CORRUPT, "a row of the guard has no CID");
}

static pg_err peer_read(pg_bytes blob, pg_peer_id *out_peer)
{
    return pg_peer_id_decode(blob, out_peer) == PG_OK
               ? PG_OK
               : pg_fail(PG_ERR_CORRUPT, "a row of the guard has no PeerId");
}

// ---- Audits

/** An audit being entered. */
typedef struct audit_job {
    const pg_cid *descriptor;
    pg_audit_result *result;
    uint64_t now_s;
} audit_job;

static pg_err proof_write(pg_db_conn *conn, const audit_job *job, const pg_peer_id *peer,
                          pg_slot_set slots)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO guard_proof (descriptor, peer, slots, proven_s)"
                         " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (descriptor, peer) DO UPDATE"
                         " SET slots = ?3, proven_s = ?4",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(peer));
    pg_stmt_bind_i64(stmt, 3, slots);
    pg_stmt_bind_i64(stmt, 4, (int64_t) job->now_s);
    return pg_stmt_run(stmt);
}

static pg_err fault_end(pg_db_conn *conn, const audit_job *job, const pg_audit_item *item)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "UPDATE guard_fault SET is_over = 1 WHERE descriptor = ?1 AND peer = ?2"
                         " AND slot = ?3",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(&item->peer));
    pg_stmt_bind_i64(stmt, 3, item->slot);
    return pg_stmt_run(stmt);
}

// A lie is kept although the holder denies afterwards: that is no evidence, the lie is.
static pg_err fault_write(pg_db_conn *conn, const audit_job *job, const pg_audit_item *item)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(
        conn,
        "INSERT INTO guard_fault (descriptor, peer, slot, time_s, finding, is_over, statement)"
        " VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6) ON CONFLICT (descriptor, peer, slot) DO UPDATE"
        " SET time_s = ?4, is_over = 0, finding = max(finding, ?5),"
        " statement = CASE WHEN length(?6) > 0 THEN ?6 ELSE statement END",
        &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(&item->peer));
    pg_stmt_bind_i64(stmt, 3, item->slot);
    pg_stmt_bind_i64(stmt, 4, (int64_t) job->now_s);
    pg_stmt_bind_i64(stmt, 5, item->finding);
    pg_stmt_bind_blob(stmt, 6, pg_buf_bytes(&item->statement));
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn,
                         "DELETE FROM guard_fault WHERE id IN (SELECT id FROM guard_fault"
                         " ORDER BY is_over, time_s DESC LIMIT -1 OFFSET ?1)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, PG_GUARD_FAULTS_MAX);
    return pg_stmt_run(stmt);
}

// ---- Answers that are owed

static void owed_bind(pg_stmt *stmt, const audit_job *job, const pg_audit_item *item)
{
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(&item->peer));
    pg_stmt_bind_i64(stmt, 3, item->slot);
}

static pg_err owed_end(pg_db_conn *conn, const audit_job *job, const pg_audit_item *item)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(
        conn, "DELETE FROM guard_owed WHERE descriptor = ?1 AND peer = ?2 AND slot = ?3", &stmt));
    owed_bind(stmt, job, item);
    return pg_stmt_run(stmt);
}

static pg_err owed_count(pg_db_conn *conn, const audit_job *job, const pg_audit_item *item,
                         bool *out_is_missed)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO guard_owed (descriptor, peer, slot, count, since_s, last_s)"
                         " VALUES (?1, ?2, ?3, 1, ?4, ?4) ON CONFLICT (descriptor, peer, slot)"
                         " DO UPDATE SET count = count + 1, last_s = ?4",
                         &stmt));
    owed_bind(stmt, job, item);
    pg_stmt_bind_i64(stmt, 4, (int64_t) job->now_s);
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn,
                         "DELETE FROM guard_owed WHERE id IN (SELECT id FROM guard_owed"
                         " ORDER BY last_s DESC, id DESC LIMIT -1 OFFSET ?1)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, PG_GUARD_OWED_ROWS_MAX);
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn,
                         "SELECT 1 FROM guard_owed WHERE descriptor = ?1 AND peer = ?2"
                         " AND slot = ?3 AND count >= ?4 AND since_s <= ?5",
                         &stmt));
    owed_bind(stmt, job, item);
    pg_stmt_bind_i64(stmt, 4, PG_GUARD_OWED_MAX);
    pg_stmt_bind_i64(stmt, 5, (int64_t) job->now_s - (int64_t) PG_GUARD_OWED_S);
    *out_is_missed = pg_stmt_next(stmt, &err) && job->result->is_patient;
    return err;
}

/** Count an answer that is owed. Past the limit it is a fault, which stands until the slot is proven; and the count begins anew. */
static pg_err owed_write(pg_db_conn *conn, const audit_job *job, pg_audit_item *item)
{
    PG_TRY(owed_count(conn, job, item, &item->is_missed));
    if (!item->is_missed) {
        return PG_OK;
    }
    PG_TRY(owed_end(conn, job, item));
    return fault_write(conn, job, item);
}

// ---- One audit

static pg_err proven_write(pg_db_conn *conn, const audit_job *job, const pg_audit_item *item)
{
    pg_slot_set proven = 0;
    for (size_t i = 0; i < job->result->count; i++) {
        const pg_audit_item *other = &job->result->items[i];
        if (other->finding == PG_AUDIT_FINDING_PROVEN &&
            pg_peer_id_equal(&other->peer, &item->peer)) {
            proven |= (pg_slot_set) 1 << other->slot;
        }
    }
    PG_TRY(proof_write(conn, job, &item->peer, proven));
    return fault_end(conn, job, item);
}

static pg_err item_write(pg_db_conn *conn, const audit_job *job, size_t at)
{
    pg_audit_item *item = &job->result->items[at];
    if (item->is_owed) {
        return owed_write(conn, job, item);
    }
    if (item->finding == PG_AUDIT_FINDING_SILENT) {
        return PG_OK; // nobody answered: it may be this node that was cut off
    }
    PG_TRY(owed_end(conn, job, item));
    switch (item->finding) {
    case PG_AUDIT_FINDING_DENIED:
    case PG_AUDIT_FINDING_LIED:
        return fault_write(conn, job, item);
    case PG_AUDIT_FINDING_PROVEN:
        return proven_write(conn, job, item);
    case PG_AUDIT_FINDING_SILENT:
    case PG_AUDIT_FINDING_BUSY:
    case PG_AUDIT_FINDING_UNPROVEN:
    case PG_AUDIT_FINDING_COUNT:
        break;
    }
    return PG_OK;
}

static pg_err job_audit(pg_db_conn *conn, void *arg)
{
    const audit_job *job = arg;
    for (size_t i = 0; i < job->result->count; i++) {
        PG_TRY(item_write(conn, job, i));
    }
    return PG_OK;
}

pg_err pg_guard_log_audit(pg_db *db, const pg_cid *descriptor, pg_audit_result *result,
                          uint64_t now_s)
{
    audit_job job = {descriptor, result, now_s};
    return pg_db_write(db, job_audit, &job);
}

// ---- Standings

/** A question about one extent. */
typedef struct standings_job {
    const pg_cid *descriptor;
    int64_t owed_before_s; // answers owed since before then are owed for long enough
    pg_guard_standing *standings;
    size_t count;
} standings_job;

static pg_guard_standing *standing_get(standings_job *job, const pg_peer_id *peer)
{
    for (size_t i = 0; i < job->count; i++) {
        if (pg_peer_id_equal(&job->standings[i].peer, peer)) {
            return &job->standings[i];
        }
    }
    if (job->count == PG_PLACE_RECEIPTS_MAX) {
        return NULL;
    }
    pg_guard_standing *made = &job->standings[job->count++];
    *made = (pg_guard_standing){.peer = *peer};
    return made;
}

static pg_err faults_read(pg_db_conn *conn, standings_job *job)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(
        conn, "SELECT peer, slot FROM guard_fault WHERE descriptor = ?1 AND is_over = 0", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    while (pg_stmt_next(stmt, &err)) {
        pg_peer_id peer;
        PG_TRY(peer_read(pg_stmt_blob(stmt, 0), &peer));
        pg_guard_standing *standing = standing_get(job, &peer);
        if (standing != NULL) {
            standing->faulty |= (pg_slot_set) 1 << (pg_stmt_i64(stmt, 1) & 31);
        }
    }
    return err;
}

static pg_err owed_read(pg_db_conn *conn, standings_job *job)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT peer, slot, count + 1 >= ?2 AND since_s <= ?3 FROM guard_owed"
                         " WHERE descriptor = ?1",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    pg_stmt_bind_i64(stmt, 2, PG_GUARD_OWED_MAX);
    pg_stmt_bind_i64(stmt, 3, job->owed_before_s);
    while (pg_stmt_next(stmt, &err)) {
        pg_peer_id peer;
        PG_TRY(peer_read(pg_stmt_blob(stmt, 0), &peer));
        pg_guard_standing *standing = standing_get(job, &peer);
        if (standing != NULL) {
            pg_slot_set slot = (pg_slot_set) 1 << (pg_stmt_i64(stmt, 1) & 31);
            standing->owed |= slot;
            standing->due |= pg_stmt_i64(stmt, 2) != 0 ? slot : 0;
        }
    }
    return err;
}

static pg_err job_standings(pg_db_conn *conn, void *arg)
{
    standings_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(
        conn, "SELECT peer, slots, proven_s FROM guard_proof WHERE descriptor = ?1", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    while (pg_stmt_next(stmt, &err)) {
        pg_peer_id peer;
        PG_TRY(peer_read(pg_stmt_blob(stmt, 0), &peer));
        pg_guard_standing *standing = standing_get(job, &peer);
        if (standing != NULL) {
            standing->proven = (pg_slot_set) pg_stmt_i64(stmt, 1);
            standing->proven_s = (uint64_t) pg_stmt_i64(stmt, 2);
        }
    }
    PG_TRY(err);
    PG_TRY(faults_read(conn, job));
    return owed_read(conn, job);
}

pg_err pg_guard_log_standings(pg_db *db, const pg_cid *descriptor, pg_guard_standing *out_standings,
                              size_t *out_count)
{
    standings_job job = {
        .descriptor = descriptor,
        .owed_before_s = pg_wall_ms() / 1000 - (int64_t) PG_GUARD_OWED_S,
        .standings = out_standings,
    };
    PG_TRY(pg_db_read(db, job_standings, &job));
    *out_count = job.count;
    return PG_OK;
}

// ---- Faults

static pg_err job_faulty(pg_db_conn *conn, void *arg)
{
    pg_buf *out = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT DISTINCT descriptor FROM guard_fault WHERE is_over = 0",
                         &stmt));
    while (pg_stmt_next(stmt, &err)) {
        pg_cid cid;
        PG_TRY(cid_read(pg_stmt_blob(stmt, 0), &cid));
        PG_TRY(pg_buf_append(out, pg_bytes_make(&cid, sizeof(cid))));
    }
    return err;
}

pg_err pg_guard_log_faulty(pg_db *db, pg_buf *out)
{
    return pg_db_read(db, job_faulty, out);
}

/** A walk over faults. */
typedef struct faults_job {
    pg_err (*each)(const pg_guard_fault *fault, void *user);
    void *user;
} faults_job;

static pg_err job_faults(pg_db_conn *conn, void *arg)
{
    const faults_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT descriptor, peer, slot, time_s, finding, is_over, statement"
                         " FROM guard_fault ORDER BY time_s DESC, id DESC",
                         &stmt));
    while (pg_stmt_next(stmt, &err)) {
        pg_guard_fault fault = {
            .slot = (unsigned) pg_stmt_i64(stmt, 2),
            .time_s = (uint64_t) pg_stmt_i64(stmt, 3),
            .finding = (pg_audit_finding) pg_stmt_i64(stmt, 4),
            .is_over = pg_stmt_i64(stmt, 5) != 0,
            .statement = pg_stmt_blob(stmt, 6),
        };
        PG_TRY(cid_read(pg_stmt_blob(stmt, 0), &fault.descriptor));
        PG_TRY(peer_read(pg_stmt_blob(stmt, 1), &fault.peer));
        PG_TRY(job->each(&fault, job->user));
    }
    return err;
}

pg_err pg_guard_log_faults(pg_db *db, pg_err (*each)(const pg_guard_fault *fault, void *user),
                           void *user)
{
    faults_job job = {each, user};
    return pg_db_read(db, job_faults, &job);
}

// ---- Silent hosts

/** A host and since when. */
typedef struct silent_job {
    const pg_peer_id *peer;
    uint64_t since_s;
} silent_job;

static pg_err job_silent(pg_db_conn *conn, void *arg)
{
    const silent_job *job = arg;
    pg_stmt *stmt = NULL;
    if (job->since_s == 0) {
        PG_TRY(pg_db_prepare(conn, "DELETE FROM guard_silent WHERE peer = ?1", &stmt));
        pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(job->peer));
        return pg_stmt_run(stmt);
    }
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO guard_silent (peer, since_s) VALUES (?1, ?2)"
                         " ON CONFLICT (peer) DO UPDATE SET since_s = ?2",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(job->peer));
    pg_stmt_bind_i64(stmt, 2, (int64_t) job->since_s);
    return pg_stmt_run(stmt);
}

pg_err pg_guard_log_silent(pg_db *db, const pg_peer_id *peer, uint64_t since_s)
{
    silent_job job = {peer, since_s};
    return pg_db_write(db, job_silent, &job);
}

/** A walk over silent hosts. */
typedef struct silents_job {
    pg_err (*each)(const pg_peer_id *peer, uint64_t since_s, void *user);
    void *user;
} silents_job;

static pg_err job_silents(pg_db_conn *conn, void *arg)
{
    const silents_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT peer, since_s FROM guard_silent ORDER BY peer", &stmt));
    while (pg_stmt_next(stmt, &err)) {
        pg_peer_id peer;
        PG_TRY(peer_read(pg_stmt_blob(stmt, 0), &peer));
        PG_TRY(job->each(&peer, (uint64_t) pg_stmt_i64(stmt, 1), job->user));
    }
    return err;
}

pg_err pg_guard_log_silents(pg_db *db,
                            pg_err (*each)(const pg_peer_id *peer, uint64_t since_s, void *user),
                            void *user)
{
    silents_job job = {each, user};
    return pg_db_read(db, job_silents, &job);
}

// ---- Notes

static pg_err job_note(pg_db_conn *conn, void *arg)
{
    const pg_guard_note_line *note = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO guard_note (time_s, descriptor, what, detail)"
                         " VALUES (?1, ?2, ?3, ?4)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) note->time_s);
    pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(&note->descriptor));
    pg_stmt_bind_text(stmt, 3, pg_str_make(note->what));
    pg_stmt_bind_text(stmt, 4, pg_str_make(note->detail));
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn, "DELETE FROM guard_note WHERE id <= ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, pg_db_last_id(conn) - PG_GUARD_NOTES_MAX);
    return pg_stmt_run(stmt);
}

pg_err pg_guard_log_note(pg_db *db, const pg_guard_note_line *note)
{
    pg_guard_note_line copy = *note;
    return pg_db_write(db, job_note, &copy);
}

/** A walk over notes. */
typedef struct notes_job {
    const pg_cid *descriptor;
    size_t max;
    pg_err (*each)(const pg_guard_note_line *note, void *user);
    void *user;
} notes_job;

static pg_err note_tell(pg_stmt *stmt, const notes_job *job)
{
    char what[32];
    char detail[PG_GUARD_NOTE_BYTES_MAX];
    pg_str text = pg_stmt_text(stmt, 2);
    pg_str more = pg_stmt_text(stmt, 3);
    pg_guard_note_line note = {
        .time_s = (uint64_t) pg_stmt_i64(stmt, 0), .what = what, .detail = detail};
    PG_TRY(cid_read(pg_stmt_blob(stmt, 1), &note.descriptor));
    size_t len = pg_min_size(text.len, sizeof(what) - 1);
    memcpy(what, text.ptr, len);
    what[len] = '\0';
    len = pg_min_size(more.len, sizeof(detail) - 1);
    memcpy(detail, more.ptr, len);
    detail[len] = '\0';
    return job->each(&note, job->user);
}

static pg_err job_notes(pg_db_conn *conn, void *arg)
{
    const notes_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    if (job->descriptor == NULL) {
        PG_TRY(pg_db_prepare(conn,
                             "SELECT time_s, descriptor, what, detail FROM guard_note"
                             " ORDER BY id DESC LIMIT ?1",
                             &stmt));
        pg_stmt_bind_i64(stmt, 1, (int64_t) job->max);
    } else {
        PG_TRY(pg_db_prepare(conn,
                             "SELECT time_s, descriptor, what, detail FROM guard_note"
                             " WHERE descriptor = ?2 ORDER BY id DESC LIMIT ?1",
                             &stmt));
        pg_stmt_bind_i64(stmt, 1, (int64_t) job->max);
        pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(job->descriptor));
    }
    while (pg_stmt_next(stmt, &err)) {
        PG_TRY(note_tell(stmt, job));
    }
    return err;
}

pg_err pg_guard_log_notes(pg_db *db, const pg_cid *descriptor, size_t max,
                          pg_err (*each)(const pg_guard_note_line *note, void *user), void *user)
{
    notes_job job = {descriptor, max, each, user};
    return pg_db_read(db, job_notes, &job);
}

// ---- Forgetting

static pg_err job_forget(pg_db_conn *conn, void *arg)
{
    const uint64_t *before_s = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM guard_proof WHERE proven_s < ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) *before_s);
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn, "DELETE FROM guard_owed WHERE last_s < ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) *before_s);
    return pg_stmt_run(stmt);
}

pg_err pg_guard_log_forget(pg_db *db, uint64_t before_s)
{
    return pg_db_write_freeing(db, job_forget, &before_s);
}
