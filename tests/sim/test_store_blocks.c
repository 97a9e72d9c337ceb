// SPDX-License-Identifier: Apache-2.0
// Goal: what the block store acknowledged is there after any crash, what it gives is right, what it deleted stays away, and its ledger
// is what the disk says; while disks tear, fill up, fail and flip bits.
// Method: fibers that put, get and delete at random against a model that outlives the machine, which crashes at random and is
// started again and again.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "runtime/file.h"
#include "runtime/random.h"
#include "runtime/sim.h"
#include "sim_test.h"
#include "store/blocks.h"

#define IDS 48
#define FIBERS 6
#define ROUNDS 6
#define LEN_MAX 60000
#define DIR "/blocks"

enum known { UNKNOWN, THERE, AWAY };

/** What outlives the machine. */
struct model {
    pg_sim_machine *machine;
    pg_sim_disk_faults faults;
    uint64_t quota_bytes;
    uint64_t steps; // of a fiber, before the store is closed
    bool flips;     // reads may fail, blocks may get lost
    bool check_first;
    enum known known[IDS];
    bool undead[IDS]; // a delete failed: a crash may bring the block back for good
    pg_cid cids[IDS];
    uint32_t lens[IDS];
    uint64_t acknowledged;
    uint64_t full;
    uint64_t failed;
    uint64_t rebuilt;
};

/** A run of the machine. */
struct program {
    struct model *model;
    pg_block_store *store;
};

/** A fiber of it. */
struct worker {
    struct program *program;
    unsigned number;
};

static const pg_key key = {.bytes = {1, 2, 3}};

// The content of a block: determined by its id.
static void content(unsigned id, uint8_t *out, uint32_t len)
{
    uint64_t state = 0x9e3779b97f4a7c15u * (id + 1);
    for (uint32_t i = 0; i < len; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t) (state >> 56);
    }
}

static void model_init(struct model *model)
{
    uint8_t *bytes = pg_malloc(LEN_MAX);
    assert_non_null(bytes);
    for (unsigned id = 0; id < IDS; id++) {
        model->lens[id] = id == 0 ? 0 : id % 5 == 0 ? 4096 - 128 : (id * 7919u) % LEN_MAX;
        content(id, bytes, model->lens[id]);
        model->cids[id] = pg_cid_of_blake3(pg_bytes_make(bytes, model->lens[id]));
        model->known[id] = AWAY;
        model->undead[id] = false;
    }
    pg_mfree(bytes);
}

static pg_err expect_content(const struct model *model, unsigned id, pg_bytes got)
{
    uint8_t *bytes = pg_malloc(LEN_MAX);
    SIM_CHECK(bytes != NULL);
    content(id, bytes, model->lens[id]);
    bool equal = pg_bytes_equal(got, pg_bytes_make(bytes, model->lens[id]));
    pg_mfree(bytes);
    SIM_CHECK(equal);
    return PG_OK;
}

// ---- One step

static pg_err step_put(struct program *program, unsigned id)
{
    struct model *model = program->model;
    uint8_t *bytes = pg_malloc(LEN_MAX);
    SIM_CHECK(bytes != NULL);
    content(id, bytes, model->lens[id]);
    enum known before = model->known[id];
    model->known[id] = UNKNOWN;
    pg_err err =
        pg_block_store_put(program->store, &model->cids[id], pg_bytes_make(bytes, model->lens[id]));
    pg_mfree(bytes);
    if (err == PG_OK) {
        model->known[id] = THERE;
        model->acknowledged++;
    } else if (err == PG_ERR_FULL) {
        model->known[id] = before;
        model->full++;
    } else if (err == PG_ERR_IO) {
        model->failed++;
        return PG_OK;
    }
    return err == PG_ERR_FULL ? PG_OK : err;
}

