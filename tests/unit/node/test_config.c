// SPDX-License-Identifier: Apache-2.0
// Goal: every key has a sound default, layers replace each other, and a mistake is named with its line and a suggestion.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/limits.h"
#include "node/config.h"

#define ID "/p2p/12D3KooWRBhwfeP2Y4TCx1SM6s9rUoHhR5STiGwxBhgFRcw3UERE"

static pg_err config_read(pg_config *config, const char *text)
{
    return pg_config_parse(config, pg_bytes_cstr(text), "pangea.conf");
}

static void assert_rejected(const char *text, const char *detail)
{
    pg_config config;
    assert_int_equal(pg_config_init(&config), PG_OK);
    pg_err err = config_read(&config, text);
    assert_int_equal(err, PG_ERR_INVALID);
    assert_string_equal(pg_error_detail(err), detail);
    pg_config_deinit(&config);
}

static void test_config__defaults__are_what_the_table_says(void **state)
{
    (void) state;
    pg_config config;
    assert_int_equal(pg_config_init(&config), PG_OK);
    assert_int_equal(config.net_listen.count, 4);
    assert_string_equal(config.net_listen.items[1], "/ip4/0.0.0.0/udp/4417/quic-v1");
    assert_string_equal(config.net_listen.items[3], "/ip6/::/udp/4417/quic-v1");
    assert_false(config.net_echo);
    assert_int_equal(config.net_dial_timeout_ms, 10000);
    assert_int_equal(config.limits_memory_bytes, 256 << 20);
    assert_string_equal(config.log_level, "info");
    assert_string_equal(config.net_swarm_key, "");
    pg_config_deinit(&config);
    pg_config_deinit(&config);
}

static void test_config__table__is_sorted_and_documented(void **state)
{
    (void) state;
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(strchr(keys[i].name, '.'));
        assert_true(strlen(keys[i].help) > 10);
        assert_true(i == 0 || strncmp(keys[i - 1].name, keys[i].name, 4) <= 0);
    }
}

static void test_config__file__sets_values_of_every_type(void **state)
{
    (void) state;
    pg_config config;
    assert_int_equal(pg_config_init(&config), PG_OK);
    assert_int_equal(config_read(&config, "# a comment\n"
                                          "[net]\n"
                                          "listen = /ip4/127.0.0.1/tcp/0\r\n"
                                          "listen = /ip6/::1/tcp/0\n"
                                          "echo = true\n"
                                          "dial_timeout = 2500ms\n"
                                          "drain_timeout = 0\n"
                                          "\n"
                                          "[limits]\n"
                                          "memory = 1GiB\n"
                                          "connections = 100\n"
                                          "[log]\n"
                                          "level=debug"),
                     PG_OK);
    assert_int_equal(config.net_listen.count, 2);
    assert_string_equal(config.net_listen.items[0], "/ip4/127.0.0.1/tcp/0");
    assert_true(config.net_echo);
    assert_int_equal(config.net_dial_timeout_ms, 2500);
    assert_int_equal(config.net_drain_timeout_ms, 0);
    assert_int_equal(config.limits_memory_bytes, 1 << 30);
    assert_int_equal(config.limits_connections, 100);
    assert_string_equal(config.log_level, "debug");
    pg_config_deinit(&config);
}

static void test_config__command_line__replaces_the_lists_of_the_file(void **state)
{
    (void) state;
    pg_config config;
    assert_int_equal(pg_config_init(&config), PG_OK);
    assert_int_equal(config_read(&config, "[net]\nannounce = /ip4/192.0.2.1/tcp/1\n"
                                          "announce = /ip4/192.0.2.2/tcp/1\n"),
                     PG_OK);
    assert_int_equal(pg_config_set_pair(&config, PG_STR("net.announce=/ip4/192.0.2.3/tcp/1")),
                     PG_OK);
    assert_int_equal(pg_config_set_pair(&config, PG_STR("net.announce=/dns/a.example/tcp/1")),
                     PG_OK);
    assert_int_equal(pg_config_set_pair(&config, PG_STR("net.swarm_key=d=e")), PG_OK);
    assert_int_equal(config.net_announce.count, 2);
    assert_string_equal(config.net_announce.items[1], "/dns/a.example/tcp/1");
    assert_string_equal(config.net_swarm_key, "d=e");
    assert_int_equal(pg_config_set_pair(&config, PG_STR("net.listen=")), PG_OK);
    assert_int_equal(config.net_listen.count, 0);
    assert_int_equal(pg_config_set_pair(&config, PG_STR("net.echo")), PG_ERR_INVALID);
    pg_config_deinit(&config);
}

