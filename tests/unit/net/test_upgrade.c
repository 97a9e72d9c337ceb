// SPDX-License-Identifier: Apache-2.0
// Goal: two ends of a raw stream become a connection between the right peers with the strongest security both have, or an
// error says why not, in bounded time. Method: both ends in one simulated world; peers that are older, other or hostile are
// made from the parts of the stack.
#include "crypto/peer_id.h"
#include "net/limits.h"
#include "net/multistream.h"
#include "net/noise_conn.h"
#include "net/upgrade.h"
#include "net/yamux.h"
#include "net_test.h"
#include "runtime/runtime.h"

typedef struct side {
    pg_identity identity;
    pg_key noise_static;
    pg_upgrader upgrader;
    pg_upgrade_request request;
    pg_stream *raw;
    pg_conn *conn;
    pg_err err;
    char detail[256];
    pg_conn_memory memory;
} side;

typedef struct fixture {
    side dialer;
    side listener;
} fixture;

static const pg_bytes some_addr = {(const uint8_t *) "\x04\x0a\x00\x00\x01\x06\x0f\xa1", 8};

static void side_init(side *s, pg_conn_direction direction)
{
    pg_key seed;
    pg_random_bytes(PG_MUT_BYTES_OF(seed.bytes));
    pg_random_bytes(PG_MUT_BYTES_OF(s->noise_static.bytes));
    CHECK_OK(pg_identity_init(&s->identity, &seed));
    s->memory.max_bytes = PG_NET_MEMORY_BYTES_MAX;
    s->upgrader = (pg_upgrader){
        .identity = &s->identity,
        .noise_static = &s->noise_static,
        .limits = pg_conn_limits_default(&s->memory),
    };
    s->request = (pg_upgrade_request){
        .direction = direction,
        .transport = "tcp",
        .remote_addr = some_addr,
    };
}

static void setup(fixture *f)
{
    memset(f, 0, sizeof(*f));
    side_init(&f->dialer, PG_CONN_DIRECTION_OUTBOUND);
    side_init(&f->listener, PG_CONN_DIRECTION_INBOUND);
    f->dialer.request.expected_id = &f->listener.identity.peer_id;
    CHECK_OK(pg_stream_pair(65536, &f->dialer.raw, &f->listener.raw));
}

static void side_deinit(side *s)
{
    pg_conn_free(&s->conn);
    pg_stream_free(&s->raw);
    pg_identity_deinit(&s->identity);
    CHECK(s->memory.used_bytes == 0);
}

static void teardown(fixture *f)
{
    side_deinit(&f->dialer);
    side_deinit(&f->listener);
}

static pg_err side_upgrade(void *arg)
{
    side *s = arg;
    s->err = pg_upgrade(&s->raw, &s->upgrader, &s->request, PG_FOREVER, &s->conn);
    if (s->err != PG_OK) {
        (void) snprintf(s->detail, sizeof(s->detail), "%s", pg_error_detail(s->err));
    }
    return PG_OK;
}

// Both upgrade at once.
static void upgrade_both(fixture *f)
{
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.dialer", side_upgrade, &f->dialer));
    CHECK_OK(pg_scope_spawn(&scope, "test.listener", side_upgrade, &f->listener));
    CHECK_OK(pg_scope_join(&scope));
}

static pg_err send_one(void *arg)
{
    pg_stream *stream = NULL;
    PG_TRY(pg_conn_open_stream(arg, PG_FOREVER, &stream));
    net_test_send(stream, 5, 300000);
    CHECK_OK(pg_stream_close_write(stream, PG_FOREVER));
    net_test_receive(stream, 6, 1);
    pg_stream_free(&stream);
    return PG_OK;
}

// Bytes one way, an answer the other.
static void talk(fixture *f)
{
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.sender", send_one, f->dialer.conn));
    pg_stream *stream = NULL;
    CHECK_OK(pg_conn_accept_stream(f->listener.conn, PG_FOREVER, &stream));
    net_test_receive(stream, 5, 300000);
    net_test_send(stream, 6, 1);
    CHECK_OK(pg_stream_close_write(stream, PG_FOREVER));
    CHECK_OK(pg_scope_join(&scope));
    pg_stream_free(&stream);
}

