// SPDX-License-Identifier: Apache-2.0
// Goal: any k shards give all others back, the code is the one described in rs.h, and the audit names one liar of ten.
// Method: random sweeps against plain arithmetic written here; every loss for small codes; every liar; failing allocations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/rs.h"

#define SHARDS_MAX 16
#define BYTES_MAX 700

// One set of shards, encoded.
typedef struct shard_set {
    pg_rs *rs;
    unsigned k;
    unsigned n;
    size_t bytes;
    uint8_t shards[SHARDS_MAX][BYTES_MAX];
} shard_set;

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (random_state >> 33) % limit;
}

// The field by its definition, one bit at a time.
static uint8_t plain_mul(uint8_t a, uint8_t b)
{
    unsigned product = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        product ^= (b >> bit & 1) != 0 ? (unsigned) a << bit : 0;
    }
    for (unsigned bit = 15; bit >= 8; bit--) {
        product ^= (product >> bit & 1) != 0 ? 0x11dU << (bit - 8) : 0;
    }
    return (uint8_t) product;
}

static uint8_t plain_inverse(uint8_t a)
{
    for (unsigned b = 1; b < 256; b++) {
        if (plain_mul(a, (uint8_t) b) == 1) {
            return (uint8_t) b;
        }
    }
    return 0;
}

static void set_make(shard_set *set, unsigned k, unsigned m, size_t bytes)
{
    *set = (shard_set){.k = k, .n = k + m, .bytes = bytes};
    assert_int_equal(pg_rs_new(k, m, &set->rs), PG_OK);
    assert_int_equal(pg_rs_k(set->rs), k);
    assert_int_equal(pg_rs_m(set->rs), m);
    const uint8_t *data[SHARDS_MAX] = {0};
    uint8_t *parity[SHARDS_MAX] = {0};
    for (unsigned i = 0; i < set->n; i++) {
        data[i] = set->shards[i];
        if (i < k) {
            for (size_t x = 0; x < bytes; x++) {
                set->shards[i][x] = (uint8_t) random_below(256);
            }
        } else {
            parity[i - k] = set->shards[i];
        }
    }
    assert_int_equal(pg_rs_encode(set->rs, bytes, data, parity), PG_OK);
}

static void test_rs_encode__random_codes_and_sizes__match_plain_arithmetic(void **state)
{
    (void) state;
    static shard_set set;
    for (unsigned sweep = 0; sweep < 60; sweep++) {
        unsigned k = 1 + random_below(12);
        set_make(&set, k, random_below(SHARDS_MAX - k + 1), random_below(BYTES_MAX + 1));
        for (unsigned i = k; i < set.n; i++) {
            for (size_t x = 0; x < set.bytes; x++) {
                uint8_t sum = 0;
                for (unsigned j = 0; j < k; j++) {
                    sum ^= plain_mul(plain_inverse((uint8_t) (i ^ j)), set.shards[j][x]);
                }
                assert_int_equal(set.shards[i][x], sum);
            }
        }
        pg_rs_free(&set.rs);
        assert_null(set.rs);
    }
}

// Loses the shards of `lost` (a bit each), asks for all of them, and compares.
static void lose_and_restore(const shard_set *set, uint32_t lost)
{
    static uint8_t restored[SHARDS_MAX][BYTES_MAX];
    const uint8_t *have[SHARDS_MAX] = {0};
    uint8_t *want[SHARDS_MAX] = {0};
    for (unsigned i = 0; i < set->n; i++) {
        memset(restored[i], 0xee, sizeof(restored[i]));
        if ((lost >> i & 1) != 0) {
            want[i] = restored[i];
        } else {
            have[i] = set->shards[i];
        }
    }
    pg_err err = pg_rs_reconstruct(set->rs, set->bytes, have, want);
    if ((unsigned) __builtin_popcount(lost) > set->n - set->k) {
        assert_int_equal(err, PG_ERR_MISSING);
        return;
    }
    assert_int_equal(err, PG_OK);
    for (unsigned i = 0; i < set->n; i++) {
        if (want[i] != NULL) {
            assert_memory_equal(restored[i], set->shards[i], set->bytes);
            assert_int_equal(restored[i][set->bytes], 0xee); // nothing written behind
        }
    }
}

