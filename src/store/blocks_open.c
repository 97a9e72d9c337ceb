// SPDX-License-Identifier: Apache-2.0
// Opening a block store, and rebuilding its index from the pack files after a crash.
//
// A rebuild looks for headers at every place where a block may begin, and steps over the body of each it finds. Bodies are
// verified and settled in the last pack only: no other can hold what was not synced. What no header accounts for is given back.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "runtime/offload.h"
#include "runtime/random.h"
#include "store/blocks_priv.h"

#define NAME_FILE "store"
#define NAME_MAGIC PG_BYTES_LIT("pangea blocks\n")
#define NAME_VERSION 1
#define ID_BYTES 16
#define NAME_FIELDS_BYTES (14 + 2 + ID_BYTES + PG_HASH_BYTES)
#define NAME_FILE_BYTES (NAME_FIELDS_BYTES + PG_HASH_BYTES)
#define NAME_FILE_BYTES_MAX 4096 // a later version may need more

// ---- The file that names the store: whether it is one, and whether the key is right

// For one purpose: BLAKE3 under the caller's key of the purpose and the store's random id.
static void key_derive(const pg_key *key, const char *purpose, const uint8_t id[ID_BYTES],
                       pg_key *out_key)
{
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, key);
    pg_blake3_stream_update(&stream, pg_bytes_cstr(purpose));
    pg_blake3_stream_update(&stream, pg_bytes_make(id, ID_BYTES));
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(out_key->bytes));
    pg_wipe(&stream, sizeof(stream));
}

static void keys_derive(pg_block_store *store, const pg_key *key, const uint8_t id[ID_BYTES])
{
    pg_key table_key PG_CLEANUP(pg_key_wipe) = {0};
    key_derive(key, "pangea blocks v1 header", id, &store->header_key);
    key_derive(key, "pangea blocks v1 index", id, &store->index_key);
    key_derive(key, "pangea blocks v1 table", id, &table_key);
    pg_block_index_init(&store->index, &table_key);
}

static pg_err name_make(pg_block_store *store, const char *path, const pg_key *key)
{
    uint8_t id[ID_BYTES];
    uint8_t space[NAME_FILE_BYTES];
    uint8_t digest[PG_HASH_BYTES];
    pg_key check PG_CLEANUP(pg_key_wipe) = {0};
    pg_random_bytes(PG_MUT_BYTES_OF(id));
    key_derive(key, "pangea blocks v1 check", id, &check);
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_put(&writer, NAME_MAGIC);
    pg_writer_u16be(&writer, NAME_VERSION);
    pg_writer_put(&writer, PG_BYTES_OF(id));
    pg_writer_put(&writer, pg_key_bytes(&check));
    pg_blake3(pg_writer_bytes(&writer), digest);
    pg_writer_put(&writer, PG_BYTES_OF(digest));
    pg_assert(!writer.failed && writer.len == NAME_FILE_BYTES);
    PG_TRY(pg_file_replace(path, pg_writer_bytes(&writer), 0600));
    keys_derive(store, key, id);
    return PG_OK;
}

static pg_err name_check(pg_block_store *store, pg_bytes in, const pg_key *key)
{
    uint8_t id[ID_BYTES];
    uint8_t digest[PG_HASH_BYTES];
    pg_key check PG_CLEANUP(pg_key_wipe) = {0};
    pg_reader reader = pg_reader_make(in);
    pg_bytes magic = pg_reader_take(&reader, NAME_MAGIC.len);
    uint16_t version = pg_reader_u16be(&reader);
    pg_reader_copy(&reader, id, sizeof(id));
    pg_bytes saved_check = pg_reader_take(&reader, PG_HASH_BYTES);
    pg_bytes saved_digest = pg_reader_take(&reader, PG_HASH_BYTES);
    if (!pg_bytes_equal(magic, NAME_MAGIC)) {
        return pg_fail(PG_ERR_CORRUPT, "%s/" NAME_FILE " does not name a block store", store->dir);
    }
    pg_blake3(pg_bytes_slice(in, 0, NAME_FIELDS_BYTES), digest);
    if (version == NAME_VERSION && (pg_reader_finish(&reader) != PG_OK ||
                                    !pg_bytes_equal(saved_digest, PG_BYTES_OF(digest)))) {
        return pg_fail(PG_ERR_CORRUPT, "%s/" NAME_FILE " is damaged", store->dir);
    }
    if (version != NAME_VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "the block store has version %u; this program knows version %d", version,
                       NAME_VERSION);
    }
    key_derive(key, "pangea blocks v1 check", id, &check);
    if (!pg_secret_equal(saved_check, pg_key_bytes(&check))) {
        return pg_fail(PG_ERR_KEY, "the block store in %s has another key", store->dir);
    }
    keys_derive(store, key, id);
    return PG_OK;
}

