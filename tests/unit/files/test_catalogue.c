// SPDX-License-Identifier: Apache-2.0
// Goal: the catalogue gives back what was written, hides what is not finished, turns the extents of removed and unfinished files into ones
//       to be dropped, and tells the state and the survivable losses of a file from where its slots are.
// Method: a real sealed database in a temporary folder, reopened in between.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../runtime/in_fiber.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "files/catalogue.h"
#include "files/catalogue_export.h"
#include "files/catalogue_feed.h"
#include "files/host_set.h"
#include "files/unfinished.h"
#include "snapshot_tools.h"

static char folder[64];
static char path[96];
static const pg_key key = {.bytes = {9}};

static pg_db *db_open(void)
{
    static const char *steps[7];
    steps[0] = pg_files_schema_1;
    steps[1] = pg_files_schema_2;
    steps[2] = pg_files_schema_3;
    steps[3] = pg_files_schema_4;
    steps[4] = pg_files_schema_5;
    steps[5] = pg_files_schema_6;
    steps[6] = pg_files_schema_7;
    const pg_db_schema schema = {steps, PG_ARRAY_LEN(steps)};
    pg_db *db = NULL;
    CHECK_OK(pg_db_open(path, &key, &schema, &db));
    return db;
}

static pg_cid cid_of(const char *text)
{
    return pg_cid_of_blake3(pg_bytes_cstr(text));
}

static pg_peer_id peer_of(uint8_t number)
{
    pg_peer_id peer = {.len = 38, .bytes = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20}};
    memset(peer.bytes + 6, number, 32);
    return peer;
}

/** An extent of ten slots on `hosts` hosts. */
static pg_catalogue_extent extent_make(const char *name, unsigned hosts)
{
    pg_slot_set dealt[PG_PLACE_SLOTS_MAX] = {0};
    pg_catalogue_extent extent = {
        .descriptor = cid_of(name),
        .code = PG_CODE_DEFAULT,
        .slot_bytes = 1000,
        .sequence = 77,
        .expiry_s = 5000,
        .holder_count = hosts,
    };
    memset(extent.extent_id, name[0], sizeof(extent.extent_id));
    if (hosts > 0) {
        pg_slots_deal(10, hosts, dealt);
    } else {
        extent.local = 0x3ff;
    }
    for (unsigned i = 0; i < hosts; i++) {
        extent.holders[i] = (pg_catalogue_holder){
            .peer = peer_of((uint8_t) (i + 1)),
            .slots = dealt[i],
            .bytes = 1000U * (unsigned) __builtin_popcount(dealt[i]),
            .missed = i,
        };
    }
    return extent;
}

static pg_file_entry entry_make(const char *root)
{
    pg_file_entry entry = {
        .link = {.root = cid_of(root), .key = {.bytes = {5}}},
        .kind = PG_FILE_KIND_FOLDER,
        .code = PG_CODE_DEFAULT,
        .state = PG_FILE_STATE_COMPLETE,
        .size_bytes = UINT64_C(1) << 40,
        .packed_bytes = 123,
        .stored_bytes = 456,
        .extents = 2,
        .segments = 3,
        .put_ms = 999,
    };
    CHECK_OK(pg_buf_append(&entry.name, pg_bytes_cstr(root)));
    return entry;
}

static int64_t file_make_at(pg_db *db, const char *root, unsigned hosts, int64_t put_ms)
{
    int64_t file = 0;
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    CHECK(entry != NULL);
    *entry = entry_make(root);
    entry->put_ms = put_ms;
    CHECK_OK(pg_catalogue_begin(db, &file));
    for (int i = 0; i < 2; i++) {
        char name[32];
        (void) snprintf(name, sizeof(name), "%d %s", i, root);
        pg_catalogue_extent extent = extent_make(name, hosts);
        CHECK_OK(pg_catalogue_extent_write(db, file, &extent));
        CHECK(extent.id != 0);
    }
    CHECK_OK(pg_catalogue_finish(db, file, entry, NULL));
    pg_file_entry_deinit(entry);
    pg_mfree(entry);
    return file;
}

