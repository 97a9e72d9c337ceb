// SPDX-License-Identifier: Apache-2.0
// `pangea block put` and `pangea block get`: single public blocks, by content id, as IPFS has them.
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/get_place.h"
#include "cli/progress.h"
#include "cli/put_source.h"
#include "cli/target.h"
#include "codec/cid.h"

#define BLOCK_BYTES_MAX (2U << 20) // what a block exchange carries
#define TIMEOUT_MS 30000
#define TIMEOUT_MS_MAX 3600000
#define PATH_BYTES 256

/** One run of either command. */
typedef struct block_run {
    pg_invocation *invocation;
    pg_client *client;
    pg_progress progress; // never shown: a block is small
    char path[PATH_BYTES];
    // put
    pg_put_source source;
    json_object *answer;
    // get
    const char *output;
    pg_target target;
    pg_buf block;
} block_run;

// ---- put

static pg_err on_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    block_run *run = user;
    PG_TRY(pg_put_source_read(space, out_len, &run->source));
    return run->source.read_bytes <= BLOCK_BYTES_MAX
               ? PG_OK
               : pg_fail(PG_ERR_LIMIT, "a block has at most %u bytes; `pangea put` takes any file",
                         BLOCK_BYTES_MAX);
}

static pg_err put_job(void *arg)
{
    block_run *run = arg;
    const pg_upload upload = {
        .path = "/api/v1/blocks",
        .read = on_read,
        .wait_fd = run->source.stream_fd,
        .is_sized = run->source.is_sized,
        .size_bytes = run->source.size_bytes,
        .user = run,
    };
    return pg_client_upload(run->client, &upload, &run->answer, NULL);
}

static pg_err put_all(block_run *run)
{
    if (run->source.is_folder) {
        return pg_fail(PG_ERR_INVALID, "%s is a folder; `pangea put` takes folders",
                       run->source.path);
    }
    if (run->source.size_bytes > BLOCK_BYTES_MAX) {
        return pg_fail(
            PG_ERR_LIMIT, "%s has %llu bytes, a block at most %u; `pangea put` takes any file",
            run->source.path, (unsigned long long) run->source.size_bytes, BLOCK_BYTES_MAX);
    }
    PG_TRY(pg_client_open(run->invocation, &run->client));
    PG_TRY(pg_client_run(run->client, put_job, run));
    pg_output_line(&run->invocation->output, "%s", pg_answer_text(run->answer, "cid"));
    pg_output_object(&run->invocation->output, json_object_get(run->answer));
    return PG_OK;
}

static pg_err block_put_run(pg_invocation *invocation)
{
    block_run run = {.invocation = invocation};
    pg_err err = pg_put_source_open(&run.source, invocation->arguments[0], &invocation->output,
                                    &run.progress);
    if (err == PG_OK) {
        err = put_all(&run);
    }
    pg_client_free(&run.client);
    pg_put_source_close(&run.source);
    json_object_put(run.answer);
    return err;
}

// ---- get

static pg_err block_take(block_run *run)
{
    pg_download_head head;
    PG_TRY(pg_client_download_begin(run->client, "GET", run->path, NULL, &head));
    for (;;) {
        uint8_t *space = NULL;
        size_t len = 0;
        const size_t step = 65536;
        PG_TRY(pg_buf_extend(&run->block, step, &space));
        pg_err err = pg_client_download_read(pg_mut_bytes_make(space, step), &len, run->client);
        run->block.len -= step - (err == PG_OK ? len : 0);
        if (err != PG_OK || len == 0) {
            return err;
        }
    }
}

static pg_err get_job(void *arg)
{
    block_run *run = arg;
    PG_TRY(block_take(run));
    if (strcmp(run->output, "-") != 0) {
        PG_TRY(pg_target_open(&run->target, pg_str_make(run->output),
                              pg_invocation_has(run->invocation, "force")));
        PG_TRY(pg_target_write(&run->target, pg_buf_bytes(&run->block)));
        return pg_target_finish(&run->target);
    }
    return pg_client_write_stdout(run->client, pg_buf_bytes(&run->block));
}

static pg_err path_make(block_run *run)
{
    const char *word = run->invocation->arguments[0];
    const char *timeout = pg_invocation_option(run->invocation, "timeout");
    pg_cid cid;
    char text[PG_CID_TEXT_BYTES];
    uint64_t timeout_ms = TIMEOUT_MS;
    pg_err err = pg_cid_parse(pg_str_make(word), &cid);
    if (err != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "'%s' is no content id: %s", word, pg_error_detail(err));
    }
    if (timeout != NULL &&
        pg_str_to_u64(pg_str_make(timeout), TIMEOUT_MS_MAX, &timeout_ms) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "--timeout: '%s' is not a number from 0 to %d", timeout,
                       TIMEOUT_MS_MAX);
    }
    pg_cid_format(&cid, text);
    (void) snprintf(run->path, sizeof(run->path), "/api/v1/blocks/%s?timeout_ms=%llu", text,
                    (unsigned long long) timeout_ms);
    return PG_OK;
}

static pg_err get_all(block_run *run)
{
    const char *output = pg_invocation_option(run->invocation, "output");
    run->output = output == NULL ? "-" : output;
    bool to_stdout = strcmp(run->output, "-") == 0;
    if (to_stdout) {
        pg_output_keep_stdout(&run->invocation->output);
    }
    PG_TRY(path_make(run));
    PG_TRY(pg_output_folder_check(run->output));
    PG_TRY(pg_client_open(run->invocation, &run->client));
    PG_TRY(pg_client_run(run->client, get_job, run));
    if (!to_stdout) {
        pg_output_line(&run->invocation->output, "%s", run->output);
    }
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "file", json_object_new_string(run->output));
    (void) json_object_object_add(object, "size_bytes", json_object_new_uint64(run->block.len));
    pg_output_object(&run->invocation->output, object);
    return PG_OK;
}

static pg_err block_get_run(pg_invocation *invocation)
{
    block_run run = {.invocation = invocation, .block.max_len = 2 * BLOCK_BYTES_MAX};
    pg_err err = get_all(&run);
    pg_error_record record = pg_error_keep(); // the clean-up may fail too, and say so
    pg_target_close(&run.target);
    pg_client_free(&run.client);
    pg_buf_deinit(&run.block);
    return pg_error_again(&record, err);
}

static const pg_argument put_arguments[] = {
    {"FILE", PG_VALUE_KIND_FILE, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_argument get_arguments[] = {
    {"CID", PG_VALUE_KIND_TEXT, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option get_options[] = {
    {"output", 'o', PG_VALUE_KIND_FILE, "FILE", "where to (standard output)"},
    {"force", 'f', PG_VALUE_KIND_NONE, NULL, "replace a file that is there"},
    {"timeout", 0, PG_VALUE_KIND_TEXT, "MS", "how long to look for it, milliseconds (30000)"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_block_put = {
    .name = "block put",
    .summary = "keep a public block on the running node and print its content id",
    .description =
        "FILE (- for standard input) has at most 2 MiB and is not sealed: whoever asks for its\n"
        "content id gets it, IPFS nodes too. `pangea put` is for what others must not read.",
    .example = "pangea block put poem.txt",
    .arguments = put_arguments,
    .run = block_put_run,
    .waits = true,
};

const pg_command pg_command_block_get = {
    .name = "block get",
    .summary = "get a public block by its content id",
    .description = "From this node, or from a peer it is connected to.",
    .example = "pangea block get bafkreib... -o poem.txt",
    .arguments = get_arguments,
    .options = get_options,
    .run = block_get_run,
    .waits = true,
};
