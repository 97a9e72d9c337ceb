// SPDX-License-Identifier: Apache-2.0
// Goal: hosts on one link find each other, also when messages get lost and when one moves; who floods or lies on the link gains
// nothing: answers are spaced, few peers are taken up, none from elsewhere.
// Method: hosts with mDNS on a lossy link; one machine that speaks to the group by hand.
#include "base/mem.h"
#include "crypto/peer_id_text.h"
#include "net/host.h"
#include "net/mdns.h"
#include "net/mdns_msg.h"
#include "runtime/random.h"
#include "sim_test.h"

#define HOSTS 8
#define PORT 4417

/** One machine; the script reads `host` and `mdns`, which its fiber owns. */
typedef struct sim_host {
    pg_sim_machine *machine;
    pg_key seed;
    pg_peer_id id;
    pg_host *host;
    pg_mdns *mdns;
    uint32_t heard; // calls of the listener
    bool stop;
} sim_host;

static sim_host hosts[HOSTS];

static void on_found(const pg_peer_id *peer, void *user)
{
    sim_host *self = user;
    self->heard += !pg_peer_id_equal(peer, &self->id) ? 1U : 1000000U;
}

static pg_err host_main(void *arg)
{
    sim_host *self = arg;
    pg_identity identity = {0};
    const uint8_t any[4] = {0};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    PG_TRY(pg_identity_init(&identity, &self->seed));
    const pg_host_config config = pg_host_config_default(&identity);
    self->id = identity.peer_id;
    PG_TRY(pg_host_new(&config, &self->host));
    PG_TRY(pg_host_listen(self->host, &listen));
    PG_TRY(pg_mdns_new(self->host, on_found, self, &self->mdns));
    pg_err err = PG_OK;
    while (err == PG_OK && !self->stop) {
        err = pg_sleep_until(pg_after(PG_MS(50)));
    }
    pg_fiber_shield(true);
    pg_mdns_free(&self->mdns);
    pg_host_free(&self->host);
    pg_identity_deinit(&identity);
    pg_fiber_shield(false);
    return err;
}

static pg_err hosts_begin(size_t count)
{
    memset(hosts, 0, sizeof(hosts));
    for (size_t i = 0; i < count; i++) {
        memset(hosts[i].seed.bytes, (int) i + 1, sizeof(hosts[i].seed.bytes));
        PG_TRY(pg_sim_machine_new(&hosts[i].machine));
        PG_TRY(pg_sim_machine_start(hosts[i].machine, "sim.host", host_main, &hosts[i]));
    }
    return pg_sleep_until(pg_after(PG_MS(10)));
}

static pg_err hosts_end(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hosts[i].stop = true;
    }
    for (size_t i = 0; i < count; i++) {
        PG_TRY(pg_sim_machine_join(hosts[i].machine, pg_after(PG_SECONDS(60))));
    }
    return PG_OK;
}

static bool knows(const sim_host *self, const sim_host *other)
{
    pg_multiaddr addrs[PG_NET_BOOK_ADDRS_MAX];
    pg_time due = 0;
    pg_endpoint at = pg_sim_machine_endpoint(other->machine);
    pg_multiaddr want =
        pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    const pg_book_peer *peer = pg_peer_book_get(pg_host_book(self->host), &other->id);
    size_t count = peer == NULL ? 0 : pg_book_peer_dial_addrs(peer, pg_now(), true, addrs, &due);
    for (size_t i = 0; i < count; i++) {
        if (pg_multiaddr_equal(&addrs[i], &want)) {
            return true;
        }
    }
    return false;
}

static pg_err all_know_all(void)
{
    for (size_t i = 0; i < HOSTS; i++) {
        for (size_t j = 0; j < HOSTS; j++) {
            SIM_CHECK(i == j || knows(&hosts[i], &hosts[j]));
        }
    }
    return PG_OK;
}

static pg_err find_script(void *arg)
{
    (void) arg;
    PG_TRY(hosts_begin(HOSTS));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(2))));
    PG_TRY(all_know_all());
    for (size_t i = 0; i < HOSTS; i++) {
        pg_mdns_stats stats = pg_mdns_get_stats(hosts[i].mdns);
        SIM_CHECK(stats.links == 1 && stats.messages_bad == 0 && stats.addrs_refused == 0);
        SIM_CHECK(stats.questions_sent >= 6 && stats.questions_sent <= 9);
        SIM_CHECK(hosts[i].heard >= HOSTS - 1 && hosts[i].heard < 1000000);
    }
    // moved: with the next questions it is known at its new address
    pg_endpoint moved = pg_sim_machine_endpoint(hosts[0].machine);
    moved.ip[1] ^= 0x40U;
    pg_sim_machine_move(hosts[0].machine, &moved);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(5))));
    PG_TRY(all_know_all());
    return hosts_end(HOSTS);
}

static void test_mdns__lossy_link__all_find_all(void **state)
{
    (void) state;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(2), .jitter_ns = PG_MS(5), .loss_ppm = 150000}};
    sim_seeds(&config, 10, find_script, NULL);
}

// ---- A liar ----

/** What it sends. */
typedef struct liar {
    size_t messages;
    bool asks;
    const char *addr; // of the peers it invents; NULL = its own
} liar;

