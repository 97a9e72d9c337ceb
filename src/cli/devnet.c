// SPDX-License-Identifier: Apache-2.0
// `pangea devnet`: a network of real nodes on this machine, to try things on.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/devnet_nodes.h"
#include "cli/invocation.h"
#include "runtime/file.h"
#include "runtime/folder.h"
#include "runtime/offload.h"
#include "runtime/random.h"
#include "runtime/time.h"

#define NODES_DEFAULT 14
#define PORT_MAX 65535

/** One run of the command. */
typedef struct devnet_run {
    pg_invocation *invocation;
    pg_buf folder;
    bool is_temporary; // the folder goes when the network ends
    size_t wanted;
    const char *settings[PG_REPEATED_MAX];
    pg_devnet net;
} devnet_run;

static const char *folder_of(const devnet_run *run)
{
    return (const char *) run->folder.ptr;
}

// ---- Options

static pg_err number_read(const devnet_run *run, const char *name, uint64_t max, uint64_t *value)
{
    const char *text = pg_invocation_option(run->invocation, name);
    if (text != NULL && pg_str_to_u64(pg_str_make(text), max, value) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "--%s: '%s' is not a number up to %llu", name, text,
                       (unsigned long long) max);
    }
    return PG_OK;
}

static pg_err options_read(devnet_run *run)
{
    uint64_t nodes = NODES_DEFAULT;
    size_t position = 0;
    const char *setting = NULL;
    PG_TRY(number_read(run, "nodes", PG_DEVNET_NODES_MAX, &nodes));
    PG_TRY(number_read(run, "base-port", PORT_MAX, &run->net.base_port));
    if (nodes == 0) {
        return pg_fail(PG_ERR_INVALID, "--nodes: a network has at least one node");
    }
    if (run->net.base_port + nodes - 1 > PORT_MAX) {
        return pg_fail(PG_ERR_INVALID, "--base-port: the last of %llu ports is beyond %d",
                       (unsigned long long) nodes, PORT_MAX);
    }
    while ((setting = pg_invocation_next(run->invocation, "set", &position)) != NULL) {
        run->settings[run->net.setting_count++] = setting;
    }
    run->net.settings = run->settings;
    run->net.output = &run->invocation->output;
    run->wanted = (size_t) nodes;
    return PG_OK;
}

// ---- The folder

static pg_err folder_take(devnet_run *run, const char *path)
{
    pg_file_info info;
    pg_err err = pg_dir_make(path);
    if (err != PG_OK && err != PG_ERR_EXISTS) {
        return err;
    }
    PG_TRY(pg_path_stat(path, &info));
    if (info.type != PG_FILE_TYPE_FOLDER) {
        return pg_fail(PG_ERR_INVALID, "--dir: %s is no folder", path);
    }
    char *absolute = realpath(path, NULL);
    err = absolute == NULL ? pg_fail(PG_ERR_NOT_FOUND, "--dir: %s cannot be found", path)
                           : pg_buf_printf(&run->folder, "%s", absolute);
    free(absolute);
    return err;
}

static pg_err folder_make(devnet_run *run)
{
    const char *named = pg_invocation_option(run->invocation, "dir");
    const char *temporary = getenv("TMPDIR");
    if (named != NULL) {
        return folder_take(run, named);
    }
    uint8_t id[6];
    char hex[2 * sizeof(id) + 1];
    pg_random_bytes(PG_MUT_BYTES_OF(id));
    pg_hex_encode(PG_BYTES_OF(id), hex);
    PG_TRY(pg_buf_printf(&run->folder, "%s/pangea-devnet-%s",
                         temporary != NULL && temporary[0] == '/' ? temporary : "/tmp", hex));
    PG_TRY(pg_dir_make(folder_of(run)));
    run->is_temporary = !pg_invocation_has(run->invocation, "keep");
    return PG_OK;
}

static pg_err remove_job(void *arg)
{
    devnet_run *run = arg;
    pg_folder *parent = NULL;
    char *slash = strrchr((char *) run->folder.ptr, '/');
    *slash = '\0';
    PG_TRY(pg_folder_open(folder_of(run), &parent));
    pg_err err = pg_folder_remove(parent, slash + 1);
    pg_folder_free(&parent);
    return err;
}

static void folder_clear(devnet_run *run)
{
    if (!run->is_temporary) {
        return;
    }
    pg_fiber_shield(true);
    pg_err err = pg_offload_io(remove_job, run);
    if (err != PG_OK) {
        pg_output_warn(&run->invocation->output, "%s", pg_error_detail(err));
    }
    pg_fiber_shield(false);
}

// ---- Telling

