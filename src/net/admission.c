// SPDX-License-Identifier: Apache-2.0
#include "net/admission.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "net/limits.h"

// Of an address, a subnet or a peer.
typedef struct account {
    uint32_t connections;
    uint32_t streams;
    int64_t
        debt_ns; // of the rate limit: falls by one second a second, each connection adds its share
    pg_time paid_at;
} account;

// How much time a connection costs at the allowed rate, and how much may be owed: five seconds' worth at once.
#define BURST_NS PG_SECONDS(5)

static bool is_local(const pg_endpoint *at)
{
    return at->family == PG_IP_FAMILY_NONE || pg_endpoint_is_loopback(at);
}

static pg_bytes address_key(const pg_endpoint *at)
{
    return pg_bytes_make(at->ip, at->family == PG_IP_FAMILY_V4 ? 4 : 8);
}

static pg_bytes subnet_key(const pg_endpoint *at)
{
    return pg_bytes_make(at->ip, at->family == PG_IP_FAMILY_V4 ? 3 : 6);
}

static pg_err account_get(pg_map *map, pg_bytes key, account **out_account)
{
    account *found = pg_map_get(map, key);
    if (found == NULL) {
        found = PG_NEW(account);
        if (found == NULL) {
            return PG_ERR_NOMEM;
        }
        if (pg_map_add(map, key, found) != PG_OK) {
            pg_mfree(found);
            return PG_ERR_NOMEM;
        }
    }
    *out_account = found;
    return PG_OK;
}

// Forget an account with nothing on it.
static void account_drop(pg_map *map, pg_bytes key, const account *unused, pg_time now)
{
    if (unused->connections == 0 && unused->streams == 0 &&
        unused->debt_ns <= now - unused->paid_at) {
        pg_mfree(pg_map_take(map, key));
    }
}

// Addresses are remembered for their debt after their last connection has gone: bounded, and swept when there are too many.
static pg_err addresses_sweep(pg_admission *admission, pg_time now)
{
    if (pg_map_count(&admission->addresses) < PG_NET_ADDRESSES_MAX) {
        return PG_OK;
    }
    pg_map_cursor cursor = {0};
    while (pg_map_next(&admission->addresses, &cursor)) {
        account_drop(&admission->addresses, cursor.key, cursor.value, now);
    }
    if (pg_map_count(&admission->addresses) >= PG_NET_ADDRESSES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "connections from %d addresses lately", PG_NET_ADDRESSES_MAX);
    }
    return PG_OK;
}

static pg_err rate_check(const pg_admission *admission, account *address, pg_time now)
{
    int64_t share = PG_SECONDS(1) / admission->limits.accepts_per_ip;
    int64_t paid = now - address->paid_at;
    address->debt_ns = address->debt_ns > paid ? address->debt_ns - paid : 0;
    address->paid_at = now;
    if (address->debt_ns + share > BURST_NS) {
        return pg_fail(PG_ERR_LIMIT, "more than %u connections a second from one address",
                       admission->limits.accepts_per_ip);
    }
    address->debt_ns += share;
    return PG_OK;
}

static pg_err stranger_accept(pg_admission *admission, const pg_endpoint *remote, pg_time now)
{
    PG_TRY(addresses_sweep(admission, now));
    account *address = NULL;
    account *subnet = NULL;
    PG_TRY(account_get(&admission->addresses, address_key(remote), &address));
    if (address->connections >= admission->limits.connections_per_ip) {
        return pg_fail(PG_ERR_LIMIT, "%u connections from one address", address->connections);
    }
    PG_TRY(account_get(&admission->subnets, subnet_key(remote), &subnet));
    pg_err err = rate_check(admission, address, now);
    if (err == PG_OK && subnet->connections >= admission->limits.connections_per_subnet) {
        err = pg_fail(PG_ERR_LIMIT, "%u connections from one subnet", subnet->connections);
    }
    if (err != PG_OK) {
        account_drop(&admission->subnets, subnet_key(remote), subnet, now);
        return err;
    }
    address->connections++;
    subnet->connections++;
    return PG_OK;
}

