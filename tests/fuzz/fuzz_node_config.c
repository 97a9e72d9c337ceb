// SPDX-License-Identifier: Apache-2.0
// Goal: no file makes the configuration fail in another way than with a named error, what is set is within range, and an edit of a good file
// changes the one key and no other.
#include "fuzz.h"
#include "node/config_file.h"

static void format(const pg_config *config, const char *name, pg_buf *out)
{
    const pg_config_key *key = NULL;
    FUZZ_CHECK(pg_config_find(pg_str_make(name), &key) == PG_OK);
    FUZZ_CHECK(pg_config_format(config, key, out) == PG_OK);
}

static void check_edit(const pg_config *config, pg_bytes text)
{
    const pg_config_key *key = NULL;
    const pg_str value = PG_STR("1h");
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    pg_buf edited = {0};
    pg_config again;
    FUZZ_CHECK(pg_config_find(PG_STR("net.connection_grace"), &key) == PG_OK);
    pg_err err = pg_config_edit(text, key, &value, 1, &edited);
    FUZZ_CHECK(err == PG_OK || err == PG_ERR_INVALID); // too long a line, too large a file
    FUZZ_CHECK(pg_config_init(&again) == PG_OK);
    if (err == PG_OK) {
        FUZZ_CHECK(pg_config_parse(&again, pg_buf_bytes(&edited), "f") == PG_OK);
        FUZZ_CHECK(again.net_connection_grace_ms == 3600000);
    }
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        pg_buf before = {0};
        pg_buf after = {0};
        format(config, keys[i].name, &before);
        format(&again, keys[i].name, &after);
        FUZZ_CHECK(&keys[i] == key || pg_bytes_equal(pg_buf_bytes(&before), pg_buf_bytes(&after)));
        pg_buf_deinit(&before);
        pg_buf_deinit(&after);
    }
    pg_config_deinit(&again);
    pg_buf_deinit(&edited);
}

static void on_mistake(unsigned line, const char *detail, void *user)
{
    (void) line;
    (void) detail;
    (void) user;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_config config;
    FUZZ_CHECK(pg_config_init(&config) == PG_OK);
    pg_err err = pg_config_parse(&config, pg_bytes_make(data, size), "f");
    FUZZ_CHECK(err == PG_OK || err == PG_ERR_INVALID);
    FUZZ_CHECK(config.limits_connections >= 8 && config.limits_connections <= 100000);
    FUZZ_CHECK(config.net_listen.count <= PG_CONFIG_LIST_MAX);
    size_t mistakes = 0;
    FUZZ_CHECK(pg_config_check(pg_bytes_make(data, size), on_mistake, NULL, &mistakes) == PG_OK);
    FUZZ_CHECK((err == PG_OK) == (mistakes == 0));
    if (err == PG_OK) {
        check_edit(&config, pg_bytes_make(data, size));
    }
    pg_config_deinit(&config);
    return 0;
}
