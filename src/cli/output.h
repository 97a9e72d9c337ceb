// SPDX-License-Identifier: Apache-2.0
// What the program tells a person or a script. Results go to standard output, everything else to standard error, so that
// `link=$(pangea shards encode ...)` works; with --json there is one JSON object, result or error.
//
// Layer: cli.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json_object.h>

#include "base/attr.h"
#include "base/err.h"

/** How a text looks on a terminal. */
typedef enum pg_style {
    PG_STYLE_PLAIN, // ends the others
    PG_STYLE_BOLD,
    PG_STYLE_DIM,
    PG_STYLE_GOOD,
    PG_STYLE_CARE,
    PG_STYLE_BAD,
    PG_STYLE_COUNT,
} pg_style;

/** How to tell it. */
typedef struct pg_output {
    FILE
        *result; // standard output, or standard error while the data itself goes to standard output
    bool json;
    bool quiet;
    bool has_color;       // the result
    bool has_error_color; // errors and what is told by the way
    bool told;       // the JSON object is written: an error only has its exit code left to tell
    bool is_listing; // it is being written, item by item
    bool has_items;  // some were
} pg_output;

/** Tell everything, in plain text, in colours where a terminal reads it. */
void pg_output_init(pg_output *output);

/** Decide about colours: "always", "never", or "auto" (also NULL), by terminals and the environment (NO_COLOR, TERM). With --json there are none. */
void pg_output_color(pg_output *output, const char *when);

/** Return what begins a style, "" without colours. Static. */
const char *pg_style_code(bool has_color, pg_style style);

/** Return how many columns the terminal has that reads the result; 0 where none does. */
unsigned pg_output_columns(const pg_output *output);

/** Return how many rows that terminal has; 0 where none does. */
unsigned pg_output_rows(const pg_output *output);

/** Write the head of a table, where a person reads it: on a terminal, unless --quiet or --json. */
void pg_output_head(const pg_output *output, const char *format, ...) PG_PRINTF(2, 3);

/** Let results go to standard error: standard output carries data. */
void pg_output_keep_stdout(pg_output *output);

/** Write a line of the result, unless --json. */
void pg_output_line(const pg_output *output, const char *format, ...) PG_PRINTF(2, 3);

/** Write the result as one JSON object when --json. The object is taken; NULL (out of memory) is told as an empty object. */
void pg_output_object(const pg_output *output, json_object *object);

/** Write the next items, borrowed, of an object {"name": [..]} when --json: for as many as no list in memory should have. The first call begins
 *  it; pg_output_items_end ends it, or an error, which is then its last member. */
void pg_output_items(pg_output *output, const char *name, json_object *list);

/** End what pg_output_items began. */
void pg_output_items_end(pg_output *output);

/** Tell something by the way, unless --quiet or --json. */
void pg_output_note(const pg_output *output, const char *format, ...) PG_PRINTF(2, 3);

/** Tell of trouble that does not end the command, unless --quiet. */
void pg_output_warn(const pg_output *output, const char *format, ...) PG_PRINTF(2, 3);

/** Write out what was printed. Errors: PG_ERR_FULL, PG_ERR_IO: some of it is lost; nobody reading it is none. */
PG_NODISCARD pg_err pg_output_finish(const pg_output *output);

/** Say that the result was told though the command fails: with --json the error adds no second object. */
void pg_output_told(pg_output *output);

/** Tell why the command failed, from the error record. `command` may be NULL. */
void pg_output_error(const pg_output *output, const char *command, pg_err err);

#define PG_SIZE_TEXT_BYTES 24
#define PG_SPEED_TEXT_BYTES 32

/** Write a size as people read it: "17 B", "1.5 MiB". */
void pg_size_format(uint64_t bytes, char out_text[PG_SIZE_TEXT_BYTES]);

/** Write a speed as people read it: "118 MB/s", "1.2 MB/s", "39 kB/s". */
void pg_speed_format(double bytes_per_second, char out_text[PG_SPEED_TEXT_BYTES]);

/** Copy a name of which nobody reads the middle: where it has more than `chars` characters, 8 at least, ".." takes the place of that. Only for ASCII.
 *  Cut after `space` - 1 bytes. */
void pg_text_shorten(const char *text, size_t chars, char *out_text, size_t space);

/** Copy foreign text so that a terminal shows it and does nothing else: what is no printable UTF-8 becomes '?'. Cut after `space` - 1 bytes. */
void pg_text_printable(const char *text, char *out_text, size_t space);
