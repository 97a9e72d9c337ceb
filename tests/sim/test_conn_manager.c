// SPDX-License-Identifier: Apache-2.0
// Goal: managers keep their hosts between the marks and connected to the right peers, through crashes, partitions, floods of callers
// and peers that no longer answer; and they do not hammer peers that are gone. A list to begin with is used when few are there.
// Method: hosts with managers on a slow network; the script looks at their counters. Every seed is a run of its own.
#include "base/mem.h"
#include "net/bootstrap.h"
#include "net/conn_manager.h"
#include "net/mdns.h"
#include "net/ping.h"
#include "runtime/random.h"
#include "runtime/sim_world_priv.h"
#include "sim_test.h"

#define HOSTS 16
#define PORT 4417

/** One machine; its fiber owns `host`, `manager` and `mdns`. The script works on them only between its waits. */
typedef struct sim_host {
    pg_sim_machine *machine;
    pg_key seed;
    pg_peer_id id;
    pg_conn_marks marks;
    bool has_manager;
    bool has_mdns;
    pg_host *host;
    pg_conn_manager *manager;
    pg_mdns *mdns;
    bool stop;
} sim_host;

static sim_host hosts[HOSTS];

static void on_found(const pg_peer_id *peer, void *user)
{
    sim_host *self = user;
    pg_conn_manager_suggest(self->manager, peer);
}

/** What one start of a machine owns: a crashed one ends as a ghost, when the next may run already. */
typedef struct life {
    pg_identity identity;
    pg_host *host;
    pg_conn_manager *manager;
    pg_mdns *mdns;
} life;

static pg_err life_begin(life *own, sim_host *self)
{
    const uint8_t any[4] = {0};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    PG_TRY(pg_identity_init(&own->identity, &self->seed));
    const pg_host_config config = pg_host_config_default(&own->identity);
    PG_TRY(pg_host_new(&config, &own->host));
    PG_TRY(pg_host_listen(own->host, &listen));
    self->id = own->identity.peer_id;
    self->host = own->host;
    if (self->has_manager) {
        PG_TRY(pg_conn_manager_new(own->host, &self->marks, &own->manager));
        self->manager = own->manager;
    }
    if (self->has_mdns) {
        PG_TRY(pg_mdns_new(own->host, self->has_manager ? on_found : NULL, self, &own->mdns));
        self->mdns = own->mdns;
    }
    return PG_OK;
}

static pg_err host_main(void *arg)
{
    sim_host *self = arg;
    life own = {.host = NULL};
    pg_err err = life_begin(&own, self);
    while (err == PG_OK && !self->stop) {
        err = pg_sleep_until(pg_after(PG_MS(50)));
    }
    pg_fiber_shield(true);
    pg_mdns_free(&own.mdns);
    pg_conn_manager_free(&own.manager);
    pg_host_free(&own.host);
    pg_identity_deinit(&own.identity);
    pg_fiber_shield(false);
    return err;
}

static pg_err host_start(sim_host *self)
{
    self->stop = false;
    PG_TRY(pg_sim_machine_start(self->machine, "sim.host", host_main, self));
    return pg_sleep_until(pg_after(PG_MS(1)));
}

static pg_err hosts_begin(bool has_manager, bool has_mdns, uint32_t low, uint32_t high)
{
    memset(hosts, 0, sizeof(hosts));
    for (size_t i = 0; i < HOSTS; i++) {
        sim_host *self = &hosts[i];
        memset(self->seed.bytes, (int) i + 1, sizeof(self->seed.bytes));
        self->has_manager = has_manager || i == 0;
        self->has_mdns = has_mdns;
        self->marks = (pg_conn_marks){low, high, PG_SECONDS(20)};
        PG_TRY(pg_sim_machine_new(&self->machine));
        PG_TRY(host_start(self));
    }
    return PG_OK;
}

static pg_err hosts_end(void)
{
    for (size_t i = 0; i < HOSTS; i++) {
        hosts[i].stop = true;
    }
    for (size_t i = 0; i < HOSTS; i++) {
        PG_TRY(pg_sim_machine_join(hosts[i].machine, pg_after(PG_SECONDS(60))));
    }
    return PG_OK;
}