static int64_t file_make(pg_db *db, const char *root, unsigned hosts)
{
    return file_make_at(db, root, hosts, 999);
}

static size_t files_count(pg_db *db, bool incomplete_only)
{
    int64_t *ids = NULL;
    size_t count = 0;
    CHECK_OK(pg_catalogue_files(db, incomplete_only ? PG_CATALOGUE_INCOMPLETE : PG_CATALOGUE_ALL,
                                &ids, &count));
    pg_mfree(ids);
    return count;
}

static size_t doomed_count(pg_db *db)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    CHECK_OK(pg_catalogue_extents(db, 0, &extents, &count));
    pg_mfree(extents);
    return count;
}

static pg_err written_run(void *arg)
{
    (void) arg;
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    int64_t found = 0;
    pg_db *db = db_open();
    int64_t file = file_make(db, "a root", 10);
    pg_db_close(&db);
    db = db_open();
    const pg_cid root = cid_of("a root");
    const pg_cid other = cid_of("another");
    CHECK_OK(pg_catalogue_find(db, &root, &found));
    CHECK(found == file);
    CHECK(pg_catalogue_find(db, &other, &found) == PG_ERR_NOT_FOUND);
    CHECK_OK(pg_catalogue_entry(db, file, entry));
    CHECK(pg_cid_equal(&entry->link.root, &root) && entry->link.key.bytes[0] == 5);
    CHECK(entry->name.len == 6 && memcmp(entry->name.ptr, "a root", 6) == 0);
    CHECK(entry->kind == PG_FILE_KIND_FOLDER && entry->size_bytes == UINT64_C(1) << 40);
    CHECK(entry->packed_bytes == 123 && entry->stored_bytes == 456 && entry->extents == 2);
    CHECK(entry->segments == 3 && entry->put_ms == 999 && entry->expiry_s == 5000);
    CHECK(entry->host_count == 10 && entry->hosts[0].slots == 2 && entry->hosts[0].bytes == 2000);
    CHECK(entry->survives == 2);
    pg_file_entry_deinit(entry);
    CHECK_OK(pg_catalogue_extents(db, file, &extents, &count));
    CHECK(count == 2 && extents[1].holders[3].missed == 3 && extents[1].sequence == 77 &&
          extents[1].holder_count == 10);
    CHECK(extents[0].extent_id[31] == '0' && extents[1].extent_id[0] == '1');
    pg_mfree(extents);
    pg_mfree(entry);
    pg_db_close(&db);
    return PG_OK;
}

static pg_err removed_run(void *arg)
{
    (void) arg;
    pg_db *db = db_open();
    int64_t file = file_make(db, "to be removed", 3);
    CHECK(files_count(db, false) == 1);
    CHECK_OK(pg_catalogue_remove(db, file));
    CHECK(pg_catalogue_remove(db, file) == PG_ERR_NOT_FOUND);
    CHECK(files_count(db, false) == 0 && doomed_count(db) == 2);
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    CHECK_OK(pg_catalogue_extents(db, 0, &extents, &count));
    CHECK_OK(pg_catalogue_extent_forget(db, extents[0].id));
    extents[1].holder_count = 1;
    CHECK_OK(pg_catalogue_extent_write(db, 0, &extents[1]));
    pg_mfree(extents);
    CHECK_OK(pg_catalogue_extents(db, 0, &extents, &count));
    CHECK(count == 1 && extents[0].holder_count == 1);
    pg_mfree(extents);
    pg_db_close(&db);
    return PG_OK;
}

