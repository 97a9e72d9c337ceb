// SPDX-License-Identifier: Apache-2.0
// Goal: what a host decides about QUIC: the race with TCP never costs the post-quantum handshake, private networks keep
//       strangers out, limits hold as over TCP.
// Method: hosts on one or two simulated machines; a peer that knows no better gets a TLS context without the hybrid group.
#include "net/host_priv.h"
#include "net/ping.h"
#include "quic_test.h"
#include "sim_test.h"

static const pg_endpoint loopback = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};

// ---- Hosts

typedef struct node {
    pg_identity identity;
    pg_host *host;
    pg_multiaddr tcp;
    pg_multiaddr quic;
} node;

typedef struct node_options {
    const pg_key *network_key;
    pg_quic_groups groups;
    bool require_pq;
    const pg_admission_limits *limits;
} node_options;

static void node_listen(node *self, const pg_endpoint *at, pg_multiaddr_transport transport,
                        pg_multiaddr *out_addr)
{
    pg_multiaddr addr = pg_multiaddr_make(pg_bytes_make(at->ip, 4), transport, at->port);
    CHECK_OK(pg_host_listen(self->host, &addr));
    *out_addr = self->host->listens[self->host->listen_count - 1].addr;
}

static void node_open(node *self, uint8_t seed, const pg_endpoint *at, const node_options *options)
{
    static const node_options usual;
    const pg_key key = {{seed}};
    options = options != NULL ? options : &usual;
    memset(self, 0, sizeof(*self));
    CHECK_OK(pg_identity_init(&self->identity, &key));
    pg_host_config config = pg_host_config_default(&self->identity);
    config.network_key = options->network_key;
    config.require_pq = options->require_pq;
    if (options->limits != NULL) {
        config.limits = *options->limits;
    }
    CHECK_OK(pg_host_new(&config, &self->host));
    if (options->groups != PG_QUIC_GROUPS_ANY) {
        CHECK_OK(pg_quic_tls_new(&self->identity, options->groups, &self->host->quic_tls));
    }
    if (at != NULL) {
        node_listen(self, at, PG_MULTIADDR_TRANSPORT_TCP, &self->tcp);
        node_listen(self, at, PG_MULTIADDR_TRANSPORT_QUIC, &self->quic);
    }
}

static void node_close(node *self)
{
    pg_host_free(&self->host);
    pg_identity_deinit(&self->identity);
}

static void node_learn(node *self, const node *other, bool tcp, bool quic)
{
    const pg_peer_id *id = &other->identity.peer_id;
    if (tcp) {
        CHECK_OK(pg_host_learn(self->host, id, &other->tcp, PG_BOOK_SOURCE_GIVEN, PG_HOURS(1)));
    }
    if (quic) {
        CHECK_OK(pg_host_learn(self->host, id, &other->quic, PG_BOOK_SOURCE_GIVEN, PG_HOURS(1)));
    }
}

static pg_err node_connect(node *self, const node *other, pg_conn_info *out_info)
{
    pg_id conn = 0;
    pg_host_conn info;
    const pg_dial_options options = {.fresh = true, .eager = true};
    PG_TRY(pg_host_connect(self->host, &other->identity.peer_id, &options, pg_after(PG_SECONDS(10)),
                           &conn));
    PG_TRY(pg_host_await_identify(self->host, conn, pg_after(PG_SECONDS(10))));
    CHECK_OK(pg_host_conn_get(self->host, conn, &info));
    *out_info = info.info;
    return PG_OK;
}

static bool is_quic(const pg_conn_info *info)
{
    return strcmp(info->transport, PG_QUIC_TRANSPORT) == 0;
}

static void on_machine_run(pg_fiber_fn body)
{
    const pg_sim_config config = {.seed = 1, .link = {.latency_ns = PG_MS(5)}};
    assert_int_equal(pg_sim_run(&config, quic_test_on_machine, &body, NULL), PG_OK);
}

// ---- The race

static pg_err body_classical_quic(void *arg)
{
    (void) arg;
    const node_options old = {.groups = PG_QUIC_GROUPS_CLASSICAL};
    node ours;
    node theirs;
    pg_conn_info info;
    node_open(&ours, 1, NULL, NULL);
    node_open(&theirs, 2, &loopback, &old);
    // Their QUIC is classical and quicker; their TCP is hybrid and wins.
    node_learn(&ours, &theirs, true, true);
    CHECK_OK(node_connect(&ours, &theirs, &info));
    CHECK(!is_quic(&info) && info.is_hybrid);
    // From then on they are not believed without it.
    const pg_dial_options fresh = {.fresh = true, .eager = true};
    pg_err err = pg_host_dial(ours.host, &theirs.quic, &fresh, pg_after(PG_SECONDS(5)), NULL);
    CHECK(err == PG_ERR_DOWNGRADE ||
          err == PG_ERR_REFUSED); // either side may be the first to say so
    pg_multiaddr named = theirs.quic;
    CHECK_OK(pg_multiaddr_append(&named, PG_MULTIADDR_CODE_P2P,
                                 pg_peer_id_bytes(&theirs.identity.peer_id)));
    CHECK(pg_host_dial(ours.host, &named, &fresh, pg_after(PG_SECONDS(5)), NULL) ==
          PG_ERR_DOWNGRADE);
    CHECK(strstr(pg_error_detail(PG_ERR_DOWNGRADE), "post-quantum") != NULL);
    node_close(&ours);
    node_close(&theirs);
    return PG_OK;
}

