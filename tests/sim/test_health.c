// SPDX-License-Identifier: Apache-2.0
// Goal: the health book is there again after a stop, and after a crash but for the last minute; it stays within its bounds; barred peers are not
//       forgotten; who is fit comes first more often, and nobody never.
// Method: a machine with a book in a sealed database, stopped or crashed and started again.
#include "health/health.h"
#include "health/watch.h"
#include "net/host.h"
#include "runtime/time.h"
#include "sim_test.h"

static const pg_key db_key = {.bytes = {3}};

/** One life of a machine: what it does with the book, once it is loaded. */
typedef struct life {
    pg_err (*task)(struct life *self);
    pg_db *db;
    pg_health *health;
    bool is_saved;
} life;

static pg_err life_main(void *arg)
{
    life *self = arg;
    const char *const steps[] = {pg_health_schema_1};
    const pg_db_schema schema = {steps, 1};
    PG_TRY(pg_db_open("/db", &db_key, &schema, &self->db));
    const pg_health_config config = {.db = self->db};
    pg_err err = pg_health_open(&config, &self->health);
    if (err == PG_OK) {
        err = self->task(self);
    }
    pg_fiber_shield(true);
    pg_health_close(&self->health);
    pg_db_close(&self->db);
    pg_fiber_shield(false);
    return err;
}

static pg_err live(pg_sim_machine *machine, pg_err (*task)(life *))
{
    life self = {.task = task};
    PG_TRY(pg_sim_machine_start(machine, "sim.life", life_main, &self));
    return pg_sim_machine_join(machine, PG_FOREVER);
}

static pg_peer_id invented(uint32_t number)
{
    pg_peer_id peer = {.len = 38, .bytes = {0, 36, 8, 1, 18, 32}};
    memcpy(peer.bytes + 6, &number, sizeof(number));
    return peer;
}

static void note(life *self, uint32_t number, pg_health_kind kind, pg_bytes proof)
{
    pg_peer_id peer = invented(number);
    const pg_health_observation seen = {
        .peer = &peer, .kind = kind, .rtt_ns = PG_MS(20), .evidence = proof};
    pg_health_note(self->health, &seen);
}

static bool report_of(const life *self, uint32_t number, pg_health_report *out)
{
    pg_peer_id peer = invented(number);
    return pg_health_get(self->health, &peer, out);
}

static bool is_allowed(const life *self, uint32_t number)
{
    pg_peer_id peer = invented(number);
    return pg_health_allows(self->health, &peer);
}

// ---- there and back

static pg_err task_see(life *self)
{
    for (unsigned i = 0; i < 36; i++) {
        note(self, 1, PG_HEALTH_PING_OK, PG_BYTES_EMPTY);
        note(self, 2, PG_HEALTH_PING_FAILED, PG_BYTES_EMPTY);
    }
    for (unsigned i = 0; i < 40; i++) {
        note(self, 3, PG_HEALTH_AUDIT_FAILED, PG_BYTES_LIT("ten signed answers"));
    }
    SIM_CHECK(is_allowed(self, 1) && !is_allowed(self, 2) && !is_allowed(self, 3));
    SIM_CHECK(is_allowed(self, 4)); // nothing is known of it
    return PG_OK;
}

static void count_evidence(const pg_health_evidence *evidence, void *user)
{
    unsigned *counts = user;
    if (evidence->state == PG_HEALTH_STATE_BARRED) {
        counts[1]++;
    } else if (pg_bytes_equal(evidence->proof, PG_BYTES_LIT("ten signed answers"))) {
        counts[0]++;
    }
}

static pg_err task_remember(life *self)
{
    pg_health_report report;
    unsigned counts[2] = {0};
    SIM_CHECK(report_of(self, 1, &report));
    SIM_CHECK(report.counts[PG_HEALTH_PING_OK] == 36);
    SIM_CHECK(report.judgement.state == PG_HEALTH_STATE_GOOD);
    SIM_CHECK(report.rtt_ns == PG_MS(20));
    SIM_CHECK(report_of(self, 2, &report));
    SIM_CHECK(report.judgement.state == PG_HEALTH_STATE_BARRED);
    SIM_CHECK(report.judgement.reason == PG_HEALTH_REASON_SCORE);
    SIM_CHECK(!is_allowed(self, 2) && !is_allowed(self, 3));
    pg_peer_id peer = invented(3);
    PG_TRY(pg_health_evidence_each(self->health, &peer, count_evidence, counts));
    SIM_CHECK(counts[0] + counts[1] == PG_HEALTH_EVIDENCE_MAX);
    SIM_CHECK(counts[0] >= PG_HEALTH_EVIDENCE_MAX - 1);
    SIM_CHECK(pg_health_get_stats(self->health).peers == 3);
    SIM_CHECK(pg_health_get_stats(self->health).barred == 2);
    return PG_OK;
}

static pg_err script_stop(void *arg)
{
    pg_sim_machine *machine = NULL;
    (void) arg;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(live(machine, task_see));
    return live(machine, task_remember);
}

static void test_close__open_again__all_is_there(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 5, script_stop, NULL);
}

// ---- crash

static pg_err task_see_and_wait(life *self)
{
    PG_TRY(task_see(self));
    PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_HEALTH_SAVE_MS + 5000))));
    self->is_saved = true;
    note(self, 9, PG_HEALTH_PING_OK, PG_BYTES_EMPTY); // is lost
    return pg_sleep_until(PG_FOREVER);
}

static pg_err script_crash(void *arg)
{
    pg_sim_machine *machine = NULL;
    life self = {.task = task_see_and_wait};
    (void) arg;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(pg_sim_machine_start(machine, "sim.life", life_main, &self));
    while (!self.is_saved) {
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1))));
    }
    pg_sim_machine_crash(machine);
    return live(machine, task_remember);
}