static pg_err unfinished_run(void *arg)
{
    (void) arg;
    int64_t file = 0;
    pg_db *db = db_open();
    pg_catalogue_extent extent = extent_make("x", 10);
    CHECK_OK(pg_catalogue_begin(db, &file));
    CHECK_OK(pg_catalogue_extent_write(db, file, &extent));
    int64_t id = extent.id;
    extent.expiry_s = 6000;
    CHECK_OK(pg_catalogue_extent_write(db, file, &extent)); // changed, not doubled
    CHECK(extent.id == id && files_count(db, false) == 0 && doomed_count(db) == 0);
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    CHECK(pg_catalogue_entry(db, file, entry) == PG_ERR_NOT_FOUND);
    pg_mfree(entry);
    pg_db_close(&db);
    db = db_open();
    CHECK_OK(pg_catalogue_recover(db));
    CHECK(doomed_count(db) == 1);
    pg_db_close(&db);
    return PG_OK;
}

// Of puts that were begun and noted, the one that somebody can go on with stays as it is; of the other the hosts are left, to be told.
static pg_err nobodys_run(void *arg)
{
    (void) arg;
    static const uint8_t source[PG_PUT_SOURCE_BYTES] = {1};
    int64_t files[2];
    int64_t *left = NULL;
    size_t count = 0;
    pg_unfinished found;
    pg_db *db = db_open();
    for (size_t i = 0; i < PG_ARRAY_LEN(files); i++) {
        pg_catalogue_extent extent = extent_make(i == 0 ? "x" : "y", 10);
        CHECK_OK(pg_catalogue_begin(db, &files[i]));
        CHECK_OK(pg_catalogue_extent_write(db, files[i], &extent));
        pg_unfinished put = {.file = files[i], .version = {2}, .code = PG_CODE_DEFAULT};
        CHECK_OK(pg_unfinished_begin(db, i == 0 ? source : NULL, &put));
        CHECK_OK(pg_unfinished_hosts_write(&extent, &put.hosts));
        CHECK_OK(pg_unfinished_save(db, &put));
        pg_unfinished_deinit(&put);
    }
    pg_db_close(&db);
    db = db_open();
    CHECK_OK(pg_catalogue_recover(db));
    CHECK(doomed_count(db) == 1);
    CHECK_OK(pg_unfinished_find(db, source, &found));
    CHECK(found.file == files[0] && found.version[0] == 2);
    pg_unfinished_deinit(&found);
    CHECK_OK(pg_unfinished_left(db, &left, &count));
    CHECK(count == 1 && left[0] == files[1]);
    pg_mfree(left);
    CHECK_OK(pg_unfinished_of(db, files[1], &found));
    CHECK(found.version[0] == 0 && found.hosts.len > 0);
    pg_buf_clear(&found.hosts);
    CHECK_OK(pg_unfinished_hosts_save(db, &found));
    pg_unfinished_deinit(&found);
    CHECK_OK(pg_unfinished_of(db, files[1], &found));
    CHECK(found.hosts.len == 0);
    pg_unfinished_deinit(&found);
    CHECK_OK(pg_unfinished_forget(db, files[1]));
    CHECK(pg_unfinished_of(db, files[1], &found) == PG_ERR_NOT_FOUND);
    pg_db_close(&db);
    return PG_OK;
}

