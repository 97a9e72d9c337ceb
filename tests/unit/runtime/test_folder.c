// SPDX-License-Identifier: Apache-2.0
// Goal: folders by handle do what folder.h says: names stay inside, links are never followed, trees go away whole.
// Method: a temporary folder, trees made by hand, the calls inside a job of a real run.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "in_fiber.h"
#include "runtime/folder.h"
#include "runtime/offload.h"

#define NEW_FILE (PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE | PG_FILE_MODE_EXCLUSIVE)

static char work[64];

static pg_err job_run(void *arg)
{
    pg_err (*body)(pg_folder *) = *(pg_err(**)(pg_folder *)) arg;
    pg_folder *folder = NULL;
    CHECK_OK(pg_folder_open(work, &folder));
    CHECK(strcmp(pg_folder_path(folder), work) == 0);
    pg_err err = body(folder);
    pg_folder_free(&folder);
    CHECK(folder == NULL);
    return err;
}

static pg_err fiber_run(void *arg)
{
    return pg_offload_io(job_run, arg);
}

// Run `body` inside a job with the temporary folder open.
static void in_job(pg_err (*body)(pg_folder *folder))
{
    in_fiber(fiber_run, (void *) &body);
}

static void file_make(pg_folder *folder, const char *name, uint32_t permissions)
{
    pg_file *file = NULL;
    CHECK_OK(pg_folder_open_file(folder, name, NEW_FILE, permissions, &file));
    CHECK_OK(pg_file_write_at(file, 0, PG_BYTES_LIT("content")));
    pg_file_free(&file);
}

static pg_err body_names(pg_folder *folder)
{
    pg_folder *inner = NULL;
    pg_folder_entry entry;
    pg_folder_names names = {0};
    CHECK_OK(pg_folder_make(folder, "b", 0750));
    file_make(folder, "a", 0640);
    file_make(folder, "B", 0400);
    CHECK_ERR(pg_folder_make(folder, "a", 0700), PG_ERR_EXISTS);
    CHECK_ERR(pg_folder_enter(folder, "a", &inner), PG_ERR_INVALID);
    CHECK_ERR(pg_folder_enter(folder, "none", &inner), PG_ERR_NOT_FOUND);
    CHECK(strstr(pg_error_detail(PG_ERR_NOT_FOUND), "/none") != NULL);
    CHECK_OK(pg_folder_enter(folder, "b", &inner));
    file_make(inner, "deep", 0600);
    CHECK_OK(pg_folder_list(folder, &names));
    CHECK(names.count == 3 && strcmp(names.items[0], "B") == 0);
    CHECK(strcmp(names.items[1], "a") == 0 && strcmp(names.items[2], "b") == 0);
    pg_folder_names_deinit(&names);
    CHECK_OK(pg_folder_list(folder, &names)); // once more: the place in the list starts anew
    CHECK(names.count == 3);
    pg_folder_names_deinit(&names);
    CHECK_OK(pg_folder_look(folder, "a", &entry));
    CHECK(entry.type == PG_FILE_TYPE_REGULAR && entry.size_bytes == 7 && entry.links == 1);
    CHECK(entry.permissions == 0640);
    CHECK_OK(pg_folder_look(inner, NULL, &entry));
    CHECK(entry.type == PG_FILE_TYPE_FOLDER && entry.permissions == 0750);
    CHECK_OK(pg_folder_set_permissions(inner, 0500));
    CHECK_OK(pg_folder_look(folder, "b", &entry));
    CHECK(entry.permissions == 0500);
    pg_folder_free(&inner);
    return PG_OK;
}

static void test_folder__names__are_listed_in_byte_order_and_described(void **state)
{
    (void) state;
    in_job(body_names);
}

static pg_err body_rename(pg_folder *folder)
{
    pg_folder_entry entry;
    CHECK_OK(pg_folder_make(folder, "a", 0700));
    CHECK_OK(pg_folder_make(folder, "b", 0700));
    CHECK_ERR(pg_folder_rename(folder, "a", "b"), PG_ERR_EXISTS);
    CHECK_OK(pg_folder_rename(folder, "a", "c"));
    CHECK_ERR(pg_folder_rename(folder, "a", "d"), PG_ERR_NOT_FOUND);
    CHECK_ERR(pg_folder_look(folder, "a", &entry), PG_ERR_NOT_FOUND);
    CHECK_OK(pg_folder_sync_disk(folder));
    return PG_OK;
}

