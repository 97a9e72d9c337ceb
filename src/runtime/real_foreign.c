// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>

#include "runtime/foreign.h"
#include "runtime/real_priv.h"

static pg_err fd_dup(int fd, int *out_fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        return pg_fail_errno(errno, "duplicate a descriptor", NULL);
    }
    *out_fd = copy;
    return PG_OK;
}

pg_err pg_foreign_new(int fd, pg_foreign **out_foreign)
{
    pg_real *real = pg_real_get();
    pg_watch *watch = NULL;
    int copy = -1;
    if (real == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "foreign descriptors in a simulated run");
    }
    PG_TRY(fd_dup(fd, &copy));
    PG_TRY(pg_watch_new(real, copy, &watch));
    *out_foreign = (pg_foreign *) (void *) watch;
    return PG_OK;
}

pg_err pg_foreign_wait(pg_foreign *foreign, pg_time deadline)
{
    return pg_watch_wait((pg_watch *) (void *) foreign, PG_WATCH_SIDE_READ, deadline);
}

pg_err pg_foreign_wait_hangup(pg_foreign *foreign, pg_time deadline)
{
    return pg_watch_wait((pg_watch *) (void *) foreign, PG_WATCH_SIDE_HANGUP, deadline);
}

void pg_foreign_wake(pg_foreign *foreign)
{
    pg_watch_wake((pg_watch *) (void *) foreign, PG_WATCH_SIDE_READ);
}

void pg_foreign_free(pg_foreign **foreign)
{
    if (*foreign != NULL) {
        pg_watch_close((pg_watch *) (void *) *foreign);
        *foreign = NULL;
    }
}

pg_err pg_listener_dup(const pg_listener *listener, int *out_fd)
{
    if (pg_real_get() == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "foreign descriptors in a simulated run");
    }
    return fd_dup(pg_real_listener_fd(listener), out_fd);
}