static pg_err name_read(pg_block_store *store, const char *path, const pg_key *key)
{
    pg_buf text = {0};
    pg_err err = pg_file_load(path, NAME_FILE_BYTES_MAX, &text);
    if (err == PG_OK) {
        err = name_check(store, pg_buf_bytes(&text), key);
    }
    pg_buf_deinit(&text);
    return err;
}

static pg_err name_open(pg_block_store *store, const pg_key *key)
{
    pg_buf path = {0};
    pg_err err = pg_block_store_path(store, NAME_FILE, &path);
    if (err == PG_OK) {
        err = name_read(store, (const char *) path.ptr, key);
    }
    if (err == PG_ERR_CORRUPT) {
        err = name_read(store, (const char *) path.ptr, key); // it may have been the reading
    }
    if (err == PG_ERR_NOT_FOUND && store->packs.count != 0) {
        err = pg_fail(PG_ERR_CORRUPT, "%s holds pack files, but no file " NAME_FILE, store->dir);
    } else if (err == PG_ERR_NOT_FOUND) {
        err = name_make(store, (const char *) path.ptr, key);
    }
    pg_buf_deinit(&path);
    return err;
}

// ---- Rebuilding

/** A block that was found. */
struct found {
    pg_block_header header;
    uint32_t unit;
};

/** The look through one pack, for jobs. */
struct scan {
    const pg_key *key;
    pg_file *file;
    uint32_t pack;
    bool is_last;
    bool without_holes;
    pg_buf found; // found[], by unit
    uint32_t end_unit;
    uint64_t live_bytes;
    uint64_t dead_bytes;
};

static size_t found_count(const struct scan *scan)
{
    return scan->found.len / sizeof(struct found);
}

static struct found *found_at(const struct scan *scan, size_t number)
{
    return (struct found *) (void *) scan->found.ptr + number;
}

// Verify a block, and write what was read once more. After a failed sync the cache may hold what the disk does not, marked as
// written: only writing again makes the next sync mean something.
static pg_err block_settle(const struct scan *scan, const struct found *found)
{
    pg_block_place place = {scan->pack, found->unit};
    pg_buf block = {0};
    uint8_t *bytes = NULL;
    PG_TRY(pg_buf_extend(&block, PG_BLOCK_HEADER_BYTES + (size_t) found->header.len, &bytes));
    pg_block_read read = {
        .file = scan->file,
        .place = place,
        .cid = &found->header.cid,
        .len = found->header.len,
        .out = bytes + PG_BLOCK_HEADER_BYTES,
    };
    pg_err err = pg_block_read_run(&read);
    if (err == PG_OK) {
        pg_block_header_encode(scan->key, place, &found->header, bytes);
        err = pg_file_write_at(scan->file, (uint64_t) found->unit * PG_BLOCK_UNIT_BYTES,
                               pg_buf_bytes(&block));
    }
    pg_buf_deinit(&block);
    return err;
}

