// SPDX-License-Identifier: Apache-2.0
// Goal: a folder packed and unpacked is the same folder; an archive made to do harm ends with an error, and nothing of it is left.
// Method: trees in a temporary folder, compared name by name; hostile archives are written entry by entry with libarchive, which does
// not care. Inside a job of a real run.
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "../runtime/in_fiber.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/archive.h"
#include "files/limits.h"
#include "runtime/folder.h"
#include "runtime/offload.h"

static char work[64];

typedef struct job {
    void (*body)(void *arg);
    void *arg;
} job;

static pg_err job_run(void *arg)
{
    const job *self = arg;
    self->body(self->arg);
    return PG_OK;
}

static pg_err fiber_run(void *arg)
{
    return pg_offload_io(job_run, arg);
}

static void in_job(void (*body)(void *arg), void *arg)
{
    job self = {body, arg};
    in_fiber(fiber_run, &self);
}

// ---- Making and comparing trees, relative to the temporary folder, which is the working directory

static void file_make(const char *path, const char *content, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t) strlen(content));
    CHECK(fchmod(fd, mode) == 0);
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1234567890, .tv_nsec = 987654321}};
    CHECK(futimens(fd, times) == 0 && close(fd) == 0);
}

static bool file_is(const char *path, const char *content)
{
    char text[256] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    (void) close(fd);
    return len >= 0 && strcmp(text, content) == 0;
}

static pg_err tree_remove(const char *name)
{
    pg_folder *folder = NULL;
    CHECK_OK(pg_folder_open(".", &folder));
    pg_err err = pg_folder_remove(folder, name);
    pg_folder_free(&folder);
    return err;
}

static size_t names_here(void)
{
    pg_folder *folder = NULL;
    pg_folder_names names = {0};
    CHECK_OK(pg_folder_open(".", &folder));
    CHECK_OK(pg_folder_list(folder, &names));
    size_t count = names.count;
    pg_folder_names_deinit(&names);
    pg_folder_free(&folder);
    return count;
}

static void content_compare(const pg_folder *a, const pg_folder *b, const char *name)
{
    static uint8_t bytes[2][65536];
    pg_file *files[2] = {NULL, NULL};
    CHECK_OK(pg_folder_open_file(a, name, PG_FILE_MODE_READ, 0, &files[0]));
    CHECK_OK(pg_folder_open_file(b, name, PG_FILE_MODE_READ, 0, &files[1]));
    for (uint64_t offset = 0;; offset += sizeof(bytes[0])) {
        size_t lens[2] = {0, 0};
        for (unsigned i = 0; i < 2; i++) {
            CHECK_OK(pg_file_read_at(files[i], offset, PG_MUT_BYTES_OF(bytes[i]), &lens[i]));
        }
        CHECK(lens[0] == lens[1] && memcmp(bytes[0], bytes[1], lens[0]) == 0);
        if (lens[0] < sizeof(bytes[0])) {
            break;
        }
    }
    pg_file_free(&files[0]);
    pg_file_free(&files[1]);
}

static void entry_compare(const pg_folder *a, const pg_folder *b, const char *name)
{
    pg_folder_entry of_a;
    pg_folder_entry of_b;
    CHECK_OK(pg_folder_look(a, name, &of_a));
    CHECK_OK(pg_folder_look(b, name, &of_b));
    CHECK(of_a.type == of_b.type && of_a.permissions == of_b.permissions);
    CHECK(of_a.modified_s == of_b.modified_s && of_a.modified_ns == of_b.modified_ns);
    CHECK(of_a.type == PG_FILE_TYPE_FOLDER || of_a.links == of_b.links);
    if (of_a.type == PG_FILE_TYPE_REGULAR) {
        CHECK(of_a.size_bytes == of_b.size_bytes);
        content_compare(a, b, name);
    } else if (of_a.type == PG_FILE_TYPE_LINK) {
        pg_buf says[2] = {{0}, {0}};
        CHECK_OK(pg_folder_read_link(a, name, &says[0]));
        CHECK_OK(pg_folder_read_link(b, name, &says[1]));
        CHECK(pg_bytes_equal(pg_buf_bytes(&says[0]), pg_buf_bytes(&says[1])));
        pg_buf_deinit(&says[0]);
        pg_buf_deinit(&says[1]);
    }
}

#define COMPARED_MAX 4096 // folders

