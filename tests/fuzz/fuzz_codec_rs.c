// SPDX-License-Identifier: Apache-2.0
// Goal: whatever the answers to an audit are, the verdict is what trying each one as the liar says.
// Input: k - 1, m, and then answers of three bytes, each behind a byte that says whether it came.
#include <string.h>

#include "codec/rs.h"
#include "fuzz.h"

#define SHARDS_MAX 16
#define ANSWER_BYTES 3

// Whether the answers that came fit one set of data, by restoring all but the first k and comparing.
static bool fits(const pg_rs *rs, const uint8_t *const *answers)
{
    const uint8_t *have[SHARDS_MAX] = {0};
    uint8_t restored[SHARDS_MAX][ANSWER_BYTES];
    uint8_t *want[SHARDS_MAX] = {0};
    unsigned used = 0;
    for (unsigned i = 0; i < pg_rs_k(rs) + pg_rs_m(rs); i++) {
        if (answers[i] != NULL && used < pg_rs_k(rs)) {
            have[i] = answers[i];
            used++;
        } else {
            want[i] = restored[i];
        }
    }
    if (pg_rs_reconstruct(rs, ANSWER_BYTES, have, want) != PG_OK) {
        return true;
    }
    for (unsigned i = 0; i < pg_rs_k(rs) + pg_rs_m(rs); i++) {
        if (have[i] == NULL && answers[i] != NULL &&
            memcmp(restored[i], answers[i], ANSWER_BYTES) != 0) {
            return false;
        }
    }
    return true;
}

static pg_rs_verdict judge_plainly(const pg_rs *rs, const uint8_t **answers, unsigned came)
{
    if (came <= pg_rs_k(rs)) {
        return (pg_rs_verdict){PG_RS_FINDING_UNPROVEN, 0};
    }
    if (fits(rs, answers)) {
        return (pg_rs_verdict){PG_RS_FINDING_CONSISTENT, 0};
    }
    for (unsigned i = 0; i < pg_rs_k(rs) + pg_rs_m(rs) && came >= pg_rs_k(rs) + 2; i++) {
        const uint8_t *answer = answers[i];
        answers[i] = NULL;
        bool is_liar = answer != NULL && fits(rs, answers);
        answers[i] = answer;
        if (is_liar) {
            return (pg_rs_verdict){PG_RS_FINDING_LIAR, i};
        }
    }
    return (pg_rs_verdict){PG_RS_FINDING_INCONSISTENT, 0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_reader reader = pg_reader_make(pg_bytes_make(data, size));
    unsigned k = 1 + pg_reader_u8(&reader) % 12;
    unsigned m = pg_reader_u8(&reader) % 5;
    const uint8_t *answers[SHARDS_MAX] = {0};
    unsigned came = 0;
    for (unsigned i = 0; i < k + m; i++) {
        bool is_there = pg_reader_u8(&reader) % 8 != 0;
        pg_bytes answer = pg_reader_take(&reader, ANSWER_BYTES);
        if (is_there && answer.len == ANSWER_BYTES) {
            answers[i] = answer.ptr;
            came++;
        }
    }
    pg_rs *rs = NULL;
    pg_rs_verdict verdict;
    FUZZ_CHECK(pg_rs_new(k, m, &rs) == PG_OK);
    FUZZ_CHECK(pg_rs_check(rs, ANSWER_BYTES, answers, &verdict) == PG_OK);
    pg_rs_verdict plain = judge_plainly(rs, answers, came);
    FUZZ_CHECK(verdict.finding == plain.finding && verdict.liar == plain.liar);
    pg_rs_free(&rs);
    return 0;
}