static pg_err states_run(void *arg)
{
    (void) arg;
    pg_catalogue_sums sums;
    pg_db *db = db_open();
    int64_t file = file_make(db, "one", 10);
    (void) file_make(db, "two", 10);
    CHECK(files_count(db, true) == 0 && files_count(db, false) == 2);
    CHECK_OK(pg_catalogue_state(db, file, PG_FILE_STATE_PARTIAL));
    CHECK(files_count(db, true) == 1);
    CHECK_OK(pg_catalogue_counts(db, &sums));
    CHECK(sums.files[PG_FILE_STATE_COMPLETE] == 1 && sums.files[PG_FILE_STATE_PARTIAL] == 1);
    CHECK(sums.bytes == UINT64_C(2) << 40);

    pg_catalogue_extent extents[3] = {extent_make("a", 10), extent_make("b", 4),
                                      extent_make("c", 0)};
    CHECK(pg_catalogue_state_of(extents, 1) == PG_FILE_STATE_COMPLETE);
    CHECK(pg_catalogue_state_of(extents, 2) == PG_FILE_STATE_PARTIAL);
    CHECK(pg_catalogue_state_of(extents, 3) == PG_FILE_STATE_PENDING);
    CHECK(pg_catalogue_survives(extents, 1) == 2 && pg_catalogue_survives(extents, 2) == 0);
    CHECK(pg_catalogue_survives(extents, 3) == 0 && pg_catalogue_survives(NULL, 0) == 0);
    pg_catalogue_extent whole = extent_make("w", 4);
    whole.is_whole = true;
    CHECK(pg_catalogue_state_of(&whole, 1) == PG_FILE_STATE_COMPLETE);
    CHECK(pg_catalogue_survives(&whole, 1) == 3);
    pg_catalogue_extent lossy = extent_make("l", 10);
    lossy.holder_count = 9;
    CHECK(pg_catalogue_missing(&lossy) == 0x200);
    CHECK(pg_catalogue_state_of(&lossy, 1) == PG_FILE_STATE_PARTIAL);
    CHECK(pg_catalogue_survives(&lossy, 1) == 1);
    lossy.holder_count = 7;
    CHECK(pg_catalogue_survives(&lossy, 1) == 0);
    whole.holder_count = 2;
    CHECK(pg_catalogue_state_of(&whole, 1) == PG_FILE_STATE_PARTIAL);
    pg_db_close(&db);
    return PG_OK;
}

static pg_err pins_run(void *arg)
{
    (void) arg;
    pg_cid *cids = NULL;
    size_t count = 0;
    pg_db *db = db_open();
    const pg_cid cid = cid_of("pinned");
    CHECK_OK(pg_catalogue_pin(db, &cid, 6));
    CHECK(pg_catalogue_pin(db, &cid, 6) == PG_ERR_EXISTS);
    CHECK_OK(pg_catalogue_pins(db, &cids, &count));
    CHECK(count == 1 && pg_cid_equal(&cids[0], &cid));
    pg_mfree(cids);
    pg_db_close(&db);
    return PG_OK;
}

// ---- Versions of the catalogue itself, and what other devices did

static size_t which_count(pg_db *db, pg_catalogue_which which)
{
    int64_t *ids = NULL;
    size_t count = 0;
    CHECK_OK(pg_catalogue_files(db, which, &ids, &count));
    pg_mfree(ids);
    return count;
}

static int64_t version_make(pg_db *db, const char *root)
{
    int64_t file = 0;
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    pg_catalogue_extent extent = extent_make(root, 3);
    CHECK(entry != NULL);
    *entry = entry_make(root);
    CHECK_OK(pg_catalogue_begin_version(db, &file));
    CHECK_OK(pg_catalogue_extent_write(db, file, &extent));
    CHECK_OK(pg_catalogue_finish(db, file, entry, NULL));
    pg_file_entry_deinit(entry);
    pg_mfree(entry);
    return file;
}

// All pages, of so many files, have what one list has, in its order.
static void pages_check(pg_db *db, uint32_t max)
{
    int64_t *all = NULL;
    size_t all_count = 0;
    size_t at = 0;
    size_t count = 0;
    pg_file_page page = {.put_ms = INT64_MAX, .file = INT64_MAX, .max = max};
    CHECK_OK(pg_catalogue_files(db, PG_CATALOGUE_LISTED, &all, &all_count));
    do {
        int64_t *ids = NULL;
        CHECK_OK(pg_catalogue_page(db, &page, &ids, &count));
        CHECK(count <= max && at + count <= all_count);
        CHECK(count == 0 || memcmp(ids, all + at, count * sizeof(*ids)) == 0);
        at += count;
        pg_mfree(ids);
    } while (page.has_more);
    CHECK(at == all_count);
    pg_mfree(all);
}

