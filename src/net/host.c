// SPDX-License-Identifier: Apache-2.0
#include "net/host.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/host_priv.h"
#include "net/ping.h"
#include "runtime/interfaces.h"
#include "runtime/random.h"

pg_host_config pg_host_config_default(const pg_identity *identity)
{
    return (pg_host_config){
        .identity = identity,
        .agent = "pangea",
        .limits = {.connections = 512,
                   .connections_per_peer = 4,
                   .connections_per_ip = 32,
                   .connections_per_subnet = 128,
                   .accepts_per_ip = 10,
                   .streams = 4096,
                   .streams_per_peer = 1024},
        .pending_max = 128,
        .memory_max_bytes = PG_NET_MEMORY_BYTES_MAX,
        .book_peers_max = 4096,
        .dial_timeout_ns = PG_SECONDS(10),
        .handshake_timeout_ns = PG_MS(PG_NET_UPGRADE_TIMEOUT_MS),
    };
}

pg_err pg_host_new(const pg_host_config *config, pg_host **out_host)
{
    pg_host *host = PG_NEW(pg_host);
    if (host == NULL) {
        return PG_ERR_NOMEM;
    }
    host->config = *config;
    host->pseudonyms = config->pseudonyms != NULL ? config->pseudonyms : &host->own_pseudonyms;
    host->admission.limits = config->limits;
    host->memory.max_bytes = config->memory_max_bytes;
    host->record.max_len = PG_NET_RECORD_BYTES_MAX;
    pg_random_bytes(PG_MUT_BYTES_OF(host->noise_static.bytes));
    host->upgrader = (pg_upgrader){
        .identity = config->identity,
        .noise_static = &host->noise_static,
        .swarm_key = config->network_key,
        .require_pq = config->require_pq,
        .is_null = config->is_null,
        .limits = pg_conn_limits_default(&host->memory),
    };
    pg_peer_book_init(&host->book, config->book_peers_max);
    pg_scope_init_tolerant(&host->scope);
    pg_scope_init_tolerant(&host->listening);
    pg_list_init(&host->conns);
    pg_list_init(&host->serving);
    pg_list_init(&host->pending);
    pg_waitq_init(&host->gone);
    pg_waitq_init(&host->changed);

    pg_err err = pg_identify_serve(host);
    if (err == PG_OK) {
        err = pg_ping_serve(host);
    }
    if (err == PG_OK) {
        err = pg_scope_spawn(&host->scope, "net.push", pg_identify_push_run, host);
    }
    if (err != PG_OK) {
        pg_host_free(&host);
        return err;
    }
    *out_host = host;
    return PG_OK;
}

void pg_host_set_limits(pg_host *host, const pg_host_config *config)
{
    host->admission.limits = config->limits;
    host->memory.max_bytes = config->memory_max_bytes;
    host->config.limits = config->limits;
    host->config.pending_max = config->pending_max;
    host->config.dial_timeout_ns = config->dial_timeout_ns;
    host->config.handshake_timeout_ns = config->handshake_timeout_ns;
    pg_host_quic_set_limits(host);
}

const pg_peer_id *pg_host_id(const pg_host *host)
{
    return &host->config.identity->peer_id;
}

void pg_host_peer_pseudonym(pg_host *host, const pg_peer_id *peer,
                            char out_text[PG_PSEUDONYM_TEXT_BYTES])
{
    pg_pseudonym_make(host->pseudonyms, pg_peer_id_bytes(peer), out_text);
}

void pg_host_pseudonym(pg_host *host, const pg_endpoint *endpoint,
                       char out_text[PG_PSEUDONYM_TEXT_BYTES])
{
    size_t len = endpoint->family == PG_IP_FAMILY_V4 ? 4 : sizeof(endpoint->ip);
    pg_pseudonym_make(host->pseudonyms, pg_bytes_make(endpoint->ip, len), out_text);
}

// ---- addresses ----

static bool addr_append(pg_multiaddr *addrs, size_t *count, const pg_multiaddr *addr)
{
    for (size_t i = 0; i < *count; i++) {
        if (pg_multiaddr_equal(&addrs[i], addr)) {
            return true;
        }
    }
    if (*count == PG_NET_ADVERTISED_MAX) {
        return false;
    }
    addrs[*count] = *addr;
    (*count)++;
    return true;
}

