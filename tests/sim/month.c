// SPDX-License-Identifier: Apache-2.0
#include "month.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "exchange/limits.h"
#include "files/host_set.h"
#include "files/limits.h"
#include "files/repair_plan.h"
#include "health/health_priv.h"
#include "runtime/sim.h"
#include "runtime/time.h"

#define TICK_S (3600U / CHURN_TICKS_PER_HOUR)
#define CLOCK_BEGINS_S (UINT64_C(2) * 365 * 86400) // so that a year in the past is a time too
#define TICKS_PER_DAY (24U * CHURN_TICKS_PER_HOUR)
#define WARM_DAYS 7U // in which hosts get to know each other before files are put
#define MEMBERS_MAX PG_PLACE_RECEIPTS_MAX
#define AUDIT_S (UINT64_C(24) * 3600)
#define FORGOTTEN_DAYS 3U // a book pings a host for so long after it has gone
#define DESCRIPTOR_BYTES 4096U
#define SIZE_MEDIAN_BYTES (4.0 * 1024 * 1024) // of files; the mean is 7 times that
#define SIZE_SIGMA 2.0

// What goes wrong: once in so many hours.
#define ROT_HOURS 1440.0       // a host: one shard of a disk that is up
#define DISK_HOURS 48000.0     // a host: a whole disk
#define CLOCK_HOURS 2160.0     // a host: its clock is off, by up to a year, for a day
#define PARTITION_HOURS 72.0   // all: a fifth of them is cut off
#define PARTITION_MEDIAN_H 2.0 // for so long

/** What one host keeps of an extent, by its own word and in truth. */
typedef struct member {
    uint16_t host;
    pg_slot_set slots;  // it says, and believes
    pg_slot_set rotten; // of these, what is damaged and was not read since
} member;

typedef struct extent {
    uint8_t id[32];
    uint32_t shard_bytes;
    bool is_lost;
    size_t member_count;
    member members[MEMBERS_MAX];
} extent;

/** An extent as one of its hosts deals with it: guard_job and settled of the guard. */
typedef struct holding {
    uint32_t extent;
    bool is_queued;
    bool is_urgent;
    double due_s;
    double settled_s;
} holding;

/** What a host knows of another one: guard_peer. */
typedef struct peer_view {
    uint32_t silent_s;  // since when, by its own clock, which may be a year off; 0 = it answers
    uint32_t probe;     // extent
    uint32_t back_tick; // when it answered after it had been taken for lost; 0 = it never was
    uint16_t round;     // in which it was last seen to matter
    uint8_t misses;
} peer_view;

typedef struct host {
    churn_life life;
    pg_peer_id id;
    size_t place;
    bool is_up;
    bool is_cut;       // off from most others
    bool is_forgotten; // by the books
    double round_s;    // when the next is
    uint16_t rounds;
    double busy_s;        // repairs move bytes until then
    double clock_ahead_s; // its wall clock
    double clock_until_s;
    size_t holding_count;
    size_t holding_cap;
    holding *holdings;
} host;

typedef struct month {
    const month_config *config;
    month_report *report;
    churn_random random;
    uint32_t ticks;
    uint32_t tick;
    host *hosts; // [host_count], those that have gone too
    size_t host_count;
    size_t host_cap;
    size_t *now_at; // [nodes]: who is at a place
    churn_kind *kinds;
    extent *extents;
    peer_view *views; // [host_cap * host_cap]
    pg_health *book;  // hosts share what they saw of others
    pg_host_candidate *candidates;
    double cut_until_s;
    double readable_hours;
    double extent_hours;
    double up_hours;
    double host_hours;
    bool is_put;
} month;

static double now_s(const month *self)
{
    return (double) self->tick * TICK_S;
}

/** Return the time by the wall clock of a host. */
static uint32_t clock_s(const month *self, const host *one)
{
    return (uint32_t) ((double) CLOCK_BEGINS_S + now_s(self) + one->clock_ahead_s);
}

static bool happens(month *self, double part)
{
    return churn_uniform(&self->random) < part;
}

static size_t draw(month *self, size_t bound)
{
    return (size_t) (churn_uniform(&self->random) * (double) bound);
}

static bool is_gone(const month *self, const host *one)
{
    return self->tick >= one->life.gone;
}

