// SPDX-License-Identifier: Apache-2.0
// Outbound connections. One dial races the addresses of a peer: each gets a head start before the next joins, the first that
// ends in an authenticated connection wins, the others are cancelled. Callers who want the same peer share one dial.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "crypto/peer_id_text.h"
#include "net/host_priv.h"
#include "runtime/random.h"
#include "runtime/resolve.h"

// ---- one address ----

typedef enum attempt_state {
    ATTEMPT_STATE_WAITING,
    ATTEMPT_STATE_RUNNING,
    ATTEMPT_STATE_OVER,
} attempt_state;

typedef struct attempt {
    struct dial_race *race;
    pg_multiaddr addr;
    bool is_quic;
    attempt_state state;
    pg_time started_at;
} attempt;

typedef struct dial_race {
    pg_host *host;
    const pg_peer_id *expected; // NULL: whoever answers
    pg_time deadline;
    attempt *attempts; // attempts[count], in the order they are to begin
    size_t count;
    pg_waitq changed;
    pg_conn *won;
    bool won_by_quic;
    pg_conn *spare; // a classical connection, while the other transport may bring a hybrid one
    bool spare_by_quic;
    pg_time spare_until;
    pg_err err;    // the failure worth most so far
    pg_buf detail; // what each address said, for the caller
} dial_race;

static pg_err endpoint_dial(attempt *self, const pg_endpoint *to, pg_conn **out_conn)
{
    dial_race *race = self->race;
    pg_upgrade_request request = {.direction = PG_CONN_DIRECTION_OUTBOUND,
                                  .expected_id = race->expected};
    const pg_book_peer *known =
        race->expected != NULL ? pg_peer_book_get(&race->host->book, race->expected) : NULL;
    if (self->is_quic) {
        request.is_known_hybrid = known != NULL && known->is_hybrid;
        return pg_host_quic_dial(race->host, to, &request, race->deadline, out_conn);
    }
    pg_stream *stream = NULL;
    request.is_known_hybrid = known != NULL && known->is_hybrid_noise;
    PG_TRY(pg_tcp_dial(to, race->deadline, &stream));
    return pg_host_upgrade(race->host, &stream, &request, race->deadline, out_conn);
}

