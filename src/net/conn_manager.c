// SPDX-License-Identifier: Apache-2.0
// One fiber looks at all connections now and then, and whenever one comes or goes, lets the plan decide, and does it; each dial
// and each ping is a fiber of its own. A record exists of each peer that is connected, wanted, found, lost,
// being dialed or resting.
//
//      (unknown) --suggest--> found --dial--> connected --lost, worth it--> lost --redial--> connected
//                               |                            |               |
//                               +--failed--> (unknown)       +--> resting <--+ tried too often
//                                                                    |
//                                                                    +--time--> (unknown)
#include "net/conn_manager.h"

#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "net/limits.h"
#include "net/ping.h"
#include "runtime/fiber.h"
#include "runtime/interfaces.h"
#include "runtime/random.h"

/** What is known of one peer. */
typedef struct peer_record {
    pg_conn_manager *manager;
    pg_peer_id peer;
    uint32_t wants;
    bool is_found;
    bool is_lost;
    bool is_let_go; // by us: its loss is no reason to dial
    bool is_resting;
    pg_time rested_at; // when it may be dialed again
    bool is_dialing;
    pg_dial_reason dialing_for;
    uint32_t redials; // since it was lost
    pg_backoff backoff;
    size_t connections;
    pg_time connected_at;
    pg_conn_view view; // while connected, as last looked at
    pg_id spare;       // a connection that could be closed
    bool is_pinging;
    pg_time pinged_at;
    uint32_t ping_failures;
} peer_record;

struct pg_conn_manager {
    pg_host *host;
    pg_conn_marks marks;
    pg_scope scope;
    pg_waitq changed;
    bool is_changed;
    pg_map records;      // PeerId -> peer_record
    pg_conn_judge judge; // NULL = nobody is useful
    void *judge_user;
    pg_backoff known; // of dials to peers merely known
    size_t dialing_known;
    size_t pinging;
    size_t resting;
    pg_interface interfaces[PG_INTERFACES_MAX]; // as last looked at
    size_t interface_count;
    pg_time network_due_at; // when to look at them again
    pg_conn_manager_stats stats;
};

static void manager_wake(pg_conn_manager *manager)
{
    manager->is_changed = true;
    pg_waitq_wake_all(&manager->changed);
}

// ---- records ----

static peer_record *record_get(const pg_conn_manager *manager, const pg_peer_id *peer)
{
    return pg_map_get(&manager->records, pg_peer_id_bytes(peer));
}

// NULL when memory is out.
static peer_record *record_make(pg_conn_manager *manager, const pg_peer_id *peer)
{
    peer_record *record = record_get(manager, peer);
    if (record != NULL) {
        return record;
    }
    record = PG_NEW(peer_record);
    if (record != NULL) {
        record->manager = manager;
        record->peer = *peer;
        if (pg_map_add(&manager->records, pg_peer_id_bytes(peer), record) != PG_OK) {
            pg_mfree(record);
            return NULL;
        }
    }
    return record;
}

static void record_set_found(peer_record *record, bool is_found)
{
    size_t *count = &record->manager->stats.found;
    *count = *count + (is_found ? 1U : 0U) - (record->is_found ? 1U : 0U);
    record->is_found = is_found;
}

static void record_set_lost(peer_record *record, bool is_lost)
{
    size_t *count = &record->manager->stats.lost;
    *count = *count + (is_lost ? 1U : 0U) - (record->is_lost ? 1U : 0U);
    record->is_lost = is_lost;
}

static void record_set_resting(peer_record *record, bool is_resting)
{
    size_t *count = &record->manager->resting;
    *count = *count + (is_resting ? 1U : 0U) - (record->is_resting ? 1U : 0U);
    record->is_resting = is_resting;
}

static void record_rest(peer_record *record, int64_t rest_ns)
{
    record->rested_at = pg_after(rest_ns);
    record_set_resting(record, record->manager->resting < PG_NET_MANAGER_RESTING_MAX);
}

// Free a record that says nothing any more.
static void record_settle(peer_record *record)
{
    if (record->is_resting && pg_now() >= record->rested_at) {
        record_set_resting(record, false);
    }
    if (record->connections == 0 && !record->is_resting && record->wants == 0 &&
        !record->is_found && !record->is_lost && !record->is_dialing && !record->is_pinging) {
        (void) pg_map_take(&record->manager->records, pg_peer_id_bytes(&record->peer));
        pg_mfree(record);
    }
}

