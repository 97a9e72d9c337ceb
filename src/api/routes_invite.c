// SPDX-License-Identifier: Apache-2.0
// The routes by which others are invited to the node's network, and the node comes to others.
#include "api/fields.h"
#include "api/limits.h"
#include "api/routes.h"
#include "base/mem.h"
#include "net/invite.h"
#include "runtime/time.h"

static uint64_t wall_s(void)
{
    int64_t now_ms = pg_wall_ms();
    return now_ms > 0 ? (uint64_t) now_ms / 1000 : 0;
}

// ---- inviting ----

static pg_err invite_fill(const pg_api_context *context, uint64_t expires_s, pg_invite *out_invite)
{
    pg_multiaddr ours[PG_NET_ADVERTISED_MAX];
    size_t count = pg_host_addrs(context->host, ours);
    out_invite->peer = *pg_host_id(context->host);
    out_invite->addr_count = pg_invite_choose_addrs(ours, count, out_invite->addrs);
    out_invite->expires_s = expires_s > 0 ? wall_s() + expires_s : 0;
    out_invite->is_private = context->network_key != NULL;
    if (out_invite->is_private) {
        out_invite->network_key = *context->network_key;
    }
    return out_invite->addr_count > 0
               ? PG_OK
               : pg_fail(PG_ERR_NOT_FOUND,
                         "this node has no address to be reached at: see net.listen and "
                         "net.announce");
}

static void addrs_add(json_object *body, const pg_invite *invite)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < invite->addr_count; i++) {
        char text[PG_MULTIADDR_TEXT_BYTES];
        pg_multiaddr_format(&invite->addrs[i], text);
        (void) json_object_array_add(list, json_object_new_string(text));
    }
    (void) json_object_object_add(body, "addrs", list);
}

// The time of the request counts from now, that of the answer since 1970; 0: for ever.
static pg_err invite_post(const pg_api_request *request, json_object **out_body)
{
    uint64_t expires_s = 0;
    char text[PG_INVITE_TEXT_BYTES];
    PG_TRY(pg_field_u64(request->body, "expires_s", PG_API_INVITE_SECONDS_MAX, 0, &expires_s));
    pg_invite *invite = PG_NEW(pg_invite); // large
    if (invite == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = invite_fill(request->user, expires_s, invite);
    if (err == PG_OK) {
        err = pg_invite_format(invite, text);
    }
    if (err == PG_OK) {
        *out_body = json_object_new_object();
        pg_field_add_text(*out_body, "invite", text);
        pg_field_add_peer(*out_body, "peer_id", &invite->peer);
        addrs_add(*out_body, invite);
        pg_field_add_bool(*out_body, "private", invite->is_private);
        pg_field_add_u64(*out_body, "expires_s", invite->expires_s);
        pg_wipe(text, sizeof(text));
    }
    pg_invite_wipe(invite);
    pg_mfree(invite);
    return err;
}

// ---- joining ----

static pg_err network_check(const pg_api_context *context, const pg_invite *invite)
{
    const pg_key *ours = context->network_key;
    if (invite->is_private && ours == NULL) {
        return pg_fail(PG_ERR_KEY,
                       "the invitation is to a private network, and this node is in none: join "
                       "with a data directory of its own, by --data");
    }
    if (!invite->is_private && ours != NULL) {
        return pg_fail(PG_ERR_KEY,
                       "the invitation is to a node that is in no private network, and this one "
                       "is: they cannot meet");
    }
    if (invite->is_private &&
        !pg_secret_equal(pg_key_bytes(ours), pg_key_bytes(&invite->network_key))) {
        return pg_fail(PG_ERR_KEY,
                       "the invitation is to another private network than this node's: join with "
                       "a data directory of its own, by --data");
    }
    return PG_OK;
}

static pg_err invite_dial(const pg_api_context *context, const pg_invite *invite, pg_time deadline)
{
    const pg_dial_options options = {.eager = true};
    PG_TRY(pg_invite_check(invite, wall_s()));
    PG_TRY(network_check(context, invite));
    for (size_t i = 0; i < invite->addr_count; i++) {
        PG_TRY(pg_host_learn(context->host, &invite->peer, &invite->addrs[i], PG_BOOK_SOURCE_GIVEN,
                             PG_DAYS(30)));
    }
    return pg_host_connect(context->host, &invite->peer, &options, deadline, NULL);
}

static pg_err join_post(const pg_api_request *request, json_object **out_body)
{
    const char *text = NULL;
    uint64_t timeout_ms = 0;
    pg_time start = pg_now();
    PG_TRY(pg_field_text(request->body, "invite", &text));
    PG_TRY(pg_field_u64(request->body, "timeout_ms", PG_API_PERF_TIMEOUT_MS, PG_API_DIAL_TIMEOUT_MS,
                        &timeout_ms));
    pg_invite *invite = PG_NEW(pg_invite);
    if (invite == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_invite_parse(pg_str_make(text), invite);
    if (err == PG_OK) {
        err = invite_dial(request->user, invite, pg_after(PG_MS(timeout_ms)));
    }
    if (err == PG_OK) {
        *out_body = json_object_new_object();
        pg_field_add_peer(*out_body, "peer_id", &invite->peer);
        pg_field_add_bool(*out_body, "private", invite->is_private);
        pg_field_add_ms(*out_body, "dial_ms", pg_now() - start);
    }
    pg_invite_wipe(invite);
    pg_mfree(invite);
    return err;
}

const pg_api_route pg_api_invite_routes[] = {
    {.method = "POST", .path = "/api/v1/invite", .handler = invite_post},
    {.method = "POST", .path = "/api/v1/join", .handler = join_post},
    {.path = NULL},
};
