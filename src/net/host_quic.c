// SPDX-License-Identifier: Apache-2.0
// QUIC in the host: sockets that listen, sockets to dial from, who may come in. A stranger whose address is not shown to exist
// is not counted against it, since others could send in its name; the endpoint bounds how many of those there are.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "crypto/kdf.h"
#include "net/host_priv.h"
#include "net/quic_pnet.h"

// ---- Inbound

static pg_quic_verdict on_initial(const pg_endpoint *remote, bool is_validated, void *user)
{
    pg_host *host = user;
    if (host->state != PG_HOST_STATE_OPEN) {
        return PG_QUIC_VERDICT_REFUSE;
    }
    pg_err err = is_validated ? pg_host_admit(host, remote) : PG_OK;
    if (err != PG_OK) {
        pg_host_log_refused(host, remote, err);
        return PG_QUIC_VERDICT_REFUSE;
    }
    return PG_QUIC_VERDICT_ACCEPT;
}

static void on_failed(const pg_endpoint *remote, bool was_counted, pg_err err, void *user)
{
    pg_host *host = user;
    if (was_counted) {
        pg_admission_leave(&host->admission, remote);
    }
    if (err != PG_OK) {
        pg_host_log_failed(host, remote, err);
    }
}

/** An inbound connection on its way into the list, its place in the accounts taken. */
typedef struct inbound {
    pg_host *host;
    pg_conn *conn;
    pg_endpoint remote;
} inbound;

static pg_err inbound_adopt(inbound *self, pg_err err)
{
    pg_host_entry *entry = NULL;
    if (err == PG_OK) {
        err = pg_host_adopt(self->host, &self->conn, &self->remote, &entry);
    }
    if (err != PG_OK) {
        pg_host_log_failed(self->host, &self->remote, err);
        pg_admission_leave(&self->host->admission, &self->remote);
        pg_quic_conn_refuse(&self->conn, err);
    }
    return err;
}

// In a private network the peer first has to prove that it is of it.
static pg_err inbound_run(void *arg)
{
    inbound *self = arg;
    pg_host *host = self->host;
    pg_err err = pg_quic_pnet_run(self->conn, host->config.network_key, false,
                                  pg_after(host->config.handshake_timeout_ns));
    err = inbound_adopt(self, err);
    pg_mfree(self);
    return err;
}

static pg_err inbound_spawn(const inbound *self)
{
    inbound *kept = PG_NEW(inbound);
    if (kept == NULL) {
        return PG_ERR_NOMEM;
    }
    *kept = *self;
    pg_err err = pg_scope_spawn(&self->host->scope, "net.inbound", inbound_run, kept);
    if (err != PG_OK) {
        pg_mfree(kept);
    }
    return err;
}

static void on_conn(pg_conn *conn, const pg_endpoint *remote, bool was_counted, void *user)
{
    pg_host *host = user;
    inbound self = {.host = host, .conn = conn, .remote = *remote};
    pg_err err = was_counted ? PG_OK : pg_host_admit(host, remote);
    if (err != PG_OK) {
        pg_host_log_refused(host, remote, err);
        pg_quic_conn_refuse(&self.conn, err);
        return;
    }
    if (host->config.network_key != NULL) {
        err = inbound_spawn(&self);
        if (err == PG_OK) {
            return;
        }
    }
    pg_ignore(inbound_adopt(&self, err), "it has been told and logged");
}

// ---- Sockets

// Both ends of a restart must make the same stateless resets: the key comes from the identity.
static void reset_key_make(const pg_host *host, pg_key *out_key)
{
    pg_key seed PG_CLEANUP(pg_key_wipe) = {0};
    pg_identity_seed(host->config.identity, &seed);
    pg_hkdf(PG_BYTES_EMPTY, pg_key_bytes(&seed), PG_BYTES_LIT("pangea quic stateless reset 1"),
            PG_MUT_BYTES_OF(out_key->bytes));
}

static pg_err tls_prepare(pg_host *host)
{
    if (host->quic_tls != NULL) {
        return PG_OK;
    }
    reset_key_make(host, &host->quic_reset_key);
    return pg_quic_tls_new(host->config.identity,
                           host->config.require_pq ? PG_QUIC_GROUPS_HYBRID : PG_QUIC_GROUPS_ANY,
                           &host->quic_tls);
}

static pg_err endpoint_open(pg_host *host, const pg_endpoint *at, bool listens,
                            pg_quic_endpoint **out_endpoint)
{
    PG_TRY(tls_prepare(host));
    const pg_quic_config config = {
        .tls = host->quic_tls,
        .reset_key = &host->quic_reset_key,
        .limits = host->upgrader.limits,
        .pending_max = host->config.pending_max,
        .handshake_timeout_ns = host->config.handshake_timeout_ns,
        .hooks = {on_initial, listens ? on_conn : NULL, on_failed, host},
    };
    return pg_quic_endpoint_new(&config, at, out_endpoint);
}