// ---- what happens ----

static void peer_came(pg_conn_manager *manager, const pg_host_event *event)
{
    peer_record *record = record_make(manager, event->peer);
    if (record == NULL) {
        return; // the next look finds it
    }
    if (record->connections == 0) {
        record->connected_at = pg_now();
        record->ping_failures = 0;
        record->pinged_at = pg_now();
        record->view = (pg_conn_view){0};
    }
    record->connections = event->peer_connections;
    record->is_let_go = false;
    record_set_found(record, false);
    record_set_lost(record, false);
    record_set_resting(record, false);
}

static void peer_went(peer_record *record)
{
    pg_conn_manager *manager = record->manager;
    int64_t stayed_ns = pg_now() - record->connected_at;
    if (stayed_ns >= PG_MS(PG_NET_MANAGER_STABLE_MS)) {
        pg_backoff_reset(&record->backoff);
        record->redials = 0;
    }
    pg_backoff_fail(&record->backoff, pg_now(), pg_random_u64());
    if (record->wants > 0) {
        return;
    }
    if (!record->is_let_go && pg_conn_is_worth_redial(&record->view) &&
        manager->stats.lost < PG_NET_MANAGER_LOST_MAX &&
        record->redials < PG_NET_MANAGER_REDIALS_MAX) {
        record_set_lost(record, true);
    } else {
        record_rest(record, stayed_ns < PG_MS(PG_NET_MANAGER_REST_MS)
                                ? PG_MS(PG_NET_MANAGER_REST_MS)
                                : PG_MS(PG_NET_MANAGER_REST_SHORT_MS));
    }
}

static void on_host_event(const pg_host_event *event, void *user)
{
    pg_conn_manager *manager = user;
    if (event->kind == PG_HOST_EVENT_CONNECTED) {
        peer_came(manager, event);
        manager_wake(manager);
    } else if (event->kind == PG_HOST_EVENT_DISCONNECTED) {
        peer_record *record = record_get(manager, event->peer);
        if (record != NULL) {
            record->connections = event->peer_connections;
            if (record->connections == 0) {
                peer_went(record);
            }
            record_settle(record);
        }
        manager_wake(manager);
    }
}

// ---- looking ----

static void on_conn(const pg_host_conn *conn, void *user)
{
    pg_conn_manager *manager = user;
    const pg_conn_info *info = &conn->info;
    peer_record *record = record_make(manager, info->peer);
    if (record == NULL) {
        return;
    }
    pg_conn_view *view = &record->view;
    int64_t age_ns = pg_now() - info->opened_at;
    int64_t idle_ns = pg_now() - conn->active_at;
    uint32_t streams = info->streams_in + info->streams_out;
    record->connections++;
    view->is_outbound = view->is_outbound || info->direction == PG_CONN_DIRECTION_OUTBOUND;
    view->streams += streams;
    view->age_ns = age_ns > view->age_ns ? age_ns : view->age_ns;
    view->idle_ns = record->connections == 1 || idle_ns < view->idle_ns ? idle_ns : view->idle_ns;
    view->rtt_ns = view->rtt_ns == 0 || (info->rtt_ns > 0 && info->rtt_ns < view->rtt_ns)
                       ? info->rtt_ns
                       : view->rtt_ns;
    if (streams == 0 && idle_ns >= PG_MS(PG_NET_MANAGER_SPARE_MS) && record->spare == 0) {
        record->spare = conn->id; // the oldest such: new streams go to the newest
    }
}

// Bring the views of all connected peers up to date.
static void views_refresh(pg_conn_manager *manager)
{
    pg_map_cursor cursor = {0};
    size_t connected = 0;
    while (pg_map_next(&manager->records, &cursor)) {
        peer_record *record = cursor.value;
        if (record->connections > 0) {
            record->view = (pg_conn_view){0};
        }
        record->connections = 0;
        record->spare = 0;
    }
    pg_host_conns_each(manager->host, on_conn, manager);
    cursor = (pg_map_cursor){0};
    while (pg_map_next(&manager->records, &cursor)) {
        peer_record *record = cursor.value;
        if (record->connections == 0) {
            record_settle(record);
            continue;
        }
        const pg_book_peer *known = pg_peer_book_get(pg_host_book(manager->host), &record->peer);
        record->view.is_kept = known != NULL && known->keeps > 0;
        record->view.usefulness =
            manager->judge != NULL ? manager->judge(&record->peer, manager->judge_user) : 0;
        connected++;
    }
    manager->stats.connected = connected;
}

