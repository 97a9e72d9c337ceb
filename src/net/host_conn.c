// SPDX-License-Identifier: Apache-2.0
// Life of a connection:
//
//      adopted --(fiber runs)--> serving streams --(carrier ends, given up, host ends)--> ending --> freed
//
// The fiber "net.conn" owns it. Others may be in a call on it (users); they are waited for before it is freed. From
// pg_host_entry_end on nobody finds it any more.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/host_priv.h"
#include "net/identify.h"
#include "net/multistream.h"

// ---- finding ----

pg_host_entry *pg_host_entry_get(const pg_host *host, pg_id id)
{
    pg_host_entry *entry = pg_slots_get(&host->entries, id);
    return entry == NULL || entry->is_ending ? NULL : entry;
}

pg_host_entry *pg_host_entry_best(const pg_host *host, const pg_peer_id *peer)
{
    pg_host_entry *best = NULL;
    bool best_hybrid = false;
    for (pg_list *node = host->conns.next; node != &host->conns; node = node->next) {
        pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        if (entry->is_ending || !entry->is_proven || !pg_peer_id_equal(&entry->peer, peer)) {
            continue;
        }
        pg_conn_info info;
        pg_conn_get_info(entry->conn, &info);
        if (best == NULL || info.is_hybrid >= best_hybrid) {
            best = entry; // later in the list = newer: an old one may be dead without knowing it
            best_hybrid = info.is_hybrid;
        }
    }
    return best;
}

void pg_host_entry_unuse(pg_host_entry *entry)
{
    pg_assert(entry->users > 0);
    entry->users--;
    if (entry->users == 0) {
        pg_waitq_wake_all(&entry->unused);
    }
}

// ---- places ----

static void place_return(pg_host_entry *entry)
{
    if (entry->is_counted) {
        entry->is_counted = false;
        pg_admission_peer_leave(&entry->host->admission, &entry->peer);
        pg_admission_leave(&entry->host->admission, entry->is_inbound ? &entry->remote : NULL);
    }
}

void pg_host_entry_end(pg_host_entry *entry)
{
    if (entry->is_ending) {
        return;
    }
    entry->is_ending = true;
    pg_conn_abort(entry->conn);
    (void) pg_slots_take(&entry->host->entries, entry->id);
    pg_host_emit(entry->host, PG_HOST_EVENT_DISCONNECTED, entry);
    place_return(entry);
    pg_waitq_wake_all(&entry->identified);
}

void pg_host_hang_up(pg_host *host, pg_id conn)
{
    pg_host_entry *entry = pg_host_entry_get(host, conn);
    if (entry != NULL) {
        pg_host_entry_end(entry);
    }
}

void pg_host_disconnect(pg_host *host, const pg_peer_id *peer)
{
    for (pg_list *node = host->conns.next; node != &host->conns; node = node->next) {
        pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        if (pg_peer_id_equal(&entry->peer, peer)) {
            pg_host_entry_end(entry);
        }
    }
}

// Which of two idle connections to give up: an inbound one, of these the one idle for longest.
static bool is_lesser(const pg_host_entry *a, const pg_host_entry *b)
{
    return a->is_inbound != b->is_inbound ? a->is_inbound : a->active_at < b->active_at;
}

bool pg_host_trim(pg_host *host)
{
    pg_time youngest = pg_now() - PG_MS(PG_NET_IDLE_GRACE_MS);
    pg_host_entry *idle = NULL;
    for (pg_list *node = host->conns.next; node != &host->conns; node = node->next) {
        pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        pg_conn_info info;
        if (entry->is_ending || entry->book->keeps > 0 || entry->users > 0 ||
            entry->active_at > youngest) {
            continue;
        }
        pg_conn_get_info(entry->conn, &info);
        if (info.streams_in + info.streams_out == 0 && (idle == NULL || is_lesser(entry, idle))) {
            idle = entry;
        }
    }
    if (idle == NULL) {
        return false;
    }
    pg_log(PG_LOG_LEVEL_DEBUG, "net.conn.trimmed");
    pg_host_entry_end(idle);
    return true;
}

