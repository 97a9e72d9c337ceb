// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include <string.h>

#include "base/mem.h"

static uint64_t hash_seed;

// A folded 64x64 multiplication a word: fast, and hard to collide without the seed. It guards tables, not secrets.
static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t) (a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);
    return (uint64_t) product ^ (uint64_t) (product >> 64);
}

static unsigned map_hash(const void *key, size_t len)
{
    const unsigned char *at = key;
    uint64_t hash = mix(hash_seed, len);
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word = 0;
        memcpy(&word, at, 8);
        hash = mix(hash ^ word, hash_seed);
    }
    uint64_t tail = 0;
    memcpy(&tail, at, len);
    hash = mix(hash ^ tail, hash_seed);
    return (unsigned) (hash ^ hash >> 32);
}

#define uthash_malloc(size) pg_malloc(size)
#define uthash_free(memory, size) pg_mfree(memory)
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) (out_of_memory = true)
#define HASH_FUNCTION(key, len, out_hash) ((out_hash) = map_hash((key), (len)))
#include <uthash.h>

struct pg_map_entry {
    UT_hash_handle hh;
    void *value;
    size_t key_len;
    uint8_t key[];
};

void pg_map_seed(uint64_t seed)
{
    hash_seed = seed;
}

static pg_map_entry *entry_find(const pg_map *map, pg_bytes key)
{
    pg_map_entry *entry = NULL;
    const void *bytes = key.len == 0 ? "" : (const void *) key.ptr; // an empty view may be NULL
    HASH_FIND(hh, map->head, bytes, key.len, entry);
    return entry;
}

pg_err pg_map_add(pg_map *map, pg_bytes key, void *value)
{
    pg_assert(value != NULL);
    if (entry_find(map, key) != NULL) {
        return pg_fail(PG_ERR_EXISTS, "key is in the map already");
    }
    size_t size = 0;
    if (!pg_add_size(sizeof(pg_map_entry), key.len, &size)) {
        return pg_fail(PG_ERR_LIMIT, "key of %zu bytes", key.len);
    }
    pg_map_entry *entry = pg_calloc(1, size);
    if (entry == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a map entry");
    }
    entry->value = value;
    entry->key_len = key.len;
    if (key.len != 0) {
        memcpy(entry->key, key.ptr, key.len);
    }
    bool out_of_memory = false;
    HASH_ADD_KEYPTR(hh, map->head, entry->key, entry->key_len, entry);
    if (out_of_memory) {
        pg_mfree(entry);
        return pg_fail(PG_ERR_NOMEM, "no memory for a map entry");
    }
    return PG_OK;
}

void *pg_map_get(const pg_map *map, pg_bytes key)
{
    const pg_map_entry *entry = entry_find(map, key);
    return entry == NULL ? NULL : entry->value;
}

void *pg_map_take(pg_map *map, pg_bytes key)
{
    pg_map_entry *entry = entry_find(map, key);
    if (entry == NULL) {
        return NULL;
    }
    void *value = entry->value;
    HASH_DEL(map->head, entry);
    pg_mfree(entry);
    return value;
}

size_t pg_map_count(const pg_map *map)
{
    return HASH_COUNT(map->head);
}

bool pg_map_next(const pg_map *map, pg_map_cursor *cursor)
{
    pg_map_entry *entry = cursor->begun ? cursor->next : map->head;
    cursor->begun = true;
    if (entry == NULL) {
        return false;
    }
    cursor->key = pg_bytes_make(entry->key, entry->key_len);
    cursor->value = entry->value;
    cursor->next = entry->hh.next;
    return true;
}

void pg_map_deinit(pg_map *map)
{
    pg_map_entry *entry = map->head;
    while (entry != NULL) {
        pg_map_entry *next = entry->hh.next;
        HASH_DEL(map->head, entry);
        pg_mfree(entry);
        entry = next;
    }
}
