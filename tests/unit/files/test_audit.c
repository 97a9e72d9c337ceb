// SPDX-License-Identifier: Apache-2.0
// Goal: true answers agree, one liar is named, two are noticed, few answers prove nothing; the answer's encoding is strict.
// Method: shards of real segments; every liar; lies of one bit, of a whole shard, and of an answer meant for another auditor.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "files/audit.h"
#include "files/segment.h"
#include "memory_store.h"

#define N 10

/** The answers of ten holders to one challenge. */
typedef struct audit {
    pg_segment_coder coder;
    pg_segment_info info;
    pg_audit_challenge challenge;
    uint8_t sums[N][PG_AUDIT_BLOCK_BYTES];
    const uint8_t *answers[N];
} audit;

static void answer(audit *a, unsigned i)
{
    pg_audit_compute(&a->challenge, pg_bytes_const(pg_segment_shard(&a->coder, &a->info, i)),
                     a->sums[i]);
    a->answers[i] = a->sums[i];
}

static int setup(void **state)
{
    static audit a;
    uint8_t digests[N][PG_HASH_BYTES];
    pg_key key = {{1}};
    a = (audit){.challenge = {.segment = 3, .auditor = PG_BYTES_LIT("auditor")}};
    test_random(PG_MUT_BYTES_OF(a.challenge.nonce));
    test_random(PG_MUT_BYTES_OF(a.challenge.extent_id));
    assert_int_equal(pg_segment_coder_init(&a.coder, PG_CODE_DEFAULT, 100000), PG_OK);
    pg_segment_coder_choose(&a.coder, &key, a.challenge.extent_id, 0);
    test_random(pg_mut_bytes_make(a.coder.plain, 100000));
    a.info.plain_bytes = 100000;
    assert_int_equal(pg_segment_seal(&a.coder, 3, &a.info, digests), PG_OK);
    for (unsigned i = 0; i < N; i++) {
        answer(&a, i);
    }
    *state = &a;
    return 0;
}

static int teardown(void **state)
{
    audit *a = *state;
    pg_segment_coder_deinit(&a->coder);
    return 0;
}

static pg_rs_verdict judge(const audit *a)
{
    pg_rs_verdict verdict;
    assert_int_equal(pg_audit_judge(PG_CODE_DEFAULT, a->answers, &verdict), PG_OK);
    return verdict;
}

static void test_judge__all_true__consistent(void **state)
{
    assert_int_equal(judge(*state).finding, PG_RS_FINDING_CONSISTENT);
}

static void test_judge__one_byte_of_one_shard_gone__names_the_liar(void **state)
{
    audit *a = *state;
    for (unsigned liar = 0; liar < N; liar++) {
        pg_mut_bytes shard = pg_segment_shard(&a->coder, &a->info, liar);
        size_t at = (size_t) test_below(shard.len);
        shard.ptr[at] ^= 1;
        answer(a, liar);
        pg_rs_verdict verdict = judge(a);
        assert_int_equal(verdict.finding, PG_RS_FINDING_LIAR);
        assert_int_equal(verdict.liar, liar);
        shard.ptr[at] ^= 1;
        answer(a, liar);
    }
}

static void test_judge__two_liars__noticed(void **state)
{
    audit *a = *state;
    memset(a->sums[1], 0x55, PG_AUDIT_BLOCK_BYTES);
    test_random(PG_MUT_BYTES_OF(a->sums[7]));
    assert_int_equal(judge(a).finding, PG_RS_FINDING_INCONSISTENT);
}

static void test_judge__nine_answers__detect_eight_prove_nothing(void **state)
{
    audit *a = *state;
    a->answers[4] = NULL;
    assert_int_equal(judge(a).finding, PG_RS_FINDING_CONSISTENT);
    a->sums[2][9] ^= 1;
    assert_int_equal(judge(a).finding, PG_RS_FINDING_INCONSISTENT);
    a->answers[5] = NULL;
    assert_int_equal(judge(a).finding, PG_RS_FINDING_UNPROVEN);
}

static void test_compute__answer_for_another_auditor_or_segment__is_a_lie(void **state)
{
    audit *a = *state;
    pg_audit_challenge own = a->challenge;
    a->challenge.auditor = PG_BYTES_LIT("somebody else");
    answer(a, 6);
    assert_int_equal(judge(a).liar, 6);
    a->challenge = own;
    a->challenge.segment++;
    answer(a, 6);
    assert_int_equal(judge(a).finding, PG_RS_FINDING_LIAR);
    a->challenge = own;
    a->challenge.nonce[0] ^= 1;
    answer(a, 6);
    assert_int_equal(judge(a).finding, PG_RS_FINDING_LIAR);
}

static void test_answer__encoded__reads_back_and_refuses_the_rest(void **state)
{
    audit *a = *state;
    pg_audit_answer in = {.segment = 3, .shard = 9};
    pg_audit_answer out;
    pg_buf encoded = {0};
    memcpy(in.sum, a->sums[9], sizeof(in.sum));
    assert_int_equal(pg_audit_answer_encode(&in, &encoded), PG_OK);
    assert_true(encoded.len <= PG_AUDIT_ANSWER_BYTES_MAX);
    assert_int_equal(pg_audit_answer_decode(pg_buf_bytes(&encoded), &out), PG_OK);
    assert_memory_equal(&in, &out, sizeof(in));
    pg_bytes cut = pg_bytes_slice(pg_buf_bytes(&encoded), 0, encoded.len - 1);
    assert_int_equal(pg_audit_answer_decode(cut, &out), PG_ERR_MALFORMED);
    encoded.ptr[1] = 2;
    assert_int_equal(pg_audit_answer_decode(pg_buf_bytes(&encoded), &out), PG_ERR_UNSUPPORTED);
    encoded.ptr[0] = 0;
    assert_int_equal(pg_audit_answer_decode(pg_buf_bytes(&encoded), &out), PG_ERR_MALFORMED);
    pg_buf_deinit(&encoded);
    in.shard = 32;
    assert_int_equal(pg_audit_answer_encode(&in, &encoded), PG_OK);
    assert_int_equal(pg_audit_answer_decode(pg_buf_bytes(&encoded), &out), PG_ERR_MALFORMED);
    assert_int_equal(pg_buf_append(&encoded, PG_BYTES_OF(in.sum)), PG_OK);
    assert_int_equal(pg_audit_answer_decode(pg_buf_bytes(&encoded), &out), PG_ERR_LIMIT);
    pg_buf_deinit(&encoded);
}

#define AUDIT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUDIT_TEST(test_judge__all_true__consistent),
        AUDIT_TEST(test_judge__one_byte_of_one_shard_gone__names_the_liar),
        AUDIT_TEST(test_judge__two_liars__noticed),
        AUDIT_TEST(test_judge__nine_answers__detect_eight_prove_nothing),
        AUDIT_TEST(test_compute__answer_for_another_auditor_or_segment__is_a_lie),
        AUDIT_TEST(test_answer__encoded__reads_back_and_refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
