// SPDX-License-Identifier: Apache-2.0
// The block store against the least work there is, appending to a file with the same syncs and one digest, and against RocksDB where its
// development package is installed; and how long opening takes. Runs in a new folder below the present one.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef BENCH_ROCKSDB
#include <rocksdb/c.h>
#endif

#include "base/attr.h"
#include "bench.h"
#include "crypto/hash.h"
#include "runtime/fiber.h"
#include "runtime/runtime.h"
#include "store/blocks.h"

#define LARGE_BYTES ((size_t) 1 << 20)
#define SMALL_BYTES ((size_t) 128 << 10)
#define GROUP 16
#define MANY 100000
#define MANY_BYTES 512
#define PLAIN_BYTES_MAX ((off_t) 256 << 20) // then the file is begun anew

typedef struct store_state {
    char folder[64];
    pg_block_store *store;
    pg_block_store *many; // closed while the others run
    uint8_t *bytes;       // GROUP blocks of LARGE_BYTES
    size_t len;           // of a block
    uint64_t counter;
    pg_cid last; // that was put
    int plain;
    off_t plain_end;
#ifdef BENCH_ROCKSDB
    rocksdb_t *rocksdb;
    rocksdb_writeoptions_t *rocksdb_write;
#endif
} store_state;

/** A case: how long blocks are, how many at once. */
typedef struct store_case {
    store_state *state;
    size_t len;
    unsigned count;
} store_case;

static const pg_key key = {.bytes = {1}};

static void must(bool good)
{
    if (!good) {
        (void) fprintf(stderr, "bench_store: %s\n", pg_error_last()->text);
        abort();
    }
}

// A block nobody has seen yet, in the place of its number.
static pg_bytes block_next(store_state *state, unsigned number, size_t len)
{
    uint8_t *block = state->bytes + number * LARGE_BYTES;
    state->counter++;
    memcpy(block, &state->counter, sizeof(state->counter));
    return pg_bytes_make(block, len);
}

// ---- Ours

static void put_block(store_state *state, pg_bytes block)
{
    pg_cid cid = pg_cid_of_blake3(block);
    must(pg_block_store_put(state->store, &cid, block) == PG_OK);
    state->last = cid;
}

/** A put on a fiber. */
typedef struct put {
    store_state *state;
    pg_bytes block;
} put;

static pg_err put_run(void *arg)
{
    const put *one = arg;
    put_block(one->state, one->block);
    return PG_OK;
}

static void on_put(void *user)
{
    const store_case *one = user;
    put puts[GROUP];
    pg_scope scope;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < one->count; i++) {
        puts[i] = (put){one->state, block_next(one->state, i, one->len)};
        must(pg_scope_spawn(&scope, "bench.put", put_run, &puts[i]) == PG_OK);
    }
    must(pg_scope_join(&scope) == PG_OK);
}

static void on_put_delete(void *user)
{
    const store_case *one = user;
    on_put(user);
    must(pg_block_store_delete(one->state->store, &one->state->last) == PG_OK);
}

static void on_get(void *user)
{
    const store_case *one = user;
    pg_buf buf = {0};
    if (one->state->len != one->len) {
        put_block(one->state, block_next(one->state, 0, one->len));
        one->state->len = one->len;
    }
    must(pg_block_store_get(one->state->store, &one->state->last, &buf) == PG_OK);
    pg_buf_deinit(&buf);
}

static void many_open(store_state *state)
{
    char dir[96];
    (void) snprintf(dir, sizeof(dir), "%s/many", state->folder);
    pg_block_store_config config = {.dir = dir, .quota_bytes = UINT64_MAX, .key = &key};
    must(pg_block_store_open(&config, &state->many) == PG_OK);
}

static void on_open_saved(void *user)
{
    const store_case *one = user;
    many_open(one->state);
    pg_block_store_close(&one->state->many);
}

static void on_open_rebuilt(void *user)
{
    const store_case *one = user;
    char path[96];
    (void) snprintf(path, sizeof(path), "%s/many/index", one->state->folder);
    must(unlink(path) == 0);
    on_open_saved(user);
}

static pg_err many_run(void *arg)
{
    store_state *state = arg;
    uint8_t bytes[MANY_BYTES] = {0};
    for (unsigned i = 0; i < MANY / 100; i++) {
        state->counter++;
        memcpy(bytes, &state->counter, sizeof(state->counter));
        pg_cid cid = pg_cid_of_blake3(PG_BYTES_OF(bytes));
        PG_TRY(pg_block_store_put(state->many, &cid, PG_BYTES_OF(bytes)));
    }
    return PG_OK;
}

static void many_make(store_state *state)
{
    pg_scope scope;
    pg_scope_init(&scope);
    many_open(state);
    for (unsigned i = 0; i < 100; i++) {
        must(pg_scope_spawn(&scope, "bench.many", many_run, state) == PG_OK);
    }
    must(pg_scope_join(&scope) == PG_OK);
    pg_block_store_close(&state->many);
}

// ---- Plain

static void on_append(void *user)
{
    const store_case *one = user;
    store_state *state = one->state;
    for (unsigned i = 0; i < one->count; i++) {
        pg_bytes block = block_next(state, i, one->len);
        state->last = pg_cid_of_blake3(block);
        must(pwrite(state->plain, block.ptr, block.len, state->plain_end) == (ssize_t) block.len);
        state->plain_end += (off_t) block.len;
    }
    must(fdatasync(state->plain) == 0);
    if (state->plain_end > PLAIN_BYTES_MAX) {
        must(ftruncate(state->plain, 0) == 0);
        state->plain_end = 0;
    }
}

