// SPDX-License-Identifier: Apache-2.0
// A guard for the routes: one extent, of which slot 1 is lost until it is repaired.
#include "crypto/identity.h"
#include "fake_files.h"
#include "files/guard_log.h"

static struct {
    bool is_woken;
    bool is_repaired;
    bool refuses;
} guard;

pg_guard *fake_guard(void)
{
    return (pg_guard *) (void *) &guard;
}

pg_guard_stats pg_guard_get_stats(const pg_guard *self)
{
    (void) self;
    return (pg_guard_stats){
        .rounds_total = guard.is_woken ? 2 : 1,
        .peers = 3,
        .peers_silent = 1,
        .repaired_slots_total = guard.is_repaired ? 1 : 0,
        .rules = {
            .patience_s = 86400, .audit_interval_s = 86400, .bandwidth = 1 << 23, .repairs = true}};
}

void pg_guard_wake(pg_guard *self)
{
    (void) self;
    guard.is_woken = true;
}

static void member_make(uint8_t number, pg_guard_member *out_member)
{
    pg_identity identity = {.peer_id = {.len = 0}};
    const pg_key seed = {{number}};
    if (pg_identity_init(&identity, &seed) == PG_OK) {
        out_member->peer = identity.peer_id;
    }
    pg_identity_deinit(&identity);
}

pg_err pg_guard_explain(pg_guard *self, const pg_cid *descriptor, const pg_peer_id *hints,
                        size_t hint_count, pg_guard_report *out_report)
{
    (void) self;
    (void) hints;
    (void) hint_count;
    *out_report = (pg_guard_report){
        .descriptor = *descriptor,
        .is_kept = true,
        .slots = 10,
        .needed = 8,
        .missing = guard.is_repaired ? 0 : 2,
        .lost = guard.is_repaired ? 0 : 2,
        .networks = 1,
        .readable = 0.98765,
        .member_count = 2,
    };
    for (uint8_t i = 0; i < 2; i++) {
        pg_guard_member *member = &out_report->members[i];
        member->slots = i == 0 ? 1 : 0x80000000U;
        member->faulty = i == 0 ? 0 : 0x80000000U;
        member->is_living = i == 0;
        member->availability = 0.9;
        member->is_forecast = i == 0;
        member_make((uint8_t) (i + 1), member);
    }
    return PG_OK;
}

pg_err pg_guard_repair(pg_guard *self, const pg_cid *descriptor, bool is_dry,
                       pg_guard_report *out_report)
{
    guard.is_repaired |= !is_dry;
    PG_TRY(pg_guard_explain(self, descriptor, NULL, 0, out_report));
    out_report->is_repaired = !is_dry;
    return PG_OK;
}

pg_err pg_guard_audit(pg_guard *self, const pg_cid *descriptor)
{
    (void) self;
    (void) descriptor;
    return PG_OK;
}

pg_err pg_guard_leave(pg_guard *self, uint64_t keep_bytes,
                      void (*progress)(const pg_guard_leaving *so_far, void *user), void *user,
                      pg_guard_leaving *out_leaving)
{
    (void) self;
    (void) progress;
    (void) user;
    if (keep_bytes == 0 && !guard.refuses) {
        return pg_fail(PG_ERR_BUG, "what is left is to be refused first");
    }
    *out_leaving = (pg_guard_leaving){.leases = 3, .moved = 2, .failed = 1, .bytes = 4096};
    return PG_OK;
}

pg_err pg_guard_file_health(pg_guard *self, const pg_cid *root, pg_guard_health *out_health)
{
    (void) self;
    (void) root;
    *out_health = (pg_guard_health){.hosts = 10, .networks = 7, .readable = 0.9999};
    return PG_OK;
}

pg_err pg_guard_log_notes(pg_db *db, const pg_cid *descriptor, size_t max,
                          pg_err (*each)(const pg_guard_note_line *note, void *user), void *user)
{
    pg_guard_note_line note = {.time_s = 1, .what = "repaired", .detail = "1 of 1 lost slots"};
    (void) db;
    (void) max;
    note.descriptor = descriptor != NULL ? *descriptor : pg_cid_of_sha256(PG_BYTES_LIT("x"));
    return each(&note, user);
}

void pg_place_server_refuse(pg_place_server *server)
{
    (void) server;
    guard.refuses = true;
}
