// SPDX-License-Identifier: Apache-2.0
#include "files/reliance.h"

#include "base/mem.h"
#include "files/limits.h"

static void host_add(pg_reliance *reliance, const pg_peer_id *host)
{
    if (pg_map_count(&reliance->hosts) < PG_RELIANCE_HOSTS_MAX) {
        pg_ignore(pg_map_add(&reliance->hosts, pg_peer_id_bytes(host), reliance),
                  "it is in already, or comes with the next reading");
    }
}

pg_err pg_reliance_read(pg_reliance *reliance, pg_db *db)
{
    pg_peer_id *hosts = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_hosts(db, PG_RELIANCE_HOSTS_MAX, &hosts, &count));
    pg_map_deinit(&reliance->hosts);
    for (size_t i = 0; i < count; i++) {
        host_add(reliance, &hosts[i]);
    }
    pg_mfree(hosts);
    return PG_OK;
}

void pg_reliance_add(pg_reliance *reliance, const pg_catalogue_extent *extent)
{
    for (size_t i = 0; i < extent->holder_count; i++) {
        host_add(reliance, &extent->holders[i].peer);
    }
}

bool pg_reliance_has(const pg_reliance *reliance, const pg_peer_id *host)
{
    return pg_map_get(&reliance->hosts, pg_peer_id_bytes(host)) != NULL;
}

size_t pg_reliance_list(const pg_reliance *reliance, pg_peer_id *out_hosts, size_t max)
{
    pg_map_cursor cursor = {.begun = false};
    size_t count = 0;
    while (count < max && pg_map_next(&reliance->hosts, &cursor)) {
        if (pg_peer_id_decode(cursor.key, &out_hosts[count]) == PG_OK) {
            count++;
        }
    }
    return count;
}

void pg_reliance_deinit(pg_reliance *reliance)
{
    pg_map_deinit(&reliance->hosts);
}
