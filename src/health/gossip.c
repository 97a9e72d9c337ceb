// SPDX-License-Identifier: Apache-2.0
#include "health/gossip.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/multiaddr.h"
#include "health/health_priv.h"
#include "health/opinion.h"
#include "health/record.h"
#include "runtime/random.h"
#include "runtime/time.h"

/** Peers whose records are put and looked up in a round. */
typedef struct gossip_list {
    pg_peer_id peers[PG_HEALTH_GOSSIP_MAX];
    size_t count;
} gossip_list;

static pg_dht_call call_make(void)
{
    return (pg_dht_call){.deadline = pg_after(PG_MS(PG_HEALTH_GOSSIP_MS))};
}

/** Those seen last: they are the ones that are dealt with. */
static void list_make(const pg_health *health, gossip_list *list)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&health->peers, &cursor)) {
        const pg_health_peer *peer = cursor.value;
        if (pg_health_history_total(&peer->row.history) < PG_HEALTH_JUDGE_AFTER) {
            continue;
        }
        if (list->count < PG_HEALTH_GOSSIP_MAX) {
            list->peers[list->count++] = peer->row.peer;
        } else { // any of them with the same probability
            list->peers[pg_random_below(PG_HEALTH_GOSSIP_MAX)] = peer->row.peer;
        }
    }
}

// ---- Saying

static pg_err record_make(const pg_health *health, const pg_health_peer *peer, pg_buf *out)
{
    uint64_t now_s = pg_health_now_s();
    pg_health_parts parts = pg_health_parts_of(&peer->row.history, now_s);
    const pg_health_record record = {
        .subject = peer->row.peer,
        .sequence = now_s > 0 ? now_s : 1,
        .hours = (uint16_t) pg_health_history_known(&peer->row.history),
        .uptime = (uint8_t) (parts.uptime + 0.5),
        .latency = (uint8_t) (parts.latency + 0.5),
        .availability = (uint8_t) (parts.availability + 0.5),
    };
    return pg_health_record_encode(health->gossip.device, &record, out);
}

static pg_err peer_share(const pg_health *health, const pg_health_peer *peer)
{
    pg_buf key PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf value PG_CLEANUP(pg_buf_deinit) = {0};
    const pg_multihash subject = pg_health_provider_key(&peer->row.peer);
    PG_TRY(pg_health_record_key(&peer->row.peer, &health->gossip.device->peer_id, &key));
    PG_TRY(record_make(health, peer, &value));
    pg_dht_call call = call_make();
    PG_TRY(pg_dht_pair_put(health->gossip.dhts, pg_buf_bytes(&key), pg_buf_bytes(&value), &call,
                           NULL));
    call = call_make();
    return pg_dht_pair_provide(health->gossip.dhts, pg_multihash_bytes(&subject), &call, NULL);
}

// ---- Hearing

/** Observers of one peer being found. */
typedef struct observers {
    const pg_health *health;
    const pg_peer_id *subject;
    pg_peer_id list[PG_HEALTH_OBSERVERS_MAX];
    size_t count;
} observers;

static bool on_provider(const pg_dht_found *found, void *user)
{
    observers *self = user;
    if (!pg_peer_id_equal(found->peer, &self->health->gossip.device->peer_id) &&
        !pg_peer_id_equal(found->peer, self->subject)) {
        self->list[self->count++] = *found->peer;
    }
    return self->count < PG_HEALTH_OBSERVERS_MAX;
}

/** The network of an observer, by an address at which it was reached or which it signed. */
static void network_of(const pg_health *health, const pg_peer_id *observer,
                       uint8_t out[PG_HEALTH_NETWORK_BYTES])
{
    pg_multiaddr_hop hop;
    memset(out, 0, PG_HEALTH_NETWORK_BYTES);
    const pg_book_peer *known = health->watch.host == NULL
                                    ? NULL
                                    : pg_peer_book_get(pg_host_book(health->watch.host), observer);
    if (known == NULL || known->addr_count == 0 ||
        pg_multiaddr_first_hop(&known->addrs[0].addr, &hop) != PG_OK) {
        return;
    }
    if (hop.host_code == PG_MULTIADDR_CODE_IP4) {
        out[0] = 4;
        memcpy(out + 1, hop.host.ptr, 3);
    } else if (hop.host_code == PG_MULTIADDR_CODE_IP6) {
        out[0] = 6;
        memcpy(out + 1, hop.host.ptr, 6);
    }
}

/** Get what one observer says. */
static pg_err opinion_get(const pg_health *health, const pg_peer_id *subject,
                          const pg_peer_id *observer, pg_health_opinion *out)
{
    pg_buf key PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf value PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_HEALTH_RECORD_BYTES_MAX};
    pg_health_record record;
    const pg_dht_call call = call_make();
    PG_TRY(pg_health_record_key(subject, observer, &key));
    PG_TRY(pg_dht_pair_get(health->gossip.dhts, pg_buf_bytes(&key), &call, &value));
    PG_TRY(pg_health_record_decode(pg_buf_bytes(&value), &record));
    uint64_t now_s = pg_health_now_s();
    if (now_s > record.sequence && now_s - record.sequence > PG_HEALTH_OPINION_S) {
        return pg_fail(PG_ERR_NOT_FOUND, "it is old");
    }
    const pg_health_peer *known = pg_health_find(health, observer);
    out->parts = (pg_health_parts){record.uptime, record.latency, record.availability};
    out->weight =
        pg_health_opinion_weight(known == NULL ? 0 : pg_health_history_known(&known->row.history),
                                 known == NULL ? 0 : known->score, record.hours);
    network_of(health, observer, out->network);
    return PG_OK;
}

