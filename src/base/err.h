// SPDX-License-Identifier: Apache-2.0
// Error codes, and the record that tells a person what happened. A function that can fail returns pg_err; the detail
// ("shard 7 has 12 bytes, wants 1048576") is set once where it arises, callers may put context before it, and the CLI
// and the API print the whole chain. Not for: logging (log.h).
//
// Layer: base.  Thread: any; the record belongs to the running fiber, or to the thread where there are no fibers.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/** Who is to blame, and so what a caller should do. */
typedef enum pg_err_class {
    PG_ERR_CLASS_OK,
    PG_ERR_CLASS_LOCAL,     // this machine or its user: report
    PG_ERR_CLASS_PEER,      // the other side broke the rules: score it, close
    PG_ERR_CLASS_RETRY,     // may work later
    PG_ERR_CLASS_CANCELLED, // we were told to stop
    PG_ERR_CLASS_BUG,       // our own fault
} pg_err_class;

// X(symbol, number, name, class, text). Numbers never change once released; append only.
#define PG_ERR_TABLE(X)                                                                            \
    X(PG_OK, 0, "ok", OK, "no error")                                                              \
    X(PG_ERR_NOMEM, -1, "no_memory", RETRY, "out of memory")                                       \
    X(PG_ERR_INVALID, -2, "invalid", LOCAL, "invalid argument")                                    \
    X(PG_ERR_IO, -3, "io", LOCAL, "input/output error")                                            \
    X(PG_ERR_NOT_FOUND, -4, "not_found", LOCAL, "not found")                                       \
    X(PG_ERR_EXISTS, -5, "exists", LOCAL, "already exists")                                        \
    X(PG_ERR_ACCESS, -6, "access", LOCAL, "permission denied")                                     \
    X(PG_ERR_FULL, -7, "full", LOCAL, "no space left")                                             \
    X(PG_ERR_BUSY, -8, "busy", RETRY, "in use")                                                    \
    X(PG_ERR_LIMIT, -9, "limit", PEER, "limit exceeded")                                           \
    X(PG_ERR_TRUNCATED, -10, "truncated", PEER, "data ends too early")                             \
    X(PG_ERR_MALFORMED, -11, "malformed", PEER, "malformed data")                                  \
    X(PG_ERR_UNSUPPORTED, -12, "unsupported", PEER, "unsupported version or type")                 \
    X(PG_ERR_CORRUPT, -13, "corrupt", PEER, "data fails its check")                                \
    X(PG_ERR_AUTH, -14, "auth", PEER, "authentication failed")                                     \
    X(PG_ERR_KEY, -15, "key", LOCAL, "wrong key or passphrase")                                    \
    X(PG_ERR_MISSING, -16, "missing", RETRY, "too few pieces left")                                \
    X(PG_ERR_TIMEOUT, -17, "timeout", RETRY, "timed out")                                          \
    X(PG_ERR_CANCELLED, -18, "cancelled", CANCELLED, "cancelled")                                  \
    X(PG_ERR_CLOSED, -19, "closed", RETRY, "closed")                                               \
    X(PG_ERR_RESET, -20, "reset", RETRY, "reset by the other side")                                \
    X(PG_ERR_REFUSED, -21, "refused", RETRY, "refused")                                            \
    X(PG_ERR_UNREACHABLE, -22, "unreachable", RETRY, "unreachable")                                \
    X(PG_ERR_PROTOCOL, -23, "protocol", PEER, "protocol violation")                                \
    X(PG_ERR_DOWNGRADE, -24, "downgrade", PEER, "negotiation was tampered with")                   \
    X(PG_ERR_CHANGED, -25, "changed", LOCAL, "changed while in use")                               \
    X(PG_ERR_BUG, -26, "bug", BUG, "internal error")                                               \
    X(PG_ERR_NO_NODE, -27, "no_node", LOCAL, "no node is running")                                 \
    X(PG_ERR_PENDING, -28, "pending", RETRY, "kept on this node until others can be reached")      \
    X(PG_ERR_UNFIT, -29, "unfit", LOCAL, "something does not work as it should")