// A peer that reconnects may have dead connections here: its oldest makes room for its newest.
static pg_err peer_join(pg_host *host, const pg_peer_id *peer)
{
    pg_err err = pg_admission_peer_join(&host->admission, peer);
    if (err != PG_ERR_LIMIT) {
        return err;
    }
    for (pg_list *node = host->conns.next; node != &host->conns; node = node->next) {
        pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        if (!entry->is_ending && entry->users == 0 && pg_peer_id_equal(&entry->peer, peer)) {
            pg_host_entry_end(entry);
            return pg_admission_peer_join(&host->admission, peer);
        }
    }
    return err;
}

// ---- proof that a connection is used ----
//
// The dialer of several addresses keeps one connection and gives the others up, when this side may have them already: what it opened there
// would end with them. And a peer that lost power and is back does not know of its old connections, over which nothing comes through;
// what is written there is lost until the muxer notices.

static pg_host_entry *unproven_get(const pg_host *host, const pg_peer_id *peer)
{
    for (pg_list *node = host->conns.prev; node != &host->conns; node = node->prev) {
        pg_host_entry *entry = PG_LIST_OBJECT(node, pg_host_entry, node);
        if (!entry->is_ending && !entry->is_proven && pg_peer_id_equal(&entry->peer, peer)) {
            return entry;
        }
    }
    return NULL;
}

pg_err pg_host_await_proof(pg_host *host, const pg_peer_id *peer, pg_time deadline)
{
    pg_time until = pg_earlier(deadline, pg_after(PG_MS(PG_NET_PROOF_MS)));
    pg_err err = PG_OK;
    pg_host_entry *entry = unproven_get(host, peer);
    while (entry != NULL && err == PG_OK && pg_host_entry_best(host, peer) == NULL) {
        pg_host_entry_use(entry);
        err = pg_waitq_wait(&entry->identified, until);
        pg_host_entry_unuse(entry);
        entry = unproven_get(host, peer);
    }
    return err == PG_ERR_TIMEOUT && until < deadline ? PG_OK : err;
}

/** A connection to be looked at. */
typedef struct probe_job {
    pg_host *host;
    pg_id conn;
} probe_job;

// Any answer will do, a refusal too.
static pg_err probe_run(void *arg)
{
    static const char *const ids[] = {PG_IDENTIFY_ID, NULL};
    probe_job job = *(probe_job *) arg;
    pg_stream *stream = NULL;
    pg_mfree(arg);
    pg_err err = pg_host_open_stream_on(job.host, job.conn, ids, pg_after(PG_MS(PG_NET_PROBE_MS)),
                                        &stream, NULL);
    pg_stream_free(&stream);
    if (err == PG_ERR_TIMEOUT) {
        pg_log(PG_LOG_LEVEL_DEBUG, "net.conn.dead");
        pg_host_hang_up(job.host, job.conn);
    }
    return err == PG_ERR_CANCELLED ? err : PG_OK;
}

static void older_probe(const pg_host_entry *entry)
{
    pg_host *host = entry->host;
    for (pg_list *node = host->conns.next; node != &entry->node; node = node->next) {
        const pg_host_entry *older = PG_LIST_OBJECT(node, pg_host_entry, node);
        if (older->is_ending || !pg_peer_id_equal(&older->peer, &entry->peer)) {
            continue;
        }
        probe_job *job = PG_NEW(probe_job);
        if (job == NULL) {
            return; // the muxer notices too, later
        }
        *job = (probe_job){host, older->id};
        if (pg_scope_spawn(&host->scope, "net.probe", probe_run, job) != PG_OK) {
            pg_mfree(job);
        }
    }
}

void pg_host_entry_prove(pg_host_entry *entry)
{
    if (entry->is_proven || entry->is_ending) {
        return;
    }
    entry->is_proven = true;
    pg_waitq_wake_all(&entry->identified);
    older_probe(entry);
}

// ---- inbound streams ----

typedef struct stream_job {
    pg_host_entry *entry;
    pg_stream *stream;
} stream_job;

static pg_err protocol_agree(pg_host *host, pg_stream *stream, size_t *out_place)
{
    pg_str ids[PG_NET_PROTOCOLS_MAX];
    size_t places[PG_NET_PROTOCOLS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < PG_NET_PROTOCOLS_MAX; i++) {
        if (host->protocols[i].id != NULL) {
            ids[count] = pg_str_make(host->protocols[i].id);
            places[count] = i;
            count++;
        }
    }
    size_t index = 0;
    PG_TRY(pg_multistream_listen(stream, ids, count, PG_FOREVER, &index)); // has its own deadline
    *out_place = places[index];
    // It may have been withdrawn meanwhile, and its place be another one's.
    return host->protocols[*out_place].id == ids[index].ptr ? PG_OK : PG_ERR_CANCELLED;
}

