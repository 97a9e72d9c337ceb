// SPDX-License-Identifier: Apache-2.0
#include "api/routes.h"

#include "api/fields.h"
#include "api/figures.h"
#include "api/limits.h"
#include "base/str.h"
#include "crypto/peer_id_text.h"
#include "net/perf.h"
#include "net/ping.h"

// ---- the node itself ----

static pg_err livez_get(const pg_api_request *request, json_object **out_body)
{
    (void) request;
    *out_body = json_object_new_object();
    pg_field_add_text(*out_body, "status", "alive");
    return PG_OK;
}

static pg_err readyz_get(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    if (!context->is_ready) {
        return pg_fail(PG_ERR_CANCELLED, "the node starts or stops");
    }
    *out_body = json_object_new_object();
    pg_field_add_text(*out_body, "status", "ready");
    return PG_OK;
}

static void addr_add(json_object *list, const pg_multiaddr *addr, const pg_peer_id *peer)
{
    pg_multiaddr full = *addr;
    char text[PG_MULTIADDR_TEXT_BYTES];
    pg_ignore(pg_multiaddr_append(&full, PG_MULTIADDR_CODE_P2P, pg_peer_id_bytes(peer)),
              "too long: told without the name");
    pg_multiaddr_format(&full, text);
    (void) json_object_array_add(list, json_object_new_string(text));
}

static json_object *stats_make(const pg_host *host)
{
    const pg_host_stats stats = pg_host_get_stats(host);
    json_object *object = json_object_new_object();
    pg_figures_add(PG_FIGURE_PART_HOST, &stats, object);
    return object;
}

static json_object *addrs_make(const pg_host *host)
{
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    size_t count = pg_host_addrs(host, addrs);
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        addr_add(list, &addrs[i], pg_host_id(host));
    }
    return list;
}

pg_err pg_api_files_of(const pg_api_request *request, pg_files **out_files)
{
    const pg_api_context *context = request->user;
    if (context->files == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "this node keeps no files");
    }
    *out_files = context->files;
    return PG_OK;
}

pg_err pg_api_ready_write(const pg_api_context *context, const char *socket_path,
                          const pg_endpoint *tcp, pg_buf *out)
{
    json_object *object = json_object_new_object();
    pg_field_add_peer(object, "peer_id", pg_host_id(context->host));
    (void) json_object_object_add(object, "addrs", addrs_make(context->host));
    pg_field_add_text(object, "api", socket_path);
    if (tcp->family != PG_IP_FAMILY_NONE) {
        char endpoint[PG_ENDPOINT_TEXT_BYTES];
        pg_endpoint_format(tcp, endpoint);
        pg_field_add_text(object, "api_listen", endpoint);
    }
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE);
    pg_err err = text == NULL ? PG_ERR_NOMEM : pg_buf_printf(out, "%s\n", text);
    json_object_put(object);
    return err;
}

static pg_err node_get(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    json_object *body = json_object_new_object();
    pg_field_add_peer(body, "peer_id", pg_host_id(context->host));
    pg_field_add_peer(body, "person_id", context->person);
    (void) json_object_object_add(body, "addrs", addrs_make(context->host));
    pg_field_add_text(body, "version", context->version);
    pg_field_add_ms(body, "uptime_ms", pg_now() - context->started_at);
    (void) json_object_object_add(body, "stats", stats_make(context->host));
    *out_body = body;
    return PG_OK;
}

// ---- peers ----

static void addr_text_add(json_object *object, const char *name, pg_bytes binary)
{
    pg_multiaddr addr;
    char text[PG_MULTIADDR_TEXT_BYTES];
    if (binary.len == 0 || pg_multiaddr_decode(binary, &addr) != PG_OK) {
        pg_field_add_text(object, name, NULL);
        return;
    }
    pg_multiaddr_format(&addr, text);
    pg_field_add_text(object, name, text);
}

static void book_add(json_object *object, pg_host *host, const pg_peer_id *peer)
{
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(host), peer);
    json_object *protocols = json_object_new_array();
    for (size_t i = 0; known != NULL && i < known->protocol_count; i++) {
        (void) json_object_array_add(protocols, json_object_new_string(known->protocols[i]));
    }
    pg_field_add_text(object, "agent", known == NULL ? NULL : known->agent);
    (void) json_object_object_add(object, "protocols", protocols);
}

