// SPDX-License-Identifier: Apache-2.0
// `pangea dht ...`: what the running node finds in the DHTs, and what it puts there.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/invocation.h"

#define VALUE_BYTES_MAX 8192

// One request with one text, and the options that all of these commands have.
static pg_err ask(const pg_invocation *invocation, const char *path, const char *name,
                  json_object *body, json_object **out_answer)
{
    const char *timeout = pg_invocation_option(invocation, "timeout");
    uint64_t seconds = 0;
    pg_err err = PG_OK;
    if (timeout != NULL && pg_str_to_u64(pg_str_make(timeout), 600, &seconds) != PG_OK) {
        err = pg_fail(PG_ERR_INVALID, "--timeout: '%s' is not a number from 0 to 600", timeout);
    }
    if (err == PG_OK) {
        (void) json_object_object_add(body, name, json_object_new_string(invocation->arguments[0]));
        if (timeout != NULL) {
            (void) json_object_object_add(body, "timeout_ms",
                                          json_object_new_int64((int64_t) seconds * 1000));
        }
        err = pg_client_ask(invocation, "POST", path, body, out_answer);
    }
    json_object_put(body);
    return err;
}

static void addrs_tell(const pg_output *output, json_object *object)
{
    json_object *addrs = pg_answer_object(object, "addrs");
    for (size_t i = 0; i < pg_answer_count(addrs); i++) {
        pg_output_line(output, "  %s", json_object_get_string(json_object_array_get_idx(addrs, i)));
    }
}

// ---- find-peer ----

static pg_err find_peer_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(ask(invocation, "/api/v1/dht/find-peer", "peer", json_object_new_object(), &answer));
    pg_output_line(&invocation->output, "%s", pg_answer_optional(answer, "peer_id"));
    addrs_tell(&invocation->output, answer);
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- get and put ----

// The value itself, byte for byte, goes to standard output.
static pg_err value_write(const pg_output *output, const char *hex)
{
    uint8_t value[VALUE_BYTES_MAX];
    pg_str text = pg_str_make(hex);
    if (text.len > 2 * sizeof(value) ||
        pg_hex_decode(text, pg_mut_bytes_make(value, text.len / 2)) != PG_OK) {
        return pg_fail(PG_ERR_PROTOCOL, "the node's answer has no value");
    }
    if (fwrite(value, 1, text.len / 2, output->result) != text.len / 2 ||
        fflush(output->result) != 0) {
        return pg_fail(PG_ERR_IO, "the value could not be written");
    }
    if (isatty(STDOUT_FILENO) != 0) {
        (void) fputc('\n', output->result);
    }
    return PG_OK;
}

static pg_err get_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(ask(invocation, "/api/v1/dht/get", "key", json_object_new_object(), &answer));
    pg_err err = invocation->output.json
                     ? PG_OK
                     : value_write(&invocation->output, pg_answer_optional(answer, "value_hex"));
    if (err != PG_OK) {
        json_object_put(answer);
        return err;
    }
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// The value: the second argument, or standard input when it is "-".
static pg_err value_read(const pg_invocation *invocation, uint8_t *space, size_t *out_len)
{
    const char *text = invocation->arguments[1];
    if (strcmp(text, "-") == 0) {
        *out_len = fread(space, 1, VALUE_BYTES_MAX + 1, stdin);
        if (ferror(stdin) != 0) {
            return pg_fail(PG_ERR_IO, "standard input could not be read");
        }
    } else {
        *out_len = pg_min_size(strlen(text), VALUE_BYTES_MAX + 1);
        memcpy(space, text, *out_len);
    }
    return *out_len <= VALUE_BYTES_MAX
               ? PG_OK
               : pg_fail(PG_ERR_LIMIT, "a value has at most %d bytes", VALUE_BYTES_MAX);
}

static json_object *once_body(const pg_invocation *invocation)
{
    json_object *body = json_object_new_object();
    (void) json_object_object_add(body, "once",
                                  json_object_new_boolean(pg_invocation_has(invocation, "once")));
    return body;
}

