// SPDX-License-Identifier: Apache-2.0
#include "dht/quota.h"

#include "base/mem.h"

static pg_err account_take(pg_map *map, pg_bytes name, uint32_t max, const char *whose)
{
    uint32_t *taken = pg_map_get(map, name);
    if (taken == NULL) {
        taken = PG_NEW(uint32_t);
        if (taken == NULL) {
            return PG_ERR_NOMEM;
        }
        pg_err err = pg_map_add(map, name, taken);
        if (err != PG_OK) {
            pg_mfree(taken);
            return err;
        }
    }
    if (*taken >= max) {
        return pg_fail(PG_ERR_LIMIT, "%s has put %u entries here, its share", whose, *taken);
    }
    (*taken)++;
    return PG_OK;
}

static void account_give(pg_map *map, pg_bytes name)
{
    uint32_t *taken = pg_map_get(map, name);
    pg_assert(taken != NULL && *taken > 0);
    (*taken)--;
    if (*taken == 0) {
        pg_mfree(pg_map_take(map, name));
    }
}

static pg_bytes group_name(const pg_dht_group *group)
{
    return pg_bytes_make(group, sizeof(*group));
}

pg_err pg_dht_quota_take(pg_dht_quota *quota, const pg_dht_source *source)
{
    pg_bytes peer = pg_peer_id_bytes(&source->peer);
    PG_TRY(account_take(&quota->peers, peer, quota->peer_max, "the peer"));
    if (source->group == 0) {
        return PG_OK;
    }
    pg_err err = account_take(&quota->groups, group_name(&source->group), quota->group_max,
                              "the peer's subnet");
    if (err != PG_OK) {
        account_give(&quota->peers, peer);
    }
    return err;
}

void pg_dht_quota_give(pg_dht_quota *quota, const pg_dht_source *source)
{
    account_give(&quota->peers, pg_peer_id_bytes(&source->peer));
    if (source->group != 0) {
        account_give(&quota->groups, group_name(&source->group));
    }
}

static void accounts_free(pg_map *map)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(map, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(map);
}

void pg_dht_quota_deinit(pg_dht_quota *quota)
{
    accounts_free(&quota->peers);
    accounts_free(&quota->groups);
}
