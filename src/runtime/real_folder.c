// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/folder.h"
#include "runtime/random.h"
#include "runtime/real_priv.h"

#define LINK_BYTES_MAX 4096 // what a symbolic link can say on Linux

struct pg_folder {
    int fd;
    char *path; // for details
};

// "path of the folder/name", for a detail. NULL where memory is out.
static char *full_name(const pg_folder *folder, const char *name)
{
    pg_buf text = {0};
    pg_err err = name == NULL ? pg_buf_printf(&text, "%s", folder->path)
                              : pg_buf_printf(&text, "%s/%s", folder->path, name);
    return err == PG_OK ? (char *) text.ptr : NULL;
}

static pg_err fail_at(int number, const char *what, const pg_folder *folder, const char *name)
{
    char *path = full_name(folder, name);
    pg_err err = pg_fail_errno(number, what, path != NULL ? path : name);
    pg_mfree(path);
    pg_assert(err != PG_OK);
    return err;
}

static pg_err folder_new(int fd, char *path, pg_folder **out_folder)
{
    pg_folder *folder = PG_NEW(pg_folder);
    if (folder == NULL || path == NULL) {
        (void) close(fd);
        pg_mfree(folder);
        pg_mfree(path);
        return pg_fail(PG_ERR_NOMEM, "cannot open a folder");
    }
    folder->fd = fd;
    folder->path = path;
    *out_folder = folder;
    return PG_OK;
}

pg_err pg_folder_open(const char *path, pg_folder **out_folder)
{
    if (pg_real_get() == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a simulated run has no folders by handle");
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return pg_fail_errno(errno, "open", path);
    }
    return folder_new(fd, pg_str_dup(pg_str_make(path)), out_folder);
}

pg_err pg_folder_enter(const pg_folder *folder, const char *name, pg_folder **out_folder)
{
    int fd = openat(folder->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        return pg_fail(PG_ERR_INVALID, "%s/%s is no folder", folder->path, name);
    }
    if (fd < 0) {
        return fail_at(errno, "open", folder, name);
    }
    return folder_new(fd, full_name(folder, name), out_folder);
}

void pg_folder_free(pg_folder **folder)
{
    if (*folder != NULL) {
        (void) close((*folder)->fd);
        pg_mfree((*folder)->path);
        pg_mfree(*folder);
        *folder = NULL;
    }
}

const char *pg_folder_path(const pg_folder *folder)
{
    return folder->path;
}

pg_err pg_folder_look(const pg_folder *folder, const char *name, pg_folder_entry *out_entry)
{
    struct stat info;
    int failed = name == NULL ? fstat(folder->fd, &info)
                              : fstatat(folder->fd, name, &info, AT_SYMLINK_NOFOLLOW);
    if (failed != 0) {
        return fail_at(errno, "look at", folder, name);
    }
    *out_entry = (pg_folder_entry){
        .type = pg_real_file_type(info.st_mode),
        .size_bytes = (uint64_t) info.st_size,
        .modified_s = info.st_mtim.tv_sec,
        .modified_ns = (uint32_t) info.st_mtim.tv_nsec,
        .permissions = info.st_mode & 07777,
        .device = info.st_dev,
        .inode = info.st_ino,
        .links = info.st_nlink,
    };
    return PG_OK;
}

// ---- Names

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static pg_err names_sort(pg_folder_names *names)
{
    const char *name = (const char *) names->text.ptr;
    for (size_t i = 0; i < names->text.len; i++) {
        names->count += names->text.ptr[i] == 0;
    }
    names->items = pg_calloc(names->count, sizeof(*names->items));
    if (names->items == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot list %zu names", names->count);
    }
    for (size_t i = 0; i < names->count; i++) {
        names->items[i] = name;
        name += strlen(name) + 1;
    }
    qsort(names->items, names->count, sizeof(*names->items), names_compare);
    return PG_OK;
}