/** Return true when an answer comes. */
static bool reaches(const month *self, size_t from, size_t to)
{
    const host *one = &self->hosts[from];
    const host *other = &self->hosts[to];
    return other->is_up && one->is_cut == other->is_cut;
}

/** Return the length of a round: pg_guard_round_s. */
static double round_length_s(const month *self)
{
    double part = (double) self->config->patience_s / PG_GUARD_ROUND_PART;
    return fmin(fmax(part, PG_GUARD_ROUND_S_MIN), PG_GUARD_ROUND_S_MAX);
}

static peer_view *view_of(const month *self, size_t of, size_t peer)
{
    return &self->views[of * self->host_cap + peer];
}

// ---- Hosts and what they hold

static pg_err host_begin(month *self, size_t place)
{
    if (self->host_count == self->host_cap) {
        return pg_fail(PG_ERR_LIMIT, "more than %zu hosts came and went", self->host_cap);
    }
    size_t index = self->host_count++;
    host *one = &self->hosts[index];
    one->place = place;
    one->life = (churn_life){.ticks = self->ticks, .born = self->tick};
    one->life.up = pg_calloc(self->ticks, 1);
    if (one->life.up == NULL) {
        return PG_ERR_NOMEM;
    }
    churn_life_draw(&self->random, self->kinds[place], &one->life);
    one->id.len = 34;
    one->id.bytes[0] = 0x12;
    one->id.bytes[1] = 32;
    for (size_t i = 0; i < 32; i++) {
        one->id.bytes[2 + i] = (uint8_t) draw(self, 256);
    }
    self->now_at[place] = index;
    return PG_OK;
}

static holding *holding_of(const host *one, uint32_t which)
{
    for (size_t i = 0; i < one->holding_count; i++) {
        if (one->holdings[i].extent == which) {
            return &one->holdings[i];
        }
    }
    return NULL;
}

static member *member_of(extent *of, size_t which)
{
    for (size_t i = 0; i < of->member_count; i++) {
        if (of->members[i].host == which) {
            return &of->members[i];
        }
    }
    return NULL;
}

/** Let a host have slots of an extent. */
static pg_err slots_give(month *self, size_t to, uint32_t which, pg_slot_set slots)
{
    extent *of = &self->extents[which];
    host *one = &self->hosts[to];
    member *known = member_of(of, to);
    if (known != NULL) {
        known->slots |= slots;
        known->rotten &= ~slots;
    } else if (of->member_count == MEMBERS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "an extent with more than %u hosts", MEMBERS_MAX);
    } else {
        of->members[of->member_count++] = (member){.host = (uint16_t) to, .slots = slots};
    }
    if (holding_of(one, which) != NULL) {
        return PG_OK;
    }
    if (one->holding_count == one->holding_cap) {
        size_t cap = one->holding_cap == 0 ? 64 : 2 * one->holding_cap;
        holding *more = pg_realloc(one->holdings, cap * sizeof(*more));
        if (more == NULL) {
            return PG_ERR_NOMEM;
        }
        one->holdings = more;
        one->holding_cap = cap;
    }
    one->holdings[one->holding_count++] = (holding){.extent = which};
    return PG_OK;
}

/** Those who have gone for good and whose slots others have are known to nobody for long: their receipts are not passed on. */
static void members_prune(const month *self, extent *of)
{
    size_t left = 0;
    for (size_t i = 0; i < of->member_count; i++) {
        if (of->members[i].slots != 0 && !is_gone(self, &self->hosts[of->members[i].host])) {
            of->members[left++] = of->members[i];
        }
    }
    of->member_count = left;
}

static void bytes_lost_add(month *self, const extent *of, pg_slot_set slots)
{
    self->report->bytes_lost += (uint64_t) __builtin_popcount(slots) * of->shard_bytes;
}

/** A disk is lost, or the host with it. The others do not know yet. */
static void holdings_lose(month *self, size_t whose, bool is_known)
{
    host *one = &self->hosts[whose];
    for (size_t i = 0; i < one->holding_count; i++) {
        extent *of = &self->extents[one->holdings[i].extent];
        member *known = member_of(of, whose);
        if (known != NULL) {
            bytes_lost_add(self, of, known->slots & ~known->rotten);
            known->slots = is_known ? 0 : known->slots;
        }
    }
    one->holding_count = 0;
}

