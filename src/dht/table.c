// SPDX-License-Identifier: Apache-2.0
#include "dht/table.h"

#include "base/mem.h"

static unsigned bucket_index(const pg_dht_table *table, const pg_dht_key *key)
{
    unsigned prefix = pg_dht_key_prefix(&table->self, key);
    return prefix < PG_DHT_BUCKETS ? prefix : PG_DHT_BUCKETS - 1;
}

static pg_dht_contact *contact_of(pg_list *node)
{
    return PG_LIST_OBJECT(node, pg_dht_contact, node);
}

static pg_dht_contact *list_find(pg_list *list, const pg_peer_id *peer)
{
    for (pg_list *node = list->next; node != list; node = node->next) {
        pg_dht_contact *contact = contact_of(node);
        if (pg_peer_id_equal(&contact->id, peer)) {
            return contact;
        }
    }
    return NULL;
}

static pg_dht_contact *contact_find(pg_dht_table *table, const pg_peer_id *peer,
                                    pg_dht_bucket **out_bucket)
{
    pg_dht_key key = pg_dht_key_of_peer(peer);
    *out_bucket = &table->buckets[bucket_index(table, &key)];
    return list_find(&(*out_bucket)->contacts, peer);
}

void pg_dht_table_init(pg_dht_table *table, const pg_dht_key *self, pg_dht_table_listener listener,
                       void *user)
{
    *table = (pg_dht_table){.self = *self, .listener = listener, .user = user};
    for (unsigned i = 0; i < PG_DHT_BUCKETS; i++) {
        pg_list_init(&table->buckets[i].contacts);
        pg_list_init(&table->buckets[i].spares);
    }
}

static bool tell(const pg_dht_table *table, const pg_peer_id *peer, bool is_in)
{
    return table->listener == NULL || table->listener(peer, is_in, table->user);
}

// ---- coming in ----

static size_t group_count(const pg_list *contacts, pg_dht_group group)
{
    size_t count = 0;
    for (pg_list *node = contacts->next; node != contacts; node = node->next) {
        count += contact_of(node)->group == group ? 1U : 0U;
    }
    return count;
}

static bool group_has_room(const pg_dht_table *table, const pg_dht_bucket *bucket,
                           pg_dht_group group)
{
    if (group == 0) {
        return true;
    }
    size_t in_all = 0;
    for (unsigned i = 0; i < PG_DHT_BUCKETS; i++) {
        in_all += group_count(&table->buckets[i].contacts, group);
    }
    return in_all < PG_DHT_TABLE_GROUP_MAX &&
           group_count(&bucket->contacts, group) < PG_DHT_BUCKET_GROUP_MAX;
}

// Let a contact into its bucket; one that is refused is freed.
static bool bucket_enter(pg_dht_table *table, pg_dht_bucket *bucket, pg_dht_contact *contact)
{
    if (!tell(table, &contact->id, true)) {
        pg_mfree(contact);
        return false;
    }
    pg_list_append(&bucket->contacts, &contact->node);
    bucket->count++;
    table->count++;
    return true;
}

static pg_dht_contact *contact_new(const pg_peer_id *peer, const pg_dht_key *key,
                                   pg_dht_group group, pg_time now)
{
    pg_dht_contact *contact = PG_NEW(pg_dht_contact);
    if (contact != NULL) {
        contact->id = *peer;
        contact->key = *key;
        contact->group = group;
        contact->heard_at = now;
    }
    return contact;
}

static void spare_drop(pg_dht_bucket *bucket, pg_dht_contact *spare)
{
    pg_list_remove(&spare->node);
    bucket->spare_count--;
    pg_mfree(spare);
}

static pg_dht_offer spare_add(pg_dht_bucket *bucket, const pg_peer_id *peer, const pg_dht_key *key,
                              pg_dht_group group, pg_time now)
{
    pg_dht_contact *spare = list_find(&bucket->spares, peer);
    if (spare != NULL) {
        spare_drop(bucket, spare);
    } else if (group != 0 && group_count(&bucket->spares, group) >= PG_DHT_BUCKET_GROUP_MAX) {
        return PG_DHT_OFFER_REFUSED;
    } else if (bucket->spare_count == PG_DHT_SPARES_MAX) {
        spare_drop(bucket, contact_of(bucket->spares.next));
    }
    spare = contact_new(peer, key, group, now);
    if (spare == NULL) {
        return PG_DHT_OFFER_NOMEM;
    }
    pg_list_append(&bucket->spares, &spare->node);
    bucket->spare_count++;
    return PG_DHT_OFFER_SPARE;
}