static void test_crash__open_again__the_last_minute_is_lost(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, SIM_SEEDS_DEFAULT, script_crash, NULL);
}

// ---- bounds

static pg_err task_crowd(life *self)
{
    PG_TRY(task_see(self));
    for (uint32_t i = 100; i < 100 + 4 * PG_HEALTH_PEERS_MAX; i++) {
        note(self, i, PG_HEALTH_PING_OK, PG_BYTES_EMPTY);
        if (i % 32 == 0) {
            PG_TRY(pg_health_save(self->health));
            PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1))));
        }
    }
    return PG_OK;
}

static pg_err task_count(life *self)
{
    // What is minor brings nobody into a full book, and is noted of those who are in it.
    const pg_peer_id peers[2] = {invented(70000), invented(2)};
    pg_health_report before;
    pg_health_report after;
    SIM_CHECK(report_of(self, 2, &before));
    for (size_t i = 0; i < 2; i++) {
        const pg_health_observation seen = {.peer = &peers[i],
                                            .kind = PG_HEALTH_PING_FAILED,
                                            .rtt_ns = PG_HEALTH_RTT_UNKNOWN,
                                            .is_minor = true};
        pg_health_note(self->health, &seen);
    }
    SIM_CHECK(!pg_health_get(self->health, &peers[0], &after));
    SIM_CHECK(report_of(self, 2, &after));
    SIM_CHECK(after.counts[PG_HEALTH_PING_FAILED] == before.counts[PG_HEALTH_PING_FAILED] + 1);
    SIM_CHECK(pg_health_get_stats(self->health).peers == PG_HEALTH_PEERS_MAX);
    SIM_CHECK(pg_health_get_stats(self->health).barred == 2);
    SIM_CHECK(!is_allowed(self, 2) && !is_allowed(self, 3));
    return PG_OK;
}

static pg_err script_crowd(void *arg)
{
    pg_sim_machine *machine = NULL;
    (void) arg;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(live(machine, task_crowd));
    return live(machine, task_count);
}

static void test_note__more_peers_than_fit__barred_ones_stay(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, script_crowd, NULL);
}

// ---- pings

static size_t known_dead(pg_peer_id *out_peers, size_t max, void *user)
{
    (void) max;
    (void) user;
    out_peers[0] = invented(50);
    out_peers[1] = invented(51);
    return 2;
}

// Nobody answers, and no connection stands: that says something of this node.
static pg_err task_alone(life *self)
{
    const pg_key seed = {.bytes = {1}};
    pg_identity identity = {0};
    pg_host *host = NULL;
    PG_TRY(pg_identity_init(&identity, &seed));
    const pg_host_config config = pg_host_config_default(&identity);
    PG_TRY(pg_host_new(&config, &host));
    const pg_health_watch_config watch = {.host = host, .known = known_dead};
    PG_TRY(pg_health_watch(self->health, &watch));
    for (unsigned i = 0; i < 20; i++) {
        PG_TRY(pg_health_round(self->health));
    }
    pg_health_stats stats = pg_health_get_stats(self->health);
    pg_health_unwatch(self->health);
    pg_host_free(&host);
    pg_identity_deinit(&identity);
    SIM_CHECK(stats.rounds_total == 20 && stats.rounds_lost_total == 20);
    SIM_CHECK(stats.peers == 0 && stats.observations_total == 0);
    SIM_CHECK(pg_health_round(self->health) == PG_ERR_INVALID);
    return PG_OK;
}

static pg_err script_alone(void *arg)
{
    pg_sim_machine *machine = NULL;
    (void) arg;
    PG_TRY(pg_sim_machine_new(&machine));
    return live(machine, task_alone);
}

static void test_round__nobody_answers__nothing_is_noted(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 3, script_alone, NULL);
}

// ---- rank

static pg_err task_rank(life *self)
{
    unsigned first = 0;
    const pg_peer_id fit = invented(1);
    const pg_peer_id stranger = invented(5);
    PG_TRY(task_see(self));
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t a = pg_health_rank(self->health, &fit, pg_sim_random_below(UINT64_MAX));
        uint64_t b = pg_health_rank(self->health, &stranger, pg_sim_random_below(UINT64_MAX));
        first += a > b ? 1 : 0;
    }
    pg_health_report report;
    SIM_CHECK(report_of(self, 1, &report));
    double odds = report.score / (100 - report.score);
    double share = odds / (odds + 1); // a stranger's odds are 1
    SIM_CHECK(first > 10000 * share - 300 && first < 10000 * share + 300);
    SIM_CHECK(pg_health_rank(NULL, &fit, 77) == 77);
    SIM_CHECK(pg_health_rank(self->health, &fit, UINT64_MAX) >=
              pg_health_rank(self->health, &fit, UINT64_MAX - 1));
    SIM_CHECK(pg_health_rank(self->health, &fit, 0) < pg_health_rank(self->health, &fit, 1U << 30));
    return PG_OK;
}

static pg_err script_rank(void *arg)
{
    pg_sim_machine *machine = NULL;
    (void) arg;
    PG_TRY(pg_sim_machine_new(&machine));
    return live(machine, task_rank);
}

static void test_rank__fit_and_unknown__share_by_their_odds(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 3, script_rank, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close__open_again__all_is_there),
        cmocka_unit_test(test_crash__open_again__the_last_minute_is_lost),
        cmocka_unit_test(test_note__more_peers_than_fit__barred_ones_stay),
        cmocka_unit_test(test_round__nobody_answers__nothing_is_noted),
        cmocka_unit_test(test_rank__fit_and_unknown__share_by_their_odds),
    };
    sim_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
