// SPDX-License-Identifier: Apache-2.0
// `pangea archive status | now | test | login | logout`: the cold archive of a node.
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/invocation.h"
#include "cli/passphrase.h"
#include "cli/span.h"
#include "crypto/secret.h"

static unsigned long long number(json_object *object, const char *name)
{
    return (unsigned long long) pg_answer_u64(object, name);
}

// ---- Status

static void failure_tell(const pg_output *output, json_object *answer)
{
    char failure[PG_ERROR_TEXT_BYTES_MAX];
    pg_text_printable(pg_answer_text(answer, "failure"), failure, sizeof(failure));
    if (failure[0] != '\0') {
        pg_output_line(output, "%s   %s",
                       pg_answer_bool(answer, "is_failing") ? "FAILING " : "failed  ", failure);
    }
}

static void status_tell(const pg_output *output, json_object *answer)
{
    char bytes[PG_SIZE_TEXT_BYTES];
    char quota[PG_SIZE_TEXT_BYTES];
    char up[PG_SIZE_TEXT_BYTES];
    char down[PG_SIZE_TEXT_BYTES];
    char cold[PG_SPAN_TEXT_BYTES];
    json_object *store = pg_answer_object(answer, "store");
    const char *proxy = pg_answer_text(answer, "proxy");
    pg_size_format(pg_answer_u64(answer, "bytes"), bytes);
    pg_size_format(pg_answer_u64(answer, "quota_bytes"), quota);
    pg_size_format(pg_answer_u64(store, "bytes_up"), up);
    pg_size_format(pg_answer_u64(store, "bytes_down"), down);
    pg_span_format((int64_t) pg_answer_u64(answer, "cold_after_s"), cold);
    pg_output_line(output, "archive    %s, bucket %s%s%s, %s", pg_answer_text(answer, "endpoint"),
                   pg_answer_text(answer, "bucket"), proxy[0] == '\0' ? "" : ", through ", proxy,
                   pg_answer_bool(answer, "has_credentials") ? "with credentials"
                                                             : "NO CREDENTIALS");
    pg_output_line(
        output, "takes      what was not read for %s%s", cold,
        strcmp(pg_answer_text(answer, "when"), "cold") == 0 ? "" : " and is below its redundancy");
    pg_output_line(output, "has        %llu extents, %s of %s; %llu damaged, %llu to come",
                   number(answer, "extents"), bytes, quota, number(answer, "damaged"),
                   number(answer, "pending"));
    pg_output_line(output,
                   "done       %llu archived, %llu failed, %llu deleted, %llu reads, %llu found "
                   "changed",
                   number(answer, "uploads"), number(answer, "uploads_failed"),
                   number(answer, "deleted"), number(answer, "reads"), number(answer, "corrupt"));
    pg_output_line(output, "requests   %llu, %llu tried again, %llu failed; %s up, %s down",
                   number(store, "requests"), number(store, "retries"), number(store, "failures"),
                   up, down);
    failure_tell(output, answer);
}

static pg_err status_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/archive", NULL, &answer));
    status_tell(&invocation->output, answer);
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- A round, a test

static pg_err now_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    const pg_output *output = &invocation->output;
    PG_TRY(pg_client_ask(invocation, "POST", "/api/v1/archive", NULL, &answer));
    pg_output_line(output,
                   "%llu leases, %llu to be archived: %llu archived, %llu failed, %llu archived "
                   "by others",
                   number(answer, "looked"), number(answer, "cold"), number(answer, "uploaded"),
                   number(answer, "failed"), number(answer, "elsewhere"));
    pg_output_line(output, "%llu read back: %llu damaged; %llu deleted", number(answer, "checked"),
                   number(answer, "damaged"), number(answer, "deleted"));
    bool has_failed = number(answer, "failed") > 0;
    if (has_failed) {
        failure_tell(output, answer);
    }
    pg_output_object(output, answer);
    if (has_failed) {
        pg_output_told(&invocation->output);
    }
    return has_failed ? pg_fail(PG_ERR_UNFIT, "%llu extents could not be archived",
                                number(answer, "failed"))
                      : PG_OK;
}

static pg_err test_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "POST", "/api/v1/archive/test", NULL, &answer));
    pg_output_line(&invocation->output,
                   "an object was written to %s, bucket %s, read back whole "
                   "and in part, listed and deleted",
                   pg_answer_text(answer, "endpoint"), pg_answer_text(answer, "bucket"));
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- Credentials