static void test_folder__renamed__nothing_is_replaced(void **state)
{
    (void) state;
    in_job(body_rename);
}

static pg_err body_links(pg_folder *folder)
{
    pg_folder *inner = NULL;
    pg_file *file = NULL;
    pg_folder_entry entry;
    pg_folder_entry other;
    pg_buf text = {0};
    CHECK_OK(pg_folder_make(folder, "inner", 0700));
    CHECK_OK(pg_folder_enter(folder, "inner", &inner));
    file_make(folder, "a", 0600);
    CHECK_OK(pg_folder_make_link(folder, "to-file", "a"));
    CHECK_OK(pg_folder_make_link(folder, "to-folder", "inner"));
    CHECK_OK(pg_folder_make_link(folder, "away", "/nowhere/../at all"));
    CHECK_ERR(pg_folder_enter(folder, "to-folder", &inner), PG_ERR_INVALID);
    CHECK_ERR(pg_folder_open_file(folder, "to-file", PG_FILE_MODE_READ, 0, &file), PG_ERR_INVALID);
    CHECK_ERR(pg_folder_open_file(folder, "to-file", PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE, 0600,
                                  &file),
              PG_ERR_INVALID);
    CHECK_ERR(pg_folder_open_file(folder, "away", NEW_FILE, 0600, &file), PG_ERR_EXISTS);
    CHECK_OK(pg_folder_look(folder, "to-file", &entry));
    CHECK(entry.type == PG_FILE_TYPE_LINK);
    CHECK_OK(pg_folder_read_link(folder, "away", &text));
    CHECK(text.len == 18 && strcmp((const char *) text.ptr, "/nowhere/../at all") == 0);
    CHECK_ERR(pg_folder_read_link(folder, "a", &text), PG_ERR_INVALID);
    CHECK(text.len == 18);
    pg_buf_deinit(&text);
    CHECK_OK(pg_folder_add_name(folder, "a", inner, "hard"));
    CHECK_ERR(pg_folder_add_name(folder, "a", inner, "hard"), PG_ERR_EXISTS);
    CHECK_ERR(pg_folder_add_name(folder, "none", inner, "x"), PG_ERR_NOT_FOUND);
    CHECK_OK(pg_folder_add_name(folder, "to-file", inner, "link too"));
    CHECK_OK(pg_folder_look(folder, "a", &entry));
    CHECK_OK(pg_folder_look(inner, "hard", &other));
    CHECK(entry.links == 2 && entry.inode == other.inode && entry.device == other.device);
    CHECK_OK(pg_folder_look(inner, "link too", &other));
    CHECK(other.type == PG_FILE_TYPE_LINK);
    pg_folder_free(&inner);
    return PG_OK;
}

static void test_folder__links__are_never_followed(void **state)
{
    (void) state;
    in_job(body_links);
}

static pg_err body_times(pg_folder *folder)
{
    pg_folder_entry entry;
    file_make(folder, "a", 0600);
    CHECK_OK(pg_folder_make_link(folder, "link", "a"));
    CHECK_OK(pg_folder_set_modified(folder, "link", 5, 6));
    CHECK_OK(pg_folder_set_modified(folder, "a", 1000000000, 123456789));
    CHECK_OK(pg_folder_set_modified(folder, NULL, -1000, 1));
    CHECK_OK(pg_folder_look(folder, "a", &entry));
    CHECK(entry.modified_s == 1000000000 && entry.modified_ns == 123456789);
    CHECK_OK(pg_folder_look(folder, "link", &entry));
    CHECK(entry.modified_s == 5 && entry.modified_ns == 6);
    CHECK_OK(pg_folder_look(folder, NULL, &entry));
    CHECK(entry.modified_s == -1000 && entry.modified_ns == 1);
    return PG_OK;
}

static void test_folder__times__are_those_of_the_name_itself(void **state)
{
    (void) state;
    in_job(body_times);
}