static pg_err pages_run(void *arg)
{
    (void) arg;
    static const int64_t put_ms[] = {5, 7, 7, 3, 7, 9};
    pg_db *db = db_open();
    pages_check(db, 1);
    for (size_t i = 0; i < PG_ARRAY_LEN(put_ms); i++) {
        char root[16];
        (void) snprintf(root, sizeof(root), "file %zu", i);
        (void) file_make_at(db, root, 3, put_ms[i]);
    }
    (void) version_make(db, "version");
    for (uint32_t max = 1; max <= PG_ARRAY_LEN(put_ms) + 1; max++) {
        pages_check(db, max);
    }
    pg_db_close(&db);
    return PG_OK;
}

/** What a snapshot tells. */
typedef struct told {
    unsigned files;
    unsigned extents;
    unsigned removed;
    pg_snapshot_removed last;
} told;

static pg_err on_file(const pg_snapshot_file *file, void *user)
{
    (void) file;
    ((told *) user)->files++;
    return PG_OK;
}

static pg_err on_extent(const pg_catalogue_extent *extent, void *user)
{
    (void) extent;
    ((told *) user)->extents++;
    return PG_OK;
}

static pg_err on_removed(const pg_snapshot_removed *removed, void *user)
{
    told *self = user;
    self->removed++;
    self->last = *removed;
    return PG_OK;
}

static told told_of(pg_db *db)
{
    told self = {.files = 0};
    const pg_snapshot_visitor visitor = {on_file, on_extent, on_removed, NULL, &self};
    pg_snapshot_decoder decoder;
    pg_buf snapshot = snapshot_of(db);
    pg_snapshot_decoder_init(&decoder, &visitor);
    CHECK_OK(pg_snapshot_decode(&decoder, pg_buf_bytes(&snapshot)));
    CHECK_OK(pg_snapshot_decode_end(&decoder));
    pg_snapshot_decoder_deinit(&decoder);
    pg_buf_deinit(&snapshot);
    return self;
}

static pg_err versions_run(void *arg)
{
    (void) arg;
    pg_catalogue_sums sums;
    uint64_t removed = 0;
    int64_t begun = 0;
    pg_db *db = db_open();
    (void) file_make(db, "a file", 10);
    (void) version_make(db, "first");
    (void) version_make(db, "second");
    CHECK(which_count(db, PG_CATALOGUE_ALL) == 3 && which_count(db, PG_CATALOGUE_LISTED) == 1);
    const told both = told_of(db);
    CHECK(both.files == 1 && both.extents == 2);
    CHECK_OK(pg_catalogue_counts(db, &sums));
    CHECK(sums.files[PG_FILE_STATE_COMPLETE] == 1);
    const pg_cid second = cid_of("second");
    CHECK_OK(pg_catalogue_versions_remove(db, &second, &removed));
    CHECK(removed == 1 && which_count(db, PG_CATALOGUE_ALL) == 2 && doomed_count(db) == 1);
    CHECK_OK(pg_catalogue_begin_version(db, &begun)); // and the node ends
    pg_db_close(&db);
    db = db_open();
    CHECK_OK(pg_catalogue_recover(db));
    CHECK(which_count(db, PG_CATALOGUE_ALL) == 2 && which_count(db, PG_CATALOGUE_LISTED) == 1);
    int64_t file = 0;
    CHECK_OK(pg_catalogue_find(db, &second, &file));
    CHECK_OK(pg_catalogue_remove(db, file));
    CHECK(told_of(db).removed == 0); // no other device is told of versions
    pg_db_close(&db);
    return PG_OK;
}