static pg_err step_delete(struct program *program, unsigned id)
{
    struct model *model = program->model;
    enum known before = model->known[id];
    model->known[id] = UNKNOWN;
    pg_err err = pg_block_store_delete(program->store, &model->cids[id]);
    if (err == PG_OK) {
        model->known[id] = model->undead[id] ? UNKNOWN : AWAY;
    } else if (err == PG_ERR_NOT_FOUND) {
        SIM_CHECK(before != THERE || model->flips);
        model->known[id] = before; // what failed to be written may come with a rebuild
    } else if (err == PG_ERR_IO) {
        model->undead[id] = true;
        model->failed++;
        return PG_OK;
    }
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

// Of any block, also one that another fiber is busy with; `mine` says that none is.
static pg_err step_get(struct program *program, unsigned id, bool mine)
{
    struct model *model = program->model;
    pg_buf buf = {0};
    pg_err err = pg_block_store_get(program->store, &model->cids[id], &buf);
    pg_err result = err;
    if (err == PG_OK) {
        result = expect_content(model, id, pg_buf_bytes(&buf));
        if (mine && model->known[id] == AWAY) {
            result = pg_fail(PG_ERR_BUG, "block %u was deleted", id);
        }
    } else if (err == PG_ERR_NOT_FOUND) {
        result = mine && model->known[id] == THERE && !model->flips
                     ? pg_fail(PG_ERR_BUG, "block %u is not there", id)
                     : PG_OK;
    } else if (err == PG_ERR_CORRUPT && model->flips) {
        model->known[id] = UNKNOWN;
        result = PG_OK;
    }
    pg_buf_deinit(&buf);
    return result;
}

static pg_err worker_run(void *arg)
{
    const struct worker *worker = arg;
    struct program *program = worker->program;
    for (uint64_t i = 0; i < program->model->steps; i++) {
        unsigned any = (unsigned) pg_random_below(IDS);
        unsigned mine = any - any % FIBERS + worker->number;
        pg_err err = PG_OK;
        switch (pg_random_below(8)) {
        case 0:
        case 1:
        case 2:
            err = step_put(program, mine);
            break;
        case 3:
        case 4:
            err = step_delete(program, mine);
            break;
        case 5:
            err = pg_sleep_until(pg_after((int64_t) pg_random_below(PG_MS(20))));
            break;
        case 6:
            err = step_get(program, mine, true);
            break;
        default:
            err = step_get(program, any, any == mine);
            break;
        }
        PG_TRY(err);
    }
    return PG_OK;
}

// ---- The ledger

/** Sums. */
struct sums {
    uint64_t allocated;
    uint64_t space;
    uint64_t blocks;
};

static pg_err on_name(const char *name, void *user)
{
    struct sums *sums = user;
    char path[64];
    pg_file_info info;
    (void) snprintf(path, sizeof(path), DIR "/%s", name);
    if (strncmp(name, "pack-", 5) == 0) {
        PG_TRY(pg_path_stat(path, &info));
        sums->allocated += info.allocated_bytes;
    }
    return PG_OK;
}

static pg_err on_block(const pg_cid *cid, uint32_t len, void *user)
{
    struct sums *sums = user;
    (void) cid;
    sums->space += ((uint64_t) len + 128 + 4095) / 4096 * 4096;
    sums->blocks++;
    return PG_OK;
}

static pg_err check_ledger(struct program *program)
{
    struct sums sums = {0};
    pg_block_store_stats stats = pg_block_store_stats_get(program->store);
    PG_TRY(pg_block_store_walk(program->store, on_block, &sums));
    SIM_CHECK(stats.used_bytes <= program->model->quota_bytes);
    SIM_CHECK(stats.blocks == sums.blocks);
    if (stats.has_failed) {
        return PG_OK;
    }
    PG_TRY(pg_dir_each(DIR, on_name, &sums));
    // A hole whose sync failed may be undone by a crash after the next good one; a later rebuild gives it back.
    bool is_exact = program->model->faults.sync_error_ppm == 0;
    if (stats.used_bytes != sums.space || (is_exact && sums.allocated != sums.space)) {
        return pg_fail(PG_ERR_BUG, "ledger %llu, blocks %llu, disk %llu",
                       (unsigned long long) stats.used_bytes, (unsigned long long) sums.space,
                       (unsigned long long) sums.allocated);
    }
    return PG_OK;
}

static pg_err check_all(struct program *program)
{
    struct model *model = program->model;
    for (unsigned id = 0; id < IDS; id++) {
        PG_TRY(step_get(program, id, true));
        bool there = pg_block_store_has(program->store, &model->cids[id], NULL);
        if (model->known[id] == UNKNOWN && (there || !model->undead[id])) {
            model->known[id] = there ? THERE : AWAY;
        }
    }
    return check_ledger(program);
}

// ---- The machine

static pg_err program_work(struct program *program)
{
    struct worker workers[FIBERS];
    pg_scope scope;
    pg_scope_init(&scope);
    PG_TRY(check_all(program));
    for (unsigned i = 0; i < FIBERS; i++) {
        workers[i] = (struct worker){program, i};
        PG_TRY(pg_scope_spawn(&scope, "test.worker", worker_run, &workers[i]));
    }
    PG_TRY(pg_scope_join(&scope));
    return check_ledger(program);
}

static pg_err program_main(void *arg)
{
    struct model *model = arg;
    struct program program = {.model = model};
    pg_block_store_config config = {
        .dir = DIR,
        .quota_bytes = model->quota_bytes,
        .key = &key,
        .pack_bytes = PG_PACK_BYTES_MIN,
    };
    pg_err err = pg_block_store_open(&config, &program.store);
    bool misread = err == PG_ERR_CORRUPT || err == PG_ERR_UNSUPPORTED;
    if (err == PG_ERR_IO || err == PG_ERR_FULL || (misread && model->flips)) {
        return PG_OK; // a disk that fails now
    }
    PG_TRY(err);
    model->rebuilt += pg_block_store_stats_get(program.store).was_rebuilt;
    err = program_work(&program);
    pg_block_store_close(&program.store);
    return err;
}

static pg_err rounds_script(void *arg)
{
    struct model *model = arg;
    model_init(model);
    PG_TRY(pg_sim_machine_new(&model->machine));
    for (unsigned round = 0; round < ROUNDS; round++) {
        // The last one looks at a good disk what is left.
        bool last = round == ROUNDS - 1;
        pg_sim_machine_disk(model->machine, last ? &(pg_sim_disk_faults){0} : &model->faults);
        PG_TRY(pg_sim_machine_start(model->machine, "test.program", program_main, model));
        if (round % 3 != 2) {
            PG_TRY(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(150)))));
            pg_sim_machine_crash(model->machine);
        } else {
            PG_TRY(pg_sim_machine_join(model->machine, PG_FOREVER));
        }
    }
    return PG_OK;
}

