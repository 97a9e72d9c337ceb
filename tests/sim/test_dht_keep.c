// SPDX-License-Identifier: Apache-2.0
// Goal: what a DHT holds for others is there again after a restart, and after a crash as far as it was flushed, whatever the disk does;
// nothing comes back that expired, that a validator refuses, or that the limits do not allow; writing takes few transactions.
// Method: lives of one machine with a host, a DHT and a sealed database; the linker counts transactions.
#include "base/mem.h"
#include "dht/keep.h"
#include "dht/limits.h"
#include "net/host.h"
#include "runtime/file.h"
#include "sim_test.h"
#include "store/stmt.h"

#define TTL_DAYS 60
#define KEYS 40

static const pg_key db_key = {.bytes = {3}};
static const pg_key seed = {.bytes = {1}};

/** One life: what it does once all is loaded. */
typedef struct life {
    pg_sim_machine *machine;
    pg_err (*task)(struct life *self);
    bool knows_test; // records of /test
    pg_dht_validators validators;
    pg_host *host;
    pg_db *db;
    pg_dht *dht;
    pg_dht_keep *keep;
} life;

/** What may be found under each key: the value flushed last, and all put since. Outlives crashes. */
static struct {
    uint32_t flushed[KEYS]; // 0: none
    uint32_t newest[KEYS];
} model;

static uint64_t writes; // transactions

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for --wrap
pg_err __real_pg_db_write(pg_db *db, pg_db_fn fn, void *arg);
pg_err __wrap_pg_db_write(pg_db *db, pg_db_fn fn, void *arg);

