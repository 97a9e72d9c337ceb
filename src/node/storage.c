// SPDX-License-Identifier: Apache-2.0
#include "node/storage.h"

#include <string.h>

#include "api/telemetry.h"
#include "base/log.h"
#include "base/str.h"
#include "crypto/kdf.h"
#include "dht/keep.h"
#include "files/extent_format.h"
#include "health/gossip.h"
#include "health/watch.h"
#include "net/peer_store.h"
#include "node/data.h"
#include "store/limits.h"

#define BLOCKS_NAME "blocks"
#define DATABASE_NAME "pangea.db"
#define COPY_NAME "pangea.db.copy"

/** A key for one purpose, from the owner's secret. */
static void key_derive(const pg_keystore *identity, const char *purpose, pg_key *out_key)
{
    pg_hkdf(PG_BYTES_EMPTY, pg_secret_bytes(&identity->owner), pg_bytes_cstr(purpose),
            pg_mut_bytes_make(out_key->bytes, PG_KEY_BYTES));
}

static pg_err blocks_open(pg_storage *storage, const char *data, const pg_keystore *identity,
                          const pg_config *config)
{
    pg_buf path = {0};
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    key_derive(identity, "pangea blocks v1", &key);
    pg_err err = pg_data_name(data, BLOCKS_NAME, &path);
    if (err == PG_OK) {
        const pg_block_store_config settings = {
            .dir = (const char *) path.ptr,
            .quota_bytes = config->storage_quota_bytes,
            .key = &key,
        };
        err = pg_error_wrap(pg_block_store_open(&settings, &storage->blocks), "block store");
    }
    pg_buf_deinit(&path);
    return err;
}

// The steps of all rooms, in the order in which they were released. A step is never moved; new ones are appended.
static const char *const *const schema_steps[] = {
    &pg_place_schema_1,    &pg_files_schema_1,     &pg_peer_store_schema_1, &pg_files_schema_2,
    &pg_dht_keep_schema_1, &pg_files_schema_3,     &pg_files_schema_4,      &pg_files_schema_5,
    &pg_health_schema_1,   &pg_files_schema_6,     &pg_files_schema_7,      &pg_place_schema_2,
    &pg_guard_schema_1,    &pg_telemetry_schema_1, &pg_vault_schema_1,      &pg_guard_schema_2,
};

uint32_t pg_storage_schema_version(void)
{
    return PG_ARRAY_LEN(schema_steps);
}

static pg_err database_open(pg_storage *storage, const char *data, const pg_keystore *identity,
                            bool as_it_is)
{
    const char *steps[PG_ARRAY_LEN(schema_steps)];
    for (size_t i = 0; i < PG_ARRAY_LEN(steps); i++) {
        steps[i] = *schema_steps[i];
    }
    const pg_db_schema schema = {steps, PG_ARRAY_LEN(steps)};
    pg_buf path = {0};
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    key_derive(identity, "pangea database v1", &key);
    pg_err err = pg_data_name(data, DATABASE_NAME, &path);
    if (err == PG_OK) {
        err = pg_error_wrap(
            pg_db_open((const char *) path.ptr, &key, as_it_is ? NULL : &schema, &storage->db),
            "database");
    }
    pg_buf_deinit(&path);
    return err == PG_OK && !as_it_is ? pg_db_keep_room(storage->db, PG_DB_ROOM_BYTES) : err;
}

static pg_place_rules rules_make(const pg_config *config)
{
    return (pg_place_rules){
        .accept = pg_config_is_view_only(config) || strcmp(config->storage_accept, "nobody") == 0
                      ? PG_PLACE_ACCEPT_NOBODY
                      : PG_PLACE_ACCEPT_ANYONE,
        .quota_bytes = config->storage_quota_bytes,
        .uploader_bytes_max = config->storage_uploader_bytes_max,
    };
}

