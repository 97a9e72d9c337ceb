// SPDX-License-Identifier: Apache-2.0
#include "fake_files.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "runtime/random.h"
#include "runtime/time.h"

#define PERIOD 251
#define PIECE_BYTES (1U << 20)
#define NEVER UINT64_MAX

struct pg_files {
    pg_map entries; // by root
    pg_map blocks;  // by CID: pg_buf *
    pg_map pins;    // by root: pg_file_entry *, of entries
    fake_counters counters;
    uint64_t puts;
    uint8_t pattern[PIECE_BYTES + PERIOD];
};

static void must(bool condition)
{
    if (!condition) {
        pg_assert_fail("the fake has what it needs", __FILE__, __LINE__);
    }
}

pg_files *fake_files_new(void)
{
    pg_files *files = PG_NEW(pg_files);
    must(files != NULL);
    for (size_t i = 0; i < sizeof(files->pattern); i++) {
        files->pattern[i] = (uint8_t) (i % PERIOD);
    }
    return files;
}

void fake_files_free(pg_files **files)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&(*files)->entries, &cursor)) {
        pg_file_entry_deinit(cursor.value);
        pg_mfree(cursor.value);
    }
    cursor = (pg_map_cursor){0};
    while (pg_map_next(&(*files)->blocks, &cursor)) {
        pg_buf_deinit(cursor.value);
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&(*files)->entries);
    pg_map_deinit(&(*files)->blocks);
    pg_map_deinit(&(*files)->pins);
    pg_mfree(*files);
    *files = NULL;
}

fake_counters fake_files_counters(const pg_files *files)
{
    return files->counters;
}

// Find "word" (0) or "word:N" in a name; `missing` where it is not there.
static uint64_t word_find(pg_bytes name, const char *word, uint64_t missing)
{
    pg_str rest = pg_str_make_len((const char *) name.ptr, name.len);
    while (rest.len > 0) {
        pg_str part;
        pg_str head;
        uint64_t number = 0;
        rest = pg_str_split(rest, '-', &part);
        pg_str digits = pg_str_split(part, ':', &head);
        if (pg_str_equal(head, pg_str_make(word))) {
            must(digits.len == 0 || pg_str_to_u64(digits, INT64_MAX, &number) == PG_OK);
            return number;
        }
    }
    return missing;
}

static pg_err park(void)
{
    return pg_sleep_until(PG_FOREVER);
}

void pg_file_entry_deinit(pg_file_entry *entry)
{
    if (entry != NULL) {
        pg_link_wipe(&entry->link);
        pg_buf_deinit(&entry->name);
    }
}

// ---- Put

static pg_err put_read(pg_files *files, const pg_put_options *options,
                       const pg_files_source *source, uint8_t *piece, uint64_t *out_size)
{
    uint64_t full = word_find(options->name, "full", NEVER);
    uint64_t parked = word_find(options->name, "park", NEVER);
    bool is_pattern = word_find(options->name, "pattern", NEVER) != NEVER;
    uint64_t total = 0;
    for (size_t len = PIECE_BYTES; len == PIECE_BYTES; total += len) {
        if (total >= full) {
            return pg_fail(PG_ERR_FULL, "no host has room");
        }
        if (total >= parked) {
            return park();
        }
        PG_TRY(source->read(pg_mut_bytes_make(piece, PIECE_BYTES), PG_FOREVER, &len, source->user));
        files->counters.bytes_in += len;
        if (is_pattern && memcmp(piece, files->pattern + total % PERIOD, len) != 0) {
            return pg_fail(PG_ERR_CORRUPT, "not the pattern, from %llu on",
                           (unsigned long long) total);
        }
        const pg_transfer_progress progress = {total + len, options->total_bytes, 3};
        options->progress(&progress, options->user);
    }
    *out_size = total;
    return PG_OK;
}

/** Read what comes within so many milliseconds at a time; *out_parts counts how often something did. */
static pg_err put_read_parts(pg_files *files, uint64_t within_ms, const pg_files_source *source,
                             pg_mut_bytes piece, uint64_t *out_size, uint64_t *out_parts)
{
    for (;;) {
        size_t len = 0;
        pg_err err = source->read(piece, pg_after(PG_MS((int64_t) within_ms)), &len, source->user);
        if (err == PG_ERR_TIMEOUT) {
            continue;
        }
        if (err != PG_OK || len == 0) {
            return err;
        }
        files->counters.bytes_in += len;
        *out_size += len;
        *out_parts += 1;
    }
}