static pg_err hybrid(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f);
    upgrade_both(&f);
    CHECK_OK(f.dialer.err);
    CHECK_OK(f.listener.err);
    CHECK(f.dialer.raw == NULL);
    talk(&f);
    pg_conn_info info;
    pg_conn_get_info(f.dialer.conn, &info);
    CHECK(pg_peer_id_equal(info.peer, &f.listener.identity.peer_id));
    CHECK(info.direction == PG_CONN_DIRECTION_OUTBOUND);
    CHECK(strcmp(info.security, "/noise-mlkem768-hfs/0.2.0") == 0 && info.is_hybrid);
    CHECK(strcmp(info.muxer, "/yamux/1.0.0") == 0 && strcmp(info.transport, "tcp") == 0);
    CHECK(pg_bytes_equal(info.remote_addr, some_addr) && info.local_addr.len == 0);
    CHECK(info.bytes_out > 300000 && info.streams_out == 0 && info.rtt_ns > 0);
    pg_peer_id of_key;
    pg_peer_id_of_key(info.public_key, &of_key);
    CHECK(pg_peer_id_equal(&of_key, info.peer));
    pg_conn_get_info(f.listener.conn, &info);
    CHECK(pg_peer_id_equal(info.peer, &f.dialer.identity.peer_id));
    pg_conn_abort(f.dialer.conn);
    pg_stream *stream = NULL;
    CHECK(pg_conn_open_stream(f.dialer.conn, PG_FOREVER, &stream) == PG_ERR_CLOSED);
    teardown(&f);
    return PG_OK;
}

static void test_upgrade__two_of_ours__hybrid_with_early_muxer(void **state)
{
    (void) state;
    net_test_run(hybrid, NULL);
}

static pg_err null_security(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f);
    f.dialer.upgrader.is_null = true;
    f.listener.upgrader.is_null = true;
    upgrade_both(&f);
    CHECK_OK(f.dialer.err);
    CHECK_OK(f.listener.err);
    talk(&f);
    pg_conn_info info;
    pg_conn_get_info(f.listener.conn, &info);
    CHECK(pg_peer_id_equal(info.peer, &f.dialer.identity.peer_id));
    teardown(&f);

    setup(&f); // one alone is not enough
    f.dialer.upgrader.is_null = true;
    upgrade_both(&f);
    CHECK(f.dialer.err == PG_ERR_UNSUPPORTED && f.listener.err != PG_OK);
    teardown(&f);
    return PG_OK;
}

static void test_upgrade__null_security__works_between_those_who_want_it(void **state)
{
    (void) state;
    net_test_run(null_security, NULL);
}

static pg_err null_in_real_run(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f);
    f.dialer.upgrader.is_null = true;
    f.listener.upgrader.is_null = true;
    upgrade_both(&f);
    CHECK(f.dialer.err == PG_ERR_INVALID);
    CHECK(f.listener.err != PG_OK && f.listener.conn == NULL);
    teardown(&f);
    return PG_OK;
}

static void test_upgrade__null_security_in_a_real_run__is_refused(void **state)
{
    (void) state;
    assert_int_equal(pg_runtime_run(NULL, null_in_real_run, NULL), PG_OK);
}

static pg_err close_conn(void *arg)
{
    return pg_conn_close(arg, PG_FOREVER);
}

static pg_err close_both(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f);
    upgrade_both(&f);
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.close", close_conn, f.dialer.conn));
    pg_stream *stream = NULL;
    CHECK(pg_conn_accept_stream(f.listener.conn, PG_FOREVER, &stream) == PG_ERR_CLOSED);
    CHECK_OK(pg_scope_join(&scope));
    CHECK_OK(pg_conn_close(f.listener.conn, PG_FOREVER));
    teardown(&f);
    return PG_OK;
}

static void test_upgrade__closed_by_one__ends_in_order_at_both(void **state)
{
    (void) state;
    net_test_run(close_both, NULL);
}

static pg_err choppy(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f);
    f.dialer.raw = net_test_choppy(f.dialer.raw, 7);
    f.listener.raw = net_test_choppy(f.listener.raw, 3000);
    upgrade_both(&f);
    CHECK_OK(f.dialer.err);
    CHECK_OK(f.listener.err);
    talk(&f);
    teardown(&f);
    return PG_OK;
}

static void test_upgrade__any_chunking__works(void **state)
{
    (void) state;
    net_test_run(choppy, NULL);
}

// ---- Peers without the hybrid