// What does not read as a header is read twice: a flip on the way is not to cost a block.
static pg_err header_read(const struct scan *scan, uint32_t unit, struct found *out_found)
{
    uint8_t bytes[PG_BLOCK_HEADER_BYTES];
    pg_err err = PG_ERR_MALFORMED;
    bool is_hole = false;
    for (unsigned tries = 0; tries < 2 && err != PG_OK && !is_hole; tries++) {
        size_t len = 0;
        PG_TRY(pg_file_read_at(scan->file, (uint64_t) unit * PG_BLOCK_UNIT_BYTES,
                               PG_MUT_BYTES_OF(bytes), &len));
        err = pg_block_header_decode(scan->key, (pg_block_place){scan->pack, unit},
                                     pg_bytes_make(bytes, len), &out_found->header);
        is_hole = bytes[0] == 0 && memcmp(bytes, bytes + 1, sizeof(bytes) - 1) == 0;
    }
    out_found->unit = unit;
    return err == PG_OK ? PG_OK : PG_ERR_NOT_FOUND;
}

static pg_err job_scan(void *arg)
{
    struct scan *scan = arg;
    pg_file_info info;
    PG_TRY(pg_file_stat(scan->file, &info));
    uint64_t size = info.size_bytes < PG_PACK_BYTES_MAX ? info.size_bytes : PG_PACK_BYTES_MAX;
    uint32_t units = (uint32_t) ((size + PG_BLOCK_UNIT_BYTES - 1) / PG_BLOCK_UNIT_BYTES);
    for (uint32_t unit = 0; unit < units;) {
        struct found found;
        pg_err err = header_read(scan, unit, &found);
        if (err == PG_OK && scan->is_last) {
            err = block_settle(scan, &found);
        }
        if (err == PG_OK) {
            PG_TRY(pg_buf_append(&scan->found, pg_bytes_make(&found, sizeof(found))));
        } else if (err != PG_ERR_NOT_FOUND && err != PG_ERR_CORRUPT) {
            return err;
        }
        unit += err == PG_OK ? pg_block_units(found.header.len) : 1;
    }
    return scan->is_last ? pg_file_sync(scan->file) : PG_OK;
}

static pg_err gaps_punch(struct scan *scan)
{
    uint64_t begin = 0;
    for (size_t i = 0; i < found_count(scan); i++) {
        const struct found *found = found_at(scan, i);
        uint64_t end = (uint64_t) found->unit * PG_BLOCK_UNIT_BYTES;
        if (end > begin) {
            PG_TRY(pg_file_punch(scan->file, begin, end - begin));
        }
        begin = end + (uint64_t) pg_block_units(found->header.len) * PG_BLOCK_UNIT_BYTES;
    }
    return PG_OK;
}

// Cut what stands behind the last block, and make holes between the blocks where more is taken than they account for.
static pg_err job_reclaim(void *arg)
{
    struct scan *scan = arg;
    pg_file_info info;
    uint64_t end = 0;
    size_t count = found_count(scan);
    if (count != 0) {
        const struct found *last = found_at(scan, count - 1);
        end =
            (uint64_t) last->unit * PG_BLOCK_UNIT_BYTES + PG_BLOCK_HEADER_BYTES + last->header.len;
        scan->end_unit = last->unit + pg_block_units(last->header.len);
    }
    PG_TRY(pg_file_stat(scan->file, &info));
    if (info.size_bytes > end) {
        PG_TRY(pg_file_truncate(scan->file, end));
        PG_TRY(pg_file_stat(scan->file, &info));
    }
    if (info.allocated_bytes <= scan->live_bytes) {
        return PG_OK;
    }
    pg_err err = scan->without_holes ? PG_ERR_UNSUPPORTED : gaps_punch(scan);
    if (err == PG_ERR_UNSUPPORTED) {
        scan->dead_bytes = info.allocated_bytes - scan->live_bytes;
        return PG_OK;
    }
    return err == PG_OK ? pg_file_sync(scan->file) : err;
}

