// SPDX-License-Identifier: Apache-2.0
#include "dht/lookup.h"

#include <string.h>

#include "base/mem.h"

#define FIRST_CAP 64

void pg_dht_lookup_init(pg_dht_lookup *lookup, const pg_dht_lookup_config *config)
{
    *lookup = (pg_dht_lookup){.config = *config};
    lookup->config.k = config->k == 0 ? PG_DHT_K : config->k;
    lookup->config.alpha = config->alpha == 0 ? PG_DHT_ALPHA : config->alpha;
}

const pg_dht_candidate *pg_dht_lookup_get(const pg_dht_lookup *lookup,
                                          pg_dht_candidate_id candidate)
{
    pg_assert(candidate < lookup->count);
    return &lookup->candidates[candidate];
}

static pg_dht_candidate *candidate_at(const pg_dht_lookup *lookup, size_t place)
{
    return &lookup->candidates[lookup->order[place]];
}

// ---- hearing of peers ----

// The place of a point in the order: where it is, or where it would be put.
static size_t place_find(const pg_dht_lookup *lookup, const pg_dht_key *key, bool *out_known)
{
    size_t low = 0;
    size_t high = lookup->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int compared =
            pg_dht_key_compare(&lookup->config.target, key, &candidate_at(lookup, middle)->key);
        if (compared == 0) {
            *out_known = true;
            return middle;
        }
        if (compared < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    *out_known = false;
    return low;
}

static bool room_grow(pg_dht_lookup *lookup)
{
    uint16_t cap = lookup->cap == 0 ? FIRST_CAP : (uint16_t) (2 * lookup->cap);
    pg_dht_candidate *candidates =
        pg_realloc(lookup->candidates, cap * sizeof(*lookup->candidates));
    if (candidates == NULL) {
        return false;
    }
    lookup->candidates = candidates;
    pg_dht_candidate_id *order = pg_realloc(lookup->order, cap * sizeof(*lookup->order));
    if (order == NULL) {
        return false;
    }
    lookup->order = order;
    lookup->cap = cap;
    return true;
}

// A free slot: a new one, or that of the farthest peer if it was not asked and is farther than `place`.
static bool slot_take(pg_dht_lookup *lookup, size_t place, pg_dht_candidate_id *out_slot)
{
    if (lookup->count < PG_DHT_CANDIDATES_MAX) {
        if (lookup->count == lookup->cap && !room_grow(lookup)) {
            return false;
        }
        *out_slot = lookup->count;
        return true;
    }
    const pg_dht_candidate *farthest = candidate_at(lookup, lookup->count - 1U);
    if (farthest->state != PG_DHT_CANDIDATE_HEARD || place >= lookup->count) {
        return false;
    }
    *out_slot = lookup->order[lookup->count - 1];
    lookup->count--;
    return true;
}

static bool candidate_again(pg_dht_lookup *lookup, size_t place, pg_dht_candidate_id teller,
                            bool retry)
{
    pg_dht_candidate *known = candidate_at(lookup, place);
    if (teller == PG_DHT_TELLER_SELF || teller != known->teller) {
        known->is_backed = true;
    }
    if (!retry || known->state != PG_DHT_CANDIDATE_FAILED) {
        return false;
    }
    known->state = PG_DHT_CANDIDATE_HEARD;
    return true;
}

bool pg_dht_lookup_hear(pg_dht_lookup *lookup, pg_dht_candidate_id teller, const pg_peer_id *peer,
                        bool retry)
{
    pg_dht_key key = pg_dht_key_of_peer(peer);
    bool is_known = false;
    size_t place = place_find(lookup, &key, &is_known);
    if (is_known) {
        return candidate_again(lookup, place, teller, retry);
    }
    pg_dht_candidate_id slot = 0;
    if (pg_dht_key_compare(&lookup->config.self, &key, &lookup->config.self) == 0 ||
        !slot_take(lookup, place, &slot)) {
        return false;
    }
    bool from_table = teller == PG_DHT_TELLER_SELF;
    memmove(&lookup->order[place + 1], &lookup->order[place],
            (lookup->count - place) * sizeof(lookup->order[0]));
    lookup->order[place] = slot;
    lookup->candidates[slot] = (pg_dht_candidate){
        .id = *peer,
        .key = key,
        .teller = teller,
        .is_backed = from_table,
        .hop = from_table ? 1 : (uint16_t) (lookup->candidates[teller].hop + 1),
    };
    lookup->count++;
    return true;
}

// ---- who counts among the nearest ----

// A teller whose peers do not answer is not believed in those whom nobody else told of.
static bool is_believed(const pg_dht_lookup *lookup, const pg_dht_candidate *candidate)
{
    if (candidate->is_backed || lookup->config.ignores_lies) {
        return true;
    }
    const pg_dht_candidate *teller = &lookup->candidates[candidate->teller];
    return teller->told_dead < PG_DHT_TOLD_DEAD_MAX || teller->told_dead <= teller->told_alive;
}

/** A walk over those that count, nearest first. */
typedef struct walk {
    const pg_dht_lookup *lookup;
    size_t place;
    size_t counted;
    pg_dht_group groups[PG_DHT_LOOKUP_WIDE_MAX]; // of those counted
    uint64_t distance;                           // of the last one counted
} walk;

static bool walk_counts(const walk *self, const pg_dht_candidate *candidate)
{
    switch (candidate->state) {
    case PG_DHT_CANDIDATE_HEARD:
        return is_believed(self->lookup, candidate);
    case PG_DHT_CANDIDATE_ASKED:
        return !candidate->is_slow;
    case PG_DHT_CANDIDATE_FAILED:
        return false;
    case PG_DHT_CANDIDATE_ANSWERED:
        break;
    }
    size_t same = 0;
    for (size_t i = 0; i < self->counted && candidate->group != 0; i++) {
        same += self->groups[i] == candidate->group ? 1U : 0U;
    }
    return same < PG_DHT_LOOKUP_GROUP_MAX;
}

static bool walk_is_over(const walk *self)
{
    const pg_dht_lookup_config *config = &self->lookup->config;
    return self->place >= self->lookup->count || self->counted == PG_DHT_LOOKUP_WIDE_MAX ||
           (self->counted >= config->k && self->distance >= config->reach);
}

static const pg_dht_candidate *walk_next(walk *self)
{
    while (!walk_is_over(self)) {
        const pg_dht_candidate *candidate = candidate_at(self->lookup, self->place);
        self->place++;
        if (walk_counts(self, candidate)) {
            self->groups[self->counted] = candidate->group;
            self->counted++;
            self->distance = pg_dht_key_distance(&self->lookup->config.target, &candidate->key);
            return candidate;
        }
    }
    return NULL;
}

// ---- asking ----

static int64_t slow_after(const pg_dht_lookup *lookup)
{
    if (lookup->answers < 3) {
        return PG_MS(PG_DHT_SLOW_MAX_MS);
    }
    int64_t wait = 3 * (lookup->answer_ns / (int64_t) lookup->answers);
    wait = wait < PG_MS(PG_DHT_SLOW_MIN_MS) ? PG_MS(PG_DHT_SLOW_MIN_MS) : wait;
    return wait > PG_MS(PG_DHT_SLOW_MAX_MS) ? PG_MS(PG_DHT_SLOW_MAX_MS) : wait;
}

// Who told of a peer first; NULL: our own table.
static pg_dht_candidate *teller_of(const pg_dht_lookup *lookup, const pg_dht_candidate *told)
{
    return told->teller == PG_DHT_TELLER_SELF ? NULL : &lookup->candidates[told->teller];
}

// A liar must not have all our requests go to peers of its invention: a few are tried, the rest when one of them answers.
static bool is_worth_asking(const pg_dht_lookup *lookup, const pg_dht_candidate *candidate)
{
    const pg_dht_candidate *teller = teller_of(lookup, candidate);
    return candidate->is_backed || lookup->config.ignores_lies || teller->told_alive > 0 ||
           teller->told_open + teller->told_dead < PG_DHT_TOLD_OPEN_MAX;
}

static void slow_mark(pg_dht_lookup *lookup, pg_time now)
{
    pg_time since = now - slow_after(lookup);
    for (size_t i = 0; i < lookup->count && lookup->slow < lookup->in_flight; i++) {
        pg_dht_candidate *candidate = &lookup->candidates[i];
        if (candidate->state == PG_DHT_CANDIDATE_ASKED && !candidate->is_slow &&
            candidate->asked_at <= since) {
            candidate->is_slow = true;
            lookup->slow++;
            pg_dht_candidate *teller = teller_of(lookup, candidate);
            if (teller != NULL) {
                teller->told_open--;
                teller->told_dead++;
            }
        }
    }
}

static void asked_begin(pg_dht_lookup *lookup, pg_dht_candidate_id candidate, pg_time now)
{
    pg_dht_candidate *chosen = &lookup->candidates[candidate];
    pg_dht_candidate *teller = teller_of(lookup, chosen);
    chosen->state = PG_DHT_CANDIDATE_ASKED;
    chosen->is_slow = false;
    chosen->asked_at = now;
    lookup->asked++;
    lookup->in_flight++;
    if (teller != NULL) {
        teller->told_open++;
    }
}

bool pg_dht_lookup_next(pg_dht_lookup *lookup, pg_time now, pg_dht_candidate_id *out_candidate)
{
    slow_mark(lookup, now);
    if (lookup->in_flight - lookup->slow >= lookup->config.alpha ||
        lookup->in_flight >= PG_DHT_LOOKUP_INFLIGHT_MAX ||
        lookup->asked >= PG_DHT_LOOKUP_ASKS_MAX) {
        return false;
    }
    walk way = {.lookup = lookup};
    for (const pg_dht_candidate *each = walk_next(&way); each != NULL; each = walk_next(&way)) {
        if (each->state == PG_DHT_CANDIDATE_HEARD && is_worth_asking(lookup, each)) {
            *out_candidate = lookup->order[way.place - 1];
            asked_begin(lookup, *out_candidate, now);
            return true;
        }
    }
    return false;
}

static pg_dht_candidate *asked_end(pg_dht_lookup *lookup, pg_dht_candidate_id candidate,
                                   pg_dht_candidate_state state)
{
    pg_dht_candidate *ended = &lookup->candidates[candidate];
    pg_assert(candidate < lookup->count && ended->state == PG_DHT_CANDIDATE_ASKED);
    pg_dht_candidate *teller = teller_of(lookup, ended);
    bool is_alive = state == PG_DHT_CANDIDATE_ANSWERED;
    if (teller != NULL) {
        teller->told_open -= ended->is_slow ? 0U : 1U;
        teller->told_dead -= ended->is_slow ? 1U : 0U;
        teller->told_alive += is_alive ? 1U : 0U;
        teller->told_dead += is_alive ? 0U : 1U;
    }
    lookup->in_flight--;
    lookup->slow -= ended->is_slow ? 1U : 0U;
    ended->is_slow = false;
    ended->state = state;
    return ended;
}

void pg_dht_lookup_answered(pg_dht_lookup *lookup, pg_dht_candidate_id candidate,
                            pg_dht_group group, pg_time now)
{
    pg_dht_candidate *ended = asked_end(lookup, candidate, PG_DHT_CANDIDATE_ANSWERED);
    ended->group = group;
    lookup->answers++;
    lookup->answer_ns += now - ended->asked_at;
}

void pg_dht_lookup_failed(pg_dht_lookup *lookup, pg_dht_candidate_id candidate)
{
    (void) asked_end(lookup, candidate, PG_DHT_CANDIDATE_FAILED);
}

pg_time pg_dht_lookup_due(const pg_dht_lookup *lookup)
{
    pg_time due = PG_FOREVER;
    for (size_t i = 0; i < lookup->count && lookup->slow < lookup->in_flight; i++) {
        const pg_dht_candidate *candidate = &lookup->candidates[i];
        if (candidate->state == PG_DHT_CANDIDATE_ASKED && !candidate->is_slow) {
            due = pg_earlier(due, candidate->asked_at + slow_after(lookup));
        }
    }
    return due;
}

// ---- the end ----

bool pg_dht_lookup_is_done(const pg_dht_lookup *lookup)
{
    walk way = {.lookup = lookup};
    bool may_ask = lookup->asked < PG_DHT_LOOKUP_ASKS_MAX;
    for (const pg_dht_candidate *each = walk_next(&way); each != NULL; each = walk_next(&way)) {
        if (each->state == PG_DHT_CANDIDATE_ASKED ||
            (each->state == PG_DHT_CANDIDATE_HEARD && may_ask)) {
            return false;
        }
    }
    // Too few: a slow one may still come.
    return way.counted >= lookup->config.k || lookup->in_flight == 0;
}

size_t pg_dht_lookup_nearest(const pg_dht_lookup *lookup, pg_dht_candidate_id *out_ids)
{
    size_t count = 0;
    walk way = {.lookup = lookup};
    for (const pg_dht_candidate *each = walk_next(&way); each != NULL; each = walk_next(&way)) {
        if (each->state == PG_DHT_CANDIDATE_ANSWERED) {
            out_ids[count] = lookup->order[way.place - 1];
            count++;
        }
    }
    return count;
}

uint64_t pg_dht_lookup_density(const pg_dht_lookup *lookup)
{
    size_t answered = 0;
    for (size_t i = 0; i < lookup->count; i++) {
        const pg_dht_candidate *candidate = candidate_at(lookup, i);
        answered += candidate->state == PG_DHT_CANDIDATE_ANSWERED ? 1U : 0U;
        if (answered == lookup->config.k) {
            return pg_dht_key_distance(&lookup->config.target, &candidate->key);
        }
    }
    return 0;
}

void pg_dht_lookup_deinit(pg_dht_lookup *lookup)
{
    pg_mfree(lookup->candidates);
    pg_mfree(lookup->order);
    *lookup = (pg_dht_lookup){.count = 0};
}