// After the handler: say that we write no more, and let the other side finish. A stream freed before that is reset, and the
// reset may overtake what we wrote.
static pg_err stream_finish(pg_stream *stream)
{
    uint8_t waste[2048];
    size_t wasted = 0;
    pg_time deadline = pg_after(PG_MS(PG_NET_LINGER_MS));
    PG_TRY(pg_stream_close_write(stream, deadline));
    while (wasted <= PG_NET_LINGER_BYTES_MAX) {
        size_t len = 0;
        PG_TRY(pg_stream_read(stream, PG_MUT_BYTES_OF(waste), deadline, &len));
        if (len == 0) {
            return PG_OK;
        }
        wasted += len;
    }
    return pg_fail(PG_ERR_LIMIT, "more than %d bytes after the end", PG_NET_LINGER_BYTES_MAX);
}

static pg_err stream_serve(pg_host_entry *entry, pg_stream *stream, size_t place)
{
    pg_host *host = entry->host;
    const pg_net_protocol protocol = host->protocols[place];
    if (protocol.conn_streams_max > 0 && entry->by_protocol[place] >= protocol.conn_streams_max) {
        return pg_fail(PG_ERR_LIMIT, "%s: %u streams at once", protocol.id,
                       protocol.conn_streams_max);
    }
    pg_conn_info info;
    pg_conn_get_info(entry->conn, &info);
    pg_net_stream_ctx ctx = {
        .host = host,
        .stream = stream,
        .conn = entry->id,
        .peer = &entry->peer,
        .remote_addr = info.remote_addr,
        .protocol = protocol.id,
        .user = protocol.user,
    };
    pg_host_served served = {.stream = stream, .protocol = protocol.id};
    pg_list_append(&host->serving, &served.node);
    entry->by_protocol[place]++;
    pg_err err = protocol.handler(&ctx);
    entry->by_protocol[place]--;
    pg_list_remove(&served.node);
    pg_waitq_wake_all(&host->gone);
    if (err != PG_OK) {
        pg_log(PG_LOG_LEVEL_DEBUG, "net.stream.failed", PG_LOG_STR("protocol", protocol.id),
               PG_LOG_STR("error", pg_err_name(err)), PG_LOG_STR("detail", pg_error_detail(err)));
    }
    return err;
}

// Asking for a protocol we do not serve, stopping early or wanting too much is nothing to be blamed for.
static bool is_offence(pg_err err)
{
    return err == PG_ERR_MALFORMED || err == PG_ERR_PROTOCOL || err == PG_ERR_CORRUPT ||
           err == PG_ERR_AUTH || err == PG_ERR_DOWNGRADE;
}

static void offence_note(pg_host_entry *entry, pg_err err)
{
    pg_host *host = entry->host;
    host->stats.offences++;
    entry->offences++;
    if (entry->offences == PG_NET_OFFENCES_MAX) {
        char peer[PG_PSEUDONYM_TEXT_BYTES];
        pg_host_peer_pseudonym(host, &entry->peer, peer);
        pg_log_limited(PG_LOG_LEVEL_INFO, "net.peer.misbehaves", PG_LOG_STR("peer", peer),
                       PG_LOG_STR("error", pg_err_name(err)),
                       PG_LOG_STR("detail", pg_error_detail(err)));
        pg_host_entry_end(entry);
    }
}

static pg_err stream_run(void *arg)
{
    stream_job job = *(stream_job *) arg;
    pg_host_entry *entry = job.entry;
    pg_mfree(arg);

    size_t place = 0;
    pg_err err = protocol_agree(entry->host, job.stream, &place);
    if (err == PG_OK) {
        err = stream_serve(entry, job.stream, place);
    }
    if (is_offence(err)) {
        offence_note(entry, err);
    }
    if (err == PG_OK) {
        pg_ignore(stream_finish(job.stream), "the protocol is over; freeing resets what is left");
    }
    pg_stream_free(&job.stream);
    entry->active_at = pg_now();
    entry->serving--;
    pg_admission_stream_close(&entry->host->admission, &entry->peer);
    pg_waitq_wake_all(&entry->host->gone);
    return err;
}