static bool is_any(pg_bytes ip)
{
    for (size_t i = 0; i < ip.len; i++) {
        if (ip.ptr[i] != 0) {
            return false;
        }
    }
    return true;
}

// "Any address" is nothing one could dial: tell those this machine has, of the same family.
static void any_append(const pg_multiaddr_hop *hop, pg_multiaddr *addrs, size_t *count)
{
    pg_endpoint local[PG_INTERFACES_MAX];
    size_t local_count = pg_interfaces(local);
    for (size_t i = 0; i < local_count; i++) {
        pg_bytes ip = pg_endpoint_ip(&local[i]);
        if (ip.len != hop->host.len || pg_ip_scope_of(ip) == PG_IP_SCOPE_LINK_LOCAL) {
            continue;
        }
        pg_multiaddr addr = pg_multiaddr_make(ip, hop->transport, hop->port);
        (void) addr_append(addrs, count, &addr);
    }
}

size_t pg_host_addrs(const pg_host *host, pg_multiaddr out_addrs[PG_NET_ADVERTISED_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < host->announced_count; i++) {
        (void) addr_append(out_addrs, &count, &host->announced[i]);
    }
    for (size_t i = 0; i < host->listen_count; i++) {
        pg_multiaddr_hop hop;
        const pg_multiaddr *addr = &host->listens[i].addr;
        if (pg_multiaddr_first_hop(addr, &hop) == PG_OK && is_any(hop.host)) {
            any_append(&hop, out_addrs, &count);
        } else {
            (void) addr_append(out_addrs, &count, addr);
        }
    }
    return count;
}

void pg_host_announce(pg_host *host, const pg_multiaddr *addrs, size_t count)
{
    host->announced_count = pg_min_size(count, PG_NET_ADVERTISED_MAX);
    for (size_t i = 0; i < host->announced_count; i++) {
        pg_multihash peer;
        host->announced[i] = addrs[i];
        (void) pg_multiaddr_cut_peer(&host->announced[i], &peer);
    }
    pg_host_note_change(host);
    pg_host_emit(host, PG_HOST_EVENT_ADDRESSES, NULL);
}

void pg_host_note_change(pg_host *host)
{
    pg_buf_clear(&host->record);
    host->is_changed = true;
    (void) pg_waitq_wake_one(&host->changed);
}

// ---- protocols ----

static pg_err protocol_add(pg_host *host, const pg_net_protocol *protocol, bool is_unlisted)
{
    pg_net_protocol *place = NULL;
    pg_assert(strlen(protocol->id) <= PG_NET_PROTOCOL_BYTES_MAX);
    for (size_t i = 0; i < PG_NET_PROTOCOLS_MAX; i++) {
        pg_net_protocol *each = &host->protocols[i];
        if (each->id == NULL) {
            place = place == NULL ? each : place;
        } else if (strcmp(each->id, protocol->id) == 0) {
            return pg_fail(PG_ERR_EXISTS, "%s is served already", protocol->id);
        }
    }
    if (place == NULL) {
        return pg_fail(PG_ERR_LIMIT, "%d protocols are served already", PG_NET_PROTOCOLS_MAX);
    }
    *place = *protocol;
    host->is_unlisted[place - host->protocols] = is_unlisted;
    pg_host_note_change(host);
    return PG_OK;
}

pg_err pg_host_serve(pg_host *host, const pg_net_protocol *protocol)
{
    return protocol_add(host, protocol, false);
}

pg_err pg_host_serve_unlisted(pg_host *host, const pg_net_protocol *protocol)
{
    return protocol_add(host, protocol, true);
}

void pg_host_unserve(pg_host *host, const char *id)
{
    for (size_t i = 0; i < PG_NET_PROTOCOLS_MAX; i++) {
        if (host->protocols[i].id != NULL && strcmp(host->protocols[i].id, id) == 0) {
            host->protocols[i] = (pg_net_protocol){0};
            pg_host_note_change(host);
        }
    }
}

/** False when no handler of the protocol runs. */
static bool served_reset(pg_host *host, const char *id)
{
    bool found = false;
    for (pg_list *node = host->serving.next; node != &host->serving; node = node->next) {
        const pg_host_served *served = PG_LIST_OBJECT(node, pg_host_served, node);
        if (strcmp(served->protocol, id) == 0) {
            pg_stream_reset(served->stream);
            found = true;
        }
    }
    return found;
}