static void test_config__typo__names_line_key_and_the_nearest(void **state)
{
    (void) state;
    assert_rejected("[net]\n\nlissten = /ip4/1.2.3.4/tcp/1\n",
                    "pangea.conf: line 3: unknown key 'net.lissten', did you mean 'net.listen'?");
    assert_rejected("[weather]\nrainy = true\n",
                    "pangea.conf: line 2: unknown key 'weather.rainy'");
    assert_rejected("echo = true\n",
                    "pangea.conf: line 1: unknown key '.echo', did you mean 'net.echo'?");
}

static void test_config__bad_value__says_what_fits(void **state)
{
    (void) state;
    assert_rejected("[trace]\nendpoint = file:///x\n",
                    "pangea.conf: line 2: trace.endpoint: 'file:///x' is no http or https URL");
    assert_rejected("[api]\nlisten = 0.0.0.0:4480\n",
                    "pangea.conf: line 2: api.listen: '0.0.0.0:4480' is neither 127.0.0.1:PORT nor "
                    "[::1]:PORT");
    assert_rejected("[net]\necho = yes\n",
                    "pangea.conf: line 2: net.echo: 'yes' is neither true nor false");
    assert_rejected(
        "[limits]\nconnections = 7\n",
        "pangea.conf: line 2: limits.connections: '7' is not a number from 8 to 100000");
    assert_rejected(
        "[net]\ndial_timeout = 10\n",
        "pangea.conf: line 2: net.dial_timeout: '10' is not a number from 100 to 600000 "
        "milliseconds (write 500ms, 10s, 5m or 1h)");
    assert_rejected("[limits]\nmemory = 99999999999TiB\n",
                    "pangea.conf: line 2: limits.memory: '99999999999TiB' is not a number from "
                    "16777216 to 1099511627776 bytes (KiB, MiB, GiB and TiB are known)");
    assert_rejected("[log]\nlevel = loud\n",
                    "pangea.conf: line 2: log.level: 'loud' is not one of: "
                    "error warn info debug trace");
}

static void test_config__bad_file__is_named_by_line(void **state)
{
    (void) state;
    assert_rejected("[net]\njust words\n",
                    "pangea.conf: line 2: neither '[section]' nor 'key = value'");
    char text[300] = "[net]\n";
    memset(text + 6, 'x', sizeof(text) - 7);
    assert_rejected(text, "pangea.conf: line 2: longer than 180 characters");
    pg_config config;
    assert_int_equal(pg_config_init(&config), PG_OK);
    assert_int_equal(pg_config_parse(&config, PG_BYTES_LIT("[net]\nec\0ho = true\n"), "f"),
                     PG_ERR_INVALID);
    static uint8_t big[PG_CONFIG_FILE_BYTES_MAX + 1];
    assert_int_equal(pg_config_parse(&config, PG_BYTES_OF(big), "f"), PG_ERR_INVALID);
    assert_int_equal(pg_config_set(&config, PG_CONFIG_LAYER_FILE, PG_STR("log.level"),
                                   pg_str_make_len("info\0x", 6)),
                     PG_ERR_INVALID);
    pg_config_deinit(&config);
}

static void assert_list_max(const char *pair, int max)
{
    pg_config config;
    assert_int_equal(pg_config_init(&config), PG_OK);
    for (int i = 0; i < max; i++) {
        assert_int_equal(pg_config_set_pair(&config, pg_str_make(pair)), PG_OK);
    }
    assert_int_equal(pg_config_set_pair(&config, pg_str_make(pair)), PG_ERR_INVALID);
    pg_config_deinit(&config);
}

