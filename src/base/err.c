// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static _Thread_local pg_error_record thread_record;
static _Thread_local pg_error_record *current_record;

void pg_assert_fail(const char *condition, const char *file, int line)
{
    (void) fprintf(stderr, "pangea: assertion failed: %s (%s:%d)\n", condition, file, line);
    abort();
}

static pg_error_record *record_get(void)
{
    return current_record != NULL ? current_record : &thread_record;
}

const char *pg_err_name(pg_err err)
{
    switch (err) {
#define PG_ERR_NAME(symbol, number, name, class, text)                                             \
    case symbol:                                                                                   \
        return name;
        PG_ERR_TABLE(PG_ERR_NAME)
#undef PG_ERR_NAME
    }
    return "unknown";
}

const char *pg_err_text(pg_err err)
{
    switch (err) {
#define PG_ERR_TEXT(symbol, number, name, class, text)                                             \
    case symbol:                                                                                   \
        return text;
        PG_ERR_TABLE(PG_ERR_TEXT)
#undef PG_ERR_TEXT
    }
    return "unknown error";
}

pg_err_class pg_err_class_of(pg_err err)
{
    switch (err) {
#define PG_ERR_CLASS(symbol, number, name, class, text)                                            \
    case symbol:                                                                                   \
        return PG_ERR_CLASS_##class;
        PG_ERR_TABLE(PG_ERR_CLASS)
#undef PG_ERR_CLASS
    }
    return PG_ERR_CLASS_BUG;
}

// Details may quote foreign bytes; what reaches a terminal or a JSON reader is printable UTF-8.
static void text_make_printable(char *text)
{
    pg_str rest = pg_str_make(text);
    while (rest.len != 0) {
        size_t len = pg_str_printable_len(rest);
        if (len == 0) {
            text[rest.ptr - text] = '?';
            len = 1;
        }
        rest = pg_str_make_len(rest.ptr + len, rest.len - len);
    }
}

#undef pg_error_set // the analyzer has macros of these names
#undef pg_error_wrap
#undef pg_error_again

pg_err pg_error_set(pg_err code, const char *file, int line, const char *format, ...)
{
    pg_error_record *record = record_get();
    va_list args;

    // Into a copy first: an argument may be the text of the record itself.
    char text[PG_ERROR_TEXT_BYTES_MAX];
    va_start(args, format);
    (void) vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text_make_printable(text);

    record->code = code;
    record->file = file;
    record->line = line;
    memcpy(record->text, text, sizeof(text));
    return code;
}

pg_err pg_error_wrap(pg_err code, const char *format, ...)
{
    if (code == PG_OK) {
        return code;
    }
    pg_error_record *record = record_get();
    if (record->code != code) {
        record->code = code;
        record->file = NULL;
        record->line = 0;
        (void) snprintf(record->text, sizeof(record->text), "%s", pg_err_text(code));
    }

    char text[PG_ERROR_TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int context_len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (context_len < 0 || (size_t) context_len + 2 >= sizeof(text)) {
        return code; // the context alone fills the record: the detail is worth more
    }
    text_make_printable(text);

    size_t context_end = (size_t) context_len;
    size_t detail_len = strnlen(record->text, sizeof(text) - context_end - 3);
    memcpy(text + context_end, ": ", 2);
    memcpy(text + context_end + 2, record->text, detail_len);
    text[context_end + 2 + detail_len] = '\0';
    memcpy(record->text, text, sizeof(text));
    return code;
}

const pg_error_record *pg_error_last(void)
{
    return record_get();
}

const char *pg_error_detail(pg_err code)
{
    const pg_error_record *record = record_get();
    return record->code == code && record->text[0] != '\0' ? record->text : pg_err_text(code);
}

pg_error_record pg_error_keep(void)
{
    return *record_get();
}

pg_err pg_error_again(const pg_error_record *kept, pg_err code)
{
    if (code != PG_OK && kept->code == code) {
        *record_get() = *kept;
    }
    return code;
}

void pg_error_clear(void)
{
    pg_error_record *record = record_get();
    record->code = PG_OK;
    record->file = NULL;
    record->line = 0;
    record->text[0] = '\0';
}

pg_error_record *pg_error_swap(pg_error_record *record)
{
    pg_error_record *before = current_record;
    current_record = record;
    return before;
}
