// SPDX-License-Identifier: Apache-2.0
// Goal: the block store keeps, gives, deletes and counts as it says, refuses what it should, and finds everything again.
// Method: a store in a temporary folder on a real disk, whose files are then damaged, removed or forged. Crashes: tests/sim.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../runtime/in_fiber.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "runtime/fiber.h"
#include "store/block_header.h"
#include "store/blocks.h"

#define QUOTA (UINT64_C(64) << 20)
#define MANY 40

static char parent[64];
static char dir[96];
static const pg_key key = {.bytes = {1}};
static const pg_key wrong_key = {.bytes = {2}};

static pg_block_store_config config_make(void)
{
    return (pg_block_store_config){
        .dir = dir, .quota_bytes = QUOTA, .key = &key, .pack_bytes = PG_PACK_BYTES_MIN};
}

static pg_block_store *store_open(void)
{
    pg_block_store_config config = config_make();
    pg_block_store *store = NULL;
    CHECK_OK(pg_block_store_open(&config, &store));
    return store;
}

static void remove_file(const char *name)
{
    char path[160];
    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK(unlink(path) == 0);
}

// As a crash does: the saved index was never written.
static void store_crash(pg_block_store **store)
{
    pg_block_store_close(store);
    remove_file("index");
}

static uint64_t du(void)
{
    uint64_t sum = 0;
    DIR *folder = opendir(dir);
    CHECK(folder != NULL);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        struct stat info;
        if (strncmp(entry->d_name, "pack-", 5) == 0) {
            CHECK(fstatat(dirfd(folder), entry->d_name, &info, 0) == 0);
            sum += (uint64_t) info.st_blocks * 512;
        }
    }
    (void) closedir(folder);
    return sum;
}

// The file system may count blocks of its own for a file in many pieces.
static bool du_is(uint64_t used_bytes)
{
    uint64_t sum = du();
    return sum >= used_bytes && sum <= used_bytes + 40960;
}

static void overwrite(const char *name, off_t at, const void *bytes, size_t len)
{
    char path[160];
    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pwrite(fd, bytes, len, at) == (ssize_t) len);
    (void) close(fd);
}

// A block of its number: `len` bytes that depend on it.
static pg_cid block_make(uint8_t number, uint32_t len, uint8_t *out)
{
    for (uint32_t i = 0; i < len; i++) {
        out[i] = (uint8_t) (number + i * 7 + i / 251);
    }
    return pg_cid_of_blake3(pg_bytes_make(out, len));
}

static pg_cid put_one(pg_block_store *store, uint8_t number, uint32_t len)
{
    uint8_t *bytes = malloc(len + 1);
    CHECK(bytes != NULL);
    pg_cid cid = block_make(number, len, bytes);
    CHECK_OK(pg_block_store_put(store, &cid, pg_bytes_make(bytes, len)));
    free(bytes);
    return cid;
}

static void expect_one(pg_block_store *store, const pg_cid *cid, uint8_t number, uint32_t len)
{
    pg_buf buf = {0};
    uint32_t len_told = 0;
    uint8_t *bytes = malloc(len + 1);
    CHECK(bytes != NULL);
    (void) block_make(number, len, bytes);
    CHECK(pg_block_store_has(store, cid, &len_told) && len_told == len);
    CHECK_OK(pg_block_store_get(store, cid, &buf));
    CHECK(pg_bytes_equal(pg_buf_bytes(&buf), pg_bytes_make(bytes, len)));
    pg_buf_deinit(&buf);
    free(bytes);
}

static pg_err count_one(const pg_cid *cid, uint32_t len, void *user)
{
    (void) cid;
    *(uint64_t *) user += len;
    return PG_OK;
}

static const uint32_t lens[] = {0, 1, 3967, 3968, 3969, 100000, 1 << 20, PG_BLOCK_BYTES_MAX};

