// SPDX-License-Identifier: Apache-2.0
// Goal: the log takes no more than its files, no line is cut or lost, and what cannot be written is told.
// Method: a folder of the test's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "cli/log_file.h"

static char folder[64];
static char path[128];

static int folder_make(void **state)
{
    (void) state;
    (void) snprintf(folder, sizeof(folder), "/tmp/pangea-log-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void) snprintf(path, sizeof(path), "%s/pangea.log", folder);
    return 0;
}

static const char *name_of(unsigned number)
{
    static char name[160];
    (void) snprintf(name, sizeof(name), number == 0 ? "%s" : "%s.%u", path, number);
    return name;
}

static int folder_remove(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 10; i++) {
        (void) remove(name_of(i));
    }
    return rmdir(folder);
}

static void assert_content(unsigned number, const char *wanted)
{
    char content[256] = "";
    FILE *file = fopen(name_of(number), "r");
    if (wanted == NULL) {
        assert_null(file);
        return;
    }
    assert_non_null(file);
    size_t len = fread(content, 1, sizeof(content) - 1, file);
    (void) fclose(file);
    content[len] = '\0';
    assert_string_equal(content, wanted);
}

static bool line_write(pg_log_file *file, const char *line)
{
    return pg_log_file_write(file, pg_bytes_cstr(line));
}

static void test_log_file__full__the_next_is_begun(void **state)
{
    (void) state;
    pg_log_file file;
    struct stat info;
    assert_int_equal(pg_log_file_open(path, 10, 3, &file), PG_OK);
    for (int i = 1; i <= 9; i++) {
        char line[8];
        (void) snprintf(line, sizeof(line), "no %d\n", i);
        assert_true(line_write(&file, line));
    }
    assert_content(0, "no 9\n");
    assert_content(1, "no 7\nno 8\n");
    assert_content(2, "no 5\nno 6\n");
    assert_content(3, NULL);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_true(line_write(&file, "a line that is longer than a file\n"));
    assert_true(line_write(&file, "next\n"));
    assert_content(1, "a line that is longer than a file\n");
    pg_log_file_close(&file);
    pg_log_file_close(&file);
}

static void test_log_file__opened_again__goes_on_and_removes_surplus(void **state)
{
    (void) state;
    pg_log_file file;
    assert_int_equal(pg_log_file_open(path, 6, 4, &file), PG_OK);
    for (int i = 0; i < 5; i++) {
        assert_true(line_write(&file, "line\n"));
    }
    pg_log_file_close(&file);
    assert_content(3, "line\n");
    assert_int_equal(pg_log_file_open(path, 10, 2, &file), PG_OK);
    assert_content(2, NULL);
    assert_content(3, NULL);
    assert_true(line_write(&file, "more\n"));
    assert_content(0, "line\nmore\n");
    pg_log_file_close(&file);
}

static void test_log_file__only_one__begins_anew(void **state)
{
    (void) state;
    pg_log_file file;
    assert_int_equal(pg_log_file_open(path, 6, 1, &file), PG_OK);
    assert_true(line_write(&file, "one\n"));
    assert_true(line_write(&file, "two\n"));
    assert_content(0, "two\n");
    assert_content(1, NULL);
    pg_log_file_close(&file);
}

static void test_log_file__removed_by_somebody__is_made_again(void **state)
{
    (void) state;
    pg_log_file file;
    assert_int_equal(pg_log_file_open(path, 6, 3, &file), PG_OK);
    assert_true(line_write(&file, "one\n"));
    assert_int_equal(unlink(path), 0);
    assert_true(line_write(&file, "two\n"));
    assert_content(0, "two\n");
    pg_log_file_close(&file);
}

static void test_log_file__turn_impossible__is_told_and_writes_nothing(void **state)
{
    (void) state;
    pg_log_file file;
    assert_int_equal(pg_log_file_open(path, 6, 2, &file), PG_OK);
    assert_true(line_write(&file, "one\n"));
    assert_int_equal(mkdir(name_of(1), 0700), 0); // a folder where a file goes
    assert_false(line_write(&file, "two\n"));
    assert_content(0, "one\n");
    assert_int_equal(rmdir(name_of(1)), 0);
    assert_true(line_write(&file, "two\n"));
    assert_content(1, "one\n");
    pg_log_file_close(&file);
}

static void test_log_file__no_place_for_it__says_which(void **state)
{
    (void) state;
    pg_log_file file;
    assert_int_equal(pg_log_file_open(folder, 10, 2, &file), PG_ERR_INVALID);
    assert_non_null(strstr(pg_error_detail(PG_ERR_INVALID), folder));
    assert_int_equal(pg_log_file_open("/no/such/folder/x", 10, 2, &file), PG_ERR_NOT_FOUND);
    assert_int_equal(pg_log_file_open("/dev/null", 10, 2, &file), PG_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log_file__full__the_next_is_begun, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(test_log_file__opened_again__goes_on_and_removes_surplus,
                                        folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_log_file__only_one__begins_anew, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(test_log_file__removed_by_somebody__is_made_again,
                                        folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_log_file__turn_impossible__is_told_and_writes_nothing,
                                        folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_log_file__no_place_for_it__says_which, folder_make,
                                        folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