// Another network: what failed in the old one may do well here.
static void network_look(pg_conn_manager *manager)
{
    pg_interface now[PG_INTERFACES_MAX];
    if (pg_now() < manager->network_due_at) {
        return; // asking the system costs as much as all the rest
    }
    manager->network_due_at = pg_after(PG_MS(PG_NET_MANAGER_LOOK_MS));
    manager->stats.network_looks++;
    memset(now, 0, sizeof(now));
    size_t count = pg_interfaces_list(now);
    bool is_same = count == manager->interface_count;
    for (size_t i = 0; i < count && is_same; i++) {
        is_same = pg_endpoint_equal(&now[i].at, &manager->interfaces[i].at);
    }
    if (is_same) {
        return;
    }
    memcpy(manager->interfaces, now, sizeof(now));
    manager->interface_count = count;
    pg_backoff_reset(&manager->known);
    pg_map_cursor cursor = {0};
    while (pg_map_next(&manager->records, &cursor)) {
        peer_record *record = cursor.value;
        pg_backoff_reset(&record->backoff);
        record->rested_at = 0;
    }
}

// ---- letting go ----

static void peer_let_go(peer_record *record)
{
    pg_conn_manager *manager = record->manager;
    record->is_let_go = true;
    manager->stats.trimmed++;
    pg_log(PG_LOG_LEVEL_DEBUG, "net.manager.let_go",
           PG_LOG_I64("grade", pg_conn_grade(&record->view)));
    pg_host_disconnect(manager->host, &record->peer); // frees the record
}

static void trim(pg_conn_manager *manager)
{
    size_t indices[PG_NET_MANAGER_TRIMS_MAX];
    size_t count = 0;
    if (manager->stats.connected <= manager->marks.high) {
        return;
    }
    size_t records = pg_map_count(&manager->records);
    pg_conn_view *views = pg_calloc(records, sizeof(*views));
    peer_record **who = pg_calloc(records, sizeof(peer_record *));
    if (views != NULL && who != NULL) {
        pg_map_cursor cursor = {0};
        while (pg_map_next(&manager->records, &cursor)) {
            peer_record *record = cursor.value;
            if (record->connections > 0) {
                views[count] = record->view;
                who[count] = record;
                count++;
            }
        }
        size_t chosen = pg_conn_plan_trim(views, count, &manager->marks, indices);
        for (size_t i = 0; i < chosen; i++) {
            peer_let_go(who[indices[i]]);
        }
    }
    pg_mfree(views);
    pg_mfree(who);
}

// Two peers that dialed each other at once have two connections. One side closes the unused one: that of the smaller PeerId, so
// that not each closes another.
static void spares_close(pg_conn_manager *manager)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&manager->records, &cursor)) {
        const peer_record *record = cursor.value;
        if (record->connections > 1 && record->spare != 0 &&
            pg_peer_id_compare(pg_host_id(manager->host), &record->peer) < 0) {
            manager->stats.spares++;
            pg_host_hang_up(manager->host, record->spare); // another is left: the record stays
        }
    }
}

// ---- dialing ----

static void dial_note_failure(peer_record *record, pg_err err)
{
    pg_conn_manager *manager = record->manager;
    pg_log(PG_LOG_LEVEL_DEBUG, "net.manager.dial_failed", PG_LOG_STR("error", pg_err_name(err)),
           PG_LOG_STR("detail", pg_error_detail(err)));
    manager->stats.dials_failed++;
    pg_backoff_fail(&record->backoff, pg_now(), pg_random_u64());
    record_set_found(record, false);
    if (record->is_lost) {
        record->redials++;
        if (err == PG_ERR_NOT_FOUND || record->redials == PG_NET_MANAGER_REDIALS_MAX) {
            record_set_lost(record, false);
            record_rest(record, PG_MS(PG_NET_MANAGER_REST_MS));
        }
    }
    if (record->dialing_for == PG_DIAL_REASON_KNOWN) {
        if (manager->stats.connected > 0) {
            manager->known = (pg_backoff){
                .failures = 1,
                .until = pg_after(PG_MS(PG_NET_MANAGER_KNOWN_PAUSE_MS)),
            };
        } else {
            pg_backoff_fail(&manager->known, pg_now(), pg_random_u64());
        }
    }
}

