// SPDX-License-Identifier: Apache-2.0
// `pangea put`: gives a file or a folder to the running node, which spreads it over others, and prints the link.
#include <string.h>

#include "api/uri.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/link_text.h"
#include "cli/progress.h"
#include "cli/put_source.h"
#include "cli/span.h"
#include "exchange/limits.h"
#include "files/code.h"
#include "files/root.h"

#define STATUS_ACCEPTED 202
#define TTL_DAYS_MAX (PG_PLACE_EXPIRY_S_MAX / 86400)

/** Files from this size on, a segment, are noted by the node. */
#define GO_ON_BYTES_MIN (UINT64_C(8) << 20)

/** One run of the command. */
typedef struct put_run {
    pg_invocation *invocation;
    pg_put_source source;
    pg_client *client;
    pg_progress progress;
    pg_buf path; // with the query
    json_object *answer;
    bool is_pending;
    bool can_go_on;
    bool is_done;   // an earlier run put it
    uint64_t start; // where an earlier run got to
} put_run;

// ---- Options

/** Append `&name=value` to a query, the value percent-encoded. */
static pg_err query_add(pg_buf *query, const char *name, pg_str value)
{
    PG_TRY(pg_buf_printf(query, "%s%s=", memchr(query->ptr, '?', query->len) == NULL ? "?" : "&",
                         name));
    return pg_uri_escape(pg_bytes_make(value.ptr, value.len), query);
}

static pg_err query_add_u64(pg_buf *query, const char *name, uint64_t value)
{
    char text[24];
    (void) snprintf(text, sizeof(text), "%llu", (unsigned long long) value);
    return query_add(query, name, pg_str_make(text));
}

// What is shown to people on the other side: text, without what controls their terminals.
static bool name_is_good(const char *name)
{
    char shown[PG_NAME_BYTES_MAX + 2];
    pg_text_printable(name, shown, sizeof(shown));
    return strcmp(name, shown) == 0 && pg_root_check_name(pg_bytes_cstr(name)) == PG_OK;
}

// The name that is stored: the one asked for, else the file's own.
static pg_err name_choose(const put_run *run, const char **out_name)
{
    const char *name = pg_invocation_option(run->invocation, "name");
    bool hidden = pg_invocation_has(run->invocation, "no-name");
    if (name != NULL && hidden) {
        return pg_fail(PG_ERR_INVALID, "--name and --no-name exclude each other");
    }
    if (name != NULL && (name[0] == '\0' || !name_is_good(name))) {
        return pg_fail(PG_ERR_INVALID,
                       "--name: '%s' cannot be stored: 1 to %u bytes of UTF-8 without '/' and "
                       "control characters",
                       name, PG_NAME_BYTES_MAX);
    }
    *out_name = hidden ? "" : name != NULL ? name : run->source.name;
    if (name == NULL && !hidden && !name_is_good(*out_name)) {
        pg_output_note(&run->invocation->output, "its name is no plain text, and is not stored");
        *out_name = "";
    }
    return PG_OK;
}

static pg_err path_make(put_run *run)
{
    const char *name = NULL;
    const char *code_text = pg_invocation_option(run->invocation, "code");
    const char *ttl_text = pg_invocation_option(run->invocation, "ttl");
    PG_TRY(name_choose(run, &name));
    PG_TRY(pg_buf_printf(&run->path, "/api/v1/files"));
    PG_TRY(
        query_add(&run->path, "kind", run->source.is_folder ? PG_STR("folder") : PG_STR("file")));
    if (name[0] != '\0') {
        PG_TRY(query_add(&run->path, "name", pg_str_make(name)));
    }
    if (code_text != NULL) {
        pg_code code;
        if (strcmp(code_text, "auto") != 0) {
            PG_TRY(pg_code_from_text(pg_str_make(code_text), &code));
        }
        PG_TRY(query_add(&run->path, "code", pg_str_make(code_text)));
    }
    if (pg_invocation_has(run->invocation, "no-compress")) {
        PG_TRY(query_add(&run->path, "no_compress", PG_STR("true")));
    }
    if (ttl_text != NULL) {
        uint64_t ttl_s = 0;
        PG_TRY(pg_error_wrap(pg_span_read(ttl_text, TTL_DAYS_MAX, &ttl_s), "--ttl"));
        PG_TRY(query_add_u64(&run->path, "ttl_s", ttl_s));
    }
    return PG_OK;
}