static pg_err body_round_trip(void *arg)
{
    bool crash = *(const bool *) arg;
    pg_cid cids[PG_ARRAY_LEN(lens)];
    pg_block_store *store = store_open();
    uint64_t walked = 0;
    uint64_t put = 0;
    for (size_t i = 0; i < PG_ARRAY_LEN(lens); i++) {
        cids[i] = put_one(store, (uint8_t) i, lens[i]);
        put += lens[i];
    }
    for (unsigned again = 0; again < 2; again++) {
        for (size_t i = 0; i < PG_ARRAY_LEN(lens); i++) {
            expect_one(store, &cids[i], (uint8_t) i, lens[i]);
        }
        CHECK(pg_block_store_stats_get(store).blocks == PG_ARRAY_LEN(lens));
        CHECK(du_is(pg_block_store_stats_get(store).used_bytes));
        CHECK(du_is(pg_block_store_stats_get(store).used_bytes));
        if (again == 0) {
            crash ? store_crash(&store) : pg_block_store_close(&store);
            store = store_open();
            CHECK(pg_block_store_stats_get(store).was_rebuilt == crash);
        }
    }
    CHECK_OK(pg_block_store_walk(store, count_one, &walked));
    CHECK(walked == put);
    CHECK(pg_block_store_stats_get(store).packs == 2);
    pg_block_store_close(&store);
    pg_block_store_close(&store);
    return PG_OK;
}

static void test_blocks__put__come_back_before_and_after_closing(void **state)
{
    (void) state;
    bool crash = false;
    in_fiber(body_round_trip, &crash);
}

static void test_blocks__put__come_back_after_a_rebuild(void **state)
{
    (void) state;
    bool crash = true;
    in_fiber(body_round_trip, &crash);
}

static pg_err stop_walk(const pg_cid *cid, uint32_t len, void *user)
{
    (void) cid;
    (void) len;
    (void) user;
    return PG_ERR_CLOSED;
}

static pg_err body_delete(void *arg)
{
    pg_block_store_config config = config_make();
    config.without_holes = *(const bool *) arg;
    pg_block_store *store = NULL;
    pg_cid cids[MANY];
    pg_buf buf = {0};
    CHECK_OK(pg_block_store_open(&config, &store));
    for (uint8_t i = 0; i < MANY; i++) {
        cids[i] = put_one(store, i, 300000);
    }
    CHECK(pg_block_store_stats_get(store).packs == 4);
    CHECK_ERR(pg_block_store_walk(store, stop_walk, NULL), PG_ERR_CLOSED);
    for (uint8_t i = 0; i < MANY; i += 2) {
        CHECK_OK(pg_block_store_delete(store, &cids[i]));
        CHECK(!pg_block_store_has(store, &cids[i], NULL));
        CHECK_ERR(pg_block_store_delete(store, &cids[i]), PG_ERR_NOT_FOUND);
        CHECK_ERR(pg_block_store_get(store, &cids[i], &buf), PG_ERR_NOT_FOUND);
    }
    uint64_t one = (uint64_t) pg_block_units(300000) * 4096;
    uint64_t left = config.without_holes ? MANY * one : MANY / 2 * one;
    CHECK(pg_block_store_stats_get(store).used_bytes == left);
    CHECK(du_is(left));
    store_crash(&store);
    CHECK_OK(pg_block_store_open(&config, &store));
    CHECK(du_is(pg_block_store_stats_get(store).used_bytes));
    for (uint8_t i = 1; i < MANY; i += 2) {
        expect_one(store, &cids[i], i, 300000);
        CHECK_OK(pg_block_store_delete(store, &cids[i]));
    }
    CHECK(pg_block_store_stats_get(store).blocks == 0);
    CHECK(pg_block_store_stats_get(store).packs == 1);
    // Whole packs go; without holes the last keeps what it has taken.
    CHECK(du_is(pg_block_store_stats_get(store).used_bytes));
    CHECK(du() < 4 << 20 && (config.without_holes || du_is(0)));
    pg_block_store_close(&store);
    CHECK_OK(pg_block_store_open(&config, &store));
    CHECK(du_is(pg_block_store_stats_get(store).used_bytes));
    (void) put_one(store, 1, 4 << 20); // rolls, and the pack that holds nothing goes
    CHECK(pg_block_store_stats_get(store).packs == 1);
    CHECK(du_is(pg_block_store_stats_get(store).used_bytes));
    pg_block_store_close(&store);
    return PG_OK;
}

