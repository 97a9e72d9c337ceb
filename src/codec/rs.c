// SPDX-License-Identifier: Apache-2.0
#include "codec/rs.h"

#include <stdbool.h>
#include <string.h>

#include <isa-l/erasure_code.h>

#include "base/arena.h"
#include "base/mem.h"

#define TABLE_BYTES 32 // that ISA-L makes of one coefficient

struct pg_rs {
    unsigned k;
    unsigned m;
    uint8_t *matrix; // [k+m][k], row-major; the first k rows are the identity
    uint8_t *tables; // of the parity rows
};

// ISA-L reads its inputs but does not say const.
static unsigned char **isal_inputs(const uint8_t *const *inputs)
{
    return (unsigned char **) (uintptr_t) inputs;
}

static unsigned char **isal_outputs(uint8_t *const *outputs)
{
    return (unsigned char **) (uintptr_t) outputs;
}

pg_err pg_rs_new(unsigned k, unsigned m, pg_rs **out_rs)
{
    if (k < 1 || k > PG_RS_SHARDS_MAX || m > PG_RS_SHARDS_MAX - k) {
        return pg_fail(PG_ERR_INVALID,
                       "code %u+%u: wants at least one data shard, at most %d in all", k, m,
                       PG_RS_SHARDS_MAX);
    }
    size_t matrix_bytes = (size_t) (k + m) * k;
    size_t tables_bytes = (size_t) TABLE_BYTES * k * m;
    pg_rs *rs = PG_NEW(pg_rs);
    if (rs != NULL) {
        *rs = (pg_rs){k, m, pg_malloc(matrix_bytes), pg_malloc(tables_bytes)};
    }
    if (rs == NULL || rs->matrix == NULL || rs->tables == NULL) {
        pg_rs_free(&rs);
        return pg_fail(PG_ERR_NOMEM, "no memory for the tables of a code %u+%u", k, m);
    }
    gf_gen_cauchy1_matrix(rs->matrix, (int) (k + m), (int) k);
    ec_init_tables((int) k, (int) m, rs->matrix + (size_t) k * k, rs->tables);
    *out_rs = rs;
    return PG_OK;
}

void pg_rs_free(pg_rs **rs)
{
    if (*rs == NULL) {
        return;
    }
    pg_mfree((*rs)->matrix);
    pg_mfree((*rs)->tables);
    pg_mfree(*rs);
    *rs = NULL;
}

unsigned pg_rs_k(const pg_rs *rs)
{
    return rs->k;
}

unsigned pg_rs_m(const pg_rs *rs)
{
    return rs->m;
}

static pg_err bytes_check(size_t shard_bytes)
{
    if (shard_bytes > PG_RS_SHARD_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "shard of %zu bytes, at most %u", shard_bytes,
                       PG_RS_SHARD_BYTES_MAX);
    }
    return PG_OK;
}

pg_err pg_rs_encode(const pg_rs *rs, size_t shard_bytes, const uint8_t *const *data,
                    uint8_t *const *parity)
{
    PG_TRY(bytes_check(shard_bytes));
    if (rs->m != 0 && shard_bytes != 0) {
        ec_encode_data((int) shard_bytes, (int) rs->k, (int) rs->m, rs->tables, isal_inputs(data),
                       isal_outputs(parity));
    }
    return PG_OK;
}

// How to compute some shards, the targets, from k others, the basis.
typedef struct rs_plan {
    pg_arena arena;    // owns all below
    unsigned *basis;   // [k] shard numbers
    unsigned *targets; // [target_count]
    unsigned target_count;
    const uint8_t **inputs; // [k]
    uint8_t **outputs;      // [target_count], for the caller to fill
    uint8_t *rows;          // [target_count][k] coefficients
    uint8_t *tables;
} rs_plan;

static bool plan_alloc(rs_plan *plan, unsigned k, unsigned target_count)
{
    plan->arena = pg_arena_make(SIZE_MAX);
    plan->target_count = target_count;
    plan->basis = pg_arena_alloc(&plan->arena, k * sizeof(*plan->basis));
    plan->targets = pg_arena_alloc(&plan->arena, target_count * sizeof(*plan->targets));
    plan->inputs = pg_arena_alloc(&plan->arena, k * sizeof(*plan->inputs));
    plan->outputs = pg_arena_alloc(&plan->arena, target_count * sizeof(*plan->outputs));
    plan->rows = pg_arena_alloc(&plan->arena, (size_t) target_count * k);
    plan->tables = pg_arena_alloc(&plan->arena, (size_t) TABLE_BYTES * target_count * k);
    return plan->basis != NULL && plan->targets != NULL && plan->inputs != NULL &&
           plan->outputs != NULL && plan->rows != NULL && plan->tables != NULL;
}