static pg_err lie_encode(const liar *self, pg_mut_bytes space, size_t *out_len)
{
    if (self->asks) {
        return pg_mdns_question_encode(space, out_len);
    }
    pg_peer_id peer = {.len = 38, .bytes = {0, 36, 8, 1, 18, 32}};
    pg_random_bytes(pg_mut_bytes_make(peer.bytes + 6, 32));
    pg_multiaddr addr;
    PG_TRY(pg_multiaddr_parse(pg_str_make(self->addr), &addr));
    const pg_mdns_answer answer = {PG_STR("abcdefghijklmnopqrstuvwxyz012345"), &peer, &addr, 1};
    return pg_mdns_answer_encode(&answer, space, out_len);
}

static pg_err liar_send(const liar *self, pg_udp *udp, const pg_endpoint *group)
{
    for (size_t i = 0; i < self->messages; i++) {
        uint8_t space[PG_NET_MDNS_SEND_BYTES_MAX];
        size_t len = 0;
        PG_TRY(lie_encode(self, PG_MUT_BYTES_OF(space), &len));
        const pg_udp_msg msg = {.peer = *group, .data = pg_bytes_make(space, len)};
        PG_TRY(pg_udp_send(udp, &msg, PG_FOREVER));
        PG_TRY(pg_sleep_until(pg_after(PG_MS(1))));
    }
    return PG_OK;
}

static pg_err liar_main(void *arg)
{
    const pg_endpoint group = {.family = PG_IP_FAMILY_V4, .ip = {224, 0, 0, 251}, .port = 5353};
    pg_udp *udp = NULL;
    PG_TRY(pg_udp_join(&group, 2, &udp));
    pg_err err = liar_send(arg, udp, &group);
    pg_udp_free(&udp);
    return err;
}

static pg_err liar_run(liar *self)
{
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(pg_sim_machine_start(machine, "sim.liar", liar_main, self));
    return pg_sim_machine_join(machine, PG_FOREVER);
}

static pg_err liar_script(void *arg)
{
    (void) arg;
    PG_TRY(hosts_begin(2));
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(10))));

    // ten seconds of questions: an answer a second
    pg_mdns_stats before = pg_mdns_get_stats(hosts[0].mdns);
    PG_TRY(liar_run(&(liar){.messages = 10000, .asks = true}));
    pg_mdns_stats after = pg_mdns_get_stats(hosts[0].mdns);
    SIM_CHECK(after.answers_sent - before.answers_sent >= 5);
    SIM_CHECK(after.answers_sent - before.answers_sent <= 12);
    SIM_CHECK(after.messages_skipped > 0); // more than anybody has to read

    // addresses from elsewhere: none is taken
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(2))));
    size_t known = pg_host_get_stats(hosts[0].host).book_peers;
    PG_TRY(liar_run(&(liar){.messages = 50, .addr = "/ip4/198.51.100.1/tcp/1"}));
    PG_TRY(liar_run(&(liar){.messages = 50, .addr = "/ip4/192.168.1.1/tcp/1"}));
    PG_TRY(liar_run(&(liar){.messages = 50, .addr = "/ip4/127.0.0.1/tcp/1"}));
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(2))));
    SIM_CHECK(pg_host_get_stats(hosts[0].host).book_peers == known);
    SIM_CHECK(pg_mdns_get_stats(hosts[0].mdns).addrs_refused > 100);

    // thousands of peers with addresses of the link: a few a minute
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(1))));
    PG_TRY(liar_run(&(liar){.messages = 5000, .addr = "/ip4/10.0.0.99/tcp/1"}));
    size_t grown = pg_host_get_stats(hosts[0].host).book_peers - known;
    SIM_CHECK(grown > 0 && grown <= PG_NET_MDNS_PEERS_PER_MINUTE);
    SIM_CHECK(pg_mdns_get_stats(hosts[0].mdns).peers_refused > 100);
    SIM_CHECK(knows(&hosts[0], &hosts[1]) && knows(&hosts[1], &hosts[0]));
    return hosts_end(2);
}

static void test_mdns__flood_and_lies__are_bounded(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.link = {.latency_ns = PG_MS(1)}}, 2, liar_script, NULL);
}

// ---- Stacks ----

static void stack_check(const pg_fiber_stats *stats, void *user)
{
    bool *is_fine = user;
    (void) printf("fiber %-24s stack %6zu high water %6zu\n", stats->kind, stats->stack_bytes,
                  stats->high_water_bytes);
    *is_fine = *is_fine && stats->high_water_bytes < stats->stack_bytes / 4 * 3;
}

static pg_err stacks_script(void *arg)
{
    bool is_fine = true;
    PG_TRY(find_script(arg));
    pg_fiber_stats_each(stack_check, &is_fine);
    SIM_CHECK(is_fine);
    return PG_OK;
}

static void test_mdns__stacks_painted__keep_a_quarter_free(void **state)
{
    (void) state;
    const pg_sim_config config = {.seed = 1, .measure_stacks = true};
    assert_int_equal(pg_sim_run(&config, stacks_script, NULL, NULL), PG_OK);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mdns__lossy_link__all_find_all),
        cmocka_unit_test(test_mdns__flood_and_lies__are_bounded),
        cmocka_unit_test(test_mdns__stacks_painted__keep_a_quarter_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
