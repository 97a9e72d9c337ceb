// SPDX-License-Identifier: Apache-2.0
// Functions that must not be used: each has a safer one of ours, or belongs to `runtime`. Included before every source of the
// rooms above `runtime`, so that a call does not compile.
//
// Layer: base.  Thread: any.
#pragma once

#include <stdio.h> // declared before they are poisoned
#include <stdlib.h>
#include <string.h>

#ifdef __GNUC__
#undef alloca // macros of the C library, which would only warn
#undef sprintf
#undef vsprintf
// Memory: base/mem.h, which tests can make fail.
#pragma GCC poison strdup strndup alloca
// (An attribute, and members and parameters in foreign headers, have these names: calls only.)
#define malloc(size_bytes) pg_banned_use_pg_malloc
#define calloc(count, item_bytes) pg_banned_use_pg_calloc
#define realloc(memory, size_bytes) pg_banned_use_pg_realloc
// Strings without a bound: base/str.h, snprintf.
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok
// Numbers read without a check: pg_str_to_u64.
#pragma GCC poison atoi atol atoll strtol strtoul strtoll strtoull
// Randomness: runtime/random.h, which the simulation knows. (Clocks and waits are kept out by src/LAYERS: their headers are.)
#pragma GCC poison srand
#define rand() pg_banned_use_pg_random_bytes
// A shell, or a name somebody else may take first.
#pragma GCC poison system popen tmpnam mktemp
#endif
