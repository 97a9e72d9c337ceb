// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 9     // odd, for the median
#define RUN_MS 500.0 // a case, all rounds together

static bool json_only;
static FILE *json_file;
static double run_ms = RUN_MS;

static _Noreturn void fail(const char *what)
{
    (void) fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

void bench_begin(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") != 0) {
            (void) fprintf(stderr, "usage: %s [--json]\n", argv[0]);
            exit(2);
        }
        json_only = true;
    }
    const char *path = getenv("PANGEA_BENCH_JSON");
    if (path != NULL && path[0] != '\0') {
        json_file = fopen(path, "w");
        if (json_file == NULL) {
            fail("cannot write the file of PANGEA_BENCH_JSON");
        }
    }
    const char *ms = getenv("PANGEA_BENCH_MS");
    if (ms != NULL) {
        run_ms = strtod(ms, NULL);
    }
}

static double now_s(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) {
        fail("no clock");
    }
    return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

static bench_result measure(const bench_case *one, size_t calls)
{
    double wall_s = now_s(CLOCK_MONOTONIC);
    double cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < calls; i++) {
        one->fn(one->user);
    }
    cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
    wall_s = now_s(CLOCK_MONOTONIC) - wall_s;
    return (bench_result){wall_s / (double) calls, cpu_s / (double) calls};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a;
    double y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

// Returns the place of the case of that name, or `count`.
static size_t case_find(const bench_case *cases, size_t count, const char *name)
{
    size_t at = 0;
    while (at < count && (name == NULL || strcmp(cases[at].name, name) != 0)) {
        at++;
    }
    return at;
}

// In bytes, or in calls where a case has none.
static double speed(const bench_case *one, bench_result result)
{
    return (one->bytes > 0 ? one->bytes : 1) / result.cpu_s;
}

static void json_print(FILE *to, const bench_case *one, bench_result result, double ratio)
{
    (void) fprintf(to, "{\"name\":\"%s\",\"bytes\":%.0f,\"wall_s\":%.9f,\"cpu_s\":%.9f", one->name,
                   one->bytes, result.wall_s, result.cpu_s);
    (void) fprintf(to, ",\"mb_per_s\":%.1f", one->bytes / result.wall_s / 1e6);
    if (ratio > 0) {
        (void) fprintf(to, ",\"limit\":\"%s\",\"speed_to_limit\":%.4f", one->limit, ratio);
    }
    (void) fprintf(to, "}\n");
}

static void table_print(const bench_case *one, bench_result result, double ratio)
{
    printf("%-32s %12.2f %12.2f", one->name, result.wall_s * 1e6, result.cpu_s * 1e6);
    if (one->bytes > 0) {
        printf(" %10.1f %12.4f", one->bytes / result.wall_s / 1e6,
               result.cpu_s / one->bytes * 1073741824.0);
    } else {
        printf(" %10s %12s", "", "");
    }
    if (ratio > 0) {
        printf("  %8.3f of %s", ratio, one->limit);
    }
    printf("\n");
}

static void report(const bench_case *cases, const bench_result *results, size_t count)
{
    if (!json_only) {
        printf("%-32s %12s %12s %10s %12s  %s\n", "", "us a call", "CPU us", "MB/s", "CPU s/GiB",
               "speed to limit, by CPU");
    }
    for (size_t i = 0; i < count; i++) {
        size_t limit = case_find(cases, count, cases[i].limit);
        double ratio = limit == count
                           ? 0
                           : speed(&cases[i], results[i]) / speed(&cases[limit], results[limit]);
        if (json_only) {
            json_print(stdout, &cases[i], results[i], ratio);
        } else {
            table_print(&cases[i], results[i], ratio);
        }
        if (json_file != NULL) {
            json_print(json_file, &cases[i], results[i], ratio);
        }
    }
    if (fflush(NULL) != 0) {
        fail("cannot write");
    }
}

void bench_run(const bench_case *cases, size_t count, bench_result *out_results)
{
    bench_result *results = bench_alloc(count * sizeof(*results));
    size_t *calls = bench_alloc(count * sizeof(*calls));
    double(*wall)[ROUNDS] = bench_alloc(count * sizeof(*wall));
    double(*cpu)[ROUNDS] = bench_alloc(count * sizeof(*cpu));
    for (size_t i = 0; i < count; i++) {
        cases[i].fn(cases[i].user); // touches its memory
        double wants = run_ms / 1e3 / ROUNDS / measure(&cases[i], 1).wall_s;
        calls[i] = wants < 1 ? 1 : (size_t) wants;
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            bench_result result = measure(&cases[i], calls[i]);
            wall[i][round] = result.wall_s;
            cpu[i][round] = result.cpu_s;
        }
    }
    for (size_t i = 0; i < count; i++) {
        results[i] = (bench_result){median(wall[i]), median(cpu[i])};
    }
    report(cases, results, count);
    if (out_results != NULL) {
        memcpy(out_results, results, count * sizeof(*results));
    }
    free(results);
    free(calls);
    free(wall);
    free(cpu);
}

static uint64_t random_next(uint64_t *state) // splitmix64
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void bench_fill_random(uint8_t *out, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t) random_next(&seed);
    }
}

// Words of a made-up language, the frequent ones more often, as in a natural one.
void bench_fill_text(uint8_t *out, size_t len, uint64_t seed)
{
    for (size_t at = 0; at < len;) {
        uint64_t pick = random_next(&seed);
        uint64_t rank = pick % (1 + (pick >> 16) % (1 + (pick >> 32) % 8192));
        uint64_t word = rank * 0x2545f4914f6cdd1du + 1;
        size_t letters = 2 + random_next(&word) % 8;
        for (size_t i = 0; i < letters && at < len; i++) {
            out[at++] = (uint8_t) ('a' + random_next(&word) % 26);
        }
        if (at < len) {
            out[at++] = pick >> 60 == 0 ? '\n' : ' ';
        }
    }
}

void *bench_alloc(size_t len)
{
    void *memory = aligned_alloc(64, (len + 63) / 64 * 64);
    if (memory == NULL) {
        fail("out of memory");
    }
    return memory;
}

void bench_folder_remove(const char *path)
{
    char inside[512];
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        (void) snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
        if (unlink(inside) != 0) {
            bench_folder_remove(inside);
        }
    }
    (void) closedir(folder);
    (void) rmdir(path);
}
