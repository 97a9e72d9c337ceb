// SPDX-License-Identifier: Apache-2.0
// Machines of a simulated world and the processes on them.
#include <inttypes.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/sim_file_priv.h"
#include "runtime/sim_net_priv.h"
#include "runtime/sim_world_priv.h"

#define PROCESS_OF(list_node) PG_LIST_OBJECT(list_node, pg_sim_process, node)

static pg_endpoint address_of(uint32_t number)
{
    return (pg_endpoint){
        .family = PG_IP_FAMILY_V4,
        .ip = {10, (uint8_t) (number >> 16), (uint8_t) (number >> 8), (uint8_t) number},
    };
}

pg_err pg_sim_machine_self(pg_sim_machine **out_machine)
{
    if (pg_fiber_is_ghost()) {
        return PG_ERR_CANCELLED;
    }
    pg_sim_machine *machine = (pg_sim_machine *) pg_fiber_machine();
    if (machine == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "only fibers of a machine have a network and a disk");
    }
    *out_machine = machine;
    return PG_OK;
}

static pg_err machines_reserve(pg_sim_world *world)
{
    if (world->machine_count < world->machine_cap) {
        return PG_OK;
    }
    if (world->machine_count == PG_SIM_MACHINES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "more than %d machines", PG_SIM_MACHINES_MAX);
    }
    size_t cap = world->machine_cap == 0 ? 16 : 2 * world->machine_cap;
    pg_sim_machine **machines = pg_realloc(world->machines, cap * sizeof(void *));
    if (machines == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a machine");
    }
    world->machines = machines;
    world->machine_cap = cap;
    return PG_OK;
}

pg_err pg_sim_machine_new(pg_sim_machine **out_machine)
{
    pg_sim_world *world = pg_sim_world_get();
    PG_TRY(machines_reserve(world));
    pg_sim_machine *machine = PG_NEW(pg_sim_machine);
    if (machine == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a machine");
    }
    machine->world = world;
    machine->number = (uint32_t) world->machine_count + 1;
    machine->address = address_of(machine->number);
    pg_machine_init(&machine->base);
    pg_list_init(&machine->processes);
    pg_list_init(&machine->listeners);
    pg_list_init(&machine->conns);
    pg_list_init(&machine->sockets);
    pg_list_init(&machine->files);
    pg_sim_rng_init(&machine->rng, world->config.seed, PG_SIM_LABEL_MACHINE, machine->number);
    pg_err err = pg_sim_disk_init(&machine->disk, world->config.seed, machine->number);
    if (err != PG_OK) {
        goto out;
    }
    err = pg_sim_net_address_add(world, machine);
    if (err != PG_OK) {
        goto out;
    }
    world->machines[world->machine_count++] = machine;
    *out_machine = machine;
    return PG_OK;

out:
    pg_sim_disk_deinit(&machine->disk);
    pg_mfree(machine);
    return err;
}

pg_endpoint pg_sim_machine_endpoint(const pg_sim_machine *machine)
{
    return machine->address;
}

// ---- Processes

static bool process_is_running(const pg_sim_process *process)
{
    return process != NULL && !process->is_ended;
}

static void process_end(pg_sim_process *process, pg_err result)
{
    if (!process->is_ended) {
        process->is_ended = true;
        process->result = result;
    }
    pg_waitq_wake_all(&process->ended);
}

static pg_err process_run(void *arg)
{
    pg_sim_process *process = arg;
    pg_err err = process->fn(process->arg);
    if (err != PG_OK && pg_error_last()->code == err) {
        process->detail = pg_str_dup(pg_str_make(pg_error_last()->text));
    }
    process_end(process, err);
    return err;
}

// Free the processes whose fibers are gone.
static void processes_clear(pg_sim_machine *machine)
{
    pg_list *node = machine->processes.next;
    while (node != &machine->processes) {
        pg_sim_process *process = PROCESS_OF(node);
        node = node->next;
        if (process->scope.count == 0 && process->waiters == 0) {
            pg_scope_close(&process->scope);
            pg_list_remove(&process->node);
            pg_mfree(process->detail);
            pg_mfree(process);
        }
    }
}

