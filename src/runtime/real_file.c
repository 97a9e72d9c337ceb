// SPDX-License-Identifier: Apache-2.0
// Files of the operating system. On a fiber each call is a job for the I/O pool; inside a job it is done at once. What
// cannot be left to a thread, since it may wait for ever (a pipe, a terminal), waits on the loop instead.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/limits.h"
#include "runtime/real_priv.h"

#define PIPE_WRITE_BYTES                                                                           \
    4096 // a pipe that is ready for writing takes this much without blocking (PIPE_BUF)

struct pg_file {
    int fd;
    int direct_fd;    // the same file, past the system's cache; -1: not
    bool is_borrowed; // of the process, not closed
    pg_watch *
        watch; // of an epoll descriptor that holds fd: the flags of fd, which others share, stay as they are
    char *path; // for details
};

/** What a call is about; each job uses its part. */
struct call {
    pg_file *file;
    const char *path;
    const char *to;
    unsigned mode;
    uint32_t permissions;
    uint64_t offset;
    uint64_t len;
    pg_bytes bytes;
    pg_bytes rest; // behind `bytes`
    pg_mut_bytes space;
    size_t done;
    int fd;
    int direct_fd;
    pg_file_info info;
    pg_buf *names;
    uint64_t total;
    uint64_t free;
};

static pg_err call_run(pg_job_fn fn, struct call *call)
{
    if (pg_job_is_running()) {
        return fn(call);
    }
    PG_TRY(pg_fiber_checkpoint());
    return pg_offload_io(fn, call);
}

// ---- Open files

int pg_real_open_flags(unsigned mode)
{
    int flags = O_CLOEXEC;
    flags |= (mode & PG_FILE_MODE_WRITE) != 0 ? O_RDWR : O_RDONLY;
    flags |= (mode & PG_FILE_MODE_CREATE) != 0 ? O_CREAT : 0;
    flags |= (mode & PG_FILE_MODE_EXCLUSIVE) != 0 ? O_EXCL : 0;
    flags |= (mode & PG_FILE_MODE_TRUNCATE) != 0 ? O_TRUNC : 0;
    return flags;
}

static pg_err job_open(void *arg)
{
    struct call *call = arg;
    call->fd = open(call->path, pg_real_open_flags(call->mode), (mode_t) call->permissions);
    if (call->fd < 0) {
        return pg_fail_errno(errno, "open", call->path);
    }
    // The mask of the process may have taken bits away that the caller asked for.
    bool is_made = (call->mode & PG_FILE_MODE_EXCLUSIVE) != 0;
    if (is_made && fchmod(call->fd, (mode_t) call->permissions) != 0) {
        int number = errno;
        (void) close(call->fd);
        return pg_fail_errno(number, "mode of", call->path);
    }
    call->direct_fd = pg_real_direct_open(call->path, call->mode);
    return PG_OK;
}

pg_err pg_real_file_new(int fd, const char *path, pg_file **out_file)
{
    pg_file *file = PG_NEW(pg_file);
    char *own_path = pg_str_dup(pg_str_make(path));
    if (file == NULL || own_path == NULL) {
        pg_mfree(file);
        pg_mfree(own_path);
        return pg_fail(PG_ERR_NOMEM, "cannot open %s", path);
    }
    file->fd = fd;
    file->direct_fd = -1;
    file->path = own_path;
    *out_file = file;
    return PG_OK;
}

static pg_err real_open(pg_world *world, const char *path, unsigned mode, uint32_t permissions,
                        pg_file **out_file)
{
    (void) world;
    struct call call = {.path = path, .mode = mode, .permissions = permissions};
    PG_TRY(call_run(job_open, &call));
    pg_err err = pg_real_file_new(call.fd, path, out_file);
    if (err == PG_OK) {
        (*out_file)->direct_fd = call.direct_fd;
        return PG_OK;
    }
    (void) close(call.fd);
    if (call.direct_fd >= 0) {
        (void) close(call.direct_fd);
    }
    return err;
}