static pg_err name_dial(attempt *self, const pg_multiaddr_hop *hop, pg_conn **out_conn)
{
    pg_endpoint found[PG_RESOLVE_MAX];
    size_t count = 0;
    pg_ip_family family = PG_IP_FAMILY_NONE;
    if (hop->host_code == PG_MULTIADDR_CODE_DNS4) {
        family = PG_IP_FAMILY_V4;
    } else if (hop->host_code == PG_MULTIADDR_CODE_DNS6) {
        family = PG_IP_FAMILY_V6;
    }
    char *name = pg_str_dup(pg_str_make_len((const char *) hop->host.ptr, hop->host.len));
    if (name == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_resolve(name, family, self->race->deadline, found, &count);
    if (err == PG_OK) {
        err = pg_fail(PG_ERR_NOT_FOUND, "/dns/%s has no address", name);
    }
    pg_mfree(name);
    for (size_t i = 0; i < count && *out_conn == NULL; i++) {
        found[i].port = hop->port;
        err = endpoint_dial(self, &found[i], out_conn);
    }
    return err;
}

static bool addr_is_quic(const pg_multiaddr *addr)
{
    pg_multiaddr_hop hop;
    return pg_multiaddr_first_hop(addr, &hop) == PG_OK &&
           hop.transport == PG_MULTIADDR_TRANSPORT_QUIC;
}

static pg_err addr_dial(attempt *self, pg_conn **out_conn)
{
    pg_multiaddr_hop hop;
    PG_TRY(pg_multiaddr_first_hop(&self->addr, &hop));
    bool is_ours = hop.transport == PG_MULTIADDR_TRANSPORT_TCP || self->is_quic;
    if (!is_ours || pg_multiaddr_is_relay(&self->addr)) {
        return pg_fail(PG_ERR_UNSUPPORTED, "not an address of TCP or QUIC");
    }
    if (hop.host_code != PG_MULTIADDR_CODE_IP4 && hop.host_code != PG_MULTIADDR_CODE_IP6) {
        return name_dial(self, &hop, out_conn);
    }
    pg_endpoint to = {.port = hop.port};
    to.family = hop.host.len == 4 ? PG_IP_FAMILY_V4 : PG_IP_FAMILY_V6;
    memcpy(to.ip, hop.host.ptr, hop.host.len);
    return endpoint_dial(self, &to, out_conn);
}

// ---- the race
//
// QUIC and TCP take turns, QUIC first, each with a head start. A hybrid connection wins at once. A classical one is held for a
// moment while the other transport may still bring a hybrid one: libp2p nodes of other make have it over QUIC alone.

static int weight(pg_err err)
{
    switch (pg_err_class_of(err)) {
    case PG_ERR_CLASS_PEER:
        return 3; // an answer, and a wrong one: worth more than silence
    case PG_ERR_CLASS_RETRY:
        return 2;
    case PG_ERR_CLASS_LOCAL:
        return 1;
    case PG_ERR_CLASS_OK:
    case PG_ERR_CLASS_CANCELLED:
    case PG_ERR_CLASS_BUG:
        break;
    }
    return 0;
}

static void attempt_note_failure(dial_race *race, const pg_multiaddr *addr, pg_err err)
{
    char text[PG_MULTIADDR_TEXT_BYTES];
    pg_multiaddr_format(addr, text);
    if (race->err == PG_OK || weight(err) > weight(race->err)) {
        race->err = err;
    }
    pg_ignore(pg_buf_printf(&race->detail, "%s%s: %s", race->detail.len > 0 ? "; " : "", text,
                            pg_error_detail(err)),
              "the text is cut");
}

// Whether an attempt by this transport may still bring something.
static bool race_has_open(const dial_race *race, bool is_quic)
{
    for (size_t i = 0; i < race->count; i++) {
        if (race->attempts[i].is_quic == is_quic && race->attempts[i].state != ATTEMPT_STATE_OVER) {
            return true;
        }
    }
    return false;
}

static void race_take(attempt *self, pg_conn *conn)
{
    dial_race *race = self->race;
    pg_conn_info info;
    pg_conn_get_info(conn, &info);
    if (race->won != NULL) {
        pg_conn_free(&conn); // another was first
    } else if (info.is_hybrid || !race_has_open(race, !self->is_quic)) {
        race->won = conn;
        race->won_by_quic = self->is_quic;
    } else if (race->spare == NULL) {
        race->spare = conn;
        race->spare_by_quic = self->is_quic;
        race->spare_until = pg_after(PG_MS(PG_NET_DIAL_HYBRID_MS));
    } else {
        pg_conn_free(&conn);
    }
}

// A QUIC attempt that TCP has overtaken in spite of its head start: UDP does not get through, as far as one can tell.
static bool attempt_is_outrun(const attempt *self, pg_err err)
{
    return err == PG_ERR_CANCELLED && self->is_quic && self->race->won != NULL &&
           !self->race->won_by_quic && pg_now() - self->started_at >= PG_MS(PG_NET_DIAL_STAGGER_MS);
}

static void attempt_note(attempt *self, pg_err err)
{
    dial_race *race = self->race;
    pg_book_peer *known =
        race->expected != NULL ? pg_peer_book_get(&race->host->book, race->expected) : NULL;
    if (known != NULL && (err != PG_ERR_CANCELLED || attempt_is_outrun(self, err))) {
        pg_book_peer_dialed(known, &self->addr, err == PG_OK, pg_now(), pg_random_u64());
    }
}

static pg_err attempt_run(void *arg)
{
    attempt *self = arg;
    pg_conn *conn = NULL;
    pg_err err = addr_dial(self, &conn);
    self->state = ATTEMPT_STATE_OVER;
    if (err == PG_OK) {
        race_take(self, conn);
    } else if (err != PG_ERR_CANCELLED) {
        attempt_note_failure(self->race, &self->addr, err);
    }
    attempt_note(self, err);
    pg_waitq_wake_all(&self->race->changed);
    return err;
}

// The attempt to begin next, NULL when there is none: with a spare in hand only one by the other transport.
static attempt *race_next(const dial_race *race)
{
    for (size_t i = 0; i < race->count; i++) {
        attempt *each = &race->attempts[i];
        if (each->state == ATTEMPT_STATE_WAITING &&
            (race->spare == NULL || each->is_quic != race->spare_by_quic)) {
            return each;
        }
    }
    return NULL;
}

static bool race_is_running(const dial_race *race)
{
    for (size_t i = 0; i < race->count; i++) {
        if (race->attempts[i].state == ATTEMPT_STATE_RUNNING) {
            return true;
        }
    }
    return false;
}

// Whether the spare is as good as it gets.
static bool spare_is_due(const dial_race *race)
{
    return race->spare != NULL &&
           (pg_now() >= race->spare_until || !race_has_open(race, !race->spare_by_quic));
}

// Wait for news: an attempt that ends, the next one's turn, or the end of patience.
static pg_err race_wait(dial_race *race, bool has_next, pg_time next_at)
{
    pg_time until = has_next ? pg_earlier(next_at, race->deadline) : race->deadline;
    until = race->spare != NULL ? pg_earlier(until, race->spare_until) : until;
    pg_err err = pg_waitq_wait(&race->changed, until);
    return err == PG_ERR_TIMEOUT && pg_now() < race->deadline ? PG_OK : err;
}

static pg_err race_steer(dial_race *race, pg_scope *scope)
{
    pg_time next_at = 0;
    while (race->won == NULL && !spare_is_due(race)) {
        attempt *next = race_next(race);
        bool is_running = race_is_running(race);
        if (next == NULL && !is_running) {
            return race->err;
        }
        if (next != NULL && (!is_running || race->spare != NULL || pg_now() >= next_at)) {
            PG_TRY(pg_scope_spawn(scope, "net.attempt", attempt_run, next));
            next->state = ATTEMPT_STATE_RUNNING;
            next->started_at = pg_now();
            next_at = pg_after(PG_MS(PG_NET_DIAL_STAGGER_MS));
            continue;
        }
        PG_TRY(race_wait(race, next != NULL, next_at));
    }
    return PG_OK;
}

// Take turns between the transports, each in the order given.
static void attempts_order(dial_race *race, const pg_multiaddr *addrs)
{
    size_t at[2] = {0, 0}; // where the next of TCP, of QUIC, stands
    bool turn = true;      // QUIC's
    for (size_t done = 0; done < race->count; turn = !turn) {
        size_t *next = &at[turn ? 1 : 0];
        while (*next < race->count && addr_is_quic(&addrs[*next]) != turn) {
            *next += 1;
        }
        if (*next < race->count) {
            race->attempts[done] = (attempt){.race = race, .addr = addrs[*next], .is_quic = turn};
            *next += 1;
            done++;
        }
    }
}

// Who has won is in race->won; everything else is ended.
static pg_err race_decide(dial_race *race)
{
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    pg_err err = race_steer(race, &scope);
    if (race->won == NULL && race->spare != NULL && err != PG_ERR_CANCELLED) {
        race->won = race->spare;
        race->won_by_quic = race->spare_by_quic;
        race->spare = NULL;
    }
    pg_scope_close(&scope);
    pg_conn_free(&race->spare);
    return err;
}

// Dial the addresses and adopt what wins. `expected` NULL: whoever answers.
static pg_err race_run(pg_host *host, const pg_peer_id *expected, const pg_multiaddr *addrs,
                       size_t count, pg_time deadline, pg_id *out_conn)
{
    dial_race race = {.host = host, .expected = expected, .count = count, .err = PG_OK};
    race.deadline = pg_earlier(deadline, pg_after(host->config.dial_timeout_ns));
    race.detail.max_len = PG_ERROR_TEXT_BYTES_MAX;
    pg_waitq_init(&race.changed);
    race.attempts = pg_calloc(count, sizeof(*race.attempts));
    if (race.attempts == NULL) {
        return PG_ERR_NOMEM;
    }
    attempts_order(&race, addrs);
    pg_err err = race_decide(&race);
    if (race.won != NULL) {
        pg_host_entry *entry = NULL;
        err = pg_host_adopt(host, &race.won, NULL, &entry);
        pg_conn_free(&race.won);
        if (err == PG_OK) {
            *out_conn = entry->id;
        }
    } else if (race.detail.len > 0 && err != PG_ERR_CANCELLED) {
        err = pg_fail(err, "%.*s", PG_STR_ARGS(pg_buf_str(&race.detail)));
    }
    pg_buf_deinit(&race.detail);
    pg_mfree(race.attempts);
    return err;
}

// A race with its place in the accounts.
static pg_err addrs_dial(pg_host *host, const pg_peer_id *expected, const pg_multiaddr *addrs,
                         size_t count, pg_time deadline, pg_id *out_conn)
{
    if (host->state != PG_HOST_STATE_OPEN) {
        return pg_fail(PG_ERR_CLOSED, "this node is stopping");
    }
    pg_err err = pg_admission_dial(&host->admission);
    if (err == PG_ERR_LIMIT && pg_host_trim(host)) {
        err = pg_admission_dial(&host->admission);
    }
    if (err != PG_OK) {
        return err;
    }
    host->stats.dials++;
    err = race_run(host, expected, addrs, count, deadline, out_conn);
    if (err != PG_OK) {
        host->stats.dials_failed++;
        pg_admission_leave(&host->admission, NULL);
    }
    return err;
}

// ---- a dial that callers share ----

typedef struct shared_dial {
    pg_host *host;
    pg_peer_id peer;
    bool eager;
    size_t users; // callers, and the fiber
    pg_waitq ended;
    bool is_ended;
    pg_err err;
    char detail[PG_ERROR_TEXT_BYTES_MAX];
    pg_id conn;
} shared_dial;

static void shared_leave(shared_dial *dial)
{
    dial->users--;
    if (dial->users == 0) {
        pg_mfree(dial);
    }
}

static pg_err peer_dial(shared_dial *dial)
{
    pg_multiaddr addrs[PG_NET_BOOK_ADDRS_MAX];
    pg_time due = PG_FOREVER;
    char text[PG_PEER_ID_TEXT_BYTES];
    pg_peer_id_format(&dial->peer, text);
    const pg_book_peer *known = pg_peer_book_get(&dial->host->book, &dial->peer);
    size_t count = 0;
    if (known != NULL) {
        count = pg_book_peer_dial_addrs(known, pg_now(), dial->eager, addrs, &due);
    }
    if (count == 0 && due == PG_FOREVER) {
        return pg_fail(PG_ERR_NOT_FOUND, "no address of %s is known", text);
    }
    if (count == 0) {
        return pg_fail(PG_ERR_UNREACHABLE, "%s did not answer lately, next try in %lld ms", text,
                       (long long) ((due - pg_now()) / PG_MS(1)));
    }
    return addrs_dial(dial->host, &dial->peer, addrs, count, PG_FOREVER, &dial->conn);
}

static pg_err shared_run(void *arg)
{
    shared_dial *dial = arg;
    dial->err = peer_dial(dial);
    dial->is_ended = true;
    const char *detail = pg_error_detail(dial->err);
    memcpy(dial->detail, detail, pg_min_size(strlen(detail), sizeof(dial->detail) - 1));
    (void) pg_map_take(&dial->host->dials, pg_peer_id_bytes(&dial->peer));
    pg_waitq_wake_all(&dial->ended);
    pg_err err = dial->err;
    shared_leave(dial);
    return err;
}

static pg_err shared_join(pg_host *host, const pg_peer_id *peer, bool eager, shared_dial **out_dial)
{
    shared_dial *dial = pg_map_get(&host->dials, pg_peer_id_bytes(peer));
    if (dial == NULL) {
        dial = PG_NEW(shared_dial);
        if (dial == NULL) {
            return PG_ERR_NOMEM;
        }
        dial->host = host;
        dial->peer = *peer;
        dial->eager = eager;
        dial->users = 1;
        pg_waitq_init(&dial->ended);
        pg_err err = pg_map_add(&host->dials, pg_peer_id_bytes(peer), dial);
        if (err == PG_OK) {
            err = pg_scope_spawn(&host->scope, "net.dial", shared_run, dial);
        }
        if (err != PG_OK) {
            (void) pg_map_take(&host->dials, pg_peer_id_bytes(peer));
            pg_mfree(dial);
            return err == PG_ERR_CANCELLED ? PG_ERR_CLOSED : err;
        }
    }
    dial->users++;
    *out_dial = dial;
    return PG_OK;
}

pg_err pg_host_connect(pg_host *host, const pg_peer_id *peer, const pg_dial_options *options,
                       pg_time deadline, pg_id *out_conn)
{
    static const pg_dial_options none = {.fresh = false};
    options = options == NULL ? &none : options;
    if (!options->fresh) {
        PG_TRY(pg_host_await_proof(host, peer, deadline));
    }
    const pg_host_entry *entry = options->fresh ? NULL : pg_host_entry_best(host, peer);
    if (entry != NULL) {
        if (out_conn != NULL) {
            *out_conn = entry->id;
        }
        return PG_OK;
    }
    if (pg_peer_id_equal(peer, pg_host_id(host))) {
        return pg_fail(PG_ERR_INVALID, "that is this node itself");
    }
    shared_dial *dial = NULL;
    PG_TRY(shared_join(host, peer, options->eager, &dial));
    pg_err err = PG_OK;
    while (!dial->is_ended && err == PG_OK) {
        err = pg_waitq_wait(&dial->ended, deadline);
    }
    if (dial->is_ended) {
        err = dial->err == PG_OK ? PG_OK : pg_fail(dial->err, "%s", dial->detail);
        err = err == PG_ERR_CANCELLED && !pg_fiber_is_cancelled() ? PG_ERR_CLOSED : err;
    }
    if (err == PG_OK && out_conn != NULL) {
        *out_conn = dial->conn;
    }
    shared_leave(dial);
    return err;
}

pg_err pg_host_dial(pg_host *host, const pg_multiaddr *addr, const pg_dial_options *options,
                    pg_time deadline, pg_id *out_conn)
{
    pg_multiaddr bare = *addr;
    pg_multihash named;
    pg_peer_id peer;
    pg_id conn = 0;
    if (!pg_multiaddr_cut_peer(&bare, &named)) {
        PG_TRY(addrs_dial(host, NULL, &bare, 1, deadline, &conn));
    } else {
        PG_TRY(pg_peer_id_decode(pg_multihash_bytes(&named), &peer));
        const pg_host_entry *entry = pg_host_entry_best(host, &peer);
        if (entry != NULL && (options == NULL || !options->fresh)) {
            conn = entry->id;
        } else {
            PG_TRY(pg_host_learn(host, &peer, &bare, PG_BOOK_SOURCE_GIVEN,
                                 PG_MS(PG_NET_BOOK_ADDR_TTL_MS)));
            PG_TRY(addrs_dial(host, &peer, &bare, 1, deadline, &conn));
        }
    }
    if (out_conn != NULL) {
        *out_conn = conn;
    }
    return PG_OK;
}