static pg_err put_run(pg_invocation *invocation)
{
    static uint8_t value[VALUE_BYTES_MAX + 1]; // larger than frames should be
    static char hex[2 * VALUE_BYTES_MAX + 1];
    size_t len = 0;
    json_object *answer = NULL;
    PG_TRY(value_read(invocation, value, &len));
    pg_hex_encode(pg_bytes_make(value, len), hex);
    json_object *body = once_body(invocation);
    (void) json_object_object_add(body, "value_hex", json_object_new_string(hex));
    PG_TRY(ask(invocation, "/api/v1/dht/put", "key", body, &answer));
    pg_output_line(&invocation->output, "kept in %.0f places", pg_answer_number(answer, "stored"));
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- provide and providers ----

static pg_err provide_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(ask(invocation, "/api/v1/dht/provide", "cid", once_body(invocation), &answer));
    pg_output_line(&invocation->output, "announced in %.0f places",
                   pg_answer_number(answer, "told"));
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static void providers_tell(const pg_output *output, json_object *answer)
{
    json_object *providers = pg_answer_object(answer, "providers");
    for (size_t i = 0; i < pg_answer_count(providers); i++) {
        json_object *provider = json_object_array_get_idx(providers, i);
        pg_output_line(output, "%s  (%s)", pg_answer_optional(provider, "peer_id"),
                       pg_answer_optional(provider, "realm"));
        addrs_tell(output, provider);
    }
}

static pg_err providers_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(ask(invocation, "/api/v1/dht/providers", "cid", json_object_new_object(), &answer));
    providers_tell(&invocation->output, answer);
    if (pg_answer_count(pg_answer_object(answer, "providers")) == 0) {
        pg_output_note(&invocation->output, "nobody provides it, as far as those asked know");
    }
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- explain ----

// A PeerId's last characters tell it from others.
static const char *short_peer(const char *peer)
{
    size_t len = strlen(peer);
    return len > 8 ? peer + len - 8 : peer;
}

static void step_tell(const pg_output *output, json_object *step)
{
    const char *told_by = pg_answer_optional(step, "told_by");
    const char *result = pg_answer_optional(step, "result");
    const char *error = pg_answer_optional(step, "error");
    pg_output_line(output, "%8.1f ms  %-6s hop %.0f  ..%s  %3.0f bits  %8.1f ms  %s%s%s%s%s%s",
                   pg_answer_number(step, "at_ms"), pg_answer_optional(step, "realm"),
                   pg_answer_number(step, "hop"), short_peer(pg_answer_optional(step, "peer_id")),
                   pg_answer_number(step, "bits"), pg_answer_number(step, "took_ms"), result,
                   error[0] != '\0' ? ": " : "", error,
                   pg_answer_bool(step, "found") ? ", found" : "",
                   told_by[0] != '\0' ? ", told by .." : "", short_peer(told_by));
    if (strcmp(result, "answered") == 0) {
        pg_output_line(output, "%13stold of %.0f peers, %.0f new", "",
                       pg_answer_number(step, "told"), pg_answer_number(step, "new"));
    }
}

static pg_err explain_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    const pg_output *output = &invocation->output;
    PG_TRY(ask(invocation, "/api/v1/dht/explain", "key", json_object_new_object(), &answer));
    json_object *steps = pg_answer_object(answer, "steps");
    for (size_t i = 0; i < pg_answer_count(steps); i++) {
        step_tell(output, json_object_array_get_idx(steps, i));
    }
    pg_output_line(output, "%s %s: %zu requests, %.1f ms%s%s", pg_answer_optional(answer, "kind"),
                   pg_answer_bool(answer, "found") ? "looked up" : "not found",
                   pg_answer_count(steps), pg_answer_number(answer, "took_ms"),
                   pg_answer_optional(answer, "error")[0] != '\0' ? "; " : "",
                   pg_answer_optional(answer, "error"));
    providers_tell(output, answer);
    addrs_tell(output, answer);
    pg_output_object(output, answer);
    return PG_OK;
}

// ---- status ----

