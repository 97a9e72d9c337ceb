// SPDX-License-Identifier: Apache-2.0
// A store of objects in memory that takes its time, and fails as it is told: what S3 is to the program, for simulated nodes.
#pragma once

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/sim.h"
#include "runtime/time.h"
#include "store/objects.h"

#define SIM_OBJECT_MS 40 // that a call takes, at most

typedef struct sim_bucket {
    pg_map objects; // by name: pg_buf
    unsigned fails; // of a hundred calls
    uint64_t puts;
    uint64_t gets;
    uint64_t removes;
} sim_bucket;

static inline pg_err sim_bucket_enter(sim_bucket *self)
{
    PG_TRY(pg_sleep_until(pg_after(PG_MS(1 + (int64_t) pg_sim_random_below(SIM_OBJECT_MS)))));
    return pg_sim_random_below(100) < self->fails ? pg_fail(PG_ERR_BUSY, "SlowDown") : PG_OK;
}

static inline void sim_bucket_drop(sim_bucket *self, const char *name)
{
    pg_buf *buf = pg_map_take(&self->objects, pg_bytes_cstr(name));
    if (buf != NULL) {
        pg_buf_deinit(buf);
        pg_mfree(buf);
    }
}

static inline pg_err sim_bucket_put(void *self, const char *name, pg_bytes body)
{
    sim_bucket *bucket = self;
    PG_TRY(sim_bucket_enter(bucket));
    pg_buf *made = PG_NEW(pg_buf);
    if (made == NULL || pg_buf_append(made, body) != PG_OK) {
        pg_mfree(made);
        return PG_ERR_NOMEM;
    }
    sim_bucket_drop(bucket, name);
    bucket->puts++;
    return pg_map_add(&bucket->objects, pg_bytes_cstr(name), made);
}

static inline pg_err sim_bucket_get(void *self, const char *name, const pg_object_range *range,
                                    pg_buf *out)
{
    sim_bucket *bucket = self;
    PG_TRY(sim_bucket_enter(bucket));
    const pg_buf *buf = pg_map_get(&bucket->objects, pg_bytes_cstr(name));
    if (buf == NULL) {
        return PG_ERR_NOT_FOUND;
    }
    bucket->gets++;
    if (range == NULL) {
        return pg_buf_append(out, pg_buf_bytes(buf));
    }
    return range->offset + range->len > buf->len
               ? PG_ERR_CORRUPT
               : pg_buf_append(out, pg_bytes_slice(pg_buf_bytes(buf), (size_t) range->offset,
                                                   (size_t) range->len));
}

static inline pg_err sim_bucket_head(void *self, const char *name, uint64_t *out_bytes)
{
    sim_bucket *bucket = self;
    PG_TRY(sim_bucket_enter(bucket));
    const pg_buf *buf = pg_map_get(&bucket->objects, pg_bytes_cstr(name));
    *out_bytes = buf == NULL ? 0 : buf->len;
    return buf == NULL ? PG_ERR_NOT_FOUND : PG_OK;
}

static inline pg_err sim_bucket_remove(void *self, const char *name)
{
    sim_bucket *bucket = self;
    PG_TRY(sim_bucket_enter(bucket));
    sim_bucket_drop(bucket, name);
    bucket->removes++;
    return PG_OK;
}

// In no order: nobody counts on it.
static inline pg_err sim_bucket_list(void *self, const char *prefix, pg_object_fn each, void *user)
{
    sim_bucket *bucket = self;
    pg_map_cursor cursor = {.begun = false};
    PG_TRY(sim_bucket_enter(bucket));
    while (pg_map_next(&bucket->objects, &cursor)) {
        char name[256] = "";
        memcpy(name, cursor.key.ptr, cursor.key.len);
        if (strncmp(name, prefix, strlen(prefix)) == 0) {
            PG_TRY(each(name, ((const pg_buf *) cursor.value)->len, user));
        }
    }
    return PG_OK;
}

/** Make it a store. It begins all-zero, and is freed with sim_bucket_clear. */
static inline pg_objects sim_bucket_objects(sim_bucket *bucket)
{
    return (pg_objects){sim_bucket_put,    sim_bucket_get,  sim_bucket_head,
                        sim_bucket_remove, sim_bucket_list, bucket};
}

/** Change a byte of every object whose name ends in `end`. Returns how many. */
static inline size_t sim_bucket_tamper(sim_bucket *bucket, const char *end)
{
    pg_map_cursor cursor = {.begun = false};
    size_t count = 0;
    while (pg_map_next(&bucket->objects, &cursor)) {
        pg_buf *buf = cursor.value;
        bool is_it = cursor.key.len >= strlen(end) &&
                     memcmp(cursor.key.ptr + cursor.key.len - strlen(end), end, strlen(end)) == 0;
        for (size_t at = 0; is_it && at < buf->len; at += 1000) {
            buf->ptr[at] ^= 1;
        }
        count += is_it ? 1 : 0;
    }
    return count;
}

/** Free all objects. */
static inline void sim_bucket_clear(sim_bucket *bucket)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&bucket->objects, &cursor)) {
        pg_buf_deinit(cursor.value);
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&bucket->objects);
    *bucket = (sim_bucket){.fails = 0};
}