static void test_store_blocks__crashes__lose_nothing_that_was_acknowledged(void **state)
{
    (void) state;
    struct model model = {.quota_bytes = UINT64_C(16) << 20, .steps = 60};
    sim_seeds(&(pg_sim_config){0}, 60, rounds_script, &model);
    sim_saw("acknowledged", model.acknowledged, 20000, 60);
    sim_saw("rebuilt", model.rebuilt, 90, 60);
}

static void test_store_blocks__small_quota__is_never_exceeded(void **state)
{
    (void) state;
    struct model model = {.quota_bytes = 300 * 1024, .steps = 60};
    sim_seeds(&(pg_sim_config){0}, 20, rounds_script, &model);
    sim_saw("full", model.full, 2000, 20);
}

static void test_store_blocks__full_disk__refuses_and_goes_on(void **state)
{
    (void) state;
    struct model model = {
        .quota_bytes = UINT64_C(16) << 20,
        .steps = 60,
        .faults = {.free_bytes = 400 * 1024},
    };
    sim_seeds(&(pg_sim_config){0}, 30, rounds_script, &model);
    sim_saw("full", model.full, 400, 30);
}

static void test_store_blocks__write_and_sync_errors__lose_nothing_that_was_acknowledged(
    void **state)
{
    (void) state;
    struct model model = {
        .quota_bytes = UINT64_C(16) << 20,
        .steps = 40,
        .faults = {.write_error_ppm = 20000, .sync_error_ppm = 20000},
    };
    sim_seeds(&(pg_sim_config){0}, 60, rounds_script, &model);
    sim_saw("failed", model.failed, 4000, 60);
}

static void test_store_blocks__flipped_bits__never_give_a_wrong_block(void **state)
{
    (void) state;
    struct model model = {
        .quota_bytes = UINT64_C(16) << 20,
        .steps = 60,
        .flips = true,
        .faults = {.read_flip_ppm = 300000},
    };
    sim_seeds(&(pg_sim_config){0}, 30, rounds_script, &model);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_blocks__crashes__lose_nothing_that_was_acknowledged),
        cmocka_unit_test(test_store_blocks__small_quota__is_never_exceeded),
        cmocka_unit_test(test_store_blocks__full_disk__refuses_and_goes_on),
        cmocka_unit_test(
            test_store_blocks__write_and_sync_errors__lose_nothing_that_was_acknowledged),
        cmocka_unit_test(test_store_blocks__flipped_bits__never_give_a_wrong_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
