// SPDX-License-Identifier: Apache-2.0
// Listeners of the simulated network, and how connections begin.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/sim_net_priv.h"

#define UNIX_PATH_BYTES_MAX 107u // as Linux

#define LISTENER_OF(list_node) PG_LIST_OBJECT(list_node, pg_sim_listener, node)
#define BACKLOG_OF(list_node) PG_LIST_OBJECT(list_node, pg_sim_conn, backlog_node)

static pg_err listener_new(pg_sim_machine *machine, pg_sim_listener **out_listener)
{
    pg_sim_listener *listener = PG_NEW(pg_sim_listener);
    if (listener == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a listener");
    }
    listener->machine = machine;
    pg_list_init(&listener->backlog);
    pg_waitq_init(&listener->acceptors);
    pg_list_append(&machine->listeners, &listener->node);
    *out_listener = listener;
    return PG_OK;
}

// ---- TCP

static bool is_taken(const pg_sim_machine *machine, const pg_endpoint *at)
{
    for (pg_list *node = machine->listeners.next; node != &machine->listeners; node = node->next) {
        if (LISTENER_OF(node)->path == NULL && pg_sim_net_is_clash(&LISTENER_OF(node)->at, at)) {
            return true;
        }
    }
    return false;
}

pg_err pg_sim_tcp_listen(pg_world *world, const pg_endpoint *at, pg_listener **out_listener)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_self(&machine));
    PG_TRY(pg_sim_net_check_bind(machine, at));
    pg_endpoint bound = *at;
    while (bound.port == 0 || (at->port == 0 && is_taken(machine, &bound))) {
        bound.port = pg_sim_net_port_next(machine);
    }
    if (is_taken(machine, &bound)) {
        return pg_fail(PG_ERR_BUSY, "port %u is in use", (unsigned) at->port);
    }
    pg_sim_listener *listener = NULL;
    PG_TRY(listener_new(machine, &listener));
    listener->at = bound;
    *out_listener = (pg_listener *) listener;
    return PG_OK;
}

pg_endpoint pg_sim_listener_endpoint(const pg_listener *listener)
{
    return ((const pg_sim_listener *) listener)->at;
}

static pg_sim_listener *listener_for(const pg_sim_machine *machine, const pg_endpoint *to)
{
    for (pg_list *node = machine->listeners.next; node != &machine->listeners; node = node->next) {
        if (LISTENER_OF(node)->path == NULL && pg_sim_net_is_for(&LISTENER_OF(node)->at, to)) {
            return LISTENER_OF(node);
        }
    }
    return NULL;
}

static void backlog_add(pg_sim_listener *listener, pg_sim_conn *conn)
{
    conn->listener = listener;
    listener->backlog_len++;
    pg_list_append(&listener->backlog, &conn->backlog_node);
}

pg_err pg_sim_listener_admit(pg_sim_machine *machine, pg_sim_conn *dialer)
{
    pg_sim_listener *listener = listener_for(machine, &dialer->remote);
    if (listener == NULL) {
        return PG_ERR_REFUSED;
    }
    if (listener->backlog_len == PG_SIM_BACKLOG_MAX) {
        return PG_ERR_LIMIT;
    }
    pg_sim_conn *embryo = NULL;
    PG_TRY(pg_sim_conn_new(machine, dialer->machine, PG_SIM_CONN_STATE_EMBRYO, &embryo));
    embryo->local = dialer->remote;
    embryo->remote = dialer->local;
    pg_err err = pg_sim_conn_signal(embryo, PG_SIM_SEGMENT_KIND_SYNACK);
    if (err != PG_OK) {
        pg_sim_conn_delete(embryo);
        return err;
    }
    embryo->peer = dialer;
    dialer->peer = embryo;
    backlog_add(listener, embryo);
    return PG_OK;
}

void pg_sim_listener_offer(pg_sim_conn *conn)
{
    pg_waitq_wake_one(&conn->listener->acceptors);
}

void pg_sim_listener_forget(pg_sim_conn *conn)
{
    conn->listener->backlog_len--;
    pg_list_remove(&conn->backlog_node);
    conn->listener = NULL;
}

static pg_err dial_wait(pg_sim_conn *conn, pg_time deadline)
{
    PG_TRY(pg_sim_conn_signal(conn, PG_SIM_SEGMENT_KIND_SYN));
    while (conn->state == PG_SIM_CONN_STATE_DIALING) {
        PG_TRY(pg_waitq_wait(&conn->writers, deadline));
    }
    return conn->err;
}

pg_err pg_sim_tcp_dial(pg_world *world, const pg_endpoint *to, pg_time deadline,
                       pg_stream **out_stream)
{
    (void) world;
    char text[PG_ENDPOINT_TEXT_BYTES];
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_self(&machine));
    pg_sim_machine *far = pg_sim_net_find(machine, to);
    pg_endpoint source = pg_sim_net_source(machine, to);
    if (far == NULL || source.family != to->family || to->port == 0) {
        pg_endpoint_format(to, text);
        return pg_fail(PG_ERR_UNREACHABLE, "dial %s: no route", text);
    }
    pg_sim_conn *conn = NULL;
    PG_TRY(pg_sim_conn_new(machine, far, PG_SIM_CONN_STATE_DIALING, &conn));
    source.port = pg_sim_net_port_next(machine);
    conn->local = source;
    conn->remote = *to;
    pg_err err = dial_wait(conn, deadline);
    if (err != PG_OK) {
        conn->stream.ops->free(&conn->stream);
        pg_endpoint_format(to, text);
        return pg_fail(err, "dial %s: %s", text, pg_err_text(err));
    }
    *out_stream = &conn->stream;
    return PG_OK;
}

