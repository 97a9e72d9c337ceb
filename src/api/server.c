// SPDX-License-Identifier: Apache-2.0
// libmicrohttpd calls back whenever it has something of a request: its head, parts of its body, its end. At the end the
// connection is suspended and a fiber serves the request; then it is resumed, and the next call finds the answer ready.
//
//      READING --(end of the body)--> SERVING --(fiber ends)--> ANSWERED --(library is done)--> freed
#include "api/server.h"

#include <string.h>

#include <json-c/json_tokener.h>
#include <microhttpd.h>

#include "api/limits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/foreign.h"
#include "runtime/socket.h"

struct pg_api {
    struct MHD_Daemon *daemon;
    pg_listener *listener;
    pg_foreign *events; // the library's epoll descriptor
    const pg_api_route *routes;
    void *user;
    pg_scope scope; // the requests' fibers
    pg_scope loop;
};

typedef enum exchange_state {
    EXCHANGE_STATE_READING,
    EXCHANGE_STATE_SERVING,
    EXCHANGE_STATE_ANSWERED,
} exchange_state;

/** A request and its answer. */
typedef struct exchange {
    pg_api *api;
    struct MHD_Connection *connection;
    exchange_state state;
    const pg_api_route *route;
    pg_buf body;
    bool is_too_long;
    unsigned status;
    json_object *answer;
} exchange;

// ---- serving ----

static pg_err body_read(const exchange *self, json_object **out_body)
{
    if (self->is_too_long) {
        return pg_fail(PG_ERR_INVALID, "the body has more than %d bytes", PG_API_BODY_BYTES_MAX);
    }
    if (self->body.len == 0) {
        *out_body = json_object_new_object();
        return *out_body == NULL ? PG_ERR_NOMEM : PG_OK;
    }
    struct json_tokener *tokener = json_tokener_new_ex(PG_API_JSON_DEPTH_MAX);
    if (tokener == NULL) {
        return PG_ERR_NOMEM;
    }
    json_object *body =
        json_tokener_parse_ex(tokener, (const char *) self->body.ptr, (int) self->body.len);
    pg_err err = PG_OK;
    if (json_tokener_get_error(tokener) != json_tokener_success ||
        json_tokener_get_parse_end(tokener) != self->body.len ||
        !json_object_is_type(body, json_type_object)) {
        err = pg_fail(PG_ERR_INVALID, "the body is no JSON object");
        json_object_put(body);
    } else {
        *out_body = body;
    }
    json_tokener_free(tokener);
    return err;
}

static void answer_problem(exchange *self, pg_err err)
{
    self->status = pg_api_status(err);
    self->answer = pg_api_problem(err, pg_error_detail(err));
}

// Let the library do all it can do now. Its descriptor is edge-triggered: what it has put off for the next turn wakes nobody.
static void library_turn(struct MHD_Daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    do {
        (void) MHD_run(daemon);
    } while (MHD_get_timeout(daemon, &wait_ms) == MHD_YES && wait_ms == 0);
}

static pg_err exchange_run(void *arg)
{
    exchange *self = arg;
    struct MHD_Daemon *daemon = self->api->daemon;
    pg_api_request request = {.path = self->route->path, .user = self->api->user};
    pg_err err = body_read(self, &request.body);
    if (err == PG_OK) {
        self->status = 200;
        err = self->route->handler(&request, &self->answer);
        json_object_put(request.body);
    }
    if (err != PG_OK) {
        answer_problem(self, err);
    }
    self->state = EXCHANGE_STATE_ANSWERED;
    MHD_resume_connection(self->connection); // `self` may be gone with the next call
    library_turn(daemon);
    return PG_OK;
}

static enum MHD_Result answer_send(exchange *self)
{
    const char *text =
        self->answer == NULL
            ? "{}"
            : json_object_to_json_string_ext(self->answer, JSON_C_TO_STRING_NOSLASHESCAPE);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *) (uintptr_t) text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    const char *type = self->status == 200 ? "application/json" : "application/problem+json";
    (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    enum MHD_Result result = MHD_queue_response(self->connection, self->status, response);
    MHD_destroy_response(response);
    return result;
}

// ---- what the library calls ----

static const pg_api_route *route_find(const pg_api *api, const char *method, const char *path,
                                      bool *out_path_known)
{
    *out_path_known = false;
    for (const pg_api_route *route = api->routes; route->path != NULL; route++) {
        if (strcmp(route->path, path) == 0) {
            *out_path_known = true;
            if (strcmp(route->method, method) == 0) {
                return route;
            }
        }
    }
    return NULL;
}

static enum MHD_Result exchange_begin(pg_api *api, struct MHD_Connection *connection,
                                      exchange **out_exchange)
{
    exchange *self = PG_NEW(exchange);
    if (self == NULL) {
        return MHD_NO;
    }
    self->api = api;
    self->connection = connection;
    self->body.max_len = PG_API_BODY_BYTES_MAX;
    *out_exchange = self;
    return MHD_YES;
}

