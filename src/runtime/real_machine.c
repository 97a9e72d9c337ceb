// SPDX-License-Identifier: Apache-2.0
// The machine as statfs, /proc and a few calls tell it. What /proc says is the kernel's, but names of programs are their users': cut
// to what prints.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "runtime/machine.h"
#include "runtime/real_priv.h"

#define LINE_BYTES 512
#define PATH_BYTES 512

// ---- Disk

/** One kind of file system, by the number that statfs gives. */
static const struct disk_kind {
    uint32_t number;
    bool is_remote;
    bool is_memory;
    const char *name;
} disk_kinds[] = {
    {0xef53, false, false, "ext4"},        {0x58465342, false, false, "xfs"},
    {0x9123683e, false, false, "btrfs"},   {0x2fc12fc1, false, false, "zfs"},
    {0xf2f52010, false, false, "f2fs"},    {0xca451a4e, false, false, "bcachefs"},
    {0x794c7630, false, false, "overlay"}, {0x4d44, false, false, "fat"},
    {0x2011bab0, false, false, "exfat"},   {0x65735546, true, false, "fuse"},
    {0x6969, true, false, "nfs"},          {0xff534d42, true, false, "cifs"},
    {0xfe534d42, true, false, "smb"},      {0x01021997, true, false, "9p"},
    {0x00c36400, true, false, "ceph"},     {0x01021994, false, true, "tmpfs"},
    {0x858458f6, false, true, "ramfs"},
};

pg_err pg_machine_disk_look(const char *path, pg_machine_disk *out_disk)
{
    struct statfs info;
    if (statfs(path, &info) != 0) {
        return pg_fail_errno(errno, "look at the disk of", path);
    }
    uint64_t unit = (uint64_t) info.f_bsize;
    pg_machine_disk disk = {
        .total_bytes = unit * info.f_blocks,
        .free_bytes = unit * info.f_bavail,
        .files = info.f_files,
        .files_free = info.f_ffree,
    };
    (void) snprintf(disk.kind, sizeof(disk.kind), "0x%x", (unsigned) info.f_type);
    for (size_t i = 0; i < PG_ARRAY_LEN(disk_kinds); i++) {
        if (disk_kinds[i].number == (uint32_t) info.f_type) {
            (void) snprintf(disk.kind, sizeof(disk.kind), "%s", disk_kinds[i].name);
            disk.is_remote = disk_kinds[i].is_remote;
            disk.is_memory = disk_kinds[i].is_memory;
        }
    }
    *out_disk = disk;
    return PG_OK;
}

pg_err pg_machine_owner_look(const char *path, pg_machine_owner *out_owner)
{
    struct stat info;
    if (lstat(path, &info) != 0) {
        return pg_fail_errno(errno, "look at", path);
    }
    *out_owner = (pg_machine_owner){info.st_mode & 07777, info.st_uid == geteuid()};
    return PG_OK;
}

// ---- This process

// The number behind the first line that begins with `name`, in a file of the kernel; `missing` where there is none.
static uint64_t number_behind(const char *path, const char *name, uint64_t missing)
{
    char line[LINE_BYTES];
    uint64_t value = missing;
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            char *end = NULL;
            const char *begin = line + strlen(name);
            uint64_t read = strtoull(begin, &end, 10);
            value = end == begin ? missing : read;
            break;
        }
    }
    if (file != NULL) {
        (void) fclose(file);
    }
    return value;
}

static uint64_t names_in(const char *path)
{
    uint64_t count = 0;
    DIR *folder = opendir(path);
    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    if (folder != NULL) {
        (void) closedir(folder);
    }
    return count > 3 ? count - 3 : 0; // ".", ".." and the look itself
}

static uint64_t time_us(const struct timeval *time)
{
    return (uint64_t) time->tv_sec * 1000000 + (uint64_t) time->tv_usec;
}