static pg_err own_run(void *arg)
{
    (void) arg;
    pg_feed_own own;
    pg_db *db = db_open();
    CHECK_OK(pg_feed_own_load(db, &own));
    CHECK(own.sequence == 0 && own.record_len == 0 && !own.is_found);
    own.is_found = true; // before anything was published
    CHECK_OK(pg_feed_own_save(db, &own));
    CHECK_OK(pg_feed_own_load(db, &own));
    CHECK(own.is_found && own.record_len == 0);
    own = (pg_feed_own){.sequence = 7,
                        .record = {1, 2, 3},
                        .record_len = 3,
                        .root = cid_of("version"),
                        .digest = {9},
                        .published_s = 55,
                        .stands = true};
    CHECK_OK(pg_feed_own_save(db, &own));
    pg_db_close(&db);
    db = db_open();
    pg_feed_own again;
    CHECK_OK(pg_feed_own_load(db, &again));
    CHECK(again.sequence == 7 && again.record_len == 3 && again.record[2] == 3 &&
          pg_cid_equal(&again.root, &own.root) && again.digest[0] == 9 && again.published_s == 55 &&
          again.stands && !again.is_found);
    pg_db_close(&db);
    return PG_OK;
}

static pg_snapshot_file foreign_make(const char *root, pg_catalogue_extent *extent)
{
    *extent = extent_make(root, 10);
    return (pg_snapshot_file){
        .link = {.root = cid_of(root), .key = {.bytes = {6}}},
        .name = PG_BYTES_LIT("of another device"),
        .code = PG_CODE_DEFAULT,
        .size_bytes = 12345,
        .put_ms = 1,
        .placed_count = 1,
    };
}

/** Take in what another device says of a file, or of one that it removed; returns whether anything changed. */
static bool take(pg_db *db, const pg_snapshot_file *file, const pg_catalogue_extent *extent,
                 const pg_snapshot_removed *removed)
{
    pg_buf snapshot = snapshot_make(file, extent, removed);
    uint64_t changed = snapshot_take(db, pg_buf_bytes(&snapshot), false, NULL);
    pg_buf_deinit(&snapshot);
    CHECK(changed <= 1);
    return changed == 1;
}

static pg_err import_run(void *arg)
{
    (void) arg;
    int64_t file = 0;
    size_t count = 0;
    pg_catalogue_extent extent;
    pg_catalogue_extent *extents = NULL;
    pg_db *db = db_open();
    const pg_snapshot_file foreign = foreign_make("foreign", &extent);
    CHECK(take(db, &foreign, &extent, NULL) && which_count(db, PG_CATALOGUE_LISTED) == 1);
    CHECK(which_count(db, PG_CATALOGUE_INCOMPLETE) == 0);
    CHECK(!take(db, &foreign, &extent, NULL));
    CHECK_OK(pg_catalogue_find(db, &foreign.link.root, &file));
    extent.sequence = 76; // older than what is here
    extent.expiry_s = 1;
    CHECK(!take(db, &foreign, &extent, NULL));
    extent.sequence = 78;
    extent.expiry_s = 6000;
    extent.holder_count = 8;
    CHECK(take(db, &foreign, &extent, NULL) && which_count(db, PG_CATALOGUE_LISTED) == 1);
    CHECK_OK(pg_catalogue_extents(db, file, &extents, &count));
    CHECK(count == 1 && extents[0].sequence == 78 && extents[0].expiry_s == 6000 &&
          extents[0].holder_count == 8 && extents[0].local == 0);
    pg_mfree(extents);
    CHECK_OK(pg_catalogue_remove(db, file)); // here: it does not come back
    CHECK(!take(db, &foreign, &extent, NULL));
    CHECK(which_count(db, PG_CATALOGUE_LISTED) == 0 && doomed_count(db) == 1);
    told gone = told_of(db);
    CHECK(gone.removed == 1 && pg_cid_equal(&gone.last.root, &foreign.link.root));
    CHECK_OK(pg_export_forget(db, gone.last.removed_s + 1));
    CHECK(told_of(db).removed == 0); // long ago: forgotten
    const pg_snapshot_file partial = foreign_make("partial", &extent);
    extent.holder_count = 8; // two slots are lost
    CHECK(take(db, &partial, &extent, NULL) && which_count(db, PG_CATALOGUE_INCOMPLETE) == 1);
    pg_db_close(&db);
    return PG_OK;
}

