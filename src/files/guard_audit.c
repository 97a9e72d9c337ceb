// SPDX-License-Identifier: Apache-2.0
// When to audit what: whenever a random time is over, one extent of all that are kept or were put here, chosen by lot. So nobody can know what is
// asked next, each extent is asked once in the interval in the mean, and nothing has to be remembered for it.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "files/guard_priv.h"
#include "files/limits.h"
#include "runtime/random.h"
#include "runtime/time.h"

#define LOOK_S 600U // between two looks at what there is to audit
#define LOT_PARTS 100000

// ---- One audit

/** Return what an item says of its host; PG_HEALTH_KIND_COUNT: nothing. */
static pg_health_kind kind_of(const pg_audit_item *item)
{
    switch (item->finding) {
    case PG_AUDIT_FINDING_PROVEN:
        return PG_HEALTH_AUDIT_HELD;
    case PG_AUDIT_FINDING_DENIED:
    case PG_AUDIT_FINDING_LIED:
        return PG_HEALTH_AUDIT_FAILED;
    case PG_AUDIT_FINDING_SILENT:
    case PG_AUDIT_FINDING_BUSY:
        return item->is_broken || item->is_missed ? PG_HEALTH_REFUSED : PG_HEALTH_KIND_COUNT;
    case PG_AUDIT_FINDING_UNPROVEN:
    case PG_AUDIT_FINDING_COUNT:
        break;
    }
    return PG_HEALTH_KIND_COUNT;
}

/** Enter into the health book what it says of each host. */
static void hosts_note(const pg_guard *guard, const pg_audit_result *result)
{
    const pg_files *files = guard->config.files;
    for (size_t i = 0; i < result->count; i++) {
        const pg_audit_item *item = &result->items[i];
        const pg_health_observation seen = {
            .peer = &item->peer,
            .kind = kind_of(item),
            .evidence = pg_buf_bytes(&item->statement),
        };
        if (seen.kind != PG_HEALTH_KIND_COUNT &&
            !pg_peer_id_equal(&item->peer, pg_host_id(files->config.host))) {
            pg_health_note(files->config.health, &seen);
        }
    }
}

/** Return true when it was found that the holder does not have it. */
static bool is_false(const pg_audit_item *item)
{
    return item->finding == PG_AUDIT_FINDING_LIED || item->finding == PG_AUDIT_FINDING_DENIED;
}

static pg_slot_set result_count(pg_guard *guard, const pg_audit_result *result)
{
    pg_slot_set faulty = 0;
    guard->totals.audits_total++;
    for (size_t i = 0; i < result->count; i++) {
        const pg_audit_item *item = &result->items[i];
        bool is_fault = is_false(item);
        guard->totals.audits_proven_total += item->finding == PG_AUDIT_FINDING_PROVEN ? 1 : 0;
        guard->totals.audits_silent_total += item->finding == PG_AUDIT_FINDING_SILENT ? 1 : 0;
        guard->totals.audits_fault_total += is_fault ? 1 : 0;
        faulty |= is_fault || item->is_missed ? (pg_slot_set) 1 << item->slot : 0;
    }
    return faulty;
}

static void faults_log(pg_guard *guard, const pg_cid *descriptor, const pg_audit_result *result)
{
    for (size_t i = 0; i < result->count; i++) {
        const pg_audit_item *item = &result->items[i];
        char name[PG_PSEUDONYM_TEXT_BYTES];
        pg_buf detail = {.ptr = NULL};
        if (is_false(item) || item->is_missed) {
            pg_host_peer_pseudonym(guard->config.files->config.host, &item->peer, name);
            pg_ignore(pg_buf_printf(&detail, "host %s, slot %u, segment %u", name, item->slot,
                                    result->segment),
                      "then without it");
            pg_guard_note(guard, descriptor,
                          item->is_missed ? "missed" : pg_audit_finding_name(item->finding),
                          &detail);
        }
    }
}

/** Audit what was examined or is in the catalogue. *out_faulty are slots that somebody does not have. */
static pg_err audit(pg_guard *guard, const pg_audit_case *what, pg_audit_result *result,
                    pg_slot_set *out_faulty)
{
    PG_TRY(pg_audit_round(what, result));
    pg_err err = pg_guard_log_audit(guard->config.files->config.db, what->descriptor, result,
                                    pg_guard_now_s()); // which tells what is missed
    *out_faulty = result_count(guard, result);
    hosts_note(guard, result);
    faults_log(guard, what->descriptor, result);
    return err;
}

