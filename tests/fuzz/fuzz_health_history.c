// SPDX-License-Identifier: Apache-2.0
// Goal: what is read as a history is written as it was, stays within its bounds whatever is seen next, and gives a score in range.
// Input: a history as it stands in the database.
#include "fuzz.h"
#include "health/score.h"

static void try_use(pg_health_history *history)
{
    pg_health_judgement judgement = {.state = PG_HEALTH_STATE_NEW};
    for (unsigned i = 0; i < 2 * PG_HEALTH_KIND_COUNT; i++) {
        uint64_t time_s = history->last_s + 1800 * i;
        pg_health_history_add(history, (pg_health_kind) (i % PG_HEALTH_KIND_COUNT), 1000, time_s);
        pg_health_parts parts = pg_health_parts_of(history, time_s);
        double score = pg_health_score(&parts);
        FUZZ_CHECK(score >= 0 && score <= 100.001);
        (void) pg_health_judge(&judgement, history, score, time_s);
    }
    FUZZ_CHECK(pg_health_history_known(history) <= PG_HEALTH_HOURS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    pg_health_history history;
    pg_buf again = {0};
    if (pg_health_history_decode(in, &history) != PG_OK) {
        return 0;
    }
    FUZZ_CHECK(pg_health_history_encode(&history, &again) == PG_OK);
    FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again), in));
    pg_buf_deinit(&again);
    try_use(&history);
    return 0;
}
