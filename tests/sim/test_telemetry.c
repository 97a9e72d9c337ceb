// SPDX-License-Identifier: Apache-2.0
// Goal: nothing is sent before somebody agreed to the list and the URL as they stand, nothing after they took it back; a document a day, more or
//       less, also over restarts; the tag is another every week; a collector that takes nothing gets each document three times and no more, and nothing
//       piles up; what was sent is what was shown, and is kept.
// Method: a machine with a sealed database and a virtual clock of months; the collector is a function.
#include "api/limits.h"
#include "api/telemetry.h"
#include "base/str.h"
#include "runtime/time.h"
#include "sim_test.h"

#define DAY_S (24 * 3600)
#define URL "https://collector.example/pangea"
#define TAGS_MAX 64

static const pg_key db_key = {.bytes = {3}};

/** Who takes the documents, and what came. */
static struct {
    pg_err answer;
    int64_t takes_ns; // so long a try takes
    unsigned tries;
    unsigned documents; // that differ from the one before
    unsigned row;       // tries of the last one
    unsigned row_max;
    uint64_t first_s;
    uint64_t last_s; // of documents
    uint64_t apart_min_s;
    uint64_t apart_max_s;
    char last[PG_API_TELEMETRY_BYTES_MAX];
    unsigned tags;
    char tag[33];
    uint64_t tag_s; // when the present one came first
    uint64_t tag_max_s;
    uint64_t peers; // told to look
} collector;

static uint64_t now_s(void)
{
    return (uint64_t) pg_wall_ms() / 1000;
}

static void tag_note(const char *document)
{
    const char *at = strstr(document, "\"tag\":\"");
    if (at != NULL && strncmp(at + 7, collector.tag, 32) != 0) {
        memcpy(collector.tag, at + 7, 32);
        collector.tags++;
        collector.tag_s = now_s();
    }
    uint64_t used_s = now_s() - collector.tag_s;
    collector.tag_max_s = used_s > collector.tag_max_s ? used_s : collector.tag_max_s;
}

static void document_note(pg_bytes document)
{
    uint64_t apart_s = now_s() - collector.last_s;
    if (collector.documents > 0) {
        collector.apart_min_s = apart_s < collector.apart_min_s ? apart_s : collector.apart_min_s;
        collector.apart_max_s = apart_s > collector.apart_max_s ? apart_s : collector.apart_max_s;
    }
    collector.last_s = now_s();
    collector.documents++;
    collector.row = 0;
    memcpy(collector.last, document.ptr, document.len);
    collector.last[document.len] = '\0';
    tag_note(collector.last);
}

static pg_err on_send(const char *url, pg_bytes document, void *user)
{
    (void) user;
    SIM_CHECK(strcmp(url, URL) == 0 && document.len < sizeof(collector.last));
    collector.tries++;
    if (strlen(collector.last) != document.len ||
        memcmp(collector.last, document.ptr, document.len) != 0) {
        document_note(document);
    }
    collector.row++;
    collector.row_max = collector.row > collector.row_max ? collector.row : collector.row_max;
    if (collector.takes_ns > 0) {
        PG_TRY(pg_sleep_until(pg_after(collector.takes_ns)));
    }
    return collector.answer == PG_OK ? PG_OK
                                     : pg_fail(collector.answer, "the collector takes nothing");
}

static void collector_begin(pg_err answer)
{
    memset(&collector, 0, sizeof(collector));
    collector.answer = answer;
    collector.apart_min_s = UINT64_MAX;
}

// Each document differs from the one before: a peer more or less.
static void on_look(pg_telemetry_facts *facts, void *user)
{
    (void) user;
    facts->peers = collector.documents % 2 == 0 ? 4 : 8;
    facts->uptime_s = 5000000;
    facts->sums.audits = (pg_usage_rate){16, 0};
}

// ---- A life

typedef struct life {
    pg_err (*task)(struct life *self);
    pg_db *db;
    pg_telemetry *telemetry;
} life;

