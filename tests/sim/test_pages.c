// SPDX-License-Identifier: Apache-2.0
// Goal: simulated file content reads as a plain array of bytes does, and a crash leaves of it what a disk may leave.
// Method: random operations beside a plain array; crashes under many seeds, sector by sector against what was written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "runtime/sim_pages_priv.h"

#define MODEL_BYTES ((size_t) 300 * 1000)

struct model {
    pg_sim_pages pages;
    pg_sim_rng rng;
    pg_time now_ns;
    size_t size_bytes;
    uint8_t bytes[MODEL_BYTES];
};

static pg_sim_moment moment(struct model *model)
{
    return (pg_sim_moment){model->now_ns, &model->rng};
}

static void model_init(struct model *model, uint64_t seed)
{
    memset(model, 0, sizeof(*model));
    pg_sim_pages_init(&model->pages);
    pg_sim_rng_init(&model->rng, seed, PG_SIM_LABEL_DISK, 1);
}

static void model_check(struct model *model)
{
    static uint8_t space[MODEL_BYTES];
    assert_int_equal(model->pages.size_bytes, model->size_bytes);
    size_t len = pg_sim_pages_read(&model->pages, 0, PG_MUT_BYTES_OF(space));
    assert_int_equal(len, model->size_bytes);
    assert_memory_equal(space, model->bytes, model->size_bytes);
}

static void model_write(struct model *model, size_t offset, size_t len, uint8_t value)
{
    static uint8_t space[MODEL_BYTES];
    memset(space, value, len);
    uint64_t needed = pg_sim_pages_needed(&model->pages, offset, len);
    uint64_t before = model->pages.allocated;
    assert_int_equal(
        pg_sim_pages_write(&model->pages, moment(model), offset, pg_bytes_make(space, len)), PG_OK);
    assert_int_equal(model->pages.allocated, before + needed);
    memset(model->bytes + offset, value, len);
    model->size_bytes = len == 0 ? model->size_bytes : pg_max_size(model->size_bytes, offset + len);
}

static void model_truncate(struct model *model, size_t size_bytes)
{
    assert_int_equal(pg_sim_pages_truncate(&model->pages, moment(model), size_bytes), PG_OK);
    memset(model->bytes + size_bytes, 0, MODEL_BYTES - size_bytes);
    model->size_bytes = size_bytes;
}

static void model_punch(struct model *model, size_t offset, size_t len)
{
    assert_int_equal(pg_sim_pages_punch(&model->pages, moment(model), offset, len), PG_OK);
    if (offset < model->size_bytes) {
        memset(model->bytes + offset, 0, pg_min_size(len, model->size_bytes - offset));
    }
}

static size_t draw(struct model *model, size_t bound)
{
    return (size_t) pg_sim_rng_below(&model->rng, bound);
}

static void model_step(struct model *model)
{
    size_t offset = draw(model, MODEL_BYTES / 2);
    size_t len = draw(model, draw(model, 4) == 0 ? MODEL_BYTES / 2 : 9000);
    model->now_ns += (pg_time) draw(model, (size_t) PG_SECONDS(10));
    switch (draw(model, 8)) {
    case 0:
        model_truncate(model, offset);
        break;
    case 1:
    case 2:
        model_punch(model, offset, len);
        break;
    case 3:
        pg_sim_pages_sync(&model->pages);
        break;
    default:
        model_write(model, offset, len, (uint8_t) draw(model, 256));
        break;
    }
}

static void test_pages__random_operations__read_as_a_plain_array(void **state)
{
    (void) state;
    static struct model model;
    for (uint64_t seed = 0; seed < 20; seed++) {
        model_init(&model, seed);
        for (size_t i = 0; i < 200; i++) {
            model_step(&model);
            model_check(&model);
        }
        pg_sim_pages_sync(&model.pages);
        pg_sim_crash_counts counts = {0};
        pg_sim_pages_crash(&model.pages, moment(&model), &counts);
        model_check(&model);
        assert_int_equal(counts.pages_kept + counts.pages_lost + counts.pages_torn, 0);
        model_truncate(&model, 0);
        assert_int_equal(model.pages.allocated, 0);
        pg_sim_pages_deinit(&model.pages);
    }
}

