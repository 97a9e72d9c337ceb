// SPDX-License-Identifier: Apache-2.0
#include "cli/file_row.h"

#include <stdio.h>
#include <string.h>

#include "cli/answer.h"

#define ROOT_CHARS 59     // of a root's text
#define ROOT_CHARS_MIN 16 // enough to tell it from others
#define NAME_CHARS 24     // kept free for the name

size_t pg_file_row_id_chars(const pg_output *output, size_t before)
{
    size_t columns = pg_output_columns(output);
    if (columns == 0 || columns >= before + ROOT_CHARS + NAME_CHARS) {
        return ROOT_CHARS;
    }
    return columns < before + ROOT_CHARS_MIN + NAME_CHARS ? ROOT_CHARS_MIN
                                                          : columns - before - NAME_CHARS;
}

static pg_style state_style(const char *state)
{
    if (strcmp(state, "complete") == 0) {
        return PG_STYLE_GOOD;
    }
    return strcmp(state, "pending") == 0 ? PG_STYLE_BAD : PG_STYLE_CARE;
}

void pg_file_row_make(const pg_output *output, json_object *file, bool with_link, size_t before,
                      pg_file_row *out_row)
{
    const char *name = pg_answer_optional(file, "name");
    if (with_link) {
        (void) snprintf(out_row->id, sizeof(out_row->id), "%s", pg_answer_text(file, "link"));
    } else {
        pg_text_shorten(pg_answer_text(file, "root"), pg_file_row_id_chars(output, before),
                        out_row->id, sizeof(out_row->id));
    }
    pg_text_printable(name[0] == '\0' ? "(no name)" : name, out_row->name, sizeof(out_row->name));
    out_row->after = strcmp(pg_answer_text(file, "kind"), "folder") == 0 ? "/" : "";
    out_row->style = pg_style_code(output->has_color, state_style(pg_answer_text(file, "state")));
    out_row->style_end = pg_style_code(output->has_color, PG_STYLE_PLAIN);
}

void pg_readable_format(json_object *object, bool is_forecast,
                        char out_text[PG_READABLE_TEXT_BYTES])
{
    if (is_forecast) {
        (void) snprintf(out_text, PG_READABLE_TEXT_BYTES, "readable %.2f %% of the time",
                        pg_answer_number(object, "readable") * 100.0);
    } else {
        (void) snprintf(out_text, PG_READABLE_TEXT_BYTES,
                        "no forecast yet, its hosts are known for less than a day");
    }
}
