// SPDX-License-Identifier: Apache-2.0
// Reed-Solomon 8+2 against copying the same data, zstd at level 1 on text and on noise, and what its probe costs.
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "codec/rs.h"
#include "codec/zstd.h"

#define K 8
#define M 2
#define SHARD_BYTES (1U << 20)
#define SEGMENT_BYTES (K * SHARD_BYTES)
#define BLOCK_BYTES 4096

typedef struct codec_state {
    pg_rs *rs;
    pg_zstd *zstd;
    const uint8_t *shards[K + M];
    const uint8_t *have[K + M]; // the first M data shards are missing
    uint8_t *want[K + M];
    uint8_t *parity[M];
    const uint8_t *answers[K + M];
    uint8_t *copy;
    pg_bytes noise;
    pg_bytes text;
    pg_mut_bytes space;
} codec_state;

static void must(pg_err err)
{
    if (err != PG_OK) {
        abort();
    }
}

static void on_copy(void *user)
{
    codec_state *state = user;
    memcpy(state->copy, state->noise.ptr, SEGMENT_BYTES);
}

static void on_rs_encode(void *user)
{
    codec_state *state = user;
    must(pg_rs_encode(state->rs, SHARD_BYTES, state->shards, state->parity));
}

static void on_rs_reconstruct(void *user)
{
    codec_state *state = user;
    must(pg_rs_reconstruct(state->rs, SHARD_BYTES, state->have, state->want));
}

static void on_gf_combine(void *user)
{
    codec_state *state = user;
    static uint8_t coefficients[SHARD_BYTES / BLOCK_BYTES];
    memset(coefficients, 0x53, sizeof(coefficients));
    pg_gf_combine(pg_bytes_make(state->shards[0], SHARD_BYTES), coefficients,
                  pg_mut_bytes_make(state->copy, BLOCK_BYTES));
}

static void on_rs_check(void *user)
{
    codec_state *state = user;
    pg_rs_verdict verdict;
    must(pg_rs_check(state->rs, BLOCK_BYTES, state->answers, &verdict));
}

static void compress(codec_state *state, pg_bytes plain)
{
    size_t len = 0;
    must(pg_zstd_compress(state->zstd, PG_ZSTD_LEVEL_DEFAULT, plain, state->space, &len));
}

static void on_zstd_text(void *user)
{
    codec_state *state = user;
    compress(state, state->text);
}

static void on_zstd_noise(void *user)
{
    codec_state *state = user;
    compress(state, state->noise);
}

static void on_probe_text(void *user)
{
    codec_state *state = user;
    must(pg_zstd_probe(state->zstd, state->text) ? PG_OK : PG_ERR_BUG);
}

static void on_probe_noise(void *user)
{
    codec_state *state = user;
    must(pg_zstd_probe(state->zstd, state->noise) ? PG_ERR_BUG : PG_OK);
}

static void state_fill(codec_state *state)
{
    uint8_t *noise = bench_alloc(SEGMENT_BYTES);
    uint8_t *text = bench_alloc(SEGMENT_BYTES);
    uint8_t *parity = bench_alloc((size_t) M * SHARD_BYTES);
    bench_fill_random(noise, SEGMENT_BYTES, 1);
    bench_fill_text(text, SEGMENT_BYTES, 2);
    state->noise = pg_bytes_make(noise, SEGMENT_BYTES);
    state->text = pg_bytes_make(text, SEGMENT_BYTES);
    state->copy = bench_alloc(SEGMENT_BYTES);
    state->space.len = pg_zstd_bound(SEGMENT_BYTES);
    state->space.ptr = bench_alloc(state->space.len);
    must(pg_rs_new(K, M, &state->rs));
    must(pg_zstd_new(&state->zstd));
    for (size_t i = 0; i < K; i++) {
        state->shards[i] = noise + i * SHARD_BYTES;
    }
    for (size_t i = 0; i < M; i++) {
        state->parity[i] = parity + i * SHARD_BYTES;
        state->shards[K + i] = state->parity[i];
        state->want[i] = state->copy + i * SHARD_BYTES;
    }
    must(pg_rs_encode(state->rs, SHARD_BYTES, state->shards, state->parity));
    for (size_t i = 0; i < K + M; i++) {
        state->have[i] = i < M ? NULL : state->shards[i];
        state->answers[i] = state->shards[i];
    }
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    codec_state state = {0};
    state_fill(&state);
    const bench_case cases[] = {
        {"memcpy 8 MiB", SEGMENT_BYTES, on_copy, &state, NULL},
        {"rs 8+2 encode", SEGMENT_BYTES, on_rs_encode, &state, "memcpy 8 MiB"},
        {"rs 8+2 two data shards back", SEGMENT_BYTES, on_rs_reconstruct, &state, "memcpy 8 MiB"},
        {"audit answer of a shard", SHARD_BYTES, on_gf_combine, &state, "memcpy 8 MiB"},
        {"audit check of ten answers", (K + M) * BLOCK_BYTES, on_rs_check, &state, NULL},
        {"zstd 1 text", SEGMENT_BYTES, on_zstd_text, &state, NULL},
        {"zstd 1 noise", SEGMENT_BYTES, on_zstd_noise, &state, NULL},
        {"zstd probe text", SEGMENT_BYTES, on_probe_text, &state, "zstd 1 text"},
        {"zstd probe noise", SEGMENT_BYTES, on_probe_noise, &state, "zstd 1 noise"},
    };
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
    pg_rs_free(&state.rs);
    pg_zstd_free(&state.zstd);
    return 0;
}