static void test_pages__sparse_and_punched__take_only_the_pages_they_hold(void **state)
{
    (void) state;
    static struct model model;
    model_init(&model, 1);
    const uint64_t far = UINT64_C(1) << 43;
    assert_int_equal(pg_sim_pages_write(&model.pages, moment(&model), far, PG_BYTES_LIT("end")),
                     PG_OK);
    assert_int_equal(model.pages.size_bytes, far + 3);
    assert_int_equal(model.pages.allocated, 1);
    uint8_t text[8] = {0};
    assert_int_equal(pg_sim_pages_read(&model.pages, far - 2, PG_MUT_BYTES_OF(text)), 5);
    assert_memory_equal(text, "\0\0end", 5);
    assert_int_equal(pg_sim_pages_read(&model.pages, far + 3, PG_MUT_BYTES_OF(text)), 0);
    assert_int_equal(pg_sim_pages_punch(&model.pages, moment(&model), 0, UINT64_MAX), PG_OK);
    assert_int_equal(model.pages.allocated, 0);
    assert_int_equal(model.pages.size_bytes, far + 3);
    pg_sim_pages_deinit(&model.pages);
}

// ---- Crashes

// Each sector of the file has one of two values, or zeros where `holes`. Returns a sum of 1 (old seen) and 2 (new seen).
static unsigned sectors_check(struct model *model, uint8_t old, uint8_t new, bool holes)
{
    static uint8_t space[MODEL_BYTES];
    unsigned seen = 0;
    size_t len = pg_sim_pages_read(&model->pages, 0, PG_MUT_BYTES_OF(space));
    for (size_t at = 0; at < len; at += PG_SIM_SECTOR_BYTES) {
        size_t end = pg_min_size(len, at + PG_SIM_SECTOR_BYTES);
        for (size_t i = at + 1; i < end; i++) {
            assert_int_equal(space[i], space[at]);
        }
        assert_true(space[at] == old || space[at] == new || (holes && space[at] == 0));
        seen |= (space[at] == old ? 1u : 0) | (space[at] == new ? 2u : 0);
    }
    return seen;
}

static void test_crash__overwritten__keeps_old_or_new_of_each_sector(void **state)
{
    (void) state;
    static struct model model;
    pg_sim_crash_counts counts = {0};
    for (uint64_t seed = 0; seed < 50; seed++) {
        model_init(&model, seed);
        model_write(&model, 0, 40960, 1);
        pg_sim_pages_sync(&model.pages);
        model_write(&model, 0, 40960, 2);
        pg_sim_pages_crash(&model.pages, moment(&model), &counts);
        assert_int_equal(model.pages.size_bytes, 40960);
        (void) sectors_check(&model, 1, 2, false);
        assert_int_equal(model.pages.allocated, 10);
        pg_sim_pages_deinit(&model.pages);
    }
    assert_in_range(counts.pages_kept, 150, 250); // of 500: two fifths
    assert_in_range(counts.pages_lost, 150, 250);
    assert_in_range(counts.pages_torn, 60, 140);
}

static void test_crash__appended__ends_anywhere_behind_what_was_synced(void **state)
{
    (void) state;
    static struct model model;
    pg_sim_crash_counts counts = {0};
    unsigned whole = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        model_init(&model, seed);
        model_write(&model, 0, 5000, 1);
        pg_sim_pages_sync(&model.pages);
        model_write(&model, 5000, 20000, 2);
        pg_sim_pages_crash(&model.pages, moment(&model), &counts);
        assert_in_range(model.pages.size_bytes, 5000, 25000);
        whole += model.pages.size_bytes == 25000;
        uint8_t head[5000];
        assert_int_equal(pg_sim_pages_read(&model.pages, 0, PG_MUT_BYTES_OF(head)), 5000);
        for (size_t i = 0; i < sizeof(head); i++) {
            assert_int_equal(head[i], 1);
        }
        pg_sim_pages_deinit(&model.pages);
    }
    assert_in_range(whole, 10, 40);
    assert_in_range(counts.sizes_undone, 10, 40);
}