// ---- Sending

static void on_progress(const pg_client_progress *now, void *user)
{
    put_run *run = user;
    // What the node has placed counts; what it merely took may still come to nothing.
    pg_progress_update(&run->progress,
                       now->is_known ? now->placed_bytes : run->start + now->moved_bytes);
}

static pg_err on_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    put_run *run = user;
    return pg_put_source_read(space, out_len, &run->source);
}

// ---- Going on with a put that was broken off

static void start_tell(const put_run *run, json_object *answer)
{
    const pg_output *output = &run->invocation->output;
    char size[PG_SIZE_TEXT_BYTES];
    if (pg_answer_bool(answer, "was_changed")) {
        pg_output_note(output, "it changed since its put was broken off: it is put anew");
    } else if (run->start > 0) {
        pg_size_format(run->start, size);
        pg_output_note(output, "going on behind the %s that are placed", size);
    }
}

/** Take the file that an earlier run made, whose answer may have been lost. */
static pg_err done_take(put_run *run, const char *root)
{
    pg_buf path = {0};
    pg_err err = pg_buf_printf(&path, "/api/v1/files/%s", root);
    if (err == PG_OK) {
        err = pg_client_call(run->client, "GET", (const char *) path.ptr, NULL, &run->answer, NULL);
    }
    if (err == PG_OK) {
        run->is_done = true;
        run->is_pending = strcmp(pg_answer_text(run->answer, "state"), "pending") == 0;
        run->source.read_bytes = run->source.size_bytes;
    }
    pg_buf_deinit(&path);
    return err;
}

/** Ask the node where to begin with the file that two hashes stand for. */
static pg_err start_ask(put_run *run, const char *source, const char *version)
{
    pg_buf body = {0};
    json_object *answer = NULL;
    pg_err err = pg_buf_printf(&body, "{\"source\": \"%s\", \"version\": \"%s\"}", source, version);
    if (err == PG_OK) {
        err = pg_client_call(run->client, "POST", "/api/v1/files/start", &body, &answer, NULL);
    }
    if (err == PG_OK) {
        run->start = pg_answer_u64(answer, "start");
        run->can_go_on = true;
        start_tell(run, answer);
        if (json_object_object_get(answer, "root") != NULL) {
            err = done_take(run, pg_answer_text(answer, "root"));
        }
    }
    json_object_put(answer);
    pg_buf_deinit(&body);
    return err;
}

/** Have the node note the put of a large file, and go on where an earlier one was broken off. */
static pg_err start_find(put_run *run)
{
    uint8_t digest[PG_HASH_BYTES];
    char source[2 * PG_HASH_BYTES + 1];
    char version[2 * PG_HASH_BYTES + 1];
    pg_blake3_stream hash;
    pg_blake3_stream_init(&hash, NULL);
    if (run->source.size_bytes < GO_ON_BYTES_MIN ||
        !pg_put_source_identify(&run->source, &hash, digest)) {
        return PG_OK;
    }
    pg_hex_encode(PG_BYTES_OF(digest), version);
    pg_blake3_stream_update(&hash, pg_buf_bytes(&run->path)); // the options
    pg_blake3_stream_final(&hash, PG_MUT_BYTES_OF(digest));
    pg_hex_encode(PG_BYTES_OF(digest), source);
    PG_TRY(start_ask(run, source, version));
    if (run->is_done) {
        return PG_OK;
    }
    if (run->start > run->source.size_bytes) {
        return pg_fail(PG_ERR_PROTOCOL, "the node wants to go on behind the end of the file");
    }
    PG_TRY(query_add(&run->path, "source", pg_str_make(source)));
    PG_TRY(query_add(&run->path, "version", pg_str_make(version)));
    PG_TRY(query_add_u64(&run->path, "start", run->start));
    pg_put_source_skip(&run->source, run->start);
    return PG_OK;
}