static void test_rs_reconstruct__every_loss_of_small_codes__is_restored(void **state)
{
    (void) state;
    static const unsigned codes[][2] = {{1, 0}, {1, 1}, {1, 3}, {2, 2}, {3, 2}, {8, 2}, {5, 5}};
    static shard_set set;
    for (size_t c = 0; c < PG_ARRAY_LEN(codes); c++) {
        set_make(&set, codes[c][0], codes[c][1], 1 + random_below(BYTES_MAX - 1));
        for (uint32_t lost = 0; lost < 1U << set.n; lost++) {
            lose_and_restore(&set, lost);
        }
        pg_rs_free(&set.rs);
    }
}

static void test_rs_reconstruct__random_losses_of_random_codes__are_restored(void **state)
{
    (void) state;
    static shard_set set;
    for (unsigned sweep = 0; sweep < 200; sweep++) {
        unsigned k = 1 + random_below(14);
        set_make(&set, k, random_below(SHARDS_MAX - k + 1), random_below(BYTES_MAX));
        lose_and_restore(&set, random_below(1U << set.n));
        pg_rs_free(&set.rs);
    }
}

static void test_rs_reconstruct__only_what_is_wanted__is_computed(void **state)
{
    (void) state;
    static shard_set set;
    set_make(&set, 4, 3, 100);
    const uint8_t *have[7] = {set.shards[0], NULL,          NULL,         set.shards[3],
                              NULL,          set.shards[5], set.shards[6]};
    uint8_t second[100];
    uint8_t *want[7] = {[2] = second};
    assert_int_equal(pg_rs_reconstruct(set.rs, 100, have, want), PG_OK);
    assert_memory_equal(second, set.shards[2], 100);
    pg_rs_free(&set.rs);
}

static void test_rs__largest_code__round_trips(void **state)
{
    (void) state;
    enum { K = 200, M = 55, BYTES = 64 };
    static uint8_t shards[K + M][BYTES];
    static uint8_t restored[M][BYTES];
    const uint8_t *have[K + M];
    uint8_t *parity[M];
    uint8_t *want[K + M] = {0};
    pg_rs *rs = NULL;
    assert_int_equal(pg_rs_new(K, M, &rs), PG_OK);
    for (unsigned i = 0; i < K + M; i++) {
        have[i] = shards[i];
        for (size_t x = 0; x < BYTES; x++) {
            shards[i][x] = (uint8_t) random_below(256);
        }
    }
    for (unsigned i = 0; i < M; i++) {
        parity[i] = shards[K + i];
    }
    assert_int_equal(pg_rs_encode(rs, BYTES, have, parity), PG_OK);
    for (unsigned i = 0; i < M; i++) {
        have[3 * i] = NULL;
        want[3 * i] = restored[i];
    }
    assert_int_equal(pg_rs_reconstruct(rs, BYTES, have, want), PG_OK);
    for (unsigned i = 0; i < M; i++) {
        assert_memory_equal(restored[i], shards[3 * (size_t) i], BYTES);
    }
    pg_rs_free(&rs);
}

static void test_rs__bad_arguments__are_refused(void **state)
{
    (void) state;
    pg_rs *rs = NULL;
    assert_int_equal(pg_rs_new(0, 2, &rs), PG_ERR_INVALID);
    assert_int_equal(pg_rs_new(254, 2, &rs), PG_ERR_INVALID);
    assert_int_equal(pg_rs_new(256, 0, &rs), PG_ERR_INVALID);
    assert_int_equal(pg_rs_new(8, UINT32_MAX, &rs), PG_ERR_INVALID);
    assert_null(rs);
    pg_rs_free(&rs);
    assert_int_equal(pg_rs_new(1, 1, &rs), PG_OK);
    const uint8_t *none[2] = {0};
    uint8_t *space[2] = {0};
    pg_rs_verdict verdict;
    size_t too_long = PG_RS_SHARD_BYTES_MAX + (size_t) 1;
    assert_int_equal(pg_rs_encode(rs, too_long, none, space), PG_ERR_INVALID);
    assert_int_equal(pg_rs_reconstruct(rs, too_long, none, space), PG_ERR_INVALID);
    assert_int_equal(pg_rs_check(rs, too_long, none, &verdict), PG_ERR_INVALID);
    pg_rs_free(&rs);
}