static void test_crash__cut_and_rewritten__never_mixes_old_with_new(void **state)
{
    (void) state;
    static struct model model;
    pg_sim_crash_counts counts = {0};
    unsigned outcomes[4] = {0};
    for (uint64_t seed = 0; seed < 100; seed++) {
        model_init(&model, seed);
        model_write(&model, 0, 30000, 1);
        pg_sim_pages_sync(&model.pages);
        model_truncate(&model, 0);
        model_write(&model, 0, 20000, 2);
        pg_sim_pages_crash(&model.pages, moment(&model), &counts);
        unsigned seen = sectors_check(&model, 1, 2, true);
        assert_true(seen != 3);
        outcomes[seen]++;
        assert_true(seen != 1 || model.pages.size_bytes == 30000);
        pg_sim_pages_deinit(&model.pages);
    }
    assert_true(outcomes[1] > 20);
    assert_true(outcomes[2] > 20);
}

static void test_crash__long_after_the_write__finds_it_on_the_disk(void **state)
{
    (void) state;
    static struct model model;
    pg_sim_crash_counts counts = {0};
    model_init(&model, 1);
    model_write(&model, 0, 30000, 1);
    model.now_ns += PG_SECONDS(31);
    model_write(&model, 0, 100, 2); // what stood there before was written back by then
    pg_sim_pages_crash(&model.pages, moment(&model), &counts);
    assert_int_equal(model.pages.size_bytes, 30000);
    (void) sectors_check(&model, 1, 2, false);
    pg_sim_pages_deinit(&model.pages);
}

static void test_crash__punched__has_the_data_or_the_hole(void **state)
{
    (void) state;
    static struct model model;
    unsigned outcomes[4] = {0};
    for (uint64_t seed = 0; seed < 50; seed++) {
        pg_sim_crash_counts counts = {0};
        model_init(&model, seed);
        model_write(&model, 0, 4096, 1);
        pg_sim_pages_sync(&model.pages);
        model_punch(&model, 0, 4096);
        pg_sim_pages_crash(&model.pages, moment(&model), &counts);
        outcomes[sectors_check(&model, 1, 0, false)]++;
        pg_sim_pages_deinit(&model.pages);
    }
    assert_true(outcomes[1] > 0 && outcomes[2] > 0 && outcomes[3] > 0);
}

static void test_sync_fail__later_sync_succeeds__does_not_bring_lost_pages_back(void **state)
{
    (void) state;
    static struct model model;
    unsigned shown = 0; // read as new before the crash, and old after it
    unsigned gone = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        pg_sim_crash_counts counts = {0};
        uint8_t before[1];
        uint8_t after[1];
        model_init(&model, seed);
        model_write(&model, 0, 4096, 1);
        pg_sim_pages_sync(&model.pages);
        model_write(&model, 0, 4096, 2);
        pg_sim_pages_sync_fail(&model.pages, moment(&model));
        pg_sim_pages_sync(&model.pages);
        (void) pg_sim_pages_read(&model.pages, 0, PG_MUT_BYTES_OF(before));
        pg_sim_pages_crash(&model.pages, moment(&model), &counts);
        (void) pg_sim_pages_read(&model.pages, 0, PG_MUT_BYTES_OF(after));
        shown += before[0] == 2 && after[0] == 1;
        gone += before[0] == 1;
        assert_true(before[0] == 2 || after[0] == 1);
        pg_sim_pages_deinit(&model.pages);
    }
    assert_in_range(shown, 10, 40);
    assert_in_range(gone, 10, 40);
}

