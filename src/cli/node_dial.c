// SPDX-License-Identifier: Apache-2.0
// `pangea dial` and `pangea peers`: connections of the running node.
#include <stdio.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/invocation.h"
#include "cli/span.h"

#define ROW_BYTES 512
#define AGENT_BYTES 64
#define HEAD_FORMAT "%-52s  %-3s  %-7s  %10s  %8s  %s"
#define ROW_FORMAT "%-52s  %-3s  %-7s  %7.1f ms  %8s  %s  %s"

static void peer_tell(const pg_output *output, json_object *peer)
{
    json_object *protocols = NULL;
    pg_output_line(output, "%s", pg_answer_text(peer, "peer_id"));
    pg_output_line(output, "  %s by %s, %s, round trip %.3f ms", pg_answer_text(peer, "direction"),
                   pg_answer_text(peer, "transport"), pg_answer_text(peer, "security"),
                   pg_answer_number(peer, "rtt_ms"));
    pg_output_line(output, "  %s", pg_answer_text(peer, "addr"));
    pg_output_line(output, "  %s, %s", pg_answer_text(peer, "agent"),
                   pg_answer_text(peer, "muxer"));
    if (json_object_object_get_ex(peer, "protocols", &protocols)) {
        for (size_t i = 0; i < json_object_array_length(protocols); i++) {
            pg_output_line(output, "    %s",
                           json_object_get_string(json_object_array_get_idx(protocols, i)));
        }
    }
}

static pg_err dial_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    json_object *body = json_object_new_object();
    (void) json_object_object_add(body, "target", json_object_new_string(invocation->arguments[0]));
    (void) json_object_object_add(body, "fresh",
                                  json_object_new_boolean(pg_invocation_has(invocation, "fresh")));
    pg_err err = pg_client_ask(invocation, "POST", "/api/v1/dial", body, &answer);
    json_object_put(body);
    PG_TRY(err);
    pg_output_line(&invocation->output, "connected in %.3f ms",
                   pg_answer_number(answer, "dial_ms"));
    peer_tell(&invocation->output, answer);
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// A line each, for an overview. What the terminal has no room for is left out at the end.
static void peer_row_tell(const pg_output *output, json_object *peer)
{
    char line[ROW_BYTES];
    char age[PG_SPAN_TEXT_BYTES];
    char agent[AGENT_BYTES];
    unsigned columns = pg_output_columns(output);
    pg_span_format((int64_t) pg_answer_u64(peer, "age_ms") / 1000, age);
    pg_text_printable(pg_answer_optional(peer, "agent"), agent, sizeof(agent));
    int len = snprintf(line, sizeof(line), ROW_FORMAT, pg_answer_text(peer, "peer_id"),
                       strcmp(pg_answer_text(peer, "direction"), "inbound") == 0 ? "in" : "out",
                       pg_answer_text(peer, "transport"), pg_answer_number(peer, "rtt_ms"), age,
                       pg_answer_text(peer, "addr"), agent);
    int room = columns == 0 ? len : (int) columns;
    pg_output_line(output, "%.*s", len < room ? len : room, line);
}

static pg_err peers_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    json_object *peers = NULL;
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/peers", NULL, &answer));
    if (json_object_object_get_ex(answer, "peers", &peers)) {
        size_t count = json_object_array_length(peers);
        bool is_long = pg_invocation_has(invocation, "long");
        if (count > 0 && !is_long) {
            pg_output_head(&invocation->output, HEAD_FORMAT, "PEER", "WAY", "OVER", "ROUND TRIP",
                           "FOR", "ADDRESS");
        }
        for (size_t i = 0; i < count; i++) {
            (is_long ? peer_tell : peer_row_tell)(&invocation->output,
                                                  json_object_array_get_idx(peers, i));
        }
        if (count == 0) {
            pg_output_note(&invocation->output, "not connected to anybody");
        }
    }
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static const pg_argument target_argument[] = {
    {"TARGET", PG_VALUE_KIND_PEER, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option dial_options[] = {
    {"fresh", 0, PG_VALUE_KIND_NONE, NULL, "make a new connection even if there is one"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

static const pg_option peers_options[] = {
    {"long", 'l', PG_VALUE_KIND_NONE, NULL, "show the handshake and the protocols too"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_dial = {
    .name = "dial",
    .summary = "connect the running node to a peer",
    .description = "TARGET is a multiaddr, with or without /p2p/ID at its end, or a PeerId whose\n"
                   "addresses the node knows.",
    .example = "pangea dial /ip4/192.0.2.1/udp/4417/quic-v1",
    .arguments = target_argument,
    .options = dial_options,
    .run = dial_run,
};

const pg_command pg_command_peers = {
    .name = "peers",
    .summary = "list the connections of the running node",
    .description =
        "A line each: the peer, who dialed (in, out), the transport, the round trip, for how\n"
        "long, its address, its program. With --long all that is known of it.",
    .options = peers_options,
    .run = peers_run,
};