static void test_blocks__deleted__give_back_their_space(void **state)
{
    (void) state;
    bool without_holes = false;
    in_fiber(body_delete, &without_holes);
}

static void test_blocks__deleted_without_holes__give_back_their_space_with_the_pack(void **state)
{
    (void) state;
    bool without_holes = true;
    in_fiber(body_delete, &without_holes);
}

// Whoever says that he verified the bytes is believed; the reader is not.
static pg_err body_verified(void *arg)
{
    (void) arg;
    pg_block_store *store = store_open();
    pg_buf out = {0};
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_LIT("abc"));
    CHECK_OK(pg_block_store_put_verified(store, &cid, PG_BYTES_LIT("abc")));
    CHECK_OK(pg_block_store_get(store, &cid, &out));
    CHECK(pg_bytes_equal(pg_buf_bytes(&out), PG_BYTES_LIT("abc")));
    pg_buf_clear(&out);
    cid = pg_cid_of_blake3(PG_BYTES_LIT("def"));
    CHECK_OK(pg_block_store_put_verified(store, &cid, PG_BYTES_LIT("deg")));
    CHECK_ERR(pg_block_store_get(store, &cid, &out), PG_ERR_CORRUPT);
    CHECK(!pg_block_store_has(store, &cid, NULL) && out.len == 0);
    pg_buf_deinit(&out);
    pg_block_store_close(&store);
    return PG_OK;
}

static pg_err body_refusals(void *arg)
{
    (void) arg;
    pg_block_store *store = store_open();
    pg_multihash hash;
    static uint8_t big[PG_BLOCK_BYTES_MAX + 1];
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_OF(big));
    CHECK_ERR(pg_block_store_put(store, &cid, PG_BYTES_OF(big)), PG_ERR_LIMIT);
    CHECK_ERR(pg_block_store_put(store, &cid, PG_BYTES_LIT("abc")), PG_ERR_CORRUPT);
    CHECK(!pg_block_store_has(store, &cid, NULL));
    CHECK_OK(pg_multihash_make(PG_MULTIHASH_CODE_IDENTITY, PG_BYTES_LIT("abc"), &hash));
    cid = pg_cid_make(PG_CID_CODEC_RAW, &hash);
    CHECK_ERR(pg_block_store_put(store, &cid, PG_BYTES_LIT("abc")), PG_ERR_UNSUPPORTED);
    CHECK(!pg_block_store_has(store, &cid, NULL));
    CHECK(pg_block_store_stats_get(store).used_bytes == 0 && du_is(0));
    pg_block_store_quota_set(store, 3 * 4096);
    cid = put_one(store, 1, 3968);
    pg_cid second = put_one(store, 2, 3969);
    CHECK_ERR(pg_block_store_put(store, &(pg_cid){0}, PG_BYTES_EMPTY), PG_ERR_UNSUPPORTED);
    pg_cid third = pg_cid_of_sha256(PG_BYTES_LIT("abc"));
    CHECK_ERR(pg_block_store_put(store, &third, PG_BYTES_LIT("abc")), PG_ERR_FULL);
    CHECK(du_is(3 * 4096));
    CHECK_OK(pg_block_store_delete(store, &cid));
    CHECK_OK(pg_block_store_put(store, &third, PG_BYTES_LIT("abc")));
    pg_block_store_quota_set(store, 4096);
    CHECK(pg_block_store_stats_get(store).quota_bytes == 4096);
    expect_one(store, &second, 2, 3969);
    pg_block_store_close(&store);
    return PG_OK;
}