// All of two trees is the same, but what no archive holds.
static size_t trees_compare(const char *a, const char *b)
{
    static pg_folder *queue[COMPARED_MAX][2];
    size_t count = 1;
    size_t entries = 0;
    CHECK_OK(pg_folder_open(a, &queue[0][0]));
    CHECK_OK(pg_folder_open(b, &queue[0][1]));
    for (size_t i = 0; i < count; i++) {
        pg_folder_names names[2] = {{0}, {0}};
        CHECK_OK(pg_folder_list(queue[i][0], &names[0]));
        CHECK_OK(pg_folder_list(queue[i][1], &names[1]));
        CHECK(names[0].count == names[1].count);
        entry_compare(queue[i][0], queue[i][1], NULL);
        for (size_t k = 0; k < names[0].count; k++) {
            const char *name = names[0].items[k];
            pg_folder_entry entry;
            CHECK(strcmp(name, names[1].items[k]) == 0);
            entry_compare(queue[i][0], queue[i][1], name);
            CHECK_OK(pg_folder_look(queue[i][0], name, &entry));
            if (entry.type == PG_FILE_TYPE_FOLDER && access(a, R_OK) == 0) {
                CHECK(count < COMPARED_MAX);
                CHECK_OK(pg_folder_enter(queue[i][0], name, &queue[count][0]));
                CHECK_OK(pg_folder_enter(queue[i][1], name, &queue[count][1]));
                count++;
            }
        }
        entries += names[0].count;
        pg_folder_names_deinit(&names[0]);
        pg_folder_names_deinit(&names[1]);
        pg_folder_free(&queue[i][0]);
        pg_folder_free(&queue[i][1]);
    }
    return entries;
}

// ---- Packing and unpacking in memory

/** A stream in memory, given out in pieces. */
typedef struct memory {
    pg_buf bytes;
    size_t offset;
    size_t piece;       // at most so many at once
    size_t fail_at;     // 0 = never
    pg_archive_sum sum; // of the last call
    char skipped[256];
} memory;

static void on_skipped(const char *path, const char *what, void *user)
{
    memory *self = user;
    (void) snprintf(self->skipped + strlen(self->skipped),
                    sizeof(self->skipped) - strlen(self->skipped), "[%s: %s]", path, what);
}

static pg_err stream_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    memory *self = user;
    size_t len = pg_min_size(pg_min_size(space.len, self->piece), self->bytes.len - self->offset);
    if (self->fail_at != 0 && self->offset + len >= self->fail_at) {
        return pg_fail(PG_ERR_RESET, "the stream failed");
    }
    if (len > 0) {
        memcpy(space.ptr, self->bytes.ptr + self->offset, len);
        self->offset += len;
    }
    *out_len = len;
    return PG_OK;
}

static pg_err pack(const char *path, size_t piece, memory *out)
{
    pg_packer *packer = NULL;
    const pg_archive_notes notes = {on_skipped, out};
    size_t len = piece;
    *out = (memory){.piece = piece};
    PG_TRY(pg_packer_new(path, &notes, &packer));
    pg_err err = PG_OK;
    while (err == PG_OK && len == piece) {
        uint8_t *space = NULL;
        CHECK_OK(pg_buf_extend(&out->bytes, piece, &space));
        len = 0;
        err = pg_packer_read(pg_mut_bytes_make(space, piece), &len, packer);
        out->bytes.len -= piece - len;
    }
    out->sum = pg_packer_sum(packer);
    pg_packer_free(&packer);
    return err;
}

static pg_err unpack(memory *from, const char *target, bool replace)
{
    const pg_unpack_options options = {
        .target = target,
        .replace = replace,
        .entries_max = 1000,
        .notes = {on_skipped, from},
    };
    from->offset = 0;
    from->skipped[0] = '\0';
    return pg_archive_unpack(&options, stream_read, from, &from->sum);
}

// ---- Trees that come back