static void peer_make(uint8_t number, pg_peer_id *out_peer)
{
    const uint8_t key[4] = {8, 1, 18, number};
    pg_peer_id_of_key(PG_BYTES_OF(key), out_peer);
}

static pg_cid cid_make(uint64_t number)
{
    return pg_cid_of_blake3(pg_bytes_make(&number, sizeof(number)));
}

static void entry_fill(pg_files *files, const pg_put_options *options, uint64_t size,
                       pg_file_entry *entry)
{
    bool is_pending = word_find(options->name, "pending", NEVER) != NEVER;
    *entry = (pg_file_entry){
        .link.root = cid_make(files->puts),
        .kind = options->kind,
        .code = options->code,
        .state = is_pending ? PG_FILE_STATE_PENDING : PG_FILE_STATE_PARTIAL,
        .size_bytes = word_find(options->name, "size", size),
        .packed_bytes = options->no_compress ? size : size / 2,
        .stored_bytes = size * pg_code_shards(options->code) / options->code.data,
        .extents = 1,
        .segments = 1 + size / (8U << 20),
        .survives = is_pending ? 0 : 1,
        .put_ms = pg_wall_ms(),
        .expiry_s = 1000 + options->ttl_s,
        .host_count = is_pending ? 0 : 3,
    };
    for (size_t i = 0; i < entry->host_count; i++) {
        peer_make((uint8_t) i, &entry->hosts[i].peer);
        entry->hosts[i].slots = 3;
        entry->hosts[i].bytes = size / 3;
    }
    pg_key_random(&entry->link.key);
    must(pg_buf_append(&entry->name, options->name) == PG_OK);
}

static void entry_dup(const pg_file_entry *entry, pg_file_entry *out_entry)
{
    *out_entry = *entry;
    out_entry->name = (pg_buf){0};
    must(pg_buf_append(&out_entry->name, pg_buf_bytes(&entry->name)) == PG_OK);
}

pg_err pg_files_choose_code(pg_files *files, const pg_put_origin *origin, pg_code *out_code,
                            double *out_loss)
{
    (void) files;
    (void) origin;
    *out_code = (pg_code){8, 4};
    *out_loss = 0.0005;
    return PG_OK;
}

static void end_count(pg_files *files, pg_err err)
{
    files->counters.cancelled += err == PG_ERR_CANCELLED || err == PG_ERR_RESET ? 1 : 0;
}

pg_err pg_files_put(pg_files *files, const pg_put_options *options, const pg_files_source *source,
                    pg_file_entry *out_entry)
{
    uint64_t size = 0;
    uint64_t parts = 1;
    uint64_t within_ms = word_find(options->name, "within", NEVER);
    uint8_t *piece = pg_malloc(PIECE_BYTES);
    must(piece != NULL);
    files->counters.puts_running++;
    pg_err err = within_ms == NEVER
                     ? put_read(files, options, source, piece, &size)
                     : put_read_parts(files, within_ms, source,
                                      pg_mut_bytes_make(piece, PIECE_BYTES), &size, &parts);
    files->counters.puts_running--;
    pg_mfree(piece);
    end_count(files, err);
    if (err != PG_OK) {
        return err;
    }
    pg_file_entry *kept = PG_NEW(pg_file_entry);
    must(kept != NULL);
    files->puts++;
    entry_fill(files, options, size, kept);
    kept->extents = parts;
    must(pg_map_add(&files->entries, pg_cid_bytes(&kept->link.root), kept) == PG_OK);
    entry_dup(kept, out_entry);
    return PG_OK;
}

// ---- Get

static pg_err entry_find(const pg_files *files, const pg_cid *root, pg_file_entry **out_entry)
{
    *out_entry = pg_map_get(&files->entries, pg_cid_bytes(root));
    return *out_entry == NULL ? pg_fail(PG_ERR_NOT_FOUND, "nobody has the root") : PG_OK;
}

