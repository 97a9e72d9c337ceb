// SPDX-License-Identifier: Apache-2.0
// Goal: no file makes the configuration fail in another way than with a named error, and what is set is within range.
#include "fuzz.h"
#include "node/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_config config;
    FUZZ_CHECK(pg_config_init(&config) == PG_OK);
    pg_err err = pg_config_parse(&config, pg_bytes_make(data, size), "f");
    FUZZ_CHECK(err == PG_OK || err == PG_ERR_INVALID);
    FUZZ_CHECK(config.limits_connections >= 8 && config.limits_connections <= 100000);
    FUZZ_CHECK(config.net_listen.count <= PG_CONFIG_LIST_MAX);
    pg_config_deinit(&config);
    return 0;
}