static pg_err dial_run(void *arg)
{
    peer_record *record = arg; // stays while is_dialing
    pg_conn_manager *manager = record->manager;
    bool ours = record->dialing_for <= PG_DIAL_REASON_LOST; // the waits are ours
    const pg_dial_options options = {.eager = ours};
    pg_err err = pg_host_connect(manager->host, &record->peer, &options, PG_FOREVER, NULL);
    if (err == PG_OK) {
        pg_backoff_reset(&manager->known);
    } else if (err != PG_ERR_CANCELLED) {
        dial_note_failure(record, err);
    }
    manager->stats.dialing--;
    manager->dialing_known -= record->dialing_for == PG_DIAL_REASON_KNOWN ? 1U : 0U;
    record->is_dialing = false;
    record_settle(record);
    manager_wake(manager);
    return err;
}

static void dial_start(pg_conn_manager *manager, const pg_peer_id *peer, pg_dial_reason reason)
{
    peer_record *record = record_make(manager, peer);
    if (record == NULL) {
        return;
    }
    record->is_dialing = true;
    record->dialing_for = reason;
    if (pg_scope_spawn(&manager->scope, "net.redial", dial_run, record) != PG_OK) {
        record->is_dialing = false;
        record_settle(record);
        return;
    }
    manager->stats.dials[reason]++;
    manager->stats.dialing++;
    manager->dialing_known += reason == PG_DIAL_REASON_KNOWN ? 1U : 0U;
}

/** Whom to dial: the views and, at the same places, the peers. */
typedef struct candidates {
    pg_dial_view *views;
    const pg_peer_id **peers;
    size_t count;
} candidates;

static void candidate_add(candidates *list, const pg_peer_id *peer, pg_dial_view view)
{
    list->views[list->count] = view;
    list->peers[list->count] = peer;
    list->count++;
}

static void candidates_add_records(pg_conn_manager *manager, candidates *list)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&manager->records, &cursor)) {
        const peer_record *record = cursor.value;
        pg_dial_view view = {.due_at = record->backoff.until};
        if (record->connections > 0 || record->is_dialing) {
            continue;
        }
        if (record->wants > 0) {
            view.reason = PG_DIAL_REASON_KEPT;
        } else if (record->is_lost) {
            view.reason = PG_DIAL_REASON_LOST;
            view.worth = pg_conn_grade(&record->view);
        } else if (record->is_found) {
            view.reason = PG_DIAL_REASON_FOUND;
        } else {
            continue;
        }
        candidate_add(list, &record->peer, view);
    }
}

// The better known first, then those seen last.
static int64_t known_worth(const pg_book_peer *peer, pg_time now)
{
    return (int64_t) pg_book_peer_familiarity(peer) * PG_DAYS(10000) - (now - peer->seen_at) / 2;
}

// `now` is the plan's: who is due at it must not be due a moment after it.
static void candidates_add_known(pg_conn_manager *manager, candidates *list, pg_time now)
{
    pg_map_cursor cursor = {0};
    const pg_peer_book *book = pg_host_book(manager->host);
    const pg_book_peer *peer = NULL;
    while ((peer = pg_peer_book_next(book, &cursor)) != NULL) {
        pg_time due = 0;
        if (record_get(manager, &peer->id) != NULL ||
            pg_peer_id_equal(&peer->id, pg_host_id(manager->host))) {
            continue;
        }
        (void) pg_book_peer_is_due(peer, now, &due);
        if (due != PG_FOREVER) {
            candidate_add(list, &peer->id,
                          (pg_dial_view){PG_DIAL_REASON_KNOWN, known_worth(peer, now), due});
        }
    }
}

