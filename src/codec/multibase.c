// SPDX-License-Identifier: Apache-2.0
#include "codec/multibase.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define ALPHABET_58 "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// 138 characters are enough for 100 bytes: log(256)/log(58) = 1.366.
#define BASE58_CHARS_MAX (PG_BASE_BYTES_MAX * 138 / 100 + 1)

typedef struct base_row {
    char letter;
    char letter_upper;  // also read; '\0' = none
    unsigned bits;      // a character; 0 = no power of two
    const char *digits; // 2^bits of them; letters lower case where letter_upper is set
} base_row;

static const base_row base_rows[PG_BASE_COUNT] = {
    [PG_BASE_16] = {'f', 'F', 4, "0123456789abcdef"},
    [PG_BASE_32] = {'b', 'B', 5, "abcdefghijklmnopqrstuvwxyz234567"},
    [PG_BASE_58BTC] = {'z', '\0', 0, ALPHABET_58},
    [PG_BASE_64URL] = {'u', '\0', 6,
                       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"},
};

static int digit_value(const base_row *row, char c)
{
    if (row->letter_upper != '\0' && c >= 'A' && c <= 'Z') {
        c = (char) (c - 'A' + 'a');
    }
    const char *found = c == '\0' ? NULL : strchr(row->digits, c);
    return found == NULL ? -1 : (int) (found - row->digits);
}

static void bits_encode(pg_writer *writer, const base_row *row, pg_bytes in)
{
    uint32_t pending = 0;
    unsigned pending_bits = 0;
    uint32_t mask = (1U << row->bits) - 1;
    for (size_t i = 0; i < in.len; i++) {
        pending = (pending & 0xff) << 8 | in.ptr[i];
        pending_bits += 8;
        while (pending_bits >= row->bits) {
            pending_bits -= row->bits;
            pg_writer_u8(writer, (uint8_t) row->digits[pending >> pending_bits & mask]);
        }
    }
    if (pending_bits != 0) {
        pg_writer_u8(writer, (uint8_t) row->digits[pending << (row->bits - pending_bits) & mask]);
    }
}

static pg_err digit_fail(const base_row *row, size_t at)
{
    return pg_fail(PG_ERR_MALFORMED, "character %zu is not of base '%c'", at + 1, row->letter);
}

static pg_err bits_decode(const base_row *row, pg_str text, pg_writer *out)
{
    uint32_t pending = 0;
    unsigned pending_bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit_value(row, text.ptr[i]);
        if (value < 0) {
            return digit_fail(row, i);
        }
        pending = (pending & 0xff) << row->bits | (uint32_t) value;
        pending_bits += row->bits;
        if (pending_bits >= 8) {
            pending_bits -= 8;
            pg_writer_u8(out, (uint8_t) (pending >> pending_bits));
        }
    }
    // What is left must be fewer bits than a character has, and zero: else there were two spellings of one value.
    if (pending_bits >= row->bits || (pending & ((1U << pending_bits) - 1)) != 0) {
        return pg_fail(PG_ERR_MALFORMED, "text of base '%c' has bits left over", row->letter);
    }
    return PG_OK;
}

// Divides the number, most significant digit first, by `to` again and again; the remainders are its digits in base `to`.
// `number` is used up. Returns how many digits went to `digits`, least significant first.
static size_t radix_convert(pg_mut_bytes number, uint32_t from, uint32_t to, uint8_t *digits)
{
    size_t count = 0;
    size_t start = 0;
    while (start < number.len) {
        uint32_t remainder = 0;
        for (size_t i = start; i < number.len; i++) {
            uint32_t value = remainder * from + number.ptr[i];
            number.ptr[i] = (uint8_t) (value / to);
            remainder = value % to;
        }
        digits[count++] = (uint8_t) remainder;
        while (start < number.len && number.ptr[start] == 0) {
            start++;
        }
    }
    return count;
}

static size_t zeros_count(pg_bytes bytes)
{
    size_t count = 0;
    while (count < bytes.len && bytes.ptr[count] == 0) {
        count++;
    }
    return count;
}

