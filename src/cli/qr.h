// SPDX-License-Identifier: Apache-2.0
// QR codes as text for a terminal: two rows of modules in a line of half blocks. By libqrencode.
//
// Layer: cli.  Thread: any.  Spec: ISO/IEC 18004
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"

/** A QR code: side[side], row by row, true = dark. Own in place, end with pg_qr_deinit. */
typedef struct pg_qr {
    bool *modules;
    size_t side;
} pg_qr;

/** Make the code of a text, which is written in upper case: digits, letters and "$%*+-./: " take the least space. Errors: PG_ERR_LIMIT (too long),
 *  PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_qr_make(pg_str text, pg_qr *out_qr);

/** Return a module; light outside. */
bool pg_qr_is_dark(const pg_qr *qr, long row, long column);

/** Append the code with its light margin as lines of UTF-8.
 *  has_colours   black on white by escape codes; without, light modules are drawn and dark ones left out, which is right on dark
 *                terminals
 *  Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_qr_draw(const pg_qr *qr, bool has_colours, pg_buf *out);

/** Overwrite, since the text may be a secret, and free; all-zero is fine. */
void pg_qr_deinit(pg_qr *qr);
