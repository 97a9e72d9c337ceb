// SPDX-License-Identifier: Apache-2.0
// Inbound connections: a fiber a listener accepts, a fiber a handshake upgrades, the connection's own takes over. What is
// not authenticated yet is bounded by pending_max; one more ends the oldest, since honest handshakes take milliseconds.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/host_priv.h"

// ---- one handshake ----

static pg_multiaddr endpoint_addr(const pg_endpoint *endpoint, pg_multiaddr_transport transport)
{
    return pg_multiaddr_make(pg_endpoint_ip(endpoint), transport, endpoint->port);
}

pg_err pg_host_upgrade(pg_host *host, pg_stream **raw, const pg_upgrade_request *request,
                       pg_time deadline, pg_conn **out_conn)
{
    pg_endpoint local;
    pg_endpoint remote;
    pg_tcp_endpoints(*raw, &local, &remote);
    if (local.family == PG_IP_FAMILY_NONE || remote.family == PG_IP_FAMILY_NONE) {
        pg_stream_free(raw);
        return pg_fail(PG_ERR_RESET, "the peer went away before the handshake began");
    }
    const pg_multiaddr local_addr = endpoint_addr(&local, PG_MULTIADDR_TRANSPORT_TCP);
    const pg_multiaddr remote_addr = endpoint_addr(&remote, PG_MULTIADDR_TRANSPORT_TCP);
    pg_upgrade_request full = *request;
    full.transport = "tcp";
    full.local_addr = pg_multiaddr_bytes(&local_addr);
    full.remote_addr = pg_multiaddr_bytes(&remote_addr);
    return pg_upgrade(raw, &host->upgrader, &full, deadline, out_conn);
}

static pg_err upgrade_run(void *arg)
{
    pg_host_pending *pending = arg;
    pg_host *host = pending->host;
    const pg_upgrade_request request = {.direction = PG_CONN_DIRECTION_INBOUND};
    pg_time deadline = pg_after(host->config.handshake_timeout_ns);
    return pg_host_upgrade(host, &pending->stream, &request, deadline, &pending->conn);
}

void pg_host_log_failed(pg_host *host, const pg_endpoint *remote, pg_err err)
{
    char from[PG_PSEUDONYM_TEXT_BYTES];
    host->stats.handshakes_failed++;
    pg_host_pseudonym(host, remote, from);
    pg_log_limited(PG_LOG_LEVEL_INFO, "net.inbound.failed", PG_LOG_STR("from", from),
                   PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
}

static void pending_remove(pg_host_pending *pending)
{
    if (pg_list_is_linked(&pending->node)) {
        pg_list_remove(&pending->node);
        pending->host->pending_count--;
    }
}

static pg_err inbound_run(void *arg)
{
    pg_host_pending *pending = arg;
    pg_host *host = pending->host;
    pg_host_entry *entry = NULL;
    pg_scope_init(&pending->scope);
    pg_err err = pg_scope_spawn(&pending->scope, "net.upgrade", upgrade_run, pending);
    if (err == PG_OK) {
        err = pg_scope_join(&pending->scope);
    }
    pending_remove(pending);
    if (err == PG_OK && pending->conn == NULL) {
        err = pg_fail(PG_ERR_LIMIT, "too slow while %u others were waiting",
                      host->config.pending_max);
    }
    if (err == PG_OK) {
        err = pg_host_adopt(host, &pending->conn, &pending->remote, &entry);
    }
    if (err != PG_OK) {
        pg_host_log_failed(host, &pending->remote, err);
        pg_admission_leave(&host->admission, &pending->remote);
        pg_conn_free(&pending->conn);
        pg_stream_free(&pending->stream); // where the upgrade never began
    }
    pg_mfree(pending);
    return err;
}

// ---- accepting ----

static void oldest_end(pg_host *host)
{
    if (host->pending_count >= host->config.pending_max) {
        pg_host_pending *oldest = PG_LIST_OBJECT(host->pending.next, pg_host_pending, node);
        pg_scope_cancel(&oldest->scope);
        pending_remove(oldest); // its fiber ends at its next turn, and several may come before
    }
}

pg_err pg_host_admit(pg_host *host, const pg_endpoint *remote)
{
    pg_err err = pg_admission_accept(&host->admission, remote, pg_now());
    if (err == PG_ERR_LIMIT && host->admission.connections >= host->admission.limits.connections &&
        pg_host_trim(host)) {
        err = pg_admission_accept(&host->admission, remote, pg_now());
    }
    return err;
}

void pg_host_log_refused(pg_host *host, const pg_endpoint *remote, pg_err err)
{
    char from[PG_PSEUDONYM_TEXT_BYTES];
    pg_host_pseudonym(host, remote, from);
    pg_log_limited(PG_LOG_LEVEL_INFO, "net.inbound.refused", PG_LOG_STR("from", from),
                   PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
}

// Take in a connection: the stream is ours now, whatever happens.
static pg_err inbound_take(pg_host *host, pg_stream *stream, const pg_endpoint *remote)
{
    pg_err err = pg_host_admit(host, remote);
    if (err != PG_OK) {
        pg_stream_free(&stream);
        return err;
    }
    pg_host_pending *pending = PG_NEW(pg_host_pending);
    err = PG_ERR_NOMEM;
    if (pending != NULL) {
        pending->host = host;
        pending->stream = stream;
        pending->remote = *remote;
        pg_scope_init(&pending->scope);
        err = pg_scope_spawn(&host->scope, "net.inbound", inbound_run, pending);
    }
    if (err != PG_OK) {
        pg_mfree(pending);
        pg_admission_leave(&host->admission, remote);
        pg_stream_free(&stream);
        return err;
    }
    oldest_end(host);
    pg_list_append(&host->pending, &pending->node);
    host->pending_count++;
    return PG_OK;
}

static pg_err listening_run(void *arg)
{
    pg_host_listening *listening = arg;
    pg_host *host = listening->host;
    for (;;) {
        pg_stream *stream = NULL;
        pg_endpoint remote;
        pg_err err = pg_listener_accept(listening->listener, PG_FOREVER, &stream, &remote);
        if (err == PG_ERR_CANCELLED || err == PG_ERR_CLOSED) {
            break;
        }
        if (err == PG_OK) {
            err = inbound_take(host, stream, &remote);
        } else {
            remote = (pg_endpoint){0};
            PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_NET_ACCEPT_PAUSE_MS))));
        }
        if (err != PG_OK) {
            pg_host_log_refused(host, &remote, err);
        }
    }
    pg_listener_free(&listening->listener);
    return PG_OK;
}

