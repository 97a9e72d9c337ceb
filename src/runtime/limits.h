// SPDX-License-Identifier: Apache-2.0
// All limits of the runtime, with unit and reason.
//
// Layer: runtime.
#pragma once

// Stack of a fiber, bytes. The deepest thing that runs on one (BLAKE3 of 1 MiB) needs 19 KiB; sanitizers and builds
// without optimisation blow frames up.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
#define PG_FIBER_STACK_BYTES ((size_t) 256 * 1024)
#else
#define PG_FIBER_STACK_BYTES ((size_t) 64 * 1024)
#endif

#define PG_STACK_POOL_HOT_MAX 32 // pooled stacks that keep all their pages: at most 2 MiB
#define PG_STACK_POOL_COLD_MAX                                                                     \
    512                          // pooled stacks that keep PG_STACK_KEEP_BYTES each: at most 4 MiB
#define PG_STACK_KEEP_BYTES 8192 // what a fiber that merely waits has touched

#define PG_SWITCHES_PER_POLL                                                                       \
    64 // ready fibers run before the outside is looked at again: at most some ms

#define PG_CHECKPOINTS_PER_SWITCH                                                                  \
    16 // socket calls a fiber makes in one go: at most a MiB or so of reading

#define PG_CPU_THREADS_MAX 64
#define PG_IO_THREADS_MAX 64
#define PG_CPU_QUEUE_MAX                                                                           \
    256 // jobs waiting for the CPU pool; a segment in flight holds about 20 MiB, so callers bound memory first
#define PG_IO_QUEUE_MAX 1024 // jobs waiting for the I/O pool
#define PG_RESOLVE_THREADS_MAX                                                                     \
    32 // names being resolved at once, each on a thread that may hang for half a minute
