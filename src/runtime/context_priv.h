// SPDX-License-Identifier: Apache-2.0
// Switching between stacks: Boost.Context's two C functions, and what the sanitizers want to know of every switch.
// Boost's code has no marks for control-flow enforcement (CET), so the linker drops the mark of the whole program, and no
// kernel turns a shadow stack on for it.
//
// Layer: runtime, private.  Thread: a context stays on its thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "runtime/limits.h"

#ifdef PG_WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef PG_WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/** What jump_fcontext returns on the other stack: where it came from, and what it was given. */
typedef struct pg_transfer {
    void *from;
    void *data;
} pg_transfer;

// Of libboost_context, C linkage.
pg_transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *stack_top, size_t stack_bytes, void (*entry)(pg_transfer transfer));

/** A place to switch to. */
typedef struct pg_context {
    void *place;        // valid while it does not run
    const void *bottom; // of its stack; of the thread's own stack learned at the first switch
    size_t bytes;
    void *fake_stack; // AddressSanitizer
    void *tsan_fiber; // ThreadSanitizer
} pg_context;

#ifdef PG_WITH_ASAN
/** Tell AddressSanitizer that the stack is about to change. */
static inline void pg_context_asan_leave(pg_context *from, const pg_context *to, bool ends)
{
    __sanitizer_start_switch_fiber(ends ? NULL : &from->fake_stack, to->bottom, to->bytes);
}

/** Tell AddressSanitizer that it has changed. */
static inline void pg_context_asan_arrive(void *fake_stack, pg_context *from)
{
    __sanitizer_finish_switch_fiber(fake_stack, &from->bottom, &from->bytes);
}

/** Forget what frames that never returned have poisoned. */
static inline void pg_context_unpoison(void *bottom, size_t bytes)
{
    __asan_unpoison_memory_region(bottom, bytes);
}
#else
static inline void pg_context_asan_leave(pg_context *from, const pg_context *to, bool ends)
{
    (void) from;
    (void) to;
    (void) ends;
}

static inline void pg_context_asan_arrive(void *fake_stack, pg_context *from)
{
    (void) fake_stack;
    (void) from;
}

static inline void pg_context_unpoison(void *bottom, size_t bytes)
{
    (void) bottom;
    (void) bytes;
}
#endif

#ifdef PG_WITH_TSAN
static inline void *pg_context_tsan_new(void)
{
    return __tsan_create_fiber(0);
}

static inline void *pg_context_tsan_self(void)
{
    return __tsan_get_current_fiber();
}

static inline void pg_context_tsan_free(void *fiber)
{
    __tsan_destroy_fiber(fiber);
}

static inline void pg_context_tsan_switch(void *fiber)
{
    __tsan_switch_to_fiber(fiber, 0);
}
#else
static inline void *pg_context_tsan_new(void)
{
    return NULL;
}

static inline void *pg_context_tsan_self(void)
{
    return NULL;
}

static inline void pg_context_tsan_free(void *fiber)
{
    (void) fiber;
}

static inline void pg_context_tsan_switch(void *fiber)
{
    (void) fiber;
}
#endif

/** Make `context` one that enters `entry` on the stack [bottom, bottom + bytes) at the first switch to it. */
static inline void pg_context_make(pg_context *context, void *bottom, size_t bytes,
                                   void (*entry)(pg_transfer transfer))
{
    context->place = make_fcontext((char *) bottom + bytes, bytes, entry);
    context->bottom = bottom;
    context->bytes = bytes;
    context->fake_stack = NULL;
    context->tsan_fiber = pg_context_tsan_new();
}

/** First thing in `entry`: note where the switch came from. */
static inline void pg_context_entered(pg_transfer transfer)
{
    pg_context *from = transfer.data;
    from->place = transfer.from;
    pg_context_asan_arrive(NULL, from);
}

/** Leave `from`, which is running, for `to`; returns when something switches back. `ends`: nothing ever will. */
static inline void pg_context_switch(pg_context *from, pg_context *to, bool ends)
{
    pg_context_asan_leave(from, to, ends);
    pg_context_tsan_switch(to->tsan_fiber);
    pg_transfer transfer = jump_fcontext(to->place, from);
    pg_context *back_from = transfer.data;
    back_from->place = transfer.from;
    pg_context_asan_arrive(from->fake_stack, back_from);
}
