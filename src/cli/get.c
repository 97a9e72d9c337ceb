// SPDX-License-Identifier: Apache-2.0
// `pangea get`: gets what a link names through the running node.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/get_place.h"
#include "cli/link_text.h"
#include "cli/partial.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "files/archive.h"

#define STEP_BYTES (256U << 10)

/** One run of the command. */
typedef struct get_run {
    pg_invocation *invocation;
    pg_link_text link;
    pg_buf body;
    pg_client *client;
    pg_progress progress;
    pg_download_head head;
    pg_buf place; // "-" = standard output
    pg_partial partial;
    uint64_t resumed_bytes; // that an earlier run got
    pg_archive_sum sum;     // of a folder
    uint64_t size_bytes;
    double first_byte_ms;
    json_object *transfer; // what the node told at the end
    uint8_t step[STEP_BYTES];
} get_run;

static bool to_stdout(const get_run *run)
{
    return strcmp((const char *) run->place.ptr, "-") == 0;
}

// The source of all three ways.
static pg_err on_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    get_run *run = user;
    PG_TRY(pg_client_download_read(space, out_len, run->client));
    run->size_bytes += *out_len;
    pg_progress_update(&run->progress, run->size_bytes);
    return PG_OK;
}

// ---- The three ways

static pg_err stream_take(get_run *run)
{
    for (;;) {
        size_t len = 0;
        PG_TRY(on_read(PG_MUT_BYTES_OF(run->step), &len, run));
        if (len == 0) {
            return PG_OK;
        }
        PG_TRY(pg_client_write_stdout(run->client, pg_bytes_make(run->step, len)));
    }
}

static pg_err file_take(get_run *run)
{
    const char *place = (const char *) run->place.ptr;
    bool replace = pg_invocation_has(run->invocation, "force");
    PG_TRY(pg_target_check(place, replace));
    PG_TRY(pg_partial_begin(&run->partial));
    for (;;) {
        size_t len = 0;
        PG_TRY(on_read(PG_MUT_BYTES_OF(run->step), &len, run));
        if (len == 0) {
            return pg_partial_finish(&run->partial, place, replace);
        }
        PG_TRY(pg_partial_write(&run->partial, pg_bytes_make(run->step, len)));
    }
}

static void on_skipped(const char *path, const char *what, void *user)
{
    get_run *run = user;
    pg_progress_clear(&run->progress);
    pg_output_warn(&run->invocation->output, "%s is %s: left out", path, what);
}

static pg_err folder_take(get_run *run)
{
    const pg_unpack_options options = {
        .target = (const char *) run->place.ptr,
        .replace = pg_invocation_has(run->invocation, "force"),
        .notes = {on_skipped, run},
    };
    return pg_archive_unpack(&options, on_read, run, &run->sum);
}

static pg_err place_find(get_run *run)
{
    char name[PG_SAFE_NAME_BYTES];
    const char *output = pg_invocation_option(run->invocation, "output");
    pg_safe_name(run->head.name, name);
    PG_TRY(pg_get_place_find(output, name, &run->place));
    if (output == NULL && strcmp(name, run->head.name) != 0) {
        pg_output_note(&run->invocation->output, "the stored name was changed to %s", name);
    }
    return PG_OK;
}

/** See what an earlier run left, and go on behind it. */
static pg_err partial_find(get_run *run)
{
    const char *output = pg_invocation_option(run->invocation, "output");
    const pg_output *to = &run->invocation->output;
    char size[PG_SIZE_TEXT_BYTES];
    if (output == NULL || strcmp(output, "-") != 0) {
        PG_TRY(
            pg_partial_find(&run->partial, output, &run->link.link, pg_client_check, run->client));
    }
    if (run->partial.was_changed) {
        pg_output_note(to, "what an earlier get left was changed since: it is got anew");
    }
    run->resumed_bytes = run->partial.len;
    run->size_bytes = run->resumed_bytes;
    if (run->resumed_bytes > 0) {
        pg_size_format(run->resumed_bytes, size);
        pg_output_note(to, "going on behind the %s that an earlier get left", size);
    }
    return pg_link_text_body_from(&run->link, run->resumed_bytes, &run->body);
}

static pg_err get_job(void *arg)
{
    get_run *run = arg;
    PG_TRY(partial_find(run));
    pg_progress_begin(&run->progress, &run->invocation->output, "get", 0);
    run->progress.first = run->resumed_bytes;
    PG_TRY(
        pg_client_download_begin(run->client, "POST", "/api/v1/files/get", &run->body, &run->head));
    pg_client_download_from(run->client, run->resumed_bytes);
    run->first_byte_ms = pg_progress_seconds(&run->progress) * 1000;
    PG_TRY(place_find(run));
    run->progress.total = run->head.size_bytes;
    pg_err err = to_stdout(run)        ? stream_take(run)
                 : run->head.is_folder ? folder_take(run)
                                       : file_take(run);
    pg_progress_clear(&run->progress);
    PG_TRY(err);
    pg_client_transfer(run->client, &run->transfer);
    return PG_OK;
}

// ---- Telling

static void fault_tell(const get_run *run, json_object *host)
{
    const char *fault = pg_answer_text(host, "fault");
    const char *peer = pg_answer_text(host, "peer_id");
    if (strcmp(fault, "corrupt") == 0) {
        pg_output_note(&run->invocation->output, "%s gave other bytes than it was given", peer);
    } else if (strcmp(fault, "absent") == 0) {
        pg_output_note(&run->invocation->output, "%s did not have what it said it holds", peer);
    }
}