static pg_multiaddr addr_of(const sim_host *other)
{
    pg_endpoint at = pg_sim_machine_endpoint(other->machine);
    return pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_TCP, PORT);
}

/** What a fiber of one machine is to do with another. */
typedef struct errand {
    sim_host *self;
    sim_host *other;
    pg_err err;
    bool is_done;
} errand;

static pg_err errand_learn(void *arg)
{
    errand *job = arg;
    pg_multiaddr addr = addr_of(job->other);
    job->err =
        pg_host_learn(job->self->host, &job->other->id, &addr, PG_BOOK_SOURCE_SIGNED, PG_DAYS(1));
    job->is_done = true;
    return PG_OK;
}

static pg_err errand_want(void *arg)
{
    errand *job = arg;
    (void) errand_learn(arg);
    if (job->err == PG_OK) {
        job->err = pg_conn_manager_want(job->self->manager, &job->other->id);
    }
    return PG_OK;
}

static pg_err errand_connect(void *arg)
{
    errand *job = arg;
    pg_multiaddr addr = addr_of(job->other);
    job->err =
        pg_host_learn(job->self->host, &job->other->id, &addr, PG_BOOK_SOURCE_GIVEN, PG_DAYS(1));
    if (job->err == PG_OK) {
        job->err =
            pg_host_connect(job->self->host, &job->other->id, NULL, pg_after(PG_SECONDS(30)), NULL);
    }
    job->is_done = true;
    return PG_OK;
}

// Run it in a fiber of the machine, where alone sockets are.
static pg_err errand_run(pg_fiber_fn fn, sim_host *self, sim_host *other)
{
    errand job = {self, other, PG_OK, false};
    pg_scope scope;
    pg_scope_init(&scope);
    PG_TRY(pg_machine_spawn(&self->machine->base, &scope, "test.errand", fn, &job));
    PG_TRY(pg_scope_join(&scope));
    return job.err;
}

static bool are_connected(const sim_host *a, const sim_host *b)
{
    return pg_host_is_connected(a->host, &b->id);
}

// ---- kept peers ----

static pg_err kept_script(void *arg)
{
    (void) arg;
    PG_TRY(hosts_begin(false, false, 0, 2));
    sim_host *self = &hosts[0];
    sim_host *kept = &hosts[1];
    PG_TRY(errand_run(errand_want, self, kept));
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(10))));
    SIM_CHECK(are_connected(self, kept)); // although the low mark is 0

    // crashed, and back after a while
    pg_sim_machine_crash(kept->machine);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(5))));
    SIM_CHECK(!are_connected(self, kept));
    PG_TRY(host_start(kept));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(6)))); // the longest wait is 5 minutes
    SIM_CHECK(are_connected(self, kept));

    // cut off, and mended
    pg_sim_partition(self->machine, kept->machine, true);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(3))));
    SIM_CHECK(!are_connected(self, kept));
    pg_sim_partition(self->machine, kept->machine, false);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(6))));
    SIM_CHECK(are_connected(self, kept));

    // a flood of callers cannot displace it, and is trimmed; each is looked at, but not the machine's interfaces each time
    uint64_t looks = pg_conn_manager_get_stats(self->manager).network_looks;
    pg_time since = pg_now();
    for (size_t i = 2; i < HOSTS; i++) {
        PG_TRY(errand_run(errand_connect, &hosts[i], self));
    }
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(5))));
    looks = pg_conn_manager_get_stats(self->manager).network_looks - looks;
    SIM_CHECK((int64_t) looks <= (pg_now() - since) / PG_SECONDS(5) + 1);
    SIM_CHECK(pg_host_get_stats(self->host).connections > 2); // young ones are let be
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(2))));
    SIM_CHECK(pg_host_get_stats(self->host).connections == 2);
    SIM_CHECK(are_connected(self, kept));
    SIM_CHECK(pg_conn_manager_get_stats(self->manager).trimmed == HOSTS - 3);

    // wanted no more, and gone: it is not dialed any more
    pg_conn_manager_unwant(self->manager, &kept->id);
    kept->stop = true;
    PG_TRY(pg_sim_machine_join(kept->machine, pg_after(PG_SECONDS(60))));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(30))));
    pg_conn_manager_stats stats = pg_conn_manager_get_stats(self->manager);
    SIM_CHECK(stats.wanted == 0 && stats.lost == 0 && stats.dialing == 0);
    SIM_CHECK(stats.dials[PG_DIAL_REASON_LOST] <= PG_NET_MANAGER_REDIALS_MAX);
    return hosts_end();
}

