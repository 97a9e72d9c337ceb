// SPDX-License-Identifier: Apache-2.0
// Repairs: extents wait for their leader's turn in a queue, the urgent ones first; then they are looked at again, since another may have been
// quicker, and what is lost is placed anew (guard_place.c).
#include <string.h>

#include "base/mem.h"
#include "files/guard_priv.h"
#include "files/limits.h"
#include "runtime/random.h"
#include "runtime/time.h"

// ---- The queue

static pg_bytes job_key(const pg_place_lease *lease)
{
    return pg_bytes_make(&lease->id, sizeof(lease->id));
}

static void settled_add(pg_guard *guard, const pg_place_lease *lease)
{
    pg_time *until = pg_map_get(&guard->settled, job_key(lease));
    if (until == NULL && pg_map_count(&guard->settled) < PG_GUARD_QUEUE_MAX) {
        until = PG_NEW(pg_time);
        if (until != NULL && pg_map_add(&guard->settled, job_key(lease), until) != PG_OK) {
            pg_mfree(until);
            until = NULL;
        }
    }
    if (until != NULL) {
        *until = pg_after(PG_SECONDS(guard->config.rules.patience_s / 4));
    }
}

static void job_drop(pg_guard *guard, const pg_place_lease *lease)
{
    guard_job *job = pg_map_take(&guard->jobs, job_key(lease));
    pg_mfree(job);
}

/** Return how long a leader has before the next one begins: a round to notice it, and what the repair takes. Whoever begins while another is still at it
 *  moves everything once more. */
static int64_t turn_ns(const pg_guard *guard, const pg_place_lease *lease, bool is_urgent)
{
    uint64_t round_s = pg_guard_round_s(guard) / (is_urgent ? 2 : 1);
    uint64_t slots = (uint64_t) __builtin_popcount(lease->slots);
    uint64_t moved = slots == 0 ? 0 : lease->bytes / slots * PG_GUARD_TURN_SLOTS;
    uint64_t speed = guard->config.rules.bandwidth;
    speed = speed == 0 || speed > PG_GUARD_TURN_SPEED ? PG_GUARD_TURN_SPEED : speed;
    return PG_SECONDS(PG_GUARD_TURN_S_MIN + round_s + moved / speed);
}

/** Put an extent into the queue. Who comes later in the order of leaders waits for those before him. */
static void job_put(pg_guard *guard, const pg_place_lease *lease, const pg_repair_plan *plan)
{
    guard_job *job = pg_map_get(&guard->jobs, job_key(lease));
    if (job != NULL) {
        job->is_urgent |= plan->is_urgent;
        return;
    }
    if (pg_map_count(&guard->jobs) >= PG_GUARD_QUEUE_MAX || (job = PG_NEW(guard_job)) == NULL) {
        return; // the next round finds it again
    }
    int64_t turn = turn_ns(guard, lease, plan->is_urgent);
    int64_t jitter_ns = (int64_t) pg_random_below((uint64_t) turn / 4);
    *job = (guard_job){.lease = *lease, .is_urgent = plan->is_urgent};
    job->due = pg_after(plan->position * turn + (plan->position == 0 ? 0 : jitter_ns));
    if (pg_map_add(&guard->jobs, job_key(lease), job) != PG_OK) {
        pg_mfree(job);
        return;
    }
    pg_waitq_wake_all(&guard->queued);
}

pg_err pg_guard_suspect(pg_guard *guard, const pg_place_lease *lease)
{
    guard_exam *exam = PG_NEW(guard_exam);
    if (exam == NULL) {
        return PG_ERR_NOMEM;
    }
    // Who announced it is asked only in our turn: until then another may have been.
    pg_err err = pg_guard_examine_known(guard, &lease->descriptor, NULL, 0, exam);
    if (err == PG_OK && pg_repair_plan_has_work(&exam->plan) && exam->own != 0) {
        job_put(guard, lease, &exam->plan);
    } else if (err == PG_OK && exam->plan.at_risk == 0) {
        settled_add(guard, lease);
    }
    pg_guard_exam_deinit(exam);
    pg_mfree(exam);
    return err;
}

/** Return the job to be done next: urgent ones before others, then by their turn; *out_next is when the first turn comes. */
static guard_job *job_next(pg_guard *guard, pg_time *out_next)
{
    pg_map_cursor cursor = {.begun = false};
    guard_job *best = NULL;
    *out_next = PG_FOREVER;
    while (pg_map_next(&guard->jobs, &cursor)) {
        guard_job *job = cursor.value;
        *out_next = pg_earlier(*out_next, job->due);
        bool is_better = best == NULL || (job->is_urgent && !best->is_urgent) ||
                         (job->is_urgent == best->is_urgent && job->due < best->due);
        best = job->due <= pg_now() && is_better ? job : best;
    }
    return best;
}