static void test_rs__memory_runs_out__fails_at_every_allocation(void **state)
{
    (void) state;
    pg_rs *rs = NULL;
    pg_err err = PG_ERR_NOMEM;
    for (uint64_t nth = 1; err != PG_OK; nth++) {
        pg_mem_fail_nth(nth);
        err = pg_rs_new(8, 2, &rs);
        assert_true(err == PG_OK ? !pg_mem_failed() : err == PG_ERR_NOMEM && rs == NULL);
    }
    pg_mem_fail_nth(0);
    pg_rs_free(&rs);

    static shard_set set;
    // A big code, so that its tables take more than one block of memory.
    set_make(&set, 12, 4, 600);
    const uint8_t *have[16];
    uint8_t space[600];
    uint8_t *want[16] = {space};
    for (unsigned i = 0; i < 16; i++) {
        have[i] = i == 0 ? NULL : set.shards[i];
    }
    err = PG_ERR_NOMEM;
    uint64_t nth = 1;
    for (; err != PG_OK; nth++) {
        pg_mem_fail_nth(nth);
        err = pg_rs_reconstruct(set.rs, 600, have, want);
        assert_true(err == PG_OK ? !pg_mem_failed() : err == PG_ERR_NOMEM);
    }
    assert_true(nth > 1);
    err = PG_ERR_NOMEM;
    for (nth = 1; err != PG_OK; nth++) {
        pg_rs_verdict verdict = {0};
        pg_mem_fail_nth(nth);
        err = pg_rs_check(set.rs, 600, have, &verdict);
        assert_true(err == PG_OK ? !pg_mem_failed() : err == PG_ERR_NOMEM);
    }
    pg_mem_fail_nth(0);
    pg_rs_free(&set.rs);
}

// Makes the shards answers of an audit: the same combination of the blocks of each, 100 bytes a block.
static void answers_make(const shard_set *set, uint8_t answers[SHARDS_MAX][100],
                         const uint8_t **out_answers)
{
    uint8_t coefficients[7];
    for (size_t b = 0; b < sizeof(coefficients); b++) {
        coefficients[b] = (uint8_t) random_below(256);
    }
    for (unsigned i = 0; i < set->n; i++) {
        pg_gf_combine(pg_bytes_make(set->shards[i], set->bytes), coefficients,
                      pg_mut_bytes_make(answers[i], 100));
        out_answers[i] = answers[i];
    }
}

static void test_gf_combine__random_blocks__match_plain_arithmetic(void **state)
{
    (void) state;
    static uint8_t data[5000];
    uint8_t coefficients[5000];
    for (unsigned sweep = 0; sweep < 40; sweep++) {
        size_t len = random_below(sizeof(data) + 1);
        size_t block = 1 + random_below(300);
        for (size_t x = 0; x < sizeof(data); x++) {
            data[x] = (uint8_t) random_below(256);
            coefficients[x] = (uint8_t) random_below(sweep % 2 == 0 ? 256 : 2);
        }
        uint8_t wanted[300] = {0};
        uint8_t out[301];
        memset(out, 0xee, sizeof(out));
        for (size_t x = 0; x < len; x++) {
            wanted[x % block] ^= plain_mul(coefficients[x / block], data[x]);
        }
        pg_gf_combine(pg_bytes_make(data, len), coefficients, pg_mut_bytes_make(out, block));
        assert_memory_equal(out, wanted, block);
        assert_int_equal(out[block], 0xee);
    }
}

static void test_rs_check__honest_answers__are_consistent_or_unproven(void **state)
{
    (void) state;
    static shard_set set;
    static uint8_t answers[SHARDS_MAX][100];
    const uint8_t *all[SHARDS_MAX];
    const uint8_t *some[SHARDS_MAX];
    pg_rs_verdict verdict;
    set_make(&set, 8, 2, 650);
    answers_make(&set, answers, all);
    for (uint32_t lost = 0; lost < 1U << 10; lost++) {
        for (unsigned i = 0; i < 10; i++) {
            some[i] = (lost >> i & 1) != 0 ? NULL : all[i];
        }
        assert_int_equal(pg_rs_check(set.rs, 100, some, &verdict), PG_OK);
        assert_int_equal(verdict.finding, __builtin_popcount(lost) < 2 ? PG_RS_FINDING_CONSISTENT
                                                                       : PG_RS_FINDING_UNPROVEN);
    }
    pg_rs_free(&set.rs);
}