typedef struct classical {
    side *s;
    bool lists_hybrid; // says so, though the negotiation did not show it
    bool early_muxer;
    bool odd_muxer;
} classical;

static pg_err classical_run(void *arg)
{
    classical *c = arg;
    side *s = c->s;
    static const pg_str noise[] = {{"/noise", 6}};
    static const pg_str both[] = {{PG_NOISE_ID_HYBRID, 25}, {"/noise", 6}};
    static const pg_str yamux[] = {{PG_YAMUX_ID, 12}};
    static const pg_str odd[] = {{"/mplex/6.7.0", 12}};
    bool is_dialer = s->request.direction == PG_CONN_DIRECTION_OUTBOUND;
    pg_noise_conn_config config = {
        .pattern = PG_NOISE_PATTERN_XX,
        .is_initiator = is_dialer,
        .identity = &s->identity,
        .static_secret = &s->noise_static,
    };
    if (c->lists_hybrid) {
        config.offer.securities = (pg_noise_list){both, 2};
    }
    if (c->early_muxer || c->odd_muxer) {
        config.offer.muxers = (pg_noise_list){c->odd_muxer ? odd : yamux, 1};
    }
    size_t chosen = 0;
    pg_noise_conn_result result = {0};
    s->err = is_dialer ? pg_multistream_dial(s->raw, noise, 1, PG_FOREVER, &chosen)
                       : pg_multistream_listen(s->raw, noise, 1, PG_FOREVER, &chosen);
    if (s->err == PG_OK) {
        s->err = pg_noise_conn_handshake(&s->raw, &config, PG_FOREVER, &result);
    }
    if (s->err == PG_OK && !c->early_muxer) {
        s->err = is_dialer ? pg_multistream_dial(result.stream, yamux, 1, PG_FOREVER, &chosen)
                           : pg_multistream_listen(result.stream, yamux, 1, PG_FOREVER, &chosen);
    }
    if (s->err == PG_OK) {
        uint8_t header[12];
        s->err = pg_stream_read_full(result.stream, PG_MUT_BYTES_OF(header), PG_FOREVER);
        CHECK(s->err != PG_OK || (header[0] == 0 && header[1] == 2)); // a yamux ping
    }
    pg_buf_deinit(&result.public_key);
    pg_stream_free(&result.stream);
    pg_stream_free(&s->raw);
    return PG_OK;
}

static void upgrade_with_classical(fixture *f, classical *c)
{
    side *ours = c->s == &f->dialer ? &f->listener : &f->dialer;
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.ours", side_upgrade, ours));
    CHECK_OK(pg_scope_spawn(&scope, "test.classical", classical_run, c));
    CHECK_OK(pg_scope_join(&scope));
}

static pg_err strangers(void *arg)
{
    (void) arg;
    for (unsigned i = 0; i < 4; i++) {
        fixture f;
        setup(&f);
        classical c = {.s = i & 1 ? &f.dialer : &f.listener, .early_muxer = (i & 2) != 0};
        upgrade_with_classical(&f, &c);
        CHECK_OK(c.s->err);
        side *ours = i & 1 ? &f.listener : &f.dialer;
        CHECK_OK(ours->err);
        pg_conn_info info;
        pg_conn_get_info(ours->conn, &info);
        CHECK(strcmp(info.security, "/noise") == 0 && !info.is_hybrid);
        teardown(&f);
    }
    return PG_OK;
}

static void test_upgrade__peer_that_knows_only_noise__classical(void **state)
{
    (void) state;
    net_test_run(strangers, NULL);
}

static pg_err stripped(void *arg)
{
    (void) arg;
    for (unsigned i = 0; i < 2; i++) {
        fixture f;
        setup(&f);
        classical c = {.s = i ? &f.dialer : &f.listener, .lists_hybrid = true, .early_muxer = true};
        upgrade_with_classical(&f, &c);
        side *ours = i ? &f.listener : &f.dialer;
        CHECK((i ? c.s : ours)->err == PG_ERR_DOWNGRADE); // the dialer sees it first
        CHECK(ours->err != PG_OK);
        CHECK(ours->conn == NULL);
        teardown(&f);
    }
    return PG_OK;
}

static void test_upgrade__hybrid_offer_stripped__is_seen_and_refused(void **state)
{
    (void) state;
    net_test_run(stripped, NULL);
}