static void real_free(pg_file *file)
{
    if (file->watch != NULL) {
        pg_watch_close(file->watch);
    }
    if (!file->is_borrowed) {
        (void) close(file->fd); // what is to last was synced; closing a local file does not wait
    }
    if (file->direct_fd >= 0) {
        (void) close(file->direct_fd);
    }
    pg_mfree(file->path);
    pg_mfree(file);
}

static pg_err job_read(void *arg)
{
    struct call *call = arg;
    while (call->done < call->space.len) {
        uint8_t *to = call->space.ptr + call->done;
        size_t want = call->space.len - call->done;
        ssize_t got = call->mode == 0
                          ? pread(call->file->fd, to, want, (off_t) (call->offset + call->done))
                          : read(call->file->fd, to, want);
        if (got < 0 && errno != EINTR) {
            return pg_fail_errno(errno, "read", call->file->path);
        }
        if (got == 0) {
            break;
        }
        call->done += got < 0 ? 0 : (size_t) got;
    }
    return PG_OK;
}

static pg_err real_read_at(pg_file *file, uint64_t offset, pg_mut_bytes space, size_t *out_len)
{
    struct call call = {.file = file, .offset = offset, .space = space};
    PG_TRY(call_run(job_read, &call));
    *out_len = call.done;
    return PG_OK;
}

static bool goes_direct(const pg_file *file, size_t len)
{
    return file->direct_fd >= 0 && len >= PG_FILE_UNCACHED_BYTES_MIN;
}

static pg_err job_read_uncached(void *arg)
{
    struct call *call = arg;
    pg_err err = PG_ERR_UNSUPPORTED;
    if (goes_direct(call->file, call->space.len)) {
        err = pg_real_direct_read(call->file->direct_fd, call->file->path, call->offset,
                                  call->space, &call->done);
    }
    return err == PG_ERR_UNSUPPORTED ? job_read(call) : err;
}

static pg_err real_read_uncached(pg_file *file, uint64_t offset, pg_mut_bytes space,
                                 size_t *out_len)
{
    struct call call = {.file = file, .offset = offset, .space = space};
    PG_TRY(call_run(job_read_uncached, &call));
    *out_len = call.done;
    return PG_OK;
}

static pg_err job_write(void *arg)
{
    struct call *call = arg;
    while (call->done < call->bytes.len) {
        const uint8_t *from = call->bytes.ptr + call->done;
        size_t want = call->bytes.len - call->done;
        ssize_t put = call->mode == 0
                          ? pwrite(call->file->fd, from, want, (off_t) (call->offset + call->done))
                          : write(call->file->fd, from, want);
        if (put < 0 && errno != EINTR) {
            return errno == EPIPE ? PG_ERR_CLOSED : pg_fail_errno(errno, "write", call->file->path);
        }
        call->done += put < 0 ? 0 : (size_t) put;
    }
    return PG_OK;
}

static pg_err real_write_at(pg_file *file, uint64_t offset, pg_bytes bytes)
{
    struct call call = {.file = file, .offset = offset, .bytes = bytes};
    return call_run(job_write, &call);
}

static pg_err job_write_uncached(void *arg)
{
    struct call *call = arg;
    pg_err err = PG_ERR_UNSUPPORTED;
    if (goes_direct(call->file, call->bytes.len + call->rest.len)) {
        err = pg_real_direct_write(call->file->direct_fd, call->file->path, call->offset,
                                   call->bytes, call->rest);
    }
    if (err != PG_ERR_UNSUPPORTED) {
        return err;
    }
    struct call behind = {
        .file = call->file, .offset = call->offset + call->bytes.len, .bytes = call->rest};
    PG_TRY(job_write(call));
    return job_write(&behind);
}

static pg_err real_write_uncached(pg_file *file, uint64_t offset, pg_bytes head, pg_bytes rest)
{
    struct call call = {.file = file, .offset = offset, .bytes = head, .rest = rest};
    return call_run(job_write_uncached, &call);
}

