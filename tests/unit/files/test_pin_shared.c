// SPDX-License-Identifier: Apache-2.0
// Goal: what devices tell each other of pins comes to one set, which has what at least one of them keeps; a node that was restored makes them
//       its own; what it had pinned before there was such a set is in it.
// Method: real sealed databases in a temporary folder. Several devices pin and let go at random and hear each other's snapshots in any order.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../runtime/in_fiber.h"
#include "base/mem.h"
#include "files/pin_rows.h"
#include "files/pin_shared.h"
#include "snapshot_tools.h"

#define DEVICES 3
#define FILES 5
#define STEPS_MAX 5

static char folder[64];

static pg_db *db_open(unsigned number, unsigned steps_count)
{
    static const char *steps[STEPS_MAX];
    static const pg_key key = {.bytes = {9}};
    char path[96];
    (void) snprintf(path, sizeof(path), "%s/db%u", folder, number);
    steps[0] = pg_files_schema_1;
    steps[1] = pg_files_schema_2;
    steps[2] = pg_files_schema_3;
    steps[3] = pg_files_schema_4;
    steps[4] = pg_files_schema_5;
    const pg_db_schema schema = {steps, steps_count};
    pg_db *db = NULL;
    CHECK_OK(pg_db_open(path, &key, &schema, &db));
    return db;
}

static pg_link link_of(unsigned file)
{
    uint8_t name = (uint8_t) file;
    pg_link link = {.root = pg_cid_of_blake3(pg_bytes_make(&name, 1))};
    memset(link.key.bytes, (int) file + 1, PG_KEY_BYTES);
    return link;
}

static void pin(pg_db *db, unsigned file)
{
    int64_t number = 0;
    pg_pin made = {.link = link_of(file), .size_bytes = 100 + file, .pinned_ms = 5};
    CHECK_OK(pg_buf_append(&made.name, PG_BYTES_LIT("a name")));
    CHECK_OK(pg_pin_rows_begin(db, &made, &number));
    CHECK_OK(pg_pin_rows_update(db, number, &made));
    pg_pin_deinit(&made);
}

static bool is_pinned(pg_db *db, unsigned file)
{
    const pg_link link = link_of(file);
    int64_t number = 0;
    return pg_pin_rows_find(db, &link.root, &number) == PG_OK;
}

static void toggle(pg_db *db, unsigned file)
{
    const pg_link link = link_of(file);
    int64_t number = 0;
    if (pg_pin_rows_find(db, &link.root, &number) == PG_OK) {
        CHECK_OK(pg_pin_rows_remove(db, number));
    } else {
        pin(db, file);
    }
}

/** What came of a snapshot. */
typedef struct hearing {
    uint64_t changed;
    unsigned pinned;
} hearing;

static pg_err on_pin(const pg_snapshot_pin *heard, void *user)
{
    hearing *self = user;
    self->pinned += heard->is_pinned ? 1 : 0;
    return PG_OK;
}

static hearing hear(pg_db *db, pg_db *from, bool is_adopted)
{
    hearing self = {.pinned = 0};
    bool has_pins = false;
    const pg_snapshot_visitor visitor = {.pin = on_pin, .user = &self};
    pg_snapshot_decoder decoder;
    pg_buf snapshot = snapshot_of(from);
    pg_snapshot_decoder_init(&decoder, &visitor);
    CHECK_OK(pg_snapshot_decode(&decoder, pg_buf_bytes(&snapshot)));
    CHECK_OK(pg_snapshot_decode_end(&decoder));
    pg_snapshot_decoder_deinit(&decoder);
    self.changed = snapshot_take(db, pg_buf_bytes(&snapshot), is_adopted, &has_pins);
    CHECK(has_pins == (self.pinned > 0));
    pg_buf_deinit(&snapshot);
    return self;
}

static unsigned next_random(uint64_t *state, unsigned below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned) (*state >> 33) % below;
}

/** Have all hear all until nobody learns anything. */
static void settle(pg_db *const *dbs)
{
    uint64_t changed = 1;
    for (unsigned round = 0; changed > 0; round++) {
        CHECK(round < 2 * DEVICES + 2);
        changed = 0;
        for (unsigned i = 0; i < DEVICES * DEVICES; i++) {
            changed += hear(dbs[i / DEVICES], dbs[i % DEVICES], false).changed;
        }
    }
}

static void agreement_check(pg_db *const *dbs)
{
    pg_buf first = snapshot_of(dbs[0]);
    for (unsigned i = 1; i < DEVICES; i++) {
        pg_buf other = snapshot_of(dbs[i]);
        CHECK(pg_bytes_equal(pg_buf_bytes(&first), pg_buf_bytes(&other)));
        pg_buf_deinit(&other);
    }
    pg_buf_deinit(&first);
}