// Dial whom the plan chooses, and return when to look again.
static pg_time dials_start(pg_conn_manager *manager)
{
    size_t indices[PG_NET_MANAGER_DIALS_MAX];
    pg_peer_id chosen_peers[PG_NET_MANAGER_DIALS_MAX];
    pg_time due_at = PG_FOREVER;
    const pg_dial_room room = {
        .connected = manager->stats.connected,
        .dialing = manager->stats.dialing,
        .dialing_known = manager->dialing_known,
        .known_due_at = manager->known.until,
        .now = pg_now(),
    };
    bool is_low = room.connected + room.dialing < manager->marks.low;
    bool wants_known =
        is_low && room.known_due_at <= room.now &&
        room.dialing_known < PG_NET_MANAGER_DIALS_KNOWN_MAX; // else not worth the walk
    size_t max = pg_map_count(&manager->records) +
                 (wants_known ? pg_host_get_stats(manager->host).book_peers : 0);
    candidates list = {.views = pg_calloc(max, sizeof(*list.views))};
    list.peers = pg_calloc(max, sizeof(pg_peer_id *));
    if (list.views != NULL && list.peers != NULL) {
        candidates_add_records(manager, &list);
        if (wants_known) {
            candidates_add_known(manager, &list, room.now);
        }
        size_t chosen =
            pg_conn_plan_dial(list.views, list.count, &room, &manager->marks, indices, &due_at);
        for (size_t i = 0; i < chosen; i++) {
            chosen_peers[i] = *list.peers[indices[i]];
        }
        for (size_t i = 0; i < chosen; i++) {
            dial_start(manager, &chosen_peers[i], list.views[indices[i]].reason);
        }
    }
    pg_mfree(list.views);
    pg_mfree(list.peers);
    return is_low && room.known_due_at > room.now ? pg_earlier(due_at, room.known_due_at) : due_at;
}

// ---- keeping alive ----

static pg_err ping_run(void *arg)
{
    peer_record *record = arg; // stays while is_pinging
    pg_conn_manager *manager = record->manager;
    int64_t rtt_ns = 0;
    manager->stats.pings++;
    pg_err err = pg_ping_once(manager->host, &record->peer,
                              pg_after(PG_MS(PG_NET_MANAGER_PING_TIMEOUT_MS)), &rtt_ns);
    record->pinged_at = pg_now();
    manager->pinging--;
    if (err == PG_OK) {
        record->ping_failures = 0;
    } else if (err != PG_ERR_CANCELLED && err != PG_ERR_UNSUPPORTED && record->connections > 0) {
        manager->stats.pings_failed++;
        record->ping_failures++;
        if (record->ping_failures == PG_NET_MANAGER_PING_FAILURES_MAX) {
            pg_log(PG_LOG_LEVEL_DEBUG, "net.manager.silent", PG_LOG_STR("error", pg_err_name(err)));
            pg_host_disconnect(manager->host, &record->peer);
        }
    }
    record->is_pinging = false;
    record_settle(record);
    return err;
}

static bool wants_ping(const peer_record *record)
{
    const pg_conn_view *view = &record->view;
    int64_t pause_ns = PG_MS(PG_NET_MANAGER_PING_MS);
    if (record->connections == 0 || record->is_pinging || record->is_dialing ||
        (!view->is_kept && view->usefulness == 0) || view->idle_ns < pause_ns ||
        pg_now() - record->pinged_at < pause_ns) {
        return false;
    }
    const pg_book_peer *known =
        pg_peer_book_get(pg_host_book(record->manager->host), &record->peer);
    return known != NULL && pg_book_peer_has_protocol(known, PG_PING_ID);
}

static void pings_start(pg_conn_manager *manager)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&manager->records, &cursor) && manager->pinging < PG_NET_MANAGER_PINGS_MAX) {
        peer_record *record = cursor.value;
        if (wants_ping(record) &&
            pg_scope_spawn(&manager->scope, "net.keepalive", ping_run, record) == PG_OK) {
            record->is_pinging = true;
            manager->pinging++;
        }
    }
}

// ---- the fiber ----