pg_err __wrap_pg_db_write(pg_db *db, pg_db_fn fn, void *arg)
{
    writes++;
    return __real_pg_db_write(db, fn, arg);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

static pg_err life_run(life *self)
{
    const char *const steps[] = {pg_dht_keep_schema_1};
    const pg_db_schema schema = {steps, 1};
    PG_TRY(pg_dht_validators_add(&self->validators, &pg_dht_validator_pk));
    if (self->knows_test) {
        PG_TRY(pg_dht_validators_add(&self->validators, &pg_dht_validator_test));
    }
    const pg_dht_config config =
        pg_dht_config_default(self->host, PG_DHT_REALM_GLOBAL, &self->validators);
    PG_TRY(pg_db_open("/db", &db_key, &schema, &self->db));
    PG_TRY(pg_dht_new(&config, &self->dht));
    PG_TRY(pg_dht_keep_open(self->dht, self->db, &self->keep));
    return self->task(self);
}

static pg_err life_main(void *arg)
{
    life *self = arg;
    pg_identity identity = {0};
    pg_err err = pg_identity_init(&identity, &seed);
    const pg_host_config config = pg_host_config_default(&identity);
    err = err == PG_OK ? pg_host_new(&config, &self->host) : err;
    if (err == PG_OK) {
        err = life_run(self);
    }
    pg_fiber_shield(true);
    pg_dht_keep_close(&self->keep);
    pg_dht_free(&self->dht);
    pg_db_close(&self->db);
    pg_host_free(&self->host);
    pg_identity_deinit(&identity);
    pg_fiber_shield(false);
    pg_mfree(self);
    return err;
}

// Owned by its machine: one that crashed is taken down when the next may run already.
static pg_err life_begin(pg_sim_machine *machine, pg_err (*task)(life *), bool knows_test)
{
    life *self = PG_NEW(life);
    SIM_CHECK(self != NULL);
    *self = (life){.machine = machine, .task = task, .knows_test = knows_test};
    return pg_sim_machine_start(machine, "sim.life", life_main, self);
}

static pg_err life_whole(pg_sim_machine *machine, pg_err (*task)(life *))
{
    PG_TRY(life_begin(machine, task, true));
    return pg_sim_machine_join(machine, PG_FOREVER);
}

static pg_dht_source source_make(uint32_t number)
{
    pg_dht_source source = {.peer = {.len = 38, .bytes = {0, 36, 8, 1, 18, 32}}, .group = number};
    memcpy(source.peer.bytes + 6, &number, sizeof(number));
    return source;
}

static pg_bytes key_make(uint32_t number, char text[32])
{
    (void) snprintf(text, 32, "/test/key-%u", number);
    return pg_bytes_cstr(text);
}

static pg_err record_put(life *self, uint32_t key, uint32_t value, uint32_t peer)
{
    char text[32];
    const pg_dht_source source = source_make(peer);
    return pg_dht_records_put(pg_dht_get_records(self->dht), key_make(key, text),
                              pg_bytes_make(&value, sizeof(value)), &source, pg_now(),
                              pg_wall_ms());
}

// The value under a key; 0: none.
static uint32_t record_value(const life *self, uint32_t key)
{
    char text[32];
    uint32_t value = 0;
    const pg_dht_record *record =
        pg_dht_records_get(pg_dht_get_records(self->dht), key_make(key, text), pg_now());
    if (record != NULL && record->value.len == sizeof(value)) {
        memcpy(&value, record->value.ptr, sizeof(value));
    }
    return value;
}

static pg_err provider_add(life *self, uint32_t key, uint32_t peer)
{
    const uint8_t ip[4] = {20, 0, (uint8_t) (peer >> 8), (uint8_t) peer};
    const pg_multiaddr addr = pg_multiaddr_make(PG_BYTES_OF(ip), PG_MULTIADDR_TRANSPORT_TCP, 4417);
    const pg_dht_source source = source_make(peer);
    return pg_dht_providers_add(pg_dht_get_providers(self->dht), pg_bytes_make(&key, sizeof(key)),
                                &source, &addr, 1, pg_now());
}

static const pg_dht_provider *provider_get(const life *self, uint32_t key, uint32_t peer)
{
    const pg_dht_source source = source_make(peer);
    return pg_dht_providers_find(pg_dht_get_providers(self->dht), pg_bytes_make(&key, sizeof(key)),
                                 &source.peer);
}

// ---- there and back ----

static pg_err task_fill(life *self)
{
    SIM_CHECK(pg_dht_keep_loaded(self->keep) == 0);
    for (uint32_t i = 0; i < PG_DHT_PEER_RECORDS_MAX; i++) {
        PG_TRY(record_put(self, i, i + 1, 1));
    }
    for (uint32_t i = 0; i < 300; i++) {
        PG_TRY(provider_add(self, i / 3, i % 3));
    }
    SIM_CHECK(pg_dht_get_stats(self->dht).unsaved == PG_DHT_PEER_RECORDS_MAX + 300);
    PG_TRY(pg_sleep_until(pg_after(PG_DAYS(1)))); // it is written meanwhile
    SIM_CHECK(pg_dht_get_stats(self->dht).unsaved == 0);
    PG_TRY(record_put(self, 0, 77, 2)); // and this at the end
    return provider_add(self, 0, 0);
}

static pg_err task_find(life *self)
{
    pg_bytes addrs[PG_DHT_ADDRS_MAX];
    const pg_dht_provider *found[4];
    const uint32_t first = 0;
    SIM_CHECK(pg_dht_keep_loaded(self->keep) == PG_DHT_PEER_RECORDS_MAX + 300);
    SIM_CHECK(record_value(self, 0) == 77);
    for (uint32_t i = 1; i < PG_DHT_PEER_RECORDS_MAX; i++) {
        SIM_CHECK(record_value(self, i) == i + 1);
    }
    for (uint32_t i = 0; i < 300; i++) {
        SIM_CHECK(pg_dht_provider_addrs(provider_get(self, i / 3, i % 3), addrs) == 1);
    }
    pg_time expires_at = provider_get(self, 1, 1)->expires_at - pg_now();
    SIM_CHECK(expires_at > PG_DAYS(TTL_DAYS - 1) - PG_MINUTES(2));
    SIM_CHECK(expires_at <= PG_DAYS(TTL_DAYS - 1));
    // Who announced last is the first still, and whose share is used up still has none left.
    SIM_CHECK(pg_dht_providers_get(pg_dht_get_providers(self->dht),
                                   pg_bytes_make(&first, sizeof(first)), pg_now(), found, 4) == 3);
    SIM_CHECK(found[0] == provider_get(self, 0, 0));
    SIM_CHECK(record_put(self, 100000, 1, 1) == PG_ERR_LIMIT);
    return PG_OK;
}

static pg_err restart_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(life_whole(machine, task_fill));
    return life_whole(machine, task_find);
}