pg_err pg_folder_list(const pg_folder *folder, pg_folder_names *out_names)
{
    pg_folder_names names = {0};
    // A descriptor of its own: the place in the list is the descriptor's.
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int number = errno;
        if (fd >= 0) {
            (void) close(fd);
        }
        return pg_fail_errno(number, "list", folder->path);
    }
    pg_err err = pg_real_names_read(dir, folder->path, &names.text);
    (void) closedir(dir);
    if (err == PG_OK) {
        err = names_sort(&names);
    }
    if (err != PG_OK) {
        pg_folder_names_deinit(&names);
        return err;
    }
    *out_names = names;
    return PG_OK;
}

void pg_folder_names_deinit(pg_folder_names *names)
{
    pg_mfree(names->items);
    pg_buf_deinit(&names->text);
    *names = (pg_folder_names){0};
}

// ---- What stands in a folder

pg_err pg_folder_open_file(const pg_folder *folder, const char *name, unsigned mode,
                           uint32_t permissions, pg_file **out_file)
{
    // Without O_NONBLOCK the open of a pipe that took the place of a file would wait for ever.
    int flags = pg_real_open_flags(mode) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int fd = openat(folder->fd, name, flags, (mode_t) permissions);
    if (fd < 0 && errno == ELOOP) {
        return pg_fail(PG_ERR_INVALID, "%s/%s is a symbolic link", folder->path, name);
    }
    if (fd < 0) {
        return fail_at(errno, "open", folder, name);
    }
    char *path = full_name(folder, name);
    pg_err err = pg_real_file_new(fd, path == NULL ? name : path, out_file);
    pg_mfree(path);
    if (err != PG_OK) {
        (void) close(fd);
    }
    return err;
}

pg_err pg_folder_make(const pg_folder *folder, const char *name, uint32_t permissions)
{
    return mkdirat(folder->fd, name, (mode_t) permissions) == 0
               ? PG_OK
               : fail_at(errno, "make", folder, name);
}

pg_err pg_folder_make_link(const pg_folder *folder, const char *name, const char *target)
{
    return symlinkat(target, folder->fd, name) == 0 ? PG_OK : fail_at(errno, "make", folder, name);
}

pg_err pg_folder_read_link(const pg_folder *folder, const char *name, pg_buf *out)
{
    uint8_t *space = NULL;
    PG_TRY(pg_buf_extend(out, LINK_BYTES_MAX, &space));
    ssize_t len = readlinkat(folder->fd, name, (char *) space, LINK_BYTES_MAX);
    int number = errno;
    if (len < 0 || len == LINK_BYTES_MAX) { // the latter cannot be on Linux
        out->len -= LINK_BYTES_MAX;
        return fail_at(len < 0 ? number : ENAMETOOLONG, "read the link", folder, name);
    }
    space[len] = 0;
    out->len -= LINK_BYTES_MAX - (size_t) len;
    return PG_OK;
}

pg_err pg_folder_add_name(const pg_folder *from, const char *from_name, const pg_folder *to,
                          const char *to_name)
{
    return linkat(from->fd, from_name, to->fd, to_name, 0) == 0
               ? PG_OK
               : fail_at(errno, "link", to, to_name);
}

pg_err pg_folder_rename(const pg_folder *folder, const char *from, const char *to)
{
    if (renameat2(folder->fd, from, folder->fd, to, RENAME_NOREPLACE) == 0) {
        return PG_OK;
    }
    struct stat info;
    int number = errno;
    // Some file systems cannot promise not to replace: what stands there already is seen all the same.
    if (number == EINVAL && fstatat(folder->fd, to, &info, AT_SYMLINK_NOFOLLOW) == 0) {
        number = EEXIST;
    } else if (number == EINVAL && renameat(folder->fd, from, folder->fd, to) == 0) {
        return PG_OK;
    }
    return fail_at(number, "rename to", folder, to);
}

pg_err pg_folder_sync_disk(const pg_folder *folder)
{
    return syncfs(folder->fd) == 0 ? PG_OK : pg_fail_errno(errno, "sync", folder->path);
}

pg_err pg_folder_set_modified(const pg_folder *folder, const char *name, int64_t modified_s,
                              uint32_t modified_ns)
{
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = modified_s, .tv_nsec = (long) modified_ns},
    };
    int failed = name == NULL ? futimens(folder->fd, times)
                              : utimensat(folder->fd, name, times, AT_SYMLINK_NOFOLLOW);
    return failed == 0 ? PG_OK : fail_at(errno, "set the time of", folder, name);
}

