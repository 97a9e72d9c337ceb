// SPDX-License-Identifier: Apache-2.0
// Randomness: the operating system's in a real run, a stream of the seed in a simulated one. The only source in the
// program: keys, nonces, jitter and ids all draw here.
//
// Layer: runtime.  Thread: any.
#pragma once

#include <stdint.h>

#include "base/bytes.h"

/** Fill `out` with random bytes fit for keys. Cannot fail: where the system gives none the process ends. Works outside a runtime too. */
void pg_random_bytes(pg_mut_bytes out);

/** Return 64 random bits. */
uint64_t pg_random_u64(void);

/** Return a uniform number in [0, bound); 0 when `bound` is 0. */
uint64_t pg_random_below(uint64_t bound);
