// SPDX-License-Identifier: Apache-2.0
// A month of a network that keeps files (tests/sim/month.h): what is lost, how long files can be read, and what repair costs.
//
//      bench_month [--nodes N] [--files N] [--days N] [--seed N] [--mix steady|mixed] [--code K+M] [--patience HOURS]
//                  [--no-repair] [--no-faults] [--days-table]
//
// Prints one line, separated by tabs; with --days-table one for each day before it.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "month.h"

static month_report report;

static const char *value_of(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return otherwise;
}

static bool has(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void days_print(const month_config *config)
{
    printf("day\tup\treadable\tonline at least\tkept at least\tlost\trepairs\n");
    for (unsigned i = 0; i < config->days; i++) {
        const month_day *day = &report.days[i];
        printf("%u\t%.4f\t%.6f\t%u\t%u\t%" PRIu64 "\t%" PRIu64 "\n", i + 1, day->up, day->readable,
               day->online_min, day->kept_min, day->lost, day->repairs);
    }
}

static void report_print(const month_config *config, const char *mix)
{
    unsigned kept = UINT32_MAX;
    unsigned online = UINT32_MAX;
    double days = (double) report.node_hours / 24;
    for (unsigned i = 0; i < config->days; i++) {
        kept = report.days[i].kept_min < kept ? report.days[i].kept_min : kept;
        online = report.days[i].online_min < online ? report.days[i].online_min : online;
    }
    printf("%zu\t%zu\t%u\t%" PRIu64 "\t%s\t%u+%u\t%" PRIu64 "\t%s\t", config->nodes, config->files,
           config->days, config->seed, mix, config->code.data, config->code.parity,
           config->patience_s / 3600,
           config->is_without_repair   ? "no repair"
           : config->is_without_faults ? "no faults"
                                       : "all");
    printf("%" PRIu64 "\t%u\t%u\t%.6f\t%.4f\t", report.lost, kept, online, report.readable,
           report.up);
    printf("%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t", report.departed,
           report.disks_lost, report.shards_rotten, report.partitions, report.clock_jumps);
    printf("%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t", report.repairs,
           report.repairs_again, report.repairs_failed, report.repairs_urgent);
    printf("%.2f\t%.1f\t%.1f\t", (double) report.bytes_pushed / (double) (report.bytes_lost + 1),
           (double) report.bytes_pushed / 1048576 / days,
           (double) report.bytes_put / 1048576 / (double) config->nodes);
    printf("%.0f\t%.0f\t%.1f\t%016" PRIx64 "\n",
           (double) report.checks / (double) report.node_hours,
           (double) report.look_checks / (double) report.node_hours,
           (double) report.audit_answers / days, report.digest);
}

int main(int argc, char **argv)
{
    const char *mix = value_of(argc, argv, "--mix", "steady");
    month_config config = {
        .nodes = strtoull(value_of(argc, argv, "--nodes", "1000"), NULL, 10),
        .files = strtoull(value_of(argc, argv, "--files", "10000"), NULL, 10),
        .days = (unsigned) strtoul(value_of(argc, argv, "--days", "30"), NULL, 10),
        .seed = strtoull(value_of(argc, argv, "--seed", "1"), NULL, 10),
        .patience_s = 3600 * strtoull(value_of(argc, argv, "--patience", "24"), NULL, 10),
        .mix = strcmp(mix, "mixed") == 0 ? churn_mixed : churn_steady,
        .is_without_repair = has(argc, argv, "--no-repair"),
        .is_without_faults = has(argc, argv, "--no-faults"),
    };
    pg_err err =
        pg_code_from_text(pg_str_make(value_of(argc, argv, "--code", "8+2")), &config.code);
    if (err == PG_OK) {
        err = month_run(&config, &report);
    }
    if (err != PG_OK) {
        (void) fprintf(stderr, "bench_month: %s\n", pg_error_detail(err));
        return 1;
    }
    if (has(argc, argv, "--days-table")) {
        days_print(&config);
    }
    report_print(&config, mix);
    return 0;
}