static pg_guard_rules guard_rules_make(const pg_config *config)
{
    return (pg_guard_rules){
        .patience_s = config->repair_patience_ms / 1000,
        .audit_interval_s = config->audit_interval_ms / 1000,
        .bandwidth = config->repair_bandwidth,
        .repairs = config->repair_enabled,
        .rebalances = config->rebalance_enabled,
        .rebalance_bandwidth = config->rebalance_bandwidth,
        .rebalance_margin = (unsigned) config->rebalance_margin,
    };
}

// What a view-only node fetched it forgets, unless it may seed.
static uint64_t cache_bytes_max(const pg_config *config)
{
    return pg_config_is_view_only(config) && !config->storage_seed ? 0
                                                                   : config->storage_cache_bytes;
}

static bool is_needed(const pg_cid *cid, void *user)
{
    return pg_files_needs(user, cid);
}

static bool make_room(uint64_t bytes, void *user)
{
    return pg_files_make_room(user, bytes);
}

static pg_err newest_grant(const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES], pg_buf *out,
                           void *user)
{
    return pg_files_newest_grant(user, lease_key, out);
}

static void dropped(const pg_lease_grant *grant, void *user)
{
    pg_files_dropped(user, grant);
}

static pg_err held_elsewhere(const pg_place_claim *claim, pg_slot_set *out_held, void *user)
{
    return pg_files_held_elsewhere(user, claim, out_held);
}

static bool is_own(const pg_cid *descriptor, void *user)
{
    return pg_files_is_own(user, descriptor);
}

// ---- The archive

static pg_vault_rules vault_rules_make(const pg_config *config)
{
    return (pg_vault_rules){
        .cold_after_s = config->archive_cold_after_ms / 1000,
        .bandwidth = config->archive_bandwidth,
        .quota_bytes = config->archive_quota_bytes,
        .healthy_too = strcmp(config->archive_when, "cold") == 0,
    };
}

static pg_err s3_open(pg_storage *storage, const pg_config *config)
{
    const pg_s3_config s3 = {
        .endpoint = config->archive_endpoint,
        .bucket = config->archive_bucket,
        .region = config->archive_region,
        .proxy = config->archive_proxy,
        .ca_file = config->archive_ca_file,
        .in_host = strcmp(config->archive_style, "host") == 0,
    };
    return pg_s3_new(&s3, &storage->s3);
}

static pg_err vault_start(pg_storage *storage, const pg_storage_parts *parts,
                          const pg_config *config)
{
    pg_objects objects;
    if (parts->objects != NULL) {
        objects = *parts->objects;
    } else if (config->archive_endpoint[0] == '\0') {
        return PG_OK;
    } else {
        PG_TRY(s3_open(storage, config));
        objects = pg_s3_objects(storage->s3);
    }
    const pg_vault_config vault = {
        .files = storage->files,
        .guard = storage->guard,
        .place = storage->place,
        .objects = &objects,
        .s3 = storage->s3,
        .rules = vault_rules_make(config),
    };
    PG_TRY(pg_vault_new(&vault, &storage->vault));
    pg_files_attach_vault(storage->files, storage->vault);
    return PG_OK;
}