static enum MHD_Result exchange_serve(exchange *self, const char *method, const char *path)
{
    bool path_known = false;
    self->route = route_find(self->api, method, path, &path_known);
    if (self->route == NULL && path_known) {
        answer_problem(self, pg_fail(PG_ERR_UNSUPPORTED, "%s is not for %s", path, method));
        self->status = 405;
        return answer_send(self);
    }
    if (self->route == NULL) {
        answer_problem(self, pg_fail(PG_ERR_NOT_FOUND, "no such path: %s", path));
        return answer_send(self);
    }
    pg_err err = pg_scope_spawn(&self->api->scope, "api.request", exchange_run, self);
    if (err != PG_OK) {
        answer_problem(self, err);
        return answer_send(self);
    }
    self->state = EXCHANGE_STATE_SERVING;
    MHD_suspend_connection(self->connection);
    return MHD_YES;
}

// NOLINTNEXTLINE(readability-function-size): the library says what the parameters are
static enum MHD_Result on_mhd_request(void *user, struct MHD_Connection *connection,
                                      const char *path, const char *method, const char *version,
                                      const char *data, size_t *data_len, void **place)
{
    exchange *self = *place;
    (void) version;
    if (self == NULL) {
        return exchange_begin(user, connection, (exchange **) place);
    }
    if (*data_len > 0) {
        pg_err err = pg_buf_append(&self->body, pg_bytes_make(data, *data_len));
        self->is_too_long = self->is_too_long || err != PG_OK;
        *data_len = 0;
        return MHD_YES;
    }
    if (self->state == EXCHANGE_STATE_READING) {
        return exchange_serve(self, method, path);
    }
    return self->state == EXCHANGE_STATE_ANSWERED ? answer_send(self) : MHD_YES;
}

static void on_mhd_completed(void *user, struct MHD_Connection *connection, void **place,
                             enum MHD_RequestTerminationCode how)
{
    exchange *self = *place;
    (void) user;
    (void) connection;
    (void) how;
    if (self != NULL) {
        json_object_put(self->answer);
        pg_buf_deinit(&self->body);
        pg_mfree(self);
        *place = NULL;
    }
}

// ---- the loop, beginning and end ----

static pg_err loop_run(void *arg)
{
    pg_api *api = arg;
    for (;;) {
        MHD_UNSIGNED_LONG_LONG wait_ms = 0;
        pg_time until = PG_FOREVER;
        if (MHD_get_timeout(api->daemon, &wait_ms) == MHD_YES) {
            until = pg_after(PG_MS(wait_ms));
        }
        pg_err err = pg_foreign_wait(api->events, until);
        if (err != PG_OK && err != PG_ERR_TIMEOUT) {
            return err;
        }
        if (MHD_run(api->daemon) != MHD_YES) {
            pg_log(PG_LOG_LEVEL_ERROR, "api.failed");
            return PG_ERR_IO;
        }
    }
}

static pg_err daemon_start(pg_api *api)
{
    int fd = -1;
    PG_TRY(pg_listener_dup(api->listener, &fd)); // the library closes its copy
    api->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_mhd_request,
                         api, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned) PG_API_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned) PG_API_IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED,
                         on_mhd_completed, NULL, MHD_OPTION_END);
    if (api->daemon == NULL) {
        return pg_fail(PG_ERR_IO, "the HTTP server does not start");
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL) {
        return pg_fail(PG_ERR_IO, "the HTTP server has no descriptor to wait on");
    }
    return pg_foreign_new(info->epoll_fd, &api->events);
}

pg_err pg_api_new(const char *socket_path, const pg_api_route *routes, void *user, pg_api **out_api)
{
    pg_api *api = PG_NEW(pg_api);
    if (api == NULL) {
        return PG_ERR_NOMEM;
    }
    api->routes = routes;
    api->user = user;
    pg_scope_init_tolerant(&api->scope);
    pg_scope_init_tolerant(&api->loop);
    pg_err err = pg_unix_listen(socket_path, &api->listener);
    if (err == PG_OK) {
        err = daemon_start(api);
    }
    if (err == PG_OK) {
        err = pg_scope_spawn(&api->loop, "api.loop", loop_run, api);
    }
    if (err != PG_OK) {
        pg_api_free(&api);
        return err;
    }
    *out_api = api;
    return PG_OK;
}

void pg_api_free(pg_api **api)
{
    pg_api *dead = *api;
    if (dead == NULL) {
        return;
    }
    pg_scope_close(&dead->loop);
    pg_scope_close(
        &dead->scope); // each answers and resumes its connection: the library must find none suspended
    if (dead->daemon != NULL) {
        MHD_stop_daemon(dead->daemon);
    }
    pg_foreign_free(&dead->events);
    pg_listener_free(&dead->listener);
    pg_mfree(dead);
    *api = NULL;
}