static pg_err get_write(pg_files *files, const pg_file_entry *entry, const pg_get_options *options,
                        const pg_files_output *output, pg_get_report *report)
{
    uint64_t missing = word_find(pg_buf_bytes(&entry->name), "missing", NEVER);
    uint64_t stall = word_find(pg_buf_bytes(&entry->name), "stall", NEVER);
    pg_root root = {.size_bytes = entry->size_bytes, .kind = entry->kind, .name = entry->name};
    if (stall == 0) {
        return park();
    }
    PG_TRY(output->begin(&root, output->user));
    for (uint64_t at = options->start; at < entry->size_bytes;) {
        if (at >= missing) {
            return pg_fail(PG_ERR_MISSING, "extent 0: segment 3: 7 of 8 shards");
        }
        if (at >= stall) {
            return park();
        }
        uint64_t until = missing < stall ? missing : stall;
        uint64_t end = until < entry->size_bytes ? until : entry->size_bytes;
        size_t len = pg_min_size(PIECE_BYTES, (size_t) (end - at));
        PG_TRY(output->write(pg_bytes_make(files->pattern + at % PERIOD, len), output->user));
        at += len;
        files->counters.bytes_out += len;
        report->shards_fetched++;
        const pg_transfer_progress progress = {at, entry->size_bytes, 3};
        options->progress(&progress, options->user);
    }
    return PG_OK;
}

pg_err pg_files_get(pg_files *files, const pg_link *link, const pg_get_options *options,
                    const pg_files_output *output, pg_get_report *out_report)
{
    pg_file_entry *entry = NULL;
    PG_TRY(entry_find(files, &link->root, &entry));
    if (memcmp(link->key.bytes, entry->link.key.bytes, PG_KEY_BYTES) != 0) {
        return pg_fail(PG_ERR_KEY, "the link has another key");
    }
    *out_report = (pg_get_report){.shards_local = 2, .first_byte_ns = PG_MS(7)};
    files->counters.gets_running++;
    pg_err err = get_write(files, entry, options, output, out_report);
    files->counters.gets_running--;
    end_count(files, err);
    return err;
}

// ---- The catalogue

pg_err pg_files_inspect(pg_files *files, const pg_link *link,
                        void (*root)(const pg_link_info *info, void *user),
                        bool (*extent)(const pg_extent_info *info, void *user), void *user)
{
    pg_file_entry *entry = NULL;
    PG_TRY(entry_find(files, &link->root, &entry));
    const pg_link_info info = {
        .size_bytes = entry->size_bytes,
        .kind = entry->kind,
        .name = pg_buf_bytes(&entry->name),
        .extents = UINT64_C(1) << 40, // nobody can want them all
    };
    root(&info, user);
    bool goes_on = true;
    for (uint64_t i = 0; i < info.extents && goes_on; i++) {
        pg_extent_info one = {
            .number = i, .plain_bytes = 5, .descriptor = cid_make(~i), .code = entry->code};
        one.holder_count = 2;
        for (size_t host = 0; host < one.holder_count; host++) {
            peer_make((uint8_t) host, &one.holders[host].peer);
            one.holders[host].slots = host == 0 ? 0x80000001U : 2;
            one.holders[host].is_reachable = host == 0;
            one.holders[host].expiry_s = 1000;
        }
        goes_on = extent(&one, user);
    }
    return PG_OK;
}

pg_err pg_files_list(pg_files *files, pg_file_page *page,
                     void (*each)(const pg_file_entry *entry, void *user), void *user)
{
    uint32_t count = 0;
    for (uint64_t number = files->puts; number > 0 && count < page->max; number--) {
        const pg_cid root = cid_make(number);
        pg_file_entry *entry = NULL;
        if ((int64_t) number < page->file && entry_find(files, &root, &entry) == PG_OK) {
            page->put_ms = 1;
            page->file = (int64_t) number;
            each(entry, user);
            count++;
        }
    }
    page->has_more = count == page->max;
    return PG_OK;
}

pg_err pg_files_find(pg_files *files, const pg_cid *root, pg_file_entry *out_entry)
{
    pg_file_entry *entry = NULL;
    PG_TRY(entry_find(files, root, &entry));
    entry_dup(entry, out_entry);
    return PG_OK;
}

pg_err pg_files_remove(pg_files *files, const pg_cid *root, uint32_t *out_dropped,
                       uint32_t *out_hosts)
{
    pg_file_entry *entry = pg_map_take(&files->entries, pg_cid_bytes(root));
    if (entry == NULL) {
        return pg_fail(PG_ERR_NOT_FOUND, "no such file was put here");
    }
    *out_hosts = (uint32_t) entry->host_count;
    *out_dropped = (uint32_t) entry->host_count;
    pg_file_entry_deinit(entry);
    pg_mfree(entry);
    return PG_OK;
}