static pg_err services_start(pg_storage *storage, const pg_storage_parts *parts,
                             const pg_config *config)
{
    const pg_health_config health = {.db = storage->db};
    PG_TRY(pg_error_wrap(pg_health_open(&health, &storage->health), "health"));
    PG_TRY(pg_bitswap_new(parts->host, storage->blocks, &storage->bitswap));
    const pg_files_config files = {
        .host = parts->host,
        .dht = parts->dhts,
        .bitswap = storage->bitswap,
        .blocks = storage->blocks,
        .db = storage->db,
        .health = storage->health,
        .owner = &parts->identity->owner,
        .person = &parts->identity->person,
        .is_restored = parts->is_restored,
        .cache_bytes_max = cache_bytes_max(config),
        .ttl_s = config->storage_ttl_ms / 1000,
    };
    PG_TRY(pg_error_wrap(pg_files_new(&files, &storage->files), "files"));
    const pg_place_server_config place = {
        .host = parts->host,
        .blocks = storage->blocks,
        .db = storage->db,
        .device = &parts->identity->device,
        .format = &pg_files_extent_format,
        .rules = rules_make(config),
        .is_unlisted = pg_config_is_view_only(config),
        .is_needed = is_needed,
        .make_room = make_room,
        .newest_grant = newest_grant,
        .dropped = dropped,
        .held_elsewhere = held_elsewhere,
        .is_own = is_own,
        .user = storage->files,
    };
    PG_TRY(pg_error_wrap(pg_place_server_new(&place, &storage->place), "leases"));
    pg_files_attach_place(storage->files, storage->place);
    const pg_guard_config guard = {
        .files = storage->files,
        .place = storage->place,
        .device = &parts->identity->device,
        .rules = guard_rules_make(config),
    };
    PG_TRY(pg_error_wrap(pg_guard_new(&guard, &storage->guard), "guard"));
    PG_TRY(pg_error_wrap(vault_start(storage, parts, config), "archive"));
    return pg_losses_new(storage->blocks, storage->files, storage->place, &storage->losses);
}