static void shards_tell(const get_run *run, json_object *report)
{
    uint64_t absent = pg_answer_u64(report, "shards_absent");
    uint64_t corrupt = pg_answer_u64(report, "shards_corrupt");
    if (absent + corrupt > 0) {
        pg_output_note(&run->invocation->output,
                       "%llu pieces were missing and %llu corrupt; others made up for them",
                       (unsigned long long) absent, (unsigned long long) corrupt);
    }
    json_object *faulty = pg_answer_object(report, "faulty_hosts");
    for (size_t i = 0; i < pg_answer_count(faulty); i++) {
        fault_tell(run, json_object_array_get_idx(faulty, i));
    }
}

static void tell(const get_run *run)
{
    const pg_output *output = &run->invocation->output;
    const char *place = (const char *) run->place.ptr;
    json_object *report = pg_answer_object(run->transfer, "report");
    char size[PG_SIZE_TEXT_BYTES];
    double seconds = pg_progress_seconds(&run->progress);
    char speed[PG_SPEED_TEXT_BYTES];
    pg_size_format(run->size_bytes, size);
    shards_tell(run, report);
    if (run->sum.entries > 0) {
        pg_output_note(output, "unpacked %llu files, folders and links",
                       (unsigned long long) run->sum.entries);
    }
    pg_speed_format((double) (run->size_bytes - run->resumed_bytes) / seconds, speed);
    pg_output_note(output, "%s in %.1f s, %s; first byte after %.0f ms", size, seconds, speed,
                   run->first_byte_ms);
    if (!to_stdout(run)) {
        pg_output_line(output, "%s", place);
    }
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, run->head.is_folder ? "folder" : "file",
                                  json_object_new_string(place));
    (void) json_object_object_add(object, "size_bytes", json_object_new_uint64(run->size_bytes));
    (void) json_object_object_add(object, "resumed_bytes",
                                  json_object_new_uint64(run->resumed_bytes));
    if (run->sum.entries > 0) {
        (void) json_object_object_add(object, "entries", json_object_new_uint64(run->sum.entries));
        (void) json_object_object_add(object, "skipped", json_object_new_uint64(run->sum.skipped));
    }
    (void) json_object_object_add(object, "first_byte_ms",
                                  json_object_new_double(run->first_byte_ms));
    (void) json_object_object_add(object, "seconds", json_object_new_double(seconds));
    (void) json_object_object_add(object, "report", json_object_get(report));
    pg_output_object(output, object);
}

static pg_err get_all(get_run *run)
{
    const char *output = pg_invocation_option(run->invocation, "output");
    if (output != NULL && strcmp(output, "-") == 0) {
        pg_output_keep_stdout(&run->invocation->output);
    }
    PG_TRY(pg_link_text_take(run->invocation, 0, &run->link));
    PG_TRY(pg_output_folder_check(pg_invocation_option(run->invocation, "output")));
    PG_TRY(pg_client_open(run->invocation, &run->client));
    PG_TRY(pg_client_run(run->client, get_job, run));
    tell(run);
    return PG_OK;
}

/** Keep what is worth going on with, and say so. */
static void partial_close(get_run *run)
{
    char size[PG_SIZE_TEXT_BYTES];
    uint64_t left = pg_partial_close(&run->partial);
    if (left > 0) {
        pg_size_format(left, size);
        pg_output_note(&run->invocation->output,
                       "%s of it are kept beside its place: the same command goes on", size);
    }
}

static pg_err get_run_command(pg_invocation *invocation)
{
    get_run *run = PG_NEW(get_run);
    if (run == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot get anything");
    }
    run->invocation = invocation;
    pg_err err = get_all(run);
    pg_error_record record = pg_error_keep(); // the clean-up may fail too, and say so
    pg_progress_clear(&run->progress);
    partial_close(run);
    pg_client_free(&run->client);
    pg_client_secret_wipe(&run->body);
    pg_link_text_wipe(&run->link);
    pg_buf_deinit(&run->place);
    json_object_put(run->transfer);
    pg_mfree(run);
    return pg_error_again(&record, err);
}

static const pg_argument get_arguments[] = {
    {"LINK", PG_VALUE_KIND_LINK, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option get_options[] = {
    {"output", 'o', PG_VALUE_KIND_FILE, "PATH",
     "where to: a file, a folder, - for standard output (the stored name, here)"},
    {"force", 'f', PG_VALUE_KIND_NONE, NULL, "replace what is there"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_get = {
    .name = "get",
    .summary = "get the file or folder that a link names",
    .description =
        "LINK in quotes, since shells take '#' for a comment in some places, or - to read it\n"
        "from standard input, so that it does not stand in the shell's history. The file gets\n"
        "its name when it is whole. What Ctrl-C, a crash or an error breaks off stays beside\n"
        "its place as .pangea-HEX.part, from 8 MiB on, and the same command goes on behind it,\n"
        "once it has verified it. A folder is unpacked beside its place and put there when it\n"
        "is whole; with -o - its archive is written as it is (pax, as tar reads it). Without\n"
        "-o it gets the name it was stored under, less what does no good in a name.",
    .example = "pangea get 'pangea:bafk...#5Kd3...' -o photos.tar\n"
               "pangea get - <link.txt",
    .arguments = get_arguments,
    .options = get_options,
    .run = get_run_command,
    .waits = true,
};
