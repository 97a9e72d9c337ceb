// SPDX-License-Identifier: Apache-2.0
// What a DHT does by itself: refresh its table, ask those not heard of for long, forget what has expired, publish again.
#include <string.h>

#include "base/mem.h"
#include "dht/dht_priv.h"
#include "dht/limits.h"
#include "runtime/random.h"

#define EXPIRED_PER_ROUND 4096 // of each store: bounds the time a round takes
#define NAME_TRIES_PER_TURN 256
#define REJOIN_PEERS_MAX 4

// Nodes that started together are not to work together for ever.
static int64_t jitter(int64_t ns)
{
    return ns - ns / 10 + (int64_t) pg_random_below((uint64_t) (ns / 5) + 1);
}

// ---- refreshing ----

static pg_err look_around(pg_dht *dht, pg_bytes name, bool is_random, const pg_dht_call *call)
{
    pg_dht_query query;
    const pg_dht_query_config config = {.type = PG_DHT_MSG_FIND_NODE, .name = name, .call = call};
    PG_TRY(pg_dht_query_init(&query, dht, &config));
    pg_err err = pg_dht_query_run(&query);
    if (err == PG_OK && is_random) {
        pg_dht_density_note(dht, pg_dht_lookup_density(&query.lookup));
    }
    pg_dht_query_deinit(&query);
    return err;
}

// A name in the range of a bucket, in turns: deep buckets take many tries.
static pg_err bucket_name(const pg_dht *dht, unsigned bucket, pg_peer_id *out_name)
{
    uint32_t turns = (2U << bucket) * 8 / NAME_TRIES_PER_TURN + 1;
    for (uint32_t i = 0; i < turns; i++) {
        uint8_t seed[PG_DHT_KEY_BYTES];
        pg_random_bytes(PG_MUT_BYTES_OF(seed));
        if (pg_dht_key_find_name(&dht->self, bucket, seed, NAME_TRIES_PER_TURN, out_name)) {
            return PG_OK;
        }
        PG_TRY(pg_fiber_yield());
    }
    return pg_fail(PG_ERR_NOT_FOUND, "no name for bucket %u", bucket);
}

static pg_err buckets_refresh(pg_dht *dht, pg_time since, const pg_dht_call *call)
{
    unsigned bucket = pg_dht_table_unrefreshed(&dht->table, 0, since);
    while (bucket <= PG_DHT_REFRESH_BUCKETS_MAX) {
        pg_peer_id name;
        pg_err err = bucket_name(dht, bucket, &name);
        if (err == PG_OK) {
            err = look_around(dht, pg_peer_id_bytes(&name), true, call);
        }
        if (err == PG_ERR_CANCELLED || err == PG_ERR_TIMEOUT) {
            return err;
        }
        bucket = pg_dht_table_unrefreshed(&dht->table, bucket + 1, since);
    }
    return PG_OK;
}

static pg_err refresh(pg_dht *dht, pg_time since, const pg_dht_call *call)
{
    PG_TRY(look_around(dht, pg_peer_id_bytes(pg_host_id(dht->config.host)), false, call));
    if (dht->table.count < PG_DHT_K) { // fewer than one lookup asks: that one has asked them all
        return PG_OK;
    }
    return buckets_refresh(dht, since, call);
}

pg_err pg_dht_refresh(pg_dht *dht, const pg_dht_call *call)
{
    return refresh(dht, pg_now(), call);
}

// ---- the round ----

// Who served the DHT when we last met, or was never met and may serve it.
static bool is_worth_a_try(const pg_dht *dht, const pg_book_peer *peer)
{
    return peer->addr_count > 0 &&
           (peer->protocol_count == 0 || pg_book_peer_has_protocol(peer, dht->config.protocol));
}

// Nobody is left in the table: try some of the book, others each time, for the first may be full or gone.
static void rejoin(pg_dht *dht)
{
    pg_host *host = dht->config.host;
    pg_peer_id peers[REJOIN_PEERS_MAX];
    size_t count = 0;
    size_t seen = 0;
    pg_map_cursor cursor = {0};
    const pg_book_peer *peer = NULL;
    while ((peer = pg_peer_book_next(pg_host_book(host), &cursor)) != NULL) {
        if (!is_worth_a_try(dht, peer)) {
            continue;
        }
        seen++;
        size_t place = count < REJOIN_PEERS_MAX ? count++ : (size_t) pg_random_below(seen);
        if (place < REJOIN_PEERS_MAX) {
            peers[place] = peer->id;
        }
    }
    for (size_t i = 0; i < count && !pg_fiber_is_cancelled(); i++) {
        pg_ignore(pg_host_connect(host, &peers[i], NULL, pg_after(PG_MS(PG_DHT_ASK_MS)), NULL),
                  "the next round tries again");
    }
}