static void odd_tree_make(const char *name)
{
    char path[PATH_MAX];
    char part[256];
    CHECK(mkdir(name, 0700) == 0 && chdir(name) == 0);
    file_make("empty", "", 0644);
    file_make("-f", "dash", 0600);
    file_make("sp ace\nand line", "odd", 0400);
    file_make("caf\xc3\xa9", "composed", 0644);
    file_make("cafe\xcc\x81", "decomposed", 0644);
    file_make("not\xff utf8\xfe", "bytes", 0755);
    CHECK(mkdir("read only", 0755) == 0 && mkdir("empty folder", 0711) == 0);
    file_make("read only/a", "in there", 0444);
    CHECK(symlink("caf\xc3\xa9", "link") == 0 && symlink("/nowhere", "away") == 0);
    CHECK(symlink("../../..", "up\xc3\xa9") == 0);
    file_make("first", "has three names", 0640);
    CHECK(link("first", "second") == 0 && link("first", "read only/third") == 0);
    CHECK(mkfifo("pipe", 0600) == 0);
    memset(part, 'x', sizeof(part) - 1);
    part[255] = '\0';
    CHECK(mkdir(part, 0755) == 0);
    (void) snprintf(path, sizeof(path), "%s/%s", part, part);
    CHECK(mkdir(path, 0700) == 0);
    (void) snprintf(path, sizeof(path), "%s/%s/%s", part, part, part);
    file_make(path, "a path of 767 bytes", 0644);
    CHECK(chmod("read only", 0555) == 0 && chmod(".", 0750) == 0 && chdir("..") == 0);
}

static void body_odd_tree(void *arg)
{
    memory stream;
    (void) arg;
    odd_tree_make("tree");
    CHECK_OK(pack("tree", 1000, &stream));
    CHECK(stream.sum.entries == 19 && stream.sum.skipped == 1);
    CHECK(strcmp(stream.skipped, "[pipe: a device, pipe or socket]") == 0);
    CHECK_OK(unpack(&stream, "back/", false));
    CHECK(stream.sum.entries == 19 && stream.sum.skipped == 0);
    CHECK(unlink("tree/pipe") == 0);
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 77, .tv_nsec = 88}};
    CHECK(utimensat(AT_FDCWD, "tree", times, 0) == 0);
    CHECK(utimensat(AT_FDCWD, "back", times, 0) == 0);
    CHECK(trees_compare("tree", "back") == 18);
    CHECK(file_is("back/read only/third", "has three names"));
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("tree"));
    CHECK_OK(tree_remove("back"));
}

static void test_archive__odd_tree__comes_back(void **state)
{
    (void) state;
    in_job(body_odd_tree, NULL);
}

static void body_deterministic(void *arg)
{
    memory streams[2];
    (void) arg;
    CHECK(mkdir("a", 0755) == 0 && mkdir("b", 0755) == 0);
    const char *const names[] = {"z", "B", "a", "a-", "a b", "0"};
    for (size_t i = 0; i < PG_ARRAY_LEN(names); i++) { // made in another order
        char path[2][64];
        (void) snprintf(path[0], sizeof(path[0]), "a/%s", names[i]);
        (void) snprintf(path[1], sizeof(path[1]), "b/%s", names[PG_ARRAY_LEN(names) - 1 - i]);
        file_make(path[0], "same", 0644);
        file_make(path[1], "same", 0644);
    }
    const struct timespec times[2] = {{0}, {0}};
    CHECK(utimensat(AT_FDCWD, "a", times, 0) == 0 && utimensat(AT_FDCWD, "b", times, 0) == 0);
    CHECK_OK(pack("a", 1 << 20, &streams[0]));
    CHECK_OK(pack("b", 17, &streams[1]));
    CHECK(pg_bytes_equal(pg_buf_bytes(&streams[0].bytes), pg_buf_bytes(&streams[1].bytes)));
    pg_buf_deinit(&streams[0].bytes);
    pg_buf_deinit(&streams[1].bytes);
    CHECK_OK(tree_remove("a"));
    CHECK_OK(tree_remove("b"));
}

static void test_archive__same_content__same_bytes(void **state)
{
    (void) state;
    in_job(body_deterministic, NULL);
}

static void body_empty(void *arg)
{
    memory stream;
    pg_archive_sum sum;
    uint64_t stream_bytes = 0;
    (void) arg;
    CHECK(mkdir("tree", 0700) == 0);
    CHECK_OK(pg_archive_measure("tree", &sum, &stream_bytes));
    CHECK(sum.entries == 1 && sum.bytes == 0);
    CHECK_OK(pack("tree", 4096, &stream));
    CHECK_OK(unpack(&stream, "back", false));
    CHECK(trees_compare("tree", "back") == 0);
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("tree"));
    CHECK_OK(tree_remove("back"));
}

static void test_archive__empty_folder__comes_back(void **state)
{
    (void) state;
    in_job(body_empty, NULL);
}

static void sparse_make(const char *path, off_t size, off_t step)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, size) == 0);
    for (off_t at = step; step > 0 && at < size; at += step) {
        CHECK(pwrite(fd, "data", 4, at) == 4);
    }
    CHECK(close(fd) == 0);
}

