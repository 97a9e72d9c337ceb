// SPDX-License-Identifier: Apache-2.0
// Goal: a QR code has its marks in three corners, is as large as its text asks for, and is drawn as it is, with a margin.
// Method: codes of known sizes; what was drawn is read back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/qr.h"

// The square mark with its corner at a place: a dark ring, a light one, a dark core of 3.
static void assert_mark(const pg_qr *qr, long top, long left)
{
    for (long row = 0; row < 7; row++) {
        for (long column = 0; column < 7; column++) {
            long from_middle = labs(row - 3) > labs(column - 3) ? labs(row - 3) : labs(column - 3);
            assert_int_equal(pg_qr_is_dark(qr, top + row, left + column), from_middle != 2);
        }
    }
}

static void test_qr__text__has_its_marks_and_size(void **state)
{
    (void) state;
    // characters of the alphanumeric kind, letters of either case, that fit into version 1, 2 and 4
    const char *const texts[] = {
        "pangea-invite:BAEAAAA", "pangea-invite:baeaaaaaaaaaaaaaaaaaaaaaaa",
        "pangea-invite:"
        "baeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaa"};
    const size_t sides[] = {21, 25, 33};
    for (size_t i = 0; i < PG_ARRAY_LEN(texts); i++) {
        pg_qr qr;
        assert_int_equal(pg_qr_make(pg_str_make(texts[i]), &qr), PG_OK);
        assert_int_equal(qr.side, sides[i]);
        long far = (long) qr.side - 7;
        assert_mark(&qr, 0, 0);
        assert_mark(&qr, 0, far);
        assert_mark(&qr, far, 0);
        pg_qr_deinit(&qr);
        assert_null(qr.modules);
    }
}

// The half blocks of a line, upper and lower, as bits; returns what follows them.
static const char *cell_read(const char *at, unsigned *out_bits)
{
    static const char *const blocks[] = {" ", "\u2584", "\u2580", "\u2588"};
    for (unsigned i = 0; i < 4; i++) {
        if (strncmp(at, blocks[i], strlen(blocks[i])) == 0) {
            *out_bits = i;
            return at + strlen(blocks[i]);
        }
    }
    fail_msg("no half block: %.4s", at);
    return at;
}

static void assert_drawn(const pg_qr *qr, const char *at, bool has_colours)
{
    for (long row = -4; row < (long) qr->side + 4; row += 2) {
        at += has_colours ? strlen("\x1b[30;107m") : 0;
        for (long column = -4; column < (long) qr->side + 4; column++) {
            unsigned bits = 0;
            at = cell_read(at, &bits);
            assert_int_equal((bits & 2U) != 0, pg_qr_is_dark(qr, row, column) == has_colours);
            assert_int_equal((bits & 1U) != 0, pg_qr_is_dark(qr, row + 1, column) == has_colours);
        }
        at += has_colours ? strlen("\x1b[0m") : 0;
        assert_int_equal(*at, '\n');
        at++;
    }
    assert_int_equal(*at, '\0');
}

static void test_qr__drawn__is_the_code_with_a_margin(void **state)
{
    (void) state;
    pg_qr qr;
    assert_int_equal(pg_qr_make(PG_STR("pangea-invite:BAEAAAA"), &qr), PG_OK);
    for (int has_colours = 0; has_colours < 2; has_colours++) {
        pg_buf out = {0};
        assert_int_equal(pg_qr_draw(&qr, has_colours == 1, &out), PG_OK);
        assert_drawn(&qr, (const char *) out.ptr, has_colours == 1);
        pg_buf_deinit(&out);
    }
    pg_buf tight = {.max_len = 10};
    assert_int_equal(pg_qr_draw(&qr, false, &tight), PG_ERR_LIMIT);
    pg_buf_deinit(&tight);
    pg_qr_deinit(&qr);
    pg_qr_deinit(&qr);
}

static void test_qr__too_long__is_refused(void **state)
{
    (void) state;
    static char text[8000];
    pg_qr qr = {NULL, 0};
    memset(text, 'a', sizeof(text) - 1);
    assert_int_equal(pg_qr_make(pg_str_make(text), &qr), PG_ERR_LIMIT);
    assert_null(qr.modules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qr__text__has_its_marks_and_size),
        cmocka_unit_test(test_qr__drawn__is_the_code_with_a_margin),
        cmocka_unit_test(test_qr__too_long__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