typedef enum pg_err {
#define PG_ERR_ENUM(symbol, number, name, class, text) symbol = (number),
    PG_ERR_TABLE(PG_ERR_ENUM)
#undef PG_ERR_ENUM
} pg_err;

/** Return the stable machine name of a code ("not_found"); "unknown" for a foreign number. Static storage. */
const char *pg_err_name(pg_err err);

/** Return the plain text of a code ("not found"). Static storage. */
const char *pg_err_text(pg_err err);

/** Return the class of a code; PG_ERR_CLASS_BUG for a foreign number. */
pg_err_class pg_err_class_of(pg_err err);

#define PG_ERROR_TEXT_BYTES_MAX 1024

/** What happened, for a person: the chain of contexts, outermost first ("get: extent 2: shard 7: has 12 bytes").
 *  `text` is NUL-terminated, printable UTF-8 or ASCII, cut at the end if too long. */
typedef struct pg_error_record {
    pg_err code;
    const char *file; // where it arose
    int line;
    char text[PG_ERROR_TEXT_BYTES_MAX];
} pg_error_record;

/** Record the detail of a failure where it arises and return `code`, replacing what the record held. Use pg_fail. */
PG_NODISCARD pg_err pg_error_set(pg_err code, const char *file, int line, const char *format, ...)
    PG_PRINTF(4, 5);

/** Put context before the recorded detail ("segment 3: ..."). Starts a record if none of this code stands. Returns `code`;
 *  PG_OK is returned untouched. */
PG_NODISCARD pg_err pg_error_wrap(pg_err code, const char *format, ...) PG_PRINTF(2, 3);

/** Copy the record, before a clean-up that may fail too and would say so in its place; or to hand it to another fiber. */
pg_error_record pg_error_keep(void);

/** Make a record that was kept the current one again, if it is of `code`. Returns `code`. */
PG_NODISCARD pg_err pg_error_again(const pg_error_record *kept, pg_err code);

#ifdef __clang_analyzer__ // sees one file at a time: tell it that they return the code they are given
#define pg_error_set(code, ...)                                                                    \
    __extension__({                                                                                \
        pg_err pg_given_code = (code);                                                             \
        (void) !pg_error_set(pg_given_code, __VA_ARGS__);                                          \
        pg_given_code;                                                                             \
    })
#define pg_error_wrap(code, ...)                                                                   \
    __extension__({                                                                                \
        pg_err pg_given_code = (code);                                                             \
        (void) !pg_error_wrap(pg_given_code, __VA_ARGS__);                                         \
        pg_given_code;                                                                             \
    })
#define pg_error_again(kept, code)                                                                 \
    __extension__({                                                                                \
        pg_err pg_given_code = (code);                                                             \
        (void) !pg_error_again((kept), pg_given_code);                                             \
        pg_given_code;                                                                             \
    })
#endif

/** Return the record of the running fiber or thread. Borrowed; overwritten by the next failure. */
const pg_error_record *pg_error_last(void);

/** Return the detail text if the record is of `code`, else the plain text of `code`. Borrowed until the next failure. */
const char *pg_error_detail(pg_err code);

/** Forget the record. */
void pg_error_clear(void);

/** Make `record` the current one of this thread and return the one before. For the runtime, at each fiber switch;
 *  NULL chooses the thread's own. */
pg_error_record *pg_error_swap(pg_error_record *record);

/** Fail with a detail: `return pg_fail(PG_ERR_LIMIT, "has %zu bytes, at most %zu", have, max);` */
#define pg_fail(code, ...) pg_error_set((code), __FILE__, __LINE__, __VA_ARGS__)

/** Return at once when `expression` is not PG_OK. Only where nothing is held. */
#define PG_TRY(expression)                                                                         \
    do {                                                                                           \
        pg_err pg_try_err = (expression);                                                          \
        if (pg_try_err != PG_OK) {                                                                 \
            return pg_try_err;                                                                     \
        }                                                                                          \
    } while (0)

/** Discard a result on purpose; `reason` is a string literal for the reader. */
#define pg_ignore(expression, reason)                                                              \
    do {                                                                                           \
        _Static_assert(sizeof(reason) > 1, "say why");                                             \
        if (expression) {                                                                          \
        }                                                                                          \
    } while (0)