static pg_err pq_only(void *arg)
{
    (void) arg;
    for (unsigned i = 0; i < 4; i++) {
        fixture f;
        setup(&f);
        classical c = {.s = i & 1 ? &f.dialer : &f.listener, .early_muxer = true};
        side *ours = i & 1 ? &f.listener : &f.dialer;
        ours->upgrader.require_pq = i < 2;
        ours->request.is_known_hybrid = i >= 2;
        upgrade_with_classical(&f, &c);
        CHECK(ours->err == (i < 2 ? PG_ERR_UNSUPPORTED : PG_ERR_DOWNGRADE));
        CHECK(strstr(ours->detail, i < 2 ? "require_pq" : "before") != NULL);
        CHECK(c.s->err != PG_OK);
        teardown(&f);
    }
    return PG_OK;
}

static void test_upgrade__classical_where_it_is_not_taken__is_refused_and_says_so(void **state)
{
    (void) state;
    net_test_run(pq_only, NULL);
}

static pg_err no_common_muxer(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f);
    classical c = {.s = &f.listener, .odd_muxer = true};
    upgrade_with_classical(&f, &c);
    CHECK(f.dialer.err == PG_ERR_PROTOCOL);
    CHECK(c.s->err != PG_OK);
    teardown(&f);
    return PG_OK;
}

static void test_upgrade__no_common_muxer__is_refused(void **state)
{
    (void) state;
    net_test_run(no_common_muxer, NULL);
}

// ---- Wrong peers

static pg_err wrong_identity(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f);
    f.dialer.request.expected_id = &f.dialer.identity.peer_id;
    upgrade_both(&f);
    CHECK(f.dialer.err == PG_ERR_AUTH);
    CHECK(strstr(f.dialer.detail, "dialed 12D3KooW") != NULL);
    CHECK(f.listener.err != PG_OK); // the dialer left before it said who it is
    CHECK(f.listener.conn == NULL);
    teardown(&f);
    return PG_OK;
}

static void test_upgrade__wrong_identity__is_refused_by_the_dialer(void **state)
{
    (void) state;
    net_test_run(wrong_identity, NULL);
}

static pg_err private_networks(void *arg)
{
    (void) arg;
    pg_key ours = {{1}};
    pg_key theirs = {{2}};
    const pg_key *keys[][2] = {{&ours, &ours}, {&ours, &theirs}, {&ours, NULL}, {NULL, &ours}};
    for (size_t i = 0; i < PG_ARRAY_LEN(keys); i++) {
        fixture f;
        setup(&f);
        f.dialer.upgrader.swarm_key = keys[i][0];
        f.listener.upgrader.swarm_key = keys[i][1];
        upgrade_both(&f);
        CHECK((f.dialer.err == PG_OK) == (i == 0));
        CHECK((f.listener.err == PG_OK) == (i == 0));
        if (i == 0) {
            talk(&f);
        }
        const side *member = keys[i][1] != NULL ? &f.listener : &f.dialer;
        CHECK(i == 0 || strstr(member->detail, "this private network") != NULL);
        teardown(&f);
    }
    return PG_OK;
}

static void test_upgrade__private_network__only_members_get_in(void **state)
{
    (void) state;
    net_test_run(private_networks, NULL);
}

// ---- Hostile peers: our side listens

typedef struct hostile {
    const char *bytes;
    size_t len;
    int64_t pause_ns; // between bytes
    bool closes;
    pg_err wanted;
} hostile;

static pg_err hostile_run(void *arg)
{
    void **args = arg;
    const hostile *h = args[0];
    pg_stream *raw = args[1];
    for (size_t i = 0; i < h->len; i++) {
        if (pg_stream_write(raw, pg_bytes_make(h->bytes + i, 1), PG_FOREVER) != PG_OK) {
            return PG_OK;
        }
        if (h->pause_ns > 0) {
            PG_TRY(pg_sleep_until(pg_after(h->pause_ns)));
        }
    }
    if (h->closes) {
        CHECK_OK(pg_stream_close_write(raw, PG_FOREVER));
    }
    return PG_OK;
}

#define BYTES(literal) (literal), sizeof(literal) - 1
#define OFFER "\x13/multistream/1.0.0\n\x07/noise\n"