// ---- The guard: how an extent stands (guard_examine.c)

static bool is_lost(const month *self, size_t of, size_t peer, uint64_t patience_s)
{
    const peer_view *view = view_of(self, of, peer);
    uint32_t clock = clock_s(self, &self->hosts[of]);
    return view->silent_s != 0 && view->misses >= PG_GUARD_MISSES_MIN && clock > view->silent_s &&
           clock - view->silent_s >= patience_s;
}

/** Return true when a host that answers was taken for lost until lately: pg_guard_peer_is_back. */
static bool is_back(const month *self, size_t of, size_t peer)
{
    double grace_s =
        fmax(PG_GUARD_BACK_ROUNDS * round_length_s(self), (double) PG_GUARD_BACK_S_MIN);
    uint32_t back = view_of(self, of, peer)->back_tick;
    return is_lost(self, of, peer, self->config->patience_s / 4) ||
           (back != 0 && now_s(self) < (double) back * TICK_S + grace_s);
}

static pg_repair_plan examine(month *self, size_t by, const extent *of)
{
    pg_repair_member members[MEMBERS_MAX];
    size_t count = 0;
    self->report->looks++;
    for (size_t i = 0; i < of->member_count; i++) {
        size_t peer = of->members[i].host;
        bool answers = peer == by || reaches(self, by, peer);
        if (peer == by && of->members[i].slots == 0) {
            continue;
        }
        members[count++] = (pg_repair_member){
            .peer = self->hosts[peer].id,
            .slots = of->members[i].slots,
            .standing = answers ? PG_REPAIR_STANDING_LIVING
                        : is_lost(self, by, peer, self->config->patience_s)
                            ? PG_REPAIR_STANDING_LOST
                            : PG_REPAIR_STANDING_SILENT,
            .is_lost_if_urgent = !answers && is_lost(self, by, peer, self->config->patience_s / 4),
            .is_back = answers && peer != by && is_back(self, by, peer),
        };
        self->report->look_checks += peer == by ? 0 : 1;
    }
    const pg_repair_case what = {
        .extent_id = PG_BYTES_OF(of->id),
        .slots = pg_code_shards(self->config->code),
        .needed = self->config->code.data,
        .members = members,
        .count = count,
        .self = &self->hosts[by].id,
    };
    return pg_repair_plan_make(&what);
}

// ---- The guard: repairs (guard_repair.c)

static double turn_s(const month *self, const extent *of, bool is_urgent)
{
    double moved = (double) of->shard_bytes * PG_GUARD_TURN_SLOTS;
    return PG_GUARD_TURN_S_MIN + round_length_s(self) / (is_urgent ? 2 : 1) +
           moved / (double) PG_GUARD_TURN_SPEED;
}

/** Look at an extent, and queue it when something of it is lost. */
static void suspect(month *self, size_t by, holding *held)
{
    const extent *of = &self->extents[held->extent];
    const pg_repair_plan plan = examine(self, by, of);
    if (pg_repair_plan_has_work(&plan)) {
        held->is_urgent |= plan.is_urgent;
        if (!held->is_queued) {
            double turn = turn_s(self, of, plan.is_urgent);
            double jitter = plan.position == 0 ? 0 : churn_uniform(&self->random) * turn / 4;
            held->is_queued = true;
            held->is_urgent = plan.is_urgent;
            held->due_s = now_s(self) + plan.position * turn + jitter;
        }
    } else if (plan.at_risk == 0) {
        held->settled_s = now_s(self) + (double) self->config->patience_s / 4;
    }
}

/** Find hosts that answer and take shards, without those of the extent; in the order that health wants. Returns how many. */
static size_t targets_find(month *self, size_t by, extent *of, uint16_t *out, size_t want)
{
    size_t count = 0;
    pg_health *book = self->book;
    size_t first = draw(self, self->config->nodes);
    for (size_t i = 0; i < self->config->nodes && count < PG_FILES_CANDIDATES_MAX; i++) {
        size_t at = self->now_at[(first + i) % self->config->nodes];
        const host *one = &self->hosts[at];
        if (at == by || !reaches(self, by, at) || member_of(of, at) != NULL ||
            !pg_health_allows(book, &one->id)) {
            continue;
        }
        self->candidates[count] = (pg_host_candidate){.peer = one->id};
        self->candidates[count].network[0] = 4; // each in a network of its own
        memcpy(&self->candidates[count].network[1], &at, 2);
        count++;
    }
    pg_host_set_order(self->candidates, count, PG_BYTES_OF(of->id), book);
    count = pg_min_size(count, want);
    for (size_t i = 0; i < count; i++) {
        memcpy(&out[i], &self->candidates[i].network[1], 2);
    }
    return count;
}

