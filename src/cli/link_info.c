// SPDX-License-Identifier: Apache-2.0
// `pangea link info`: what can be found out about a link without getting what it names.
#include <string.h>

#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/link_text.h"
#include "cli/span.h"
#include "runtime/time.h"

static void extent_tell(const pg_output *output, json_object *extent)
{
    char size[PG_SIZE_TEXT_BYTES];
    json_object *holders = pg_answer_object(extent, "holders");
    int64_t now_s = pg_wall_ms() / 1000;
    pg_size_format(pg_answer_u64(extent, "plain_bytes"), size);
    pg_output_line(output, "extent %llu: %s, code %llu+%llu",
                   (unsigned long long) pg_answer_u64(extent, "number"), size,
                   (unsigned long long) pg_answer_u64(extent, "data_shards"),
                   (unsigned long long) pg_answer_u64(extent, "parity_shards"));
    for (size_t i = 0; i < pg_answer_count(holders); i++) {
        json_object *holder = json_object_array_get_idx(holders, i);
        char slots[PG_ANSWER_NUMBERS_BYTES];
        char left[PG_SPAN_TEXT_BYTES];
        uint64_t expiry_s = pg_answer_u64(holder, "expiry_s");
        pg_answer_numbers(holder, "slots", slots);
        pg_span_format((int64_t) expiry_s - now_s, left);
        pg_output_line(output, "  %s  slot %s%s%s%s", pg_answer_text(holder, "peer_id"), slots,
                       expiry_s == 0 ? "" : ", keeps it for ", expiry_s == 0 ? "" : left,
                       pg_answer_bool(holder, "is_reachable") ? "" : ", cannot be reached");
    }
}

static void tell(const pg_output *output, json_object *answer)
{
    char size[PG_SIZE_TEXT_BYTES];
    char name[PG_ERROR_TEXT_BYTES_MAX] = "not stored";
    json_object *stored = pg_answer_object(answer, "name");
    json_object *extents = pg_answer_object(answer, "extents");
    size_t shown = pg_answer_count(extents);
    uint64_t count = pg_answer_u64(answer, "extent_count");
    if (stored != NULL) {
        pg_text_printable(json_object_get_string(stored), name, sizeof(name));
    }
    pg_size_format(pg_answer_u64(answer, "size_bytes"), size);
    pg_output_line(output, "root  %s", pg_answer_text(answer, "root"));
    pg_output_line(output, "name  %s", name);
    pg_output_line(output, "kind  %s", pg_answer_text(answer, "kind"));
    pg_output_line(output, "size  %s", size);
    if (pg_answer_bool(answer, "is_inline")) {
        pg_output_line(output, "it is so small that each host has all of it");
    }
    for (size_t i = 0; i < shown; i++) {
        extent_tell(output, json_object_array_get_idx(extents, i));
    }
    if (count > shown) {
        pg_output_line(output, "and %llu extents more", (unsigned long long) (count - shown));
    }
}

static pg_err info_ask(pg_invocation *invocation, const pg_buf *body)
{
    pg_client *client = NULL;
    json_object *answer = NULL;
    PG_TRY(pg_client_open(invocation, &client));
    pg_err err = pg_client_call(client, "POST", "/api/v1/links/inspect", body, &answer, NULL);
    pg_client_free(&client);
    PG_TRY(err);
    tell(&invocation->output, answer);
    pg_output_object(&invocation->output, answer);
    return PG_OK;
}

static pg_err link_info_run(pg_invocation *invocation)
{
    pg_link_text link;
    pg_buf body = {0};
    PG_TRY(pg_link_text_take(invocation, 0, &link));
    pg_err err = pg_client_secret_body("link", link.text, &body);
    if (err == PG_OK) {
        err = info_ask(invocation, &body);
    }
    pg_client_secret_wipe(&body);
    pg_link_text_wipe(&link);
    return err;
}

static const pg_argument link_arguments[] = {
    {"LINK", PG_VALUE_KIND_LINK, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

const pg_command pg_command_link_info = {
    .name = "link info",
    .summary = "tell what a link names and who holds it",
    .description =
        "Asks the hosts, without getting the file: its size, its name if that was stored, and\n"
        "for each extent (up to 1 GiB) which host holds which slots. LINK as for `pangea get`.",
    .example = "pangea link info 'pangea:bafk...#5Kd3...'",
    .arguments = link_arguments,
    .run = link_info_run,
};
