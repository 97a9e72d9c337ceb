// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/exit_codes.h"
#include "crypto/secret.h"

#define HEAD_BYTES 256

void pg_output_init(pg_output *output)
{
    *output = (pg_output){.result = stdout};
    pg_output_color(output, NULL);
}

void pg_output_color(pg_output *output, const char *when)
{
    const char *refused = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    bool may = (refused == NULL || refused[0] == '\0') &&
               (terminal == NULL || strcmp(terminal, "dumb") != 0);
    if (when != NULL && strcmp(when, "auto") != 0) {
        output->has_color = output->has_error_color = strcmp(when, "always") == 0;
    } else {
        output->has_color = may && isatty(fileno(output->result)) == 1;
        output->has_error_color = may && isatty(STDERR_FILENO) == 1;
    }
    output->has_color = output->has_color && !output->json;
    output->has_error_color = output->has_error_color && !output->json;
}

const char *pg_style_code(bool has_color, pg_style style)
{
    static const char *const codes[PG_STYLE_COUNT] = {
        [PG_STYLE_PLAIN] = "\033[0m", [PG_STYLE_BOLD] = "\033[1m",  [PG_STYLE_DIM] = "\033[2m",
        [PG_STYLE_GOOD] = "\033[32m", [PG_STYLE_CARE] = "\033[33m", [PG_STYLE_BAD] = "\033[31m",
    };
    return has_color ? codes[style] : "";
}