/** Read what answers. What is found damaged on the way is lost, and its host says so from then on. Returns the slots that can be had. */
static pg_slot_set slots_read(const month *self, size_t by, extent *of)
{
    pg_slot_set had = 0;
    for (size_t i = 0; i < of->member_count; i++) {
        member *one = &of->members[i];
        if (one->host == by || reaches(self, by, one->host)) {
            one->slots &= ~one->rotten;
            one->rotten = 0;
            had |= one->slots;
        }
    }
    return had;
}

/** Return slots that somebody on a disk that is not lost has, whether he answers or not. */
static pg_slot_set slots_kept(const month *self, const extent *of)
{
    pg_slot_set kept = 0;
    for (size_t i = 0; i < of->member_count; i++) {
        const member *one = &of->members[i];
        kept |= is_gone(self, &self->hosts[one->host]) ? 0 : one->slots & ~one->rotten;
    }
    return kept;
}

static pg_err repair(month *self, size_t by, uint32_t which, pg_slot_set lost)
{
    extent *of = &self->extents[which];
    uint16_t targets[PG_PLACE_SLOTS_MAX];
    size_t want = (size_t) __builtin_popcount(lost);
    pg_slot_set dealt[PG_PLACE_SLOTS_MAX];
    size_t count = targets_find(self, by, of, targets, want);
    unsigned had = (unsigned) __builtin_popcount(slots_read(self, by, of));
    if (had < self->config->code.data || count == 0) {
        self->report->repairs_failed++;
        return PG_OK;
    }
    self->report->repairs_again += (lost & slots_kept(self, of)) != 0 ? 1 : 0;
    memset(dealt, 0, sizeof(dealt));
    for (size_t i = 0, slot = 0; slot < pg_code_shards(self->config->code); slot++) {
        if ((lost >> slot & 1) != 0) {
            dealt[i++ % count] |= (pg_slot_set) 1 << slot;
        }
    }
    members_prune(self, of);
    for (size_t i = 0; i < count; i++) {
        PG_TRY(slots_give(self, targets[i], which, dealt[i]));
    }
    uint64_t pushed = want * of->shard_bytes + count * DESCRIPTOR_BYTES;
    uint64_t fetched = (uint64_t) self->config->code.data * of->shard_bytes;
    self->report->repairs++;
    self->report->bytes_pushed += pushed;
    self->report->bytes_fetched += fetched;
    self->hosts[by].busy_s = now_s(self) + (double) (pushed + fetched) / (double) (8U << 20);
    return PG_OK;
}

/** Return the job that comes next: urgent ones first, then by their turn. */
static holding *job_next(const month *self, const host *one)
{
    holding *best = NULL;
    for (size_t i = 0; i < one->holding_count; i++) {
        holding *job = &one->holdings[i];
        bool is_better = best == NULL || (job->is_urgent && !best->is_urgent) ||
                         (job->is_urgent == best->is_urgent && job->due_s < best->due_s);
        best = job->is_queued && job->due_s <= now_s(self) && is_better ? job : best;
    }
    return best;
}

static pg_err jobs_do(month *self, size_t by)
{
    host *one = &self->hosts[by];
    holding *job = NULL;
    while (one->busy_s < now_s(self) + TICK_S && (job = job_next(self, one)) != NULL) {
        uint32_t which = job->extent;
        const pg_repair_plan plan = examine(self, by, &self->extents[which]);
        job->is_queued = false;
        if (pg_repair_plan_has_work(&plan) && !self->config->is_without_repair) {
            self->report->repairs_urgent += plan.is_urgent ? 1 : 0;
            PG_TRY(repair(self, by, which, plan.lost));
        } else if (plan.at_risk == 0) {
            job->settled_s = now_s(self) + (double) self->config->patience_s / 4;
        }
    }
    return PG_OK;
}