// Ask peers not heard of for long for their neighbours: who answers stays, who does not goes.
static pg_err probe(pg_dht *dht)
{
    pg_peer_id stale[PG_DHT_PROBES_MAX];
    const pg_dht_msg msg = {.type = PG_DHT_MSG_FIND_NODE,
                            .key = pg_peer_id_bytes(pg_host_id(dht->config.host))};
    pg_buf request = {0};
    size_t count = pg_dht_table_stale(&dht->table, pg_now() - PG_MS(PG_DHT_STALE_MS), stale,
                                      PG_DHT_PROBES_MAX);
    pg_err err = pg_dht_msg_append(&request, &msg);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        pg_buf reply = {0};
        pg_id conn = 0;
        pg_err asked = pg_dht_rpc_ask(&dht->rpc, &stale[i], pg_buf_bytes(&request),
                                      pg_after(PG_MS(PG_DHT_ASK_MS)), &reply, &conn);
        pg_buf_deinit(&reply);
        if (asked == PG_OK) {
            pg_dht_table_answered(&dht->table, &stale[i], pg_now());
        } else if (asked == PG_ERR_CANCELLED) {
            err = asked;
        } else {
            pg_dht_table_failed(&dht->table, &stale[i]);
        }
    }
    pg_buf_deinit(&request);
    return err;
}

static pg_err round_run(pg_dht *dht)
{
    pg_dht_rpc_sweep(&dht->rpc, pg_now() - PG_MS(PG_DHT_IDLE_STREAM_MS));
    (void) pg_dht_records_expire(&dht->records, pg_now(), EXPIRED_PER_ROUND);
    (void) pg_dht_providers_expire(&dht->providers, pg_now(), EXPIRED_PER_ROUND);
    if (dht->table.count == 0) {
        rejoin(dht);
        return PG_OK;
    }
    return probe(dht);
}

pg_err pg_dht_upkeep_run(void *arg)
{
    pg_dht *dht = arg;
    for (;;) {
        pg_err err = pg_waitq_wait(&dht->wake, pg_earlier(dht->refresh_at, dht->round_at));
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (pg_now() >= dht->refresh_at) {
            dht->refresh_at = pg_after(jitter(dht->config.refresh_ns));
            err = refresh(dht, pg_now() - dht->config.refresh_ns / 2, NULL);
        }
        if (pg_now() >= dht->round_at && err != PG_ERR_CANCELLED) {
            dht->round_at = pg_after(jitter(PG_MS(PG_DHT_UPKEEP_MS)));
            err = round_run(dht);
        }
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
    }
}

// ---- publishing again ----

static void published_drop(pg_dht *dht, pg_dht_published *item)
{
    (void) pg_map_take(&dht->published, pg_buf_bytes(&item->key));
    pg_list_remove(&item->node);
    pg_buf_deinit(&item->key);
    pg_buf_deinit(&item->value);
    pg_mfree(item);
}