// A target is a combination of the data shards by its row of the matrix, and these are a combination of the basis by the
// inverse of the basis' rows.
static pg_err plan_solve(const pg_rs *rs, rs_plan *plan)
{
    size_t k = rs->k;
    uint8_t *square = pg_arena_alloc(&plan->arena, k * k);
    uint8_t *inverse = pg_arena_alloc(&plan->arena, k * k);
    if (square == NULL || inverse == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory to invert a matrix of %zu by %zu", k, k);
    }
    for (size_t i = 0; i < k; i++) {
        memcpy(square + i * k, rs->matrix + plan->basis[i] * k, k);
    }
    int inverted = gf_invert_matrix(square, inverse, (int) k);
    pg_assert(inverted == 0); // any k rows of a Cauchy matrix below the identity are independent
    for (unsigned t = 0; t < plan->target_count; t++) {
        const uint8_t *target = rs->matrix + plan->targets[t] * k;
        uint8_t *row = plan->rows + t * k;
        for (size_t i = 0; i < k; i++) {
            if (target[i] == 0) {
                continue;
            }
            for (size_t j = 0; j < k; j++) {
                row[j] ^= gf_mul(target[i], inverse[i * k + j]);
            }
        }
    }
    ec_init_tables((int) k, (int) plan->target_count, plan->rows, plan->tables);
    return PG_OK;
}

static void plan_run(const pg_rs *rs, const rs_plan *plan, size_t shard_bytes)
{
    if (shard_bytes != 0) {
        ec_encode_data((int) shard_bytes, (int) rs->k, (int) plan->target_count, plan->tables,
                       isal_inputs(plan->inputs), plan->outputs);
    }
}

static unsigned present_count(const pg_rs *rs, const uint8_t *const *shards)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rs->k + rs->m; i++) {
        count += shards[i] != NULL;
    }
    return count;
}

pg_err pg_rs_reconstruct(const pg_rs *rs, size_t shard_bytes, const uint8_t *const *have,
                         uint8_t *const *want)
{
    PG_TRY(bytes_check(shard_bytes));
    unsigned have_count = present_count(rs, have);
    unsigned want_count = present_count(rs, (const uint8_t *const *) want);
    if (have_count < rs->k) {
        return pg_fail(PG_ERR_MISSING, "%u shards are left, wants %u", have_count, rs->k);
    }
    if (want_count == 0) {
        return PG_OK;
    }
    rs_plan plan;
    if (!plan_alloc(&plan, rs->k, want_count)) {
        pg_arena_deinit(&plan.arena);
        return pg_fail(PG_ERR_NOMEM, "no memory to find %u shards", want_count);
    }
    unsigned used = 0;
    unsigned wanted = 0;
    for (unsigned i = 0; i < rs->k + rs->m; i++) {
        pg_assert(have[i] == NULL || want[i] == NULL);
        if (have[i] != NULL && used < rs->k) {
            plan.basis[used] = i;
            plan.inputs[used++] = have[i];
        } else if (want[i] != NULL) {
            plan.targets[wanted] = i;
            plan.outputs[wanted++] = want[i];
        }
    }
    pg_err err = plan_solve(rs, &plan);
    if (err == PG_OK) {
        plan_run(rs, &plan, shard_bytes);
    }
    pg_arena_deinit(&plan.arena);
    return err;
}

// Fills the plan with the first k answers as basis and the others as targets.
static pg_err check_plan(const pg_rs *rs, size_t answer_bytes, const uint8_t *const *answers,
                         rs_plan *plan)
{
    uint8_t *space = pg_arena_alloc(&plan->arena, plan->target_count * answer_bytes);
    if (space == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory to check answers of %zu bytes", answer_bytes);
    }
    unsigned used = 0;
    unsigned wanted = 0;
    for (unsigned i = 0; i < rs->k + rs->m; i++) {
        if (answers[i] != NULL && used < rs->k) {
            plan->basis[used] = i;
            plan->inputs[used++] = answers[i];
        } else if (answers[i] != NULL) {
            plan->targets[wanted] = i;
            plan->outputs[wanted] = space + wanted * answer_bytes;
            wanted++;
        }
    }
    return plan_solve(rs, plan);
}