static void test_blocks__what_cannot_be_kept__is_refused_before_anything_is_written(void **state)
{
    (void) state;
    in_fiber(body_refusals, NULL);
}

static void test_blocks__put_as_verified__is_hashed_when_it_is_read(void **state)
{
    (void) state;
    in_fiber(body_verified, NULL);
}

/** Puts that are on at once. */
struct put {
    pg_block_store *store;
    uint8_t number;
};

static pg_err run_put(void *arg)
{
    const struct put *put = arg;
    (void) put_one(put->store, put->number, 50000);
    return PG_OK;
}

static pg_err body_group(void *arg)
{
    (void) arg;
    struct put puts[MANY];
    pg_scope scope;
    pg_block_store *store = store_open();
    (void) put_one(store, 99, 10);
    uint64_t syncs = pg_block_store_stats_get(store).syncs_total;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < MANY; i++) {
        puts[i] = (struct put){store, (uint8_t) (i / 2)}; // each block twice
        CHECK_OK(pg_scope_spawn(&scope, "test.put", run_put, &puts[i]));
    }
    CHECK_OK(pg_scope_join(&scope));
    pg_block_store_stats stats = pg_block_store_stats_get(store);
    CHECK(stats.blocks == 1 + MANY / 2 && stats.puts_total == 1 + MANY / 2);
    CHECK(stats.syncs_total - syncs < MANY / 4);
    pg_block_store_close(&store);
    return PG_OK;
}

static void test_blocks__many_puts_at_once__share_syncs_and_keep_one_of_each(void **state)
{
    (void) state;
    in_fiber(body_group, NULL);
}

static pg_err body_damage(void *arg)
{
    (void) arg;
    pg_block_store *store = store_open();
    pg_buf buf = {0};
    pg_cid first = put_one(store, 1, 5000);
    pg_cid second = put_one(store, 2, 5000);
    overwrite("pack-00000000", 4096 + 10, "damage", 6);
    CHECK_ERR(pg_block_store_get(store, &first, &buf), PG_ERR_CORRUPT);
    CHECK(buf.len == 0 && !pg_block_store_has(store, &first, NULL));
    CHECK(pg_block_store_stats_get(store).lost_total == 1);
    CHECK(du_is(8192) && pg_block_store_stats_get(store).used_bytes == 8192);
    // What is damaged and put again is written anew.
    overwrite("pack-00000000", 2 * 4096 + 200, "damage", 6);
    second = put_one(store, 2, 5000);
    expect_one(store, &second, 2, 5000);
    CHECK(pg_block_store_stats_get(store).lost_total == 2);
    CHECK(du_is(8192));
    // A damaged header costs its block when the index is rebuilt, and no other.
    first = put_one(store, 1, 5000);
    overwrite("pack-00000000", 4 * 4096 + 20, "damage", 6);
    store_crash(&store);
    store = store_open();
    CHECK(!pg_block_store_has(store, &second, NULL));
    expect_one(store, &first, 1, 5000);
    CHECK(pg_block_store_stats_get(store).used_bytes == 8192 && du_is(8192));
    pg_block_store_close(&store);
    // A damaged index is not believed.
    overwrite("index", 30, "damage", 6);
    store = store_open();
    CHECK(pg_block_store_stats_get(store).was_rebuilt);
    expect_one(store, &first, 1, 5000);
    pg_block_store_close(&store);
    pg_buf_deinit(&buf);
    return PG_OK;
}

static void test_blocks__damaged__are_found_dropped_and_written_anew(void **state)
{
    (void) state;
    in_fiber(body_damage, NULL);
}