static void test_sync_fail__cut_file_and_rewritten_page__stay_consistent(void **state)
{
    (void) state;
    static struct model model;
    for (uint64_t seed = 0; seed < 50; seed++) {
        pg_sim_crash_counts counts = {0};
        model_init(&model, seed);
        model_write(&model, 0, 20000, 1);
        pg_sim_pages_sync(&model.pages);
        model_truncate(&model, 100);
        pg_sim_pages_sync_fail(&model.pages, moment(&model));
        assert_int_equal(pg_sim_pages_truncate(&model.pages, moment(&model), 20000), PG_OK);
        model_write(&model, 0, 4096, 3);
        pg_sim_pages_sync(&model.pages);
        pg_sim_pages_crash(&model.pages, moment(&model), &counts);
        assert_int_equal(model.pages.size_bytes, 20000);
        (void) sectors_check(&model, 3, 0, true); // of the cut part nothing comes back
        pg_sim_pages_deinit(&model.pages);
    }
}

static void test_pages__memory_is_out__fails_and_stays_usable(void **state)
{
    (void) state;
    static struct model model;
    static const uint8_t data[20000];
    for (uint64_t nth = 1;; nth++) {
        model_init(&model, 1);
        model_write(&model, 4096, 4096, 1);
        pg_mem_fail_nth(nth);
        pg_err err = pg_sim_pages_write(&model.pages, moment(&model), 0, PG_BYTES_OF(data));
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_int_equal(err, failed ? PG_ERR_NOMEM : PG_OK);
        assert_int_equal(pg_sim_pages_write(&model.pages, moment(&model), 0, PG_BYTES_OF(data)),
                         PG_OK);
        pg_sim_pages_deinit(&model.pages);
        if (!failed) {
            return;
        }
    }
}

static void test_random__numbers__are_uniform_and_filled_to_the_byte(void **state)
{
    (void) state;
    pg_sim_rng rng;
    pg_sim_rng other;
    pg_sim_rng_init(&rng, 1, PG_SIM_LABEL_NETWORK, 0);
    pg_sim_rng_init(&other, 1, PG_SIM_LABEL_NETWORK, 1);
    assert_true(pg_sim_rng_next(&rng) != pg_sim_rng_next(&other));
    unsigned counts[10] = {0};
    unsigned hits = 0;
    for (size_t i = 0; i < 10000; i++) {
        counts[pg_sim_rng_below(&rng, 10)]++;
        hits += pg_sim_rng_chance(&rng, 250000);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_in_range(counts[i], 850, 1150);
    }
    assert_in_range(hits, 2300, 2700);
    uint8_t space[13] = {0};
    pg_sim_rng_fill(&rng, pg_mut_bytes_make(space, 11));
    assert_int_equal(space[11] + space[12], 0);
    assert_true(pg_sim_rng_below(&rng, UINT64_MAX) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages__random_operations__read_as_a_plain_array),
        cmocka_unit_test(test_pages__sparse_and_punched__take_only_the_pages_they_hold),
        cmocka_unit_test(test_crash__overwritten__keeps_old_or_new_of_each_sector),
        cmocka_unit_test(test_crash__appended__ends_anywhere_behind_what_was_synced),
        cmocka_unit_test(test_crash__cut_and_rewritten__never_mixes_old_with_new),
        cmocka_unit_test(test_crash__long_after_the_write__finds_it_on_the_disk),
        cmocka_unit_test(test_crash__punched__has_the_data_or_the_hole),
        cmocka_unit_test(test_sync_fail__later_sync_succeeds__does_not_bring_lost_pages_back),
        cmocka_unit_test(test_sync_fail__cut_file_and_rewritten_page__stay_consistent),
        cmocka_unit_test(test_pages__memory_is_out__fails_and_stays_usable),
        cmocka_unit_test(test_random__numbers__are_uniform_and_filled_to_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
