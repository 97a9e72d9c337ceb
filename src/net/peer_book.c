// SPDX-License-Identifier: Apache-2.0
#include "net/peer_book.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/limits.h"

void pg_peer_book_init(pg_peer_book *book, size_t max)
{
    *book = (pg_peer_book){.max = max};
    for (size_t i = 0; i < PG_FAMILIARITY_COUNT; i++) {
        pg_list_init(&book->loose[i]);
    }
}

pg_book_peer *pg_peer_book_get(const pg_peer_book *book, const pg_peer_id *id)
{
    return pg_map_get(&book->peers, pg_peer_id_bytes(id));
}

static void protocols_free(char **protocols, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pg_mfree(protocols[i]);
    }
    pg_mfree(protocols);
}

static void peer_free(pg_book_peer *peer)
{
    pg_list_remove(&peer->place);
    pg_mfree(peer->addrs);
    pg_mfree(peer->agent);
    protocols_free(peer->protocols, peer->protocol_count);
    pg_buf_deinit(&peer->record);
    pg_mfree(peer);
}

pg_familiarity pg_book_peer_familiarity(const pg_book_peer *peer)
{
    for (size_t i = 0; i < peer->addr_count; i++) {
        if (peer->addrs[i].source <= PG_BOOK_SOURCE_REACHED) {
            return PG_FAMILIARITY_REACHED;
        }
    }
    return peer->is_hybrid || peer->agent != NULL ? PG_FAMILIARITY_MET : PG_FAMILIARITY_HEARD_OF;
}

// Put a peer at the end of the list it belongs to, or in none.
static void peer_file(pg_book_peer *peer)
{
    peer->filed = pg_book_peer_familiarity(peer);
    pg_list_remove(&peer->place);
    if (peer->pins == 0) {
        pg_list_append(&peer->book->loose[peer->filed], &peer->place);
    }
}

static void peer_changed(pg_book_peer *peer)
{
    if (pg_book_peer_familiarity(peer) != peer->filed) {
        peer_file(peer);
    }
}

