// SPDX-License-Identifier: Apache-2.0
// `pangea ls` and `pangea rm`: the files that were put through the running node.
#include <string.h>

#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/file_pages.h"
#include "cli/file_row.h"
#include "cli/invocation.h"
#include "cli/link_text.h"
#include "cli/span.h"
#include "runtime/time.h"

#define PATH_BYTES 256
#define BEFORE_HEALTH 10
#define BEFORE_ID 51 // columns of `ls` before the root

static void file_tell(const pg_output *output, json_object *file, bool with_link)
{
    char size[PG_SIZE_TEXT_BYTES];
    char age[PG_SPAN_TEXT_BYTES];
    char left[PG_SPAN_TEXT_BYTES];
    pg_file_row row;
    int64_t now_s = pg_wall_ms() / 1000;
    uint64_t expiry_s = pg_answer_u64(file, "expiry_s");
    pg_size_format(pg_answer_u64(file, "size_bytes"), size);
    pg_span_format(now_s - (int64_t) pg_answer_u64(file, "put_ms") / 1000, age);
    pg_span_format((int64_t) expiry_s - now_s, left);
    pg_file_row_make(output, file, with_link, BEFORE_ID, &row);
    pg_output_line(output, "%s%-9s%s %10s  %8s ago  %8s left  %s  %s%s", row.style,
                   pg_answer_text(file, "state"), row.style_end, size, age,
                   expiry_s == 0 ? "-" : left, row.id, row.name, row.after);
}

// Who restores an identity sees here how far its files are.
static pg_err restoring_tell(const pg_invocation *invocation, bool *out_restoring)
{
    json_object *stat = NULL;
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/stat", NULL, &stat));
    json_object *catalogue = pg_answer_object(stat, "catalogue");
    *out_restoring =
        catalogue != NULL && strcmp(pg_answer_text(catalogue, "state"), "restoring") == 0;
    if (*out_restoring) {
        pg_output_note(&invocation->output,
                       "restoring the catalogue: not found yet, asking again (asked %llu times)",
                       (unsigned long long) pg_answer_u64(catalogue, "looks"));
    }
    json_object_put(stat);
    return PG_OK;
}

// ---- ls --health

static void health_tell(const pg_output *output, json_object *file, json_object *health)
{
    char proven[PG_SPAN_TEXT_BYTES];
    pg_file_row row;
    uint64_t proven_s = pg_answer_u64(health, "proven_s");
    unsigned long long missing = pg_answer_u64(health, "missing");
    char readable[PG_READABLE_TEXT_BYTES];
    unsigned long long networks = pg_answer_u64(health, "networks");
    pg_span_format(pg_wall_ms() / 1000 - (int64_t) proven_s, proven);
    pg_readable_format(health, pg_answer_bool(health, "is_forecast"), readable);
    pg_file_row_make(output, file, false, BEFORE_HEALTH, &row);
    pg_output_line(output, "%s%-9s%s %s%s", row.style, pg_answer_text(file, "state"), row.style_end,
                   row.name, row.after);
    pg_output_line(output, "          held by %llu hosts in %llu network%s, %s%s%s; %s",
                   (unsigned long long) pg_answer_u64(health, "hosts"), networks,
                   networks == 1 ? "" : "s", proven_s == 0 ? "not proven yet" : "proven ",
                   proven_s == 0 ? "" : proven, proven_s == 0 ? "" : " ago", readable);
    if (missing > 0 || pg_answer_u64(health, "silent") > 0) {
        pg_output_line(output, "          %llu pieces have no host, %llu hosts do not answer",
                       missing, (unsigned long long) pg_answer_u64(health, "silent"));
    }
}

// Both lists have the same order: the search goes on behind what was found last.
static json_object *health_of(json_object *list, size_t *at, const char *root)
{
    for (size_t i = *at; i < pg_answer_count(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);
        if (strcmp(pg_answer_text(one, "root"), root) == 0) {
            *at = i + 1;
            return one;
        }
    }
    return NULL; // put meanwhile
}

static pg_err health_page(const pg_file_pages *pages, pg_output *output)
{
    char path[PATH_BYTES];
    json_object *answer = NULL;
    (void) snprintf(path, sizeof(path), "/api/v1/repair/files%s", pages->query);
    PG_TRY(pg_client_ask(pages->invocation, "GET", path, NULL, &answer));
    json_object *healths = pg_answer_object(answer, "files");
    size_t at = 0;
    for (size_t i = 0; i < pg_answer_count(pages->files) && !output->json; i++) {
        json_object *file = json_object_array_get_idx(pages->files, i);
        json_object *health = health_of(healths, &at, pg_answer_text(file, "root"));
        if (health != NULL) {
            health_tell(output, file, health);
        }
    }
    pg_output_items(output, "files", healths);
    json_object_put(answer);
    return PG_OK;
}

static void names_tell(const pg_invocation *invocation, const pg_file_pages *pages, bool is_first)
{
    const pg_output *output = &invocation->output;
    size_t count = pg_answer_count(pages->files);
    bool with_links = pg_invocation_has(invocation, "links");
    if (is_first && count > 0 && !with_links) {
        pg_output_head(output, "%-9s %10s  %12s  %13s  %-*s  %s", "STATE", "SIZE", "PUT", "KEPT",
                       (int) pg_file_row_id_chars(output, BEFORE_ID), "ROOT", "NAME");
    }
    for (size_t i = 0; i < count; i++) {
        file_tell(output, json_object_array_get_idx(pages->files, i), with_links);
    }
}

