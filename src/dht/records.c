// SPDX-License-Identifier: Apache-2.0
#include "dht/records.h"

#include <string.h>

#include "base/mem.h"
#include "dht/limits.h"

void pg_dht_records_init(pg_dht_records *records, const pg_dht_key *self, int64_t ttl_ns)
{
    *records = (pg_dht_records){
        .self = *self,
        .ttl_ns = ttl_ns,
        .count_max = PG_DHT_RECORDS_MAX,
        .bytes_max = PG_DHT_RECORD_BYTES_MAX,
        .quota = {.peer_max = PG_DHT_PEER_RECORDS_MAX, .group_max = PG_DHT_GROUP_RECORDS_MAX},
    };
    pg_list_init(&records->age);
    for (size_t i = 0; i < PG_DHT_RANKS; i++) {
        pg_list_init(&records->ranks[i]);
    }
}

// ---- order ----

// Keep the order of expiry: nearly always the new one is the last.
static void age_insert(pg_dht_records *records, pg_dht_record *record)
{
    pg_list *before = records->age.prev;
    while (before != &records->age &&
           PG_LIST_OBJECT(before, pg_dht_record, age)->expires_at > record->expires_at) {
        before = before->prev;
    }
    pg_list_append(before->next, &record->age);
}

static void share_give(pg_dht_records *records, const pg_dht_record *record)
{
    if (!record->is_own) {
        pg_dht_quota_give(&records->quota, &record->source);
    }
}

// ---- going ----

static void record_free(pg_dht_record *record)
{
    pg_mfree(record->value_space);
    pg_mfree(record);
}

static void record_remove(pg_dht_records *records, pg_dht_record *record)
{
    (void) pg_map_take(&records->by_key, record->key);
    pg_list_remove(&record->age);
    pg_list_remove(&record->rank_node);
    records->count--;
    records->bytes -= record->key.len + record->value.len;
    share_give(records, record);
    if (records->listener.on_gone != NULL) {
        records->listener.on_gone(record, records->listener.user);
    }
    record_free(record);
}

// Make room for records and bytes beside those there are, for one of `rank`: farther ones go, the oldest of the farthest first.
static pg_err room_make(pg_dht_records *records, unsigned rank, size_t count, size_t bytes)
{
    while (records->count + count > records->count_max ||
           records->bytes + bytes > records->bytes_max) {
        unsigned farthest = 0;
        while (farthest < rank && pg_list_is_empty(&records->ranks[farthest])) {
            farthest++;
        }
        if (farthest == rank) {
            return pg_fail(PG_ERR_FULL, "the store of records is full of nearer ones");
        }
        pg_list *node = records->ranks[farthest].next;
        record_remove(records, PG_LIST_OBJECT(node, pg_dht_record, rank_node));
        records->evicted++;
    }
    return PG_OK;
}

size_t pg_dht_records_expire(pg_dht_records *records, pg_time now, size_t max)
{
    size_t count = 0;
    while (count < max && !pg_list_is_empty(&records->age)) {
        pg_dht_record *oldest = PG_LIST_OBJECT(records->age.next, pg_dht_record, age);
        if (oldest->expires_at > now) {
            break;
        }
        record_remove(records, oldest);
        count++;
    }
    return count;
}

// ---- coming ----

static pg_err value_dup(pg_bytes value, uint8_t **out_copy)
{
    uint8_t *copy = pg_malloc(value.len);
    if (copy == NULL) {
        return PG_ERR_NOMEM;
    }
    if (value.len > 0) {
        memcpy(copy, value.ptr, value.len);
    }
    *out_copy = copy;
    return PG_OK;
}

static void value_set(pg_dht_records *records, pg_dht_record *record, uint8_t *space, size_t len)
{
    records->bytes += len;
    records->bytes -= record->value.len;
    pg_mfree(record->value_space);
    record->value_space = space;
    record->value = pg_bytes_make(space, len);
}