// ---- The guard: rounds (guard.c)

static void peer_see(month *self, size_t by, size_t peer, uint32_t which)
{
    uint16_t round = self->hosts[by].rounds;
    peer_view *view = view_of(self, by, peer);
    if (view->round + 1 < round) { // it did not matter in the round before: it was forgotten
        *view = (peer_view){.silent_s = 0};
    }
    if (view->round != round || draw(self, 4) == 0) {
        view->probe = which;
    }
    view->round = round;
}

/** Ask all once. Returns false when nobody answers: then it is this host that is cut off. */
static bool peers_ask(month *self, size_t by)
{
    size_t answered = 0;
    size_t asked = 0;
    for (size_t peer = 0; peer < self->host_count; peer++) {
        if (view_of(self, by, peer)->round == self->hosts[by].rounds) {
            asked++;
            answered += reaches(self, by, peer) ? 1 : 0;
        }
    }
    self->report->checks += asked;
    return answered > 0;
}

/** Take over who answered. Returns true when somebody is silent for long enough to matter. */
static bool peers_note(month *self, size_t by)
{
    const host *one = &self->hosts[by];
    bool has_silent = false;
    for (size_t peer = 0; peer < self->host_count; peer++) {
        peer_view *view = view_of(self, by, peer);
        if (view->round != one->rounds) {
            continue;
        }
        bool answers = reaches(self, by, peer);
        if (answers && is_lost(self, by, peer, self->config->patience_s / 4)) {
            view->back_tick = self->tick;
        }
        view->misses = answers ? 0 : (uint8_t) (view->misses < 255 ? view->misses + 1 : 255);
        view->silent_s = answers ? 0 : view->silent_s != 0 ? view->silent_s : clock_s(self, one);
        has_silent |= is_lost(self, by, peer, self->config->patience_s / 4);
    }
    return has_silent;
}

/** Return true when a host of the extent is missing, or says that it does not have what it had. */
static bool is_suspect(month *self, size_t by, const holding *held, bool has_silent)
{
    const extent *of = &self->extents[held->extent];
    bool looks = has_silent && held->settled_s <= now_s(self);
    for (size_t i = 0; i < of->member_count; i++) {
        size_t peer = of->members[i].host;
        if (peer == by) {
            continue;
        }
        bool denies = of->members[i].slots == 0 && reaches(self, by, peer) &&
                      view_of(self, by, peer)->probe == held->extent;
        if (denies || (looks && is_lost(self, by, peer, self->config->patience_s / 4))) {
            return true;
        }
    }
    return false;
}

static void round_do(month *self, size_t by)
{
    host *one = &self->hosts[by];
    one->rounds++;
    for (size_t i = 0; i < one->holding_count; i++) {
        const extent *of = &self->extents[one->holdings[i].extent];
        for (size_t k = 0; k < of->member_count; k++) {
            if (of->members[k].host != by) {
                peer_see(self, by, of->members[k].host, one->holdings[i].extent);
            }
        }
    }
    bool has_silent = peers_ask(self, by) && peers_note(self, by);
    for (size_t i = 0; i < one->holding_count; i++) {
        if (is_suspect(self, by, &one->holdings[i], has_silent)) {
            suspect(self, by, &one->holdings[i]);
        }
    }
    one->round_s = now_s(self) + round_length_s(self) * (0.875 + churn_uniform(&self->random) / 4);
}

/** Audits of an hour: each extent once in the interval in the mean. Who reads a damaged shard finds out. */
static void audits_do(month *self, size_t by)
{
    host *one = &self->hosts[by];
    for (size_t i = 0; i < one->holding_count; i++) {
        extent *of = &self->extents[one->holdings[i].extent];
        if (!happens(self, 3600.0 / AUDIT_S)) {
            continue;
        }
        pg_slot_set rotten = 0;
        self->report->audits++;
        for (size_t k = 0; k < of->member_count; k++) {
            if (of->members[k].host == by || reaches(self, by, of->members[k].host)) {
                rotten |= of->members[k].rotten;
                self->report->audit_answers += (uint64_t) __builtin_popcount(of->members[k].slots);
            }
        }
        if (rotten != 0) {
            (void) slots_read(self, by, of);
            suspect(self, by, &one->holdings[i]);
        }
    }
}