static pg_err ls_run(pg_invocation *invocation)
{
    pg_output *output = &invocation->output;
    const bool of_health = pg_invocation_has(invocation, "health");
    pg_file_pages pages;
    bool is_restoring = false;
    size_t count = 0;
    pg_err err = PG_OK;
    if (!of_health) {
        PG_TRY(restoring_tell(invocation, &is_restoring));
    }
    pg_file_pages_begin(&pages, invocation);
    while (pg_file_pages_next(&pages, &err)) {
        if (of_health) {
            err = health_page(&pages, output);
        } else {
            names_tell(invocation, &pages, count == 0);
            pg_output_items(output, "files", pages.files);
        }
        count += pg_answer_count(pages.files);
        if (err != PG_OK) {
            break;
        }
    }
    pg_file_pages_end(&pages);
    PG_TRY(err);
    pg_output_items_end(output);
    if (count == 0 && !is_restoring) {
        pg_output_note(output, "nothing was put through this node");
    }
    return PG_OK;
}

// The root of the one file with this name.
static pg_err root_of_name(const pg_invocation *invocation, const char *name,
                           char out_root[PG_CID_TEXT_BYTES])
{
    pg_file_pages pages;
    size_t matches = 0;
    pg_err err = PG_OK;
    pg_file_pages_begin(&pages, invocation);
    while (pg_file_pages_next(&pages, &err)) {
        for (size_t i = 0; i < pg_answer_count(pages.files); i++) {
            json_object *file = json_object_array_get_idx(pages.files, i);
            if (name[0] != '\0' && strcmp(pg_answer_optional(file, "name"), name) == 0) {
                matches++;
                (void) snprintf(out_root, PG_CID_TEXT_BYTES, "%s", pg_answer_text(file, "root"));
            }
        }
    }
    pg_file_pages_end(&pages);
    PG_TRY(err);
    if (matches == 0) {
        return pg_fail(PG_ERR_NOT_FOUND,
                       "nothing named %s was put through this node; `pangea ls` lists what was",
                       name);
    }
    if (matches > 1) {
        return pg_fail(PG_ERR_INVALID,
                       "%zu files are named %s: say which by its root, as `pangea ls` shows it",
                       matches, name);
    }
    return PG_OK;
}

static pg_err root_find(const pg_invocation *invocation, char out_root[PG_CID_TEXT_BYTES])
{
    const char *word = invocation->arguments[0];
    pg_cid root;
    if (strncmp(word, "pangea:", strlen("pangea:")) == 0 || strcmp(word, "-") == 0) {
        pg_link_text link;
        pg_err err = pg_link_text_take(invocation, 0, &link);
        if (err == PG_OK) {
            pg_cid_format(&link.link.root, out_root);
            pg_link_text_wipe(&link);
        }
        return err;
    }
    if (pg_cid_parse(pg_str_make(word), &root) == PG_OK) {
        pg_cid_format(&root, out_root);
        return PG_OK;
    }
    return root_of_name(invocation, word, out_root);
}

static pg_err rm_run(pg_invocation *invocation)
{
    char root[PG_CID_TEXT_BYTES];
    char path[PATH_BYTES];
    json_object *answer = NULL;
    PG_TRY(root_find(invocation, root));
    (void) snprintf(path, sizeof(path), "/api/v1/files/%s", root);
    PG_TRY(pg_client_ask(invocation, "DELETE", path, NULL, &answer));
    uint64_t dropped = pg_answer_u64(answer, "dropped");
    uint64_t hosts = pg_answer_u64(answer, "hosts");
    pg_output_note(&invocation->output, "%llu of %llu hosts dropped it%s",
                   (unsigned long long) dropped, (unsigned long long) hosts,
                   dropped < hosts ? "; the others will when its time is over" : "");
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static const pg_option ls_options[] = {
    {"links", 'l', PG_VALUE_KIND_NONE, NULL, "show the links, which are secret, not the roots"},
    {"health", 0, PG_VALUE_KIND_NONE, NULL, "show who holds them, and when that was proven"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

static const pg_argument rm_arguments[] = {
    {"FILE", PG_VALUE_KIND_STORED, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

const pg_command pg_command_ls = {
    .name = "ls",
    .summary = "list the files that were put through this node",
    .description =
        "A line each, newest first: how it stands (complete, partial: on fewer hosts than it\n"
        "has pieces, pending: on this node only), its size, its age, how long hosts keep it,\n"
        "its root, its name. --health: how many hosts hold it, when an audit proved that last,\n"
        "and how likely it can be read at any one time. With --json everything the node knows, the "
        "links included.",
    .options = ls_options,
    .run = ls_run,
};

const pg_command pg_command_rm = {
    .name = "rm",
    .summary = "drop a file that was put through this node",
    .description =
        "FILE is a link (- to read it from standard input), a root, or the name of the only\n"
        "file that has it. Hosts that can be reached drop their pieces now, others when their\n"
        "time is over. What others have copied meanwhile is theirs.",
    .example = "pangea rm photos.tar",
    .arguments = rm_arguments,
    .run = rm_run,
};