// A device says that two hosts have one slot, and that a third has what both have: each is read as one host's.
static pg_err twice_run(void *arg)
{
    (void) arg;
    int64_t file = 0;
    size_t count = 0;
    pg_slot_set all = 0;
    pg_catalogue_extent extent;
    pg_catalogue_extent *extents = NULL;
    pg_db *db = db_open();
    const pg_snapshot_file foreign = foreign_make("twice", &extent);
    extent.holder_count = 3;
    extent.holders[0].slots = 0x0ff;
    extent.holders[1].slots = 0x3f0;
    extent.holders[2].slots = 0x011;
    CHECK(take(db, &foreign, &extent, NULL));
    CHECK_OK(pg_catalogue_find(db, &foreign.link.root, &file));
    CHECK_OK(pg_catalogue_extents(db, file, &extents, &count));
    CHECK(count == 1 && extents[0].holder_count == 2);
    for (size_t i = 0; i < extents[0].holder_count; i++) {
        CHECK((all & extents[0].holders[i].slots) == 0);
        all |= extents[0].holders[i].slots;
    }
    CHECK(all == 0x3ff && pg_catalogue_missing(&extents[0]) == 0);
    pg_mfree(extents);
    pg_db_close(&db);
    return PG_OK;
}

static pg_err import_removed_run(void *arg)
{
    (void) arg;
    pg_catalogue_extent extent;
    pg_db *db = db_open();
    (void) file_make(db, "mine", 10);
    const pg_snapshot_removed mine = {cid_of("mine"), 1000};
    const pg_snapshot_removed unknown = {cid_of("unknown"), 1000};
    CHECK(take(db, NULL, NULL, &mine));
    CHECK(which_count(db, PG_CATALOGUE_LISTED) == 0 && doomed_count(db) == 2);
    CHECK(!take(db, NULL, NULL, &mine));
    CHECK(take(db, NULL, NULL, &unknown));
    const pg_snapshot_file late = foreign_make("unknown", &extent);
    CHECK(!take(db, &late, &extent, NULL) && which_count(db, PG_CATALOGUE_LISTED) == 0);
    pg_db_close(&db);
    return PG_OK;
}

