// SPDX-License-Identifier: Apache-2.0
// One fiber looks at the interfaces now and then and starts a fiber a link, which owns the link's socket and ends when its
// interface is gone.
#include "net/mdns.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/mdns_link.h"
#include "net/mdns_msg.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "runtime/socket.h"

#define PORT 5353

/** An interface and a family. */
typedef struct mdns_link {
    pg_mdns *mdns;
    bool is_running;
    uint32_t number;
    pg_ip_family family;
    pg_endpoint group;
    pg_udp *udp;
    pg_mdns_pace pace;
    pg_mdns_rate messages;
} mdns_link;

struct pg_mdns {
    pg_host *host;
    pg_mdns_listener listener;
    void *user;
    pg_scope scope;
    char name[PG_MDNS_NAME_CHARS];
    pg_interface interfaces[PG_INTERFACES_MAX];
    size_t interface_count;
    mdns_link links[PG_NET_MDNS_LINKS_MAX];
    pg_mdns_rate peers;
    pg_mdns_stats stats;
    pg_mdns_msg msg;                          // the one being read
    pg_multiaddr ours[PG_NET_ADVERTISED_MAX]; // the same for answers
    pg_multiaddr told[PG_NET_ADVERTISED_MAX];
};

static pg_mdns_place place_of(const mdns_link *link)
{
    return (pg_mdns_place){link->mdns->interfaces, link->mdns->interface_count, link->number};
}

// ---- hearing ----

static void addr_hear(mdns_link *link, const pg_multiaddr *addr, const pg_endpoint *from)
{
    pg_mdns *mdns = link->mdns;
    pg_multiaddr bare = *addr;
    pg_peer_id peer;
    const pg_mdns_place place = place_of(link);
    if (!pg_peer_id_cut(&bare, &peer) || pg_peer_id_equal(&peer, pg_host_id(mdns->host))) {
        return;
    }
    if (!pg_mdns_addr_is_plausible(&bare, from, &place)) {
        mdns->stats.addrs_refused++;
        return;
    }
    if (pg_peer_book_get(pg_host_book(mdns->host), &peer) == NULL &&
        !pg_mdns_rate_take(&mdns->peers, PG_NET_MDNS_PEERS_PER_MINUTE, PG_MINUTES(1), pg_now())) {
        mdns->stats.peers_refused++;
        return;
    }
    pg_err err = pg_host_learn(mdns->host, &peer, &bare, PG_BOOK_SOURCE_HEARSAY,
                               PG_MS(PG_NET_MDNS_ADDR_TTL_MS));
    if (err == PG_OK) {
        mdns->stats.addrs_taken++;
        if (mdns->listener != NULL) {
            mdns->listener(&peer, mdns->user);
        }
    }
}

static void message_hear(mdns_link *link, const pg_udp_msg *udp_msg)
{
    pg_mdns *mdns = link->mdns;
    mdns->stats.messages++;
    if (udp_msg->peer.port != PORT) {
        return; // a resolver that wants its answer sent to it alone, or a forgery (RFC 6762, sections 6 and 6.7)
    }
    if (pg_mdns_msg_decode(udp_msg->data, &mdns->msg) != PG_OK) {
        mdns->stats.messages_bad++;
        return;
    }
    if (mdns->msg.asks) {
        pg_mdns_pace_question(&link->pace, pg_now(), pg_random_u64());
    }
    for (size_t i = 0; i < mdns->msg.addr_count; i++) {
        addr_hear(link, &mdns->msg.addrs[i], &udp_msg->peer);
    }
}

// ---- speaking ----

static pg_err bytes_send(const mdns_link *link, pg_bytes bytes)
{
    const pg_udp_msg msg = {.peer = link->group, .data = bytes};
    return pg_udp_send(link->udp, &msg, pg_after(PG_MS(PG_NET_MDNS_ANSWER_PAUSE_MS)));
}

static pg_err question_send(mdns_link *link)
{
    uint8_t space[64];
    size_t len = 0;
    pg_mdns_pace_asked(&link->pace, pg_now());
    PG_TRY(pg_mdns_question_encode(PG_MUT_BYTES_OF(space), &len));
    link->mdns->stats.questions_sent++;
    return bytes_send(link, pg_bytes_make(space, len));
}

static pg_err answer_send(mdns_link *link)
{
    pg_mdns *mdns = link->mdns;
    uint8_t space[PG_NET_MDNS_SEND_BYTES_MAX];
    size_t len = 0;
    const pg_mdns_place place = place_of(link);
    pg_mdns_pace_answered(&link->pace, pg_now());
    size_t count = pg_host_addrs(mdns->host, mdns->ours);
    count = pg_mdns_addrs_choose(mdns->ours, count, &place, mdns->told);
    const pg_mdns_answer answer = {
        .name = pg_str_make_len(mdns->name, sizeof(mdns->name)),
        .peer = pg_host_id(mdns->host),
        .addrs = mdns->told,
        .addr_count = count,
    };
    if (count == 0 || pg_mdns_answer_encode(&answer, PG_MUT_BYTES_OF(space), &len) != PG_OK) {
        return PG_OK; // nothing to tell here
    }
    mdns->stats.answers_sent++;
    return bytes_send(link, pg_bytes_make(space, len));
}