// ---- listening ----

static pg_err addr_endpoint(const pg_multiaddr *addr, pg_endpoint *out_endpoint,
                            pg_multiaddr_transport *out_transport)
{
    pg_multiaddr_hop hop;
    PG_TRY(pg_multiaddr_first_hop(addr, &hop));
    bool is_ip = hop.host_code == PG_MULTIADDR_CODE_IP4 || hop.host_code == PG_MULTIADDR_CODE_IP6;
    bool is_ours =
        hop.transport == PG_MULTIADDR_TRANSPORT_TCP || hop.transport == PG_MULTIADDR_TRANSPORT_QUIC;
    if (!is_ip || !is_ours) {
        return pg_fail(PG_ERR_UNSUPPORTED, "only /ip4/../tcp/.., /ip4/../udp/../quic-v1 and the "
                                           "same with /ip6 are listened on");
    }
    pg_endpoint endpoint = {.port = hop.port};
    endpoint.family = hop.host.len == 4 ? PG_IP_FAMILY_V4 : PG_IP_FAMILY_V6;
    memcpy(endpoint.ip, hop.host.ptr, hop.host.len);
    *out_endpoint = endpoint;
    *out_transport = hop.transport;
    return PG_OK;
}

static pg_err tcp_start(pg_host_listening *listening, const pg_endpoint *at, pg_endpoint *out_real)
{
    PG_TRY(pg_tcp_listen(at, &listening->listener));
    pg_err err =
        pg_scope_spawn(&listening->host->listening, "net.listen", listening_run, listening);
    if (err != PG_OK) {
        pg_listener_free(&listening->listener);
        return err;
    }
    *out_real = pg_listener_endpoint(listening->listener);
    return PG_OK;
}

static pg_err quic_start(pg_host_listening *listening, const pg_endpoint *at, pg_endpoint *out_real)
{
    PG_TRY(pg_host_quic_listen(listening->host, at, &listening->quic));
    *out_real = pg_quic_endpoint_addr(listening->quic);
    return PG_OK;
}

static pg_err listen_start(pg_host *host, const pg_multiaddr *addr)
{
    if (host->listen_count == PG_NET_LISTEN_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%d addresses are listened on already", PG_NET_LISTEN_MAX);
    }
    pg_endpoint at;
    pg_endpoint real = {0};
    pg_multiaddr_transport transport = PG_MULTIADDR_TRANSPORT_OTHER;
    PG_TRY(addr_endpoint(addr, &at, &transport));
    pg_host_listening *listening = &host->listens[host->listen_count];
    *listening = (pg_host_listening){.host = host};
    PG_TRY(transport == PG_MULTIADDR_TRANSPORT_TCP ? tcp_start(listening, &at, &real)
                                                   : quic_start(listening, &at, &real));
    listening->addr = endpoint_addr(&real, transport);
    host->listen_count++;
    return PG_OK;
}

pg_err pg_host_listen(pg_host *host, const pg_multiaddr *addr)
{
    char text[PG_MULTIADDR_TEXT_BYTES];
    pg_multiaddr_format(addr, text);
    pg_err err = listen_start(host, addr);
    if (err != PG_OK) {
        return pg_error_wrap(err, "listen on %s", text);
    }
    pg_host_note_change(host);
    pg_host_emit(host, PG_HOST_EVENT_ADDRESSES, NULL);
    return PG_OK;
}