// ---- Time

static void host_down(month *self, size_t which)
{
    host *one = &self->hosts[which];
    one->is_up = false;
    for (size_t i = 0; i < one->holding_count; i++) {
        one->holdings[i].is_queued = false; // the queue is in memory
        one->holdings[i].settled_s = 0;
    }
    for (size_t peer = 0; peer < self->host_count; peer++) {
        view_of(self, which, peer)->misses = 0;
        view_of(self, which, peer)->back_tick = 0;
    }
}

static pg_err hosts_move(month *self)
{
    for (size_t place = 0; place < self->config->nodes; place++) {
        size_t which = self->now_at[place];
        host *one = &self->hosts[which];
        if (is_gone(self, one)) {
            host_down(self, which);
            holdings_lose(self, which, false);
            self->report->departed += self->is_put ? 1 : 0;
            PG_TRY(host_begin(self, place));
            which = self->now_at[place];
            one = &self->hosts[which];
        }
        bool is_up = one->life.up[self->tick] != 0;
        if (one->is_up && !is_up) {
            host_down(self, which);
        } else if (!one->is_up && is_up) {
            one->is_up = true;
            one->round_s =
                now_s(self) + round_length_s(self) * (0.875 + churn_uniform(&self->random) / 4);
        }
    }
    return PG_OK;
}

static void cut_or_mend(month *self)
{
    bool is_cut = self->cut_until_s > now_s(self);
    if (!is_cut && happens(self, 1 / PARTITION_HOURS)) {
        self->cut_until_s =
            now_s(self) + 3600 * churn_lognormal(&self->random, PARTITION_MEDIAN_H, 1);
        self->report->partitions++;
        for (size_t i = 0; i < self->host_count; i++) {
            self->hosts[i].is_cut = happens(self, 0.2);
        }
    } else if (!is_cut) {
        for (size_t i = 0; i < self->host_count; i++) {
            self->hosts[i].is_cut = false;
        }
    }
}

static void host_spoil(month *self, size_t which)
{
    host *one = &self->hosts[which];
    if (one->clock_until_s < now_s(self)) {
        one->clock_ahead_s = 0;
    }
    if (happens(self, 1 / CLOCK_HOURS)) {
        one->clock_ahead_s = (churn_uniform(&self->random) - 0.5) * 2 * 365 * 86400;
        one->clock_until_s = now_s(self) + 86400;
        self->report->clock_jumps++;
    }
    if (one->holding_count > 0 && happens(self, 1 / ROT_HOURS)) {
        extent *of = &self->extents[one->holdings[draw(self, one->holding_count)].extent];
        member *known = member_of(of, which);
        if (known != NULL && known->rotten != known->slots) {
            bytes_lost_add(self, of, known->slots & ~known->rotten);
            known->rotten = known->slots;
            self->report->shards_rotten++;
        }
    }
    if (happens(self, 1 / DISK_HOURS)) {
        holdings_lose(self, which, true);
        self->report->disks_lost++;
    }
}

static void book_note(month *self, host *one)
{
    one->is_forgotten |= self->tick > one->life.gone + (uint32_t) FORGOTTEN_DAYS * TICKS_PER_DAY;
    if (one->is_forgotten || (!one->is_up && pg_health_find(self->book, &one->id) == NULL)) {
        return;
    }
    bool answers = one->is_up && !one->is_cut;
    const pg_health_observation seen = {
        .peer = &one->id,
        .kind = answers ? PG_HEALTH_PING_OK : PG_HEALTH_PING_FAILED,
        .rtt_ns = PG_MS(20 + (int64_t) (one->place % 60)),
    };
    pg_health_note(self->book, &seen);
}

static pg_err book_write(month *self)
{
    for (size_t i = 0; i < self->host_count; i++) {
        book_note(self, &self->hosts[i]);
    }
    self->book->gone_count = 0; // there is no database to forget them in
    return self->tick % TICKS_PER_DAY == 0 ? pg_health_learn(self->book) : PG_OK;
}

// ---- What came of it