static void body_sparse(void *arg)
{
    memory stream;
    struct stat info;
    (void) arg;
    CHECK(mkdir("tree", 0700) == 0);
    sparse_make("tree/one hole", 50 << 20, 0);
    sparse_make("tree/holes", (50 << 20) + 5, 5 << 20);
    sparse_make("tree/many", 20 << 20, 12288); // more ranges than are told apart
    CHECK_OK(pack("tree", 65536, &stream));
    CHECK(stream.bytes.len < 22 << 20);
    CHECK_OK(unpack(&stream, "back", false));
    CHECK(trees_compare("tree", "back") == 3);
    CHECK(stat("back/one hole", &info) == 0 && info.st_blocks < 100);
    CHECK(stat("back/holes", &info) == 0 && info.st_blocks < 1000);
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("tree"));
    CHECK_OK(tree_remove("back"));
}

static void test_archive__sparse_files__stay_sparse(void **state)
{
    (void) state;
    in_job(body_sparse, NULL);
}

static void body_measure(void *arg)
{
    memory stream;
    pg_archive_sum sum;
    uint64_t stream_bytes = 0;
    (void) arg;
    odd_tree_make("tree");
    CHECK_OK(pack("tree", 100, &stream));
    CHECK_OK(pg_archive_measure("tree", &sum, &stream_bytes));
    CHECK(sum.entries == stream.sum.entries && sum.skipped == stream.sum.skipped);
    CHECK(stream_bytes > stream.bytes.len / 2 && stream_bytes < stream.bytes.len * 2);
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("tree"));
}

static void test_archive__measured__is_about_what_is_packed(void **state)
{
    (void) state;
    in_job(body_measure, NULL);
}

// ---- Trouble while packing

static void deep_make(unsigned depth)
{
    CHECK(mkdir("tree", 0700) == 0 && chdir("tree") == 0);
    for (unsigned i = 1; i < depth; i++) {
        CHECK(mkdir("d", 0700) == 0 && chdir("d") == 0);
    }
    CHECK(chdir(work) == 0);
}

static void body_deep(void *arg)
{
    memory stream;
    (void) arg;
    deep_make(PG_ARCHIVE_DEPTH_MAX);
    CHECK_OK(pack("tree", 4096, &stream));
    CHECK_OK(unpack(&stream, "back", false));
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("tree"));
    CHECK_OK(tree_remove("back"));
    deep_make(PG_ARCHIVE_DEPTH_MAX + 1);
    CHECK_ERR(pack("tree", 4096, &stream), PG_ERR_LIMIT);
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("tree"));
}

static void test_archive__too_deep__is_refused(void **state)
{
    (void) state;
    in_job(body_deep, NULL);
}

typedef struct change {
    const char *title;
    void (*make)(void);
} change;

static void grow(void)
{
    CHECK(truncate("tree/b", 2 << 20) == 0);
}

static void shrink(void)
{
    CHECK(truncate("tree/b", 1000) == 0);
}

static void rewrite(void)
{
    int fd = open("tree/b", O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, "x", 1, 0) == 1 && close(fd) == 0);
}

static void remove_later(void)
{
    CHECK(unlink("tree/c") == 0);
}

static void body_changes(void *arg)
{
    static const change changes[] = {
        {"b", grow}, {"b", shrink}, {"b", rewrite}, {"c", remove_later}};
    (void) arg;
    for (size_t i = 0; i < PG_ARRAY_LEN(changes); i++) {
        const pg_archive_notes nobody = {0};
        pg_packer *packer = NULL;
        uint8_t space[4096];
        size_t len = 0;
        char name[16];
        CHECK(mkdir("tree", 0700) == 0);
        char *content = pg_malloc((1 << 20) + 1); // not read through in one step
        CHECK(content != NULL);
        memset(content, 'x', 1 << 20);
        content[1 << 20] = '\0';
        file_make("tree/b", content, 0600);
        file_make("tree/c", "", 0600);
        pg_mfree(content);
        CHECK_OK(pg_packer_new("tree", &nobody, &packer));
        do {
            CHECK_OK(pg_packer_read(PG_MUT_BYTES_OF(space), &len, packer));
        } while (pg_packer_sum(packer).bytes == 0);
        changes[i].make();
        pg_err err = PG_OK;
        for (len = sizeof(space); err == PG_OK && len == sizeof(space);) {
            err = pg_packer_read(PG_MUT_BYTES_OF(space), &len, packer);
        }
        CHECK(err == PG_ERR_CHANGED);
        (void) snprintf(name, sizeof(name), "tree/%s", changes[i].title);
        CHECK(strstr(pg_error_detail(err), name) != NULL);
        pg_packer_free(&packer);
        CHECK_OK(tree_remove("tree"));
    }
}