pg_err pg_files_put_start(pg_files *files, const pg_put_origin *origin, pg_put_start *out_start)
{
    (void) files;
    *out_start = (pg_put_start){
        // as the test wants it
        .start = origin->source[0],
        .was_changed = origin->version[0] != 0,
        .is_done = origin->source[0] == 0xdd,
        .root = cid_make(0),
    };
    return PG_OK;
}

// ---- Pins: the entries that were pinned, by their root

void pg_pin_deinit(pg_pin *pin)
{
    pg_link_wipe(&pin->link);
    pg_buf_deinit(&pin->name);
}

static void pin_fill(const pg_file_entry *entry, pg_pin *out_pin)
{
    *out_pin = (pg_pin){
        .link = entry->link,
        .kind = entry->kind,
        .size_bytes = entry->size_bytes,
        .kept_bytes = entry->size_bytes + 1,
        .is_complete = true,
        .pinned_ms = 1000,
    };
    must(pg_buf_append(&out_pin->name, pg_buf_bytes(&entry->name)) == PG_OK);
}

pg_err pg_files_pin(pg_files *files, const pg_link *link, const pg_pin_options *options,
                    pg_pin *out_pin)
{
    pg_file_entry *entry = NULL;
    PG_TRY(entry_find(files, &link->root, &entry));
    options->progress(&(pg_transfer_progress){entry->size_bytes, entry->size_bytes, 0},
                      options->user);
    if (pg_map_add(&files->pins, pg_cid_bytes(&link->root), entry) != PG_OK) {
        return pg_fail(PG_ERR_BUSY, "this file is being pinned right now");
    }
    pin_fill(entry, out_pin);
    return PG_OK;
}

pg_err pg_files_pins(pg_files *files, void (*each)(const pg_pin *pin, void *user), void *user)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&files->pins, &cursor)) {
        pg_pin pin;
        pin_fill(cursor.value, &pin);
        each(&pin, user);
        pg_pin_deinit(&pin);
    }
    return PG_OK;
}

pg_err pg_files_unpin(pg_files *files, const pg_cid *root)
{
    return pg_map_take(&files->pins, pg_cid_bytes(root)) != NULL
               ? PG_OK
               : pg_fail(PG_ERR_NOT_FOUND, "it is not pinned here");
}

// ---- Blocks

pg_err pg_files_block_put(pg_files *files, pg_bytes bytes, pg_cid *out_cid)
{
    *out_cid = pg_cid_of_sha256(bytes);
    pg_buf *kept = PG_NEW(pg_buf);
    must(kept != NULL && pg_buf_append(kept, bytes) == PG_OK);
    if (pg_map_add(&files->blocks, pg_cid_bytes(out_cid), kept) != PG_OK) {
        pg_buf_deinit(kept);
        pg_mfree(kept);
    }
    return PG_OK;
}

pg_err pg_files_block_get(pg_files *files, const pg_cid *cid, pg_time deadline, pg_buf *out)
{
    const pg_buf *kept = pg_map_get(&files->blocks, pg_cid_bytes(cid));
    if (kept == NULL) {
        PG_TRY(pg_sleep_until(deadline));
        return pg_fail(PG_ERR_NOT_FOUND, "no peer that is connected has the block");
    }
    return pg_buf_append(out, pg_buf_bytes(kept));
}

// ---- Statistics

pg_files_stats pg_files_get_stats(const pg_files *files)
{
    return (pg_files_stats){
        .files = pg_map_count(&files->entries),
        .puts_total = files->puts,
        .bytes_put_total = files->counters.bytes_in,
        .bytes_got_total = files->counters.bytes_out,
    };
}

struct pg_bitswap {
    pg_bitswap_stats stats;
};

struct pg_place_server {
    pg_place_stats stats;
};

pg_bitswap *fake_bitswap(void)
{
    static pg_bitswap bitswap = {.stats.blocks_sent = 4};
    return &bitswap;
}

pg_place_server *fake_place(void)
{
    static pg_place_server place = {.stats.leases = 5};
    return &place;
}

pg_bitswap_stats pg_bitswap_get_stats(const pg_bitswap *bitswap)
{
    return bitswap->stats;
}

pg_place_stats pg_place_server_get_stats(const pg_place_server *server)
{
    return server->stats;
}

pg_catalogue_status pg_files_catalogue_status(const pg_files *files)
{
    (void) files;
    return (pg_catalogue_status){.phase = PG_CATALOGUE_PHASE_PUBLISHED, .sequence = 3, .peers = 4};
}