static json_object *network_object(const devnet_run *run)
{
    json_object *object = json_object_new_object();
    json_object *nodes = json_object_new_array();
    for (size_t i = 0; i < run->net.count; i++) {
        const pg_devnet_node *node = &run->net.nodes[i];
        json_object *row = json_object_new_object();
        (void) json_object_object_add(row, "index", json_object_new_int((int32_t) node->index));
        (void) json_object_object_add(row, "peer_id",
                                      json_object_new_string((const char *) node->peer_id.ptr));
        (void) json_object_object_add(row, "data",
                                      json_object_new_string((const char *) node->data.ptr));
        (void) json_object_object_add(row, "addr",
                                      json_object_new_string((const char *) node->addr.ptr));
        (void) json_object_object_add(row, "pid",
                                      json_object_new_int64(pg_process_pid(node->process)));
        (void) json_object_array_add(nodes, row);
    }
    (void) json_object_object_add(object, "nodes", nodes);
    return object;
}

static pg_err ready_write(const devnet_run *run)
{
    const char *path = pg_invocation_option(run->invocation, "ready-file");
    if (path == NULL) {
        return PG_OK;
    }
    pg_buf text = {0};
    json_object *object = network_object(run);
    pg_err err = pg_buf_printf(
        &text, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
    if (err == PG_OK) {
        err = pg_file_replace(path, pg_buf_bytes(&text), 0644);
    }
    pg_buf_deinit(&text);
    return err;
}

static void tell(const devnet_run *run, pg_time started)
{
    const pg_output *output = &run->invocation->output;
    pg_output_line(output, "node       pid  address");
    for (size_t i = 0; i < run->net.count; i++) {
        const pg_devnet_node *node = &run->net.nodes[i];
        pg_output_line(output, "%4zu  %8lld  %s", node->index,
                       (long long) pg_process_pid(node->process), (const char *) node->addr.ptr);
    }
    pg_output_object(output, network_object(run));
    (void) fflush(output->result);
    pg_output_note(output,
                   "%zu nodes, each connected with every other, in %.1f s; Ctrl-C ends them",
                   run->net.count, (double) (pg_now() - started) / 1e9);
    pg_output_note(output, "their data directories are in %s; to ask one: pangea peers --data %s",
                   folder_of(run), (const char *) run->net.nodes[0].data.ptr);
}

static pg_err network_run(devnet_run *run)
{
    pg_time started = pg_now();
    PG_TRY(options_read(run));
    PG_TRY(folder_make(run));
    PG_TRY(pg_devnet_init(&run->net, folder_of(run)));
    while (run->net.count < run->wanted) {
        PG_TRY(pg_devnet_start(&run->net));
    }
    PG_TRY(pg_devnet_connect(&run->net));
    PG_TRY(ready_write(run));
    tell(run, started);
    pg_err err = pg_devnet_watch(&run->net);
    return err == PG_ERR_CANCELLED ? PG_OK : err; // being told to stop is how it ends
}

static pg_err devnet_run_command(pg_invocation *invocation)
{
    devnet_run *run = PG_NEW(devnet_run);
    if (run == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot run a network");
    }
    run->invocation = invocation;
    const char *ready_file = pg_invocation_option(invocation, "ready-file");
    pg_err err = network_run(run);
    pg_error_record record = pg_error_keep(); // the clean-up may fail too, and say so
    if (run->net.program.len > 0) {
        pg_devnet_stop(&run->net);
    }
    folder_clear(run);
    if (ready_file != NULL) {
        pg_fiber_shield(true);
        pg_ignore(pg_path_remove(ready_file), "it may never have been written");
        pg_fiber_shield(false);
    }
    pg_buf_deinit(&run->folder);
    pg_mfree(run);
    return pg_error_again(&record, err);
}

static const pg_option devnet_options[] = {
    {"nodes", 'n', PG_VALUE_KIND_TEXT, "N", "how many, 1 to 64 (14)"},
    {"dir", 0, PG_VALUE_KIND_FOLDER, "DIR", "where their data directories are (a temporary one)"},
    {"keep", 0, PG_VALUE_KIND_NONE, NULL, "do not remove the temporary directory at the end"},
    {"ready-file", 0, PG_VALUE_KIND_FILE, "FILE", "write what --json prints to FILE, once ready"},
    {"base-port", 0, PG_VALUE_KIND_TEXT, "PORT",
     "listen on this port and those after it (free ones)"},
    {"set", 0, PG_VALUE_KIND_SETTINGS, "KEY=VALUE", "one setting of every node; may be repeated"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_devnet = {
    .name = "devnet",
    .summary = "run a network of nodes on this machine",
    .description =
        "Starts N nodes as processes on loopback, each with a data directory DIR/01, DIR/02, ..\n"
        "and a log beside it, connects each with every other, prints who they are, and runs\n"
        "until Ctrl-C or SIGTERM; then it ends them all. A node that ends meanwhile is told,\n"
        "and the others go on. A directory named by --dir is kept, and used again the next\n"
        "time. --json prints {\"nodes\": [{\"index\", \"peer_id\", \"data\", \"addr\", \"pid\"}]}.",
    .example = "pangea devnet --nodes 5 --dir /tmp/net\npangea peers --data /tmp/net/01",
    .options = devnet_options,
    .run = devnet_run_command,
    .waits = true,
};