// ---- What is kept here

static size_t holders_make(const guard_exam *exam,
                           pg_catalogue_holder out[PG_PLACE_RECEIPTS_MAX + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < exam->member_count; i++) {
        const pg_repair_member *member = &exam->members[i];
        pg_slot_set claimed = member->slots;
        for (size_t j = 0; j < exam->standing_count; j++) { // what was denied may be proven again
            claimed |= pg_peer_id_equal(&exam->standings[j].peer, &member->peer)
                           ? exam->standings[j].faulty
                           : 0;
        }
        if (member->standing == PG_REPAIR_STANDING_LIVING && claimed != 0) {
            out[count++] = (pg_catalogue_holder){.peer = member->peer, .slots = claimed};
        }
    }
    return count;
}

/** Return true when some slot is missed unless it is proven now: then who is busy is asked again. */
static bool is_last_chance(const guard_exam *exam)
{
    for (size_t i = 0; i < exam->standing_count; i++) {
        if (exam->standings[i].due != 0) {
            return true;
        }
    }
    return false;
}

static pg_err exam_audit(pg_guard *guard, guard_exam *exam, pg_slot_set *out_faulty)
{
    pg_catalogue_holder holders[PG_PLACE_RECEIPTS_MAX + 1];
    pg_audit_result *result = PG_NEW(pg_audit_result);
    if (result == NULL) {
        return PG_ERR_NOMEM;
    }
    const pg_audit_case what = {
        .files = guard->config.files,
        .descriptor = &exam->descriptor,
        .read = exam->is_whole ? NULL : &exam->read,
        .holders = holders,
        .holder_count = pg_min_size(holders_make(exam, holders), PG_PLACE_RECEIPTS_MAX),
        .is_patient = is_last_chance(exam),
    };
    pg_err err = audit(guard, &what, result, out_faulty);
    if (err == PG_OK && *out_faulty != 0) {
        err = pg_guard_evidence_tell(guard, exam, result);
    }
    pg_audit_result_deinit(result);
    pg_mfree(result);
    return err;
}

/** Ask the hosts of an extent, beginning with hints, and audit those that claim to have it. */
static pg_err extent_audit(pg_guard *guard, const pg_cid *descriptor, const pg_peer_id *hints,
                           size_t hint_count, pg_slot_set *out_faulty)
{
    guard_exam *exam = PG_NEW(guard_exam);
    if (exam == NULL) {
        return PG_ERR_NOMEM;
    }
    *out_faulty = 0;
    pg_err err = pg_guard_examine(guard, descriptor, hints, hint_count, exam);
    if (err == PG_OK) {
        err = exam_audit(guard, exam, out_faulty);
    }
    pg_guard_exam_deinit(exam);
    pg_mfree(exam);
    return err;
}

static pg_err lease_audit(pg_guard *guard, const pg_place_lease *lease)
{
    pg_slot_set faulty = 0;
    PG_TRY(extent_audit(guard, &lease->descriptor, NULL, 0, &faulty));
    return faulty == 0 ? PG_OK : pg_guard_suspect(guard, lease);
}

// ---- What was put here

/** Take slots that are not where the catalogue says out of it, so that spreading places them anew. */
static pg_err faults_take(pg_guard *guard, const pg_cid *descriptor)
{
    pg_files *files = guard->config.files;
    pg_guard_standing standings[PG_PLACE_RECEIPTS_MAX];
    pg_catalogue_extent extent = {.id = 0};
    size_t count = 0;
    int64_t file = 0;
    bool is_changed = false;
    PG_TRY(pg_guard_log_standings(files->config.db, descriptor, standings, &count));
    PG_TRY(pg_catalogue_extent_find(files->config.db, descriptor, &file, &extent));
    for (size_t i = 0; i < extent.holder_count; i++) {
        pg_catalogue_holder *holder = &extent.holders[i];
        for (size_t j = 0; j < count; j++) {
            if (pg_peer_id_equal(&standings[j].peer, &holder->peer) &&
                (holder->slots & standings[j].faulty) != 0) {
                holder->slots &= ~standings[j].faulty;
                holder->bytes = (uint64_t) __builtin_popcount(holder->slots) * extent.slot_bytes;
                is_changed = true;
            }
        }
    }
    if (!is_changed) {
        return PG_OK;
    }
    size_t left = 0;
    for (size_t i = 0; i < extent.holder_count; i++) {
        extent.holders[left] = extent.holders[i];
        left += extent.holders[i].slots != 0 ? 1 : 0;
        extent.has_strays |= extent.holders[i].slots == 0; // it may have a lease all the same
    }
    extent.holder_count = left;
    PG_TRY(pg_catalogue_extent_write(files->config.db, file, &extent));
    return pg_catalogue_state(files->config.db, file, PG_FILE_STATE_PARTIAL);
}