static pg_err stream_admit(pg_host_entry *entry, pg_stream *stream)
{
    pg_admission *admission = &entry->host->admission;
    if (entry->host->state != PG_HOST_STATE_OPEN) {
        return PG_ERR_CLOSED;
    }
    PG_TRY(pg_admission_stream_open(admission, &entry->peer));
    stream_job *job = PG_NEW(stream_job);
    pg_err err = PG_ERR_NOMEM;
    if (job != NULL) {
        *job = (stream_job){entry, stream};
        err = pg_scope_spawn(&entry->scope, "net.stream", stream_run, job);
    }
    if (err != PG_OK) {
        pg_mfree(job);
        pg_admission_stream_close(admission, &entry->peer);
        return err;
    }
    entry->serving++;
    entry->active_at = pg_now();
    pg_host_entry_prove(entry);
    return PG_OK;
}

// ---- the connection's fiber ----

static void entry_log_refused(pg_host_entry *entry, pg_err err)
{
    char peer[PG_PSEUDONYM_TEXT_BYTES];
    pg_host_peer_pseudonym(entry->host, &entry->peer, peer);
    pg_log_limited(PG_LOG_LEVEL_INFO, "net.stream.refused", PG_LOG_STR("peer", peer),
                   PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
}

static pg_err streams_accept(pg_host_entry *entry)
{
    pg_time until = pg_after(PG_MS(PG_NET_IDLE_TRIM_MS));
    for (;;) {
        pg_stream *stream = NULL;
        pg_err err = pg_conn_accept_stream(entry->conn, until, &stream);
        if (err == PG_ERR_TIMEOUT && until != PG_FOREVER) {
            pg_fiber_trim(); // the stack may have been another fiber's before; this one never needs much
            until = PG_FOREVER;
            continue;
        }
        PG_TRY(err);
        err = stream_admit(entry, stream);
        if (err != PG_OK) {
            if (err != PG_ERR_CLOSED) {
                entry_log_refused(entry, err);
            }
            pg_stream_free(&stream);
        }
    }
}

static void entry_free(pg_host_entry *entry)
{
    pg_host *host = entry->host;
    pg_list_remove(&entry->node);
    pg_book_peer_unpin(entry->book);
    pg_mfree(entry);
    pg_waitq_wake_all(&host->gone);
}

static pg_err conn_run(void *arg)
{
    pg_host_entry *entry = arg;
    pg_err err = pg_scope_spawn(&entry->scope, "net.identify", pg_identify_ask, entry);
    if (err == PG_OK) {
        err = streams_accept(entry);
    }
    pg_log(PG_LOG_LEVEL_DEBUG, "net.conn.ended", PG_LOG_STR("error", pg_err_name(err)),
           PG_LOG_STR("detail", pg_error_detail(err)));

    pg_fiber_shield(true);
    pg_host_entry_end(entry);
    pg_scope_close(&entry->scope);
    while (entry->users > 0) {
        pg_waitq_wait_hard(&entry->unused);
    }
    pg_conn_free(&entry->conn);
    pg_fiber_shield(false);
    entry_free(entry);
    return err;
}

// ---- adoption ----

static bool is_quic(const pg_conn_info *info)
{
    return strcmp(info->transport, PG_QUIC_TRANSPORT) == 0;
}

// A peer that has shown the hybrid handshake is not believed without it. One that has shown it over QUIC alone may have none
// over TCP, where the path lets nothing else through; one that has any is reached by that instead of a classical QUIC.
static bool is_downgrade(const pg_book_peer *known, const pg_conn_info *info)
{
    if (known == NULL || info->is_hybrid) {
        return false;
    }
    return is_quic(info) ? known->is_hybrid : known->is_hybrid_noise;
}

// What the handshake proved, against what is known and wanted.
static pg_err conn_check(pg_host *host, const pg_conn_info *info)
{
    if (host->state != PG_HOST_STATE_OPEN) {
        return pg_fail(PG_ERR_CLOSED, "this node is stopping");
    }
    if (pg_peer_id_equal(info->peer, pg_host_id(host))) {
        return pg_fail(PG_ERR_INVALID, "that is this node itself");
    }
    if (is_downgrade(pg_peer_book_get(&host->book, info->peer), info)) {
        host->stats.downgrades++;
        return pg_fail(PG_ERR_DOWNGRADE,
                       "the peer can do the post-quantum handshake and did a classical one");
    }
    if (host->config.require_pq && !info->is_hybrid) {
        return pg_fail(PG_ERR_REFUSED, "the peer cannot do the post-quantum handshake");
    }
    return PG_OK;
}

static pg_err entry_make(pg_host *host, const pg_conn_info *info, const pg_endpoint *remote,
                         pg_host_entry **out_entry)
{
    pg_book_peer *book = NULL;
    PG_TRY(pg_peer_book_add(&host->book, info->peer, pg_now(), &book));
    pg_host_entry *entry = PG_NEW(pg_host_entry);
    if (entry == NULL) {
        return PG_ERR_NOMEM;
    }
    entry->host = host;
    entry->peer = *info->peer;
    entry->book = book;
    entry->is_inbound = remote != NULL;
    entry->is_proven = !entry->is_inbound;
    entry->remote = remote != NULL ? *remote : (pg_endpoint){0};
    entry->active_at = pg_now();
    pg_scope_init_tolerant(&entry->scope);
    pg_waitq_init(&entry->unused);
    pg_waitq_init(&entry->identified);
    pg_err err = pg_slots_add(&host->entries, entry, &entry->id);
    if (err != PG_OK) {
        pg_mfree(entry);
        return err;
    }
    if (info->is_hybrid) {
        pg_book_peer_note_hybrid(book, !is_quic(info));
    }
    pg_book_peer_pin(book);
    *out_entry = entry;
    return PG_OK;
}

pg_err pg_host_adopt(pg_host *host, pg_conn **conn, const pg_endpoint *remote,
                     pg_host_entry **out_entry)
{
    pg_conn_info info;
    pg_host_entry *entry = NULL;
    pg_conn_get_info(*conn, &info);
    PG_TRY(conn_check(host, &info));
    PG_TRY(peer_join(host, info.peer));
    pg_err err = entry_make(host, &info, remote, &entry);
    if (err != PG_OK) {
        pg_admission_peer_leave(&host->admission, info.peer);
        return err;
    }
    entry->conn = *conn;
    err = pg_scope_spawn(&host->scope, "net.conn", conn_run, entry);
    if (err != PG_OK) {
        pg_admission_peer_leave(&host->admission, info.peer);
        (void) pg_slots_take(&host->entries, entry->id);
        pg_book_peer_unpin(entry->book);
        pg_mfree(entry);
        return err;
    }
    *conn = NULL;
    entry->is_counted = true;
    pg_list_append(&host->conns, &entry->node);
    pg_log(PG_LOG_LEVEL_DEBUG, "net.conn.opened", PG_LOG_STR("transport", info.transport),
           PG_LOG_STR("security", info.security), PG_LOG_U64("inbound", entry->is_inbound));
    pg_host_emit(host, PG_HOST_EVENT_CONNECTED, entry);
    *out_entry = entry;
    return PG_OK;
}

// ---- outbound streams ----

static pg_err stream_open(pg_host_entry *entry, const char *const *ids, pg_time deadline,
                          pg_stream **out_stream, const char **out_protocol)
{
    pg_str proposals[PG_NET_MULTISTREAM_PROPOSALS_MAX];
    pg_stream *stream = NULL;
    size_t index = 0;
    size_t count = 0;
    for (; ids[count] != NULL; count++) {
        pg_assert(count < PG_NET_MULTISTREAM_PROPOSALS_MAX);
        proposals[count] = pg_str_make(ids[count]);
    }
    pg_err err = pg_conn_open_stream(entry->conn, deadline, &stream);
    if (err == PG_OK) {
        err = pg_multistream_dial(stream, proposals, count, deadline, &index);
    }
    if (err != PG_OK) {
        pg_stream_free(&stream);
        return pg_error_wrap(err, "%s", ids[0]);
    }
    *out_stream = stream;
    if (out_protocol != NULL) {
        *out_protocol = ids[index];
    }
    return PG_OK;
}

pg_err pg_host_open_stream_on(pg_host *host, pg_id conn, const char *const *ids, pg_time deadline,
                              pg_stream **out_stream, const char **out_protocol)
{
    pg_host_entry *entry = pg_host_entry_get(host, conn);
    if (entry == NULL || host->state != PG_HOST_STATE_OPEN) {
        return pg_fail(PG_ERR_CLOSED, "the connection is no more");
    }
    pg_host_entry_use(entry);
    entry->active_at = pg_now();
    pg_err err = stream_open(entry, ids, deadline, out_stream, out_protocol);
    pg_host_entry_unuse(entry);
    return err;
}

pg_err pg_host_open_stream(pg_host *host, const pg_peer_id *peer, const char *const *ids,
                           pg_time deadline, pg_stream **out_stream, const char **out_protocol)
{
    bool reused = pg_host_entry_best(host, peer) != NULL;
    for (;;) {
        pg_id conn = 0;
        const pg_dial_options options = {.fresh = false};
        PG_TRY(pg_host_connect(host, peer, &options, deadline, &conn));
        pg_err err = pg_host_open_stream_on(host, conn, ids, deadline, out_stream, out_protocol);
        bool died = err != PG_OK && pg_host_entry_get(host, conn) == NULL;
        if (!died || !reused || host->state != PG_HOST_STATE_OPEN) {
            return err;
        }
        reused = false; // it was a dead one: once more, over a new one
    }
}

// Find or make a connection, and open a bare stream on it: once more when it was an old one that proved to be dead.
static pg_err bare_stream_open(pg_host *host, const pg_peer_id *peer, pg_time deadline,
                               pg_stream **out_stream, pg_id *out_conn)
{
    bool reused = pg_host_entry_best(host, peer) != NULL;
    for (;;) {
        pg_id conn = 0;
        PG_TRY(pg_host_connect(host, peer, NULL, deadline, &conn));
        pg_host_entry *entry = pg_host_entry_get(host, conn);
        if (entry == NULL || host->state != PG_HOST_STATE_OPEN) {
            return pg_fail(PG_ERR_CLOSED, "the connection is no more");
        }
        pg_host_entry_use(entry);
        entry->active_at = pg_now();
        pg_err err = pg_conn_open_stream(entry->conn, deadline, out_stream);
        pg_host_entry_unuse(entry);
        *out_conn = conn;
        bool died = err != PG_OK && pg_host_entry_get(host, conn) == NULL;
        if (!died || !reused || host->state != PG_HOST_STATE_OPEN) {
            return err;
        }
        reused = false;
    }
}

pg_err pg_host_open_stream_lazy(pg_host *host, const pg_peer_id *peer, const char *id,
                                pg_time deadline, pg_stream **out_stream, pg_id *out_conn)
{
    pg_stream *bare = NULL;
    pg_id conn = 0;
    PG_TRY(bare_stream_open(host, peer, deadline, &bare, &conn));
    pg_err err = pg_multistream_dial_lazy(&bare, pg_str_make(id), out_stream);
    if (err != PG_OK) {
        pg_stream_free(&bare);
        return err;
    }
    if (out_conn != NULL) {
        *out_conn = conn;
    }
    return PG_OK;
}

pg_err pg_host_await_identify(pg_host *host, pg_id conn, pg_time deadline)
{
    pg_host_entry *entry = pg_host_entry_get(host, conn);
    if (entry == NULL) {
        return pg_fail(PG_ERR_CLOSED, "the connection is no more");
    }
    pg_err err = PG_OK;
    pg_host_entry_use(entry);
    while (err == PG_OK && !entry->is_ending && entry->identify_state == PG_IDENTIFY_STATE_ASKING) {
        err = pg_waitq_wait(&entry->identified, deadline);
    }
    if (err == PG_OK && entry->identify_state == PG_IDENTIFY_STATE_FAILED) {
        err = pg_fail(entry->identify_err, "identify: %s", entry->identify_detail);
    } else if (err == PG_OK && entry->identify_state == PG_IDENTIFY_STATE_ASKING) {
        err = pg_fail(PG_ERR_CLOSED, "the connection ended before the peer told what it is");
    }
    pg_host_entry_unuse(entry);
    return err;
}
