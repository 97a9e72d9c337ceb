// SPDX-License-Identifier: Apache-2.0
// A lookup with the network around it: the fiber that steers starts a fiber for each request the state machine wants, and
// sleeps until one of them has ended or has become slow.
#include <string.h>

#include "base/mem.h"
#include "dht/dht_priv.h"
#include "dht/limits.h"
#include "runtime/trace.h"

/** One request of a lookup. */
typedef struct ask {
    pg_dht_query *query;
    pg_dht_candidate_id candidate;
    pg_peer_id peer;
    pg_arena arena;
    pg_buf reply;
    pg_id conn;
    pg_dht_msg msg;
    size_t told;
    size_t fresh;
    bool has_found;
} ask;

pg_time pg_dht_call_deadline(const pg_dht_call *call)
{
    pg_time latest = pg_after(PG_MS(PG_DHT_LOOKUP_MS));
    return call == NULL || call->deadline == 0 ? latest : call->deadline;
}

pg_err pg_dht_query_init(pg_dht_query *query, pg_dht *dht, const pg_dht_query_config *config)
{
    const pg_dht_msg msg = {.type = config->type, .key = config->name};
    const pg_dht_contact *seeds[PG_DHT_K];
    *query = (pg_dht_query){.dht = dht, .config = *config};
    pg_err err = pg_dht_msg_append(&query->request, &msg);
    if (err != PG_OK) {
        pg_buf_deinit(&query->request);
        return err;
    }
    const pg_dht_lookup_config lookup = {
        .target = pg_dht_key_of(config->name),
        .self = dht->self,
        .reach = config->is_wide && !dht->config.is_trusting ? pg_dht_density_reach(dht) : 0,
        .ignores_lies = dht->config.is_trusting,
    };
    pg_dht_lookup_init(&query->lookup, &lookup);
    size_t count = pg_dht_table_nearest(&dht->table, &lookup.target, false, seeds, PG_DHT_K);
    for (size_t i = 0; i < count; i++) {
        (void) pg_dht_lookup_hear(&query->lookup, PG_DHT_TELLER_SELF, &seeds[i]->id, false);
    }
    pg_scope_init_tolerant(&query->scope);
    pg_waitq_init(&query->changed);
    query->started_at = pg_now();
    query->deadline = pg_dht_call_deadline(config->call);
    return PG_OK;
}

void pg_dht_query_deinit(pg_dht_query *query)
{
    pg_dht_lookup_deinit(&query->lookup);
    pg_buf_deinit(&query->request);
}

// ---- telling how it goes ----

static void step_tell(const pg_dht_query *query, pg_dht_step *step, pg_dht_candidate_id candidate)
{
    const pg_dht_call *call = query->config.call;
    if (call == NULL || call->trace == NULL) {
        return;
    }
    const pg_dht_candidate *of = pg_dht_lookup_get(&query->lookup, candidate);
    step->realm = query->dht->config.realm;
    step->request = query->config.type;
    step->peer = &of->id;
    step->teller = of->teller == PG_DHT_TELLER_SELF
                       ? NULL
                       : &pg_dht_lookup_get(&query->lookup, of->teller)->id;
    step->hop = of->hop;
    step->prefix = pg_dht_key_prefix(&query->lookup.config.target, &of->key);
    step->asked_ns = of->asked_at - query->started_at;
    step->took_ns = pg_now() - of->asked_at;
    call->trace->on_step(step, call->trace->user);
}

static void left_tell(const pg_dht_query *query)
{
    for (pg_dht_candidate_id i = 0; i < query->lookup.count; i++) {
        if (pg_dht_lookup_get(&query->lookup, i)->state == PG_DHT_CANDIDATE_ASKED) {
            pg_dht_step step = {.kind = PG_DHT_STEP_LEFT};
            step_tell(query, &step, i);
        }
    }
}

// ---- one request ----

static bool is_wanted_peer(const pg_dht_query *query, const pg_peer_id *peer)
{
    return query->config.wanted != NULL && pg_peer_id_equal(query->config.wanted, peer);
}