// A block that was found in another pack before is not kept here; only somebody who copies files can bring that about.
static pg_err found_add(pg_block_store *store, struct scan *scan)
{
    size_t kept = 0;
    for (size_t i = 0; i < found_count(scan); i++) {
        struct found *found = found_at(scan, i);
        uint32_t number = 0;
        if (pg_block_index_find(&store->index, &found->header.cid) == PG_BLOCK_NONE) {
            PG_TRY(pg_block_index_add(&store->index, &found->header,
                                      (pg_block_place){scan->pack, found->unit},
                                      PG_BLOCK_STATE_LIVE, &number));
            scan->live_bytes += (uint64_t) pg_block_units(found->header.len) * PG_BLOCK_UNIT_BYTES;
            *found_at(scan, kept++) = *found;
        }
    }
    scan->found.len = kept * sizeof(struct found);
    return PG_OK;
}

static pg_err pack_rebuild(pg_block_store *store, pg_pack *pack)
{
    struct scan scan = {
        .key = &store->header_key,
        .file = pack->file,
        .pack = pack->number,
        .is_last = pack == pg_packs_last(&store->packs),
        .without_holes = store->without_holes,
    };
    pg_err err = pg_offload_io(job_scan, &scan);
    if (err == PG_OK) {
        err = found_add(store, &scan);
    }
    if (err == PG_OK) {
        err = pg_offload_io(job_reclaim, &scan);
    }
    pack->end_unit = scan.end_unit;
    pack->blocks = (uint32_t) found_count(&scan);
    pack->live_bytes = scan.live_bytes;
    pack->dead_bytes = scan.dead_bytes;
    store->used_bytes += scan.live_bytes + scan.dead_bytes;
    pg_buf_deinit(&scan.found);
    return pg_error_wrap(err, "pack %08x", pack->number);
}

/** Fibers that share the packs. */
struct rebuild {
    pg_block_store *store;
    size_t next;
};

static pg_err rebuild_run(void *arg)
{
    struct rebuild *rebuild = arg;
    pg_block_store *store = rebuild->store;
    while (rebuild->next < store->packs.count) {
        pg_pack *pack = store->packs.packs[rebuild->next++];
        PG_TRY(pg_packs_acquire(&store->packs, pack, 0));
        pg_err err = pack_rebuild(store, pack);
        pg_packs_release(&store->packs, pack);
        PG_TRY(err);
    }
    return PG_OK;
}

// Packs without blocks go, but for the last, whose number must not be given twice.
static pg_err empty_packs_remove(pg_block_store *store)
{
    for (size_t i = store->packs.count; i-- > 1;) {
        pg_pack *pack = store->packs.packs[i - 1];
        if (pack->blocks == 0) {
            PG_TRY(pg_packs_acquire(&store->packs, pack, 0));
            store->used_bytes -= pack->dead_bytes;
            pg_packs_remove(&store->packs, pack);
            pg_packs_release(&store->packs, pack);
        }
    }
    return PG_OK;
}

static pg_err rebuild(pg_block_store *store)
{
    struct rebuild rebuild = {.store = store};
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < PG_SCAN_FIBERS && i < store->packs.count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "store.rebuild", rebuild_run, &rebuild);
    }
    if (err == PG_OK) {
        err = pg_scope_join(&scope);
    } else {
        pg_scope_close(&scope);
    }
    store->was_rebuilt = store->packs.count != 0;
    return err == PG_OK ? empty_packs_remove(store) : err;
}

// ---- Open and close

static pg_err on_name(const char *name, void *user)
{
    pg_block_store *store = user;
    pg_pack *pack = NULL;
    uint32_t number = 0;
    pg_str text = pg_str_make(name);
    if (pg_pack_name_parse(name, &number)) {
        return pg_packs_add(&store->packs, number, &pack); // names come in order
    }
    if (text.len > 4 && strcmp(name + text.len - 4, ".tmp") == 0) {
        pg_buf path = {0};
        pg_err err = pg_block_store_path(store, name, &path);
        if (err == PG_OK) {
            pg_ignore(pg_path_remove((const char *) path.ptr), "it only takes space");
        }
        pg_buf_deinit(&path);
        return err;
    }
    return PG_OK;
}

static pg_err parent_sync(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    if (slash == NULL || slash == dir) {
        return pg_dir_sync(slash == NULL ? "." : "/");
    }
    char *parent = pg_str_dup(pg_str_make_len(dir, (size_t) (slash - dir)));
    if (parent == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot make %s", dir);
    }
    pg_err err = pg_dir_sync(parent);
    pg_mfree(parent);
    return err;
}