// A block whose content is, unit by unit, the headers of other blocks of this very store, as a copy of its file has them.
static pg_err body_check(void *arg)
{
    (void) arg;
    pg_block_store *store = store_open();
    pg_block_check check;
    CHECK_OK(pg_block_store_check(store, 0, &check));
    CHECK(check.checked == 0 && check.disk_bytes == 0 && check.ledger_bytes == 0);
    pg_cid cids[6];
    for (uint8_t i = 0; i < 6; i++) {
        cids[i] = put_one(store, i, 5000);
    }
    CHECK_OK(pg_block_store_check(store, 0, &check));
    CHECK(check.checked == 6 && check.damaged == 0 && check.ledger_bytes == 6ULL * 8192);
    CHECK(du_is(check.disk_bytes));
    CHECK_OK(pg_block_store_check(store, 3, &check));
    CHECK(check.checked == 3 && check.damaged == 0);
    // Content that changed shows only where it is hashed, a header also else; neither is touched.
    overwrite("pack-00000000", 2 * 4096 + 200, "damage", 6);
    CHECK_OK(pg_block_store_check(store, 100, &check));
    CHECK(check.checked == 6 && check.damaged == 0);
    overwrite("pack-00000000", 6 * 4096 + 20, "damage", 6);
    CHECK_OK(pg_block_store_check(store, 100, &check));
    CHECK(check.damaged == 1 && pg_cid_equal(&check.first_damaged, &cids[3]));
    CHECK_OK(pg_block_store_check(store, 0, &check));
    CHECK(check.checked == 6 && check.damaged == 2 && pg_cid_equal(&check.first_damaged, &cids[1]));
    CHECK(pg_block_store_has(store, &cids[1], NULL) && pg_block_store_has(store, &cids[3], NULL));
    CHECK(pg_block_store_stats_get(store).lost_total == 0);
    pg_block_store_close(&store);
    return PG_OK;
}

static void test_blocks__check__tells_of_damage_and_changes_nothing(void **state)
{
    (void) state;
    in_fiber(body_check, NULL);
}

static pg_err body_hostile(void *arg)
{
    (void) arg;
    pg_block_store *store = store_open();
    static uint8_t hostile[20 * 4096];
    char path[160];
    pg_cid victim = put_one(store, 1, 100);
    (void) snprintf(path, sizeof(path), "%s/pack-00000000", dir);
    int fd = open(path, O_RDONLY);
    for (unsigned i = 0; i < 19; i++) {
        CHECK(pread(fd, hostile + i * 4096 + 4096 - PG_BLOCK_HEADER_BYTES, 228, 0) == 228);
    }
    (void) close(fd);
    pg_cid cid = pg_cid_of_blake3(PG_BYTES_OF(hostile));
    CHECK_OK(pg_block_store_put(store, &cid, PG_BYTES_OF(hostile)));
    pg_cid last = put_one(store, 2, 100);
    // The header of the hostile block is lost: a rebuild looks at its content.
    overwrite("pack-00000000", 4096, "damage", 6);
    store_crash(&store);
    store = store_open();
    CHECK(pg_block_store_stats_get(store).blocks == 2);
    expect_one(store, &victim, 1, 100);
    expect_one(store, &last, 2, 100);
    CHECK(du_is(8192));
    pg_block_store_close(&store);
    return PG_OK;
}

static void test_blocks__content_that_looks_like_headers__is_not_taken_for_them(void **state)
{
    (void) state;
    in_fiber(body_hostile, NULL);
}

static pg_err body_open_twice(void *arg)
{
    (void) arg;
    pg_block_store_config config = config_make();
    pg_block_store *store = store_open();
    pg_block_store *second = NULL;
    CHECK_ERR(pg_block_store_open(&config, &second), PG_ERR_BUSY);
    pg_block_store_close(&store);
    store = store_open();
    pg_block_store_close(&store);
    return PG_OK;
}

static void test_blocks__opened_twice__is_refused(void **state)
{
    (void) state;
    in_fiber(body_open_twice, NULL);
}