static const pg_telemetry_rules rules_on = {true, URL, DAY_S};
static const pg_telemetry_rules rules_off = {false, URL, DAY_S};
static const pg_telemetry_rules rules_elsewhere = {true, "https://other.example/", DAY_S};

static pg_err life_main(void *arg)
{
    life *self = arg;
    const char *const steps[] = {pg_telemetry_schema_1};
    const pg_db_schema schema = {steps, 1};
    PG_TRY(pg_db_open("/db", &db_key, &schema, &self->db));
    const pg_telemetry_config config = {
        .db = self->db,
        .version = "1.2.3-of-mine",
        .look = on_look,
        .send = on_send,
        .rules = rules_on,
    };
    pg_err err = pg_telemetry_new(&config, &self->telemetry);
    if (err == PG_OK) {
        err = self->task(self);
    }
    pg_fiber_shield(true);
    pg_telemetry_free(&self->telemetry);
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

static pg_err days_pass(unsigned days)
{
    return pg_sleep_until(pg_after(PG_SECONDS((int64_t) days * DAY_S)));
}

static pg_err agree(life *self)
{
    char id[PG_TELEMETRY_LIST_ID_CHARS + 1];
    pg_telemetry_list_id(URL, id);
    return pg_telemetry_agree(self->telemetry, id);
}

static pg_err one_life(pg_err (*task)(life *))
{
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    return live(machine, task);
}

// ---- Agreeing and taking back

static pg_err task_agree(life *self)
{
    char other[PG_TELEMETRY_LIST_ID_CHARS + 1];
    pg_telemetry_list_id(rules_elsewhere.url, other);
    PG_TRY(days_pass(30));
    SIM_CHECK(collector.tries == 0); // the setting alone is not enough
    SIM_CHECK(pg_telemetry_send_now(self->telemetry) == PG_ERR_INVALID);
    SIM_CHECK(pg_telemetry_agree(self->telemetry, other) == PG_ERR_CHANGED);
    SIM_CHECK(pg_telemetry_agree(self->telemetry, "") == PG_ERR_CHANGED);
    PG_TRY(days_pass(3));
    SIM_CHECK(collector.tries == 0);
    PG_TRY(agree(self));
    SIM_CHECK(pg_telemetry_get_status(self->telemetry).is_on);
    PG_TRY(days_pass(40));
    SIM_CHECK(collector.documents >= 36 && collector.documents <= 46);
    SIM_CHECK(collector.row_max == 1); // taken at once, each
    SIM_CHECK(collector.apart_min_s >= DAY_S * 7 / 8 && collector.apart_max_s <= DAY_S * 9 / 8 + 1);
    SIM_CHECK(collector.tags >= 5 && collector.tags <= 7);
    SIM_CHECK(collector.tag_max_s <= 7 * DAY_S);
    return PG_OK;
}

static pg_err is_quiet(life *self, const pg_telemetry_rules *rules)
{
    unsigned before = collector.tries;
    PG_TRY(pg_telemetry_set_rules(self->telemetry, rules));
    SIM_CHECK(!pg_telemetry_get_status(self->telemetry).is_on);
    PG_TRY(days_pass(30));
    SIM_CHECK(collector.tries == before);
    return PG_OK;
}

static pg_err task_take_back(life *self)
{
    char tag[33];
    PG_TRY(agree(self));
    PG_TRY(days_pass(3));
    SIM_CHECK(collector.documents >= 2);
    memcpy(tag, collector.tag, sizeof(tag));
    unsigned before = collector.tries;
    PG_TRY(pg_telemetry_withdraw(self->telemetry));
    PG_TRY(days_pass(30));
    SIM_CHECK(collector.tries == before);
    PG_TRY(agree(self));
    PG_TRY(days_pass(2));
    SIM_CHECK(collector.tries > before && strcmp(tag, collector.tag) != 0);
    // Another URL was not agreed to.
    PG_TRY(is_quiet(self, &rules_elsewhere));
    SIM_CHECK(pg_telemetry_get_status(self->telemetry).was_agreed);
    // Switched off by the settings is taken back, too: switched on again is not agreed.
    PG_TRY(is_quiet(self, &rules_off));
    SIM_CHECK(agree(self) == PG_ERR_INVALID);
    PG_TRY(is_quiet(self, &rules_on));
    SIM_CHECK(!pg_telemetry_get_status(self->telemetry).was_agreed);
    return PG_OK;
}

// ---- A try that takes long

static pg_err withdraw_run(void *arg)
{
    life *self = arg;
    return pg_telemetry_withdraw(self->telemetry);
}

static pg_err task_withdraw_meanwhile(life *self)
{
    pg_scope scope;
    collector.takes_ns = PG_SECONDS(8);
    PG_TRY(agree(self));
    while (collector.tries == 0) {
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1))));
    }
    SIM_CHECK(pg_telemetry_send_now(self->telemetry) == PG_ERR_BUSY);
    pg_scope_init(&scope);
    PG_TRY(pg_scope_spawn(&scope, "sim.withdraw", withdraw_run, self));
    PG_TRY(pg_scope_join(&scope));
    SIM_CHECK(!pg_telemetry_get_status(self->telemetry).is_sending);
    PG_TRY(days_pass(30));
    SIM_CHECK(collector.tries == 1); // refused, and not tried again
    return PG_OK;
}