static void extent_look(month *self, extent *of, month_day *day)
{
    pg_slot_set online = 0;
    for (size_t i = 0; i < of->member_count; i++) {
        const member *one = &of->members[i];
        const host *who = &self->hosts[one->host];
        online |= who->is_up && !who->is_cut ? one->slots & ~one->rotten : 0;
    }
    unsigned kept = (unsigned) __builtin_popcount(slots_kept(self, of));
    unsigned had = (unsigned) __builtin_popcount(online);
    bool is_readable = had >= self->config->code.data;
    if (!of->is_lost && kept < self->config->code.data) {
        of->is_lost = true;
        self->report->lost++;
    }
    day->kept_min = kept < day->kept_min ? kept : day->kept_min;
    day->online_min = had < day->online_min ? had : day->online_min;
    day->readable += is_readable ? 1 : 0;
    self->readable_hours += is_readable ? 1 : 0;
    self->extent_hours += 1;
    self->report->digest = (self->report->digest ^ (online * 31U + kept)) * UINT64_C(0x100000001b3);
}

static size_t up_count(const month *self)
{
    size_t up = 0;
    for (size_t place = 0; place < self->config->nodes; place++) {
        up += self->hosts[self->now_at[place]].is_up ? 1 : 0;
    }
    return up;
}

static void hour_look(month *self, unsigned number)
{
    month_day *day = &self->report->days[number];
    size_t up = up_count(self);
    for (size_t i = 0; i < self->config->files; i++) {
        extent_look(self, &self->extents[i], day);
    }
    day->up += (double) up;
    day->lost = self->report->lost;
    self->up_hours += (double) up;
    self->host_hours += (double) self->config->nodes;
    self->report->node_hours += up;
}

// ---- The whole

static pg_err file_put(month *self, uint32_t which)
{
    extent *of = &self->extents[which];
    const unsigned n = pg_code_shards(self->config->code);
    uint16_t targets[PG_PLACE_SLOTS_MAX];
    for (size_t i = 0; i < sizeof(of->id); i++) {
        of->id[i] = (uint8_t) draw(self, 256);
    }
    double bytes = fmin(churn_lognormal(&self->random, SIZE_MEDIAN_BYTES, SIZE_SIGMA),
                        (double) PG_EXTENT_BYTES_MAX);
    of->shard_bytes = pg_code_shard_bytes(self->config->code, (uint32_t) bytes + 64);
    size_t owner = self->now_at[draw(self, self->config->nodes)];
    while (!self->hosts[owner].is_up) {
        owner = self->now_at[draw(self, self->config->nodes)];
    }
    size_t count = targets_find(self, owner, of, targets, n);
    if (count < n) {
        return pg_fail(PG_ERR_FULL, "%zu hosts for %u slots", count, n);
    }
    for (size_t i = 0; i < n; i++) {
        PG_TRY(slots_give(self, targets[i], which, (pg_slot_set) 1 << i));
    }
    self->report->bytes_put += (uint64_t) n * of->shard_bytes;
    return PG_OK;
}

static pg_err files_put(month *self)
{
    for (uint32_t i = 0; i < self->config->files; i++) {
        PG_TRY(file_put(self, i));
    }
    self->is_put = true;
    return PG_OK;
}

static pg_err hour_do(month *self)
{
    if (!self->config->is_without_faults && self->is_put) {
        cut_or_mend(self);
    }
    for (size_t place = 0; place < self->config->nodes; place++) {
        size_t which = self->now_at[place];
        if (self->hosts[which].is_up && self->is_put) {
            audits_do(self, which);
        }
        if (self->hosts[which].is_up && self->is_put && !self->config->is_without_faults) {
            host_spoil(self, which);
        }
    }
    return book_write(self);
}

static pg_err tick_do(month *self)
{
    PG_TRY(hosts_move(self));
    if (self->tick % CHURN_TICKS_PER_HOUR == 0) {
        PG_TRY(hour_do(self));
    }
    for (size_t place = 0; place < self->config->nodes && self->is_put; place++) {
        size_t which = self->now_at[place];
        host *one = &self->hosts[which];
        if (one->is_up && one->round_s <= now_s(self)) {
            round_do(self, which);
        }
        if (one->is_up) {
            PG_TRY(jobs_do(self, which));
        }
    }
    return PG_OK;
}