static pg_err folder_open(pg_block_store *store)
{
    pg_buf path = {0};
    pg_err err = pg_dir_make(store->dir);
    if (err == PG_OK) {
        err = parent_sync(store->dir);
    } else if (err == PG_ERR_EXISTS) {
        err = PG_OK;
    }
    if (err == PG_OK) {
        err = pg_block_store_path(store, "lock", &path);
    }
    if (err == PG_OK) {
        err = pg_file_open((const char *) path.ptr, PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE,
                           &store->lock);
    }
    if (err == PG_OK) {
        err = pg_file_lock(store->lock);
        if (err == PG_ERR_BUSY) {
            err = pg_fail(PG_ERR_BUSY, "%s: another process has the block store open", store->dir);
        }
    }
    pg_buf_deinit(&path);
    return err == PG_OK ? pg_dir_each(store->dir, on_name, store) : err;
}

static pg_err contents_open(pg_block_store *store, const pg_key *key)
{
    PG_TRY(folder_open(store));
    PG_TRY(name_open(store, key));
    pg_err err = pg_block_index_load(store);
    if (err == PG_ERR_NOT_FOUND || err == PG_ERR_CORRUPT) {
        err = rebuild(store);
    }
    PG_TRY(err);
    pg_pack *last = pg_packs_last(&store->packs);
    if (last != NULL) {
        PG_TRY(pg_packs_acquire(&store->packs, last, 0));
        store->active = last;
    }
    return pg_commit_start(store);
}

static void store_free(pg_block_store *store)
{
    pg_packs_deinit(&store->packs);
    pg_block_index_deinit(&store->index);
    pg_file_free(&store->lock);
    pg_key_wipe(&store->header_key);
    pg_key_wipe(&store->index_key);
    pg_mfree(store->dir);
    pg_mfree(store);
}

static pg_err store_make(const pg_block_store_config *config, pg_block_store **out_store)
{
    uint32_t pack_bytes = config->pack_bytes == 0 ? PG_PACK_BYTES_MAX : config->pack_bytes;
    if (pack_bytes < PG_PACK_BYTES_MIN || pack_bytes > PG_PACK_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "pack files of %u bytes, not %u to %u", pack_bytes,
                       PG_PACK_BYTES_MIN, PG_PACK_BYTES_MAX);
    }
    pg_block_store *store = PG_NEW(pg_block_store);
    char *dir = pg_str_dup(pg_str_make(config->dir));
    if (store == NULL || dir == NULL) {
        pg_mfree(store);
        pg_mfree(dir);
        return pg_fail(PG_ERR_NOMEM, "no memory for a block store");
    }
    store->dir = dir;
    store->quota_bytes = config->quota_bytes;
    store->pack_units = pack_bytes / PG_BLOCK_UNIT_BYTES;
    store->without_holes = config->without_holes;
    pg_packs_init(&store->packs, store->dir);
    pg_list_init(&store->dirty);
    pg_waitq_init(&store->changed);
    pg_waitq_init(&store->work);
    pg_waitq_init(&store->committed);
    *out_store = store;
    return PG_OK;
}

pg_err pg_block_store_open(const pg_block_store_config *config, pg_block_store **out_store)
{
    pg_block_store *store = NULL;
    PG_TRY(store_make(config, &store));
    pg_err err = contents_open(store, config->key);
    if (err != PG_OK) {
        store_free(store);
        return err;
    }
    *out_store = store;
    return PG_OK;
}

void pg_block_store_close(pg_block_store **store)
{
    if (*store == NULL) {
        return;
    }
    pg_fiber_shield(true);
    pg_commit_stop(*store);
    if (!(*store)->has_failed) {
        pg_ignore(pg_block_index_save(*store), "without it the next open looks through the packs");
    }
    pg_fiber_shield(false);
    store_free(*store);
    *store = NULL;
}