// Leading zero bytes are written as leading '1's; the rest is one big number.
static void base58_encode(pg_writer *writer, pg_bytes in)
{
    uint8_t number[PG_BASE_BYTES_MAX];
    uint8_t digits[BASE58_CHARS_MAX];
    size_t zeros = zeros_count(in);
    size_t len = in.len - zeros;
    if (len != 0) {
        memcpy(number, in.ptr + zeros, len);
    }
    for (size_t i = 0; i < zeros; i++) {
        pg_writer_u8(writer, (uint8_t) ALPHABET_58[0]);
    }
    size_t count = radix_convert(pg_mut_bytes_make(number, len), 256, 58, digits);
    while (count > 0) {
        pg_writer_u8(writer, (uint8_t) ALPHABET_58[digits[--count]]);
    }
}

static pg_err base58_decode(pg_str text, pg_writer *out)
{
    uint8_t number[BASE58_CHARS_MAX];
    uint8_t digits[BASE58_CHARS_MAX];
    if (text.len > sizeof(number)) {
        return pg_fail(PG_ERR_LIMIT, "%zu characters of base58, at most %zu", text.len,
                       sizeof(number));
    }
    for (size_t i = 0; i < text.len; i++) {
        int value = digit_value(&base_rows[PG_BASE_58BTC], text.ptr[i]);
        if (value < 0) {
            return digit_fail(&base_rows[PG_BASE_58BTC], i);
        }
        number[i] = (uint8_t) value;
    }
    size_t zeros = zeros_count(pg_bytes_make(number, text.len));
    for (size_t i = 0; i < zeros; i++) {
        pg_writer_u8(out, 0);
    }
    size_t count =
        radix_convert(pg_mut_bytes_make(number + zeros, text.len - zeros), 58, 256, digits);
    while (count > 0) {
        pg_writer_u8(out, digits[--count]);
    }
    return PG_OK;
}

void pg_writer_base(pg_writer *writer, pg_base base, pg_bytes in)
{
    pg_assert(base < PG_BASE_COUNT);
    if (in.len > PG_BASE_BYTES_MAX) {
        writer->failed = true;
    } else if (base == PG_BASE_58BTC) {
        base58_encode(writer, in);
    } else {
        bits_encode(writer, &base_rows[base], in);
    }
}

pg_err pg_base_decode(pg_base base, pg_str text, pg_mut_bytes space, size_t *out_len)
{
    pg_assert(base < PG_BASE_COUNT);
    pg_writer out =
        pg_writer_make(pg_mut_bytes_make(space.ptr, pg_min_size(space.len, PG_BASE_BYTES_MAX)));
    if (base == PG_BASE_58BTC) {
        PG_TRY(base58_decode(text, &out));
    } else if (text.len > 2 * PG_BASE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%zu characters, at most %d", text.len, 2 * PG_BASE_BYTES_MAX);
    } else {
        PG_TRY(bits_decode(&base_rows[base], text, &out));
    }
    if (out.failed) {
        return pg_fail(PG_ERR_LIMIT, "text holds more than %zu bytes", out.cap);
    }
    *out_len = out.len;
    return PG_OK;
}

void pg_writer_multibase(pg_writer *writer, pg_base base, pg_bytes in)
{
    pg_assert(base < PG_BASE_COUNT);
    pg_writer_u8(writer, (uint8_t) base_rows[base].letter);
    pg_writer_base(writer, base, in);
}

pg_err pg_multibase_decode(pg_str text, pg_mut_bytes space, pg_base *out_base, size_t *out_len)
{
    if (text.len == 0) {
        return pg_fail(PG_ERR_MALFORMED, "text is empty");
    }
    char letter = text.ptr[0];
    for (pg_base base = PG_BASE_16; base < PG_BASE_COUNT; base++) {
        if (letter == base_rows[base].letter ||
            (letter == base_rows[base].letter_upper && letter != '\0')) {
            pg_str rest = pg_str_make_len(text.ptr + 1, text.len - 1);
            PG_TRY(pg_base_decode(base, rest, space, out_len));
            *out_base = base;
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_UNSUPPORTED, "no base is named '%c'", letter);
}