pg_err pg_admission_accept(pg_admission *admission, const pg_endpoint *remote, pg_time now)
{
    if (admission->connections >= admission->limits.connections) {
        admission->totals.refused_connections++;
        return pg_fail(PG_ERR_LIMIT, "%u connections in all", admission->connections);
    }
    if (!is_local(remote)) {
        pg_err err = stranger_accept(admission, remote, now);
        if (err != PG_OK) {
            admission->totals.refused_ip++;
            return err;
        }
    }
    admission->connections++;
    admission->totals.accepted++;
    return PG_OK;
}

pg_err pg_admission_dial(pg_admission *admission)
{
    if (admission->connections >= admission->limits.connections) {
        admission->totals.refused_connections++;
        return pg_fail(PG_ERR_LIMIT, "%u connections in all", admission->connections);
    }
    admission->connections++;
    return PG_OK;
}

void pg_admission_leave(pg_admission *admission, const pg_endpoint *remote)
{
    pg_assert(admission->connections > 0);
    admission->connections--;
    if (remote == NULL || is_local(remote)) {
        return;
    }
    account *address = pg_map_get(&admission->addresses, address_key(remote));
    account *subnet = pg_map_get(&admission->subnets, subnet_key(remote));
    pg_assert(address != NULL && subnet != NULL);
    address->connections--; // the account stays until its debt is paid: see addresses_sweep
    subnet->connections--;
    account_drop(&admission->subnets, subnet_key(remote), subnet, 0);
}

pg_err pg_admission_peer_join(pg_admission *admission, const pg_peer_id *peer)
{
    account *of_peer = NULL;
    PG_TRY(account_get(&admission->peers, pg_peer_id_bytes(peer), &of_peer));
    if (of_peer->connections >= admission->limits.connections_per_peer) {
        admission->totals.refused_peer++;
        return pg_fail(PG_ERR_LIMIT, "%u connections with one peer", of_peer->connections);
    }
    of_peer->connections++;
    return PG_OK;
}

void pg_admission_peer_leave(pg_admission *admission, const pg_peer_id *peer)
{
    account *of_peer = pg_map_get(&admission->peers, pg_peer_id_bytes(peer));
    pg_assert(of_peer != NULL && of_peer->connections > 0);
    of_peer->connections--;
    account_drop(&admission->peers, pg_peer_id_bytes(peer), of_peer, 0);
}

pg_err pg_admission_stream_open(pg_admission *admission, const pg_peer_id *peer)
{
    account *of_peer = pg_map_get(&admission->peers, pg_peer_id_bytes(peer));
    pg_assert(of_peer != NULL);
    if (admission->streams >= admission->limits.streams) {
        admission->totals.refused_streams++;
        return pg_fail(PG_ERR_LIMIT, "%u streams in all", admission->streams);
    }
    if (of_peer->streams >= admission->limits.streams_per_peer) {
        admission->totals.refused_streams++;
        return pg_fail(PG_ERR_LIMIT, "%u streams of one peer", of_peer->streams);
    }
    admission->streams++;
    of_peer->streams++;
    return PG_OK;
}

void pg_admission_stream_close(pg_admission *admission, const pg_peer_id *peer)
{
    account *of_peer = pg_map_get(&admission->peers, pg_peer_id_bytes(peer));
    pg_assert(of_peer != NULL && of_peer->streams > 0 && admission->streams > 0);
    admission->streams--;
    of_peer->streams--;
    account_drop(&admission->peers, pg_peer_id_bytes(peer), of_peer, 0);
}

static void accounts_free(pg_map *map)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(map, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(map);
}

void pg_admission_deinit(pg_admission *admission)
{
    accounts_free(&admission->addresses);
    accounts_free(&admission->subnets);
    accounts_free(&admission->peers);
}