static pg_err random_run(void *arg)
{
    uint64_t state = *(const uint64_t *) arg;
    pg_db *dbs[DEVICES];
    for (unsigned i = 0; i < DEVICES; i++) {
        dbs[i] = db_open((unsigned) state * 10 + i, STEPS_MAX);
    }
    for (unsigned step = 0; step < 40; step++) {
        pg_db *one = dbs[next_random(&state, DEVICES)];
        if (next_random(&state, 2) == 0) {
            toggle(one, next_random(&state, FILES));
        } else {
            (void) hear(one, dbs[next_random(&state, DEVICES)], false);
        }
    }
    settle(dbs);
    agreement_check(dbs);
    unsigned kept = 0;
    for (unsigned file = 0; file < FILES; file++) {
        bool is_kept = false;
        for (unsigned i = 0; i < DEVICES; i++) {
            is_kept |= is_pinned(dbs[i], file);
        }
        kept += is_kept ? 1 : 0;
    }
    CHECK(hear(dbs[0], dbs[1], false).pinned == kept);
    for (unsigned i = 0; i < DEVICES; i++) {
        pg_db_close(&dbs[i]);
    }
    return PG_OK;
}

static void test_pin_shared__devices_pin_and_let_go__come_to_what_any_of_them_keeps(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        in_fiber(random_run, &seed);
    }
}

static pg_err restored_run(void *arg)
{
    (void) arg;
    pg_db *old = db_open(1, STEPS_MAX);
    pg_db *again = db_open(2, STEPS_MAX);
    int64_t *numbers = NULL;
    size_t count = 0;
    pg_pin got = {.kind = 0};
    const pg_link link = link_of(1);
    pin(old, 0);
    pin(old, 1);
    toggle(old, 0);
    CHECK(hear(again, old, true).changed == 2);
    CHECK(!is_pinned(again, 0) && is_pinned(again, 1));
    CHECK_OK(pg_pin_rows_restored(again, &numbers, &count));
    CHECK(count == 1);
    CHECK_OK(pg_pin_rows_read(again, numbers[0], &got));
    CHECK(memcmp(got.link.key.bytes, link.key.bytes, PG_KEY_BYTES) == 0);
    CHECK(got.size_bytes == 101 && !got.is_complete);
    CHECK(pg_bytes_equal(pg_buf_bytes(&got.name), PG_BYTES_LIT("a name")));
    got.is_complete = true; // when it was got there is nothing more to get
    CHECK_OK(pg_pin_rows_update(again, numbers[0], &got));
    pg_pin_deinit(&got);
    pg_mfree(numbers);
    CHECK_OK(pg_pin_rows_restored(again, &numbers, &count));
    CHECK(count == 0);
    pg_mfree(numbers);
    CHECK(hear(old, again, true).changed == 0);
    CHECK_OK(pg_pin_rows_restored(old, &numbers, &count)); // it pinned that itself
    CHECK(count == 0);
    pg_mfree(numbers);
    pg_db_close(&old);
    pg_db_close(&again);
    return PG_OK;
}

static void test_pin_shared__restored__pins_are_its_own_and_to_be_got(void **state)
{
    (void) state;
    in_fiber(restored_run, NULL);
}

static pg_err older_run(void *arg)
{
    (void) arg;
    pg_db *old = db_open(1, STEPS_MAX - 1);
    int64_t number = 0;
    pg_pin made = {.link = link_of(3), .pinned_ms = 7};
    CHECK_OK(pg_pin_rows_begin(old, &made, &number));
    pg_db_close(&old);
    pg_db *now = db_open(1, STEPS_MAX);
    pg_db *other = db_open(2, STEPS_MAX);
    CHECK(hear(other, now, false).pinned == 0); // its root was never read
    CHECK_OK(pg_buf_append(&made.name, PG_BYTES_LIT("a name")));
    CHECK_OK(pg_pin_rows_update(now, number, &made));
    CHECK(hear(other, now, false).pinned == 1);
    pg_pin_deinit(&made);
    pg_db_close(&now);
    pg_db_close(&other);
    return PG_OK;
}

static void test_pin_shared__database_of_before__goes_on(void **state)
{
    (void) state;
    in_fiber(older_run, NULL);
}

static int folder_make(void **state)
{
    (void) state;
    (void) snprintf(folder, sizeof(folder), "/tmp/pangea-pins-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int folder_remove(void **state)
{
    (void) state;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return -1;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        (void) unlinkat(dirfd(dir), entry->d_name, 0); // "." and ".." stay
    }
    (void) closedir(dir);
    return rmdir(folder);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pin_shared__devices_pin_and_let_go__come_to_what_any_of_them_keeps),
        TEST(test_pin_shared__restored__pins_are_its_own_and_to_be_got),
        TEST(test_pin_shared__database_of_before__goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
