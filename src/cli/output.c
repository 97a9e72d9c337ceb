// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <stdarg.h>
#include <string.h>

#include "base/str.h"
#include "cli/exit_codes.h"
#include "crypto/secret.h"

void pg_output_init(pg_output *output)
{
    *output = (pg_output){.result = stdout};
}

void pg_output_keep_stdout(pg_output *output)
{
    output->result = stderr;
}

/** Write what cannot be told otherwise: a terminal that is gone is no reason to fail. */
PG_PRINTF(3, 0)
static void put(FILE *stream, const char *before, const char *format, va_list args)
{
    (void) fputs(before, stream);
    (void) vfprintf(stream, format, args);
    (void) fputc('\n', stream);
}

void pg_output_line(const pg_output *output, const char *format, ...)
{
    if (!output->json) {
        va_list args;
        va_start(args, format);
        put(output->result, "", format, args);
        va_end(args);
    }
}

void pg_output_object(const pg_output *output, json_object *object)
{
    if (output->json) {
        const char *text =
            object == NULL ? "{}"
                           : json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE);
        (void) fprintf(output->result, "%s\n", text);
        if (object != NULL) {
            pg_wipe((void *) (uintptr_t) text, strlen(text)); // it may have a link
        }
    }
    (void) json_object_put(object);
}

void pg_output_note(const pg_output *output, const char *format, ...)
{
    if (!output->json && !output->quiet) {
        va_list args;
        va_start(args, format);
        put(stderr, "", format, args);
        va_end(args);
    }
}

void pg_output_warn(const pg_output *output, const char *format, ...)
{
    if (!output->quiet) {
        va_list args;
        va_start(args, format);
        put(stderr, "pangea: warning: ", format, args);
        va_end(args);
    }
}

void pg_output_told(pg_output *output)
{
    output->told = true;
}

void pg_output_error(const pg_output *output, const char *command, pg_err err)
{
    const char *detail = pg_error_detail(err);
    if (!output->json) {
        (void) fprintf(stderr, "pangea%s%s: %s\n", command == NULL ? "" : " ",
                       command == NULL ? "" : command, detail);
        return;
    }
    if (output->told) {
        return;
    }
    json_object *inner = json_object_new_object();
    json_object *object = json_object_new_object();
    (void) json_object_object_add(inner, "code", json_object_new_string(pg_err_name(err)));
    (void) json_object_object_add(inner, "exit_code", json_object_new_int(pg_exit_code(err)));
    (void) json_object_object_add(inner, "text", json_object_new_string(detail));
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
