// SPDX-License-Identifier: Apache-2.0
// The exit codes of the pangea command, one table for all commands: what scripts may rely on. Printed by
// `pangea help exit-codes` and by docs/guide. Numbers never change once released; append only.
//
// Layer: cli.  Thread: any.
#pragma once

#include "base/err.h"

// X(code symbol of base/err.h, exit code, text for the manual)
#define PG_EXIT_TABLE(X)                                                                           \
    X(PG_OK, 0, "done")                                                                            \
    X(PG_ERR_INVALID, 2, "wrong use: unknown command or option, impossible value, not a link")     \
    X(PG_ERR_NOMEM, 11, "out of memory")                                                           \
    X(PG_ERR_IO, 13, "a file, disk or socket failed while it was read or written")                 \
    X(PG_ERR_NOT_FOUND, 14, "a file, folder or block is not there")                                \
    X(PG_ERR_EXISTS, 15, "the output is there already; --force replaces it")                       \
    X(PG_ERR_ACCESS, 16, "permission denied")                                                      \
    X(PG_ERR_FULL, 17, "no space left on the disk, or a file size limit reached")                  \
    X(PG_ERR_BUSY, 18, "in use by another process")                                                \
    X(PG_ERR_LIMIT, 19, "larger or more than this program takes")                                  \
    X(PG_ERR_TRUNCATED, 20, "a link or block ends too early")                                      \
    X(PG_ERR_MALFORMED, 21, "a link is mistyped, or a block or archive breaks its format")         \
    X(PG_ERR_UNSUPPORTED, 22, "made by a newer version, or of a kind this program does not know")  \
    X(PG_ERR_CORRUPT, 23, "data fails its check")                                                  \
    X(PG_ERR_AUTH, 24, "authentication failed")                                                    \
    X(PG_ERR_KEY, 25, "wrong key or passphrase")                                                   \
    X(PG_ERR_MISSING, 26, "too few pieces are left to restore the data")                           \
    X(PG_ERR_TIMEOUT, 27, "timed out")                                                             \
    X(PG_ERR_CLOSED, 29, "the other side closed the connection or pipe")                           \
    X(PG_ERR_RESET, 30, "the other side reset the connection")                                     \
    X(PG_ERR_REFUSED, 31, "the other side refused")                                                \
    X(PG_ERR_UNREACHABLE, 32, "nobody could be reached")                                           \
    X(PG_ERR_PROTOCOL, 33, "the other side broke the protocol")                                    \
    X(PG_ERR_DOWNGRADE, 34, "a connection was tampered with")                                      \
    X(PG_ERR_CHANGED, 35, "the source changed while it was read")                                  \
    X(PG_ERR_NO_NODE, 36, "no node is running on the data directory")                              \
    X(PG_ERR_PENDING, 37, "the file is on this node only: no host could be reached yet")           \
    X(PG_ERR_UNFIT, 38, "pangea doctor found something that fails")                                \
    X(PG_ERR_BUG, 70, "a fault of this program; please report it")                                 \
    X(PG_ERR_CANCELLED, 130, "interrupted")

/** Return the exit code of an error, 70 for a foreign number. */
int pg_exit_code(pg_err err);

/** Return the error that ended a process of ours with an exit code, PG_ERR_CLOSED where it is none of the table. */
pg_err pg_exit_code_err(int code);

/** Call `each` for every row of the table, in its order. */
void pg_exit_codes_each(void (*each)(pg_err err, int code, const char *text, void *user),
                        void *user);