static void on_read(void *user)
{
    const store_case *one = user;
    uint8_t *bytes = bench_alloc(one->len);
    must(pread(one->state->plain, bytes, one->len, 0) == (ssize_t) one->len);
    pg_cid cid = pg_cid_of_blake3(pg_bytes_make(bytes, one->len));
    must(cid.len != 0);
    free(bytes);
}

// ---- RocksDB

#ifdef BENCH_ROCKSDB
static void on_rocksdb_put(void *user)
{
    const store_case *one = user;
    store_state *state = one->state;
    char *error = NULL;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (unsigned i = 0; i < one->count; i++) {
        pg_bytes block = block_next(state, i, one->len);
        pg_cid cid = pg_cid_of_blake3(block);
        rocksdb_writebatch_put(batch, (const char *) cid.bytes, cid.len, (const char *) block.ptr,
                               block.len);
    }
    rocksdb_write(state->rocksdb, state->rocksdb_write, batch, &error);
    must(error == NULL);
    rocksdb_writebatch_destroy(batch);
}

// Blob files, which suit large values best.
static void rocksdb_begin(store_state *state)
{
    char dir[96];
    char *error = NULL;
    (void) snprintf(dir, sizeof(dir), "%s/rocksdb", state->folder);
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_enable_blob_files(options, 1);
    rocksdb_options_set_min_blob_size(options, 4096);
    state->rocksdb = rocksdb_open(options, dir, &error);
    must(error == NULL);
    rocksdb_options_destroy(options);
    state->rocksdb_write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(state->rocksdb_write, 1);
}

static void rocksdb_end(store_state *state)
{
    rocksdb_writeoptions_destroy(state->rocksdb_write);
    rocksdb_close(state->rocksdb);
}
#endif

// ---- All

static void begin(store_state *state)
{
    char path[96];
    (void) snprintf(state->folder, sizeof(state->folder), "bench-store-XXXXXX");
    must(mkdtemp(state->folder) != NULL);
    (void) snprintf(path, sizeof(path), "%s/blocks", state->folder);
    pg_block_store_config config = {.dir = path, .quota_bytes = UINT64_MAX, .key = &key};
    must(pg_block_store_open(&config, &state->store) == PG_OK);
    state->bytes = bench_alloc(GROUP * LARGE_BYTES);
    bench_fill_random(state->bytes, GROUP * LARGE_BYTES, 1);
    many_make(state);
    (void) snprintf(path, sizeof(path), "%s/plain", state->folder);
    state->plain = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    must(state->plain >= 0);
}

static pg_err run(void *arg)
{
    (void) arg;
    store_state state = {0};
    begin(&state);
    store_case large = {&state, LARGE_BYTES, 1};
    store_case small = {&state, SMALL_BYTES, 1};
    store_case large_group = {&state, LARGE_BYTES, GROUP};
    store_case small_group = {&state, SMALL_BYTES, GROUP};
    const double mib = (double) LARGE_BYTES;
    const double kib = (double) SMALL_BYTES;
    const bench_case cases[] = {
        {"append 1 MiB, sync", mib, on_append, &large, NULL},
        {"put 1 MiB", mib, on_put, &large, "append 1 MiB, sync"},
        {"append 16 x 1 MiB, sync", GROUP * mib, on_append, &large_group, NULL},
        {"put 16 x 1 MiB at once", GROUP * mib, on_put, &large_group, "append 16 x 1 MiB, sync"},
        {"append 128 KiB, sync", kib, on_append, &small, NULL},
        {"put 128 KiB", kib, on_put, &small, "append 128 KiB, sync"},
        {"append 16 x 128 KiB, sync", GROUP * kib, on_append, &small_group, NULL},
        {"put 16 x 128 KiB at once", GROUP * kib, on_put, &small_group,
         "append 16 x 128 KiB, sync"},
        {"put and delete 128 KiB", kib, on_put_delete, &small, "append 128 KiB, sync"},
#ifdef BENCH_ROCKSDB
        {"RocksDB 1 MiB", mib, on_rocksdb_put, &large, "append 1 MiB, sync"},
        {"RocksDB 16 x 1 MiB", GROUP * mib, on_rocksdb_put, &large_group,
         "append 16 x 1 MiB, sync"},
        {"RocksDB 128 KiB", kib, on_rocksdb_put, &small, "append 128 KiB, sync"},
        {"RocksDB 16 x 128 KiB", GROUP * kib, on_rocksdb_put, &small_group,
         "append 16 x 128 KiB, sync"},
#endif
    };
    const bench_case reads[] = {
        {"read 1 MiB and digest", mib, on_read, &large, NULL},
        {"get 1 MiB", mib, on_get, &large, "read 1 MiB and digest"},
    };
    const bench_case small_reads[] = {
        {"read 128 KiB and digest", kib, on_read, &small, NULL},
        {"get 128 KiB", kib, on_get, &small, "read 128 KiB and digest"},
        {"open 100,000 blocks, saved", 0, on_open_saved, &small, NULL},
        {"open 100,000 blocks, rebuilt", 0, on_open_rebuilt, &small, NULL},
    };
#ifdef BENCH_ROCKSDB
    rocksdb_begin(&state);
#endif
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
#ifdef BENCH_ROCKSDB
    rocksdb_end(&state);
#endif
    must(ftruncate(state.plain, (off_t) LARGE_BYTES) == 0);
    bench_run(reads, PG_ARRAY_LEN(reads), NULL);
    bench_run(small_reads, PG_ARRAY_LEN(small_reads), NULL);
    pg_block_store_close(&state.store);
    (void) close(state.plain);
    free(state.bytes);
    bench_folder_remove(state.folder);
    return PG_OK;
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    return pg_runtime_run(NULL, run, NULL) == PG_OK ? 0 : 1;
}
