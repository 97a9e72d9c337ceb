// SPDX-License-Identifier: Apache-2.0
#include "node/discovery.h"

#include <string.h>

#include "dht/feed.h"
#include "exchange/lease_record.h"
#include "health/record.h"

static pg_dht_mode mode_of(const pg_config *config)
{
    if (pg_config_is_view_only(config)) {
        return PG_DHT_MODE_CLIENT;
    }
    if (strcmp(config->dht_mode, "server") == 0) {
        return PG_DHT_MODE_SERVER;
    }
    return strcmp(config->dht_mode, "client") == 0 ? PG_DHT_MODE_CLIENT : PG_DHT_MODE_AUTO;
}

static pg_err dht_start(const pg_discovery *discovery, pg_host *host, pg_dht_realm realm,
                        const pg_config *config, pg_dht **out_dht)
{
    pg_dht_config settings = pg_dht_config_default(host, realm, &discovery->validators);
    settings.mode = mode_of(config);
    settings.private_too = config->dht_allow_private;
    return pg_error_wrap(pg_dht_new(&settings, out_dht), "the %s DHT", pg_dht_realm_name(realm));
}

pg_err pg_discovery_start(pg_discovery *discovery, pg_host *host, const pg_config *config,
                          pg_db *db)
{
    PG_TRY(pg_dht_validators_add(&discovery->validators, &pg_dht_validator_pk));
    PG_TRY(pg_dht_validators_add(&discovery->validators, &pg_dht_validator_feed));
    PG_TRY(pg_dht_validators_add(&discovery->validators, &pg_dht_validator_grant));
    PG_TRY(pg_dht_validators_add(&discovery->validators, &pg_dht_validator_health));
    if (config->dht_test_namespace) {
        PG_TRY(pg_dht_validators_add(&discovery->validators, &pg_dht_validator_test));
    }
    if (!config->dht_enabled) {
        return PG_OK;
    }
    PG_TRY(dht_start(discovery, host, PG_DHT_REALM_LOCAL, config, &discovery->dhts.local));
    PG_TRY(dht_start(discovery, host, PG_DHT_REALM_GLOBAL, config, &discovery->dhts.global));
    PG_TRY(pg_dht_keep_open(discovery->dhts.local, db, &discovery->local_keep));
    return pg_dht_keep_open(discovery->dhts.global, db, &discovery->global_keep);
}

pg_err pg_discovery_reload(pg_discovery *discovery, const pg_config *config)
{
    if (discovery->dhts.local == NULL) {
        return PG_OK;
    }
    PG_TRY(pg_dht_set_mode(discovery->dhts.local, mode_of(config)));
    return pg_dht_set_mode(discovery->dhts.global, mode_of(config));
}

void pg_discovery_save(pg_discovery *discovery)
{
    pg_dht_keep_close(&discovery->local_keep);
    pg_dht_keep_close(&discovery->global_keep);
}

void pg_discovery_stop(pg_discovery *discovery)
{
    pg_dht_pair_free(&discovery->dhts);
}
