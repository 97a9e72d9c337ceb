// SPDX-License-Identifier: Apache-2.0
// `pangea repair status | now | explain` and `pangea leave`: what the hosts of files do for each other.
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/file_row.h"
#include "cli/invocation.h"
#include "cli/link_text.h"
#include "cli/span.h"
#include "runtime/time.h"

static void ago_format(uint64_t time_s, char out_text[PG_SPAN_TEXT_BYTES])
{
    pg_span_format(pg_wall_ms() / 1000 - (int64_t) time_s, out_text);
}

static unsigned long long number(json_object *object, const char *name)
{
    return (unsigned long long) pg_answer_u64(object, name);
}

static void notes_tell(const pg_output *output, json_object *notes)
{
    for (size_t i = 0; i < pg_answer_count(notes); i++) {
        json_object *note = json_object_array_get_idx(notes, i);
        char ago[PG_SPAN_TEXT_BYTES];
        char detail[PG_ERROR_TEXT_BYTES_MAX];
        ago_format(pg_answer_u64(note, "time_s"), ago);
        pg_text_printable(pg_answer_text(note, "detail"), detail, sizeof(detail));
        pg_output_line(output, "  %8s ago  %-11s  %s", ago, pg_answer_text(note, "what"), detail);
    }
}

// ---- Status

static void balance_tell(const pg_output *output, json_object *balance)
{
    char moved[PG_SIZE_TEXT_BYTES];
    pg_size_format(pg_answer_u64(balance, "moved_bytes"), moved);
    if (!pg_answer_bool(balance, "is_enabled")) {
        pg_output_line(output, "balance    off");
    } else if (number(balance, "hosts") == 0) {
        pg_output_line(output, "balance    on, no host has told yet how full it is");
    } else {
        pg_output_line(output,
                       "balance    %llu %% full, %llu hosts asked: half of them up to %llu %%",
                       number(balance, "fill_percent"), number(balance, "hosts"),
                       number(balance, "median_percent"));
    }
    pg_output_line(output, "           %llu slots given to emptier hosts, %s pushed, %llu failed",
                   number(balance, "moved_slots"), moved, number(balance, "failed"));
}

static void status_tell(const pg_output *output, json_object *answer)
{
    char patience[PG_SPAN_TEXT_BYTES];
    char bandwidth[PG_SPEED_TEXT_BYTES];
    char moved[PG_SIZE_TEXT_BYTES];
    json_object *audits = pg_answer_object(answer, "audits");
    uint64_t cap = pg_answer_u64(answer, "bandwidth");
    pg_span_format((int64_t) pg_answer_u64(answer, "patience_s"), patience);
    pg_speed_format((double) cap, bandwidth);
    pg_size_format(pg_answer_u64(answer, "repaired_bytes"), moved);
    pg_output_line(output, "repair     %s, after %s of silence, %s",
                   pg_answer_bool(answer, "is_enabled") ? "on" : "off", patience,
                   cap == 0 ? "as fast as can be" : bandwidth);
    pg_output_line(output, "hosts      %llu share files with this node, %llu silent, %llu lost",
                   number(answer, "hosts"), number(answer, "hosts_silent"),
                   number(answer, "hosts_lost"));
    pg_output_line(output, "waiting    %llu extents, %llu of them urgent", number(answer, "queued"),
                   number(answer, "queued_urgent"));
    pg_output_line(output,
                   "done       %llu repairs, %llu slots placed anew, %s pushed, %llu failed",
                   number(answer, "repairs"), number(answer, "repaired_slots"), moved,
                   number(answer, "repairs_failed"));
    pg_output_line(output, "audits     %llu asked: %llu slots proven, %llu silent, %llu at fault",
                   number(audits, "asked"), number(audits, "proven"), number(audits, "silent"),
                   number(audits, "faults"));
    pg_output_line(output, "           %llu answered, %llu put off", number(audits, "answered"),
                   number(audits, "busy"));
    json_object *evidence = pg_answer_object(answer, "evidence");
    pg_output_line(output,
                   "evidence   %llu hosts told of liars; told by others: %llu taken, %llu known, "
                   "%llu refused",
                   number(evidence, "told"), number(evidence, "taken"), number(evidence, "known"),
                   number(evidence, "refused"));
    balance_tell(output, pg_answer_object(answer, "rebalance"));
    notes_tell(output, pg_answer_object(answer, "notes"));
}

static pg_err status_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/repair", NULL, &answer));
    status_tell(&invocation->output, answer);
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- Extents