static pg_err body_wrong_open(void *arg)
{
    (void) arg;
    pg_block_store_config config = config_make();
    pg_block_store *store = store_open();
    pg_cid cid = put_one(store, 1, 100);
    pg_block_store_close(&store);
    overwrite("pack-00000000", 4096 * 3, "x", 1); // to be reclaimed, by the right key only
    remove_file("index");
    config.key = &wrong_key;
    CHECK_ERR(pg_block_store_open(&config, &store), PG_ERR_KEY);
    config.key = &key;
    config.pack_bytes = 4096;
    CHECK_ERR(pg_block_store_open(&config, &store), PG_ERR_INVALID);
    config.pack_bytes = 0;
    CHECK_OK(pg_block_store_open(&config, &store));
    expect_one(store, &cid, 1, 100);
    CHECK(du_is(4096));
    pg_block_store_close(&store);
    overwrite("store", 15, "\x02", 1);
    CHECK_ERR(pg_block_store_open(&config, &store), PG_ERR_UNSUPPORTED);
    CHECK(strstr(pg_error_detail(PG_ERR_UNSUPPORTED), "version 2") != NULL);
    overwrite("store", 15, "\x01", 1);
    overwrite("store", 20, "damage", 6);
    CHECK_ERR(pg_block_store_open(&config, &store), PG_ERR_CORRUPT);
    overwrite("store", 0, "damage", 6);
    CHECK_ERR(pg_block_store_open(&config, &store), PG_ERR_CORRUPT);
    remove_file("store");
    CHECK_ERR(pg_block_store_open(&config, &store), PG_ERR_CORRUPT);
    config.dir = "/nowhere/at/all";
    CHECK_ERR(pg_block_store_open(&config, &store), PG_ERR_NOT_FOUND);
    return PG_OK;
}

static void test_blocks__wrong_key_version_or_name__are_told_apart(void **state)
{
    (void) state;
    in_fiber(body_wrong_open, NULL);
}

static pg_err body_leftovers(void *arg)
{
    (void) arg;
    char path[160];
    pg_block_store *store = store_open();
    pg_cid cid = put_one(store, 1, 100);
    pg_block_store_close(&store);
    // A temporary file, a pack the saved index does not know, an empty pack before it, and a name that only looks like one.
    const char *const names[] = {"index.00112233.tmp", "pack-00000002", "pack-00000001",
                                 "pack-0000000x", "pack-1"};
    for (unsigned i = 0; i < PG_ARRAY_LEN(names); i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        int fd = open(path, O_RDWR | O_CREAT, 0600);
        CHECK(fd >= 0 && write(fd, "garbage", 7) == 7);
        (void) close(fd);
    }
    store = store_open();
    CHECK(pg_block_store_stats_get(store).was_rebuilt);
    CHECK(pg_block_store_stats_get(store).packs == 2); // 0, and 2 which is the last
    CHECK(pg_block_store_stats_get(store).used_bytes == 4096);
    expect_one(store, &cid, 1, 100);
    pg_block_store_close(&store);
    (void) snprintf(path, sizeof(path), "%s/%s", dir, names[0]);
    CHECK(access(path, F_OK) != 0);
    remove_file("pack-0000000x");
    remove_file("pack-1");
    return PG_OK;
}

static void test_blocks__leftovers__are_cleared_away(void **state)
{
    (void) state;
    in_fiber(body_leftovers, NULL);
}

