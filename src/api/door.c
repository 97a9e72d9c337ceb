// SPDX-License-Identifier: Apache-2.0
#include "api/door.h"

#include <string.h>

#include "codec/multibase.h"
#include "crypto/secret.h"

#define ORIGIN_SCHEME "http://"
#define BEARER "Bearer "

typedef enum port_rule {
    PORT_RULE_MAY_LACK,
    PORT_RULE_MUST_STAND,
} port_rule;

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

// Cut `prefix`, in lower case, off the front, whatever the case there.
static bool cut(pg_str *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (lower(text->ptr[i]) != prefix[i]) {
            return false;
        }
    }
    *text = pg_str_make_len(text->ptr + len, text->len - len);
    return true;
}

// Whether it names this machine by itself, and the door's port.
static bool is_ours(pg_str text, uint16_t port, port_rule rule)
{
    uint64_t number = 0;
    if (!cut(&text, "127.0.0.1") && !cut(&text, "localhost") && !cut(&text, "[::1]")) {
        return false;
    }
    if (text.len == 0) {
        return rule == PORT_RULE_MAY_LACK || port == 80;
    }
    return cut(&text, ":") && pg_str_to_u64(text, UINT16_MAX, &number) == PG_OK && number == port;
}

static bool is_token(const char *authorization, pg_bytes token)
{
    pg_str text = pg_str_make(authorization);
    return cut(&text, "bearer ") && pg_secret_equal(pg_bytes_make(text.ptr, text.len), token);
}

pg_err pg_door_check(const pg_door_head *head, uint16_t port, pg_bytes token, unsigned *out_status)
{
    if (head->host == NULL || !is_ours(pg_str_make(head->host), port, PORT_RULE_MAY_LACK)) {
        *out_status = 403;
        return pg_fail(PG_ERR_ACCESS, "this door is 127.0.0.1 or localhost, by no other name");
    }
    if (head->origin != NULL) {
        pg_str origin = pg_str_make(head->origin);
        if (!cut(&origin, ORIGIN_SCHEME) || !is_ours(origin, port, PORT_RULE_MUST_STAND)) {
            *out_status = 403;
            return pg_fail(PG_ERR_ACCESS, "requests of other sites are refused");
        }
    }
    if (token.len > 0 && !is_token(head->authorization, token)) {
        *out_status = 401;
        return pg_fail(PG_ERR_ACCESS, head->authorization == NULL
                                          ? "a token is wanted: Authorization: " BEARER "TOKEN"
                                          : "the token is not the one in the data directory");
    }
    return PG_OK;
}

pg_err pg_door_endpoint(pg_str text, pg_endpoint *out_endpoint)
{
    pg_endpoint endpoint = {0};
    uint64_t port = 0;
    pg_str rest = text;
    if (cut(&rest, "127.0.0.1:")) {
        endpoint.family = PG_IP_FAMILY_V4;
        endpoint.ip[0] = 127;
        endpoint.ip[3] = 1;
    } else if (cut(&rest, "[::1]:")) {
        endpoint.family = PG_IP_FAMILY_V6;
        endpoint.ip[15] = 1;
    } else {
        return pg_fail(PG_ERR_INVALID, "'%.*s' is neither 127.0.0.1:PORT nor [::1]:PORT",
                       PG_STR_ARGS(text));
    }
    PG_TRY(
        pg_error_wrap(pg_str_to_u64(rest, UINT16_MAX, &port), "'%.*s': port", PG_STR_ARGS(text)));
    endpoint.port = (uint16_t) port;
    *out_endpoint = endpoint;
    return PG_OK;
}

void pg_door_token_format(const uint8_t token[PG_API_TOKEN_BYTES],
                          char out_text[PG_API_TOKEN_CHARS + 1])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_text, PG_API_TOKEN_CHARS));
    pg_writer_base(&writer, PG_BASE_64URL, pg_bytes_make(token, PG_API_TOKEN_BYTES));
    out_text[PG_API_TOKEN_CHARS] = '\0';
}