static void test_dht_keep__restart__all_is_there(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, restart_script, NULL);
}

// ---- crashes ----

static pg_err model_check(const life *self)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t value = record_value(self, i);
        SIM_CHECK(value >= model.flushed[i] && value <= model.newest[i]);
        SIM_CHECK(provider_get(self, i, 1) != NULL || model.flushed[i] == 0);
        model.newest[i] = value;
        model.flushed[i] = value;
    }
    return PG_OK;
}

static pg_err task_work(life *self)
{
    PG_TRY(model_check(self));
    for (;;) {
        uint32_t key = (uint32_t) pg_sim_random_below(KEYS);
        model.newest[key]++;
        PG_TRY(provider_add(self, key, 1));
        PG_TRY(record_put(self, key, model.newest[key], 1));
        PG_TRY(pg_sleep_until(pg_after(PG_MS((int64_t) pg_sim_random_below(300)))));
        if (pg_sim_random_below(20) == 0 && pg_dht_keep_flush(self->keep) == PG_OK) {
            memcpy(model.flushed, model.newest, sizeof(model.flushed));
        }
    }
}

static pg_err task_check(life *self)
{
    return model_check(self);
}

static pg_err crash_script(void *arg)
{
    const pg_sim_disk_faults *faults = arg;
    pg_sim_machine *machine = NULL;
    memset(&model, 0, sizeof(model));
    PG_TRY(pg_sim_machine_new(&machine));
    for (int round = 0; round < 8; round++) {
        PG_TRY(life_begin(machine, task_work, true));
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(2)))); // the database is open
        pg_sim_machine_disk(machine, faults);
        PG_TRY(pg_sleep_until(pg_after(PG_MS((int64_t) pg_sim_random_below(20000)))));
        pg_sim_machine_crash(machine);
        pg_sim_machine_disk(machine, &(pg_sim_disk_faults){.write_error_ppm = 0});
    }
    return life_whole(machine, task_check);
}

static pg_err crash_check_script(void *arg)
{
    PG_TRY(crash_script(arg));
    uint32_t values = 0;
    for (size_t i = 0; i < KEYS; i++) {
        values += model.flushed[i];
    }
    SIM_CHECK(values > KEYS);
    return PG_OK;
}

static void test_dht_keep__crash__what_was_flushed_is_there(void **state)
{
    (void) state;
    pg_sim_disk_faults none = {.write_error_ppm = 0};
    sim_seeds(&(pg_sim_config){.seed = 1}, 20, crash_check_script, &none);
}

static void test_dht_keep__crash_on_a_bad_disk__what_was_flushed_is_there(void **state)
{
    (void) state;
    pg_sim_disk_faults bad = {.write_error_ppm = 3000, .sync_error_ppm = 10000};
    sim_seeds(&(pg_sim_config){.seed = 1}, 20, crash_check_script, &bad);
}

// ---- what does not come back ----

static pg_err task_put_some(life *self)
{
    for (uint32_t i = 0; i < 10; i++) {
        PG_TRY(record_put(self, i, i + 1, 1));
        PG_TRY(provider_add(self, i, 1));
    }
    return PG_OK;
}

static pg_err task_only_providers(life *self)
{
    SIM_CHECK(pg_dht_keep_loaded(self->keep) == 10 && provider_get(self, 3, 1) != NULL);
    SIM_CHECK(pg_dht_get_stats(self->dht).records == 0);
    return PG_OK;
}

static pg_err refused_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(life_whole(machine, task_put_some));
    PG_TRY(life_begin(machine, task_only_providers, false)); // knows no /test
    PG_TRY(pg_sim_machine_join(machine, PG_FOREVER));
    return life_whole(machine, task_only_providers); // they went from the disk too
}