static void test_host_quic__peer_classical_over_quic_only__tcp_is_taken(void **state)
{
    (void) state;
    on_machine_run(body_classical_quic);
}

static pg_err body_classical_alone(void *arg)
{
    (void) arg;
    const node_options old = {.groups = PG_QUIC_GROUPS_CLASSICAL};
    const node_options strict = {.require_pq = true};
    node ours;
    node theirs;
    node careful;
    pg_conn_info info;
    node_open(&ours, 1, &loopback, NULL);
    node_open(&theirs, 2, &loopback, &old);
    node_open(&careful, 3, &loopback, &strict);
    // Nothing better to be had: a stranger who knows no better is talked to.
    node_learn(&ours, &theirs, false, true);
    CHECK_OK(node_connect(&ours, &theirs, &info));
    CHECK(is_quic(&info) && !info.is_hybrid);
    // But not by who requires it, in either direction.
    node_learn(&careful, &theirs, false, true);
    CHECK(node_connect(&careful, &theirs, &info) == PG_ERR_UNSUPPORTED);
    node_learn(&theirs, &careful, false, true);
    CHECK(node_connect(&theirs, &careful, &info) == PG_ERR_REFUSED);
    node_learn(&careful, &ours, false, true);
    CHECK_OK(node_connect(&careful, &ours, &info));
    CHECK(is_quic(&info) && info.is_hybrid);
    node_close(&careful);
    node_close(&ours);
    node_close(&theirs);
    return PG_OK;
}

static void test_host_quic__peer_classical__taken_unless_hybrid_is_required(void **state)
{
    (void) state;
    on_machine_run(body_classical_alone);
}

static pg_err body_inbound_downgrade(void *arg)
{
    (void) arg;
    const node_options old = {.groups = PG_QUIC_GROUPS_CLASSICAL};
    node ours;
    node theirs;
    pg_conn_info info;
    node_open(&ours, 1, &loopback, NULL);
    node_open(&theirs, 2, NULL, NULL);
    node_learn(&theirs, &ours, true, false);
    CHECK_OK(node_connect(&theirs, &ours, &info)); // hybrid, by TCP
    CHECK(info.is_hybrid);
    node_close(&theirs);
    node_open(&theirs, 2, NULL, &old); // the same identity comes back and can do less
    node_learn(&theirs, &ours, false, true);
    pg_err err = node_connect(&theirs, &ours, &info);
    CHECK(err == PG_ERR_REFUSED || err == PG_ERR_CLOSED);
    CHECK(pg_host_get_stats(ours.host).downgrades == 1);
    node_close(&ours);
    node_close(&theirs);
    return PG_OK;
}

static void test_host_quic__known_hybrid_comes_classical__is_refused(void **state)
{
    (void) state;
    on_machine_run(body_inbound_downgrade);
}

// ---- Private networks

static pg_err body_private(void *arg)
{
    (void) arg;
    const pg_key key = {{1, 2, 3}};
    const pg_key other = {{4, 5, 6}};
    const node_options with_key = {.network_key = &key};
    const node_options with_other = {.network_key = &other};
    node a;
    node b;
    node stranger;
    node outsider;
    pg_conn_info info;
    node_open(&a, 1, &loopback, &with_key);
    node_open(&b, 2, &loopback, &with_key);
    node_open(&stranger, 3, &loopback, &with_other);
    node_open(&outsider, 4, &loopback, NULL);
    node_learn(&a, &b, false, true);
    CHECK_OK(node_connect(&a, &b, &info));
    CHECK(is_quic(&info));
    node_learn(&stranger, &b, false, true);
    CHECK(node_connect(&stranger, &b, &info) == PG_ERR_AUTH);
    CHECK(strstr(pg_error_detail(PG_ERR_AUTH), "private network") != NULL);
    node_learn(&a, &stranger, false, true);
    CHECK(node_connect(&a, &stranger, &info) == PG_ERR_AUTH);
    node_learn(&a, &outsider, false, true);
    CHECK(node_connect(&a, &outsider, &info) == PG_ERR_AUTH);
    node_learn(&outsider, &b, false, true);
    CHECK(node_connect(&outsider, &b, &info) != PG_OK);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(11)))); // time for the proof to be given
    CHECK(pg_host_get_stats(b.host).connections == 1);
    node_close(&outsider);
    node_close(&stranger);
    node_close(&b);
    node_close(&a);
    return PG_OK;
}