static pg_err hostile_case(void *arg)
{
    const hostile *h = arg;
    fixture f;
    setup(&f);
    void *args[] = {arg, f.dialer.raw};
    pg_scope scope;
    pg_scope_init(&scope);
    pg_time begin = pg_now();
    CHECK_OK(pg_scope_spawn(&scope, "test.hostile", hostile_run, args));
    CHECK_OK(side_upgrade(&f.listener));
    CHECK(pg_now() - begin <= PG_MS(PG_NET_UPGRADE_TIMEOUT_MS) + PG_MS(1));
    if (f.listener.err != h->wanted) {
        (void) fprintf(stderr, "%s: %s\n", pg_err_name(f.listener.err), f.listener.detail);
    }
    CHECK(f.listener.err == h->wanted);
    pg_scope_close(&scope);
    teardown(&f);
    return PG_OK;
}

static void test_upgrade__hostile_bytes__end_in_time_with_a_reason(void **state)
{
    (void) state;
    hostile cases[] = {
        {BYTES(""), 0, true, PG_ERR_CLOSED},
        {BYTES(""), 0, false, PG_ERR_TIMEOUT},
        {BYTES("GET / HTTP/1.1\r\nHost: example\r\n\r\n"), 0, false, PG_ERR_PROTOCOL},
        {BYTES(OFFER), PG_SECONDS(1), false, PG_ERR_TIMEOUT}, // one byte a second
        {BYTES(OFFER), 0, true, PG_ERR_CLOSED},               // and then leaves
        {BYTES(OFFER "\x00\x05hello"), 0, false, PG_ERR_TRUNCATED},
        {BYTES(OFFER "\xff\xff...."), 0, false, PG_ERR_LIMIT},
        {BYTES(OFFER "\x00\x20short"), 0, true, PG_ERR_TRUNCATED},
        {BYTES(OFFER "\x00\x20short"), 0, false, PG_ERR_TIMEOUT},
        {BYTES("\x13/multistream/1.0.0\n\xff\xff\x01x"), 0, false, PG_ERR_LIMIT},
        {BYTES("\x13/multistream/1.0.0\n\x80\x10x"), 0, false, PG_ERR_LIMIT},
        {BYTES("\x13/multistream/1.0.0\n\x00"), 0, false, PG_ERR_MALFORMED},
        {BYTES("\x13/multistream/1.0.0\n\x06/tls/\n"), 0, true, PG_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(cases); i++) {
        net_test_run(hostile_case, &cases[i]);
    }
}

static pg_err out_of_memory(void *arg)
{
    (void) arg;
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        fixture f;
        setup(&f);
        pg_scope scope;
        pg_scope_init_tolerant(&scope);
        CHECK_OK(pg_scope_spawn(&scope, "test.dialer", side_upgrade, &f.dialer));
        CHECK_OK(pg_scope_spawn(&scope, "test.listener", side_upgrade, &f.listener));
        pg_mem_fail_nth(nth);
        CHECK_OK(pg_scope_join(&scope));
        failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        CHECK(failed || (f.dialer.err == PG_OK && f.listener.err == PG_OK));
        teardown(&f);
    }
    return PG_OK;
}

static void test_upgrade__any_allocation_fails__nothing_leaks(void **state)
{
    (void) state;
    net_test_run(out_of_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade__two_of_ours__hybrid_with_early_muxer),
        cmocka_unit_test(test_upgrade__null_security__works_between_those_who_want_it),
        cmocka_unit_test(test_upgrade__null_security_in_a_real_run__is_refused),
        cmocka_unit_test(test_upgrade__closed_by_one__ends_in_order_at_both),
        cmocka_unit_test(test_upgrade__any_chunking__works),
        cmocka_unit_test(test_upgrade__peer_that_knows_only_noise__classical),
        cmocka_unit_test(test_upgrade__hybrid_offer_stripped__is_seen_and_refused),
        cmocka_unit_test(test_upgrade__classical_where_it_is_not_taken__is_refused_and_says_so),
        cmocka_unit_test(test_upgrade__no_common_muxer__is_refused),
        cmocka_unit_test(test_upgrade__wrong_identity__is_refused_by_the_dialer),
        cmocka_unit_test(test_upgrade__private_network__only_members_get_in),
        cmocka_unit_test(test_upgrade__hostile_bytes__end_in_time_with_a_reason),
        cmocka_unit_test(test_upgrade__any_allocation_fails__nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