// Somebody told of a peer: it becomes a candidate when we could reach it.
static void told_take(ask *self, const pg_dht_peer_info *info, pg_ip_scope from)
{
    pg_dht_query *query = self->query;
    pg_peer_id peer;
    if (pg_peer_id_decode(info->id, &peer) != PG_OK ||
        pg_peer_id_equal(&peer, pg_host_id(query->dht->config.host))) {
        return;
    }
    bool is_wanted = is_wanted_peer(query, &peer);
    bool has_news = false;
    if (pg_dht_addrs_learn(query->dht, info, &peer, from, &has_news) &&
        pg_dht_lookup_hear(&query->lookup, self->candidate, &peer, is_wanted && has_news)) {
        self->fresh++;
    }
}

static void reply_take(ask *self)
{
    pg_dht_query *query = self->query;
    pg_ip_scope from = PG_IP_SCOPE_NONE;
    pg_dht_group group = 0;
    bool enough = false;
    pg_dht_conn_where(query->dht, self->conn, &from, &group);
    pg_dht_table_answered(&query->dht->table, &self->peer, pg_now());
    pg_dht_lookup_answered(&query->lookup, self->candidate,
                           query->dht->config.is_trusting ? 0 : group, pg_now());
    self->told = pg_min_size(self->msg.closer_count, PG_DHT_TOLD_MAX);
    for (size_t i = 0; i < self->told; i++) {
        told_take(self, &self->msg.closer[i], from);
    }
    query->reply_scope = from;
    if (query->config.on_reply != NULL) {
        self->has_found = query->config.on_reply(query, self->candidate, &self->msg, &enough);
    }
    query->is_enough = query->is_enough || enough;
}

static pg_err ask_exchange(ask *self, pg_time deadline)
{
    pg_dht_query *query = self->query;
    PG_TRY(pg_dht_rpc_ask(&query->dht->rpc, &self->peer, pg_buf_bytes(&query->request), deadline,
                          &self->reply, &self->conn));
    PG_TRY(pg_dht_msg_decode(pg_buf_bytes(&self->reply), &self->arena, &self->msg));
    if (self->msg.type != query->config.type) {
        return pg_fail(PG_ERR_PROTOCOL, "the answer is of type %d, not %d", (int) self->msg.type,
                       (int) query->config.type);
    }
    return PG_OK;
}

// The peer that is looked for: whoever proves to be it ends the lookup.
static pg_err wanted_meet(ask *self, pg_time deadline)
{
    const pg_dial_options options = {.eager = true};
    return pg_host_connect(self->query->dht->config.host, &self->peer, &options, deadline,
                           &self->conn);
}

static void ask_end(ask *self, pg_err err, bool is_wanted)
{
    pg_dht_query *query = self->query;
    query->is_meeting = query->is_meeting && !is_wanted;
    pg_dht_step step = {.kind = PG_DHT_STEP_FAILED, .err = err};
    if (err == PG_OK && is_wanted) {
        pg_dht_lookup_answered(&query->lookup, self->candidate, 0, pg_now());
        self->has_found = true;
        query->is_enough = true;
    } else if (err == PG_OK) {
        reply_take(self);
    } else {
        pg_dht_lookup_failed(&query->lookup, self->candidate);
        if (err == PG_ERR_UNSUPPORTED) {
            pg_dht_table_remove(&query->dht->table, &self->peer);
        } else if (!is_wanted) {
            pg_dht_table_failed(&query->dht->table, &self->peer);
        }
    }
    if (err == PG_OK) {
        step = (pg_dht_step){.kind = PG_DHT_STEP_ANSWERED,
                             .told = self->told,
                             .fresh = self->fresh,
                             .has_found = self->has_found};
    }
    step_tell(query, &step, self->candidate);
    pg_waitq_wake_all(&query->changed);
}

static pg_err ask_run(void *arg)
{
    ask *self = arg;
    bool is_wanted = is_wanted_peer(self->query, &self->peer);
    pg_time deadline = pg_earlier(self->query->deadline, pg_after(PG_MS(PG_DHT_ASK_MS)));
    pg_err err = is_wanted ? wanted_meet(self, deadline) : ask_exchange(self, deadline);
    if (!pg_fiber_is_cancelled()) {
        ask_end(self, err, is_wanted);
    }
    pg_arena_deinit(&self->arena);
    pg_buf_deinit(&self->reply);
    pg_mfree(self);
    return err;
}

// ---- steering ----