static void host_tell(const pg_output *output, json_object *host)
{
    char slots[PG_ANSWER_NUMBERS_BYTES];
    char silent[PG_SPAN_TEXT_BYTES];
    char proven[PG_SPAN_TEXT_BYTES];
    uint64_t silent_s = pg_answer_u64(host, "silent_s");
    uint64_t proven_s = pg_answer_u64(host, "proven_s");
    bool is_faulty = pg_answer_count(pg_answer_object(host, "faulty")) > 0;
    pg_answer_numbers(host, "slots", slots);
    ago_format(silent_s, silent);
    ago_format(proven_s, proven);
    pg_output_line(output, "  %s  slot %s, %s%s%s%s%s%s", pg_answer_text(host, "peer_id"), slots,
                   pg_answer_bool(host, "is_living") ? "there"
                   : silent_s == 0                   ? "does not answer"
                                                     : "silent for ",
                   pg_answer_bool(host, "is_living") || silent_s == 0 ? "" : silent,
                   proven_s == 0 ? ", not proven" : ", proven ", proven_s == 0 ? "" : proven,
                   proven_s == 0 ? "" : " ago", is_faulty ? ", AT FAULT" : "");
}

static bool has_forecasts(json_object *hosts)
{
    bool has = true;
    for (size_t i = 0; i < pg_answer_count(hosts); i++) {
        has &= pg_answer_bool(json_object_array_get_idx(hosts, i), "is_forecast");
    }
    return has;
}

static void extent_tell(const pg_output *output, json_object *extent)
{
    size_t missing = pg_answer_count(pg_answer_object(extent, "missing"));
    size_t lost = pg_answer_count(pg_answer_object(extent, "lost"));
    unsigned long long copies = number(extent, "copies_lost");
    json_object *hosts = pg_answer_object(extent, "hosts");
    const char *verdict = pg_answer_bool(extent, "is_repaired") ? "repaired now"
                          : lost > 0 || copies > 0              ? "to be repaired"
                          : missing > 0                         ? "waiting for silent hosts"
                                                                : "whole";
    char readable[PG_READABLE_TEXT_BYTES];
    unsigned long long networks = number(extent, "networks");
    pg_readable_format(extent, has_forecasts(hosts), readable);
    pg_output_line(output, "extent %s: %s%s", pg_answer_text(extent, "extent"),
                   pg_answer_bool(extent, "is_urgent") && (lost > 0 || missing > 0) ? "URGENT, "
                                                                                    : "",
                   verdict);
    pg_output_line(output,
                   "  %llu %s, any %llu suffice; %zu missing, %llu given up; in %llu network%s; "
                   "%s",
                   number(extent, "slots"), pg_answer_bool(extent, "is_whole") ? "copies" : "slots",
                   number(extent, "needed"), missing, lost + copies, networks,
                   networks == 1 ? "" : "s", readable);
    if (pg_answer_bool(extent, "is_kept")) {
        pg_output_line(output, "  this node keeps some of it, and is number %llu in line to repair",
                       number(extent, "position") + 1);
    }
    for (size_t i = 0; i < pg_answer_count(hosts); i++) {
        host_tell(output, json_object_array_get_idx(hosts, i));
    }
    notes_tell(output, pg_answer_object(extent, "notes"));
}

static void extents_tell(const pg_output *output, json_object *answer)
{
    json_object *extents = pg_answer_object(answer, "extents");
    size_t count = pg_answer_count(extents);
    for (size_t i = 0; i < count; i++) {
        extent_tell(output, json_object_array_get_idx(extents, i));
    }
    if (number(answer, "total") > count) {
        pg_output_note(output, "the first %zu of %llu extents", count, number(answer, "total"));
    }
}