pg_dht_offer pg_dht_table_offer(pg_dht_table *table, const pg_peer_id *peer, pg_dht_group group,
                                pg_time now)
{
    pg_dht_key key = pg_dht_key_of_peer(peer);
    pg_dht_bucket *bucket = &table->buckets[bucket_index(table, &key)];
    if (pg_dht_key_compare(&table->self, &key, &table->self) == 0) {
        return PG_DHT_OFFER_REFUSED;
    }
    if (list_find(&bucket->contacts, peer) != NULL) {
        pg_dht_table_answered(table, peer, now);
        return PG_DHT_OFFER_KNOWN;
    }
    if (!group_has_room(table, bucket, group)) {
        table->refused++;
        return PG_DHT_OFFER_REFUSED;
    }
    if (bucket->count == PG_DHT_K) {
        return spare_add(bucket, peer, &key, group, now);
    }
    pg_dht_contact *contact = contact_new(peer, &key, group, now);
    if (contact == NULL) {
        return PG_DHT_OFFER_NOMEM;
    }
    return bucket_enter(table, bucket, contact) ? PG_DHT_OFFER_ADDED : PG_DHT_OFFER_REFUSED;
}

void pg_dht_table_answered(pg_dht_table *table, const pg_peer_id *peer, pg_time now)
{
    pg_dht_bucket *bucket = NULL;
    pg_dht_contact *contact = contact_find(table, peer, &bucket);
    if (contact != NULL) {
        contact->failures = 0;
        contact->heard_at = now;
        pg_list_remove(&contact->node);
        pg_list_append(&bucket->contacts, &contact->node);
    }
}

// ---- going out ----

// The spare heard of last takes the place that became free, if its subnet may have it.
static void spare_promote(pg_dht_table *table, pg_dht_bucket *bucket)
{
    pg_list *node = bucket->spares.prev;
    while (node != &bucket->spares) {
        pg_dht_contact *spare = contact_of(node);
        node = node->prev;
        if (group_has_room(table, bucket, spare->group)) {
            pg_list_remove(&spare->node);
            bucket->spare_count--;
            if (bucket_enter(table, bucket, spare)) {
                return;
            }
        }
    }
}

static void contact_drop(pg_dht_table *table, pg_dht_bucket *bucket, pg_dht_contact *contact)
{
    pg_list_remove(&contact->node);
    bucket->count--;
    table->count--;
    (void) tell(table, &contact->id, false);
    pg_mfree(contact);
}

void pg_dht_table_failed(pg_dht_table *table, const pg_peer_id *peer)
{
    pg_dht_bucket *bucket = NULL;
    pg_dht_contact *contact = contact_find(table, peer, &bucket);
    if (contact == NULL) {
        return;
    }
    contact->failures++;
    if (contact->failures >= PG_DHT_FAILURES_MAX) {
        contact_drop(table, bucket, contact);
        spare_promote(table, bucket);
    }
}

void pg_dht_table_remove(pg_dht_table *table, const pg_peer_id *peer)
{
    pg_dht_bucket *bucket = NULL;
    pg_dht_contact *contact = contact_find(table, peer, &bucket);
    if (contact != NULL) {
        contact_drop(table, bucket, contact);
        spare_promote(table, bucket);
        return;
    }
    pg_dht_contact *spare = list_find(&bucket->spares, peer);
    if (spare != NULL) {
        spare_drop(bucket, spare);
    }
}

bool pg_dht_table_has(const pg_dht_table *table, const pg_peer_id *peer)
{
    pg_dht_key key = pg_dht_key_of_peer(peer);
    const pg_list *contacts = &table->buckets[bucket_index(table, &key)].contacts;
    for (pg_list *node = contacts->next; node != contacts; node = node->next) {
        if (pg_peer_id_equal(&contact_of(node)->id, peer)) {
            return true;
        }
    }
    return false;
}