static void test_archive__file_changes_while_read__is_named(void **state)
{
    (void) state;
    in_job(body_changes, NULL);
}

static void body_unreadable(void *arg)
{
    memory stream;
    (void) arg;
    CHECK(mkdir("tree", 0700) == 0);
    file_make("tree/secret", "x", 0);
    CHECK_ERR(pack("tree", 4096, &stream), PG_ERR_ACCESS);
    CHECK(strstr(pg_error_detail(PG_ERR_ACCESS), "tree/secret") != NULL);
    pg_buf_deinit(&stream.bytes);
    CHECK_ERR(pack("none", 4096, &stream), PG_ERR_NOT_FOUND);
    CHECK_ERR(pack("tree/secret", 4096, &stream), PG_ERR_NOT_FOUND);
    CHECK_OK(tree_remove("tree"));
}

static void test_archive__unreadable_file__is_named(void **state)
{
    (void) state;
    in_job(body_unreadable, NULL);
}

// ---- The target

static void body_target(void *arg)
{
    memory stream;
    (void) arg;
    CHECK(mkdir("tree", 0700) == 0);
    file_make("tree/a", "new", 0600);
    CHECK_OK(pack("tree", 4096, &stream));
    CHECK(mkdir("old", 0500) == 0);
    CHECK_ERR(unpack(&stream, "old", false), PG_ERR_EXISTS);
    CHECK_OK(unpack(&stream, "old", true));
    CHECK(file_is("old/a", "new") && names_here() == 2);
    CHECK_OK(tree_remove("old"));
    file_make("old", "a file", 0600);
    CHECK_OK(unpack(&stream, "old", true));
    CHECK(file_is("old/a", "new") && names_here() == 2);
    CHECK_OK(tree_remove("old"));
    CHECK(symlink("tree", "old") == 0); // the link is replaced, not what it points to
    CHECK_ERR(unpack(&stream, "old", false), PG_ERR_EXISTS);
    CHECK_OK(unpack(&stream, "old/", true));
    CHECK(access("tree/a", F_OK) == 0 && names_here() == 2);
    stream.fail_at = stream.bytes.len - 1100; // in the content of the file
    CHECK_ERR(unpack(&stream, "old", true), PG_ERR_RESET);
    stream.fail_at = stream.bytes.len - 1; // behind the last entry
    CHECK_ERR(unpack(&stream, "old", true), PG_ERR_RESET);
    CHECK(file_is("old/a", "new") && names_here() == 2);
    CHECK_ERR(unpack(&stream, "none/x", true), PG_ERR_NOT_FOUND);
    CHECK_ERR(unpack(&stream, ".", true), PG_ERR_INVALID);
    CHECK_ERR(unpack(&stream, "tree/..", true), PG_ERR_INVALID);
    CHECK_ERR(unpack(&stream, "/", true), PG_ERR_INVALID);
    CHECK_ERR(unpack(&stream, "", true), PG_ERR_INVALID);
    CHECK(names_here() == 2);
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("old"));
    CHECK_OK(tree_remove("tree"));
}

static void test_archive__target__is_replaced_only_when_told_to(void **state)
{
    (void) state;
    in_job(body_target, NULL);
}

// ---- Hostile archives

/** One entry of an archive that is written by hand. */
typedef struct row {
    const char *path; // NULL ends the list
    mode_t type;      // AE_IF..
    const char *link; // of a symbolic link, or another name
    bool is_hard;
    const char *content;
    mode_t mode;
} row;

static la_ssize_t on_hostile_write(struct archive *archive, void *user, const void *bytes,
                                   size_t len)
{
    (void) archive;
    CHECK_OK(pg_buf_append(user, pg_bytes_make(bytes, len)));
    return (la_ssize_t) len;
}