pg_err pg_sim_machine_start(pg_sim_machine *machine, const char *kind, pg_fiber_fn fn, void *arg)
{
    if (process_is_running(machine->process)) {
        return pg_fail(PG_ERR_BUSY, "machine %" PRIu32 " runs", machine->number);
    }
    pg_sim_process *process = PG_NEW(pg_sim_process);
    if (process == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a process");
    }
    machine->process = NULL;
    processes_clear(machine);
    process->machine = machine;
    process->fn = fn;
    process->arg = arg;
    pg_scope_init(&process->scope);
    pg_waitq_init(&process->ended);
    pg_err err = pg_machine_spawn(&machine->base, &process->scope, kind, process_run, process);
    if (err != PG_OK) {
        pg_mfree(process);
        return err;
    }
    pg_list_append(&machine->processes, &process->node);
    machine->process = process;
    machine->is_down = false;
    return PG_OK;
}

pg_err pg_sim_machine_join(pg_sim_machine *machine, pg_time deadline)
{
    pg_sim_process *process = machine->process;
    if (process == NULL) {
        return PG_OK;
    }
    pg_err err = PG_OK;
    process->waiters++;
    while (!process->is_ended && err == PG_OK) {
        err = pg_waitq_wait(&process->ended, deadline);
    }
    process->waiters--;
    PG_TRY(err);
    if (process->detail != NULL) {
        return pg_fail(process->result, "%s", process->detail);
    }
    return process->result;
}

pg_err pg_sim_machine_stop(pg_sim_machine *machine)
{
    if (!process_is_running(machine->process)) {
        return PG_OK;
    }
    pg_scope_cancel(&machine->process->scope);
    pg_err err = pg_sim_machine_join(machine, PG_FOREVER);
    return err == PG_ERR_CANCELLED && !pg_fiber_is_cancelled() ? PG_OK : err;
}

void pg_sim_machine_crash(pg_sim_machine *machine)
{
    pg_sim_world_note(machine->world, machine->number, 1);
    machine->is_down = true;
    pg_sim_net_crash(machine);
    pg_sim_files_crash(machine);
    pg_sim_disk_crash(&machine->disk, machine->world->now_ns);
    pg_machine_crash(&machine->base);
    if (process_is_running(machine->process)) {
        process_end(machine->process, PG_ERR_CANCELLED);
    }
}

// ---- What scripts do to machines

void pg_sim_machine_move(pg_sim_machine *machine, const pg_endpoint *address)
{
    machine->address = *address;
    machine->address.port = 0;
    // Without memory the machine is nowhere: a fault like another.
    pg_ignore(pg_sim_net_address_add(machine->world, machine), "see above");
}

void pg_sim_machine_clock_jump(pg_sim_machine *machine, int64_t delta_ms)
{
    machine->wall_offset_ms += delta_ms;
}

void pg_sim_machine_disk(pg_sim_machine *machine, const pg_sim_disk_faults *faults)
{
    machine->faults = *faults;
    machine->disk.quota_pages =
        faults->free_bytes == 0 ? PG_SIM_DISK_BYTES / PG_SIM_PAGE_BYTES
                                : machine->disk.used_pages + faults->free_bytes / PG_SIM_PAGE_BYTES;
}

// ---- The end

static void machine_free(pg_sim_machine *machine)
{
    processes_clear(machine);
    pg_sim_net_crash(machine);
    pg_sim_files_crash(machine);
    pg_sim_disk_deinit(&machine->disk);
    pg_mfree(machine);
}

void pg_sim_machines_end(pg_sim_world *world)
{
    for (size_t i = 0; i < world->machine_count; i++) {
        if (process_is_running(world->machines[i]->process)) {
            pg_scope_cancel(&world->machines[i]->process->scope);
        }
    }
    for (size_t i = 0; i < world->machine_count; i++) {
        pg_sim_machine *machine = world->machines[i];
        for (pg_list *node = machine->processes.next; node != &machine->processes;
             node = node->next) {
            pg_scope_close(&PROCESS_OF(node)->scope);
        }
    }
    for (size_t i = 0; i < world->machine_count; i++) {
        machine_free(world->machines[i]);
    }
    pg_mfree(world->machines);
    world->machines = NULL;
    world->machine_count = 0;
}