// ---- the nearest ----

/** The nearest so far, sorted. */
typedef struct nearest {
    const pg_dht_key *target;
    bool healthy_only;
    const pg_dht_contact **contacts;
    size_t count;
    size_t max;
} nearest;

static void nearest_take(nearest *best, const pg_dht_bucket *bucket)
{
    for (pg_list *node = bucket->contacts.next; node != &bucket->contacts; node = node->next) {
        const pg_dht_contact *contact = contact_of(node);
        size_t at = best->count;
        if (best->healthy_only && contact->failures > 0) {
            continue;
        }
        while (at > 0 &&
               pg_dht_key_compare(best->target, &contact->key, &best->contacts[at - 1]->key) < 0) {
            at--;
        }
        if (at == best->max) {
            continue;
        }
        size_t last = best->count < best->max ? best->count : best->max - 1;
        for (size_t i = last; i > at; i--) {
            best->contacts[i] = best->contacts[i - 1];
        }
        best->contacts[at] = contact;
        best->count = last + 1;
    }
}

// Let the target share b bits with us. Bucket b has those that share more than b bits with the target, all later buckets those
// that share b with it, bucket i < b those that share i: each of these groups is nearer than the next.
size_t pg_dht_table_nearest(const pg_dht_table *table, const pg_dht_key *target, bool healthy_only,
                            const pg_dht_contact **out_contacts, size_t max)
{
    nearest best = {target, healthy_only, out_contacts, 0, max};
    unsigned middle = bucket_index(table, target);
    nearest_take(&best, &table->buckets[middle]);
    if (best.count < max) {
        for (unsigned i = middle + 1; i < PG_DHT_BUCKETS; i++) {
            nearest_take(&best, &table->buckets[i]);
        }
    }
    for (unsigned i = middle; i > 0 && best.count < max; i--) {
        nearest_take(&best, &table->buckets[i - 1]);
    }
    return best.count;
}

// ---- upkeep ----

size_t pg_dht_table_stale(const pg_dht_table *table, pg_time since, pg_peer_id *out_peers,
                          size_t max)
{
    size_t count = 0;
    for (unsigned i = 0; i < PG_DHT_BUCKETS && count < max; i++) {
        const pg_list *contacts = &table->buckets[i].contacts;
        for (pg_list *node = contacts->next; node != contacts && count < max; node = node->next) {
            const pg_dht_contact *contact = contact_of(node);
            if (contact->heard_at < since) {
                out_peers[count] = contact->id;
                count++;
            }
        }
    }
    return count;
}

void pg_dht_table_refreshed(pg_dht_table *table, const pg_dht_key *target, pg_time now)
{
    table->buckets[bucket_index(table, target)].refreshed_at = now;
}

unsigned pg_dht_table_unrefreshed(const pg_dht_table *table, unsigned from, pg_time since)
{
    unsigned end = PG_DHT_BUCKETS;
    while (end > 0 && table->buckets[end - 1].count == 0) {
        end--;
    }
    for (unsigned i = from; i < end; i++) {
        if (table->buckets[i].refreshed_at < since) {
            return i;
        }
    }
    return PG_DHT_BUCKETS;
}

void pg_dht_table_each(const pg_dht_table *table,
                       void (*each)(const pg_dht_contact *contact, unsigned bucket, void *user),
                       void *user)
{
    for (unsigned i = 0; i < PG_DHT_BUCKETS; i++) {
        const pg_list *contacts = &table->buckets[i].contacts;
        for (pg_list *node = contacts->next; node != contacts; node = node->next) {
            each(contact_of(node), i, user);
        }
    }
}

void pg_dht_table_deinit(pg_dht_table *table)
{
    for (unsigned i = 0; i < PG_DHT_BUCKETS; i++) {
        pg_dht_bucket *bucket = &table->buckets[i];
        while (!pg_list_is_empty(&bucket->spares)) {
            spare_drop(bucket, contact_of(bucket->spares.next));
        }
        while (!pg_list_is_empty(&bucket->contacts)) {
            contact_drop(table, bucket, contact_of(bucket->contacts.next));
        }
    }
}
