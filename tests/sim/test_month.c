// SPDX-License-Identifier: Apache-2.0
// Goal: files outlive the coming and going of their hosts, with faults of disk, clock and network, while their owners are away.
// Method: a short month (month.h) for every run. `make nightly-month` runs a thousand nodes and ten thousand files for thirty days, seed
//         after seed (month.tsv). That the model can lose files is shown by hosts that look on and do nothing.
#include "month.h"
#include "sim_test.h"

static month_report report;
static month_report again;

static month_config config_make(unsigned days)
{
    return (month_config){
        .nodes = 60,
        .files = 100,
        .days = days,
        .seed = sim_setting("PG_SIM_SEED", 1),
        .mix = churn_steady,
        .code = PG_CODE_DEFAULT,
        .patience_s = UINT64_C(24) * 3600,
    };
}

static void run(const month_config *config, month_report *out)
{
    pg_err err = month_run(config, out);
    if (err != PG_OK) {
        fail_msg("seed %" PRIu64 ": %s", config->seed, pg_error_detail(err));
    }
}

static void test_month__hosts_come_and_go__nothing_is_lost(void **state)
{
    (void) state;
    month_config config = config_make(3);
    config.code.parity = 4;
    run(&config, &report);
    assert_int_equal(report.lost, 0);
    assert_true(report.repairs > 0 && report.checks > 0 && report.audit_answers > 0);
    assert_true(report.days[2].kept_min >= config.code.data);
    assert_true(report.up > 0.9 && report.readable > 0.95);
}

static void test_month__the_same_seed__repeats(void **state)
{
    (void) state;
    month_config config = config_make(2);
    run(&config, &report);
    run(&config, &again);
    assert_int_equal(report.digest, again.digest);
    config.seed++;
    run(&config, &again);
    assert_int_not_equal(report.digest, again.digest);
}

static void test_month__nobody_repairs__files_are_lost(void **state)
{
    (void) state;
    month_config config = config_make(30);
    config.mix = churn_mixed;
    run(&config, &report);
    config.is_without_repair = true;
    run(&config, &again);
    assert_int_equal(again.repairs, 0);
    assert_true(again.lost > report.lost);
    assert_true(again.bytes_lost > 0 && again.departed > 0);
}

static void test_month__settings_that_make_no_sense__are_refused(void **state)
{
    (void) state;
    month_config config = config_make(0);
    assert_int_equal(month_run(&config, &report), PG_ERR_INVALID);
    config = config_make(MONTH_DAYS_MAX + 1);
    assert_int_equal(month_run(&config, &report), PG_ERR_INVALID);
    config = config_make(1);
    config.nodes = 10;
    assert_int_equal(month_run(&config, &report), PG_ERR_INVALID);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_month__hosts_come_and_go__nothing_is_lost),
        cmocka_unit_test(test_month__the_same_seed__repeats),
        cmocka_unit_test(test_month__nobody_repairs__files_are_lost),
        cmocka_unit_test(test_month__settings_that_make_no_sense__are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