static pg_err extents_ask(const pg_invocation *invocation, const char *path, const pg_buf *body)
{
    pg_client *client = NULL;
    json_object *answer = NULL;
    PG_TRY(pg_client_open(invocation, &client));
    pg_err err = pg_client_call(client, "POST", path, body, &answer, NULL);
    pg_client_free(&client);
    PG_TRY(err);
    extents_tell(&invocation->output, answer);
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static pg_err link_ask(const pg_invocation *invocation, const char *path)
{
    pg_link_text link;
    pg_buf body = {0};
    PG_TRY(pg_link_text_take(invocation, 0, &link));
    pg_err err = pg_client_secret_body("link", link.text, &body);
    if (err == PG_OK) {
        err = extents_ask(invocation, path, &body);
    }
    pg_client_secret_wipe(&body);
    pg_link_text_wipe(&link);
    return err;
}

static pg_err explain_run(pg_invocation *invocation)
{
    return link_ask(invocation, pg_invocation_has(invocation, "audit")
                                    ? "/api/v1/repair/explain?audit=true"
                                    : "/api/v1/repair/explain");
}

static pg_err now_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    bool is_dry = pg_invocation_has(invocation, "dry-run");
    if (invocation->argument_count > 0) {
        return link_ask(invocation,
                        is_dry ? "/api/v1/repair?dry_run=true" : "/api/v1/repair?dry_run=false");
    }
    if (is_dry) {
        return pg_fail(PG_ERR_INVALID, "--dry-run wants a link");
    }
    PG_TRY(pg_client_ask(invocation, "POST", "/api/v1/repair", NULL, &answer));
    pg_output_note(&invocation->output, "the node looks at everything it keeps; `pangea repair "
                                        "status` tells what comes of it");
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- Leaving

static pg_err leave_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    uint64_t keep = 0;
    PG_TRY(pg_invocation_size(invocation, "keep", 0, &keep));
    json_object *body = json_object_new_object();
    (void) json_object_object_add(body, "keep_bytes", json_object_new_int64((int64_t) keep));
    pg_err err = pg_client_ask(invocation, "POST", "/api/v1/storage/leave", body, &answer);
    json_object_put(body);
    PG_TRY(err);
    char kept[PG_SIZE_TEXT_BYTES];
    char moved[PG_SIZE_TEXT_BYTES];
    unsigned long long failed = number(answer, "failed");
    pg_size_format(pg_answer_u64(answer, "kept_bytes"), kept);
    pg_size_format(pg_answer_u64(answer, "pushed_bytes"), moved);
    pg_output_line(&invocation->output,
                   "%llu of %llu leases handed over, %s pushed; %s in %llu leases stay",
                   number(answer, "moved"), number(answer, "leases"), moved, kept,
                   number(answer, "kept_leases"));
    if (failed > 0) {
        pg_output_warn(&invocation->output,
                       "%llu found no other host: run it again when more are there", failed);
    } else if (keep == 0) {
        pg_output_note(&invocation->output,
                       "nothing new is taken until the node restarts; `pangea config set "
                       "storage.accept nobody` keeps it so");
    }
    pg_output_object(&invocation->output, answer);
    if (failed > 0) {
        pg_output_told(&invocation->output);
    }
    return failed > 0 ? pg_fail(PG_ERR_UNREACHABLE, "%llu leases stay here", failed) : PG_OK;
}

// ---- The commands

static const pg_argument link_argument[] = {
    {"LINK", PG_VALUE_KIND_LINK, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_argument now_arguments[] = {
    {"LINK", PG_VALUE_KIND_LINK, true, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option now_options[] = {
    {"dry-run", 'n', PG_VALUE_KIND_NONE, NULL, "only tell what would be repaired"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

static const pg_option explain_options[] = {
    {"audit", 0, PG_VALUE_KIND_NONE, NULL, "have the hosts prove that they have it, first"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

static const pg_option leave_options[] = {
    {"keep", 0, PG_VALUE_KIND_TEXT, "SIZE", "hand over only until so much is left: 5GiB"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_repair_status = {
    .name = "repair status",
    .summary = "tell what this node does to keep the files of others whole",
    .description =
        "Hosts of a file look after each other while its owner is away: who is silent for\n"
        "longer than repair.patience is replaced by those who are left. Shows the hosts that\n"
        "share files with this node, what waits, what was done, what audits found, and the\n"
        "last lines of the log of repairs.",
    .run = status_run,
};

const pg_command pg_command_repair_now = {
    .name = "repair now",
    .summary = "look at everything now, or repair the file of a link now",
    .description =
        "Without LINK the next round of checks begins at once. With LINK the extents of that\n"
        "file which this node keeps a part of are repaired now, whoever's turn it is; of the\n"
        "others it tells how they stand. Hosts that are silent for less than repair.patience\n"
        "are waited for all the same.",
    .example = "pangea repair now\npangea repair now --dry-run 'pangea:bafk...#5Kd3...'",
    .arguments = now_arguments,
    .options = now_options,
    .run = now_run,
};

const pg_command pg_command_repair_explain = {
    .name = "repair explain",
    .summary = "tell how a file stands: who has it, who proved it, what was done",
    .description =
        "Asks the hosts of each extent now. For each: how many pieces are missing and how many\n"
        "of these are given up, in how many networks its hosts are, how likely it can be read\n"
        "at any one time by how often they answered, its place in line to repair it, a line a\n"
        "host, and the log of what was done for it. LINK as for `pangea get`.",
    .example = "pangea repair explain --audit 'pangea:bafk...#5Kd3...'",
    .arguments = link_argument,
    .options = explain_options,
    .run = explain_run,
};

const pg_command pg_command_leave = {
    .name = "leave",
    .summary = "hand over to other hosts what this node keeps for others",
    .description =
        "Each piece goes to another host, under the lease it is kept under, and is deleted here\n"
        "only when that host has promised to keep it. From then on this node takes nothing new\n"
        "until it restarts; with --keep it stays a host, of less. What no other host takes\n"
        "stays, and the command fails; run it again later. Interrupted, it goes on next time.",
    .example = "pangea leave\npangea leave --keep 5GiB",
    .options = leave_options,
    .run = leave_run,
};