// ---- A collector that takes nothing

static pg_err on_kept(const pg_telemetry_sent *sent, void *user)
{
    unsigned *counts = user;
    counts[sent->result]++;
    counts[PG_TELEMETRY_RESULT_COUNT] += (unsigned) sent->tries;
    return PG_OK;
}

static pg_err task_refused(life *self)
{
    unsigned counts[PG_TELEMETRY_RESULT_COUNT + 1] = {0};
    PG_TRY(agree(self));
    PG_TRY(days_pass(30));
    SIM_CHECK(collector.documents >= 26 && collector.documents <= 36);
    SIM_CHECK(collector.row_max == PG_API_TELEMETRY_TRIES_MAX);
    SIM_CHECK(collector.tries <= PG_API_TELEMETRY_TRIES_MAX * collector.documents);
    PG_TRY(pg_telemetry_sent_each(self->telemetry, on_kept, counts));
    SIM_CHECK(counts[PG_TELEMETRY_RESULT_NOT_TAKEN] >= PG_API_TELEMETRY_KEPT_MAX - 1);
    SIM_CHECK(counts[PG_TELEMETRY_RESULT_TAKEN] == 0);
    pg_telemetry_status status = pg_telemetry_get_status(self->telemetry);
    SIM_CHECK(status.taken_total == 0 && status.not_taken_total + 1 >= collector.documents);
    // It is there again: a document a day, none of those before.
    while (pg_telemetry_get_status(self->telemetry).is_sending) {
        PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(1))));
    }
    collector_begin(PG_OK);
    PG_TRY(days_pass(10));
    SIM_CHECK(collector.documents >= 8 && collector.documents <= 12 && collector.row_max == 1);
    return PG_OK;
}

// ---- What is shown is what is sent

static pg_err task_shown(life *self)
{
    pg_buf shown PG_CLEANUP(pg_buf_deinit) = {0};
    pg_usage *usage = pg_telemetry_usage(self->telemetry);
    PG_TRY(agree(self));
    for (unsigned i = 0; i < 20; i++) {
        pg_usage_note(&usage->put, i < 19 ? PG_OK : PG_ERR_UNREACHABLE, 5U << 20, PG_SECONDS(3));
    }
    PG_TRY(pg_telemetry_document(self->telemetry, &shown));
    PG_TRY(pg_telemetry_send_now(self->telemetry));
    SIM_CHECK(pg_bytes_equal(pg_buf_bytes(&shown), pg_bytes_cstr(collector.last)));
    SIM_CHECK(strstr(collector.last, "\"put_percent\":95,\"put_ms_p50\":2048") != NULL);
    SIM_CHECK(strstr(collector.last, "\"version\":\"1.2.3\"") != NULL);
    SIM_CHECK(strstr(collector.last, "\"audit_percent\":100") != NULL);
    // The next one is about what came since.
    pg_buf_clear(&shown);
    PG_TRY(pg_telemetry_document(self->telemetry, &shown));
    SIM_CHECK(strstr((const char *) shown.ptr, "\"puts\":0,\"put_percent\":null") != NULL);
    SIM_CHECK(strstr((const char *) shown.ptr, "\"audit_percent\":null") != NULL);
    collector.answer = PG_ERR_REFUSED;
    SIM_CHECK(pg_telemetry_send_now(self->telemetry) == PG_ERR_REFUSED);
    return PG_OK;
}