static pg_err status_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    const pg_output *output = &invocation->output;
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/dht", NULL, &answer));
    json_object *dhts = pg_answer_object(answer, "dhts");
    for (size_t i = 0; i < pg_answer_count(dhts); i++) {
        json_object *dht = json_object_array_get_idx(dhts, i);
        pg_output_line(output, "%s (%s), %s", pg_answer_optional(dht, "realm"),
                       pg_answer_optional(dht, "protocol"),
                       pg_answer_bool(dht, "server") ? "server" : "client");
        pg_output_line(output, "  %.0f peers in the table", pg_answer_number(dht, "peers"));
        if (pg_answer_number(dht, "network_size") > 0) {
            pg_output_line(output, "  about %.0f servers in the network",
                           pg_answer_number(dht, "network_size"));
        }
        pg_output_line(output, "  keeps %.0f records and %.0f providers for others",
                       pg_answer_number(dht, "records"), pg_answer_number(dht, "providers"));
        pg_output_line(output, "  publishes %.0f keys of its own",
                       pg_answer_number(dht, "published"));
        pg_output_line(output, "  %.0f lookups with %.0f requests, %.0f requests served",
                       pg_answer_number(dht, "lookups_total"),
                       pg_answer_number(dht, "requests_total"),
                       pg_answer_number(dht, "served_total"));
    }
    pg_output_object(output, answer);
    return PG_OK;
}

// ---- the commands ----

#define TIMEOUT_OPTION                                                                             \
    {                                                                                              \
        "timeout", 0, PG_VALUE_KIND_TEXT, "SECONDS", "how long to look (60)"                       \
    }
#define NO_OPTION                                                                                  \
    {                                                                                              \
        NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL                                                    \
    }

static const pg_option look_options[] = {TIMEOUT_OPTION, NO_OPTION};

static const pg_option publish_options[] = {
    TIMEOUT_OPTION,
    {"once", 0, PG_VALUE_KIND_NONE, NULL, "do not publish it again every 22 hours"},
    NO_OPTION,
};

static const pg_argument peer_argument[] = {
    {"PEER", PG_VALUE_KIND_PEER, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_argument key_argument[] = {
    {"KEY", PG_VALUE_KIND_TEXT, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_argument key_value_arguments[] = {
    {"KEY", PG_VALUE_KIND_TEXT, false, false},
    {"VALUE", PG_VALUE_KIND_TEXT, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_argument cid_argument[] = {
    {"CID", PG_VALUE_KIND_TEXT, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

const pg_command pg_command_dht_status = {
    .name = "dht status",
    .summary = "show what the node's DHTs hold and did",
    .run = status_run,
};

const pg_command pg_command_dht_find_peer = {
    .name = "dht find-peer",
    .summary = "find a peer by its PeerId and connect to it",
    .example = "pangea dht find-peer 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
    .arguments = peer_argument,
    .options = look_options,
    .run = find_peer_run,
};

const pg_command pg_command_dht_get = {
    .name = "dht get",
    .summary = "print the value of a record",
    .description =
        "KEY is /NAMESPACE/NAME. Under /pk/ the name is a PeerId and the value its public\n"
        "key. The value is printed as it is; --json gives it in hexadecimal.",
    .example = "pangea dht get /test/hello",
    .arguments = key_argument,
    .options = look_options,
    .run = get_run,
};

const pg_command pg_command_dht_put = {
    .name = "dht put",
    .summary = "put a record with the nodes nearest to its key",
    .description =
        "KEY is /NAMESPACE/NAME, VALUE up to 8 KiB; - reads it from standard input. What\n"
        "the namespace does not take is refused. /test/, which nobody signs, needs nodes\n"
        "that have dht.test_namespace on.",
    .example = "pangea dht put /test/hello world",
    .arguments = key_value_arguments,
    .options = publish_options,
    .run = put_run,
};

const pg_command pg_command_dht_provide = {
    .name = "dht provide",
    .summary = "announce that this node provides a CID",
    .example = "pangea dht provide bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
    .arguments = cid_argument,
    .options = publish_options,
    .run = provide_run,
};

const pg_command pg_command_dht_providers = {
    .name = "dht providers",
    .summary = "list who provides a CID",
    .example = "pangea dht providers bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
    .arguments = cid_argument,
    .options = look_options,
    .run = providers_run,
};

const pg_command pg_command_dht_explain = {
    .name = "dht explain",
    .summary = "look something up and show every request on the way",
    .description =
        "KEY is a PeerId, a CID or the key of a record. Of each request: when it was sent,\n"
        "in which DHT, how many hops from this node, to whom, how many bits the peer\n"
        "shares with the target, how long it took, what came of it, and who told of the\n"
        "peer.",
    .example = "pangea dht explain /test/hello",
    .arguments = key_argument,
    .options = look_options,
    .run = explain_run,
};
