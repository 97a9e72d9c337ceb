// SPDX-License-Identifier: Apache-2.0
// The doors: one daemon of the library for each, and a fiber that runs it whenever its descriptor says so, or a connection was resumed.
// The library runs nowhere else.
#include "api/server.h"

#include <microhttpd.h>

#include "api/call_priv.h"
#include "api/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/foreign.h"
#include "runtime/socket.h"

#define DOOR_UNIX 0
#define DOOR_TCP 1

// Turns of the library at the end, for the answers to what was cancelled.
#define LAST_TURNS_MAX 1000

// ---- What the library calls

static void *on_mhd_target(void *user, const char *target, struct MHD_Connection *connection)
{
    (void) connection;
    return call_new(user, target);
}

// NOLINTNEXTLINE(readability-function-size): the library says what the parameters are
static enum MHD_Result on_mhd_request(void *user, struct MHD_Connection *connection,
                                      const char *path, const char *method, const char *version,
                                      const char *data, size_t *data_len, void **place)
{
    (void) user;
    (void) path; // decoded, and without its query: on_mhd_target had it as it came
    (void) version;
    return *place == NULL ? MHD_NO : call_step(*place, connection, method, data, data_len);
}

static void on_mhd_completed(void *user, struct MHD_Connection *connection, void **place,
                             enum MHD_RequestTerminationCode how)
{
    (void) user;
    (void) connection;
    if (*place != NULL) {
        call_leave(*place, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
        *place = NULL;
    }
}

// ---- The loop

// It has something to do that no event of its descriptor will tell: its epoll set is edge-triggered.
static bool is_eager(const api_door *self, pg_time *out_until)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    *out_until = PG_FOREVER;
    if (MHD_get_timeout(self->daemon, &wait_ms) == MHD_YES) {
        *out_until = pg_after(PG_MS(wait_ms));
        return wait_ms == 0 || self->is_poked;
    }
    return self->is_poked;
}

static bool turn(api_door *self)
{
    self->is_poked = false;
    return MHD_run(self->daemon) == MHD_YES;
}

static pg_err door_run(void *arg)
{
    api_door *self = arg;
    for (;;) {
        pg_time until = 0;
        pg_err err =
            is_eager(self, &until) ? pg_fiber_yield() : pg_foreign_wait(self->events, until);
        if (err != PG_OK && err != PG_ERR_TIMEOUT) {
            return err;
        }
        if (!turn(self)) {
            pg_log(PG_LOG_LEVEL_ERROR, "api.failed");
            return PG_ERR_IO;
        }
    }
}

// ---- Beginning and end

static pg_err daemon_start(api_door *self)
{
    int fd = -1;
    PG_TRY(pg_listener_dup(self->listener, &fd)); // the library closes its copy
    self->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_mhd_request, self,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, on_mhd_target, self,
        MHD_OPTION_NOTIFY_COMPLETED, on_mhd_completed, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned) PG_API_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned) PG_API_IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t) PG_API_CONN_BYTES, MHD_OPTION_END);
    if (self->daemon == NULL) {
        return pg_fail(PG_ERR_IO, "the HTTP server does not start");
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL) {
        return pg_fail(PG_ERR_IO, "the HTTP server has no descriptor to wait on");
    }
    return pg_foreign_new(info->epoll_fd, &self->events);
}

static pg_err door_open(pg_api *api, unsigned which)
{
    api_door *self = &api->doors[which];
    self->api = api;
    if (which == DOOR_TCP) {
        self->is_open_to_all = true;
        PG_TRY(pg_tcp_listen(api->config.tcp, &self->listener));
        api->tcp = pg_listener_endpoint(self->listener);
    } else {
        PG_TRY(pg_unix_listen(api->config.socket_path, &self->listener));
    }
    PG_TRY(daemon_start(self));
    return pg_scope_spawn(&api->loops, "api.loop", door_run, self);
}

// What was cancelled is answered; then the library may find no connection suspended.
static void door_close(api_door *self)
{
    pg_time until = 0;
    if (self->daemon != NULL) {
        for (int i = 0; i < LAST_TURNS_MAX && (i == 0 || is_eager(self, &until)); i++) {
            (void) turn(self);
        }
        MHD_stop_daemon(self->daemon);
    }
    pg_foreign_free(&self->events);
    pg_listener_free(&self->listener);
}

pg_err pg_api_new(const pg_api_config *config, pg_api **out_api)
{
    pg_api *api = PG_NEW(pg_api);
    if (api == NULL) {
        return PG_ERR_NOMEM;
    }
    api->config = *config;
    pg_scope_init_tolerant(&api->calls);
    pg_scope_init_tolerant(&api->loops);
    pg_err err = door_open(api, DOOR_UNIX);
    if (err == PG_OK && config->tcp != NULL) {
        err = door_open(api, DOOR_TCP);
    }
    if (err != PG_OK) {
        pg_api_free(&api);
        return err;
    }
    *out_api = api;
    return PG_OK;
}

pg_endpoint pg_api_tcp(const pg_api *api)
{
    return api->tcp;
}

void pg_api_free(pg_api **api)
{
    pg_api *dead = *api;
    if (dead == NULL) {
        return;
    }
    dead->is_stopping = true;
    pg_scope_close(&dead->loops);
    pg_scope_close(&dead->calls);
    door_close(&dead->doors[DOOR_TCP]);
    door_close(&dead->doors[DOOR_UNIX]);
    pg_mfree(dead);
    *api = NULL;
}