// More packs than are held open.
static pg_err body_many_packs(void *arg)
{
    (void) arg;
    static pg_cid cids[PG_PACKS_OPEN_MAX + 10];
    pg_block_store *store = store_open();
    pg_block_store_quota_set(store, UINT64_C(1) << 32);
    for (unsigned i = 0; i < PG_ARRAY_LEN(cids); i++) {
        (void) put_one(store, (uint8_t) i, PG_BLOCK_BYTES_MAX);
        cids[i] = put_one(store, (uint8_t) i, 10);
    }
    for (unsigned i = 0; i < PG_ARRAY_LEN(cids); i++) {
        uint8_t *bytes = malloc(PG_BLOCK_BYTES_MAX);
        pg_cid big = block_make((uint8_t) i, PG_BLOCK_BYTES_MAX, bytes);
        free(bytes);
        expect_one(store, &cids[i], (uint8_t) i, 10);
        CHECK_OK(pg_block_store_delete(store, &big));
    }
    CHECK(pg_block_store_stats_get(store).packs > PG_PACKS_OPEN_MAX);
    CHECK(pg_block_store_stats_get(store).used_bytes == 4096 * PG_ARRAY_LEN(cids));
    pg_block_store_close(&store);
    return PG_OK;
}

static void test_blocks__many_packs__are_opened_in_turn(void **state)
{
    (void) state;
    in_fiber(body_many_packs, NULL);
}

static pg_err body_no_memory(void *arg)
{
    (void) arg;
    pg_block_store_config config = config_make();
    pg_block_store *store = NULL;
    uint8_t bytes[10];
    pg_cid cid = block_make(1, sizeof(bytes), bytes);
    for (uint64_t nth = 1;; nth++) {
        pg_buf buf = {0};
        pg_mem_fail_nth(nth);
        pg_err err = pg_block_store_open(&config, &store);
        if (err == PG_OK) {
            err = pg_block_store_put(store, &cid, PG_BYTES_OF(bytes));
        }
        if (err == PG_OK) {
            err = pg_block_store_get(store, &cid, &buf);
        }
        pg_block_store_close(&store);
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        pg_buf_deinit(&buf);
        CHECK(err == PG_OK || (failed && err == PG_ERR_NOMEM));
        if (!failed) {
            return PG_OK;
        }
    }
}

static void test_blocks__no_memory__fails_and_frees(void **state)
{
    (void) state;
    in_fiber(body_no_memory, NULL);
}

static int folder_make(void **state)
{
    (void) state;
    (void) snprintf(parent, sizeof(parent), "/tmp/pangea-store-XXXXXX");
    if (mkdtemp(parent) == NULL) {
        return -1;
    }
    (void) snprintf(dir, sizeof(dir), "%s/blocks", parent);
    return 0;
}

static int folder_remove(void **state)
{
    (void) state;
    DIR *folder = opendir(dir);
    for (struct dirent *entry = folder == NULL ? NULL : readdir(folder); entry != NULL;
         entry = readdir(folder)) {
        (void) unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder != NULL) {
        (void) closedir(folder);
    }
    (void) rmdir(dir);
    return rmdir(parent);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_blocks__put__come_back_before_and_after_closing),
        IN_FOLDER(test_blocks__put__come_back_after_a_rebuild),
        IN_FOLDER(test_blocks__deleted__give_back_their_space),
        IN_FOLDER(test_blocks__deleted_without_holes__give_back_their_space_with_the_pack),
        IN_FOLDER(test_blocks__what_cannot_be_kept__is_refused_before_anything_is_written),
        IN_FOLDER(test_blocks__put_as_verified__is_hashed_when_it_is_read),
        IN_FOLDER(test_blocks__many_puts_at_once__share_syncs_and_keep_one_of_each),
        IN_FOLDER(test_blocks__damaged__are_found_dropped_and_written_anew),
        IN_FOLDER(test_blocks__check__tells_of_damage_and_changes_nothing),
        IN_FOLDER(test_blocks__content_that_looks_like_headers__is_not_taken_for_them),
        IN_FOLDER(test_blocks__opened_twice__is_refused),
        IN_FOLDER(test_blocks__wrong_key_version_or_name__are_told_apart),
        IN_FOLDER(test_blocks__leftovers__are_cleared_away),
        IN_FOLDER(test_blocks__many_packs__are_opened_in_turn),
        IN_FOLDER(test_blocks__no_memory__fails_and_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