pg_err pg_host_quic_listen(pg_host *host, const pg_endpoint *at, pg_quic_endpoint **out_endpoint)
{
    return endpoint_open(host, at, true, out_endpoint);
}

// The socket to dial from: one that listens, so that others see us come from where they can reach us; else one of its own.
static pg_err endpoint_for(pg_host *host, const pg_endpoint *to, pg_quic_endpoint **out_endpoint)
{
    for (size_t i = 0; i < host->listen_count; i++) {
        pg_quic_endpoint *each = host->listens[i].quic;
        pg_endpoint at = each != NULL ? pg_quic_endpoint_addr(each) : (pg_endpoint){0};
        if (each != NULL && at.family == to->family &&
            (pg_endpoint_is_any(&at) ||
             pg_endpoint_is_loopback(&at) == pg_endpoint_is_loopback(to))) {
            *out_endpoint = each;
            return PG_OK;
        }
    }
    pg_quic_endpoint **own = &host->quic_dialers[to->family == PG_IP_FAMILY_V4 ? 0 : 1];
    const pg_endpoint any = {.family = to->family};
    if (*own == NULL) {
        PG_TRY(endpoint_open(host, &any, false, own));
    }
    *out_endpoint = *own;
    return PG_OK;
}

pg_err pg_host_quic_dial(pg_host *host, const pg_endpoint *to, const pg_upgrade_request *wanted,
                         pg_time deadline, pg_conn **out_conn)
{
    const pg_quic_dial_request request = {
        .remote = *to, .expected_id = wanted->expected_id, .hybrid_only = wanted->is_known_hybrid};
    pg_quic_endpoint *endpoint = NULL;
    pg_conn *conn = NULL;
    PG_TRY(endpoint_for(host, to, &endpoint));
    PG_TRY(pg_quic_dial(endpoint, &request, deadline, &conn));
    if (host->config.network_key != NULL) {
        pg_err err = pg_quic_pnet_run(conn, host->config.network_key, true, deadline);
        if (err != PG_OK) {
            pg_quic_conn_refuse(&conn, err);
            return err;
        }
    }
    *out_conn = conn;
    return PG_OK;
}

// ---- The rest

static void each_endpoint(const pg_host *host, void (*each)(pg_quic_endpoint *endpoint, void *user),
                          void *user)
{
    for (size_t i = 0; i < host->listen_count; i++) {
        if (host->listens[i].quic != NULL) {
            each(host->listens[i].quic, user);
        }
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(host->quic_dialers); i++) {
        if (host->quic_dialers[i] != NULL) {
            each(host->quic_dialers[i], user);
        }
    }
}

static void on_set_limits(pg_quic_endpoint *endpoint, void *user)
{
    const pg_host *host = user;
    pg_quic_endpoint_set_limits(endpoint, host->config.pending_max,
                                host->config.handshake_timeout_ns);
}

void pg_host_quic_set_limits(pg_host *host)
{
    each_endpoint(host, on_set_limits, host);
}

static void on_stats(pg_quic_endpoint *endpoint, void *user)
{
    pg_quic_stats *sum = user;
    const pg_quic_stats stats = pg_quic_endpoint_get_stats(endpoint);
    sum->connections += stats.connections;
    sum->pending += stats.pending;
    sum->datagrams_in += stats.datagrams_in;
    sum->datagrams_out += stats.datagrams_out;
    sum->runs_out += stats.runs_out;
    sum->retries += stats.retries;
    sum->versions += stats.versions;
    sum->resets += stats.resets;
    sum->refusals += stats.refusals;
    sum->answers_saved += stats.answers_saved;
    sum->datagrams_lost += stats.datagrams_lost;
}

pg_quic_stats pg_host_quic_stats(const pg_host *host)
{
    pg_quic_stats sum = {0};
    each_endpoint(host, on_stats, &sum);
    return sum;
}

static void on_stop(pg_quic_endpoint *endpoint, void *user)
{
    (void) user;
    pg_quic_endpoint_stop(endpoint);
}

void pg_host_quic_stop(pg_host *host)
{
    each_endpoint(host, on_stop, NULL);
}

void pg_host_quic_free(pg_host *host)
{
    for (size_t i = 0; i < host->listen_count; i++) {
        pg_quic_endpoint_free(&host->listens[i].quic);
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(host->quic_dialers); i++) {
        pg_quic_endpoint_free(&host->quic_dialers[i]);
    }
    pg_quic_tls_free(&host->quic_tls);
    pg_key_wipe(&host->quic_reset_key);
}