static const pg_sim_config network = {
    .link = {.latency_ns = PG_MS(15), .jitter_ns = PG_MS(10), .loss_ppm = 20000},
    .events_max = 50000000,
};

static void test_conn_manager__kept_peer__is_met_again_and_never_let_go(void **state)
{
    (void) state;
    sim_seeds(&network, 3, kept_script, NULL);
}

// ---- known peers, below the low mark ----

static pg_err known_script(void *arg)
{
    (void) arg;
    PG_TRY(hosts_begin(false, false, 6, 10));
    sim_host *self = &hosts[0];
    for (size_t i = 1; i < HOSTS; i++) { // half of them are not there
        if (i % 2 == 0) {
            hosts[i].stop = true;
            PG_TRY(pg_sim_machine_join(hosts[i].machine, pg_after(PG_SECONDS(60))));
        }
        PG_TRY(errand_run(errand_learn, self, &hosts[i]));
    }
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(3))));
    pg_conn_manager_stats stats = pg_conn_manager_get_stats(self->manager);
    SIM_CHECK(stats.connected >= 6 && stats.connected <= 8);

    // all go: it looks for others, ever more rarely
    for (size_t i = 1; i < HOSTS; i += 2) {
        pg_sim_machine_crash(hosts[i].machine);
    }
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(30))));
    stats = pg_conn_manager_get_stats(self->manager);
    SIM_CHECK(stats.connected == 0 && stats.lost == 0);
    uint64_t before = pg_host_get_stats(self->host).dials;
    PG_TRY(pg_sleep_until(pg_after(PG_HOURS(1))));
    uint64_t in_an_hour = pg_host_get_stats(self->host).dials - before;
    SIM_CHECK(in_an_hour > 10 && in_an_hour < 400);
    for (size_t i = 1; i < HOSTS; i += 2) {
        PG_TRY(host_start(&hosts[i]));
    }
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(12))));
    SIM_CHECK(pg_conn_manager_get_stats(self->manager).connected >= 6);
    return hosts_end();
}

static void test_conn_manager__few_connected__known_peers_are_dialed(void **state)
{
    (void) state;
    sim_seeds(&network, 3, known_script, NULL);
}

// ---- finding each other ----

static pg_err between_marks(void)
{
    for (size_t i = 0; i < HOSTS; i++) {
        pg_conn_manager_stats stats = pg_conn_manager_get_stats(hosts[i].manager);
        SIM_CHECK(stats.connected >= 3 && stats.connected <= 9);
    }
    return PG_OK;
}

static uint64_t trimmed_total(void)
{
    uint64_t trimmed = 0;
    for (size_t i = 0; i < HOSTS; i++) {
        trimmed += pg_conn_manager_get_stats(hosts[i].manager).trimmed;
    }
    return trimmed;
}

static pg_err find_script(void *arg)
{
    (void) arg;
    PG_TRY(hosts_begin(true, true, 3, 9));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(3))));
    PG_TRY(between_marks());
    for (size_t i = 0; i < HOSTS; i += 4) {
        pg_sim_machine_crash(hosts[i].machine);
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(30))));
        PG_TRY(host_start(&hosts[i]));
    }
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(5))));
    PG_TRY(between_marks());
    uint64_t before = trimmed_total();
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(10))));
    SIM_CHECK(trimmed_total() - before <= HOSTS); // they have come to rest
    for (size_t i = 0; i < HOSTS; i++) {          // spare connections are gone
        pg_conn_manager_stats stats = pg_conn_manager_get_stats(hosts[i].manager);
        SIM_CHECK(pg_host_get_stats(hosts[i].host).connections == stats.connected);
    }
    return hosts_end();
}

