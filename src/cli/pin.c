// SPDX-License-Identifier: Apache-2.0
// `pangea pin`, `pangea pin ls` and `pangea unpin`: files that the running node keeps whole for itself.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/file_row.h"
#include "cli/link_text.h"
#include "cli/progress.h"
#include "cli/span.h"
#include "runtime/time.h"

#define PATH_BYTES 256
#define BEFORE_ID 54 // columns of `pin ls` before the root

/** One run of `pin`. */
typedef struct pin_run {
    pg_invocation *invocation;
    pg_link_text link;
    pg_buf body;
    pg_bytes rest; // of the body, to be sent
    pg_client *client;
    pg_progress progress;
    json_object *answer;
} pin_run;

// ---- pin

static pg_err on_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    pin_run *run = user;
    *out_len = pg_bytes_read(&run->rest, space);
    return PG_OK;
}

static void on_progress(const pg_client_progress *now, void *user)
{
    pin_run *run = user;
    if (now->is_known) {
        run->progress.total = now->total_bytes;
        pg_progress_update(&run->progress, now->placed_bytes);
    }
}

static pg_err pin_job(void *arg)
{
    pin_run *run = arg;
    run->rest = pg_buf_bytes(&run->body);
    const pg_upload upload = {
        .path = "/api/v1/pins",
        .type = "application/json",
        .read = on_read,
        .wait_fd = -1,
        .is_sized = true,
        .size_bytes = run->body.len,
        .progress = on_progress,
        .user = run,
    };
    pg_progress_begin(&run->progress, &run->invocation->output, "pin", 0);
    pg_err err = pg_client_upload(run->client, &upload, &run->answer, NULL);
    pg_progress_clear(&run->progress);
    return err;
}

static void pin_tell(const pin_run *run)
{
    const pg_output *output = &run->invocation->output;
    char size[PG_SIZE_TEXT_BYTES];
    char kept[PG_SIZE_TEXT_BYTES];
    pg_size_format(pg_answer_u64(run->answer, "size_bytes"), size);
    pg_size_format(pg_answer_u64(run->answer, "kept_bytes"), kept);
    pg_output_note(output, "%s, kept here as %s until it is unpinned", size, kept);
    pg_output_line(output, "%s", pg_answer_text(run->answer, "root"));
    pg_output_object(output, json_object_get(run->answer));
}

static pg_err pin_all(pin_run *run)
{
    PG_TRY(pg_link_text_take(run->invocation, 0, &run->link));
    PG_TRY(pg_client_secret_body("link", run->link.text, &run->body));
    PG_TRY(pg_client_open(run->invocation, &run->client));
    PG_TRY(pg_client_run(run->client, pin_job, run));
    pin_tell(run);
    return PG_OK;
}

static pg_err pin_run_command(pg_invocation *invocation)
{
    pin_run run = {.invocation = invocation};
    pg_err err = pin_all(&run);
    pg_client_free(&run.client);
    pg_client_secret_wipe(&run.body);
    pg_link_text_wipe(&run.link);
    pg_answer_wipe(run.answer, "link");
    json_object_put(run.answer);
    return err;
}

// ---- pin ls

static void row_tell(const pg_output *output, json_object *pin, bool with_link)
{
    char size[PG_SIZE_TEXT_BYTES];
    char kept[PG_SIZE_TEXT_BYTES];
    char age[PG_SPAN_TEXT_BYTES];
    pg_file_row row;
    pg_size_format(pg_answer_u64(pin, "size_bytes"), size);
    pg_size_format(pg_answer_u64(pin, "kept_bytes"), kept);
    pg_span_format(pg_wall_ms() / 1000 - (int64_t) pg_answer_u64(pin, "pinned_ms") / 1000, age);
    pg_file_row_make(output, pin, with_link, BEFORE_ID, &row);
    pg_output_line(output, "%s%-10s%s %10s  %10s here  %8s ago  %s  %s%s", row.style,
                   pg_answer_text(pin, "state"), row.style_end, size, kept, age, row.id, row.name,
                   row.after);
}

static pg_err pin_ls_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/pins", NULL, &answer));
    json_object *pins = pg_answer_object(answer, "pins");
    bool with_links = pg_invocation_has(invocation, "links");
    if (pg_answer_count(pins) > 0 && !with_links) {
        pg_output_head(&invocation->output, "%-10s %10s  %15s  %12s  %-*s  %s", "STATE", "SIZE",
                       "KEPT", "PINNED", (int) pg_file_row_id_chars(&invocation->output, BEFORE_ID),
                       "ROOT", "NAME");
    }
    for (size_t i = 0; i < pg_answer_count(pins); i++) {
        row_tell(&invocation->output, json_object_array_get_idx(pins, i), with_links);
    }
    if (pg_answer_count(pins) == 0) {
        pg_output_note(&invocation->output, "nothing is pinned on this node");
    }
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- unpin

static pg_err root_take(const pg_invocation *invocation, char out_root[PG_CID_TEXT_BYTES])
{
    pg_cid root;
    pg_link_text link;
    if (pg_cid_parse(pg_str_make(invocation->arguments[0]), &root) == PG_OK) {
        pg_cid_format(&root, out_root);
        return PG_OK;
    }
    PG_TRY(pg_link_text_take(invocation, 0, &link));
    pg_cid_format(&link.link.root, out_root);
    pg_link_text_wipe(&link);
    return PG_OK;
}

static pg_err unpin_run(pg_invocation *invocation)
{
    char root[PG_CID_TEXT_BYTES];
    char path[PATH_BYTES];
    json_object *answer = NULL;
    PG_TRY(root_take(invocation, root));
    (void) snprintf(path, sizeof(path), "/api/v1/pins/%s", root);
    PG_TRY(pg_client_ask(invocation, "DELETE", path, NULL, &answer));
    pg_output_note(&invocation->output, "unpinned");
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- The table

static const pg_argument pin_arguments[] = {
    {"LINK", PG_VALUE_KIND_LINK, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_argument unpin_arguments[] = {
    {"LINK", PG_VALUE_KIND_PINNED, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option ls_options[] = {
    {"links", 'l', PG_VALUE_KIND_NONE, NULL, "show the links, which are secret, not the roots"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_pin = {
    .name = "pin",
    .summary = "keep a file on this node until it is unpinned",
    .description =
        "LINK as for get, or - to read it from standard input. The node gets what it lacks of\n"
        "the file and keeps enough to restore it without anybody, sealed as it is on hosts and\n"
        "within storage.quota. What is cached gives way; pins never do. Ctrl-C breaks off and\n"
        "keeps what was got: the same command goes on. Where the quota has no room for all of\n"
        "it the command fails, and nothing is pinned.",
    .example = "pangea pin 'pangea:bafk...#5Kd3...'",
    .arguments = pin_arguments,
    .run = pin_run_command,
    .waits = true,
};

const pg_command pg_command_pin_ls = {
    .name = "pin ls",
    .summary = "list the files that are pinned on this node",
    .description =
        "A line each, newest first: complete, or incomplete where `pangea pin` was broken off\n"
        "or a damaged block is missing (the same command gets it again), or where a restored\n"
        "node is still getting it; the file's size, what is here of it, its age, its root, its\n"
        "name.",
    .options = ls_options,
    .run = pin_ls_run,
};

const pg_command pg_command_unpin = {
    .name = "unpin",
    .summary = "let go of a file that was pinned on this node",
    .description = "LINK is the link (- to read it from standard input) or its root. Blocks that\n"
                   "nothing else needs are deleted at once.",
    .example = "pangea unpin bafk...",
    .arguments = unpin_arguments,
    .run = unpin_run,
};