static json_object *conn_make(pg_host *host, const pg_host_conn *conn)
{
    const pg_conn_info *info = &conn->info;
    json_object *object = json_object_new_object();
    pg_field_add_peer(object, "peer_id", info->peer);
    addr_text_add(object, "addr", info->remote_addr);
    addr_text_add(object, "observed_addr", conn->observed_addr);
    pg_field_add_text(object, "direction",
                      info->direction == PG_CONN_DIRECTION_INBOUND ? "inbound" : "outbound");
    pg_field_add_text(object, "transport", info->transport);
    pg_field_add_text(object, "security", info->security);
    pg_field_add_text(object, "muxer", info->muxer);
    pg_field_add_bool(object, "hybrid", info->is_hybrid);
    pg_field_add_ms(object, "age_ms", pg_now() - info->opened_at);
    pg_field_add_ms(object, "rtt_ms", info->rtt_ns);
    pg_field_add_u64(object, "streams_in", info->streams_in);
    pg_field_add_u64(object, "streams_out", info->streams_out);
    pg_field_add_u64(object, "bytes_in", info->bytes_in);
    pg_field_add_u64(object, "bytes_out", info->bytes_out);
    pg_field_add_u64(object, "memory_bytes", info->memory_bytes);
    pg_field_add_bool(object, "identified", conn->is_identified);
    book_add(object, host, info->peer);
    return object;
}

typedef struct conn_list {
    pg_host *host;
    json_object *list;
} conn_list;

static void on_host_conn(const pg_host_conn *conn, void *user)
{
    const conn_list *conns = user;
    (void) json_object_array_add(conns->list, conn_make(conns->host, conn));
}

static pg_err peers_get(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    conn_list conns = {context->host, json_object_new_array()};
    pg_host_conns_each(context->host, on_host_conn, &conns);
    *out_body = json_object_new_object();
    (void) json_object_object_add(*out_body, "peers", conns.list);
    return PG_OK;
}

// ---- dial, ping, perf ----

// Be connected to what a request names. A person waits: addresses that failed lately are tried all the same.
static pg_err target_reach(const pg_api_request *request, bool fresh, pg_time deadline,
                           pg_host_conn *out_conn)
{
    const pg_api_context *context = request->user;
    const pg_dial_options options = {.fresh = fresh, .eager = true};
    const char *target = NULL;
    pg_id conn = 0;
    PG_TRY(pg_field_text(request->body, "target", &target));
    if (target[0] == '/') {
        pg_multiaddr addr;
        pg_err err = pg_multiaddr_parse(pg_str_make(target), &addr);
        if (err != PG_OK) {
            return pg_fail(PG_ERR_INVALID, "'%s' is no address: %s", target, pg_error_detail(err));
        }
        PG_TRY(pg_host_dial(context->host, &addr, &options, deadline, &conn));
    } else {
        pg_peer_id peer;
        if (pg_peer_id_parse(pg_str_make(target), &peer) != PG_OK) {
            return pg_fail(PG_ERR_INVALID, "'%s' is neither an address nor a PeerId", target);
        }
        PG_TRY(pg_host_connect(context->host, &peer, &options, deadline, &conn));
    }
    return pg_host_conn_get(context->host, conn, out_conn);
}

static pg_err deadline_read(const pg_api_request *request, uint64_t missing_ms,
                            pg_time *out_deadline)
{
    uint64_t timeout_ms = 0;
    PG_TRY(
        pg_field_u64(request->body, "timeout_ms", PG_API_PERF_TIMEOUT_MS, missing_ms, &timeout_ms));
    *out_deadline = pg_after(PG_MS(timeout_ms));
    return PG_OK;
}

static pg_err dial_post(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    pg_time deadline = 0;
    pg_host_conn conn;
    bool fresh = false;
    PG_TRY(pg_field_bool(request->body, "fresh", &fresh));
    PG_TRY(deadline_read(request, PG_API_DIAL_TIMEOUT_MS, &deadline));
    pg_time start = pg_now();
    PG_TRY(target_reach(request, fresh, deadline, &conn));
    int64_t took_ns = pg_now() - start;
    pg_time identify_until = pg_earlier(deadline, pg_after(PG_MS(PG_API_IDENTIFY_MS)));
    pg_id id = conn.id;
    pg_ignore(pg_host_await_identify(context->host, id, identify_until),
              "a peer that does not tell what it is is connected all the same");
    PG_TRY(pg_host_conn_get(context->host, id, &conn));
    *out_body = conn_make(context->host, &conn);
    pg_field_add_ms(*out_body, "dial_ms", took_ns);
    return PG_OK;
}