static void test_dht_keep__validator_refuses__goes_from_the_disk(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, refused_script, NULL);
}

static pg_err task_all_there(life *self)
{
    SIM_CHECK(pg_dht_keep_loaded(self->keep) == 20 && record_value(self, 9) == 10);
    SIM_CHECK(provider_get(self, 9, 1)->expires_at <= pg_now() + PG_DAYS(TTL_DAYS));
    return PG_OK;
}

static pg_err task_nothing(life *self)
{
    SIM_CHECK(pg_dht_keep_loaded(self->keep) == 0);
    return PG_OK;
}

static pg_err age_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(life_whole(machine, task_put_some));
    pg_sim_machine_clock_jump(machine,
                              -PG_DAYS(365) / PG_MS(1)); // put in the future: counts as new
    PG_TRY(life_whole(machine, task_all_there));
    pg_sim_machine_clock_jump(machine, PG_DAYS(365) / PG_MS(1));
    PG_TRY(life_whole(machine, task_all_there)); // what is on disk did not change
    PG_TRY(pg_sleep_until(pg_after(PG_DAYS(TTL_DAYS))));
    PG_TRY(life_whole(machine, task_nothing));
    pg_sim_machine_clock_jump(machine, -PG_DAYS(365) / PG_MS(1));
    return life_whole(machine, task_nothing); // deleted, not only passed over
}

static void test_dht_keep__time_passes__what_expired_is_gone(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, age_script, NULL);
}

// ---- what writing costs ----

static pg_err task_flood(life *self)
{
    pg_dht_records *records = pg_dht_get_records(self->dht);
    uint64_t before = writes;
    for (uint32_t i = 0; i < 10000; i++) { // one key, changed all the time
        PG_TRY(record_put(self, 1, i + 1, 1));
        PG_TRY(pg_sleep_until(pg_after(PG_MS(10))));
    }
    SIM_CHECK(writes - before <= 21); // 100 s
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(6))));
    records->count_max = 50;
    before = writes;
    for (uint32_t i = 0; i < 5000; i++) { // ever new keys, which drive each other out
        pg_ignore(record_put(self, i, 1, i), "full of nearer ones");
        SIM_CHECK(pg_dht_get_stats(self->dht).unsaved <= 51);
    }
    SIM_CHECK(writes == before);
    return PG_OK;
}

static pg_err task_fifty(life *self)
{
    SIM_CHECK(pg_dht_get_stats(self->dht).records == 50);
    return PG_OK;
}

static pg_err flood_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(life_whole(machine, task_flood));
    return life_whole(machine, task_fifty);
}

static void test_dht_keep__flood__few_transactions(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, flood_script, NULL);
}

// ---- a full disk ----

static pg_err task_full(life *self)
{
    pg_sim_machine_disk(self->machine, &(pg_sim_disk_faults){.free_bytes = 1});
    PG_TRY(task_put_some(self));
    SIM_CHECK(pg_dht_keep_flush(self->keep) != PG_OK);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(1))));
    SIM_CHECK(pg_dht_get_stats(self->dht).unsaved == 20 && record_value(self, 2) == 3);
    pg_sim_machine_disk(self->machine, &(pg_sim_disk_faults){.write_error_ppm = 0});
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(6))));
    SIM_CHECK(pg_dht_get_stats(self->dht).unsaved == 0);
    return PG_OK;
}

static pg_err full_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(life_whole(machine, task_full));
    return life_whole(machine, task_all_there);
}

static void test_dht_keep__disk_was_full__is_written_later(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, full_script, NULL);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dht_keep__restart__all_is_there),
        cmocka_unit_test(test_dht_keep__crash__what_was_flushed_is_there),
        cmocka_unit_test(test_dht_keep__crash_on_a_bad_disk__what_was_flushed_is_there),
        cmocka_unit_test(test_dht_keep__validator_refuses__goes_from_the_disk),
        cmocka_unit_test(test_dht_keep__time_passes__what_expired_is_gone),
        cmocka_unit_test(test_dht_keep__flood__few_transactions),
        cmocka_unit_test(test_dht_keep__disk_was_full__is_written_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