// Make room for one more peer by forgetting the least familiar, of these the one not seen for longest: so strangers cannot push
// out what is known of others, which guards against downgrades.
static pg_err room_make(pg_peer_book *book)
{
    if (pg_map_count(&book->peers) < book->max) {
        return PG_OK;
    }
    for (size_t i = 0; i < PG_FAMILIARITY_COUNT; i++) {
        pg_list *first = pg_list_pop(&book->loose[i]);
        if (first != NULL) {
            pg_book_peer *least = PG_LIST_OBJECT(first, pg_book_peer, place);
            (void) pg_map_take(&book->peers, pg_peer_id_bytes(&least->id));
            peer_free(least);
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_LIMIT, "the peer book is full with %zu peers in use", book->max);
}

pg_err pg_peer_book_add(pg_peer_book *book, const pg_peer_id *id, pg_time now,
                        pg_book_peer **out_peer)
{
    pg_book_peer *peer = pg_peer_book_get(book, id);
    if (peer == NULL) {
        PG_TRY(room_make(book));
        peer = PG_NEW(pg_book_peer);
        if (peer == NULL) {
            return PG_ERR_NOMEM;
        }
        peer->id = *id;
        peer->book = book;
        peer->record.max_len = PG_NET_RECORD_BYTES_MAX;
        if (pg_map_add(&book->peers, pg_peer_id_bytes(id), peer) != PG_OK) {
            pg_mfree(peer);
            return PG_ERR_NOMEM;
        }
    }
    peer->seen_at = now;
    peer_file(peer);
    *out_peer = peer;
    return PG_OK;
}

void pg_book_peer_pin(pg_book_peer *peer)
{
    peer->pins++;
    pg_list_remove(&peer->place);
}

void pg_book_peer_unpin(pg_book_peer *peer)
{
    pg_assert(peer->pins > 0);
    peer->pins--;
    if (peer->pins == 0) {
        peer_file(peer);
    }
}

// ---- addresses ----

static pg_book_addr *addr_find(const pg_book_peer *peer, const pg_multiaddr *addr)
{
    for (size_t i = 0; i < peer->addr_count; i++) {
        if (pg_multiaddr_equal(&peer->addrs[i].addr, addr)) {
            return &peer->addrs[i];
        }
    }
    return NULL;
}

// The address to give up for another: an expired one, else the least trusted, of these the first to expire.
static pg_book_addr *addr_worst(const pg_book_peer *peer, pg_time now)
{
    pg_assert(peer->addrs != NULL); // the list is full
    pg_book_addr *worst = &peer->addrs[0];
    for (size_t i = 0; i < peer->addr_count; i++) {
        pg_book_addr *each = &peer->addrs[i];
        if (each->expires_at <= now) {
            return each;
        }
        if (each->source > worst->source ||
            (each->source == worst->source && each->expires_at < worst->expires_at)) {
            worst = each;
        }
    }
    return worst;
}

// Put an address into the list, in the place of another where it is full.
static pg_err addr_put(pg_book_peer *peer, const pg_book_addr *fresh, pg_time now)
{
    if (peer->addr_count == PG_NET_BOOK_ADDRS_MAX) {
        pg_book_addr *worst = addr_worst(peer, now);
        if (worst->expires_at <= now || worst->source >= fresh->source) {
            *worst = *fresh;
            peer_changed(peer);
        }
        return PG_OK;
    }
    pg_book_addr *grown = pg_realloc(peer->addrs, (peer->addr_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return PG_ERR_NOMEM;
    }
    peer->addrs = grown;
    peer->addrs[peer->addr_count] = *fresh;
    peer->addr_count++;
    peer_changed(peer);
    return PG_OK;
}

pg_err pg_book_peer_add_addr(pg_book_peer *peer, const pg_multiaddr *addr, pg_book_source source,
                             pg_time expires_at, pg_time now)
{
    pg_book_addr *known = addr_find(peer, addr);
    if (known == NULL) {
        const pg_book_addr fresh = {
            .addr = *addr, .source = source, .expires_at = expires_at, .confirmed_at = now};
        return addr_put(peer, &fresh, now);
    }
    known->source = source < known->source || known->expires_at <= now ? source : known->source;
    known->expires_at = expires_at > known->expires_at ? expires_at : known->expires_at;
    known->confirmed_at = now;
    peer_changed(peer);
    return PG_OK;
}

pg_err pg_book_peer_restore_addr(pg_book_peer *peer, const pg_book_addr *addr, pg_time now)
{
    return addr_find(peer, &addr->addr) != NULL ? PG_OK : addr_put(peer, addr, now);
}

void pg_book_peer_drop_addrs(pg_book_peer *peer, pg_book_source source)
{
    size_t kept = 0;
    for (size_t i = 0; i < peer->addr_count; i++) {
        if (peer->addrs[i].source != source) {
            peer->addrs[kept] = peer->addrs[i];
            kept++;
        }
    }
    peer->addr_count = kept;
    peer_changed(peer);
}

void pg_book_peer_dialed(pg_book_peer *peer, const pg_multiaddr *addr, bool success, pg_time now,
                         uint64_t random)
{
    pg_book_addr *known = addr_find(peer, addr);
    if (known == NULL) {
        return;
    }
    if (!success) {
        pg_backoff_fail(&known->backoff, now, random);
        return;
    }
    pg_backoff_reset(&known->backoff);
    known->confirmed_at = now;
    pg_time until = now + PG_MS(PG_NET_BOOK_REACHED_TTL_MS);
    known->expires_at = known->expires_at > until ? known->expires_at : until;
    if (known->source > PG_BOOK_SOURCE_REACHED) {
        known->source = PG_BOOK_SOURCE_REACHED;
    }
    peer_changed(peer);
}

// Fewer failures first, then the more trusted source.
static bool is_better(const pg_book_addr *a, const pg_book_addr *b)
{
    return a->backoff.failures != b->backoff.failures ? a->backoff.failures < b->backoff.failures
                                                      : a->source < b->source;
}

size_t pg_book_peer_dial_addrs(const pg_book_peer *peer, pg_time now, bool eager,
                               pg_multiaddr *out_addrs, pg_time *out_due)
{
    const pg_book_addr *chosen[PG_NET_BOOK_ADDRS_MAX];
    size_t count = 0;
    pg_time due = PG_FOREVER;
    for (size_t i = 0; i < peer->addr_count; i++) {
        const pg_book_addr *each = &peer->addrs[i];
        if (each->expires_at <= now) {
            continue;
        }
        if (!eager && !pg_backoff_is_due(&each->backoff, now)) {
            due = pg_earlier(due, each->backoff.until);
            continue;
        }
        size_t at = count;
        for (; at > 0 && is_better(each, chosen[at - 1]); at--) {
            chosen[at] = chosen[at - 1];
        }
        chosen[at] = each;
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        out_addrs[i] = chosen[i]->addr;
    }
    *out_due = count > 0 ? now : due;
    return count;
}

bool pg_book_peer_is_due(const pg_book_peer *peer, pg_time now, pg_time *out_due)
{
    pg_time due = PG_FOREVER;
    for (size_t i = 0; i < peer->addr_count; i++) {
        const pg_book_addr *each = &peer->addrs[i];
        if (each->expires_at > now) {
            bool is_due = pg_backoff_is_due(&each->backoff, now);
            due = pg_earlier(due, is_due ? now : each->backoff.until);
        }
    }
    *out_due = due;
    return due == now;
}

void pg_book_peer_note_hybrid(pg_book_peer *peer, bool is_noise)
{
    peer->is_hybrid = true;
    peer->is_hybrid_noise = peer->is_hybrid_noise || is_noise;
    peer_changed(peer);
}

// ---- what a peer says of itself ----

// Foreign text on its way to logs, terminals and JSON: printable ASCII, cut.
static char *text_clean(pg_bytes text)
{
    size_t len = pg_min_size(text.len, PG_NET_AGENT_BYTES_MAX);
    char *clean = pg_malloc(len + 1);
    if (clean == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        clean[i] = (char) (text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? text.ptr[i] : '?');
    }
    clean[len] = '\0';
    return clean;
}

pg_err pg_book_peer_set_agent(pg_book_peer *peer, pg_bytes agent)
{
    char *clean = text_clean(agent);
    if (clean == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_mfree(peer->agent);
    peer->agent = clean;
    peer_changed(peer);
    return PG_OK;
}

pg_err pg_book_peer_set_protocols(pg_book_peer *peer, const pg_bytes *protocols, size_t count)
{
    count = pg_min_size(count, PG_NET_BOOK_PROTOCOLS_MAX);
    char **fresh = pg_calloc(count, sizeof(*fresh));
    if (fresh == NULL) {
        return PG_ERR_NOMEM;
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (protocols[i].len == 0 || protocols[i].len > PG_NET_AGENT_BYTES_MAX) {
            continue;
        }
        fresh[kept] = text_clean(protocols[i]);
        if (fresh[kept] == NULL) {
            protocols_free(fresh, kept);
            return PG_ERR_NOMEM;
        }
        kept++;
    }
    protocols_free(peer->protocols, peer->protocol_count);
    peer->protocols = fresh;
    peer->protocol_count = kept;
    return PG_OK;
}

bool pg_book_peer_has_protocol(const pg_book_peer *peer, const char *protocol)
{
    for (size_t i = 0; i < peer->protocol_count; i++) {
        if (strcmp(peer->protocols[i], protocol) == 0) {
            return true;
        }
    }
    return false;
}

pg_err pg_book_peer_set_record(pg_book_peer *peer, pg_bytes envelope, uint64_t seq,
                               const pg_multiaddr *addrs, size_t addr_count, pg_time now)
{
    if (peer->record.len > 0 && seq <= peer->record_seq) {
        return pg_fail(PG_ERR_EXISTS, "peer record %llu is not newer than %llu",
                       (unsigned long long) seq, (unsigned long long) peer->record_seq);
    }
    pg_buf fresh = {.max_len = PG_NET_RECORD_BYTES_MAX};
    PG_TRY(pg_buf_append(&fresh, envelope));
    pg_buf_deinit(&peer->record);
    peer->record = fresh;
    peer->record_seq = seq;
    pg_book_peer_drop_addrs(peer, PG_BOOK_SOURCE_SIGNED);
    pg_book_peer_drop_addrs(peer, PG_BOOK_SOURCE_IDENTIFY);
    for (size_t i = 0; i < addr_count; i++) {
        PG_TRY(pg_book_peer_add_addr(peer, &addrs[i], PG_BOOK_SOURCE_SIGNED,
                                     now + PG_MS(PG_NET_BOOK_ADDR_TTL_MS), now));
    }
    return PG_OK;
}

const pg_book_peer *pg_peer_book_next(const pg_peer_book *book, pg_map_cursor *cursor)
{
    return pg_map_next(&book->peers, cursor) ? cursor->value : NULL;
}

void pg_peer_book_deinit(pg_peer_book *book)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&book->peers, &cursor)) {
        peer_free(cursor.value);
    }
    pg_map_deinit(&book->peers);
}
