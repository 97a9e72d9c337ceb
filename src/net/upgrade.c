// SPDX-License-Identifier: Apache-2.0
#include "net/upgrade.h"

#include "net/conn_yamux.h"
#include "net/limits.h"
#include "net/multistream.h"
#include "net/noise_conn.h"
#include "net/null_security.h"
#include "net/pnet.h"
#include "net/yamux.h"
#include "runtime/runtime.h"

// In our order of preference.
static const pg_str securities[] = {
    {PG_NOISE_ID_HYBRID, sizeof(PG_NOISE_ID_HYBRID) - 1},
    {PG_NOISE_ID_CLASSICAL, sizeof(PG_NOISE_ID_CLASSICAL) - 1},
};
static const pg_str null_securities[] = {{PG_NULL_SECURITY_ID, sizeof(PG_NULL_SECURITY_ID) - 1}};
static const pg_str muxers[] = {{PG_YAMUX_ID, sizeof(PG_YAMUX_ID) - 1}};

/** An upgrade under way. */
typedef struct upgrade {
    const pg_upgrader *upgrader;
    const pg_upgrade_request *request;
    pg_time deadline;
    pg_noise_list offered; // security protocols, strongest first
    pg_stream *stream;     // the outermost wrapping so far
    size_t security;       // index into `offered`
    pg_noise_conn_result noise;
} upgrade;

static bool upgrade_is_dialer(const upgrade *u)
{
    return u->request->direction == PG_CONN_DIRECTION_OUTBOUND;
}

static pg_err upgrade_negotiate(const upgrade *u, pg_noise_list ids, size_t *out_chosen)
{
    return upgrade_is_dialer(u)
               ? pg_multistream_dial(u->stream, ids.ids, ids.count, u->deadline, out_chosen)
               : pg_multistream_listen(u->stream, ids.ids, ids.count, u->deadline, out_chosen);
}

static pg_err step_private_network(upgrade *u)
{
    if (u->upgrader->is_null && !pg_runtime_is_sim()) {
        return pg_fail(PG_ERR_INVALID, "connections without security exist in simulations only");
    }
    return u->upgrader->swarm_key == NULL
               ? PG_OK
               : pg_pnet_protect(&u->stream, u->upgrader->swarm_key, &u->stream);
}

// Say what a failed negotiation of the security protocol means.
static pg_err security_explain(const upgrade *u, pg_err err)
{
    bool is_garbage = err == PG_ERR_PROTOCOL || err == PG_ERR_MALFORMED || err == PG_ERR_LIMIT;
    if (is_garbage && u->upgrader->swarm_key != NULL) {
        return pg_fail(PG_ERR_AUTH, "the peer is not in this private network: it has another "
                                    "swarm key, or none");
    }
    if (err == PG_ERR_UNSUPPORTED && u->request->is_known_hybrid) {
        return pg_fail(PG_ERR_DOWNGRADE, "the peer has spoken post-quantum Noise before and now "
                                         "refuses it: somebody may have tampered with the "
                                         "negotiation");
    }
    if (err == PG_ERR_UNSUPPORTED && u->upgrader->require_pq) {
        return pg_fail(PG_ERR_UNSUPPORTED, "the peer has no post-quantum Noise, and "
                                           "security.require_pq is on");
    }
    bool has_left = err == PG_ERR_RESET || err == PG_ERR_CLOSED || err == PG_ERR_TRUNCATED;
    if (has_left && u->upgrader->swarm_key != NULL) {
        err = pg_error_wrap(err, "the peer left; it may not be in this private network");
    }
    return pg_error_wrap(err, "negotiating security");
}

static pg_err step_security(upgrade *u)
{
    pg_err err = upgrade_negotiate(u, u->offered, &u->security);
    return err == PG_OK ? PG_OK : security_explain(u, err);
}

static pg_err step_null(upgrade *u)
{
    u->noise.stream = u->stream;
    u->noise.muxer = muxers[0];
    return pg_null_security_handshake(u->stream, u->upgrader->identity, u->request->expected_id,
                                      u->deadline, &u->noise.peer_id, &u->noise.public_key);
}

static pg_err step_noise(upgrade *u)
{
    pg_noise_conn_config config = {
        .pattern = u->security == 0 ? PG_NOISE_PATTERN_XXHFS : PG_NOISE_PATTERN_XX,
        .is_initiator = upgrade_is_dialer(u),
        .identity = u->upgrader->identity,
        .static_secret = u->upgrader->noise_static,
        .expected_id = u->request->expected_id,
        .offer = {{muxers, PG_ARRAY_LEN(muxers)}, u->offered},
    };
    PG_TRY(pg_noise_conn_handshake(&u->stream, &config, u->deadline, &u->noise));
    u->stream = u->noise.stream;
    return PG_OK;
}

static pg_err step_muxer(upgrade *u)
{
    if (u->noise.muxer.len > 0) {
        return PG_OK;
    }
    size_t chosen = 0;
    pg_noise_list offered = {muxers, PG_ARRAY_LEN(muxers)};
    return pg_error_wrap(upgrade_negotiate(u, offered, &chosen), "negotiating a muxer");
}

static pg_err step_conn(upgrade *u, pg_conn **out_conn)
{
    pg_conn_info info = {
        .peer = &u->noise.peer_id,
        .public_key = pg_buf_bytes(&u->noise.public_key),
        .direction = u->request->direction,
        .local_addr = u->request->local_addr,
        .remote_addr = u->request->remote_addr,
        .transport = u->request->transport,
        .security = u->offered.ids[u->security].ptr,
        .is_hybrid = u->security == 0,
    };
    return pg_conn_yamux_new(&u->stream, &info, &u->upgrader->limits, out_conn);
}

pg_err pg_upgrade(pg_stream **raw, const pg_upgrader *upgrader, const pg_upgrade_request *request,
                  pg_time deadline, pg_conn **out_conn)
{
    bool hybrid_only = upgrader->require_pq || request->is_known_hybrid;
    upgrade u = {
        .upgrader = upgrader,
        .request = request,
        .deadline = pg_earlier(deadline, pg_after(PG_MS(PG_NET_UPGRADE_TIMEOUT_MS))),
        .offered = {securities, hybrid_only ? 1 : PG_ARRAY_LEN(securities)},
        .stream = *raw,
    };
    *raw = NULL;
    if (upgrader->is_null) {
        u.offered = (pg_noise_list){null_securities, 1};
    }
    pg_err err = step_private_network(&u);
    if (err == PG_OK) {
        err = step_security(&u);
    }
    if (err == PG_OK) {
        err = upgrader->is_null ? step_null(&u) : step_noise(&u);
    }
    if (err == PG_OK) {
        err = step_muxer(&u);
    }
    if (err == PG_OK) {
        err = step_conn(&u, out_conn);
    }
    if (err != PG_OK) {
        pg_stream_free(&u.stream);
    }
    pg_buf_deinit(&u.noise.public_key);
    return err;
}