static pg_err rounds_run(pg_ping *ping, uint64_t count, int64_t interval_ns, pg_time deadline,
                         json_object *rounds)
{
    for (uint64_t i = 0; i < count; i++) {
        int64_t rtt_ns = 0;
        if (i > 0 && interval_ns > 0) {
            PG_TRY(pg_sleep_until(pg_after(interval_ns)));
        }
        PG_TRY(pg_ping_round(ping, deadline, &rtt_ns));
        json_object *round = json_object_new_object();
        pg_field_add_ms(round, "rtt_ms", rtt_ns);
        (void) json_object_array_add(rounds, round);
    }
    return PG_OK;
}

static pg_err ping_post(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    uint64_t count = 0;
    uint64_t interval_ms = 0;
    uint64_t delay_ms = 0;
    pg_time deadline = 0;
    pg_host_conn conn;
    PG_TRY(pg_field_u64(request->body, "count", PG_API_PING_ROUNDS_MAX, 1, &count));
    PG_TRY(
        pg_field_u64(request->body, "interval_ms", PG_API_PING_INTERVAL_MS_MAX, 0, &interval_ms));
    PG_TRY(pg_field_u64(request->body, "delay_ms", PG_API_PING_INTERVAL_MS_MAX, 0, &delay_ms));
    PG_TRY(pg_sleep_until(pg_after(PG_MS(delay_ms))));
    PG_TRY(deadline_read(request, PG_API_PING_TIMEOUT_MS + count * interval_ms, &deadline));
    PG_TRY(target_reach(request, false, deadline, &conn));
    const pg_peer_id peer = *conn.info.peer;
    pg_ping ping;
    PG_TRY(pg_ping_init(&ping, context->host, &peer, deadline));
    json_object *rounds = json_object_new_array();
    pg_err err = rounds_run(&ping, count, PG_MS(interval_ms), deadline, rounds);
    pg_ping_deinit(&ping);
    if (err != PG_OK) {
        json_object_put(rounds);
        return err;
    }
    *out_body = json_object_new_object();
    pg_field_add_peer(*out_body, "peer_id", &peer);
    (void) json_object_object_add(*out_body, "rounds", rounds);
    return PG_OK;
}

static pg_err perf_post(const pg_api_request *request, json_object **out_body)
{
    const pg_api_context *context = request->user;
    pg_perf_request perf = {0};
    pg_perf_result result;
    pg_time deadline = 0;
    pg_host_conn conn;
    PG_TRY(pg_field_u64(request->body, "up_bytes", UINT64_MAX, 0, &perf.up_bytes));
    PG_TRY(pg_field_u64(request->body, "down_bytes", UINT64_MAX, 0, &perf.down_bytes));
    PG_TRY(deadline_read(request, PG_API_PERF_TIMEOUT_MS, &deadline));
    PG_TRY(target_reach(request, false, deadline, &conn));
    const pg_peer_id peer = *conn.info.peer;
    PG_TRY(pg_perf_measure(context->host, &peer, &perf, deadline, &result));
    *out_body = json_object_new_object();
    pg_field_add_peer(*out_body, "peer_id", &peer);
    pg_field_add_u64(*out_body, "up_bytes", result.up_bytes);
    pg_field_add_ms(*out_body, "up_ms", result.up_ns);
    pg_field_add_u64(*out_body, "down_bytes", result.down_bytes);
    pg_field_add_ms(*out_body, "down_ms", result.down_ns);
    return PG_OK;
}

const pg_api_route pg_api_node_routes[] = {
    {.method = "GET", .path = "/livez", .handler = livez_get},
    {.method = "GET", .path = "/readyz", .handler = readyz_get},
    {.method = "GET", .path = "/api/v1/node", .handler = node_get},
    {.method = "GET", .path = "/api/v1/peers", .handler = peers_get},
    {.method = "POST", .path = "/api/v1/dial", .handler = dial_post},
    {.method = "POST", .path = "/api/v1/ping", .handler = ping_post},
    {.method = "POST", .path = "/api/v1/perf", .handler = perf_post},
    {.path = NULL},
};
