// SPDX-License-Identifier: Apache-2.0
// The operating system's random source, for the real world and for code outside a run.
//
// Layer: runtime, private.  Thread: any.
#pragma once

#include "base/bytes.h"

/** Fill `out` from getrandom; the process ends where the system gives none. */
void pg_random_system(pg_mut_bytes out);