static pg_err text_append(pg_buf *body, const char *name, const char *text)
{
    PG_TRY(pg_buf_printf(body, "\"%s\": \"", name));
    for (; *text != '\0'; text++) { // printable ASCII, as pg_s3_credentials_make takes it
        PG_TRY(pg_buf_printf(body, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text));
    }
    return pg_buf_printf(body, "\"");
}

static pg_err body_make(const pg_s3_credentials *credentials, pg_buf *out)
{
    PG_TRY(pg_buf_reserve(out, 2048)); // at once: growing leaves secrets behind
    PG_TRY(pg_buf_printf(out, "{"));
    PG_TRY(text_append(out, "access_key", credentials->access_key));
    PG_TRY(pg_buf_printf(out, ", "));
    PG_TRY(text_append(out, "secret_key", credentials->secret_key));
    return pg_buf_printf(out, "}");
}

static pg_err login_send(const pg_invocation *invocation, const pg_s3_credentials *credentials,
                         json_object **out_answer)
{
    pg_client *client = NULL;
    pg_buf body = {.ptr = NULL};
    pg_err err = body_make(credentials, &body);
    if (err == PG_OK) {
        err = pg_client_open(invocation, &client);
    }
    if (err == PG_OK) {
        err = pg_client_call(client, "POST", "/api/v1/archive/login", &body, out_answer, NULL);
    }
    pg_client_free(&client);
    pg_client_secret_wipe(&body);
    return err;
}

static pg_err login_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    pg_s3_credentials credentials = {.access_key = ""};
    pg_err err = pg_s3_keys_read(invocation, &credentials);
    if (err == PG_OK) {
        err = login_send(invocation, &credentials, &answer);
    }
    pg_wipe(&credentials, sizeof(credentials));
    PG_TRY(err);
    pg_output_line(&invocation->output,
                   "the node keeps the credentials for %s in its database, "
                   "which is sealed",
                   pg_answer_text(answer, "endpoint"));
    pg_output_note(&invocation->output, "`pangea archive test` tells whether they work");
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static pg_err logout_run(pg_invocation *invocation)
{
    json_object *answer = NULL;
    PG_TRY(pg_client_ask(invocation, "POST", "/api/v1/archive/logout", NULL, &answer));
    pg_output_line(&invocation->output, "the credentials are forgotten; what is archived stays");
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

// ---- The commands

static const pg_option login_options[] = {
    {"key-file", 0, PG_VALUE_KIND_FILE, "FILE",
     "file with the access key and, on the next line, the secret key; - is standard input"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_archive_status = {
    .name = "archive status",
    .summary = "tell what this node has archived, and how that goes",
    .description =
        "An operator who sets archive.endpoint and archive.bucket copies files that are kept\n"
        "here, that nobody has read for long, and that are below their redundancy, to an\n"
        "S3-compatible store, as ciphertext. When their hosts are gone, gets find them there.",
    .run = status_run,
};

const pg_command pg_command_archive_now = {
    .name = "archive now",
    .summary = "look at everything now, and archive what is to be",
    .description =
        "Does not wait until hosts before it in line have had their turn; what was read within\n"
        "archive.cold_after, or is at its full redundancy, is not archived all the same (see\n"
        "archive.when). Some of all that is archived is read back. Ends when all is done.",
    .run = now_run,
};

const pg_command pg_command_archive_test = {
    .name = "archive test",
    .summary = "write, read, list and delete an object, to see whether the archive works",
    .description = "Tells which step fails, and what the store says to it.",
    .run = test_run,
};

const pg_command pg_command_archive_login = {
    .name = "archive login",
    .summary = "give the node the keys of the store",
    .description =
        "Asks for the access key and the secret key on the terminal, or takes them from a file\n"
        "or a pipe; they stand in no list of processes and in no log. The node keeps them in\n"
        "its database, which is sealed, and takes them at once.",
    .example = "pangea archive login\npangea archive login --key-file /run/secrets/s3",
    .options = login_options,
    .run = login_run,
};

const pg_command pg_command_archive_logout = {
    .name = "archive logout",
    .summary = "forget the keys of the store",
    .description = "What is archived stays there, and is not read any more.",
    .run = logout_run,
};