static void hostile_make(const row *rows, memory *out)
{
    *out = (memory){.piece = 777};
    struct archive *archive = archive_write_new();
    CHECK(archive_write_set_format_pax(archive) == ARCHIVE_OK);
    CHECK(archive_write_set_bytes_per_block(archive, 0) == ARCHIVE_OK);
    CHECK(archive_write_open(archive, &out->bytes, NULL, on_hostile_write, NULL) == ARCHIVE_OK);
    for (; rows->path != NULL; rows++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_copy_pathname(entry, rows->path);
        archive_entry_set_filetype(entry, rows->type);
        archive_entry_set_perm(entry, rows->mode == 0 ? 0755 : rows->mode);
        archive_entry_set_size(entry,
                               rows->content == NULL ? 0 : (la_int64_t) strlen(rows->content));
        if (rows->is_hard) {
            archive_entry_copy_hardlink(entry, rows->link);
        } else if (rows->link != NULL) {
            archive_entry_copy_symlink(entry, rows->link);
        }
        CHECK(archive_write_header(archive, entry) >= ARCHIVE_WARN);
        if (rows->content != NULL) {
            (void) archive_write_data(archive, rows->content, strlen(rows->content));
        }
        archive_entry_free(entry);
    }
    CHECK(archive_write_close(archive) == ARCHIVE_OK);
    CHECK(archive_write_free(archive) == ARCHIVE_OK);
}

/** A hostile archive and how it has to end. */
typedef struct hostile {
    pg_err want;
    const char *word; // in the detail
    row rows[4];
} hostile;

#define X255                                                                                       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xxxx"                                                                                         \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xxxx"                                                                                         \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const hostile hostiles[] = {
    {PG_ERR_MALFORMED, "..", {{"../x", AE_IFREG, NULL, false, "bad", 0}}},
    {PG_ERR_MALFORMED, "..", {{"a/../../x", AE_IFREG, NULL, false, "bad", 0}}},
    {PG_ERR_MALFORMED, "..", {{"..", AE_IFDIR, NULL, false, NULL, 0}}},
    {PG_ERR_MALFORMED, "..", {{"a/..", AE_IFLNK, "b", false, NULL, 0}}},
    {PG_ERR_MALFORMED, "absolute", {{"/tmp/pangea-hostile", AE_IFREG, NULL, false, "bad", 0}}},
    {PG_ERR_MALFORMED,
     "through a",
     {{"a", AE_IFLNK, "/tmp", false, NULL, 0},
      {"a/pangea-hostile", AE_IFREG, NULL, false, "bad", 0}}},
    {PG_ERR_MALFORMED,
     "through a",
     {{"a", AE_IFLNK, "..", false, NULL, 0}, {"a/x/y", AE_IFREG, NULL, false, "bad", 0}}},
    {PG_ERR_MALFORMED,
     "a twice",
     {{"a", AE_IFLNK, "../outside", false, NULL, 0}, {"a", AE_IFREG, NULL, false, "bad", 0}}},
    {PG_ERR_MALFORMED,
     "through a",
     {{"a", AE_IFLNK, "..", false, NULL, 0}, {"a", AE_IFDIR, NULL, false, NULL, 0777}}},
    {PG_ERR_MALFORMED,
     "a twice",
     {{"a", AE_IFREG, NULL, false, "one", 0}, {"a", AE_IFREG, NULL, false, "two", 0}}},
    {PG_ERR_MALFORMED,
     "a twice",
     {{"a", AE_IFDIR, NULL, false, NULL, 0}, {"a", AE_IFREG, NULL, false, "two", 0}}},
    {PG_ERR_MALFORMED,
     "through a",
     {{"a", AE_IFREG, NULL, false, "one", 0}, {"a/b", AE_IFREG, NULL, false, "two", 0}}},
    {PG_ERR_MALFORMED, "..", {{"a", AE_IFREG, "../outside", true, NULL, 0}}},
    {PG_ERR_MALFORMED, "absolute", {{"a", AE_IFREG, "/etc/passwd", true, NULL, 0}}},
    {PG_ERR_MALFORMED, "no file", {{"a", AE_IFREG, "none", true, NULL, 0}}},
    {PG_ERR_MALFORMED, "no file", {{"a", AE_IFREG, "a", true, NULL, 0}}},
    {PG_ERR_MALFORMED, "no file", {{"a", AE_IFREG, ".", true, NULL, 0}}},
    {PG_ERR_MALFORMED,
     "no file",
     {{"l", AE_IFLNK, "..", false, NULL, 0}, {"a", AE_IFREG, "l/outside", true, NULL, 0}}},
    {PG_ERR_MALFORMED,
     "no file",
     {{"d", AE_IFDIR, NULL, false, NULL, 0}, {"a", AE_IFREG, "d", true, NULL, 0}}},
    {PG_ERR_MALFORMED, "place of its folder", {{".", AE_IFREG, NULL, false, "bad", 0}}},
    {PG_ERR_MALFORMED, "place of its folder", {{"./", AE_IFLNK, "/", false, NULL, 0}}},
    {PG_ERR_LIMIT, "256 bytes", {{X255 "x", AE_IFREG, NULL, false, "bad", 0}}},
    {PG_ERR_LIMIT, "256 bytes", {{"a", AE_IFREG, X255 "x", true, NULL, 0}}},
    {PG_ERR_LIMIT,
     "bytes",
     {{X255 "/" X255 "/" X255 "/" X255 "/" X255 "/" X255 "/" X255 "/" X255 "/" X255 "/" X255
            "/" X255 "/" X255 "/" X255 "/" X255 "/" X255 "/" X255 "/",
       AE_IFDIR, NULL, false, NULL, 0}}},
};