static pg_err published_add(pg_dht *dht, pg_bytes key, pg_dht_published **out_item)
{
    if (pg_map_count(&dht->published) >= PG_DHT_PUBLISHED_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%d keys are published already", PG_DHT_PUBLISHED_MAX);
    }
    pg_dht_published *item = PG_NEW(pg_dht_published);
    if (item == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_buf_append(&item->key, key);
    if (err == PG_OK) {
        err = pg_map_add(&dht->published, key, item);
    }
    if (err != PG_OK) {
        pg_buf_deinit(&item->key);
        pg_mfree(item);
        return err;
    }
    *out_item = item;
    return PG_OK;
}

pg_err pg_dht_publish_again(pg_dht *dht, pg_bytes key, pg_bytes value, bool is_provided)
{
    pg_buf copy = {0};
    PG_TRY(pg_buf_append(&copy, value));
    pg_dht_published *item = pg_map_get(&dht->published, key);
    if (item == NULL) {
        pg_err err = published_add(dht, key, &item);
        if (err != PG_OK) {
            pg_buf_deinit(&copy);
            return err;
        }
    }
    pg_buf_deinit(&item->value);
    item->value = copy;
    item->is_provided = is_provided;
    item->is_over = false;
    item->due_at = pg_after(jitter(dht->config.republish_ns));
    if (!item->is_running && !pg_list_is_linked(&item->node)) {
        pg_list_append(&dht->published_list, &item->node);
    }
    return PG_OK;
}

void pg_dht_publish_soon(pg_dht *dht, pg_bytes key)
{
    pg_dht_published *item = pg_map_get(&dht->published, key);
    if (item != NULL) {
        item->due_at = pg_after(jitter(dht->config.republish_ns / PG_DHT_REPUBLISH_HASTE));
    }
}

bool pg_dht_is_providing(const pg_dht *dht, pg_bytes key)
{
    const pg_dht_published *item = pg_map_get(&dht->published, key);
    return item != NULL && item->is_provided && !item->is_over;
}

void pg_dht_unpublish(pg_dht *dht, pg_bytes key)
{
    pg_dht_published *item = pg_map_get(&dht->published, key);
    if (item != NULL && item->is_running) {
        item->is_over = true; // its fiber drops it
    } else if (item != NULL) {
        published_drop(dht, item);
    }
}

// The first due item, marked as running; NULL when none is due, *out_due then is when the next will be.
static pg_dht_published *due_take(pg_dht *dht, pg_time *out_due)
{
    *out_due = PG_FOREVER;
    for (pg_list *node = dht->published_list.next; node != &dht->published_list;
         node = node->next) {
        pg_dht_published *item = PG_LIST_OBJECT(node, pg_dht_published, node);
        if (item->due_at <= pg_now()) {
            item->is_running = true;
            pg_list_remove(&item->node);
            return item;
        }
        *out_due = pg_earlier(*out_due, item->due_at);
    }
    return NULL;
}

static pg_err value_publish(pg_dht *dht, const pg_dht_published *item, pg_bytes key,
                            bool *out_superseded)
{
    pg_buf value = {0}; // a copy: somebody may put another one meanwhile
    PG_TRY(pg_buf_append(&value, pg_buf_bytes(&item->value)));
    pg_err err = pg_dht_put(dht, key, pg_buf_bytes(&value), NULL, NULL);
    *out_superseded =
        err == PG_ERR_EXISTS && pg_bytes_equal(pg_buf_bytes(&value), pg_buf_bytes(&item->value));
    pg_buf_deinit(&value);
    return err;
}

static pg_err item_publish(pg_dht *dht, pg_dht_published *item)
{
    bool is_superseded = false; // somebody published a newer value: ours is history
    pg_bytes key = pg_buf_bytes(&item->key);
    pg_err err = item->is_provided ? pg_dht_provide(dht, key, NULL, NULL)
                                   : value_publish(dht, item, key, &is_superseded);
    item->is_running = false;
    if (item->is_over || is_superseded) {
        published_drop(dht, item);
        return err;
    }
    int64_t wait = dht->config.republish_ns / (err == PG_OK ? 1 : PG_DHT_REPUBLISH_HASTE);
    item->due_at = pg_after(jitter(wait));
    pg_list_append(&dht->published_list, &item->node);
    return err;
}

pg_err pg_dht_publish_run(void *arg)
{
    pg_dht *dht = arg;
    for (;;) {
        pg_time due = PG_FOREVER;
        pg_dht_published *item = due_take(dht, &due);
        pg_err err = item != NULL ? item_publish(dht, item) : PG_OK;
        if (item == NULL) {
            err = pg_sleep_until(pg_earlier(due, pg_after(PG_MS(PG_DHT_PUBLISH_LOOK_MS))));
        }
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
    }
}

void pg_dht_published_free(pg_dht *dht)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&dht->published, &cursor)) {
        pg_dht_published *item = cursor.value;
        pg_buf_deinit(&item->key);
        pg_buf_deinit(&item->value);
        pg_mfree(item);
    }
    pg_map_deinit(&dht->published);
}
