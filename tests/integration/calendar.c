// SPDX-License-Identifier: Apache-2.0
// A time of day that a test sets, for processes that have this loaded before all else (LD_PRELOAD): the real one and as many seconds more as
// stand in the file PG_TEST_CALENDAR, an int64_t, which all of them map, so that the date changes for all at once. Clocks that only
// measure (CLOCK_MONOTONIC and its like) are left as they are.
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *ahead_s;

__attribute__((constructor)) static void calendar_open(void)
{
    const char *path = getenv("PG_TEST_CALENDAR");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*ahead_s), PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        perror("PG_TEST_CALENDAR");
        abort(); // else the test would prove nothing
    }
    (void) close(fd);
    ahead_s = page;
}

int clock_gettime(clockid_t clock, struct timespec *out_time)
{
    int rc = (int) syscall(SYS_clock_gettime, clock, out_time);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        out_time->tv_sec += ahead_s == NULL ? 0 : atomic_load(ahead_s);
    }
    return rc;
}

int gettimeofday(struct timeval *restrict out_time, void *restrict zone)
{
    struct timespec now;
    (void) zone;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    *out_time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return rc;
}

time_t time(time_t *out_time)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_REALTIME, &now);
    if (out_time != NULL) {
        *out_time = now.tv_sec;
    }
    return now.tv_sec;
}