static void test_conn_manager__with_mdns__all_come_between_the_marks(void **state)
{
    (void) state;
    sim_seeds(&network, 3, find_script, NULL);
}

// ---- judges, silence, spares ----

static uint32_t judge_last(const pg_peer_id *peer, void *user)
{
    (void) user;
    return pg_peer_id_equal(peer, &hosts[HOSTS - 1].id) ? 50 : 0;
}

static pg_err judge_script(void *arg)
{
    (void) arg;
    PG_TRY(hosts_begin(false, false, 0, 4));
    sim_host *self = &hosts[0];
    pg_conn_manager_set_judge(self->manager, judge_last, NULL);
    for (size_t i = HOSTS - 1; i > 0; i--) { // the useful one first, so that it is the longest idle
        PG_TRY(errand_run(errand_connect, &hosts[i], self));
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(2))));
    }
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(2))));
    SIM_CHECK(pg_conn_manager_get_stats(self->manager).connected == 4);
    SIM_CHECK(are_connected(self, &hosts[HOSTS - 1]));

    // useful, so met again, by the address it told
    pg_host_disconnect(hosts[HOSTS - 1].host, &self->id);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(2)))); // its farewell may get lost
    SIM_CHECK(are_connected(self, &hosts[HOSTS - 1]));
    SIM_CHECK(pg_conn_manager_get_stats(self->manager).dials[PG_DIAL_REASON_LOST] >= 1);

    // no more useful: no more met
    pg_conn_manager_set_judge(self->manager, NULL, NULL);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(15))));
    pg_host_disconnect(hosts[HOSTS - 1].host, &self->id);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(2))));
    SIM_CHECK(!are_connected(self, &hosts[HOSTS - 1]));
    return hosts_end();
}

static void test_conn_manager__judged_useful__stays_and_is_met_again(void **state)
{
    (void) state;
    sim_seeds(&network, 3, judge_script, NULL);
}

static pg_err never_answer(pg_net_stream_ctx *ctx)
{
    uint8_t byte = 0;
    size_t len = 1;
    while (len > 0) {
        PG_TRY(pg_stream_read(ctx->stream, pg_mut_bytes_make(&byte, 1), PG_FOREVER, &len));
    }
    return PG_OK;
}

static pg_err silence_script(void *arg)
{
    (void) arg;
    PG_TRY(hosts_begin(false, false, 0, 4));
    sim_host *self = &hosts[0];
    PG_TRY(errand_run(errand_want, self, &hosts[1]));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(50))));
    pg_conn_manager_stats stats = pg_conn_manager_get_stats(self->manager);
    SIM_CHECK(stats.pings >= 4 && stats.pings <= 11 && stats.pings_failed == 0);
    SIM_CHECK(stats.dials[PG_DIAL_REASON_KEPT] == 1);
    SIM_CHECK(pg_peer_book_get(pg_host_book(self->host), &hosts[1].id)->rtt_ns > PG_MS(20));

    // its program hangs, its muxer does not: the connection is made anew
    const pg_net_protocol mute = {PG_PING_ID, never_answer, NULL, 0};
    pg_host_unserve(hosts[1].host, PG_PING_ID);
    PG_TRY(pg_host_serve(hosts[1].host, &mute));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(20))));
    stats = pg_conn_manager_get_stats(self->manager);
    SIM_CHECK(stats.pings_failed >= 2 && stats.dials[PG_DIAL_REASON_KEPT] >= 2);
    return hosts_end();
}

static void test_conn_manager__silent_program__is_noticed(void **state)
{
    (void) state;
    sim_seeds(&network, 3, silence_script, NULL);
}

// ---- the list to begin with ----

