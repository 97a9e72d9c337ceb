// SPDX-License-Identifier: Apache-2.0
// Compiler attributes and assertions. Not for: anything with behaviour of its own.
//
// Layer: base.  Thread: any.
#pragma once

// Which sanitizer the build has; gcc and clang say it in different ways.
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define PG_WITH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define PG_WITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PG_WITH_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define PG_WITH_TSAN 1
#endif

#define PG_NODISCARD __attribute__((warn_unused_result))
#define PG_PRINTF(format_index, args_index)                                                        \
    __attribute__((format(printf, format_index, args_index)))
#define PG_NORETURN __attribute__((noreturn))
#define PG_UNUSED __attribute__((unused))

/** Run `fn(&variable)` when the variable leaves its scope. `fn` accepts the all-zero value. */
#define PG_CLEANUP(fn) __attribute__((cleanup(fn)))

/** State an invariant of ours. Stays on in release builds and ends the process with file and line.
 *  Nothing a peer, a file or a user sends may make it fail. */
#define pg_assert(condition)                                                                       \
    ((condition) ? (void) 0 : pg_assert_fail(#condition, __FILE__, __LINE__))

/** Print the failed condition to standard error and abort. Called by pg_assert only. */
PG_NORETURN void pg_assert_fail(const char *condition, const char *file, int line);

#define PG_ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