static pg_err due_send(mdns_link *link)
{
    if (pg_now() >= link->pace.ask_at) {
        PG_TRY(question_send(link));
    }
    return pg_now() >= link->pace.answer_at ? answer_send(link) : PG_OK;
}

// ---- links ----

static bool link_is_listed(const mdns_link *link)
{
    for (size_t i = 0; i < link->mdns->interface_count; i++) {
        const pg_interface *each = &link->mdns->interfaces[i];
        if (each->number == link->number && each->at.family == link->family) {
            return true;
        }
    }
    return false;
}

static pg_err link_turn(mdns_link *link)
{
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t count = 0;
    PG_TRY(due_send(link));
    pg_time until = pg_earlier(link->pace.ask_at, link->pace.answer_at);
    pg_err err = pg_udp_recv(link->udp, until, msgs, &count);
    if (err != PG_OK) {
        return err == PG_ERR_TIMEOUT ? PG_OK : err;
    }
    for (size_t i = 0; i < count; i++) {
        if (!pg_mdns_rate_take(&link->messages, PG_NET_MDNS_MESSAGES_PER_SECOND, PG_SECONDS(1),
                               pg_now())) {
            link->mdns->stats.messages_skipped++; // left in the queue they would be old news later
            continue;
        }
        message_hear(link, &msgs[i]);
    }
    return PG_OK;
}

static pg_err link_run(void *arg)
{
    mdns_link *link = arg;
    pg_err err = pg_udp_join(&link->group, link->number, &link->udp);
    link->pace = pg_mdns_pace_make(pg_now(), pg_random_u64());
    link->mdns->stats.links++;
    while (err == PG_OK && link_is_listed(link)) {
        err = link_turn(link);
    }
    if (err != PG_OK && err != PG_ERR_CANCELLED) {
        pg_log(PG_LOG_LEVEL_DEBUG, "net.mdns.link_failed", PG_LOG_U64("interface", link->number),
               PG_LOG_STR("error", pg_err_name(err)), PG_LOG_STR("detail", pg_error_detail(err)));
    }
    pg_udp_free(&link->udp);
    link->mdns->stats.links--;
    link->is_running = false;
    return err;
}

static void link_start(pg_mdns *mdns, const pg_interface *interface)
{
    mdns_link *place = NULL;
    for (size_t i = 0; i < PG_NET_MDNS_LINKS_MAX; i++) {
        mdns_link *each = &mdns->links[i];
        if (!each->is_running) {
            place = place == NULL ? each : place;
        } else if (each->number == interface->number && each->family == interface->at.family) {
            return;
        }
    }
    if (place == NULL) {
        return;
    }
    *place = (mdns_link){
        .mdns = mdns,
        .number = interface->number,
        .family = interface->at.family,
        .group = {.family = PG_IP_FAMILY_V4, .ip = {224, 0, 0, 251}, .port = PORT},
    };
    if (place->family == PG_IP_FAMILY_V6) {
        place->group = (pg_endpoint){
            .family = PG_IP_FAMILY_V6,
            .ip = {0xff, 0x02, [15] = 0xfb},
            .port = PORT,
            .scope_id = interface->number,
        };
    }
    place->is_running = pg_scope_spawn(&mdns->scope, "net.mdns_link", link_run, place) == PG_OK;
}

static pg_err look_run(void *arg)
{
    pg_mdns *mdns = arg;
    for (;;) {
        mdns->interface_count = pg_interfaces_list(mdns->interfaces);
        for (size_t i = 0; i < mdns->interface_count; i++) {
            const pg_interface *each = &mdns->interfaces[i];
            if (each->has_multicast && !each->is_loopback) {
                link_start(mdns, each);
            }
        }
        PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_NET_MDNS_LOOK_MS))));
    }
}

// ---- the whole ----

static void name_draw(char out_name[PG_MDNS_NAME_CHARS])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < PG_MDNS_NAME_CHARS; i++) {
        out_name[i] = letters[pg_random_below(sizeof(letters) - 1)];
    }
}

pg_err pg_mdns_new(pg_host *host, pg_mdns_listener listener, void *user, pg_mdns **out_mdns)
{
    pg_mdns *mdns = PG_NEW(pg_mdns);
    if (mdns == NULL) {
        return PG_ERR_NOMEM;
    }
    mdns->host = host;
    mdns->listener = listener;
    mdns->user = user;
    name_draw(mdns->name);
    pg_scope_init_tolerant(&mdns->scope);
    pg_err err = pg_scope_spawn(&mdns->scope, "net.mdns", look_run, mdns);
    if (err != PG_OK) {
        pg_mfree(mdns);
        return err;
    }
    *out_mdns = mdns;
    return PG_OK;
}

pg_mdns_stats pg_mdns_get_stats(const pg_mdns *mdns)
{
    return mdns->stats;
}

void pg_mdns_free(pg_mdns **mdns)
{
    pg_mdns *dead = *mdns;
    if (dead == NULL) {
        return;
    }
    pg_scope_close(&dead->scope);
    pg_mfree(dead);
    *mdns = NULL;
}