static void test_config__list__has_a_limit(void **state)
{
    (void) state;
    assert_list_max("net.peers=/ip4/192.0.2.1/tcp/1" ID, PG_CONFIG_LIST_MAX);
    assert_list_max("net.announce=/ip4/192.0.2.1/tcp/1", PG_NET_ADVERTISED_MAX);
}

static void test_config__bad_address__is_named_by_line_and_key(void **state)
{
    (void) state;
    assert_rejected("[net]\nannounce = /ip4/192.0.2.1/tcp/1\nannounce = here\n",
                    "pangea.conf: line 3: net.announce: 'here': an address begins with "
                    "'/'");
    assert_rejected("[net]\nlisten = /ip4/192.0.2/tcp/1\n",
                    "pangea.conf: line 2: net.listen: '/ip4/192.0.2/tcp/1': address: /ip4: "
                    "'192.0.2' is not an IP address");
    assert_rejected("[net]\npeers = /ip4/192.0.2.1/tcp/1\n",
                    "pangea.conf: line 2: net.peers: '/ip4/192.0.2.1/tcp/1' needs /p2p/ID at its "
                    "end");
    assert_rejected("[net]\nbootstrap = " ID "\n",
                    "pangea.conf: line 2: net.bootstrap: '" ID "' needs an address before /p2p/ID");
}

typedef struct told_changes {
    size_t taken;
    const char *fixed;
} told_changes;

static void on_change(const pg_config_key *key, bool is_taken, void *user)
{
    told_changes *told = user;
    told->taken += is_taken;
    told->fixed = is_taken ? told->fixed : key->name;
}

static void test_config__reload__takes_what_may_change(void **state)
{
    (void) state;
    pg_config config;
    pg_config fresh;
    told_changes told = {0};
    assert_int_equal(pg_config_init(&config), PG_OK);
    assert_int_equal(pg_config_init(&fresh), PG_OK);
    pg_config_reload(&config, &fresh, on_change, &told);
    assert_int_equal(told.taken, 0);
    assert_null(told.fixed);
    assert_int_equal(
        config_read(&fresh,
                    "[log]\nlevel = warn\n[net]\necho = true\nannounce = /ip4/192.0.2.1/tcp/1\n"
                    "[limits]\nstreams = 100\n"),
        PG_OK);
    pg_config_reload(&config, &fresh, on_change, &told);
    assert_int_equal(told.taken, 3);
    assert_string_equal(told.fixed, "net.echo");
    assert_string_equal(config.log_level, "warn");
    assert_int_equal(config.limits_streams, 100);
    assert_int_equal(config.net_announce.count, 1);
    assert_false(config.net_echo);
    pg_config_deinit(&config);
    pg_config_deinit(&fresh);
}

static void test_config__out_of_memory__is_reported_and_leaks_nothing(void **state)
{
    (void) state;
    for (uint64_t n = 1;; n++) {
        pg_config config;
        pg_mem_fail_nth(n);
        pg_err err = pg_config_init(&config);
        if (err == PG_OK) {
            err = config_read(&config,
                              "[net]\npeers = /ip4/192.0.2.1/tcp/1" ID "\n[log]\nlevel = warn\n");
            pg_config_deinit(&config);
        }
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_int_equal(err, failed ? PG_ERR_NOMEM : PG_OK);
        if (!failed) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config__defaults__are_what_the_table_says),
        cmocka_unit_test(test_config__table__is_sorted_and_documented),
        cmocka_unit_test(test_config__file__sets_values_of_every_type),
        cmocka_unit_test(test_config__command_line__replaces_the_lists_of_the_file),
        cmocka_unit_test(test_config__typo__names_line_key_and_the_nearest),
        cmocka_unit_test(test_config__bad_value__says_what_fits),
        cmocka_unit_test(test_config__bad_file__is_named_by_line),
        cmocka_unit_test(test_config__bad_address__is_named_by_line_and_key),
        cmocka_unit_test(test_config__list__has_a_limit),
        cmocka_unit_test(test_config__reload__takes_what_may_change),
        cmocka_unit_test(test_config__out_of_memory__is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