// Turns what each target should have answered into the difference from what it did; returns how many differ, and the
// last that does.
static unsigned differences_make(const rs_plan *plan, size_t answer_bytes,
                                 const uint8_t *const *answers, unsigned *out_last)
{
    unsigned count = 0;
    for (unsigned t = 0; t < plan->target_count; t++) {
        const uint8_t *answer = answers[plan->targets[t]];
        uint8_t any = 0;
        for (size_t x = 0; x < answer_bytes; x++) {
            plan->outputs[t][x] ^= answer[x];
            any |= plan->outputs[t][x];
        }
        if (any != 0) {
            count++;
            *out_last = plan->targets[t];
        }
    }
    return count;
}

// Whether a lie of basis shard b alone explains all differences: they are then its lie times the coefficients of b.
static bool basis_explains(const pg_rs *rs, const rs_plan *plan, unsigned b, size_t answer_bytes)
{
    const uint8_t *first = plan->outputs[0];
    for (unsigned t = 1; t < plan->target_count; t++) {
        uint8_t factor = plan->rows[t * rs->k + b];
        for (size_t x = 0; x < answer_bytes; x++) {
            if (gf_mul(plan->outputs[t][x], plan->rows[b]) != gf_mul(first[x], factor)) {
                return false;
            }
        }
    }
    return true;
}

// A liar among the targets makes its own difference only; one in the basis makes all of them, since no coefficient is 0.
// With two differences or more, which shard it is follows from their ratio, different for each.
static pg_rs_verdict judge(const pg_rs *rs, const rs_plan *plan, size_t answer_bytes,
                           const uint8_t *const *answers)
{
    unsigned last = 0;
    unsigned count = differences_make(plan, answer_bytes, answers, &last);
    if (count == 0) {
        return (pg_rs_verdict){PG_RS_FINDING_CONSISTENT, 0};
    }
    if (plan->target_count >= 2 && count == 1) {
        return (pg_rs_verdict){PG_RS_FINDING_LIAR, last};
    }
    if (plan->target_count >= 2 && count == plan->target_count) {
        for (unsigned b = 0; b < rs->k; b++) {
            if (basis_explains(rs, plan, b, answer_bytes)) {
                return (pg_rs_verdict){PG_RS_FINDING_LIAR, plan->basis[b]};
            }
        }
    }
    return (pg_rs_verdict){PG_RS_FINDING_INCONSISTENT, 0};
}

pg_err pg_rs_check(const pg_rs *rs, size_t answer_bytes, const uint8_t *const *answers,
                   pg_rs_verdict *out_verdict)
{
    PG_TRY(bytes_check(answer_bytes));
    unsigned count = present_count(rs, answers);
    if (count <= rs->k) {
        *out_verdict = (pg_rs_verdict){PG_RS_FINDING_UNPROVEN, 0};
        return PG_OK;
    }
    rs_plan plan;
    pg_err err = plan_alloc(&plan, rs->k, count - rs->k)
                     ? check_plan(rs, answer_bytes, answers, &plan)
                     : pg_fail(PG_ERR_NOMEM, "no memory to check %u answers", count);
    if (err == PG_OK) {
        plan_run(rs, &plan, answer_bytes);
        *out_verdict = judge(rs, &plan, answer_bytes, answers);
    }
    pg_arena_deinit(&plan.arena);
    return err;
}

void pg_gf_combine(pg_bytes data, const uint8_t *coefficients, pg_mut_bytes out)
{
    pg_assert(out.len != 0 && out.len <= PG_RS_SHARD_BYTES_MAX);
    memset(out.ptr, 0, out.len);
    for (size_t b = 0; b * out.len < data.len; b++) {
        pg_bytes block = pg_bytes_slice(data, b * out.len, out.len);
        uint8_t table[TABLE_BYTES];
        uint8_t coefficient = coefficients[b];
        ec_init_tables(1, 1, &coefficient, table);
        ec_encode_data_update((int) block.len, 1, 1, 0, table,
                              (unsigned char *) (uintptr_t) block.ptr, &out.ptr);
    }
}