static pg_err job_sync(void *arg)
{
    const struct call *call = arg;
    return fdatasync(call->file->fd) == 0 ? PG_OK : pg_fail_errno(errno, "sync", call->file->path);
}

static pg_err real_sync(pg_file *file)
{
    struct call call = {.file = file};
    return call_run(job_sync, &call);
}

static pg_err job_truncate(void *arg)
{
    const struct call *call = arg;
    return ftruncate(call->file->fd, (off_t) call->len) == 0
               ? PG_OK
               : pg_fail_errno(errno, "cut", call->file->path);
}

static pg_err real_truncate(pg_file *file, uint64_t size_bytes)
{
    struct call call = {.file = file, .len = size_bytes};
    return call_run(job_truncate, &call);
}

static pg_err job_punch(void *arg)
{
    const struct call *call = arg;
    return fallocate(call->file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     (off_t) call->offset, (off_t) call->len) == 0
               ? PG_OK
               : pg_fail_errno(errno, "punch a hole into", call->file->path);
}

static pg_err real_punch(pg_file *file, uint64_t offset, uint64_t len)
{
    struct call call = {.file = file, .offset = offset, .len = len};
    return call_run(job_punch, &call);
}

static pg_err job_next_data(void *arg)
{
    struct call *call = arg;
    off_t begin = lseek(call->file->fd, (off_t) call->offset, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) { // only a hole is left, or nothing
        begin = lseek(call->file->fd, 0, SEEK_END);
        call->offset = call->len = (uint64_t) begin;
        return begin >= 0 ? PG_OK : pg_fail_errno(errno, "look for data in", call->file->path);
    }
    off_t end = begin < 0 ? -1 : lseek(call->file->fd, begin, SEEK_HOLE);
    if (end < 0) {
        return pg_fail_errno(errno, "look for data in", call->file->path);
    }
    call->offset = (uint64_t) begin;
    call->len = (uint64_t) end;
    return PG_OK;
}

static pg_err real_next_data(pg_file *file, uint64_t offset, uint64_t *out_begin, uint64_t *out_end)
{
    struct call call = {.file = file, .offset = offset};
    PG_TRY(call_run(job_next_data, &call));
    *out_begin = call.offset;
    *out_end = call.len;
    return PG_OK;
}

static pg_err real_lock(pg_file *file)
{
    return flock(file->fd, LOCK_EX | LOCK_NB) == 0 ? PG_OK
                                                   : pg_fail_errno(errno, "lock", file->path);
}

pg_file_type pg_real_file_type(mode_t mode)
{
    return S_ISREG(mode)   ? PG_FILE_TYPE_REGULAR
           : S_ISDIR(mode) ? PG_FILE_TYPE_FOLDER
           : S_ISLNK(mode) ? PG_FILE_TYPE_LINK
                           : PG_FILE_TYPE_OTHER;
}

static pg_file_info info_of(const struct stat *from)
{
    return (pg_file_info){
        .type = pg_real_file_type(from->st_mode),
        .size_bytes = (uint64_t) from->st_size,
        .allocated_bytes = (uint64_t) from->st_blocks * 512,
        .modified_ms = (int64_t) from->st_mtim.tv_sec * 1000 + from->st_mtim.tv_nsec / 1000000,
        .permissions = from->st_mode & 07777,
        .inode = from->st_ino,
    };
}

static pg_err job_stat(void *arg)
{
    struct call *call = arg;
    struct stat info;
    if (fstat(call->file->fd, &info) != 0) {
        return pg_fail_errno(errno, "look at", call->file->path);
    }
    call->info = info_of(&info);
    return PG_OK;
}

static pg_err real_stat(pg_file *file, pg_file_info *out_info)
{
    struct call call = {.file = file};
    PG_TRY(call_run(job_stat, &call));
    *out_info = call.info;
    return PG_OK;
}

// ---- Descriptors of the process