static pg_err put_job(void *arg)
{
    put_run *run = arg;
    long status = 0;
    PG_TRY(pg_put_source_measure(&run->source));
    PG_TRY(start_find(run));
    if (run->is_done) {
        return PG_OK;
    }
    if (run->source.size_bytes > 0) {
        PG_TRY(query_add_u64(&run->path, "total_bytes", run->source.size_bytes));
    }
    pg_progress_begin(&run->progress, &run->invocation->output, "put", run->source.size_bytes);
    run->progress.first = run->start;
    const pg_upload upload = {
        .path = (const char *) run->path.ptr,
        .read = on_read,
        .wait_fd = run->source.stream_fd,
        .is_sized = run->source.is_sized,
        .size_bytes = run->source.size_bytes - run->start,
        .progress = on_progress,
        .user = run,
    };
    pg_err err = pg_client_upload(run->client, &upload, &run->answer, &status);
    if (err == PG_OK) {
        pg_progress_update(&run->progress, run->progress.total);
    }
    pg_progress_clear(&run->progress);
    run->is_pending = status == STATUS_ACCEPTED;
    return err;
}

// ---- Telling

static void hosts_tell(const put_run *run)
{
    const pg_output *output = &run->invocation->output;
    json_object *answer = run->answer;
    char text[PG_SIZE_TEXT_BYTES];
    size_t hosts = pg_answer_count(pg_answer_object(answer, "hosts"));
    uint64_t survives = pg_answer_u64(answer, "survives");
    pg_size_format(pg_answer_u64(answer, "stored_bytes"), text);
    if (pg_answer_u64(answer, "segments") == 0) {
        pg_output_note(output, "%s on %zu host%s, a whole copy on each", text, hosts,
                       hosts == 1 ? "" : "s");
    } else {
        pg_output_note(output, "%s on %zu host%s, code %llu+%llu", text, hosts,
                       hosts == 1 ? "" : "s",
                       (unsigned long long) pg_answer_u64(answer, "data_shards"),
                       (unsigned long long) pg_answer_u64(answer, "parity_shards"));
    }
    if (pg_answer_object(answer, "loss") != NULL) {
        pg_output_note(output, "chance of %.2g that it cannot be read at a moment of the next day",
                       pg_answer_number(answer, "loss"));
    }
    if (survives > 0) {
        pg_output_note(output, "survives the loss of any %llu host%s",
                       (unsigned long long) survives, survives == 1 ? "" : "s");
    } else {
        pg_output_note(output, "every one of these hosts is needed: none may be lost");
    }
    if (strcmp(pg_answer_text(answer, "state"), "partial") == 0) {
        pg_output_note(output, "there are fewer hosts than pieces; it spreads as more appear");
    }
}

static void expiry_tell(const put_run *run)
{
    uint64_t expiry_s = pg_answer_u64(run->answer, "expiry_s");
    char text[PG_SPAN_TEXT_BYTES];
    if (expiry_s > 0) {
        pg_span_format((int64_t) expiry_s - pg_wall_ms() / 1000, text);
        pg_output_note(&run->invocation->output, "hosts keep it for %s", text);
    }
}

static void done_tell(const put_run *run)
{
    char ago[PG_SPAN_TEXT_BYTES];
    pg_span_format((pg_wall_ms() - (int64_t) pg_answer_u64(run->answer, "put_ms")) / 1000, ago);
    pg_output_note(&run->invocation->output,
                   "it was put %s ago and has not changed: nothing is sent", ago);
}

static void sent_tell(const put_run *run, double seconds)
{
    const pg_output *output = &run->invocation->output;
    char size[PG_SIZE_TEXT_BYTES];
    double size_bytes = pg_answer_number(run->answer, "size_bytes");
    double packed_bytes = pg_answer_number(run->answer, "packed_bytes");
    char speed[PG_SPEED_TEXT_BYTES];
    pg_size_format(pg_answer_u64(run->answer, "size_bytes"), size);
    if (run->source.is_folder) {
        pg_output_note(output, "%llu files, folders and links as one archive",
                       (unsigned long long) pg_packer_sum(run->source.packer).entries);
    }
    pg_speed_format((size_bytes - (double) run->start) / seconds, speed);
    pg_output_note(output, "%s in %.1f s, %s; compressed %.2f times", size, seconds, speed,
                   packed_bytes > 0 ? size_bytes / packed_bytes : 1.0);
}

