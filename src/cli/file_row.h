// SPDX-License-Identifier: Apache-2.0
// What the lists of files, pins and extents share: a line's root and name, as wide as the terminal allows, and how likely something can be read.
//
// Layer: cli.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json_object.h>

#include "base/err.h"
#include "cli/output.h"

#define PG_FILE_ROW_ID_BYTES 512

/** The end of a line. */
typedef struct pg_file_row {
    char id
        [PG_FILE_ROW_ID_BYTES]; // the root, shortened where the terminal is too narrow; or the whole link
    char name[PG_ERROR_TEXT_BYTES_MAX]; // printable; "(no name)"
    const char *after;                  // the name: "/" of a folder
    const char *style;                  // of the state; end it with style_end
    const char *style_end;
} pg_file_row;

/** Return how wide the roots of a table are whose columns before them take `before` columns. */
size_t pg_file_row_id_chars(const pg_output *output, size_t before);

/** Read a file or pin of the node's answer. */
void pg_file_row_make(const pg_output *output, json_object *file, bool with_link, size_t before,
                      pg_file_row *out_row);

#define PG_READABLE_TEXT_BYTES 80

/** Write how likely something can be read, from an object's "readable": "readable 99.94 % of the time". A chance that is not made of forecasts says too
 *  little to be shown: the text says when there will be one. */
void pg_readable_format(json_object *object, bool is_forecast,
                        char out_text[PG_READABLE_TEXT_BYTES]);