// A copy for a backup that was killed.
static pg_err leftover_remove(const char *data)
{
    pg_buf path = {0};
    pg_err err = pg_data_name(data, COPY_NAME, &path);
    if (err == PG_OK) {
        err = pg_path_remove((const char *) path.ptr);
    }
    pg_buf_deinit(&path);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

static void upgrade_tell(const pg_db *db)
{
    uint32_t before = pg_db_version_before(db);
    if (before > 0 && before < pg_db_version(db)) {
        pg_log(PG_LOG_LEVEL_INFO, "node.database.upgraded", PG_LOG_U64("from", before),
               PG_LOG_U64("to", pg_db_version(db)));
    }
}

pg_err pg_storage_open(pg_storage *storage, const char *data, const pg_storage_parts *parts,
                       const pg_config *config)
{
    PG_TRY(leftover_remove(data));
    PG_TRY(blocks_open(storage, data, parts->identity, config));
    PG_TRY(database_open(storage, data, parts->identity, false));
    upgrade_tell(storage->db);
    return services_start(storage, parts, config);
}

static pg_err database_copy(pg_storage *storage, const char *path, const pg_keystore *identity)
{
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    key_derive(identity, "pangea database v1", &key);
    pg_err err = pg_path_remove(path);
    return err == PG_OK || err == PG_ERR_NOT_FOUND ? pg_db_backup(storage->db, path, &key) : err;
}

pg_err pg_storage_copy_database(pg_storage *storage, const char *data, const pg_keystore *identity,
                                pg_buf *out_path)
{
    if (storage->db == NULL) {
        return pg_fail(PG_ERR_NOT_FOUND, "there is no database yet");
    }
    if (storage->is_copying) {
        return pg_fail(PG_ERR_BUSY, "another copy of the database is being made");
    }
    storage->is_copying = true;
    pg_err err = pg_data_name(data, COPY_NAME, out_path);
    if (err == PG_OK) {
        err = database_copy(storage, (const char *) out_path->ptr, identity);
    }
    storage->is_copying = false;
    return pg_error_wrap(err, "copy of the database");
}

static pg_err version_look(const char *path, const pg_key *key, uint32_t *out_version)
{
    pg_db *db = NULL;
    PG_TRY(pg_db_open(path, key, NULL, &db));
    *out_version = pg_db_version(db);
    pg_db_close(&db);
    return PG_OK;
}

static pg_err downgrade(const char *path, const pg_key *key, uint32_t *out_from, uint32_t *out_to)
{
    const uint32_t known = pg_storage_schema_version();
    uint32_t copy = 0;
    pg_file_info info;
    PG_TRY(pg_path_stat(path, &info));
    PG_TRY(version_look(path, key, out_from));
    if (*out_from <= known) {
        return pg_fail(PG_ERR_EXISTS,
                       "the database has version %u, which this program knows: there is nothing to "
                       "go back for",
                       *out_from);
    }
    PG_TRY(pg_db_copy_find(path, known, &copy));
    if (copy == 0) {
        return pg_fail(PG_ERR_NOT_FOUND,
                       "%s.v%u, or one of an earlier version, is not there: run the newer program "
                       "again, or restore a backup",
                       path, known);
    }
    *out_to = copy;
    return pg_db_go_back(path, key, copy, out_from);
}

pg_err pg_storage_downgrade(const char *data, const pg_keystore *identity, uint32_t *out_from,
                            uint32_t *out_to)
{
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    key_derive(identity, "pangea database v1", &key);
    PG_TRY(pg_data_name(data, DATABASE_NAME, &path));
    return pg_error_wrap(downgrade((const char *) path.ptr, &key, out_from, out_to), "database");
}

static pg_err is_there(const char *data, const char *name, bool *out_there)
{
    pg_buf path = {0};
    pg_file_info info;
    pg_err err = pg_data_name(data, name, &path);
    if (err == PG_OK) {
        err = pg_path_stat((const char *) path.ptr, &info);
        *out_there = err == PG_OK;
    }
    pg_buf_deinit(&path);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

pg_err pg_storage_inspect_database(pg_storage *storage, const char *data,
                                   const pg_keystore *identity)
{
    bool has_database = false;
    PG_TRY(is_there(data, DATABASE_NAME, &has_database));
    return has_database ? database_open(storage, data, identity, true) : PG_OK;
}

pg_err pg_storage_inspect(pg_storage *storage, const char *data, const pg_keystore *identity,
                          const pg_config *config)
{
    bool has_blocks = false;
    PG_TRY(is_there(data, BLOCKS_NAME, &has_blocks));
    PG_TRY(pg_storage_inspect_database(storage, data, identity));
    return has_blocks ? blocks_open(storage, data, identity, config) : PG_OK;
}

static size_t known_list(pg_peer_id *out_peers, size_t max, void *user)
{
    const pg_storage *storage = user;
    size_t count = pg_files_hosts(storage->files, out_peers, max);
    return count + pg_place_server_uploaders(storage->place, out_peers + count, max - count);
}

pg_err pg_storage_watch(pg_storage *storage, const pg_storage_parts *parts, const pg_config *config)
{
    const pg_health_watch_config watch = {
        .host = parts->host,
        .dhts = parts->dhts,
        .interval_ns = PG_MS(config->health_ping_interval_ms),
        .known = known_list,
        .user = storage,
    };
    const pg_health_gossip_config gossip = {
        .dhts = parts->dhts,
        .device = &parts->identity->device,
        .interval_ns = watch.interval_ns * PG_HEALTH_GOSSIP_PINGS,
    };
    PG_TRY(pg_health_watch(storage->health, &watch));
    return pg_health_gossip(storage->health, &gossip);
}

void pg_storage_reload(pg_storage *storage, const pg_config *config)
{
    const pg_place_rules rules = rules_make(config);
    pg_block_store_quota_set(storage->blocks, config->storage_quota_bytes);
    pg_place_server_set_rules(storage->place, &rules);
    const pg_guard_rules guard = guard_rules_make(config);
    pg_guard_set_rules(storage->guard, &guard);
    if (storage->vault != NULL) {
        const pg_vault_rules vault = vault_rules_make(config);
        pg_vault_set_rules(storage->vault, &vault);
    }
}

void pg_storage_close(pg_storage *storage)
{
    pg_health_unwatch(storage->health);
    pg_losses_free(&storage->losses);
    if (storage->files != NULL) {
        pg_files_attach_vault(storage->files, NULL);
    }
    pg_vault_free(&storage->vault);
    pg_s3_free(&storage->s3);
    pg_guard_free(&storage->guard);
    if (storage->files != NULL) {
        pg_files_attach_place(storage->files, NULL);
    }
    pg_place_server_free(&storage->place);
    pg_files_free(&storage->files);
    pg_bitswap_free(&storage->bitswap);
    pg_health_close(&storage->health);
    pg_db_close(&storage->db);
    pg_block_store_close(&storage->blocks);
}