static void ask_start(pg_dht_query *query, pg_dht_candidate_id candidate)
{
    ask *self = PG_NEW(ask);
    pg_err err = PG_ERR_NOMEM;
    if (self != NULL) {
        self->query = query;
        self->candidate = candidate;
        self->peer = pg_dht_lookup_get(&query->lookup, candidate)->id;
        self->arena = pg_arena_make(PG_DHT_REPLY_MEMORY_BYTES_MAX);
        err = pg_scope_spawn(&query->scope, "dht.ask", ask_run, self);
    }
    if (err != PG_OK) {
        pg_mfree(self);
        pg_dht_lookup_failed(&query->lookup, candidate);
        return;
    }
    query->is_meeting = query->is_meeting || is_wanted_peer(query, &self->peer);
}

// A dial to the peer that is looked for may take as long as it takes.
static bool is_over(const pg_dht_query *query)
{
    return query->is_enough || (!query->is_meeting && pg_dht_lookup_is_done(&query->lookup));
}

static pg_err steer(pg_dht_query *query)
{
    while (!is_over(query)) {
        pg_dht_candidate_id next = 0;
        while (pg_dht_lookup_next(&query->lookup, pg_now(), &next)) {
            ask_start(query, next);
        }
        if (is_over(query)) {
            break;
        }
        pg_time until = pg_earlier(query->deadline, pg_dht_lookup_due(&query->lookup));
        pg_err err = pg_waitq_wait(&query->changed, until);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err == PG_ERR_TIMEOUT && pg_now() >= query->deadline) {
            return pg_fail(PG_ERR_TIMEOUT,
                           "the lookup did not end in time: %u of %u requests answered",
                           query->lookup.answers, query->lookup.asked);
        }
    }
    return PG_OK;
}

static pg_err query_run(pg_dht_query *query)
{
    pg_dht *dht = query->dht;
    if (query->lookup.count == 0) {
        return pg_fail(PG_ERR_UNREACHABLE, "the %s DHT knows no peer yet",
                       pg_dht_realm_name(dht->config.realm));
    }
    dht->stats.lookups++;
    pg_err err = steer(query);
    left_tell(query);
    pg_scope_close(&query->scope);
    if (err == PG_OK) {
        pg_dht_table_refreshed(&dht->table, &query->lookup.config.target, pg_now());
    }
    if (err == PG_OK && query->lookup.answers == 0) {
        err = pg_fail(PG_ERR_UNREACHABLE, "none of %u peers of the %s DHT answered",
                      query->lookup.asked, pg_dht_realm_name(dht->config.realm));
    }
    return err;
}

pg_err pg_dht_query_run(pg_dht_query *query)
{
    pg_span span;
    pg_span_begin(&span, "dht.lookup");
    pg_err err = query_run(query);
    pg_span_set_text(&span, "pangea.dht.realm", pg_dht_realm_name(query->dht->config.realm));
    pg_span_set_u64(&span, "pangea.dht.requests", query->lookup.asked);
    pg_span_set_u64(&span, "pangea.dht.answers", query->lookup.answers);
    pg_span_end(&span, err);
    return err;
}

pg_err pg_dht_nearest(pg_dht *dht, pg_bytes name, const pg_dht_call *call, pg_peer_id *out_peers,
                      size_t *out_count)
{
    pg_dht_query query;
    pg_dht_candidate_id ids[PG_DHT_LOOKUP_WIDE_MAX];
    const pg_dht_query_config config = {
        .type = PG_DHT_MSG_FIND_NODE, .name = name, .call = call, .is_wide = true};
    PG_TRY(pg_dht_query_init(&query, dht, &config));
    pg_err err = pg_dht_query_run(&query);
    if (err == PG_OK) {
        *out_count = pg_dht_lookup_nearest(&query.lookup, ids);
        for (size_t i = 0; i < *out_count; i++) {
            out_peers[i] = pg_dht_lookup_get(&query.lookup, ids[i])->id;
        }
    }
    pg_dht_query_deinit(&query);
    return err;
}

// ---- one request to many ----

/** A request to one of many. */
typedef struct spread_one {
    struct spread *spread;
    pg_peer_id peer;
} spread_one;

