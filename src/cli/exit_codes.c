// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_codes.h"

int pg_exit_code(pg_err err)
{
    // No default: a new error without an exit code does not compile.
    switch (err) {
#define EXIT_CASE(symbol, code, text)                                                              \
    case symbol:                                                                                   \
        return (code);
        PG_EXIT_TABLE(EXIT_CASE)
#undef EXIT_CASE
    }
    return pg_exit_code(PG_ERR_BUG);
}

pg_err pg_exit_code_err(int code)
{
#define EXIT_MATCH(symbol, number, text)                                                           \
    if (code == (number) && (symbol) != PG_OK) {                                                   \
        return symbol;                                                                             \
    }
    PG_EXIT_TABLE(EXIT_MATCH)
#undef EXIT_MATCH
    return PG_ERR_CLOSED;
}

void pg_exit_codes_each(void (*each)(pg_err err, int code, const char *text, void *user),
                        void *user)
{
#define EXIT_ROW(symbol, code, text) each(symbol, code, text, user);
    PG_EXIT_TABLE(EXIT_ROW)
#undef EXIT_ROW
}
