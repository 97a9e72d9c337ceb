// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "base/str.h"
#include "cli/folders.h"
#include "cli/invocation.h"
#include "cli/progress.h"
#include "cli/source.h"
#include "files/encode.h"
#include "files/link.h"
#include "runtime/random.h"

/** What one run of the command holds. */
typedef struct encode_run {
    const pg_output *output;
    pg_source source;
    pg_folders folders;
    pg_progress progress;
    pg_key key;
} encode_run;

static pg_err on_shards(const pg_shard *shards, unsigned count, void *user)
{
    encode_run *run = user;
    for (unsigned i = 0; i < count; i++) {
        PG_TRY(pg_folders_put(&run->folders, shards[i].slot % run->folders.count, &shards[i].cid,
                              shards[i].bytes));
    }
    return PG_OK;
}

static pg_err put_everywhere(encode_run *run, const pg_cid *cid, pg_bytes block)
{
    for (size_t i = 0; i < run->folders.count; i++) {
        PG_TRY(pg_folders_put(&run->folders, i, cid, block));
    }
    return PG_OK;
}

static pg_err on_descriptor(pg_bytes block, pg_extent *extent, void *user)
{
    return put_everywhere(user, &extent->descriptor, block);
}

static pg_err on_root(pg_bytes block, const pg_cid *cid, void *user)
{
    return put_everywhere(user, cid, block);
}

static void on_progress(uint64_t plain_bytes, void *user)
{
    encode_run *run = user;
    pg_progress_update(&run->progress, plain_bytes);
}

/** Tell what was made, and how much of it may be lost. */
static void tell(const encode_run *run, const pg_files_encoded *encoded, pg_code code,
                 const char *link)
{
    char size[PG_SIZE_TEXT_BYTES];
    char stored[PG_SIZE_TEXT_BYTES];
    // An inline file stands whole in every folder.
    unsigned folders = (unsigned) run->folders.count;
    unsigned survives = encoded->segments == 0 ? folders - 1 : pg_code_survives(code, folders);
    uint64_t shared = encoded->shared_bytes * folders;
    uint64_t total = encoded->shards_bytes + shared;
    double seconds = pg_progress_seconds(&run->progress);
    pg_size_format(encoded->size_bytes, size);
    pg_size_format(total, stored);
    char speed[PG_SPEED_TEXT_BYTES];
    double packed = encoded->packed_bytes == 0
                        ? 1
                        : (double) encoded->size_bytes / (double) encoded->packed_bytes;
    pg_speed_format((double) encoded->size_bytes / seconds, speed);
    pg_output_note(
        run->output, "%s in %.1f s, %s; compressed %.2f times; %s in %u folder%s, code %u+%u", size,
        seconds, speed, packed, stored, folders, folders == 1 ? "" : "s", code.data, code.parity);
    pg_output_note(run->output, "any %u of the %u folders may be lost", survives, folders);
    pg_output_line(run->output, "%s", link);

    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "link", json_object_new_string(link));
    (void) json_object_object_add(object, "size_bytes",
                                  json_object_new_uint64(encoded->size_bytes));
    (void) json_object_object_add(object, "packed_bytes",
                                  json_object_new_uint64(encoded->packed_bytes));
    (void) json_object_object_add(object, "stored_bytes", json_object_new_uint64(total));
    (void) json_object_object_add(object, "extents", json_object_new_uint64(encoded->extents));
    (void) json_object_object_add(object, "segments", json_object_new_uint64(encoded->segments));
    (void) json_object_object_add(object, "data_shards", json_object_new_int(code.data));
    (void) json_object_object_add(object, "parity_shards", json_object_new_int(code.parity));
    (void) json_object_object_add(object, "folders", json_object_new_int((int32_t) folders));
    (void) json_object_object_add(object, "survives", json_object_new_int((int32_t) survives));
    (void) json_object_object_add(object, "seconds", json_object_new_double(seconds));
    pg_output_object(run->output, object);
}

// A set of folders promises nothing before it is complete: nobody waits for what came so far.
static pg_err on_read(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user)
{
    encode_run *run = user;
    (void) deadline;
    return pg_source_read(&run->source, space, out_len);
}

