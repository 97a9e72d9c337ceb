// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "runtime/sim_random_priv.h"

static uint64_t rotate_left(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static uint64_t splitmix_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t word = *state;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
    word = (word ^ word >> 27) * 0x94d049bb133111ebu;
    return word ^ word >> 31;
}

void pg_sim_rng_init(pg_sim_rng *rng, uint64_t seed, pg_sim_label label, uint64_t number)
{
    uint64_t state = seed;
    state = splitmix_next(&state) ^ (uint64_t) label;
    state = splitmix_next(&state) ^ number;
    for (size_t i = 0; i < PG_ARRAY_LEN(rng->state); i++) {
        rng->state[i] = splitmix_next(&state);
    }
}

uint64_t pg_sim_rng_next(pg_sim_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t pg_sim_rng_below(pg_sim_rng *rng, uint64_t bound)
{
    if (bound == 0) {
        return 0;
    }
    // The first 2^64 mod bound values would make small results likelier; draw again for those.
    uint64_t uneven = (0 - bound) % bound;
    for (;;) {
        uint64_t word = pg_sim_rng_next(rng);
        if (word >= uneven) {
            return word % bound;
        }
    }
}

bool pg_sim_rng_chance(pg_sim_rng *rng, uint32_t ppm)
{
    return ppm != 0 && pg_sim_rng_below(rng, 1000000) < ppm;
}

void pg_sim_rng_fill(pg_sim_rng *rng, pg_mut_bytes out)
{
    while (out.len != 0) {
        uint64_t word = pg_sim_rng_next(rng);
        size_t part = pg_min_size(out.len, sizeof(word));
        memcpy(out.ptr, &word, part);
        out.ptr += part;
        out.len -= part;
    }
}
