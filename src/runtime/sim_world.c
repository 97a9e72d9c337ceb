// SPDX-License-Identifier: Apache-2.0
// The run of a simulated world: its clock, its randomness, its digest, and how a failure is told.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/sim_net_priv.h"
#include "runtime/sim_world_priv.h"

static const pg_world_ops world_ops;

pg_sim_world *pg_sim_world_get(void)
{
    pg_world *world = pg_world_current();
    pg_assert(world != NULL && world->ops == &world_ops);
    return (pg_sim_world *) world;
}

void pg_sim_world_note(pg_sim_world *world, uint64_t what, uint64_t detail)
{
    __uint128_t product = (__uint128_t) (world->digest ^ what ^ 0x9e3779b97f4a7c15u) *
                          (detail ^ (uint64_t) world->now_ns ^ 0xd6e8feb86659fd93u);
    world->digest = (uint64_t) product ^ (uint64_t) (product >> 64) ^ world->digest << 1;
}

// ---- What the core asks

static pg_time on_now(const pg_world *base)
{
    return ((const pg_sim_world *) base)->now_ns;
}

static int64_t on_wall_ms(const pg_world *base)
{
    const pg_sim_world *world = (const pg_sim_world *) base;
    const pg_sim_machine *machine = (const pg_sim_machine *) pg_fiber_machine();
    int64_t offset = machine == NULL ? 0 : machine->wall_offset_ms;
    return world->config.start_wall_ms + (world->now_ns - PG_SIM_START_NS) / PG_MS(1) + offset;
}

static void on_random(pg_world *base, pg_mut_bytes out)
{
    pg_sim_world *world = (pg_sim_world *) base;
    pg_sim_machine *machine = (pg_sim_machine *) pg_fiber_machine();
    pg_sim_rng_fill(machine == NULL ? &world->outside_rng : &machine->rng, out);
}

static void kind_describe(const pg_fiber_stats *stats, void *user)
{
    char *text = user;
    size_t len = strlen(text);
    if (stats->running != 0 && len < PG_ERROR_TEXT_BYTES_MAX) {
        (void) snprintf(text + len, PG_ERROR_TEXT_BYTES_MAX - len, "%s%s (%zu)",
                        len == 0 ? "" : ", ", stats->kind, stats->running);
    }
}

static pg_err on_poll(pg_world *base, pg_time until)
{
    pg_sim_world *world = (pg_sim_world *) base;
    if (until == PG_FOREVER) {
        char kinds[PG_ERROR_TEXT_BYTES_MAX] = "";
        pg_fiber_stats_each(kind_describe, kinds);
        return pg_fail(PG_ERR_BUG, "every fiber waits for ever: %s", kinds);
    }
    if (until > world->now_ns) {
        world->now_ns = until;
    }
    return PG_OK;
}

static void on_event(pg_world *base, uint64_t fiber_number)
{
    pg_sim_world *world = (pg_sim_world *) base;
    pg_sim_world_note(world, fiber_number, 0);
    world->events++;
    if (world->config.events_max != 0 && world->events == world->config.events_max) {
        pg_sched_abort(pg_fail(PG_ERR_LIMIT, "livelock: more than %" PRIu64 " events",
                               world->config.events_max));
    }
}

static const pg_world_ops world_ops = {
    .is_sim = true,
    .now = on_now,
    .wall_ms = on_wall_ms,
    .random = on_random,
    .poll = on_poll,
    .on_event = on_event,
    .socket = &pg_sim_socket_ops,
    .file = &pg_sim_file_ops,
    .job = &pg_sim_job_ops,
};

// ---- The run

static pg_err world_run(void *arg)
{
    pg_sim_world *world = arg;
    pg_err err = world->script(world->script_arg);

    // Ending the machines runs other fibers but may record failures of its own: the script's is the one to tell.
    pg_error_record told = {0};
    if (err != PG_OK && pg_error_last()->code == err) {
        told = *pg_error_last();
    }
    pg_sim_machines_end(world);
    pg_sim_net_deinit(world);
    if (told.code != PG_OK) {
        return pg_error_set(err, told.file, told.line, "%s", told.text);
    }
    return err;
}

static void failure_print(const pg_sim_config *config, pg_err err)
{
    (void) fprintf(stderr, "seed %" PRIu64 " failed: %s\nrun again: PG_SIM_SEED=%" PRIu64 " %s\n",
                   config->seed, pg_error_detail(err), config->seed, program_invocation_name);
}

pg_err pg_sim_run(const pg_sim_config *config, pg_fiber_fn script, void *arg,
                  pg_sim_stats *out_stats)
{
    pg_sim_world world = {
        .base.ops = &world_ops,
        .config = *config,
        .now_ns = PG_SIM_START_NS,
        .script = script,
        .script_arg = arg,
    };
    if (config->start_wall_ms == 0) {
        world.config.start_wall_ms = PG_SIM_START_WALL_MS;
    }
    pg_list_init(&world.flying);
    pg_sim_rng_init(&world.script_rng, config->seed, PG_SIM_LABEL_SCRIPT, 0);
    pg_sim_rng_init(&world.outside_rng, config->seed, PG_SIM_LABEL_MACHINE, 0);
    pg_sim_rng_init(&world.network_rng, config->seed, PG_SIM_LABEL_NETWORK, 0);

    pg_err err = pg_sched_run(&world.base, config->measure_stacks, world_run, &world);
    if (err != PG_OK) {
        failure_print(config, err);
    }
    if (out_stats != NULL) {
        *out_stats = (pg_sim_stats){
            .events = world.events,
            .virtual_ns = world.now_ns - PG_SIM_START_NS,
            .digest = world.digest,
        };
    }
    return err;
}

uint64_t pg_sim_random_below(uint64_t bound)
{
    return pg_sim_rng_below(&pg_sim_world_get()->script_rng, bound);
}