static pg_err body_pipe(pg_folder *folder)
{
    pg_file *file = NULL;
    pg_folder_entry entry;
    CHECK(mkfifo("pipe", 0600) == 0);
    CHECK_OK(pg_folder_look(folder, "pipe", &entry));
    CHECK(entry.type == PG_FILE_TYPE_OTHER);
    CHECK_OK(pg_folder_open_file(folder, "pipe", PG_FILE_MODE_READ, 0, &file));
    pg_file_free(&file);
    return PG_OK;
}

static void test_folder__pipe_in_the_place_of_a_file__does_not_hang(void **state)
{
    (void) state;
    in_job(body_pipe);
}

// A file outside, to which a link inside points; a folder deeper than there are descriptors; folders nobody may enter.
static pg_err body_remove(pg_folder *folder)
{
    pg_folder_names names = {0};
    pg_folder *inner = NULL;
    pg_folder *next = NULL;
    struct rlimit few = {64, 64};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    file_make(folder, "outside", 0600);
    CHECK_OK(pg_folder_make(folder, "tree", 0700));
    CHECK_OK(pg_folder_enter(folder, "tree", &inner));
    CHECK_OK(pg_folder_make_link(inner, "link", "../outside"));
    CHECK_OK(pg_folder_make_link(inner, "self", "."));
    for (int i = 0; i < 500; i++) {
        file_make(inner, "a", 0400);
        CHECK_OK(pg_folder_make(inner, "one", 0700));
        CHECK_OK(pg_folder_make(inner, "two", 0700));
        CHECK_OK(pg_folder_enter(inner, "one", &next));
        CHECK_OK(pg_folder_set_permissions(inner, i % 2 == 0 ? 0500 : 0));
        pg_folder_free(&inner);
        inner = next;
    }
    pg_folder_free(&inner);
    CHECK_OK(pg_folder_remove(folder, "tree"));
    CHECK_OK(pg_folder_list(folder, &names));
    CHECK(names.count == 1 && strcmp(names.items[0], "outside") == 0);
    pg_folder_names_deinit(&names);
    CHECK_OK(pg_folder_remove(folder, "outside"));
    CHECK_ERR(pg_folder_remove(folder, "outside"), PG_ERR_NOT_FOUND);
    return PG_OK;
}

static void test_folder__tree_removed__nothing_else_is_touched(void **state)
{
    (void) state;
    in_job(body_remove);
}

static pg_err body_no_folder(pg_folder *folder)
{
    pg_folder *other = NULL;
    (void) folder;
    file_make(folder, "a", 0600);
    CHECK_ERR(pg_folder_open("a", &other), PG_ERR_NOT_FOUND);
    CHECK_ERR(pg_folder_open("none", &other), PG_ERR_NOT_FOUND);
    CHECK(other == NULL);
    return PG_OK;
}

static void test_folder__no_folder__is_an_error_with_its_name(void **state)
{
    (void) state;
    in_job(body_no_folder);
}

static int setup(void **state)
{
    (void) state;
    (void) snprintf(work, sizeof(work), "/tmp/pangea-folder-XXXXXX");
    (void) umask(022);
    return mkdtemp(work) == NULL || chdir(work) != 0 ? -1 : 0;
}

static pg_err job_clear(void *arg)
{
    pg_folder *parent = NULL;
    (void) arg;
    CHECK_OK(pg_folder_open("/tmp", &parent));
    CHECK_OK(pg_folder_remove(parent, work + strlen("/tmp/")));
    pg_folder_free(&parent);
    return PG_OK;
}

static pg_err fiber_clear(void *arg)
{
    return pg_offload_io(job_clear, arg);
}

static int teardown(void **state)
{
    (void) state;
    in_fiber(fiber_clear, NULL);
    return access(work, F_OK) == 0 ? -1 : 0;
}

// Root may do everything: as somebody else the permissions count.
static void be_nobody(void)
{
    if (getuid() == 0 &&
        (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)) {
        abort();
    }
    (void) prctl(PR_SET_DUMPABLE, 1); // else /proc/self is root's
}

int main(void)
{
    be_nobody();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folder__names__are_listed_in_byte_order_and_described,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder__renamed__nothing_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder__links__are_never_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder__times__are_those_of_the_name_itself, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_folder__pipe_in_the_place_of_a_file__does_not_hang,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder__tree_removed__nothing_else_is_touched, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_folder__no_folder__is_an_error_with_its_name, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
