// SPDX-License-Identifier: Apache-2.0
// `pangea ping` and `pangea perf`: how far away a peer is, and how fast bytes go there.
#include <stdio.h>

#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/invocation.h"

#define PING_COUNT 4
#define PING_COUNT_MAX 1000000
#define PING_INTERVAL_MS 1000
#define PING_INTERVAL_MS_MAX 60000
#define PERF_BYTES (64U << 20)

static pg_err number_option(const pg_invocation *invocation, const char *name, uint64_t max,
                            uint64_t missing, uint64_t *out_value)
{
    const char *text = pg_invocation_option(invocation, name);
    if (text == NULL) {
        *out_value = missing;
        return PG_OK;
    }
    if (pg_str_to_u64(pg_str_make(text), max, out_value) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "--%s: '%s' is not a number from 0 to %llu", name, text,
                       (unsigned long long) max);
    }
    return PG_OK;
}

static json_object *target_body(const pg_invocation *invocation)
{
    json_object *body = json_object_new_object();
    (void) json_object_object_add(body, "target", json_object_new_string(invocation->arguments[0]));
    return body;
}

/** The rounds so far. */
typedef struct ping_sum {
    json_object *rounds;
    uint64_t count;
    double min_ms;
    double max_ms;
    double sum_ms;
} ping_sum;

// One request with one round; all but the first make the node wait before it answers.
static pg_err round_ask(const pg_invocation *invocation, uint64_t interval_ms, ping_sum *sum)
{
    json_object *answer = NULL;
    json_object *rounds = NULL;
    json_object *body = target_body(invocation);
    (void) json_object_object_add(
        body, "delay_ms", json_object_new_int64(sum->count > 0 ? (int64_t) interval_ms : 0));
    pg_err err = pg_client_ask(invocation, "POST", "/api/v1/ping", body, &answer);
    json_object_put(body);
    PG_TRY(err);
    if (!json_object_object_get_ex(answer, "rounds", &rounds) ||
        json_object_array_length(rounds) != 1) {
        json_object_put(answer);
        return pg_fail(PG_ERR_PROTOCOL, "the node's answer has no round");
    }
    json_object *round = json_object_array_get_idx(rounds, 0);
    double rtt_ms = pg_answer_number(round, "rtt_ms");
    sum->min_ms = sum->count == 0 || rtt_ms < sum->min_ms ? rtt_ms : sum->min_ms;
    sum->max_ms = rtt_ms > sum->max_ms ? rtt_ms : sum->max_ms;
    sum->sum_ms += rtt_ms;
    sum->count++;
    (void) json_object_array_add(sum->rounds, json_object_get(round));
    pg_output_line(&invocation->output, "%llu: %.3f ms", (unsigned long long) sum->count, rtt_ms);
    (void) fflush(invocation->output.result);
    json_object_put(answer);
    return PG_OK;
}

static pg_err ping_run(pg_invocation *invocation)
{
    uint64_t count = 0;
    uint64_t interval_ms = 0;
    PG_TRY(number_option(invocation, "count", PING_COUNT_MAX, PING_COUNT, &count));
    PG_TRY(number_option(invocation, "interval", PING_INTERVAL_MS_MAX, PING_INTERVAL_MS,
                         &interval_ms));
    ping_sum sum = {.rounds = json_object_new_array()};
    while (sum.count < count) {
        pg_err err = round_ask(invocation, interval_ms, &sum);
        if (err != PG_OK) {
            json_object_put(sum.rounds);
            return err;
        }
    }
    double mean_ms = sum.count > 0 ? sum.sum_ms / (double) sum.count : 0.0;
    pg_output_line(&invocation->output, "least %.3f ms, mean %.3f ms, most %.3f ms", sum.min_ms,
                   mean_ms, sum.max_ms);
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "rounds", sum.rounds);
    (void) json_object_object_add(object, "min_ms", json_object_new_double(sum.min_ms));
    (void) json_object_object_add(object, "mean_ms", json_object_new_double(mean_ms));
    (void) json_object_object_add(object, "max_ms", json_object_new_double(sum.max_ms));
    pg_output_object(&invocation->output, object);
    return PG_OK;
}

static void speed_tell(const pg_output *output, const char *way, double bytes, double ms)
{
    if (bytes > 0 && ms > 0) {
        pg_output_line(output, "%s  %.0f MiB in %.3f s, %.1f MB/s", way, bytes / (1 << 20),
                       ms / 1000.0, bytes / 1000.0 / ms);
    }
}

static pg_err perf_run(pg_invocation *invocation)
{
    uint64_t up_bytes = 0;
    uint64_t down_bytes = 0;
    json_object *answer = NULL;
    PG_TRY(pg_invocation_size(invocation, "up", PERF_BYTES, &up_bytes));
    PG_TRY(pg_invocation_size(invocation, "down", PERF_BYTES, &down_bytes));
    json_object *body = target_body(invocation);
    (void) json_object_object_add(body, "up_bytes", json_object_new_int64((int64_t) up_bytes));
    (void) json_object_object_add(body, "down_bytes", json_object_new_int64((int64_t) down_bytes));
    pg_err err = pg_client_ask(invocation, "POST", "/api/v1/perf", body, &answer);
    json_object_put(body);
    PG_TRY(err);
    speed_tell(&invocation->output, "up  ", pg_answer_number(answer, "up_bytes"),
               pg_answer_number(answer, "up_ms"));
    speed_tell(&invocation->output, "down", pg_answer_number(answer, "down_bytes"),
               pg_answer_number(answer, "down_ms"));
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static const pg_argument target_argument[] = {
    {"TARGET", PG_VALUE_KIND_PEER, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option ping_options[] = {
    {"count", 'c', PG_VALUE_KIND_TEXT, "N", "how many rounds (4)"},
    {"interval", 'i', PG_VALUE_KIND_TEXT, "MS", "milliseconds between rounds (1000)"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

static const pg_option perf_options[] = {
    {"up", 0, PG_VALUE_KIND_TEXT, "SIZE", "how much to send (64MiB)"},
    {"down", 0, PG_VALUE_KIND_TEXT, "SIZE", "how much to take (64MiB)"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_ping = {
    .name = "ping",
    .summary = "measure the round trip from the running node to a peer",
    .description = "TARGET is a multiaddr, with or without /p2p/ID at its end, or a PeerId.",
    .example = "pangea ping /ip4/192.0.2.1/tcp/4417 --count 10",
    .arguments = target_argument,
    .options = ping_options,
    .run = ping_run,
};

const pg_command pg_command_perf = {
    .name = "perf",
    .summary = "measure how fast bytes go from the running node to a peer and back",
    .description =
        "TARGET is a multiaddr, with or without /p2p/ID at its end, or a PeerId. The peer\n"
        "has to serve /perf/1.0.0, as every node of this program does.",
    .example = "pangea perf /ip4/192.0.2.1/tcp/4417 --up 1GiB --down 0",
    .arguments = target_argument,
    .options = perf_options,
    .run = perf_run,
};