static void body_hostile(void *arg)
{
    (void) arg;
    file_make("outside", "untouched", 0600);
    for (size_t i = 0; i < PG_ARRAY_LEN(hostiles); i++) {
        memory stream;
        hostile_make(hostiles[i].rows, &stream);
        (void) fprintf(stderr, "hostile %zu: %.40s\n", i, hostiles[i].rows[0].path);
        CHECK_ERR(unpack(&stream, "target", true), hostiles[i].want);
        CHECK(strstr(pg_error_detail(hostiles[i].want), hostiles[i].word) != NULL);
        CHECK(names_here() == 1 && file_is("outside", "untouched"));
        CHECK(access("/tmp/pangea-hostile", F_OK) != 0);
        pg_buf_deinit(&stream.bytes);
    }
}

static void test_archive__hostile__is_refused_and_leaves_nothing(void **state)
{
    (void) state;
    in_job(body_hostile, NULL);
}

static void body_special(void *arg)
{
    static const row rows[] = {
        {"dev", AE_IFCHR, NULL, false, NULL, 0},
        {"block", AE_IFBLK, NULL, false, NULL, 0},
        {"pipe", AE_IFIFO, NULL, false, NULL, 0},
        {"suid", AE_IFREG, NULL, false, "x", 06777},
        {"sticky", AE_IFDIR, NULL, false, NULL, 07777},
        {"other", AE_IFREG, "suid", true, NULL, 0},
        {NULL, 0, NULL, false, NULL, 0},
    };
    memory stream;
    struct stat info;
    (void) arg;
    hostile_make(rows, &stream);
    CHECK_OK(unpack(&stream, "target", false));
    CHECK(stream.sum.entries == 3 && stream.sum.skipped == 3);
    CHECK(strstr(stream.skipped, "[dev: a device, pipe or socket]") != NULL);
    CHECK(stat("target/suid", &info) == 0 && (info.st_mode & 07777) == 0755); // less the mask 022
    CHECK(stat("target/sticky", &info) == 0 && (info.st_mode & 07777) == 0755);
    CHECK(stat("target/other", &info) == 0 && info.st_nlink == 2);
    CHECK(stat("target", &info) == 0 && (info.st_mode & 07777) == 0755);
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("target"));
}

static void test_archive__devices_and_set_user_id__are_left_out(void **state)
{
    (void) state;
    in_job(body_special, NULL);
}

// Folders out of order, without entries of their own, and one that may not be written to once its entry is read.
static void body_disorder(void *arg)
{
    static const row rows[] = {
        {"a/b/one", AE_IFREG, NULL, false, "1", 0},
        {"c/two", AE_IFREG, NULL, false, "2", 0},
        {"a/b", AE_IFDIR, NULL, false, NULL, 0555},
        {"a/three", AE_IFREG, NULL, false, "3", 0},
        {"a/b/four", AE_IFREG, NULL, false, "4", 0},
        {"./a//b/./five", AE_IFREG, NULL, false, "5", 0},
        {NULL, 0, NULL, false, NULL, 0},
    };
    memory stream;
    struct stat info;
    (void) arg;
    hostile_make(rows, &stream);
    CHECK_OK(unpack(&stream, "target", false));
    CHECK(file_is("target/a/b/one", "1") && file_is("target/c/two", "2"));
    CHECK(file_is("target/a/three", "3") && file_is("target/a/b/four", "4"));
    CHECK(file_is("target/a/b/five", "5"));
    CHECK(stat("target/a/b", &info) == 0 && (info.st_mode & 07777) == 0555);
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("target"));
}

static void test_archive__disorder__is_put_in_order(void **state)
{
    (void) state;
    in_job(body_disorder, NULL);
}

