// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/real_priv.h"
#include "runtime/supervisor.h"
#include "runtime/time.h"

/** Longer than any supervisor sets it, and small enough to be counted in nanoseconds. */
#define WATCHDOG_USEC_MAX (UINT64_C(1000000) * 3600 * 24 * 365)

static const char *address_get(void)
{
    const char *address = pg_real_get() == NULL ? NULL : getenv("NOTIFY_SOCKET");
    return address == NULL || address[0] == '\0' ? NULL : address;
}

bool pg_supervisor_is_there(void)
{
    return address_get() != NULL;
}

// "/path", or "@name" in the abstract namespace, where a NUL stands for the at sign.
static pg_err address_make(const char *text, struct sockaddr_un *out_address, socklen_t *out_len)
{
    size_t len = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(out_address->sun_path)) {
        return pg_fail(PG_ERR_INVALID, "NOTIFY_SOCKET is '%s': no address of a Unix socket", text);
    }
    *out_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out_address->sun_path, text, len);
    if (text[0] == '@') {
        out_address->sun_path[0] = '\0';
    }
    *out_len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len + (text[0] == '/'));
    return PG_OK;
}

pg_err pg_supervisor_tell(const char *text)
{
    struct sockaddr_un address;
    socklen_t address_len = 0;
    const struct timeval patience = {.tv_sec = 1};
    const char *name = address_get();
    pg_err err = PG_OK;
    if (name == NULL) {
        return PG_OK;
    }
    PG_TRY(address_make(name, &address, &address_len));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return pg_fail_errno(errno, "socket", NULL);
    }
    (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *) &address,
               address_len) < 0) {
        err = pg_fail_errno(errno, "tell", name);
    }
    (void) close(fd);
    return err;
}

static bool number_get(const char *name, uint64_t max, uint64_t *out_number)
{
    const char *text = getenv(name);
    return text != NULL && pg_str_to_u64(pg_str_make(text), max, out_number) == PG_OK;
}

int64_t pg_supervisor_watchdog_ns(void)
{
    uint64_t interval_us = 0;
    uint64_t pid = (uint64_t) getpid();
    if (address_get() == NULL || !number_get("WATCHDOG_USEC", WATCHDOG_USEC_MAX, &interval_us)) {
        return 0;
    }
    (void) number_get("WATCHDOG_PID", INT64_MAX, &pid);
    return pid == (uint64_t) getpid() ? PG_US(interval_us) : 0;
}