// ---- Restarts

static pg_err task_begin(life *self)
{
    return agree(self);
}

static pg_err task_minute(life *self)
{
    SIM_CHECK(pg_telemetry_get_status(self->telemetry).is_on);
    return pg_sleep_until(pg_after(PG_MINUTES(1)));
}

static pg_err task_days(life *self)
{
    (void) self;
    return days_pass(20);
}

static pg_err task_withdraw(life *self)
{
    return pg_telemetry_withdraw(self->telemetry);
}

static pg_err script_restarts(void *arg)
{
    pg_sim_machine *machine = NULL;
    (void) arg;
    collector_begin(PG_OK);
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(live(machine, task_begin));
    for (unsigned i = 0; i < 100; i++) {
        PG_TRY(live(machine, task_minute));
    }
    SIM_CHECK(collector.documents <= 1); // 100 starts in 100 minutes
    life self = {.task = task_days};
    PG_TRY(pg_sim_machine_start(machine, "sim.life", life_main, &self));
    while (collector.documents <
           5) { // it is killed right after a document was entered, and on its way
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(30))));
    }
    pg_sim_machine_crash(machine);
    unsigned before = collector.tries;
    PG_TRY(live(machine, task_minute));
    SIM_CHECK(collector.tries == before);
    PG_TRY(live(machine, task_withdraw));
    PG_TRY(live(machine, task_days));
    SIM_CHECK(collector.tries == before);
    return PG_OK;
}

// ---- Tests

static pg_err (*scenario_task)(life *);
static pg_err scenario_answer;

static pg_err script_one(void *arg)
{
    (void) arg;
    collector_begin(scenario_answer);
    return one_life(scenario_task);
}

static void run_one(pg_err (*task)(life *), pg_err answer)
{
    scenario_task = task;
    scenario_answer = answer;
    sim_seeds(&(pg_sim_config){.seed = 1}, 5, script_one, NULL);
}

static void test_agree__not_before__then_a_document_a_day(void **state)
{
    (void) state;
    run_one(task_agree, PG_OK);
}

static void test_withdraw__or_other_settings__nothing_more(void **state)
{
    (void) state;
    run_one(task_take_back, PG_OK);
}

static void test_withdraw__while_a_try_is_on__waits_for_its_end(void **state)
{
    (void) state;
    run_one(task_withdraw_meanwhile, PG_ERR_REFUSED);
}

static void test_send__collector_takes_nothing__three_tries_and_no_pile(void **state)
{
    (void) state;
    run_one(task_refused, PG_ERR_UNREACHABLE);
}

static void test_document__is_what_is_sent(void **state)
{
    (void) state;
    run_one(task_shown, PG_OK);
}

static void test_restart__keeps_the_date_and_what_was_agreed(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 5, script_restarts, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agree__not_before__then_a_document_a_day),
        cmocka_unit_test(test_withdraw__or_other_settings__nothing_more),
        cmocka_unit_test(test_withdraw__while_a_try_is_on__waits_for_its_end),
        cmocka_unit_test(test_send__collector_takes_nothing__three_tries_and_no_pile),
        cmocka_unit_test(test_document__is_what_is_sent),
        cmocka_unit_test(test_restart__keeps_the_date_and_what_was_agreed),
    };
    sim_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
