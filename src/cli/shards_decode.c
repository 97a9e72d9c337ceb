// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/folders.h"
#include "cli/invocation.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "files/decode.h"
#include "files/extents.h"
#include "files/limits.h"
#include "files/link.h"

// Corrupt shards are told one by one up to here: a whole disk of them would bury everything else.
#define WARNINGS_MAX 20

/** What one run of the command holds. */
typedef struct decode_run {
    const pg_output *output;
    const char *target_path; // NULL: the name in the root
    bool replace;
    pg_folders folders;
    pg_target target;
    pg_progress progress;
    uint64_t size_bytes;
    uint64_t absent;
    uint64_t corrupt;
    size_t place[PG_CODE_SHARDS_MAX]; // of each slot: the folder where it was last found
    json_object *problems;            // NULL unless --json
} decode_run;

/** Return true for errors that are about one place only, so that others may still serve. */
static bool is_local(pg_err err)
{
    return err == PG_ERR_NOT_FOUND || err == PG_ERR_ACCESS || err == PG_ERR_IO;
}

static void warn_damaged(decode_run *run, size_t folder, const pg_cid *cid)
{
    char name[PG_CID_TEXT_BYTES];
    pg_cid_format(cid, name);
    pg_progress_clear(&run->progress);
    pg_output_warn(run->output, "%s: the copy of %s is damaged", run->folders.paths[folder], name);
}

/** Take a block from the first folder whose copy is whole. */
static pg_err find_block(decode_run *run, const pg_cid *cid, pg_mut_bytes space, size_t *out_len)
{
    bool damaged = false;
    for (size_t i = 0; i < run->folders.count; i++) {
        size_t len = 0;
        pg_err err = pg_folders_get(&run->folders, i, cid, space, &len);
        if (err != PG_OK && !is_local(err)) {
            return err;
        }
        if (err != PG_OK) {
            continue;
        }
        pg_cid actual = pg_block_cid(pg_bytes_make(space.ptr, len));
        if (pg_cid_equal(&actual, cid)) {
            *out_len = len;
            return PG_OK;
        }
        damaged = true;
        warn_damaged(run, i, cid);
    }
    char name[PG_CID_TEXT_BYTES];
    pg_cid_format(cid, name);
    if (damaged) {
        return pg_fail(PG_ERR_CORRUPT, "no folder has a whole copy of %s", name);
    }
    return pg_fail(PG_ERR_NOT_FOUND, "no folder has %s", name);
}

static pg_err on_get_block(const pg_cid *cid, const pg_extent *extent, pg_buf *out, void *user)
{
    (void) extent;
    uint8_t *space = NULL;
    size_t len = 0;
    size_t room = out->max_len - out->len;
    PG_TRY(pg_buf_extend(out, room, &space));
    pg_err err = find_block(user, cid, pg_mut_bytes_make(space, room), &len);
    out->len -= room - len;
    return err;
}

/** Look for a shard where its slot was last found, then everywhere. *out_found is false when it is nowhere. */
static pg_err get_shard(decode_run *run, const pg_shards_want *want, unsigned shard,
                        bool *out_found)
{
    unsigned slot = pg_code_slot_of_shard(want->descriptor->code, want->segment, shard);
    pg_cid cid =
        pg_block_cid_of_digest(pg_descriptor_digest(want->descriptor, want->segment, shard));
    pg_mut_bytes row = {want->shards + (size_t) shard * want->shard_bytes, want->shard_bytes};
    size_t first = run->place[slot]; // other fibers change it while this one waits
    *out_found = false;
    for (size_t i = 0; i < run->folders.count && !*out_found; i++) {
        size_t folder = (first + i) % run->folders.count;
        size_t len = 0;
        pg_err err = pg_folders_get(&run->folders, folder, &cid, row, &len);
        if (err == PG_OK) {
            memset(row.ptr + len, 0,
                   row.len - len); // what is too short is corrupt, and will be told so
            run->place[slot] = folder;
            *out_found = true;
        } else if (!is_local(err)) {
            return err;
        }
    }
    return PG_OK;
}

static pg_err on_get_shards(const pg_shards_want *want, pg_shard_set *out_got,
                            pg_shard_set *out_absent, void *user)
{
    unsigned need = want->need;
    // Data shards stand first: with all of them there is nothing to compute.
    for (unsigned i = 0; i < pg_code_shards(want->descriptor->code) && need > 0; i++) {
        pg_shard_set bit = (pg_shard_set) 1 << i;
        bool found = false;
        if ((want->tried & bit) != 0) {
            continue;
        }
        PG_TRY(get_shard(user, want, i, &found));
        *out_got |= found ? bit : 0;
        *out_absent |= found ? 0 : bit;
        need -= found ? 1 : 0;
    }
    return PG_OK;
}

static void on_problem(const pg_shard_problem *problem, void *user)
{
    decode_run *run = user;
    bool corrupt = problem->fault == PG_SHARD_FAULT_CORRUPT;
    char name[PG_CID_TEXT_BYTES];
    pg_cid_format(&problem->cid, name);
    run->corrupt += corrupt ? 1 : 0;
    run->absent += corrupt ? 0 : 1;
    if (corrupt && run->corrupt <= WARNINGS_MAX) {
        pg_progress_clear(&run->progress);
        pg_output_warn(run->output, "extent %llu segment %u: shard %u (slot %u) is corrupt: %s/%s",
                       (unsigned long long) problem->extent, problem->segment, problem->shard,
                       problem->slot, run->folders.paths[run->place[problem->slot]], name);
    }
    if (run->problems != NULL && json_object_array_length(run->problems) < WARNINGS_MAX) {
        json_object *object = json_object_new_object();
        (void) json_object_object_add(object, "fault",
                                      json_object_new_string(corrupt ? "corrupt" : "absent"));
        (void) json_object_object_add(object, "extent", json_object_new_uint64(problem->extent));
        (void) json_object_object_add(object, "segment",
                                      json_object_new_int((int32_t) problem->segment));
        (void) json_object_object_add(object, "shard",
                                      json_object_new_int((int32_t) problem->shard));
        (void) json_object_object_add(object, "cid", json_object_new_string(name));
        (void) json_object_array_add(run->problems, object);
    }
}