static pg_err encode_all(encode_run *run, const pg_files_encoding *encoding,
                         pg_files_encoded *out_encoded)
{
    pg_files_source source = {on_read, run};
    pg_files_sink sink = {
        .put_shards = on_shards,
        .put_descriptor = on_descriptor,
        .put_root = on_root,
        .progress = on_progress,
        .user = run,
    };
    PG_TRY(pg_files_encode_stream(encoding, &source, &sink, out_encoded));
    PG_TRY(pg_source_check(&run->source));
    return pg_folders_finish(&run->folders, &out_encoded->root);
}

static pg_err encode_with_code(pg_invocation *invocation, encode_run *run, pg_code code)
{
    pg_random_bytes(pg_mut_bytes_make(run->key.bytes, PG_KEY_BYTES));
    pg_files_encoding encoding = {
        .code = code,
        .no_compress = pg_invocation_has(invocation, "no-compress"),
        .name = pg_invocation_has(invocation, "no-name") ? PG_BYTES_EMPTY
                                                         : pg_source_name(&run->source),
        .file_key = &run->key,
        .random = pg_random_bytes,
    };
    if (pg_root_check_name(encoding.name) != PG_OK) {
        encoding.name = PG_BYTES_EMPTY;
    }
    pg_files_encoded encoded;
    pg_progress_begin(&run->progress, run->output, "encode", run->source.info.size_bytes);
    pg_err err = encode_all(run, &encoding, &encoded);
    pg_progress_clear(&run->progress);
    PG_TRY(err);

    char text[PG_LINK_TEXT_BYTES];
    pg_link link = {encoded.root, run->key};
    pg_link_format(&link, text);
    tell(run, &encoded, code, text);
    pg_link_wipe(&link);
    pg_wipe(text, sizeof(text));
    return PG_OK;
}

static pg_err encode_run_command(pg_invocation *invocation)
{
    pg_code code = PG_CODE_DEFAULT;
    const char *code_text = pg_invocation_option(invocation, "code");
    if (code_text != NULL) {
        PG_TRY(pg_code_from_text(pg_str_make(code_text), &code));
    }
    size_t folders = invocation->argument_count - 1;
    if (folders > pg_code_shards(code)) {
        return pg_fail(PG_ERR_INVALID,
                       "%zu folders for %u shards: at most one folder for each shard", folders,
                       pg_code_shards(code));
    }
    encode_run run = {.output = &invocation->output};
    pg_err err = pg_source_open(&run.source, invocation->arguments[0]);
    if (err == PG_OK) {
        err = pg_folders_prepare(&run.folders, invocation->arguments + 1, folders);
    }
    if (err == PG_OK) {
        err = encode_with_code(invocation, &run, code);
    }
    if (err != PG_OK) {
        pg_error_record record = pg_error_keep(); // the clean-up may fail too, and say so
        pg_folders_abort(&run.folders);
        err = pg_error_again(&record, err);
    }
    pg_folders_deinit(&run.folders);
    pg_source_close(&run.source);
    pg_key_wipe(&run.key);
    return err;
}

static const pg_argument encode_arguments[] = {
    {"FILE", PG_VALUE_KIND_FILE, false, false},
    {"DIR", PG_VALUE_KIND_FOLDER, false, true},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option encode_options[] = {
    {"code", 'c', PG_VALUE_KIND_TEXT, "K+M", "any K of K+M shards restore a segment (8+2)"},
    {"no-compress", 0, PG_VALUE_KIND_NONE, NULL,
     "store as it is and pad, so that lengths tell nothing of the content"},
    {"no-name", 0, PG_VALUE_KIND_NONE, NULL, "do not store the file's name"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_shards_encode = {
    .name = "shards encode",
    .summary = "seal a file and spread it over folders",
    .description =
        "Compresses, seals and codes FILE (- for standard input) and spreads the pieces evenly\n"
        "over the folders, which must exist: on disks that fail apart from each other. Prints\n"
        "the link, which is all that is needed to get the file back, and all anybody needs to\n"
        "read it: keep it secret, and keep it. With as many folders as shards (ten for 8+2) any\n"
        "M folders may be lost; with fewer, the command says how many. The file is not changed.",
    .example = "pangea shards encode photos.tar /mnt/a /mnt/b /mnt/c --code 2+1",
    .arguments = encode_arguments,
    .options = encode_options,
    .run = encode_run_command,
    .waits = true,
};
