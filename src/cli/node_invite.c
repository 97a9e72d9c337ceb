// SPDX-License-Identifier: Apache-2.0
// `pangea invite` and `pangea join`: how somebody comes to the network of a node.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/data_folder.h"
#include "cli/invocation.h"
#include "cli/qr.h"
#include "cli/span.h"
#include "crypto/peer_id_text.h"
#include "net/invite.h"
#include "node/join.h"
#include "runtime/runtime.h"
#include "runtime/time.h"

#define EXPIRES_MISSING "7d"
#define EXPIRES_DAYS_MAX 3650

// ---- inviting ----

// A span of time, or "never".
static pg_err expires_read(const char *text, uint64_t *out_seconds)
{
    if (strcmp(text, "never") == 0) {
        *out_seconds = 0;
        return PG_OK;
    }
    return pg_error_wrap(pg_span_read(text, EXPIRES_DAYS_MAX, out_seconds), "--expires");
}

static pg_err qr_tell(const pg_invocation *invocation, const char *text)
{
    FILE *result = invocation->output.result;
    bool is_terminal = isatty(fileno(result)) == 1;
    pg_qr qr = {NULL, 0};
    pg_buf drawn = {0};
    if (invocation->output.json || (!is_terminal && !pg_invocation_has(invocation, "qr")) ||
        (invocation->output.quiet && !pg_invocation_has(invocation, "qr"))) {
        return PG_OK;
    }
    pg_err err = pg_qr_make(pg_str_make(text), &qr);
    if (err == PG_OK) {
        err = pg_qr_draw(&qr, is_terminal, &drawn);
    }
    if (err == PG_OK) {
        (void) fprintf(result, "%.*s", PG_STR_ARGS(pg_buf_str(&drawn)));
    }
    if (drawn.ptr != NULL) {
        pg_wipe(drawn.ptr, drawn.cap);
    }
    pg_buf_deinit(&drawn);
    pg_qr_deinit(&qr);
    return err;
}

static void invite_note(const pg_invocation *invocation, json_object *answer)
{
    const pg_output *output = &invocation->output;
    if (pg_answer_bool(answer, "private")) {
        pg_output_note(output,
                       "this invitation has the key of your private network: whoever sees it can "
                       "join. It cannot be taken back.");
    }
    json_object *addrs = pg_answer_object(answer, "addrs");
    pg_multiaddr first;
    if (pg_answer_count(addrs) > 0 &&
        pg_multiaddr_parse(pg_str_make(json_object_get_string(json_object_array_get_idx(addrs, 0))),
                           &first) == PG_OK &&
        pg_multiaddr_scope(&first) == PG_IP_SCOPE_LOOPBACK) {
        pg_output_note(output, "the node listens on loopback only: the invitation is of use on "
                               "this machine alone.");
    }
}

static pg_err invite_run(pg_invocation *invocation)
{
    uint64_t expires_s = 0;
    const char *expires = pg_invocation_option(invocation, "expires");
    json_object *answer = NULL;
    PG_TRY(expires_read(expires != NULL ? expires : EXPIRES_MISSING, &expires_s));
    json_object *body = json_object_new_object();
    (void) json_object_object_add(body, "expires_s", json_object_new_int64((int64_t) expires_s));
    pg_err err = pg_client_ask(invocation, "POST", "/api/v1/invite", body, &answer);
    json_object_put(body);
    PG_TRY(err);
    const char *text = pg_answer_text(answer, "invite");
    invite_note(invocation, answer);
    pg_output_line(&invocation->output, "%s", text);
    err = qr_tell(invocation, text);
    pg_output_object(&invocation->output, json_object_get(answer));
    pg_answer_wipe(answer, "invite");
    json_object_put(answer);
    return err;
}

// ---- joining ----

/** A join without a running node. */
typedef struct join_job {
    const char *folder;
    const pg_invite *invite;
} join_job;

static pg_err join_fiber(void *arg)
{
    const join_job *job = arg;
    int64_t now_ms = pg_wall_ms();
    PG_TRY(pg_invite_check(job->invite, now_ms > 0 ? (uint64_t) now_ms / 1000 : 0));
    return pg_node_join(job->folder, job->invite);
}