static pg_err on_begin(const pg_root *root, void *user)
{
    decode_run *run = user;
    run->size_bytes = root->size_bytes;
    run->progress.total = root->size_bytes;
    pg_str path =
        run->target_path == NULL ? pg_buf_str(&root->name) : pg_str_make(run->target_path);
    if (path.len == 0) {
        return pg_fail(PG_ERR_INVALID,
                       "the file was stored without a name: say where with -o FILE");
    }
    return pg_target_open(&run->target, path, run->replace);
}

static pg_err on_write(pg_bytes bytes, void *user)
{
    decode_run *run = user;
    PG_TRY(pg_target_write(&run->target, bytes));
    pg_progress_update(&run->progress, run->target.offset);
    return PG_OK;
}

static void tell(const decode_run *run)
{
    const char *path = (const char *) run->target.path.ptr;
    char size[PG_SIZE_TEXT_BYTES];
    double seconds = pg_progress_seconds(&run->progress);
    char speed[PG_SPEED_TEXT_BYTES];
    pg_size_format(run->size_bytes, size);
    if (run->absent + run->corrupt > 0) {
        pg_output_note(run->output,
                       "%llu shards were missing and %llu corrupt; others made up for them",
                       (unsigned long long) run->absent, (unsigned long long) run->corrupt);
    }
    pg_speed_format((double) run->size_bytes / seconds, speed);
    pg_output_note(run->output, "%s in %.1f s, %s", size, seconds, speed);
    pg_output_line(run->output, "%s", path);

    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "file", json_object_new_string(path));
    (void) json_object_object_add(object, "size_bytes", json_object_new_uint64(run->size_bytes));
    (void) json_object_object_add(object, "shards_absent", json_object_new_uint64(run->absent));
    (void) json_object_object_add(object, "shards_corrupt", json_object_new_uint64(run->corrupt));
    (void) json_object_object_add(object, "problems", json_object_get(run->problems));
    (void) json_object_object_add(object, "seconds", json_object_new_double(seconds));
    pg_output_object(run->output, object);
}

static pg_err decode_all(decode_run *run, const pg_link *link)
{
    pg_files_store store = {
        .get_block = on_get_block, .get_shards = on_get_shards, .problem = on_problem, .user = run};
    pg_files_output output = {on_begin, on_write, run};
    pg_progress_begin(&run->progress, run->output, "decode", 0);
    pg_err err = pg_files_decode_stream(link, 0, &store, &output);
    if (err == PG_OK) {
        err = pg_target_finish(&run->target);
    }
    pg_progress_clear(&run->progress);
    return err;
}

static pg_err decode_run_command(pg_invocation *invocation)
{
    pg_link link;
    PG_TRY(pg_link_parse(pg_str_make(invocation->arguments[0]), &link));
    decode_run run = {
        .output = &invocation->output,
        .target_path = pg_invocation_option(invocation, "output"),
        .replace = pg_invocation_has(invocation, "force"),
        .problems = invocation->output.json ? json_object_new_array() : NULL,
    };
    if (run.target_path != NULL && strcmp(run.target_path, "-") == 0) {
        pg_output_keep_stdout(&invocation->output);
    }
    pg_err err = pg_folders_find(&run.folders, invocation->arguments + 1,
                                 invocation->argument_count - 1, &link.root);
    if (err == PG_OK) {
        err = decode_all(&run, &link);
    }
    if (err == PG_OK) {
        tell(&run);
    }
    pg_error_record record = pg_error_keep(); // the clean-up may fail too, and say so
    pg_target_close(&run.target);
    pg_folders_deinit(&run.folders);
    (void) json_object_put(run.problems);
    pg_link_wipe(&link);
    return pg_error_again(&record, err);
}

static const pg_argument decode_arguments[] = {
    {"LINK", PG_VALUE_KIND_LINK, false, false},
    {"DIR", PG_VALUE_KIND_FOLDER, false, true},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option decode_options[] = {
    {"output", 'o', PG_VALUE_KIND_FILE, "FILE",
     "where to (- for standard output; the stored name, here)"},
    {"force", 'f', PG_VALUE_KIND_NONE, NULL, "replace a file that is there"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_shards_decode = {
    .name = "shards decode",
    .summary = "get a file back from folders",
    .description =
        "Finds what LINK names in the folders, in any order, and writes the file. Every piece is\n"
        "checked; corrupt and missing ones are named and made up for by others while there are\n"
        "enough. The file gets its name when it is whole: nothing half-written is left. Put the\n"
        "link in quotes, since shells take '#' for a comment in some places.",
    .example = "pangea shards decode 'pangea:bafk...#5Kd3...' /mnt/a /mnt/c -o photos.tar",
    .arguments = decode_arguments,
    .options = decode_options,
    .run = decode_run_command,
    .waits = true,
};
