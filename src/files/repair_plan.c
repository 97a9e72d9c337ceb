// SPDX-License-Identifier: Apache-2.0
#include "files/repair_plan.h"

#include "crypto/hash.h"
#include "exchange/limits.h"

// A fifth of the slots: 2 of 10, after which an extent of 8+2 may lose nothing more.
#define URGENT_PART 5U

static uint64_t rank_of(pg_bytes extent_id, const pg_peer_id *peer)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea repair v1"));
    pg_blake3_stream_update(&stream, extent_id);
    pg_blake3_stream_update(&stream, pg_peer_id_bytes(peer));
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(digest));
    pg_reader reader = pg_reader_make(PG_BYTES_OF(digest));
    return pg_reader_u64be(&reader);
}

/** How many living hosts come before ourselves. */
static unsigned position_of(const pg_repair_case *what)
{
    uint64_t own = rank_of(what->extent_id, what->self);
    unsigned position = 0;
    for (size_t i = 0; i < what->count; i++) {
        const pg_repair_member *member = &what->members[i];
        if (member->standing == PG_REPAIR_STANDING_LIVING && member->slots != 0 &&
            !pg_peer_id_equal(&member->peer, what->self) &&
            rank_of(what->extent_id, &member->peer) > own) {
            position++;
        }
    }
    return position;
}

/** Where one that was taken for lost is back, it was the way to it that failed: the others come back too, each in its time. */
static bool is_healing(const pg_repair_case *what)
{
    for (size_t i = 0; i < what->count; i++) {
        if (what->members[i].is_back) {
            return true;
        }
    }
    return false;
}

static bool is_waited_for(const pg_repair_case *what, const pg_repair_member *member,
                          bool is_urgent)
{
    return member->standing == PG_REPAIR_STANDING_LIVING || is_healing(what) ||
           (member->standing == PG_REPAIR_STANDING_SILENT &&
            !(is_urgent && member->is_lost_if_urgent));
}

static void whole_plan(const pg_repair_case *what, pg_repair_plan *plan)
{
    unsigned living = 0;
    unsigned waited_for = 0;
    for (size_t i = 0; i < what->count; i++) {
        const pg_repair_member *member = &what->members[i];
        living += member->standing == PG_REPAIR_STANDING_LIVING && member->slots != 0 ? 1 : 0;
    }
    plan->is_urgent = living * 2 <= what->copies;
    for (size_t i = 0; i < what->count; i++) {
        const pg_repair_member *member = &what->members[i];
        waited_for += member->slots != 0 && is_waited_for(what, member, plan->is_urgent) ? 1 : 0;
    }
    plan->copies_lost = waited_for < what->copies ? what->copies - waited_for : 0;
}

static void extent_plan(const pg_repair_case *what, pg_repair_plan *plan)
{
    pg_slot_set all = (pg_slot_set) (((uint64_t) 1 << what->slots) - 1);
    pg_slot_set living = 0;
    pg_slot_set waited_for = 0;
    for (size_t i = 0; i < what->count; i++) {
        const pg_repair_member *member = &what->members[i];
        living |= member->standing == PG_REPAIR_STANDING_LIVING ? member->slots : 0;
    }
    plan->at_risk = all & ~living;
    plan->is_urgent = (unsigned) __builtin_popcount(plan->at_risk) * URGENT_PART >= what->slots;
    for (size_t i = 0; i < what->count; i++) {
        const pg_repair_member *member = &what->members[i];
        waited_for |= is_waited_for(what, member, plan->is_urgent) ? member->slots : 0;
    }
    plan->lost = all & ~waited_for;
    plan->is_hopeless = (unsigned) __builtin_popcount(living) < what->needed;
}

pg_repair_plan pg_repair_plan_make(const pg_repair_case *what)
{
    pg_repair_plan plan = {.position = position_of(what)};
    if (what->copies > 0) {
        whole_plan(what, &plan);
    } else {
        extent_plan(what, &plan);
    }
    return plan;
}

double pg_repair_readable(const pg_slot_set *sets, const double *chances, size_t count,
                          unsigned parity)
{
    double missing[PG_PLACE_SLOTS_MAX + 1] = {1.0}; // [s]: the chance that s slots are missing
    for (size_t i = 0; i < count; i++) {
        unsigned slots = (unsigned) __builtin_popcount(sets[i]);
        for (unsigned s = PG_PLACE_SLOTS_MAX + 1; s-- > 0;) {
            double away = s >= slots ? missing[s - slots] * (1.0 - chances[i]) : 0.0;
            missing[s] = slots == 0 ? missing[s] : missing[s] * chances[i] + away;
        }
    }
    double readable = 0.0;
    for (unsigned s = 0; s <= parity && s <= PG_PLACE_SLOTS_MAX; s++) {
        readable += missing[s];
    }
    return readable;
}