static int folder_make(void **state)
{
    (void) state;
    (void) snprintf(folder, sizeof(folder), "/tmp/pangea-catalogue-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void) snprintf(path, sizeof(path), "%s/db", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void) state;
    char log[128];
    (void) snprintf(log, sizeof(log), "%s-wal", path);
    (void) unlink(path);
    (void) unlink(log);
    return rmdir(folder);
}

static pg_err finished_run(void *arg)
{
    (void) arg;
    pg_db *db = db_open();
    pg_finished found = {.file = -1};
    const pg_put_origin first = {.source = {1}, .version = {7}};
    const pg_put_origin second = {.source = {1}, .version = {8}};
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    CHECK(entry != NULL);
    int64_t files[2] = {0};
    for (size_t i = 0; i < 2; i++) { // of one source, the last counts
        *entry = entry_make(i == 0 ? "one" : "two");
        CHECK_OK(pg_catalogue_begin(db, &files[i]));
        CHECK(pg_finished_find(db, second.source, &found) == (i == 0 ? PG_ERR_NOT_FOUND : PG_OK));
        CHECK_OK(pg_catalogue_finish(db, files[i], entry, i == 0 ? &first : &second));
        pg_file_entry_deinit(entry);
    }
    pg_mfree(entry);
    pg_db_close(&db);
    db = db_open();
    CHECK_OK(pg_finished_find(db, first.source, &found));
    CHECK(found.file == files[1] && found.version[0] == 8);
    CHECK(found.done_s > pg_wall_ms() / 1000 - 60 && found.done_s <= pg_wall_ms() / 1000);
    CHECK_OK(pg_finished_expire(db, found.done_s));
    CHECK_OK(pg_catalogue_remove(db, files[0]));
    CHECK_OK(pg_finished_find(db, first.source, &found));
    CHECK_OK(pg_finished_expire(db, found.done_s + 1));
    CHECK(pg_finished_find(db, first.source, &found) == PG_ERR_NOT_FOUND);
    CHECK_OK(pg_catalogue_begin(db, &files[0]));
    entry = PG_NEW(pg_file_entry);
    CHECK(entry != NULL);
    *entry = entry_make("three");
    CHECK_OK(pg_catalogue_finish(db, files[0], entry, &first));
    pg_file_entry_deinit(entry);
    pg_mfree(entry);
    CHECK_OK(pg_finished_find(db, first.source, &found));
    CHECK_OK(pg_catalogue_remove(db, files[0]));
    CHECK(pg_finished_find(db, first.source, &found) == PG_ERR_NOT_FOUND);
    pg_db_close(&db);
    return PG_OK;
}

static void test_catalogue__file_written__read_back_after_reopening(void **state)
{
    (void) state;
    in_fiber(written_run, NULL);
}

static void test_catalogue__finished__remembered_by_its_source_until_removed(void **state)
{
    (void) state;
    in_fiber(finished_run, NULL);
}

static void test_catalogue__removed__extents_are_to_be_dropped_until_forgotten(void **state)
{
    (void) state;
    in_fiber(removed_run, NULL);
}

static void test_catalogue__not_finished__in_no_list_and_dropped_after_restart(void **state)
{
    (void) state;
    in_fiber(unfinished_run, NULL);
}

static void test_catalogue__put_that_nobody_can_go_on_with__its_hosts_are_left(void **state)
{
    (void) state;
    in_fiber(nobodys_run, NULL);
}

static void test_catalogue__slots_here_and_there__state_and_losses_follow(void **state)
{
    (void) state;
    in_fiber(states_run, NULL);
}

static void test_catalogue__pinned_twice__told_once(void **state)
{
    (void) state;
    in_fiber(pins_run, NULL);
}

static void test_catalogue__versions_of_it__are_in_no_list_and_only_one_stays(void **state)
{
    (void) state;
    in_fiber(versions_run, NULL);
}

static void test_catalogue__read_in_pages__nothing_twice_or_left_out(void **state)
{
    (void) state;
    in_fiber(pages_run, NULL);
}

static void test_catalogue__own_record__read_back_after_reopening(void **state)
{
    (void) state;
    in_fiber(own_run, NULL);
}

static void test_catalogue__file_of_another_device__newer_wins_and_removed_stays_removed(
    void **state)
{
    (void) state;
    in_fiber(import_run, NULL);
}

static void test_catalogue__slot_of_two_hosts__is_read_as_one_hosts(void **state)
{
    (void) state;
    in_fiber(twice_run, NULL);
}

static void test_catalogue__removed_by_another_device__goes_here_too(void **state)
{
    (void) state;
    in_fiber(import_removed_run, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_catalogue__file_written__read_back_after_reopening),
        TEST(test_catalogue__finished__remembered_by_its_source_until_removed),
        TEST(test_catalogue__removed__extents_are_to_be_dropped_until_forgotten),
        TEST(test_catalogue__not_finished__in_no_list_and_dropped_after_restart),
        TEST(test_catalogue__put_that_nobody_can_go_on_with__its_hosts_are_left),
        TEST(test_catalogue__slots_here_and_there__state_and_losses_follow),
        TEST(test_catalogue__pinned_twice__told_once),
        TEST(test_catalogue__versions_of_it__are_in_no_list_and_only_one_stays),
        TEST(test_catalogue__read_in_pages__nothing_twice_or_left_out),
        TEST(test_catalogue__own_record__read_back_after_reopening),
        TEST(test_catalogue__file_of_another_device__newer_wins_and_removed_stays_removed),
        TEST(test_catalogue__slot_of_two_hosts__is_read_as_one_hosts),
        TEST(test_catalogue__removed_by_another_device__goes_here_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