// A newer value, or the same once more. The share it counts against stays that of who came first.
static pg_err record_update(pg_dht_records *records, pg_dht_record *record,
                            const pg_dht_record *like)
{
    uint8_t *space = NULL;
    if (like->value.len > record->value.len) {
        PG_TRY(room_make(records, record->rank, 0, like->value.len - record->value.len));
    }
    PG_TRY(value_dup(like->value, &space));
    value_set(records, record, space, like->value.len);
    if (like->is_own) {
        share_give(records, record);
        record->is_own = true;
    }
    record->is_written = record->is_written || like->is_written;
    record->received_wall_ms = like->received_wall_ms;
    record->expires_at = like->expires_at;
    pg_list_remove(&record->age);
    age_insert(records, record);
    return PG_OK;
}

static pg_dht_record *record_make(const pg_dht_records *records, const pg_dht_record *like)
{
    pg_dht_record *record = pg_malloc(sizeof(*record) + like->key.len);
    if (record == NULL) {
        return NULL;
    }
    uint8_t *space = (uint8_t *) (record + 1);
    memcpy(space, like->key.ptr, like->key.len);
    *record = (pg_dht_record){
        .key = pg_bytes_make(space, like->key.len),
        .received_wall_ms = like->received_wall_ms,
        .expires_at = like->expires_at,
        .source = like->source,
        .is_own = like->is_own,
        .is_written = like->is_written,
    };
    pg_dht_key key = pg_dht_key_of(record->key);
    unsigned prefix = pg_dht_key_prefix(&records->self, &key);
    record->rank = prefix < PG_DHT_RANKS ? prefix : PG_DHT_RANKS - 1;
    return record;
}

// Enter a record that has its share and no value yet.
static pg_err record_enter(pg_dht_records *records, pg_dht_record *record, pg_bytes value)
{
    uint8_t *space = NULL;
    PG_TRY(room_make(records, record->rank, 1, record->key.len + value.len));
    PG_TRY(value_dup(value, &space));
    pg_err err = pg_map_add(&records->by_key, record->key, record);
    if (err != PG_OK) {
        pg_mfree(space);
        return err;
    }
    value_set(records, record, space, value.len);
    age_insert(records, record);
    pg_list_append(&records->ranks[record->rank], &record->rank_node);
    records->count++;
    records->bytes += record->key.len;
    return PG_OK;
}

static pg_err record_add(pg_dht_records *records, const pg_dht_record *like)
{
    pg_dht_record *record = record_make(records, like);
    if (record == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = record->is_own ? PG_OK : pg_dht_quota_take(&records->quota, &record->source);
    if (err != PG_OK) {
        record_free(record);
        return err;
    }
    err = record_enter(records, record, like->value);
    if (err != PG_OK) {
        share_give(records, record);
        record_free(record);
    }
    return err;
}

static pg_err record_put(pg_dht_records *records, const pg_dht_record *like)
{
    pg_dht_record *known = pg_map_get(&records->by_key, like->key);
    pg_err err = known != NULL ? record_update(records, known, like) : record_add(records, like);
    records->refused += err == PG_ERR_LIMIT || err == PG_ERR_FULL ? 1U : 0U;
    return err;
}

pg_err pg_dht_records_put(pg_dht_records *records, pg_bytes key, pg_bytes value,
                          const pg_dht_source *source, pg_time now, int64_t wall_ms)
{
    pg_dht_record like = {
        .key = key,
        .value = value,
        .received_wall_ms = wall_ms,
        .expires_at = now + records->ttl_ns,
        .is_own = source == NULL,
    };
    if (source != NULL) {
        like.source = *source;
    }
    PG_TRY(record_put(records, &like));
    if (records->listener.on_put != NULL) {
        records->listener.on_put(pg_map_get(&records->by_key, key), records->listener.user);
    }
    return PG_OK;
}

pg_err pg_dht_records_restore(pg_dht_records *records, const pg_dht_record *record)
{
    return record_put(records, record);
}

const pg_dht_record *pg_dht_records_get(const pg_dht_records *records, pg_bytes key, pg_time now)
{
    const pg_dht_record *record = pg_map_get(&records->by_key, key);
    return record != NULL && record->expires_at > now ? record : NULL;
}

void pg_dht_records_deinit(pg_dht_records *records)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&records->by_key, &cursor)) {
        record_free(cursor.value);
    }
    pg_map_deinit(&records->by_key);
    pg_dht_quota_deinit(&records->quota);
}