pg_err pg_folder_set_permissions(const pg_folder *folder, uint32_t permissions)
{
    return fchmod(folder->fd, (mode_t) permissions) == 0
               ? PG_OK
               : pg_fail_errno(errno, "set the mode of", folder->path);
}

// ---- Removing trees
//
// Folders below are not walked into but moved up, under numbers, beside the first ones: so the depth of the tree costs
// neither stack nor descriptors, and nobody can make it cost them.

#define NUMBER_BYTES 40

/** A tree that is being removed. */
struct removal {
    const pg_folder *top;
    uint64_t id; // makes the numbers unlike any name that is there
    uint64_t moved;
};

static void number_format(const struct removal *removal, uint64_t number, char out[NUMBER_BYTES])
{
    (void) snprintf(out, NUMBER_BYTES, ".%016llx-%llx", (unsigned long long) removal->id,
                    (unsigned long long) number);
}

// Make a folder one that we may list and change.
static void folder_unlock(const pg_folder *folder, const char *name)
{
    pg_ignore(fchmodat(folder->fd, name, 0700, AT_SYMLINK_NOFOLLOW) != 0,
              "where it is not ours the next step fails, and says so");
}

static pg_err enter_to_empty(const pg_folder *folder, const char *name, pg_folder **out_folder)
{
    folder_unlock(folder, name);
    return pg_folder_enter(folder, name, out_folder);
}

// Take everything out of `folder`: files are gone then, folders stand in the top.
static pg_err folder_empty(struct removal *removal, const pg_folder *folder)
{
    pg_folder_names names = {0};
    pg_err err = pg_folder_list(folder, &names);
    for (size_t i = 0; i < names.count && err == PG_OK; i++) {
        const char *name = names.items[i];
        pg_folder_entry entry = {0};
        err = pg_folder_look(folder, name, &entry);
        if (err == PG_OK && entry.type == PG_FILE_TYPE_FOLDER) {
            char number[NUMBER_BYTES];
            number_format(removal, removal->moved, number);
            folder_unlock(folder, name); // moving it writes to its ".."
            err = renameat(folder->fd, name, removal->top->fd, number) == 0
                      ? PG_OK
                      : fail_at(errno, "move", folder, name);
            removal->moved += err == PG_OK ? 1 : 0;
        } else if (err == PG_OK && unlinkat(folder->fd, name, 0) != 0) {
            err = fail_at(errno, "remove", folder, name);
        }
    }
    pg_folder_names_deinit(&names);
    return err;
}

static pg_err top_empty(const pg_folder *top)
{
    struct removal removal = {.top = top};
    pg_random_bytes(pg_mut_bytes_make(&removal.id, sizeof(removal.id)));
    PG_TRY(folder_empty(&removal, top));
    for (uint64_t i = 0; i < removal.moved; i++) {
        char number[NUMBER_BYTES];
        pg_folder *folder = NULL;
        number_format(&removal, i, number);
        PG_TRY(enter_to_empty(top, number, &folder));
        pg_err err = folder_empty(&removal, folder);
        pg_folder_free(&folder);
        PG_TRY(err);
        if (unlinkat(top->fd, number, AT_REMOVEDIR) != 0) {
            return fail_at(errno, "remove", top, number);
        }
    }
    return PG_OK;
}

pg_err pg_folder_remove(const pg_folder *folder, const char *name)
{
    pg_folder_entry entry;
    pg_folder *top = NULL;
    PG_TRY(pg_folder_look(folder, name, &entry));
    if (entry.type != PG_FILE_TYPE_FOLDER) {
        return unlinkat(folder->fd, name, 0) == 0 ? PG_OK : fail_at(errno, "remove", folder, name);
    }
    PG_TRY(enter_to_empty(folder, name, &top));
    pg_err err = top_empty(top);
    pg_folder_free(&top);
    if (err == PG_OK && unlinkat(folder->fd, name, AT_REMOVEDIR) != 0) {
        err = fail_at(errno, "remove", folder, name);
    }
    return err;
}
