// SPDX-License-Identifier: Apache-2.0
// Simulated events (fiber switches, deliveries, timers) per second: read "bytes" as events, "MB/s" as millions of events
// a second. The last lines, of the table only, tell how much faster than real time each world runs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "bench.h"
#include "runtime/file.h"
#include "runtime/random.h"
#include "runtime/sim.h"
#include "runtime/socket.h"

#define PORT 4001
#define CROWD 1000u
#define PING_EVERY_NS PG_SECONDS(1)

static const pg_sim_link link_20_ms = {
    .latency_ns = PG_MS(10), .jitter_ns = PG_MS(1), .loss_ppm = 1000};

static const pg_endpoint any = {.family = PG_IP_FAMILY_V4, .port = PORT};

/** One world to run. */
typedef struct bench_world {
    pg_fiber_fn script;
    pg_sim_stats stats;
} bench_world;

static void on_world(void *user)
{
    bench_world *world = user;
    const pg_sim_config config = {.seed = 1, .link = link_20_ms};
    if (pg_sim_run(&config, world->script, NULL, &world->stats) != PG_OK) {
        exit(1); // pg_sim_run has said why
    }
}

static pg_err machine_start(pg_fiber_fn fn, pg_sim_machine **out_machine)
{
    PG_TRY(pg_sim_machine_new(out_machine));
    return pg_sim_machine_start(*out_machine, "bench.main", fn, NULL);
}

// ---- A thousand machines that ping a random other each second, for a minute

static pg_err ping_send(pg_udp *udp, pg_endpoint to)
{
    return pg_udp_send(udp, &(pg_udp_msg){.peer = to, .data = PG_BYTES_LIT("ping")}, PG_FOREVER);
}

static pg_err ping_receive(void *arg)
{
    pg_udp_msg *msgs = pg_calloc(PG_UDP_BATCH_MAX, sizeof(*msgs)); // too much for a stack
    pg_err err = msgs == NULL ? PG_ERR_NOMEM : PG_OK;
    while (err == PG_OK) {
        size_t count = 0;
        err = pg_udp_recv(arg, PG_FOREVER, msgs, &count);
    }
    pg_mfree(msgs);
    return err;
}

static pg_err ping_loop(pg_udp *udp)
{
    for (;;) {
        uint64_t number = 1 + pg_random_below(CROWD);
        pg_endpoint to = any;
        to.ip[0] = 10;
        to.ip[2] = (uint8_t) (number >> 8);
        to.ip[3] = (uint8_t) number;
        PG_TRY(ping_send(udp, to));
        PG_TRY(pg_sleep_until(pg_after(PING_EVERY_NS)));
    }
}

static pg_err ping_main(void *arg)
{
    (void) arg;
    pg_udp *udp = NULL;
    pg_scope scope;
    pg_scope_init(&scope);
    PG_TRY(pg_udp_bind(&any, &udp));
    pg_err err = pg_scope_spawn(&scope, "bench.receive", ping_receive, udp);
    if (err == PG_OK) {
        err = ping_loop(udp);
    }
    pg_scope_close(&scope);
    pg_udp_free(&udp);
    return err;
}

static pg_err ping_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    for (unsigned i = 0; i < CROWD; i++) {
        PG_TRY(machine_start(ping_main, &machine));
    }
    return pg_sleep_until(pg_after(PG_MINUTES(1)));
}

// ---- One machine that writes pages and syncs

static pg_err disk_main(void *arg)
{
    (void) arg;
    static const uint8_t page[4096] = {1};
    pg_file *file = NULL;
    PG_TRY(pg_file_open("/file", PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE, &file));
    pg_err err = PG_OK;
    for (size_t i = 0; err == PG_OK && i < 2000; i++) {
        err = pg_file_write_at(file, i % 512 * sizeof(page), PG_BYTES_OF(page));
        if (err == PG_OK) {
            err = pg_file_sync(file);
        }
    }
    pg_file_free(&file);
    return err;
}

static pg_err disk_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    PG_TRY(machine_start(disk_main, &machine));
    return pg_sim_machine_join(machine, PG_FOREVER);
}

int main(int argc, char **argv)
{
    static bench_world worlds[] = {{.script = ping_script}, {.script = disk_script}};
    static const char *const names[] = {"sim 1000 machines ping", "sim write and sync 4 KiB"};
    bench_case cases[PG_ARRAY_LEN(worlds)];
    bench_result results[PG_ARRAY_LEN(worlds)];
    bench_begin(argc, argv);
    for (size_t i = 0; i < PG_ARRAY_LEN(worlds); i++) {
        on_world(&worlds[i]); // to know its events
        cases[i] =
            (bench_case){names[i], (double) worlds[i].stats.events, on_world, &worlds[i], NULL};
    }
    bench_run(cases, PG_ARRAY_LEN(cases), results);
    for (size_t i = 0; i < PG_ARRAY_LEN(worlds) && argc == 1; i++) {
        printf("%-32s %.0f events a CPU second, %.0f times real time\n", names[i],
               cases[i].bytes / results[i].cpu_s,
               (double) worlds[i].stats.virtual_ns / 1e9 / results[i].cpu_s);
    }
    return 0;
}