static void tell(const put_run *run)
{
    const pg_output *output = &run->invocation->output;
    double seconds = run->is_done ? 0 : pg_progress_seconds(&run->progress);
    if (run->is_done) {
        done_tell(run);
    } else {
        sent_tell(run, seconds);
    }
    if (!run->is_pending) {
        hosts_tell(run);
        expiry_tell(run);
    }
    pg_output_line(output, "%s", pg_answer_text(run->answer, "link"));
    (void) json_object_object_add(run->answer, "resumed_bytes", json_object_new_uint64(run->start));
    (void) json_object_object_add(run->answer, "was_put_before",
                                  json_object_new_boolean(run->is_done));
    (void) json_object_object_add(run->answer, "seconds", json_object_new_double(seconds));
    pg_output_object(output, json_object_get(run->answer));
}

static pg_err put_all(put_run *run)
{
    PG_TRY(path_make(run));
    PG_TRY(pg_client_open(run->invocation, &run->client));
    PG_TRY(pg_client_run(run->client, put_job, run));
    pg_link link;
    if (pg_link_parse(pg_str_make(pg_answer_text(run->answer, "link")), &link) != PG_OK) {
        return pg_fail(PG_ERR_PROTOCOL, "the node's answer has no link");
    }
    pg_link_wipe(&link);
    uint64_t size_bytes = pg_answer_u64(run->answer, "size_bytes");
    if (size_bytes != run->source.read_bytes) {
        return pg_fail(PG_ERR_PROTOCOL, "the node took %llu bytes of %llu",
                       (unsigned long long) size_bytes,
                       (unsigned long long) run->source.read_bytes);
    }
    tell(run);
    if (run->is_pending) {
        pg_output_told(&run->invocation->output);
        return pg_fail(PG_ERR_PENDING, "no host could be reached: the file is on this node alone, "
                                       "and goes out when hosts appear");
    }
    return PG_OK;
}

static pg_err put_run_command(pg_invocation *invocation)
{
    put_run run = {.invocation = invocation};
    pg_err err = pg_put_source_open(&run.source, invocation->arguments[0], &invocation->output,
                                    &run.progress);
    if (err == PG_OK) {
        err = put_all(&run);
    }
    if (run.can_go_on && (err == PG_ERR_CANCELLED || err == PG_ERR_CLOSED)) {
        pg_error_record record = pg_error_keep();
        pg_output_note(&invocation->output, "the same command goes on behind what is placed");
        err = pg_error_again(&record, err);
    }
    pg_client_free(&run.client);
    pg_put_source_close(&run.source);
    pg_buf_deinit(&run.path);
    pg_answer_wipe(run.answer, "link");
    json_object_put(run.answer);
    return err;
}

static const pg_argument put_arguments[] = {
    {"PATH", PG_VALUE_KIND_FILE, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option put_options[] = {
    {"name", 'n', PG_VALUE_KIND_TEXT, "NAME", "the name to store (that of PATH)"},
    {"no-name", 0, PG_VALUE_KIND_NONE, NULL, "store no name"},
    {"code", 'c', PG_VALUE_KIND_TEXT, "K+M", "any K of K+M pieces restore the file (8+2); auto"},
    {"no-compress", 0, PG_VALUE_KIND_NONE, NULL,
     "store as it is and pad, so that lengths tell nothing of the content"},
    {"ttl", 0, PG_VALUE_KIND_TEXT, "SPAN", "how long hosts are to keep it, as 12h, 30d or 8w"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_put = {
    .name = "put",
    .summary = "seal a file or folder, spread it over other nodes, print its link",
    .description =
        "PATH is a file, a folder (which goes as one archive), or - for standard input. The\n"
        "running node compresses, seals and codes it and gives the pieces to hosts. The link\n"
        "is printed on standard output, alone: it is all that is needed to get the file back,\n"
        "and all anybody needs to read it. Keep it, and keep it secret.\n"
        "With --code auto the node takes 8 data pieces and as few more, from 2 to 8, as make it\n"
        "likely enough (999 of 1000) that eight can be had, by its forecast for the hosts.\n"
        "Where no host can be reached the node keeps the file and gives it out when some\n"
        "appear: the link is printed all the same, and the exit code is 37.\n"
        "Ctrl-C breaks off. A file from 8 MiB on goes on with the same command, within two\n"
        "days and while it does not change: what is placed is neither read nor sent again, also\n"
        "after a crash of the command or the node. Of all else nothing is kept. One that was put\n"
        "within two days and has not changed is not sent again either: its link is printed.",
    .example = "pangea put photos.tar\ntar -c letters | pangea put - --name letters.tar",
    .arguments = put_arguments,
    .options = put_options,
    .run = put_run_command,
    .waits = true,
};