static pg_err own_audit(pg_guard *guard, const pg_catalogue_extent *extent)
{
    pg_files *files = guard->config.files;
    pg_peer_id hints[PG_PLACE_SLOTS_MAX];
    pg_slot_set faulty = 0;
    for (size_t i = 0; i < extent->holder_count; i++) {
        hints[i] = extent->holders[i].peer;
    }
    if (extent->holder_count == 0) {
        return PG_OK; // it waits on this node
    }
    PG_TRY(extent_audit(guard, &extent->descriptor, hints, extent->holder_count, &faulty));
    if (faulty == 0) {
        return PG_OK;
    }
    PG_TRY(pg_files_lock(files));
    pg_err err = faults_take(guard, &extent->descriptor);
    pg_files_unlock(files);
    pg_publish_changed(files);
    pg_files_spread_wake(files);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err; // removed meanwhile
}

pg_err pg_guard_audit(pg_guard *guard, const pg_cid *descriptor)
{
    pg_catalogue_extent extent;
    pg_place_lease lease;
    int64_t file = 0;
    pg_err err =
        pg_catalogue_extent_find(guard->config.files->config.db, descriptor, &file, &extent);
    if (err == PG_OK) {
        return own_audit(guard, &extent);
    }
    if (err != PG_ERR_NOT_FOUND) {
        return err;
    }
    PG_TRY(pg_guard_lease(guard, descriptor, &lease));
    return lease_audit(guard, &lease);
}

// ---- The lot

static pg_err lot_audit(pg_guard *guard, uint64_t own, uint64_t leases)
{
    uint64_t lot = pg_random_below(own + leases);
    if (lot < own) {
        pg_catalogue_extent extent;
        int64_t file = 0;
        PG_TRY(pg_catalogue_extent_nth(guard->config.files->config.db, lot, &file, &extent));
        return own_audit(guard, &extent);
    }
    pg_place_lease lease;
    PG_TRY(pg_place_server_draw(guard->config.place, &lease));
    return lease_audit(guard, &lease);
}

/** What there is to audit. */
static pg_err lot_count(pg_guard *guard, uint64_t *out_own, uint64_t *out_leases)
{
    PG_TRY(pg_catalogue_extent_count(guard->config.files->config.db, out_own));
    *out_leases = pg_place_server_get_stats(guard->config.place).leases;
    return PG_OK;
}

/** Wait for the next audit: for anything between nothing and twice the mean. What there is and the rules may change meanwhile. */
static pg_err lot_await(pg_guard *guard, uint64_t *out_own, uint64_t *out_leases)
{
    const uint64_t lot = pg_random_below(LOT_PARTS); // of twice the mean
    const pg_time from = pg_now();
    for (;;) {
        PG_TRY(lot_count(guard, out_own, out_leases));
        uint64_t count = *out_own + *out_leases;
        uint64_t interval_s = guard->config.rules.audit_interval_s;
        pg_time until = PG_FOREVER;
        if (interval_s > 0 && count > 0) {
            until = from + PG_SECONDS(interval_s) / (int64_t) count / LOT_PARTS * 2 * (int64_t) lot;
        }
        if (pg_now() >= until) {
            return PG_OK;
        }
        bool is_short = interval_s > 0 && interval_s < LOOK_S;
        pg_time look = pg_after(PG_SECONDS(is_short ? interval_s : LOOK_S));
        PG_TRY(pg_sleep_until(pg_earlier(until, look)));
    }
}

pg_err pg_guard_audit_run(void *arg)
{
    pg_guard *guard = arg;
    for (;;) {
        uint64_t own = 0;
        uint64_t leases = 0;
        pg_err err = lot_await(guard, &own, &leases);
        if (err == PG_OK) {
            err = lot_audit(guard, own, leases);
        }
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err != PG_OK) {
            pg_log_limited(PG_LOG_LEVEL_DEBUG, "guard.audit.failed",
                           PG_LOG_STR("error", pg_err_name(err)),
                           PG_LOG_STR("detail", pg_error_detail(err)));
            PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1))));
        }
    }
}