static pg_err manager_run(void *arg)
{
    pg_conn_manager *manager = arg;
    pg_err err = PG_OK;
    while (err == PG_OK) {
        manager->is_changed = false;
        network_look(manager);
        views_refresh(manager);
        trim(manager);
        spares_close(manager);
        pings_start(manager);
        pg_time again = pg_earlier(dials_start(manager), pg_after(PG_MS(PG_NET_MANAGER_LOOK_MS)));
        while (err == PG_OK && !manager->is_changed) {
            err = pg_waitq_wait(&manager->changed, again);
        }
        if (err == PG_OK) {
            err = pg_sleep_until(pg_after(PG_MS(PG_NET_MANAGER_PAUSE_MS)));
        }
        err = err == PG_ERR_TIMEOUT ? PG_OK : err;
    }
    return err;
}

pg_err pg_conn_manager_new(pg_host *host, const pg_conn_marks *marks, pg_conn_manager **out_manager)
{
    pg_conn_manager *manager = PG_NEW(pg_conn_manager);
    if (manager == NULL) {
        return PG_ERR_NOMEM;
    }
    manager->host = host;
    manager->marks = *marks;
    pg_scope_init_tolerant(&manager->scope);
    pg_waitq_init(&manager->changed);
    pg_err err = pg_host_watch(host, on_host_event, manager);
    if (err == PG_OK) {
        err = pg_scope_spawn(&manager->scope, "net.manager", manager_run, manager);
    }
    if (err != PG_OK) {
        pg_conn_manager_free(&manager);
        return err;
    }
    *out_manager = manager;
    return PG_OK;
}

void pg_conn_manager_set_marks(pg_conn_manager *manager, const pg_conn_marks *marks)
{
    manager->marks = *marks;
    manager_wake(manager);
}

// ---- wishes ----

pg_err pg_conn_manager_want(pg_conn_manager *manager, const pg_peer_id *peer)
{
    peer_record *record = record_make(manager, peer);
    if (record == NULL) {
        return PG_ERR_NOMEM;
    }
    if (record->wants == 0) {
        pg_err err = pg_host_keep(manager->host, peer);
        if (err != PG_OK) {
            record_settle(record);
            return err;
        }
        pg_backoff_reset(&record->backoff);
        record_set_lost(record, false);
        record_set_found(record, false);
        manager->stats.wanted++;
    }
    record->wants++;
    manager_wake(manager);
    return PG_OK;
}

void pg_conn_manager_unwant(pg_conn_manager *manager, const pg_peer_id *peer)
{
    peer_record *record = record_get(manager, peer);
    if (record == NULL || record->wants == 0) {
        return;
    }
    record->wants--;
    if (record->wants == 0) {
        pg_host_unkeep(manager->host, peer);
        manager->stats.wanted--;
        record_settle(record);
    }
}

void pg_conn_manager_suggest(pg_conn_manager *manager, const pg_peer_id *peer)
{
    peer_record *record = record_get(manager, peer);
    if (record == NULL) {
        if (manager->stats.found >= PG_NET_MANAGER_FOUND_MAX ||
            pg_host_is_connected(manager->host, peer)) {
            return;
        }
        record = record_make(manager, peer);
    }
    if (record != NULL && record->connections == 0 && record->wants == 0 && !record->is_lost &&
        !record->is_found && !record->is_dialing &&
        (!record->is_resting || pg_now() >= record->rested_at)) {
        record_set_found(record, true);
        manager_wake(manager);
    }
}

void pg_conn_manager_set_judge(pg_conn_manager *manager, pg_conn_judge judge, void *user)
{
    manager->judge = judge;
    manager->judge_user = user;
}

pg_conn_manager_stats pg_conn_manager_get_stats(const pg_conn_manager *manager)
{
    return manager->stats;
}

void pg_conn_manager_free(pg_conn_manager **manager)
{
    pg_conn_manager *dead = *manager;
    if (dead == NULL) {
        return;
    }
    pg_host_unwatch(dead->host, on_host_event, dead);
    pg_scope_close(&dead->scope);
    pg_map_cursor cursor = {0};
    while (pg_map_next(&dead->records, &cursor)) {
        peer_record *record = cursor.value;
        if (record->wants > 0) {
            pg_host_unkeep(dead->host, &record->peer);
        }
        pg_mfree(record);
    }
    pg_map_deinit(&dead->records);
    pg_mfree(dead);
    *manager = NULL;
}