void pg_machine_process_look(pg_machine_process *out_process)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    struct rusage used_up = {0};
    (void) getrusage(RUSAGE_SELF, &used_up);
    (void) getrlimit(RLIMIT_NOFILE, &limit);
    pg_machine_process process = {
        .pid = getpid(),
        .open_files = names_in("/proc/self/fd"),
        .open_files_max = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur,
        .memory_bytes = number_behind("/proc/self/status", "VmRSS:", 0) * 1024,
        .cpu_us = time_us(&used_up.ru_utime) + time_us(&used_up.ru_stime),
        .machine_bytes = number_behind("/proc/meminfo", "MemTotal:", 0) * 1024,
        .machine_free_bytes = number_behind("/proc/meminfo", "MemAvailable:", 0) * 1024,
    };
    uint64_t group = number_behind("/sys/fs/cgroup/memory.max", "", UINT64_MAX);
    if (group < process.machine_bytes) {
        uint64_t used = number_behind("/sys/fs/cgroup/memory.current", "", 0);
        uint64_t left = group > used ? group - used : 0;
        process.machine_bytes = group;
        process.machine_free_bytes =
            left < process.machine_free_bytes ? left : process.machine_free_bytes;
    }
    *out_process = process;
}

bool pg_machine_clock_is_kept(void)
{
    struct timex ask = {.modes = 0};
    return adjtimex(&ask) != TIME_ERROR && (ask.status & STA_UNSYNC) == 0;
}

// ---- Ports

/** One line of /proc/net: "sl local:port remote:port state .. inode". */
static bool line_read(const char *line, unsigned *out_port, unsigned *out_state,
                      unsigned long *out_inode)
{
    char skipped[PATH_BYTES];
    return sscanf(line, " %*[^:]: %64[0-9A-Fa-f]:%x %*[0-9A-Fa-f:] %x %*s %*s %*s %*s %*s %lu",
                  skipped, out_port, out_state, out_inode) == 4;
}

static bool inode_find(const char *path, uint16_t port, unsigned state, unsigned long *out_inode)
{
    char line[LINE_BYTES];
    bool is_found = false;
    FILE *file = fopen(path, "re");
    while (file != NULL && !is_found && fgets(line, sizeof(line), file) != NULL) {
        unsigned found_port = 0;
        unsigned found_state = 0;
        is_found = line_read(line, &found_port, &found_state, out_inode) && found_port == port &&
                   found_state == state;
    }
    if (file != NULL) {
        (void) fclose(file);
    }
    return is_found;
}

static bool has_socket(const char *pid, const char *wanted)
{
    char path[PATH_BYTES];
    char target[PATH_BYTES];
    bool is_found = false;
    (void) snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
    DIR *folder = opendir(path);
    const struct dirent *entry = NULL;
    while (folder != NULL && !is_found && (entry = readdir(folder)) != NULL) {
        ssize_t len = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
        target[len > 0 ? len : 0] = '\0';
        is_found = strcmp(target, wanted) == 0;
    }
    if (folder != NULL) {
        (void) closedir(folder);
    }
    return is_found;
}

static void program_name(const char *pid, char out_name[PG_MACHINE_NAME_BYTES])
{
    char path[PATH_BYTES];
    (void) snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(out_name, PG_MACHINE_NAME_BYTES, file) == NULL) {
        out_name[0] = '\0';
    }
    if (file != NULL) {
        (void) fclose(file);
    }
    out_name[strcspn(out_name, "\n")] = '\0';
    for (char *each = out_name; *each != '\0'; each++) {
        *each = (char) (*each >= ' ' && *each <= '~' ? *each : '?');
    }
}

static void holder_find(unsigned long inode, pg_machine_port *port)
{
    char wanted[PATH_BYTES];
    (void) snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
    DIR *folder = opendir("/proc");
    const struct dirent *entry = NULL;
    while (folder != NULL && port->pid == 0 && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            has_socket(entry->d_name, wanted)) {
            port->pid = (int64_t) strtoll(entry->d_name, NULL, 10);
            program_name(entry->d_name, port->name);
        }
    }
    if (folder != NULL) {
        (void) closedir(folder);
    }
}

void pg_machine_port_look(bool is_udp, uint16_t port, pg_machine_port *out_port)
{
    static const char *const tables[2][2] = {{"/proc/net/tcp", "/proc/net/tcp6"},
                                             {"/proc/net/udp", "/proc/net/udp6"}};
    const unsigned listening = is_udp ? 7 : 10; // of enum tcp_state: a bound socket, LISTEN
    unsigned long inode = 0;
    *out_port = (pg_machine_port){.is_taken = false};
    for (size_t i = 0; i < 2 && !out_port->is_taken; i++) {
        out_port->is_taken = inode_find(tables[is_udp ? 1 : 0][i], port, listening, &inode);
    }
    if (out_port->is_taken) {
        holder_find(inode, out_port);
    }
}