static void test_rs_check__each_liar__is_named_by_ten_noticed_by_nine_unseen_by_eight(void **state)
{
    (void) state;
    static shard_set set;
    static uint8_t answers[SHARDS_MAX][100];
    const uint8_t *all[SHARDS_MAX];
    pg_rs_verdict verdict;
    set_make(&set, 8, 2, 650);
    for (unsigned liar = 0; liar < 10; liar++) {
        for (unsigned kind = 0; kind < 2; kind++) {
            answers_make(&set, answers, all);
            for (size_t x = 0; x < 100; x++) { // one byte wrong, or all of it garbage
                answers[liar][x] ^= (uint8_t) (kind == 0 ? x == 99 : 1 + random_below(255));
            }
            assert_int_equal(pg_rs_check(set.rs, 100, all, &verdict), PG_OK);
            assert_int_equal(verdict.finding, PG_RS_FINDING_LIAR);
            assert_int_equal(verdict.liar, liar);
            unsigned absent = (liar + 1 + random_below(9)) % 10;
            all[absent] = NULL;
            assert_int_equal(pg_rs_check(set.rs, 100, all, &verdict), PG_OK);
            assert_int_equal(verdict.finding, PG_RS_FINDING_INCONSISTENT);
            all[(absent + 1) % 10] = NULL;
            assert_int_equal(pg_rs_check(set.rs, 100, all, &verdict), PG_OK);
            assert_int_equal(verdict.finding, PG_RS_FINDING_UNPROVEN);
        }
    }
    pg_rs_free(&set.rs);
}

static void test_rs_check__two_liars__are_noticed_not_named(void **state)
{
    (void) state;
    static shard_set set;
    static uint8_t answers[SHARDS_MAX][100];
    const uint8_t *all[SHARDS_MAX];
    pg_rs_verdict verdict;
    set_make(&set, 8, 2, 650);
    for (unsigned a = 0; a < 10; a++) {
        for (unsigned b = a + 1; b < 10; b++) {
            answers_make(&set, answers, all);
            for (size_t x = 0; x < 100; x++) {
                answers[a][x] ^= (uint8_t) (1 + random_below(255));
                answers[b][x] ^= (uint8_t) (1 + random_below(255));
            }
            assert_int_equal(pg_rs_check(set.rs, 100, all, &verdict), PG_OK);
            assert_int_equal(verdict.finding, PG_RS_FINDING_INCONSISTENT);
        }
    }
    pg_rs_free(&set.rs);
}

static void test_rs_check__more_parity__still_names_one_liar(void **state)
{
    (void) state;
    static shard_set set;
    static uint8_t answers[SHARDS_MAX][100];
    const uint8_t *all[SHARDS_MAX];
    pg_rs_verdict verdict;
    for (unsigned sweep = 0; sweep < 100; sweep++) {
        unsigned k = 1 + random_below(10);
        set_make(&set, k, 2 + random_below(SHARDS_MAX - k - 1), 650);
        answers_make(&set, answers, all);
        unsigned liar = random_below(set.n);
        answers[liar][random_below(100)] ^= 1;
        unsigned absent = random_below(set.n); // may be the liar
        if (set.n >= k + 3) {
            all[absent] = NULL;
        }
        assert_int_equal(pg_rs_check(set.rs, 100, all, &verdict), PG_OK);
        if (all[liar] == NULL) {
            assert_int_equal(verdict.finding, PG_RS_FINDING_CONSISTENT);
        } else {
            assert_int_equal(verdict.finding, PG_RS_FINDING_LIAR);
            assert_int_equal(verdict.liar, liar);
        }
        pg_rs_free(&set.rs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rs_encode__random_codes_and_sizes__match_plain_arithmetic),
        cmocka_unit_test(test_rs_reconstruct__every_loss_of_small_codes__is_restored),
        cmocka_unit_test(test_rs_reconstruct__random_losses_of_random_codes__are_restored),
        cmocka_unit_test(test_rs_reconstruct__only_what_is_wanted__is_computed),
        cmocka_unit_test(test_rs__largest_code__round_trips),
        cmocka_unit_test(test_rs__bad_arguments__are_refused),
        cmocka_unit_test(test_rs__memory_runs_out__fails_at_every_allocation),
        cmocka_unit_test(test_gf_combine__random_blocks__match_plain_arithmetic),
        cmocka_unit_test(test_rs_check__honest_answers__are_consistent_or_unproven),
        cmocka_unit_test(test_rs_check__each_liar__is_named_by_ten_noticed_by_nine_unseen_by_eight),
        cmocka_unit_test(test_rs_check__two_liars__are_noticed_not_named),
        cmocka_unit_test(test_rs_check__more_parity__still_names_one_liar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