void pg_host_withdraw(pg_host *host, const char *id)
{
    pg_host_unserve(host, id);
    while (served_reset(host, id)) {
        pg_waitq_wait_hard(&host->gone);
    }
}

// ---- events and listings ----

pg_err pg_host_watch(pg_host *host, pg_host_listener listener, void *user)
{
    for (size_t i = 0; i < PG_NET_LISTENERS_MAX; i++) {
        if (host->listeners[i].fn == NULL) {
            host->listeners[i].fn = listener;
            host->listeners[i].user = user;
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_LIMIT, "%d listeners already", PG_NET_LISTENERS_MAX);
}

void pg_host_unwatch(pg_host *host, pg_host_listener listener, void *user)
{
    for (size_t i = 0; i < PG_NET_LISTENERS_MAX; i++) {
        if (host->listeners[i].fn == listener && host->listeners[i].user == user) {
            host->listeners[i].fn = NULL;
            host->listeners[i].user = NULL;
            return;
        }
    }
}

static size_t peer_connections(const pg_host *host, const pg_peer_id *peer)
{
    size_t count = 0;
    for (pg_list *node = host->conns.next; node != &host->conns; node = node->next) {
        const pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        count += !entry->is_ending && pg_peer_id_equal(&entry->peer, peer) ? 1U : 0U;
    }
    return count;
}

void pg_host_emit(pg_host *host, pg_host_event_kind kind, const pg_host_entry *entry)
{
    pg_host_event event = {.kind = kind};
    if (entry != NULL) {
        event.peer = &entry->peer;
        event.conn = entry->id;
        event.peer_connections = peer_connections(host, &entry->peer);
    }
    for (size_t i = 0; i < PG_NET_LISTENERS_MAX; i++) {
        if (host->listeners[i].fn != NULL) {
            host->listeners[i].fn(&event, host->listeners[i].user);
        }
    }
}

pg_id pg_host_conn_best(const pg_host *host, const pg_peer_id *peer)
{
    const pg_host_entry *entry = pg_host_entry_best(host, peer);
    return entry == NULL ? 0 : entry->id;
}

bool pg_host_is_connected(const pg_host *host, const pg_peer_id *peer)
{
    return peer_connections(host, peer) > 0;
}

static pg_host_conn conn_describe(const pg_host_entry *entry)
{
    pg_host_conn conn = {
        .id = entry->id,
        .is_identified = entry->identify_state == PG_IDENTIFY_STATE_KNOWN,
        .active_at = entry->active_at,
        .observed_addr = pg_multiaddr_bytes(&entry->observed),
    };
    pg_conn_get_info(entry->conn, &conn.info);
    return conn;
}

pg_err pg_host_conn_get(const pg_host *host, pg_id conn, pg_host_conn *out_conn)
{
    const pg_host_entry *entry = pg_host_entry_get(host, conn);
    if (entry == NULL) {
        return pg_fail(PG_ERR_NOT_FOUND, "the connection is no more");
    }
    *out_conn = conn_describe(entry);
    return PG_OK;
}

void pg_host_conns_each(const pg_host *host, void (*each)(const pg_host_conn *conn, void *user),
                        void *user)
{
    for (pg_list *node = host->conns.next; node != &host->conns; node = node->next) {
        const pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        if (!entry->is_ending) {
            pg_host_conn conn = conn_describe(entry);
            each(&conn, user);
        }
    }
}

pg_host_stats pg_host_get_stats(const pg_host *host)
{
    pg_host_stats stats = host->stats;
    stats.connections = host->admission.connections;
    stats.peers = (uint32_t) pg_map_count(&host->admission.peers);
    stats.quic = pg_host_quic_stats(host);
    stats.pending = host->pending_count + stats.quic.pending;
    stats.streams = host->admission.streams;
    stats.memory_bytes = host->memory.used_bytes;
    stats.book_peers = pg_map_count(&host->book.peers);
    stats.admission = host->admission.totals;
    return stats;
}

// ---- the book ----

pg_peer_book *pg_host_book(pg_host *host)
{
    return &host->book;
}

pg_err pg_host_learn(pg_host *host, const pg_peer_id *peer, const pg_multiaddr *addr,
                     pg_book_source source, int64_t ttl_ns)
{
    pg_multiaddr bare = *addr;
    pg_multihash named;
    if (pg_multiaddr_cut_peer(&bare, &named) &&
        !pg_bytes_equal(pg_multihash_bytes(&named), pg_peer_id_bytes(peer))) {
        return pg_fail(PG_ERR_INVALID, "the address is of another peer");
    }
    pg_book_peer *known = NULL;
    PG_TRY(pg_peer_book_add(&host->book, peer, pg_now(), &known));
    return pg_book_peer_add_addr(known, &bare, source, pg_after(ttl_ns), pg_now());
}

pg_err pg_host_keep(pg_host *host, const pg_peer_id *peer)
{
    pg_book_peer *known = NULL;
    PG_TRY(pg_peer_book_add(&host->book, peer, pg_now(), &known));
    pg_book_peer_pin(known);
    known->keeps++;
    return PG_OK;
}

void pg_host_unkeep(pg_host *host, const pg_peer_id *peer)
{
    pg_book_peer *known = pg_peer_book_get(&host->book, peer);
    if (known != NULL && known->keeps > 0) {
        known->keeps--;
        pg_book_peer_unpin(known);
    }
}

// ---- the end ----

// Sums what has moved over connections that have streams in use; false when there are none.
static bool is_busy(const pg_host *host, uint64_t *out_bytes)
{
    bool is_busy = false;
    *out_bytes = 0;
    for (pg_list *node = host->conns.next; node != &host->conns; node = node->next) {
        const pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        pg_conn_info info;
        pg_conn_get_info(entry->conn, &info);
        if (!entry->is_ending && (entry->serving > 0 || info.streams_out > 0)) {
            is_busy = true;
            *out_bytes += info.bytes_in + info.bytes_out;
        }
    }
    return is_busy;
}

// Let streams finish over which something moves. Others wait for a request that may never come, as those of a DHT and of Bitswap do for minutes.
static void drain(pg_host *host, pg_time deadline)
{
    uint64_t moved = 0;
    uint64_t before = 0;
    pg_time moved_at = pg_now();
    while (pg_now() < deadline && is_busy(host, &moved)) {
        if (moved != before) {
            before = moved;
            moved_at = pg_now();
        } else if (pg_now() - moved_at >= PG_MS(PG_NET_DRAIN_QUIET_MS)) {
            return;
        }
        // Streams that others opened end by themselves; nobody wakes us for ours, so look again now and then.
        pg_time again = pg_earlier(deadline, pg_after(PG_MS(PG_NET_DRAIN_LOOK_MS)));
        if (pg_waitq_wait(&host->gone, again) == PG_ERR_CANCELLED) {
            return;
        }
    }
}

// Tell one peer that we go, and wait until it has heard.
static pg_err farewell_run(void *arg)
{
    pg_host_entry *entry = arg;
    pg_err err = pg_conn_close(entry->conn, pg_after(PG_MS(PG_NET_FAREWELL_MS)));
    pg_host_entry_unuse(entry);
    return err;
}

void pg_host_close(pg_host *host, pg_time deadline)
{
    host->state = PG_HOST_STATE_DRAINING;
    pg_scope_close(&host->listening);
    pg_host_quic_stop(host);
    drain(host, deadline);
    pg_scope farewells;
    pg_scope_init_tolerant(&farewells);
    for (pg_list *node = host->conns.next; node != &host->conns; node = node->next) {
        pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        if (entry->is_ending) {
            continue;
        }
        pg_host_entry_use(entry);
        if (pg_scope_spawn(&farewells, "net.farewell", farewell_run, entry) != PG_OK) {
            pg_host_entry_unuse(entry);
        }
    }
    pg_ignore(pg_scope_join(&farewells), "a peer that does not listen is left without a farewell");
    pg_scope_close(&host->scope);
}

void pg_host_free(pg_host **host)
{
    pg_host *dead = *host;
    if (dead == NULL) {
        return;
    }
    dead->state = PG_HOST_STATE_DRAINING;
    pg_scope_close(&dead->listening);
    pg_scope_close(&dead->scope);
    pg_host_quic_free(dead);
    for (size_t i = 0; i < dead->listen_count; i++) {
        pg_listener_free(&dead->listens[i].listener);
    }
    pg_map_deinit(&dead->dials);
    pg_slots_deinit(&dead->entries);
    pg_buf_deinit(&dead->record);
    pg_peer_book_deinit(&dead->book);
    pg_admission_deinit(&dead->admission);
    pg_key_wipe(&dead->noise_static);
    pg_pseudonyms_deinit(&dead->own_pseudonyms);
    pg_mfree(dead);
    *host = NULL;
}