static pg_err day_do(month *self, unsigned number)
{
    month_day *day = &self->report->days[number];
    uint64_t before = self->report->repairs;
    *day = (month_day){.kept_min = UINT32_MAX, .online_min = UINT32_MAX};
    for (unsigned i = 0; i < TICKS_PER_DAY; i++, self->tick++) {
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(TICK_S))));
        PG_TRY(tick_do(self));
        if (self->tick % CHURN_TICKS_PER_HOUR == 0) {
            hour_look(self, number);
        }
    }
    day->readable /= 24.0 * (double) self->config->files;
    day->up /= 24.0 * (double) self->config->nodes;
    day->repairs = self->report->repairs - before;
    return PG_OK;
}

static pg_err script(void *arg)
{
    month *self = arg;
    for (size_t place = 0; place < self->config->nodes; place++) {
        self->kinds[place] = churn_kind_draw(&self->random, &self->config->mix);
        PG_TRY(host_begin(self, place));
    }
    for (; self->tick < WARM_DAYS * TICKS_PER_DAY; self->tick++) {
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(TICK_S))));
        PG_TRY(tick_do(self));
    }
    PG_TRY(files_put(self));
    for (unsigned day = 0; day < self->config->days; day++) {
        PG_TRY(day_do(self, day));
    }
    self->report->readable = self->readable_hours / self->extent_hours;
    self->report->up = self->up_hours / self->host_hours;
    return PG_OK;
}

static pg_err month_begin(month *self)
{
    self->ticks = (WARM_DAYS + self->config->days + 1) * TICKS_PER_DAY;
    self->host_cap = 2 * self->config->nodes + 64;
    self->hosts = pg_calloc(self->host_cap, sizeof(*self->hosts));
    self->views = pg_calloc(self->host_cap * self->host_cap, sizeof(*self->views));
    self->now_at = pg_calloc(self->config->nodes, sizeof(*self->now_at));
    self->kinds = pg_calloc(self->config->nodes, sizeof(*self->kinds));
    self->extents = pg_calloc(self->config->files, sizeof(*self->extents));
    self->candidates = pg_calloc(PG_FILES_CANDIDATES_MAX, sizeof(*self->candidates));
    bool has_all = self->hosts != NULL && self->views != NULL && self->now_at != NULL &&
                   self->kinds != NULL && self->extents != NULL && self->candidates != NULL;
    self->book = PG_NEW(pg_health);
    if (!has_all || self->book == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_forecast_model_init(&self->book->model);
    return PG_OK;
}

static void book_free(pg_health *book)
{
    pg_map_cursor cursor = {.begun = false};
    while (book != NULL && pg_map_next(&book->peers, &cursor)) {
        pg_mfree(cursor.value);
    }
    if (book != NULL) {
        pg_map_deinit(&book->peers);
    }
    pg_mfree(book);
}

static void month_end(month *self)
{
    for (size_t i = 0; i < self->host_count; i++) {
        pg_mfree(self->hosts[i].life.up);
        pg_mfree(self->hosts[i].holdings);
    }
    book_free(self->book);
    pg_mfree(self->hosts);
    pg_mfree(self->views);
    pg_mfree(self->now_at);
    pg_mfree(self->kinds);
    pg_mfree(self->extents);
    pg_mfree(self->candidates);
}

pg_err month_run(const month_config *config, month_report *out_report)
{
    month self = {.config = config,
                  .report = out_report,
                  .random = {config->seed * UINT64_C(0x2545f4914f6cdd1d)}};
    const pg_sim_config world = {.seed = config->seed,
                                 .start_wall_ms = (int64_t) CHURN_START_HOUR * 3600000};
    *out_report = (month_report){.digest = UINT64_C(0xcbf29ce484222325)};
    if (config->days == 0 || config->days > MONTH_DAYS_MAX || config->patience_s < TICK_S ||
        config->nodes <= pg_code_shards(config->code) || config->nodes > 20000) {
        return pg_fail(PG_ERR_INVALID, "1 to %d days, and more hosts than slots", MONTH_DAYS_MAX);
    }
    pg_err err = month_begin(&self);
    if (err == PG_OK) {
        err = pg_sim_run(&world, script, &self, NULL);
    }
    month_end(&self);
    return err;
}