pg_err pg_file_from_fd(int fd, pg_file **out_file)
{
    pg_real *real = pg_real_get();
    char path[32];
    pg_file *file = NULL;
    if (real == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a simulated run has no descriptors");
    }
    (void) snprintf(path, sizeof(path), "descriptor %d", fd);
    PG_TRY(pg_real_file_new(fd, path, &file));
    file->is_borrowed = true;
    int ready = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};
    pg_err err = PG_OK;
    if (ready >= 0 && epoll_ctl(ready, EPOLL_CTL_ADD, fd, &event) == 0) {
        err = pg_watch_new(real, ready, &file->watch);
    } else if (ready < 0 || errno != EPERM) {
        err = pg_fail_errno(errno, "use", path);
    }
    if (file->watch == NULL && ready >= 0 && err == PG_OK) {
        (void) close(ready); // EPERM: a plain file, always ready
    }
    if (err != PG_OK) {
        real_free(file);
        return err;
    }
    *out_file = file;
    return PG_OK;
}

static pg_err ready_wait(const pg_file *file, uint32_t events)
{
    struct epoll_event event = {.events = events};
    int ready = pg_watch_fd(file->watch);
    PG_TRY(pg_fiber_checkpoint());
    (void) epoll_ctl(ready, EPOLL_CTL_MOD, file->fd, &event);
    while (epoll_wait(ready, &event, 1, 0) == 0) {
        PG_TRY(pg_watch_wait(file->watch, PG_WATCH_SIDE_READ, PG_FOREVER));
    }
    return PG_OK;
}

static pg_err real_read(pg_file *file, pg_mut_bytes space, size_t *out_len)
{
    struct call call = {.file = file, .space = space, .mode = 1};
    if (file->watch == NULL || pg_job_is_running()) {
        PG_TRY(call_run(job_read, &call));
        *out_len = call.done;
        return PG_OK;
    }
    size_t done = 0;
    while (done < space.len) {
        PG_TRY(ready_wait(file, EPOLLIN));
        ssize_t got = read(file->fd, space.ptr + done, space.len - done);
        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR && errno != EAGAIN) {
            return pg_fail_errno(errno, "read", file->path);
        }
        done += got < 0 ? 0 : (size_t) got;
    }
    *out_len = done;
    return PG_OK;
}

static pg_err real_write(pg_file *file, pg_bytes bytes)
{
    struct call call = {.file = file, .bytes = bytes, .mode = 1};
    if (file->watch == NULL || pg_job_is_running()) {
        return call_run(job_write, &call);
    }
    for (size_t done = 0; done < bytes.len;) {
        PG_TRY(ready_wait(file, EPOLLOUT));
        ssize_t put =
            write(file->fd, bytes.ptr + done, pg_min_size(bytes.len - done, PIPE_WRITE_BYTES));
        if (put < 0 && errno != EINTR && errno != EAGAIN) {
            return errno == EPIPE ? PG_ERR_CLOSED : pg_fail_errno(errno, "write", file->path);
        }
        done += put < 0 ? 0 : (size_t) put;
    }
    return PG_OK;
}

// ---- Paths

static pg_err job_path_stat(void *arg)
{
    struct call *call = arg;
    struct stat info;
    if (stat(call->path, &info) != 0) {
        return pg_fail_errno(errno, "look at", call->path);
    }
    call->info = info_of(&info);
    return PG_OK;
}

static pg_err real_path_stat(pg_world *world, const char *path, pg_file_info *out_info)
{
    (void) world;
    struct call call = {.path = path};
    PG_TRY(call_run(job_path_stat, &call));
    *out_info = call.info;
    return PG_OK;
}

static pg_err job_rename(void *arg)
{
    const struct call *call = arg;
    return rename(call->path, call->to) == 0 ? PG_OK : pg_fail_errno(errno, "rename", call->path);
}

static pg_err real_path_rename(pg_world *world, const char *from, const char *to)
{
    (void) world;
    struct call call = {.path = from, .to = to};
    return call_run(job_rename, &call);
}

static pg_err job_remove(void *arg)
{
    const struct call *call = arg;
    return unlink(call->path) == 0 ? PG_OK : pg_fail_errno(errno, "remove", call->path);
}

