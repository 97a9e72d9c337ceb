// SPDX-License-Identifier: Apache-2.0
#include "cli/qr.h"

#include <errno.h>
#include <qrencode.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/secret.h"

#define MARGIN 4 // modules; the standard wants so many
#define DARK_BIT 1

pg_err pg_qr_make(pg_str text, pg_qr *out_qr)
{
    char *upper = pg_str_dup(text);
    if (upper == NULL) {
        return PG_ERR_NOMEM;
    }
    for (char *c = upper; *c != '\0'; c++) {
        *c = (char) (*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    }
    QRcode *code = QRcode_encodeString(upper, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
    int number = errno;
    pg_wipe(upper, text.len);
    pg_mfree(upper);
    if (code == NULL) {
        return number == ERANGE ? pg_fail(PG_ERR_LIMIT, "too long for a QR code") : PG_ERR_NOMEM;
    }
    size_t side = (size_t) code->width;
    bool *modules = pg_calloc(side * side, sizeof(*modules));
    for (size_t i = 0; modules != NULL && i < side * side; i++) {
        modules[i] = (code->data[i] & DARK_BIT) != 0;
    }
    pg_wipe(code->data, side * side);
    QRcode_free(code);
    if (modules == NULL) {
        return PG_ERR_NOMEM;
    }
    *out_qr = (pg_qr){modules, side};
    return PG_OK;
}

bool pg_qr_is_dark(const pg_qr *qr, long row, long column)
{
    long side = (long) qr->side;
    return row >= 0 && column >= 0 && row < side && column < side &&
           qr->modules[row * side + column];
}

pg_err pg_qr_draw(const pg_qr *qr, bool has_colours, pg_buf *out)
{
    static const char *const blocks[] = {" ", "\u2584", "\u2580",
                                         "\u2588"}; // none, lower, upper, both
    long end = (long) qr->side + MARGIN;
    for (long row = -MARGIN; row < end; row += 2) {
        PG_TRY(pg_buf_printf(out, "%s", has_colours ? "\x1b[30;107m" : ""));
        for (long column = -MARGIN; column < end; column++) {
            bool upper = pg_qr_is_dark(qr, row, column) == has_colours;
            bool lower = pg_qr_is_dark(qr, row + 1, column) == has_colours;
            PG_TRY(pg_buf_printf(out, "%s", blocks[(upper ? 2 : 0) + (lower ? 1 : 0)]));
        }
        PG_TRY(pg_buf_printf(out, "%s\n", has_colours ? "\x1b[0m" : ""));
    }
    return PG_OK;
}

void pg_qr_deinit(pg_qr *qr)
{
    if (qr->modules != NULL) {
        pg_wipe(qr->modules, qr->side * qr->side * sizeof(*qr->modules));
    }
    pg_mfree(qr->modules);
    *qr = (pg_qr){NULL, 0};
}
