// SPDX-License-Identifier: Apache-2.0
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

pg_str pg_str_make(const char *text)
{
    return text == NULL ? (pg_str){NULL, 0} : (pg_str){text, strlen(text)};
}

bool pg_str_equal(pg_str a, pg_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool pg_str_starts_with(pg_str str, pg_str prefix)
{
    return str.len >= prefix.len && pg_str_equal(pg_str_make_len(str.ptr, prefix.len), prefix);
}

pg_str pg_str_split(pg_str str, char separator, pg_str *out_head)
{
    const char *found = str.len == 0 ? NULL : memchr(str.ptr, separator, str.len);
    if (found == NULL) {
        *out_head = str;
        return (pg_str){NULL, 0};
    }
    size_t head_len = (size_t) (found - str.ptr);
    *out_head = pg_str_make_len(str.ptr, head_len);
    return pg_str_make_len(found + 1, str.len - head_len - 1);
}

// One row of the table at a time.
size_t pg_str_distance(pg_str a, pg_str b)
{
    enum { NAME_MAX = 64 };
    size_t row[NAME_MAX + 1];
    a.len = pg_min_size(a.len, NAME_MAX);
    b.len = pg_min_size(b.len, NAME_MAX);
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t replaced = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            row[j] = pg_min_size(replaced, pg_min_size(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b.len];
}

bool pg_str_is_near(pg_str typed, size_t distance)
{
    return distance <= 2 + typed.len / 4 && distance < typed.len;
}

// The bytes of a character by its first one, and the range of the second: narrower for some, which keeps out overlong
// forms, surrogates, what is beyond U+10FFFF, and U+0080..U+009F.
typedef struct utf8_row {
    uint8_t first_max; // rows are in order; the first that reaches fits
    uint8_t len;       // 0 = begins no character
    uint8_t second_min;
    uint8_t second_max;
} utf8_row;

static const utf8_row utf8_rows[] = {
    {0x1f, 0, 0, 0},       {0x7e, 1, 0, 0},       {0xc1, 0, 0, 0},       {0xc2, 2, 0xa0, 0xbf},
    {0xdf, 2, 0x80, 0xbf}, {0xe0, 3, 0xa0, 0xbf}, {0xec, 3, 0x80, 0xbf}, {0xed, 3, 0x80, 0x9f},
    {0xef, 3, 0x80, 0xbf}, {0xf0, 4, 0x90, 0xbf}, {0xf3, 4, 0x80, 0xbf}, {0xf4, 4, 0x80, 0x8f},
    {0xff, 0, 0, 0},
};

size_t pg_str_printable_len(pg_str str)
{
    if (str.len == 0) {
        return 0;
    }
    const uint8_t *bytes = (const uint8_t *) str.ptr;
    const utf8_row *row = utf8_rows;
    while (bytes[0] > row->first_max) {
        row++;
    }
    if (row->len > str.len) {
        return 0;
    }
    if (row->len > 1 && (bytes[1] < row->second_min || bytes[1] > row->second_max)) {
        return 0;
    }
    for (size_t i = 2; i < row->len; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return row->len;
}

char *pg_str_dup(pg_str str)
{
    size_t size = 0;
    if (!pg_add_size(str.len, 1, &size)) {
        return NULL;
    }
    char *copy = pg_malloc(size);
    if (copy == NULL) {
        return NULL;
    }
    if (str.len != 0) {
        memcpy(copy, str.ptr, str.len);
    }
    copy[str.len] = '\0';
    return copy;
}

pg_err pg_str_to_u64(pg_str str, uint64_t max, uint64_t *out_value)
{
    uint64_t value = 0;
    if (str.len == 0) {
        return pg_fail(PG_ERR_INVALID, "a number is missing");
    }
    for (size_t i = 0; i < str.len; i++) {
        char c = str.ptr[i];
        if (c < '0' || c > '9') {
            return pg_fail(PG_ERR_INVALID, "'%.*s' is not a number", PG_STR_ARGS(str));
        }
        if (__builtin_mul_overflow(value, (uint64_t) 10, &value) ||
            __builtin_add_overflow(value, (uint64_t) (c - '0'), &value) || value > max) {
            return pg_fail(PG_ERR_INVALID, "'%.*s' is more than %llu", PG_STR_ARGS(str),
                           (unsigned long long) max);
        }
    }
    *out_value = value;
    return PG_OK;
}

pg_err pg_buf_printf(pg_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0) {
        return pg_fail(PG_ERR_INVALID, "cannot format '%s'", format);
    }
    PG_TRY(pg_buf_reserve(buf, (size_t) len + 1));
    va_start(args, format);
    (void) vsnprintf((char *) buf->ptr + buf->len, (size_t) len + 1, format, args);
    va_end(args);
    buf->len += (size_t) len;
    return PG_OK;
}

pg_str pg_buf_str(const pg_buf *buf)
{
    return pg_str_make_len((const char *) buf->ptr, buf->len);
}

void pg_hex_encode(pg_bytes bytes, char *out_text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        out_text[2 * i] = digits[bytes.ptr[i] >> 4];
        out_text[2 * i + 1] = digits[bytes.ptr[i] & 15];
    }
    out_text[2 * bytes.len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

pg_err pg_hex_decode(pg_str text, pg_mut_bytes out)
{
    if (text.len % 2 != 0 || text.len / 2 != out.len) {
        return pg_fail(PG_ERR_MALFORMED, "%zu hexadecimal digits, wants %zu", text.len,
                       2 * out.len);
    }
    for (size_t i = 0; i < out.len; i++) {
        int high = hex_digit(text.ptr[2 * i]);
        int low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return pg_fail(PG_ERR_MALFORMED, "not hexadecimal at character %zu", 2 * i);
        }
        out.ptr[i] = (uint8_t) (high << 4 | low);
    }
    return PG_OK;
}