static pg_err bootstrap_look(pg_bootstrap *bootstrap, sim_host *self)
{
    size_t count = 0;
    const pg_bootstrap_peer *peers = pg_bootstrap_peers(bootstrap, &count);
    SIM_CHECK(count == 5); // not itself

    // enough of them, and the health of all, the crashed one's too
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(5))));
    SIM_CHECK(pg_host_get_stats(self->host).peers == PG_NET_BOOTSTRAP_PEERS_MIN);
    for (size_t i = 0; i < count; i++) {
        SIM_CHECK(peers[i].checked_at > 0);
        SIM_CHECK(peers[i].health == (i == 2 ? PG_BOOTSTRAP_HEALTH_BAD : PG_BOOTSTRAP_HEALTH_GOOD));
        SIM_CHECK(i == 2 || peers[i].rtt_ns > 0);
    }
    // one is lost: the crashed one is back, and takes its place
    PG_TRY(host_start(&hosts[3]));
    pg_host_disconnect(self->host, &hosts[1].id);
    pg_sim_partition(self->machine, hosts[1].machine, true);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(15))));
    SIM_CHECK(pg_host_get_stats(self->host).peers == PG_NET_BOOTSTRAP_PEERS_MIN);
    SIM_CHECK(are_connected(self, &hosts[3]) && peers[2].health == PG_BOOTSTRAP_HEALTH_GOOD);
    SIM_CHECK(peers[0].health == PG_BOOTSTRAP_HEALTH_BAD);

    // others are there: the list is only looked at, and connections made for that end
    for (size_t i = 6; i < 12; i++) {
        errand other = {self, &hosts[i], PG_OK, false};
        PG_TRY(errand_connect(&other));
        PG_TRY(other.err);
    }
    pg_sim_partition(self->machine, hosts[1].machine, false);
    PG_TRY(pg_sleep_until(pg_after(PG_HOURS(1))));
    SIM_CHECK(peers[0].health == PG_BOOTSTRAP_HEALTH_GOOD && !are_connected(self, &hosts[1]));
    return PG_OK;
}

static pg_err bootstrap_main(void *arg)
{
    const errand *job = arg;
    sim_host *self = job->self;
    pg_multiaddr addrs[6];
    for (size_t i = 0; i < 6; i++) { // of the hosts 1 to 5, and its own
        const sim_host *other = &hosts[i == 5 ? 0 : i + 1];
        addrs[i] = addr_of(other);
        PG_TRY(pg_multiaddr_append(&addrs[i], PG_MULTIADDR_CODE_P2P, pg_peer_id_bytes(&other->id)));
    }
    pg_multiaddr nameless = addr_of(&hosts[1]);
    pg_bootstrap *bootstrap = NULL;
    SIM_CHECK(pg_bootstrap_new(self->host, &nameless, 1, &bootstrap) == PG_ERR_INVALID);
    PG_TRY(pg_bootstrap_new(self->host, addrs, 6, &bootstrap));
    pg_err err = bootstrap_look(bootstrap, self);
    pg_bootstrap_free(&bootstrap);
    return err;
}

static pg_err bootstrap_script(void *arg)
{
    (void) arg;
    PG_TRY(hosts_begin(false, false, 0, 20));
    pg_sim_machine_crash(hosts[3].machine);
    PG_TRY(errand_run(bootstrap_main, &hosts[0], NULL));
    return hosts_end();
}

static void test_bootstrap__few_connected__the_list_is_used(void **state)
{
    (void) state;
    sim_seeds(&network, 3, bootstrap_script, NULL);
}

// ---- stacks ----

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

static void test_conn_manager__stacks_painted__keep_a_quarter_free(void **state)
{
    (void) state;
    const pg_sim_config config = {.seed = 1, .measure_stacks = true};
    assert_int_equal(pg_sim_run(&config, stacks_script, NULL, NULL), PG_OK);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn_manager__kept_peer__is_met_again_and_never_let_go),
        cmocka_unit_test(test_conn_manager__few_connected__known_peers_are_dialed),
        cmocka_unit_test(test_conn_manager__with_mdns__all_come_between_the_marks),
        cmocka_unit_test(test_conn_manager__judged_useful__stays_and_is_met_again),
        cmocka_unit_test(test_conn_manager__silent_program__is_noticed),
        cmocka_unit_test(test_bootstrap__few_connected__the_list_is_used),
        cmocka_unit_test(test_conn_manager__stacks_painted__keep_a_quarter_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