unsigned pg_output_columns(const pg_output *output)
{
    struct winsize size = {0};
    return ioctl(fileno(output->result), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

unsigned pg_output_rows(const pg_output *output)
{
    struct winsize size = {0};
    return ioctl(fileno(output->result), TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

void pg_output_keep_stdout(pg_output *output)
{
    output->result = stderr;
}

/** Write what cannot be told otherwise: a terminal that is gone is no reason to fail. */
PG_PRINTF(2, 0)
static void put(FILE *stream, const char *format, va_list args)
{
    (void) vfprintf(stream, format, args);
    (void) fputc('\n', stream);
}

void pg_output_line(const pg_output *output, const char *format, ...)
{
    if (!output->json) {
        va_list args;
        va_start(args, format);
        put(output->result, format, args);
        va_end(args);
    }
}

void pg_output_head(const pg_output *output, const char *format, ...)
{
    unsigned columns = pg_output_columns(output);
    if (!output->json && !output->quiet && columns > 0) {
        char head[HEAD_BYTES];
        va_list args;
        va_start(args, format);
        (void) vsnprintf(head, sizeof(head), format, args);
        va_end(args);
        (void) fprintf(output->result, "%s%.*s%s\n", pg_style_code(output->has_color, PG_STYLE_DIM),
                       (int) columns, head, pg_style_code(output->has_color, PG_STYLE_PLAIN));
    }
}

static void json_put(const pg_output *output, json_object *object, const char *before,
                     const char *after)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE);
    (void) fprintf(output->result, "%s%s%s", before, text, after);
    pg_wipe((void *) (uintptr_t) text, strlen(text)); // it may have a link
}

void pg_output_object(const pg_output *output, json_object *object)
{
    if (output->json && object == NULL) {
        (void) fprintf(output->result, "{}\n");
    } else if (output->json) {
        json_put(output, object, "", "\n");
    }
    (void) json_object_put(object);
}

void pg_output_items(pg_output *output, const char *name, json_object *list)
{
    const size_t count = output->json && list != NULL ? json_object_array_length(list) : 0;
    if (output->json && !output->is_listing) {
        (void) fprintf(output->result, "{\"%s\":[", name);
        output->is_listing = true;
    }
    for (size_t i = 0; i < count; i++) {
        json_put(output, json_object_array_get_idx(list, i), output->has_items ? "," : "", "");
        output->has_items = true;
    }
}

void pg_output_items_end(pg_output *output)
{
    if (output->is_listing) {
        output->is_listing = false;
        (void) fprintf(output->result, "]}\n");
    }
}

void pg_output_note(const pg_output *output, const char *format, ...)
{
    if (!output->json && !output->quiet) {
        va_list args;
        va_start(args, format);
        put(stderr, format, args);
        va_end(args);
    }
}

void pg_output_warn(const pg_output *output, const char *format, ...)
{
    if (!output->quiet) {
        const char *on = pg_style_code(output->has_error_color, PG_STYLE_CARE);
        const char *off = pg_style_code(output->has_error_color, PG_STYLE_PLAIN);
        va_list args;
        (void) fprintf(stderr, "%spangea: warning:%s ", on, off);
        va_start(args, format);
        put(stderr, format, args);
        va_end(args);
    }
}

pg_err pg_output_finish(const pg_output *output)
{
    errno = 0;
    if (fflush(output->result) == 0 && ferror(output->result) == 0) {
        return PG_OK;
    }
    if (errno == EPIPE) {
        return PG_OK; // who reads has read enough
    }
    return pg_fail(errno == ENOSPC ? PG_ERR_FULL : PG_ERR_IO,
                   "it is done, but the result could not be written to standard output: %s",
                   errno == 0 ? "an error before" : strerror(errno));
}

void pg_output_told(pg_output *output)
{
    output->told = true;
}

void pg_output_error(const pg_output *output, const char *command, pg_err err)
{
    const char *detail = pg_error_detail(err);
    if (!output->json) {
        (void) fprintf(stderr, "%spangea%s%s:%s %s\n",
                       pg_style_code(output->has_error_color, PG_STYLE_BAD),
                       command == NULL ? "" : " ", command == NULL ? "" : command,
                       pg_style_code(output->has_error_color, PG_STYLE_PLAIN), detail);
        return;
    }
    if (output->told) {
        return;
    }
    json_object *inner = json_object_new_object();
    (void) json_object_object_add(inner, "code", json_object_new_string(pg_err_name(err)));
    (void) json_object_object_add(inner, "exit_code", json_object_new_int(pg_exit_code(err)));
    (void) json_object_object_add(inner, "text", json_object_new_string(detail));
    if (output->is_listing) {
        json_put(output, inner, "],\"error\":", "}\n");
        json_object_put(inner);
        return;
    }
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "error", inner);
    pg_output_object(output, object);
}

void pg_size_format(uint64_t bytes, char out_text[PG_SIZE_TEXT_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double) bytes;
    unsigned unit = 0;
    // 999.95 would be shown as 1000.0.
    while (value >= 999.95 && unit + 1 < PG_ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    (void) snprintf(out_text, PG_SIZE_TEXT_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", value,
                    units[unit]);
}

void pg_speed_format(double bytes_per_second, char out_text[PG_SPEED_TEXT_BYTES])
{
    double mega = bytes_per_second / 1e6;
    bool is_small = mega < 1;
    (void) snprintf(out_text, PG_SPEED_TEXT_BYTES,
                    mega >= 10 || is_small ? "%.0f %cB/s" : "%.1f %cB/s",
                    is_small ? bytes_per_second / 1e3 : mega, is_small ? 'k' : 'M');
}

void pg_text_shorten(const char *text, size_t chars, char *out_text, size_t space)
{
    size_t len = strlen(text);
    size_t end = (chars - 2) / 2;
    if (len <= chars) {
        (void) snprintf(out_text, space, "%s", text);
    } else {
        (void) snprintf(out_text, space, "%.*s..%s", (int) (chars - 2 - end), text,
                        text + len - end);
    }
}

void pg_text_printable(const char *text, char *out_text, size_t space)
{
    pg_str rest = pg_str_make(text);
    size_t len = 0;
    while (rest.len > 0) {
        size_t shown = pg_str_printable_len(rest);
        size_t taken = shown == 0 ? 1 : shown;
        if (len + taken >= space) {
            break;
        }
        memcpy(out_text + len, shown == 0 ? "?" : rest.ptr, taken);
        len += taken;
        rest = pg_str_make_len(rest.ptr + taken, rest.len - taken);
    }
    out_text[len] = '\0';
}