static pg_err real_path_remove(pg_world *world, const char *path)
{
    (void) world;
    struct call call = {.path = path};
    return call_run(job_remove, &call);
}

static pg_err job_dir_make(void *arg)
{
    const struct call *call = arg;
    return mkdir(call->path, 0700) == 0 ? PG_OK : pg_fail_errno(errno, "make", call->path);
}

static pg_err real_dir_make(pg_world *world, const char *path)
{
    (void) world;
    struct call call = {.path = path};
    return call_run(job_dir_make, &call);
}

static pg_err job_dir_remove(void *arg)
{
    const struct call *call = arg;
    return rmdir(call->path) == 0 ? PG_OK : pg_fail_errno(errno, "remove", call->path);
}

static pg_err real_dir_remove(pg_world *world, const char *path)
{
    (void) world;
    struct call call = {.path = path};
    return call_run(job_dir_remove, &call);
}

static pg_err job_dir_sync(void *arg)
{
    const struct call *call = arg;
    int fd = open(call->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return pg_fail_errno(errno, "open", call->path);
    }
    int number = fsync(fd) == 0 ? 0 : errno;
    (void) close(fd);
    return number == 0 ? PG_OK : pg_fail_errno(number, "sync", call->path);
}

static pg_err real_dir_sync(pg_world *world, const char *path)
{
    (void) world;
    struct call call = {.path = path};
    return call_run(job_dir_sync, &call);
}

pg_err pg_real_names_read(DIR *dir, const char *path, pg_buf *out_names)
{
    for (size_t count = 0;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            return errno == 0 ? PG_OK : pg_fail_errno(errno, "list", path);
        }
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
            continue;
        }
        if (++count > PG_DIR_NAMES_MAX) {
            return pg_fail(PG_ERR_LIMIT, "%s holds more than %d names", path, PG_DIR_NAMES_MAX);
        }
        PG_TRY(pg_buf_append(out_names, pg_bytes_make(name, strlen(name) + 1)));
    }
}

static pg_err job_dir_list(void *arg)
{
    const struct call *call = arg;
    DIR *dir = opendir(call->path);
    if (dir == NULL) {
        return pg_fail_errno(errno, "list", call->path);
    }
    pg_err err = pg_real_names_read(dir, call->path, call->names);
    (void) closedir(dir);
    return err;
}

static pg_err real_dir_list(pg_world *world, const char *path, pg_buf *out_names)
{
    (void) world;
    struct call call = {.path = path, .names = out_names};
    return call_run(job_dir_list, &call);
}

static pg_err job_disk_space(void *arg)
{
    struct call *call = arg;
    struct statvfs disk;
    if (statvfs(call->path, &disk) != 0) {
        return pg_fail_errno(errno, "look at the disk of", call->path);
    }
    call->total = (uint64_t) disk.f_blocks * disk.f_frsize;
    call->free = (uint64_t) disk.f_bavail * disk.f_frsize;
    return PG_OK;
}

static pg_err real_disk_space(pg_world *world, const char *path, uint64_t *out_total,
                              uint64_t *out_free)
{
    (void) world;
    struct call call = {.path = path};
    PG_TRY(call_run(job_disk_space, &call));
    *out_total = call.total;
    *out_free = call.free;
    return PG_OK;
}

const pg_file_ops pg_real_file_ops = {
    .open = real_open,
    .read_at = real_read_at,
    .read = real_read,
    .read_uncached = real_read_uncached,
    .write_at = real_write_at,
    .write_uncached = real_write_uncached,
    .write = real_write,
    .sync = real_sync,
    .truncate = real_truncate,
    .punch = real_punch,
    .next_data = real_next_data,
    .lock = real_lock,
    .stat = real_stat,
    .free = real_free,
    .path_stat = real_path_stat,
    .path_rename = real_path_rename,
    .path_remove = real_path_remove,
    .dir_make = real_dir_make,
    .dir_remove = real_dir_remove,
    .dir_sync = real_dir_sync,
    .dir_list = real_dir_list,
    .disk_space = real_disk_space,
};