static pg_err others_ask(const pg_health *health, const pg_peer_id *subject,
                         pg_health_others *out_others)
{
    observers found = {.health = health, .subject = subject};
    pg_health_opinion opinions[PG_HEALTH_OBSERVERS_MAX];
    size_t count = 0;
    const pg_multihash key = pg_health_provider_key(subject);
    const pg_dht_call call = call_make();
    PG_TRY(pg_dht_pair_find_providers(health->gossip.dhts, pg_multihash_bytes(&key), &call,
                                      on_provider, &found));
    for (size_t i = 0; i < found.count; i++) {
        pg_err err = opinion_get(health, subject, &found.list[i], &opinions[count]);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        count += err == PG_OK ? 1 : 0;
    }
    *out_others = pg_health_opinions_sum(opinions, count);
    return PG_OK;
}

// ---- What they say of us

static void self_take(pg_health *health, const pg_health_others *others)
{
    double score = pg_health_score(&others->parts);
    bool is_low = others->count >= PG_HEALTH_WARN_OBSERVERS && score < PG_HEALTH_WARN_SCORE;
    if (is_low && !health->is_self_low) {
        health->self_warnings++;
        pg_log(PG_LOG_LEVEL_WARN, "health.self.low", PG_LOG_U64("score", (uint64_t) score),
               PG_LOG_U64("observers", others->count),
               PG_LOG_U64("uptime", (uint64_t) others->parts.uptime),
               PG_LOG_U64("latency", (uint64_t) others->parts.latency),
               PG_LOG_U64("availability", (uint64_t) others->parts.availability));
    }
    health->self = *others;
    health->is_self_low = is_low;
}

// ---- Rounds

static pg_err peer_round(pg_health *health, const pg_peer_id *id)
{
    pg_health_others others = {.count = 0};
    pg_health_peer *peer = pg_health_find(health, id);
    if (peer == NULL) {
        return PG_OK;
    }
    PG_TRY(peer_share(health, peer));
    PG_TRY(others_ask(health, id, &others));
    peer = pg_health_find(health, id); // time has passed
    if (peer != NULL) {
        peer->others = others;
        pg_health_rejudge(health, peer, pg_health_now_s());
    }
    return PG_OK;
}

static pg_err self_round(pg_health *health)
{
    pg_health_others others = {.count = 0};
    pg_err err = others_ask(health, &health->gossip.device->peer_id, &others);
    if (err == PG_OK) {
        self_take(health, &others);
    }
    return err;
}

pg_err pg_health_gossip_round(pg_health *health)
{
    if (pg_dht_pair_is_off(health->gossip.dhts)) {
        return pg_fail(PG_ERR_INVALID, "health: this node takes part in no DHT");
    }
    gossip_list *list = PG_NEW(gossip_list);
    if (list == NULL) {
        return PG_ERR_NOMEM;
    }
    list_make(health, list);
    pg_err err = self_round(health);
    for (size_t i = 0; i < list->count && err != PG_ERR_CANCELLED; i++) {
        err = peer_round(health, &list->peers[i]);
    }
    pg_mfree(list);
    return err == PG_ERR_CANCELLED ? err : PG_OK;
}

/** Wait until there is somebody to ask, a ping's interval at a time. */
static pg_err peers_await(const pg_health *health)
{
    int64_t wait_ns = health->gossip.interval_ns / PG_HEALTH_GOSSIP_PINGS;
    do {
        PG_TRY(pg_sleep_until(pg_after(wait_ns)));
    } while (pg_dht_pair_is_off(health->gossip.dhts) ||
             pg_dht_pair_peers(health->gossip.dhts) == 0);
    return PG_OK;
}

// The first round is soon: who was away learns what others saw of that.
static pg_err gossip_run(void *arg)
{
    pg_health *health = arg;
    for (;;) {
        int64_t interval_ns = health->gossip.interval_ns;
        PG_TRY(peers_await(health));
        pg_err err = pg_health_gossip_round(health);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        // So nodes that start together do not go on asking together.
        int64_t jitter_ns = (int64_t) pg_random_below((uint64_t) interval_ns / 4 + 1);
        PG_TRY(pg_sleep_until(pg_after(interval_ns - jitter_ns)));
    }
}

pg_err pg_health_gossip(pg_health *health, const pg_health_gossip_config *config)
{
    health->gossip = *config;
    return config->interval_ns <= 0
               ? PG_OK
               : pg_scope_spawn(&health->watching, "health.gossip", gossip_run, health);
}