static void body_bomb(void *arg)
{
    memory stream = {.piece = 65536};
    (void) arg;
    row *rows = pg_calloc(1002, sizeof(*rows));
    for (size_t i = 0; i < 1001; i++) {
        char name[32];
        (void) snprintf(name, sizeof(name), "%zu", i);
        rows[i] = (row){.path = pg_str_dup(pg_str_make(name)), .type = AE_IFREG};
        rows[i].type = i % 3 == 0 ? AE_IFIFO : AE_IFREG; // what is left out counts too
    }
    hostile_make(rows, &stream);
    CHECK_ERR(unpack(&stream, "target", false), PG_ERR_LIMIT);
    CHECK(strstr(pg_error_detail(PG_ERR_LIMIT), "more than 1000 entries") != NULL);
    CHECK(names_here() == 0);
    for (size_t i = 0; i < 1001; i++) {
        pg_mfree((void *) (uintptr_t) rows[i].path);
    }
    pg_mfree(rows);
    pg_buf_deinit(&stream.bytes);
}

static void test_archive__too_many_entries__is_refused(void **state)
{
    (void) state;
    in_job(body_bomb, NULL);
}

static void body_broken(void *arg)
{
    memory stream;
    (void) arg;
    odd_tree_make("tree");
    CHECK_OK(pack("tree", 4096, &stream));
    size_t whole = stream.bytes.len;
    size_t cuts = 0;
    for (size_t len = 0; len < whole - 1024; len += 301) { // the last two blocks only say "end"
        stream.bytes.len = len;
        pg_err err = unpack(&stream, "target", false);
        // An archive that ends between two entries is one for libarchive; its length tells who asked for it.
        CHECK(err == PG_OK ? len % 512 == 0 : err == PG_ERR_TRUNCATED || err == PG_ERR_MALFORMED);
        if (err == PG_OK) {
            CHECK_OK(tree_remove("target"));
        }
        CHECK(names_here() == 1);
        cuts++;
    }
    CHECK(cuts > 50);
    stream.bytes.len = whole;
    for (size_t at = 148; at < whole; at += 997) { // one byte is another
        stream.bytes.ptr[at] ^= 0x5a;
        pg_err err = unpack(&stream, "target", true);
        stream.bytes.ptr[at] ^= 0x5a;
        if (err == PG_OK) {
            CHECK_OK(tree_remove("target"));
        }
        CHECK(names_here() == 1);
    }
    pg_buf_deinit(&stream.bytes);
    stream.bytes = (pg_buf){0};
    CHECK_OK(pg_buf_append(&stream.bytes, PG_BYTES_LIT("no archive at all")));
    CHECK_ERR(unpack(&stream, "target", true), PG_ERR_TRUNCATED);
    uint8_t *space = NULL;
    CHECK_OK(pg_buf_extend(&stream.bytes, 1 << 20, &space));
    memset(space, 'x', 1 << 20);
    CHECK_ERR(unpack(&stream, "target", true), PG_ERR_MALFORMED);
    CHECK(names_here() == 1);
    pg_buf_deinit(&stream.bytes);
    CHECK_OK(tree_remove("tree"));
}

static void test_archive__broken__leaves_nothing(void **state)
{
    (void) state;
    in_job(body_broken, NULL);
}

// ---- The program

static int setup(void **state)
{
    (void) state;
    (void) snprintf(work, sizeof(work), "/tmp/pangea-archive-XXXXXX");
    (void) umask(022);
    return mkdtemp(work) == NULL || chdir(work) != 0 ? -1 : 0;
}

// Each test has to leave the folder as empty as it found it, but for "outside".
static int teardown(void **state)
{
    (void) state;
    (void) unlink("outside");
    return rmdir(work);
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

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    be_nobody();
    const struct CMUnitTest tests[] = {
        CASE(test_archive__odd_tree__comes_back),
        CASE(test_archive__same_content__same_bytes),
        CASE(test_archive__empty_folder__comes_back),
        CASE(test_archive__sparse_files__stay_sparse),
        CASE(test_archive__measured__is_about_what_is_packed),
        CASE(test_archive__too_deep__is_refused),
        CASE(test_archive__file_changes_while_read__is_named),
        CASE(test_archive__unreadable_file__is_named),
        CASE(test_archive__target__is_replaced_only_when_told_to),
        CASE(test_archive__hostile__is_refused_and_leaves_nothing),
        CASE(test_archive__devices_and_set_user_id__are_left_out),
        CASE(test_archive__disorder__is_put_in_order),
        CASE(test_archive__too_many_entries__is_refused),
        CASE(test_archive__broken__leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