static void test_host_quic__private_network__members_only(void **state)
{
    (void) state;
    on_machine_run(body_private);
}

// ---- Limits, between machines: the loopback is held to the sums alone

typedef struct crowd {
    pg_sim_machine *server;
    pg_sim_machine *client;
    pg_admission_limits limits;
    uint32_t dials;
    uint32_t made;
    uint32_t refused;
    bool up;
    bool stop;
    pg_host_stats stats;
} crowd;

static pg_err crowd_server(void *arg)
{
    crowd *w = arg;
    const node_options options = {.limits = &w->limits};
    const pg_endpoint at = {.family = PG_IP_FAMILY_V4, .port = 4417};
    node self;
    node_open(&self, 1, &at, &options);
    w->up = true;
    while (!w->stop) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
    w->stats = pg_host_get_stats(self.host);
    node_close(&self);
    return PG_OK;
}

static pg_err crowd_client(void *arg)
{
    crowd *w = arg;
    enum { MAX = 40 };
    static node nodes[MAX];
    pg_endpoint at = pg_sim_machine_endpoint(w->server);
    const pg_multiaddr addr =
        pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_QUIC, 4417);
    CHECK(w->dials <= MAX);
    for (uint32_t i = 0; i < w->dials; i++) {
        pg_id conn = 0;
        node_open(&nodes[i], (uint8_t) (10 + i), NULL, NULL);
        pg_err err = pg_host_dial(nodes[i].host, &addr, NULL, pg_after(PG_SECONDS(10)), &conn);
        if (err == PG_OK) { // it may still be closed at once
            err = pg_host_await_identify(nodes[i].host, conn, pg_after(PG_SECONDS(10)));
        }
        w->made += err == PG_OK ? 1U : 0U;
        w->refused += err != PG_OK ? 1U : 0U;
    }
    for (uint32_t i = 0; i < w->dials; i++) {
        node_close(&nodes[i]);
    }
    return PG_OK;
}

static pg_err crowd_script(void *arg)
{
    crowd *w = arg;
    PG_TRY(pg_sim_machine_new(&w->server));
    PG_TRY(pg_sim_machine_new(&w->client));
    PG_TRY(pg_sim_machine_start(w->server, "sim.server", crowd_server, w));
    while (!w->up) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(1))));
    }
    PG_TRY(pg_sim_machine_start(w->client, "sim.client", crowd_client, w));
    PG_TRY(pg_sim_machine_join(w->client, pg_after(PG_MINUTES(10))));
    w->stop = true;
    return pg_sim_machine_join(w->server, pg_after(PG_MINUTES(1)));
}

static crowd crowd_run(uint32_t dials, const pg_admission_limits *limits)
{
    crowd w = {.dials = dials, .limits = *limits};
    const pg_sim_config config = {.seed = 1, .link = {.latency_ns = PG_MS(5)}};
    assert_int_equal(pg_sim_run(&config, crowd_script, &w, NULL), PG_OK);
    assert_int_equal(w.made + w.refused, dials);
    return w;
}

static const pg_admission_limits roomy = {
    .connections = 512,
    .connections_per_peer = 4,
    .connections_per_ip = 64,
    .connections_per_subnet = 128,
    .accepts_per_ip = 1000,
    .streams = 4096,
    .streams_per_peer = 1024,
};

static void test_host_quic__many_from_one_address__as_many_as_allowed(void **state)
{
    (void) state;
    pg_admission_limits limits = roomy;
    limits.connections_per_ip = 5;
    crowd w = crowd_run(12, &limits);
    assert_int_equal(w.made, 5);
    assert_int_equal(w.stats.connections, 5);
}

static void test_host_quic__too_fast_from_one_address__the_rest_is_refused(void **state)
{
    (void) state;
    pg_admission_limits limits = roomy;
    limits.accepts_per_ip = 2; // and five times as many at once
    crowd w = crowd_run(20, &limits);
    assert_in_range(w.made, 10, 14);
}

static void test_host_quic__all_places_taken__no_more(void **state)
{
    (void) state;
    pg_admission_limits limits = roomy;
    limits.connections = 6;
    crowd w = crowd_run(12, &limits);
    assert_int_equal(w.made, 6);
    assert_int_equal(w.stats.connections, 6);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_quic__peer_classical_over_quic_only__tcp_is_taken),
        cmocka_unit_test(test_host_quic__peer_classical__taken_unless_hybrid_is_required),
        cmocka_unit_test(test_host_quic__known_hybrid_comes_classical__is_refused),
        cmocka_unit_test(test_host_quic__private_network__members_only),
        cmocka_unit_test(test_host_quic__many_from_one_address__as_many_as_allowed),
        cmocka_unit_test(test_host_quic__too_fast_from_one_address__the_rest_is_refused),
        cmocka_unit_test(test_host_quic__all_places_taken__no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
