// SPDX-License-Identifier: Apache-2.0
// Goal: a thousand machines are cheap, and their run repeats.
// Method: each pings a random other by datagrams for a simulated hour; the round trips are counted.
#include "base/bytes.h"
#include "base/mem.h"
#include "runtime/random.h"
#include "runtime/socket.h"
#include "sim_test.h"

#define MACHINES 1000u
#define PORT 4001
#define PING_EVERY_NS PG_SECONDS(20)

/** The crowd and what it did. */
struct crowd {
    uint64_t answered;
    uint64_t missed;
};

struct node {
    struct crowd *crowd;
    pg_udp *udp;
    bool answered;
};

static pg_err ping_send(pg_udp *udp, const pg_endpoint *to, pg_bytes data)
{
    return pg_udp_send(udp, &(pg_udp_msg){.peer = *to, .data = data}, PG_FOREVER);
}

static pg_err receive_run(void *arg)
{
    struct node *node = arg;
    pg_udp_msg *msgs = pg_calloc(PG_UDP_BATCH_MAX, sizeof(*msgs)); // too much for a stack
    SIM_CHECK(msgs != NULL);
    pg_err err = PG_OK;
    while (err == PG_OK) {
        size_t count = 0;
        err = pg_udp_recv(node->udp, PG_FOREVER, msgs, &count);
        for (size_t i = 0; i < count && err == PG_OK; i++) {
            if (pg_bytes_equal(msgs[i].data, PG_BYTES_LIT("ping"))) {
                err = ping_send(node->udp, &msgs[i].peer, PG_BYTES_LIT("pong"));
            } else {
                node->answered = true;
            }
        }
    }
    pg_mfree(msgs);
    return err;
}

static pg_err ping_loop(struct node *node)
{
    // Not all in the same instant.
    PG_TRY(pg_sleep_until(pg_after((int64_t) pg_random_below((uint64_t) PING_EVERY_NS))));
    for (;;) {
        uint64_t number = 1 + pg_random_below(MACHINES);
        pg_endpoint to = {.family = PG_IP_FAMILY_V4,
                          .ip = {10, 0, (uint8_t) (number >> 8), (uint8_t) number},
                          .port = PORT};
        node->answered = false;
        PG_TRY(ping_send(node->udp, &to, PG_BYTES_LIT("ping")));
        PG_TRY(pg_sleep_until(pg_after(PING_EVERY_NS)));
        node->crowd->answered += node->answered;
        node->crowd->missed += !node->answered;
    }
}

static pg_err node_main(void *arg)
{
    struct node node = {.crowd = arg};
    pg_scope scope;
    pg_scope_init(&scope);
    PG_TRY(pg_udp_bind(&(pg_endpoint){.family = PG_IP_FAMILY_V4, .port = PORT}, &node.udp));
    pg_err err = pg_scope_spawn(&scope, "test.receive", receive_run, &node);
    if (err == PG_OK) {
        err = ping_loop(&node);
    }
    pg_scope_close(&scope);
    pg_udp_free(&node.udp);
    return err;
}

static pg_err crowd_script(void *arg)
{
    struct crowd *crowd = arg;
    *crowd = (struct crowd){0};
    for (unsigned i = 0; i < MACHINES; i++) {
        pg_sim_machine *machine = NULL;
        PG_TRY(pg_sim_machine_new(&machine));
        PG_TRY(pg_sim_machine_start(machine, "test.node", node_main, crowd));
    }
    PG_TRY(pg_sleep_until(pg_after(PG_HOURS(1))));
    uint64_t pings = crowd->answered + crowd->missed;
    SIM_CHECK(pings > MACHINES * 170 && pings < MACHINES * 181);
    SIM_CHECK(crowd->missed > pings / 100 && crowd->missed < pings * 3 / 100); // 1 % each way
    return PG_OK;
}

static pg_sim_stats crowd_stats(uint64_t seed)
{
    struct crowd crowd;
    pg_sim_stats stats = {0};
    pg_sim_config config = {
        .seed = seed, .link = {.latency_ns = PG_MS(40), .jitter_ns = PG_MS(20), .loss_ppm = 10000}};
    assert_int_equal(pg_sim_run(&config, crowd_script, &crowd, &stats), PG_OK);
    return stats;
}

static void test_crowd__thousand_machines_for_an_hour__is_cheap_and_repeats(void **state)
{
    (void) state;
    pg_sim_stats first = crowd_stats(1);
    pg_sim_stats again = crowd_stats(1);
    assert_true(first.virtual_ns >= PG_HOURS(1));
    assert_true(first.events > UINT64_C(1000000));
    assert_true(first.digest == again.digest);
    assert_true(first.events == again.events);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crowd__thousand_machines_for_an_hour__is_cheap_and_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
