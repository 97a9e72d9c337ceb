// SPDX-License-Identifier: Apache-2.0
// All limits of the runtime, with unit and reason.
//
// Layer: runtime.
#pragma once

#include "base/attr.h"

// Stack of a fiber, bytes. The deepest thing that runs on one (BLAKE3 of 1 MiB) needs 19 KiB; sanitizers and builds
// without optimisation blow frames up.
#if defined(PG_WITH_ASAN) || defined(PG_WITH_TSAN) || !defined(__OPTIMIZE__)
#define PG_FIBER_STACK_BYTES ((size_t) 256 * 1024)
#else
#define PG_FIBER_STACK_BYTES ((size_t) 64 * 1024)
#endif

// Pooled stacks that keep all their pages: at most 2 MiB. Those beyond keep PG_STACK_KEEP_BYTES each, at most 4 MiB: what
// a fiber that merely waits has touched.
#define PG_STACK_POOL_HOT_MAX 32
#define PG_STACK_POOL_HOT_SIM_MAX 512 // a simulated run is many nodes, and short
#define PG_STACK_POOL_COLD_MAX 512
#define PG_STACK_KEEP_BYTES 8192

// Ready fibers run before the outside is looked at again: at most some ms.
#define PG_SWITCHES_PER_POLL 64

// Socket calls a fiber makes in one go: at most a MiB or so of reading.
#define PG_CHECKPOINTS_PER_SWITCH 16

#define PG_CPU_THREADS_MAX 64
#define PG_IO_THREADS_MAX 64

// Jobs waiting for a pool; further callers wait. What the jobs' memory may come to is the callers' to bound.
#define PG_CPU_QUEUE_MAX 256
#define PG_IO_QUEUE_MAX 1024

// What goes past the system's cache of pages: the unit of memory and file, the least that is worth it, and the memory a thread
// passes it through, which a block of 1 MiB with its header fits.
#define PG_FILE_PAGE_BYTES 4096
#define PG_FILE_UNCACHED_BYTES_MIN 65536
#define PG_FILE_PASSAGE_BYTES ((1 << 20) + PG_FILE_PAGE_BYTES)

// Names being resolved at once, each on a thread that may hang for half a minute.
#define PG_RESOLVE_THREADS_MAX 32