// ---- One repair

/** Nothing is to be mended after all: the owner dropped it, or somebody who was not known here has it. */
static bool is_left(pg_err err)
{
    return err == PG_ERR_CHANGED || err == PG_ERR_EXISTS;
}

static void repair_note(pg_guard *guard, const guard_placing *placing, pg_err err)
{
    const guard_exam *exam = placing->exam;
    const char *what = err == PG_OK ? "repaired" : is_left(err) ? "left" : "failed";
    int wanted = exam->is_whole ? (int) exam->plan.copies_lost : __builtin_popcount(placing->slots);
    pg_buf detail = {.ptr = NULL};
    pg_err made = err == PG_OK
                      ? pg_buf_printf(&detail, "%s%d of %d lost %s, %llu bytes pushed, position %u",
                                      exam->plan.is_urgent ? "urgent: " : "", placing->taken,
                                      wanted, exam->is_whole ? "copies" : "slots",
                                      (unsigned long long) placing->bytes, exam->plan.position)
                      : pg_buf_printf(&detail, "%d lost: %s", wanted, pg_error_detail(err));
    pg_ignore(made, "then without it");
    guard->totals.repairs_total += err == PG_OK ? 1 : 0;
    guard->totals.repairs_failed_total += err != PG_OK && !is_left(err) ? 1 : 0;
    guard->totals.repaired_slots_total += (uint64_t) placing->taken;
    guard->totals.repaired_bytes_total += placing->bytes;
    pg_guard_note(guard, &exam->descriptor, what, &detail);
}

static pg_err repair(pg_guard *guard, const pg_place_lease *lease, guard_exam *exam)
{
    guard_placing placing = {.lease = lease, .exam = exam, .slots = exam->plan.lost};
    pg_err err = pg_guard_place(guard, &placing);
    if (err != PG_ERR_CANCELLED) {
        repair_note(guard, &placing, err);
    }
    if (is_left(err)) { // others that notice it would bring the same again
        settled_add(guard, lease);
    }
    pg_buf_deinit(&placing.receipts);
    return err;
}

/** Look again, since another may have been quicker; then repair. */
static pg_err job_do(pg_guard *guard, const pg_place_lease *lease)
{
    guard_exam *exam = PG_NEW(guard_exam);
    if (exam == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_guard_examine(guard, &lease->descriptor, NULL, 0, exam);
    if (err == PG_OK && pg_repair_plan_has_work(&exam->plan) && exam->own != 0) {
        err = repair(guard, lease, exam);
    } else if (err == PG_OK && exam->plan.at_risk == 0) {
        settled_add(guard, lease);
    }
    pg_guard_exam_deinit(exam);
    pg_mfree(exam);
    return err;
}

pg_err pg_guard_repair_run(void *arg)
{
    pg_guard *guard = arg;
    for (;;) {
        pg_time next = PG_FOREVER;
        const guard_job *job = job_next(guard, &next);
        if (job == NULL || !guard->config.rules.repairs || guard->is_leaving) {
            pg_time until = job == NULL ? next : pg_after(PG_MINUTES(1));
            pg_err err = pg_waitq_wait(&guard->queued, until);
            PG_TRY(err == PG_ERR_TIMEOUT ? PG_OK : err);
            continue;
        }
        pg_place_lease lease = job->lease;
        pg_err err = job_do(guard, &lease);
        job_drop(guard, &lease);
        PG_TRY(err == PG_ERR_CANCELLED ? err : PG_OK);
        PG_TRY(pg_fiber_yield());
    }
}

// ---- By hand

pg_err pg_guard_lease(pg_guard *guard, const pg_cid *descriptor, pg_place_lease *out_lease)
{
    pg_err err = pg_place_server_find(guard->config.place, descriptor, out_lease);
    return err == PG_ERR_NOT_FOUND
               ? pg_fail(PG_ERR_NOT_FOUND, "this node keeps nothing of this extent")
               : err;
}

pg_err pg_guard_repair(pg_guard *guard, const pg_cid *descriptor, bool is_dry,
                       pg_guard_report *out_report)
{
    pg_place_lease lease;
    PG_TRY(pg_guard_lease(guard, descriptor, &lease));
    guard_exam *exam = PG_NEW(guard_exam);
    if (exam == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_guard_examine(guard, descriptor, NULL, 0, exam);
    bool is_done = false;
    if (err == PG_OK && (exam->plan.lost != 0 || exam->plan.copies_lost > 0) && !is_dry) {
        err = repair(guard, &lease, exam);
        is_done = err == PG_OK;
    }
    if (err == PG_OK) {
        pg_guard_exam_report(guard, exam, out_report);
        out_report->is_repaired = is_done;
    }
    pg_guard_exam_deinit(exam);
    pg_mfree(exam);
    return err;
}
