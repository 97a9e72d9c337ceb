// SPDX-License-Identifier: Apache-2.0
// `pangea health`: what the running node thinks of its hosts, and why.
#include <stdio.h>
#include <string.h>

#include <json-c/linkhash.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/invocation.h"
#include "cli/span.h"
#include "crypto/peer_id_text.h"
#include "runtime/time.h"

#define PATH_BYTES 256

static void ago_format(uint64_t time_s, char out_text[PG_SPAN_TEXT_BYTES])
{
    int64_t now_s = pg_wall_ms() / 1000;
    if (time_s == 0) {
        (void) snprintf(out_text, PG_SPAN_TEXT_BYTES, "never");
    } else {
        pg_span_format(now_s - (int64_t) time_s, out_text);
    }
}

static void line_tell(const pg_output *output, json_object *peer)
{
    char seen[PG_SPAN_TEXT_BYTES];
    ago_format(pg_answer_u64(peer, "seen_s"), seen);
    pg_output_line(output, "%-6s %5.1f  %5.1f %5.1f %5.1f  %8s  %s", pg_answer_text(peer, "state"),
                   pg_answer_number(peer, "score"), pg_answer_number(peer, "uptime"),
                   pg_answer_number(peer, "latency"), pg_answer_number(peer, "availability"), seen,
                   pg_answer_text(peer, "peer_id"));
}

static pg_err list_run(const pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/health", NULL, &answer));
    json_object *peers = pg_answer_object(answer, "peers");
    size_t count = pg_answer_count(peers);
    if (count > 0) {
        pg_output_line(&invocation->output, "%-6s %5s  %5s %5s %5s  %8s  %s", "state", "score",
                       "up", "lat.", "avail", "seen", "peer");
    }
    for (size_t i = 0; i < count; i++) {
        line_tell(&invocation->output, json_object_array_get_idx(peers, i));
    }
    if (count == 0) {
        pg_output_note(&invocation->output, "no host was watched yet");
    }
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static void part_tell(const pg_output *output, json_object *peer, const char *name,
                      const char *share)
{
    pg_output_line(output, "  %-14s %5.1f  counts %s", name, pg_answer_number(peer, name), share);
}

static void evidence_tell(const pg_output *output, json_object *evidence)
{
    char age[PG_SPAN_TEXT_BYTES];
    const char *reason = pg_answer_optional(evidence, "reason");
    ago_format(pg_answer_u64(evidence, "time_s"), age);
    pg_output_line(output, "  %8s ago  %-14s score %.1f%s%s%s", age,
                   pg_answer_text(evidence, "event"), pg_answer_number(evidence, "score"),
                   reason[0] == '\0' ? "" : ", ", reason,
                   pg_answer_optional(evidence, "proof_hex")[0] == '\0' ? "" : ", with proof");
}

static void peer_tell(const pg_output *output, json_object *peer)
{
    char seen[PG_SPAN_TEXT_BYTES];
    char first[PG_SPAN_TEXT_BYTES];
    const char *reason = pg_answer_optional(peer, "reason");
    ago_format(pg_answer_u64(peer, "seen_s"), seen);
    ago_format(pg_answer_u64(peer, "first_s"), first);
    pg_output_line(output, "%s: %s%s%s, score %.1f", pg_answer_text(peer, "peer_id"),
                   pg_answer_text(peer, "state"), reason[0] == '\0' ? "" : ", because ", reason,
                   pg_answer_number(peer, "score"));
    part_tell(output, peer, "uptime", "0.4");
    part_tell(output, peer, "latency", "0.3");
    part_tell(output, peer, "availability", "0.3");
    pg_output_line(output, "known for %s, %llu hours observed; answered last %s ago, in %.1f ms",
                   first, (unsigned long long) pg_answer_u64(peer, "known_hours"), seen,
                   pg_answer_number(peer, "rtt_ms"));
    json_object *forecast = pg_answer_object(peer, "forecast");
    if (forecast != NULL) {
        pg_output_line(output, "forecast: there for %.0f %% of the next 24 hours",
                       100 * json_object_get_double(forecast));
    }
    json_object *counts = pg_answer_object(peer, "observations");
    json_object_object_foreach(counts, name, value)
    {
        pg_output_line(output, "  %-14s %llu", name,
                       (unsigned long long) json_object_get_uint64(value));
    }
    json_object *list = pg_answer_object(peer, "evidence");
    size_t count = pg_answer_count(list);
    for (size_t i = 0; i < count; i++) {
        evidence_tell(output, json_object_array_get_idx(list, i));
    }
}

static pg_err peer_run(const pg_invocation *invocation)
{
    pg_peer_id peer;
    char text[PG_PEER_ID_TEXT_BYTES];
    char path[PATH_BYTES];
    json_object *answer = NULL;
    if (pg_peer_id_parse(pg_str_make(invocation->arguments[0]), &peer) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "'%s' is no PeerId", invocation->arguments[0]);
    }
    pg_peer_id_format(&peer, text);
    (void) snprintf(path, sizeof(path), "/api/v1/health/%s", text);
    PG_TRY(pg_client_ask(invocation, "GET", path, NULL, &answer));
    peer_tell(&invocation->output, answer);
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static pg_err health_run(pg_invocation *invocation)
{
    return invocation->argument_count == 0 ? list_run(invocation) : peer_run(invocation);
}

static const pg_argument health_arguments[] = {
    {"PEER", PG_VALUE_KIND_PEER, true, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

const pg_command pg_command_health = {
    .name = "health",
    .summary = "tell how fit the hosts are that the running node deals with",
    .description =
        "A line a host: new, good, fair (close to being barred) or barred (it is given no new\n"
        "shards); its score of 0 to 100, which is 0.4 uptime, 0.3 inverse latency and 0.3\n"
        "availability; the three; when it last answered. With PEER, a PeerId: what was seen\n"
        "of that host, and what stands against it. Hosts that hold something put here, and\n"
        "those for whom something is held, are pinged every health.ping_interval.",
    .example = "pangea health\npangea health 12D3KooW...",
    .arguments = health_arguments,
    .run = health_run,
};