static void join_tell(const pg_invocation *invocation, const char *folder, const pg_invite *invite)
{
    const pg_output *output = &invocation->output;
    char peer[PG_PEER_ID_TEXT_BYTES];
    pg_peer_id_format(&invite->peer, peer);
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "peer_id", json_object_new_string(peer));
    (void) json_object_object_add(object, "private", json_object_new_boolean(invite->is_private));
    (void) json_object_object_add(object, "data", json_object_new_string(folder));
    pg_output_line(output, "%s is set up for the %s network of %s", folder,
                   invite->is_private ? "private" : "public", peer);
    pg_output_note(output, "start the node by: pangea run --data %s", folder);
    pg_output_object(output, object);
}

// Nobody runs on the folder: make it one of the network.
static pg_err join_offline(const pg_invocation *invocation, const pg_invite *invite)
{
    pg_buf folder = {0};
    pg_err err = pg_data_folder(invocation, &folder);
    if (err == PG_OK) {
        join_job job = {(const char *) folder.ptr, invite};
        err = pg_runtime_run(NULL, join_fiber, &job);
    }
    if (err == PG_OK) {
        join_tell(invocation, (const char *) folder.ptr, invite);
    }
    pg_buf_deinit(&folder);
    return err;
}

static pg_err join_online(const pg_invocation *invocation, const char *text)
{
    json_object *answer = NULL;
    pg_client *client = NULL;
    pg_buf body = {0};
    PG_TRY(pg_client_open(invocation, &client));
    pg_err err = pg_client_secret_body("invite", text, &body);
    if (err == PG_OK) {
        err = pg_client_call(client, "POST", "/api/v1/join", &body, &answer, NULL);
    }
    pg_client_secret_wipe(&body);
    pg_client_free(&client);
    PG_TRY(err);
    pg_output_line(&invocation->output, "connected to %s", pg_answer_text(answer, "peer_id"));
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// The argument, or the first line of standard input: there it stands in no history and no list of processes.
static pg_err invite_text(const pg_invocation *invocation, char out_text[PG_INVITE_TEXT_BYTES + 2])
{
    const char *argument = invocation->arguments[0];
    if (argument[0] != '-' || argument[1] != '\0') {
        return snprintf(out_text, PG_INVITE_TEXT_BYTES + 2, "%s", argument) <
                       PG_INVITE_TEXT_BYTES + 2
                   ? PG_OK
                   : pg_fail(PG_ERR_MALFORMED, "the invitation is too long");
    }
    if (fgets(out_text, PG_INVITE_TEXT_BYTES + 2, stdin) == NULL) {
        return pg_fail(PG_ERR_INVALID, "there is no invitation on standard input");
    }
    out_text[strcspn(out_text, "\r\n")] = '\0';
    return PG_OK;
}

static pg_err join_run(pg_invocation *invocation)
{
    char text[PG_INVITE_TEXT_BYTES + 2];
    PG_TRY(invite_text(invocation, text));
    pg_invite *invite = PG_NEW(pg_invite);
    if (invite == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_invite_parse(pg_str_make(text), invite);
    if (err == PG_OK) {
        err = join_online(invocation, text);
    }
    if (err == PG_ERR_NO_NODE) {
        err = join_offline(invocation, invite);
    }
    pg_invite_wipe(invite);
    pg_mfree(invite);
    pg_wipe(text, sizeof(text));
    return err;
}

// ---- the commands ----

static const pg_option invite_options[] = {
    {"expires", 0, PG_VALUE_KIND_TEXT, "TIME",
     "honest programs refuse it after TIME: 30m, 12h, 7d or never (7d)"},
    {"qr", 0, PG_VALUE_KIND_NONE, NULL, "show the QR code too when no terminal reads this"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_invite = {
    .name = "invite",
    .summary = "make an invitation to the running node and its network",
    .description =
        "Prints a line of text, and on a terminal its QR code. It has addresses of this node,\n"
        "its PeerId and, in a private network, the network's key: then whoever sees it can\n"
        "join, and it cannot be taken back. --expires binds honest programs only.",
    .example = "pangea invite --expires 1d",
    .options = invite_options,
    .run = invite_run,
};

static const pg_argument join_argument[] = {
    {"INVITATION", PG_VALUE_KIND_TEXT, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

const pg_command pg_command_join = {
    .name = "join",
    .summary = "come to the network that an invitation is to",
    .description =
        "With a node running on the data directory, in the same network: connects to who\n"
        "invited. Without one: writes a configuration, and the key of a private network, into\n"
        "the data directory, which has to be without a configuration so far. With - the\n"
        "invitation is read from standard input, and stands in no history of commands.",
    .example = "pangea join --data ~/friends pangea-invite:baea..",
    .arguments = join_argument,
    .run = join_run,
};