/** A request to many. Lives until the last of them ended, which may be after the call did. */
typedef struct spread {
    pg_dht *dht;
    bool has_answer;
    pg_buf request;
    pg_buf value; // that an answer has to give back
    pg_time deadline;
    pg_waitq changed;
    size_t count;
    size_t ended;
    size_t done;
    bool is_left; // the caller waits no more
    spread_one ones[PG_DHT_LOOKUP_WIDE_MAX];
} spread;

static void spread_free(spread *all)
{
    pg_buf_deinit(&all->request);
    pg_buf_deinit(&all->value);
    pg_mfree(all);
}

static pg_err put_one(const spread_one *self)
{
    const spread *all = self->spread;
    pg_dht_msg msg;
    pg_buf reply = {0};
    pg_id conn = 0;
    pg_arena arena = pg_arena_make(PG_DHT_REPLY_MEMORY_BYTES_MAX);
    pg_err err = pg_dht_rpc_ask(&all->dht->rpc, &self->peer, pg_buf_bytes(&all->request),
                                all->deadline, &reply, &conn);
    if (err == PG_OK) {
        err = pg_dht_msg_decode(pg_buf_bytes(&reply), &arena, &msg);
    }
    if (err == PG_OK && !pg_bytes_equal(msg.record_value, pg_buf_bytes(&all->value))) {
        err = pg_fail(PG_ERR_PROTOCOL, "the answer to a put is another value");
    }
    pg_buf_deinit(&reply);
    pg_arena_deinit(&arena);
    return err;
}

static pg_err spread_run(void *arg)
{
    const spread_one *self = arg;
    spread *all = self->spread;
    pg_err err = all->has_answer ? put_one(self)
                                 : pg_dht_rpc_tell(&all->dht->rpc, &self->peer,
                                                   pg_buf_bytes(&all->request), all->deadline);
    all->done += err == PG_OK ? 1U : 0U;
    all->ended++;
    pg_waitq_wake_all(&all->changed);
    if (all->is_left) {
        all->dht->behind--;
        if (all->ended == all->count) {
            spread_free(all);
        }
    }
    return err;
}

static pg_err spread_await(spread *all, size_t enough)
{
    while (all->ended < all->count && all->done < enough) {
        pg_err err = pg_waitq_wait(&all->changed, all->deadline);
        if (err != PG_OK) {
            return err == PG_ERR_TIMEOUT ? PG_OK : err;
        }
    }
    return PG_OK;
}

static pg_err spread_make(pg_dht *dht, const pg_dht_msg *msg, pg_time deadline, spread **out_all)
{
    spread *all = PG_NEW(spread);
    if (all == NULL) {
        return PG_ERR_NOMEM;
    }
    all->dht = dht;
    all->has_answer = msg->type != PG_DHT_MSG_ADD_PROVIDER;
    all->deadline = pg_earlier(deadline, pg_after(PG_MS(PG_DHT_ASK_MS)));
    pg_waitq_init(&all->changed);
    pg_err err = pg_dht_msg_append(&all->request, msg);
    if (err == PG_OK) {
        err = pg_buf_append(&all->value, msg->record_value);
    }
    if (err != PG_OK) {
        spread_free(all);
        return err;
    }
    *out_all = all;
    return PG_OK;
}

// Half of them, and a quorum where there are so many.
static size_t enough_of(size_t count)
{
    return pg_max_size((count + 1) / 2, pg_min_size(count, PG_DHT_QUORUM));
}

pg_err pg_dht_spread(pg_dht *dht, const pg_peer_id *peers, size_t count, const pg_dht_msg *msg,
                     pg_time deadline, size_t *out_done)
{
    spread *all = NULL;
    PG_TRY(spread_make(dht, msg, deadline, &all));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        spread_one *one = &all->ones[i];
        *one = (spread_one){.spread = all, .peer = peers[i]};
        err = pg_scope_spawn(&dht->scope, "dht.spread", spread_run, one);
        all->count += err == PG_OK ? 1U : 0U;
    }
    if (err == PG_OK) {
        err = spread_await(all, dht->behind < PG_DHT_BEHIND_MAX ? enough_of(count) : count);
    }
    *out_done = all->done;
    if (all->ended == all->count) {
        spread_free(all);
    } else { // the rest goes on: they have it a little later, or not
        all->is_left = true;
        dht->behind += (uint32_t) (all->count - all->ended);
    }
    return err;
}