void pg_sim_tcp_endpoints(const pg_stream *stream, pg_endpoint *out_local, pg_endpoint *out_remote)
{
    const pg_sim_conn *conn = (const pg_sim_conn *) stream;
    *out_local = conn->local;
    *out_remote = conn->remote;
}

// ---- Unix sockets

static pg_sim_listener *unix_listener_at(const pg_sim_machine *machine, const char *path)
{
    for (pg_list *node = machine->listeners.next; node != &machine->listeners; node = node->next) {
        if (LISTENER_OF(node)->path != NULL && strcmp(LISTENER_OF(node)->path, path) == 0) {
            return LISTENER_OF(node);
        }
    }
    return NULL;
}

pg_err pg_sim_unix_listen(pg_world *world, const char *path, pg_listener **out_listener)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_self(&machine));
    pg_str name = pg_str_make(path);
    if (name.len > UNIX_PATH_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%s: a socket's path has at most %u bytes", path,
                       UNIX_PATH_BYTES_MAX);
    }
    if (unix_listener_at(machine, path) != NULL) {
        return pg_fail(PG_ERR_BUSY, "%s: somebody listens there", path);
    }
    char *own_path = pg_str_dup(name);
    if (own_path == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a listener");
    }
    pg_sim_listener *listener = NULL;
    pg_err err = listener_new(machine, &listener);
    if (err != PG_OK) {
        pg_mfree(own_path);
        return err;
    }
    listener->path = own_path;
    *out_listener = (pg_listener *) listener;
    return PG_OK;
}

pg_err pg_sim_unix_dial(pg_world *world, const char *path, pg_time deadline, pg_stream **out_stream)
{
    (void) world;
    (void) deadline;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_fiber_checkpoint());
    PG_TRY(pg_sim_machine_self(&machine));
    pg_sim_listener *listener = unix_listener_at(machine, path);
    if (listener == NULL) {
        return pg_fail(PG_ERR_NOT_FOUND, "%s: nobody listens there", path);
    }
    if (listener->backlog_len == PG_SIM_BACKLOG_MAX) {
        return pg_fail(PG_ERR_REFUSED, "%s: too many connections wait there", path);
    }
    pg_sim_conn *here = NULL;
    pg_sim_conn *there = NULL;
    PG_TRY(pg_sim_conn_new(machine, machine, PG_SIM_CONN_STATE_OPEN, &here));
    pg_err err = pg_sim_conn_new(machine, machine, PG_SIM_CONN_STATE_OPEN, &there);
    if (err != PG_OK) {
        pg_sim_conn_delete(here);
        return err;
    }
    here->peer = there;
    there->peer = here;
    backlog_add(listener, there);
    pg_sim_listener_offer(there);
    *out_stream = &here->stream;
    return PG_OK;
}

// ---- Accepting

static pg_sim_conn *backlog_take(pg_sim_listener *listener)
{
    for (pg_list *node = listener->backlog.next; node != &listener->backlog; node = node->next) {
        pg_sim_conn *conn = BACKLOG_OF(node);
        if (conn->state != PG_SIM_CONN_STATE_EMBRYO) {
            pg_sim_listener_forget(conn);
            return conn;
        }
    }
    return NULL;
}

static void listener_unwait(pg_sim_listener *listener)
{
    listener->waiters--;
    if (listener->is_freed && listener->waiters == 0) {
        pg_mfree(listener);
    }
}

pg_err pg_sim_listener_accept(pg_listener *base, pg_time deadline, pg_stream **out_stream,
                              pg_endpoint *out_peer)
{
    pg_sim_listener *listener = (pg_sim_listener *) base;
    pg_sim_conn *conn = NULL;
    listener->waiters++;
    pg_err err = pg_fiber_checkpoint();
    while (err == PG_OK && !listener->is_freed && (conn = backlog_take(listener)) == NULL) {
        err = pg_waitq_wait(&listener->acceptors, deadline);
    }
    if (err == PG_OK && conn == NULL) {
        err = pg_fail(PG_ERR_CLOSED, "the listener was closed");
    }
    listener_unwait(listener);
    PG_TRY(err);
    *out_stream = &conn->stream;
    *out_peer = conn->remote;
    return PG_OK;
}

void pg_sim_listener_crash(pg_sim_listener *listener)
{
    while (!pg_list_is_empty(&listener->backlog)) {
        pg_sim_conn_crash(BACKLOG_OF(listener->backlog.next));
    }
    pg_list_remove(&listener->node);
    listener->machine = NULL;
}

void pg_sim_listener_free(pg_listener *base)
{
    pg_sim_listener *listener = (pg_sim_listener *) base;
    while (!pg_list_is_empty(&listener->backlog)) {
        pg_sim_conn_drop(BACKLOG_OF(listener->backlog.next));
    }
    pg_list_remove(&listener->node);
    pg_mfree(listener->path);
    listener->path = NULL;
    listener->is_freed = true;
    pg_waitq_wake_all(&listener->acceptors);
    listener->waiters++;
    listener_unwait(listener);
}
