// SPDX-License-Identifier: Apache-2.0
// Streams of random numbers for a simulated world. Each purpose has a stream of its own, named by a label and a number,
// so that one more draw in one place does not change what another place sees. Not for: keys of a real run (random.h).
//
// Layer: runtime.  Thread: any, one stream at a time.  Spec: xoshiro256** seeded by splitmix64 (Blackman, Vigna 2018)
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/** What a stream is for. */
typedef enum pg_sim_label {
    PG_SIM_LABEL_SCRIPT = 1,
    PG_SIM_LABEL_NETWORK = 2,
    PG_SIM_LABEL_MACHINE = 3, // what pg_random_bytes gives; number = machine
    PG_SIM_LABEL_DISK = 4,    // number = machine
} pg_sim_label;

/** One stream; begin with pg_sim_rng_init. */
typedef struct pg_sim_rng {
    uint64_t state[4];
} pg_sim_rng;

/** Begin the stream of `label` and `number` under `seed`. */
void pg_sim_rng_init(pg_sim_rng *rng, uint64_t seed, pg_sim_label label, uint64_t number);

/** Return the next 64 bits. */
uint64_t pg_sim_rng_next(pg_sim_rng *rng);

/** Return a uniform number in [0, bound); 0 when `bound` is 0. */
uint64_t pg_sim_rng_below(pg_sim_rng *rng, uint64_t bound);

/** Return true `ppm` times in a million. Draws nothing when `ppm` is 0. */
bool pg_sim_rng_chance(pg_sim_rng *rng, uint32_t ppm);

/** Fill `out`. */
void pg_sim_rng_fill(pg_sim_rng *rng, pg_mut_bytes out);
