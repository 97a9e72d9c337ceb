// SPDX-License-Identifier: Apache-2.0
// Goal: one key changes and every other byte of the owner's file stays; what cannot be written is refused; all mistakes are found.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "node/config_file.h"

// An edit with values separated by '|'; NULL removes the key.
static pg_err edit(const char *text, const char *name, const char *values, pg_buf *out)
{
    pg_str list[PG_CONFIG_LIST_MAX];
    size_t count = 0;
    const pg_config_key *key = NULL;
    pg_str rest = pg_str_make(values);
    while (values != NULL && (rest.ptr != NULL || count == 0)) {
        rest = pg_str_split(rest, '|', &list[count]);
        count++;
    }
    assert_int_equal(pg_config_find(pg_str_make(name), &key), PG_OK);
    return pg_config_edit(pg_bytes_cstr(text), key, list, count, out);
}

static void assert_edit(const char *text, const char *name, const char *values, const char *wanted)
{
    pg_buf out = {0};
    assert_int_equal(edit(text, name, values, &out), PG_OK);
    assert_int_equal(pg_buf_printf(&out, "%s", ""), PG_OK); // ends it with a NUL
    assert_string_equal((const char *) out.ptr, wanted);
    pg_buf_deinit(&out);
}

static void assert_refused(const char *text, const char *name, const char *values,
                           const char *detail)
{
    pg_buf out = {0};
    assert_int_equal(edit(text, name, values, &out), PG_ERR_INVALID);
    assert_string_equal(pg_error_detail(PG_ERR_INVALID), detail);
    assert_int_equal(out.len, 0);
    pg_buf_deinit(&out);
}

#define OWNERS                                                                                     \
    "# My node. Do not touch!\n"                                                                   \
    "\n"                                                                                           \
    "[log]\n"                                                                                      \
    "  level=debug   ; while I look for the fault\r\n"                                             \
    "# format = json\n"                                                                            \
    "\n"                                                                                           \
    "[net]\n"                                                                                      \
    "announce = /ip4/192.0.2.1/tcp/1\n"                                                            \
    "           /ip4/192.0.2.2/tcp/1\n"                                                            \
    "; in between\n"                                                                               \
    "announce = /ip4/192.0.2.3/tcp/1\n"                                                            \
    "echo = true"

static void test_edit__value__changes_alone(void **state)
{
    (void) state;
    assert_edit(OWNERS, "log.level", "warn",
                "# My node. Do not touch!\n"
                "\n"
                "[log]\n"
                "  level=warn   ; while I look for the fault\r\n"
                "# format = json\n"
                "\n"
                "[net]\n"
                "announce = /ip4/192.0.2.1/tcp/1\n"
                "           /ip4/192.0.2.2/tcp/1\n"
                "; in between\n"
                "announce = /ip4/192.0.2.3/tcp/1\n"
                "echo = true\n");
    assert_edit("[net]\nswarm_key =\n", "net.swarm_key", "a", "[net]\nswarm_key = a\n");
    assert_edit("[net]\nswarm_key = ; none\n", "net.swarm_key", "a",
                "[net]\nswarm_key = a ; none\n");
    assert_edit("[log]\nlevel:info", "log.level", "warn", "[log]\nlevel:warn\n");
}

static void test_edit__list__is_replaced_where_it_stood(void **state)
{
    (void) state;
    const char *before = "# My node. Do not touch!\n"
                         "\n"
                         "[log]\n"
                         "  level=debug   ; while I look for the fault\r\n"
                         "# format = json\n"
                         "\n"
                         "[net]\n";
    pg_buf wanted = {0};
    assert_int_equal(pg_buf_printf(&wanted,
                                   "%sannounce = /dns/a.example/tcp/1\n"
                                   "announce = /dns/b.example/tcp/1\n; in between\necho = true\n",
                                   before),
                     PG_OK);
    assert_edit(OWNERS, "net.announce", "/dns/a.example/tcp/1|/dns/b.example/tcp/1",
                (const char *) wanted.ptr);
    pg_buf_clear(&wanted);
    assert_int_equal(pg_buf_printf(&wanted, "%s; in between\necho = true\n", before), PG_OK);
    assert_edit(OWNERS, "net.announce", NULL, (const char *) wanted.ptr);
    pg_buf_clear(&wanted);
    assert_int_equal(pg_buf_printf(&wanted, "%sannounce = \n; in between\necho = true\n", before),
                     PG_OK);
    assert_edit(OWNERS, "net.announce", "", (const char *) wanted.ptr);
    pg_buf_deinit(&wanted);
}

static void test_edit__new_key__goes_to_its_section(void **state)
{
    (void) state;
    assert_edit("[log]\nlevel = warn\n\n# the network\n[net]\n", "log.format", "json",
                "[log]\nlevel = warn\nformat = json\n\n# the network\n[net]\n");
    assert_edit("[log]\nlevel = warn\n\n# the network\n[net]\n", "net.echo", "true",
                "[log]\nlevel = warn\n\n# the network\n[net]\necho = true\n");
    assert_edit("[log]\nlevel = warn", "net.echo", "true",
                "[log]\nlevel = warn\n\n[net]\necho = true\n");
    assert_edit("", "net.echo", "true", "[net]\necho = true\n");
    assert_edit("", "net.echo", NULL, "");
    assert_edit("# nothing yet\n", "net.echo", NULL, "# nothing yet\n");
    assert_edit("[network]\n[net]\n", "net.echo", "true", "[network]\n[net]\necho = true\n");
}

static void test_edit__what_does_not_fit__is_refused(void **state)
{
    (void) state;
    assert_refused("", "log.level", "loud",
                   "log.level: 'loud' is not one of: error warn info debug trace");
    assert_refused("", "log.level", "info|warn", "log.level has one value, not 2");
    assert_refused("", "net.swarm_key", "a\n[net]\necho = true",
                   "net.swarm_key: the value has a control character");
    assert_refused("", "net.swarm_key", "a ;b",
                   "net.swarm_key: 'a ;b' cannot stand in a file: it has a space at an end, or ';' "
                   "behind one, or begins a comment");
    assert_refused("", "net.announce", "here", "net.announce: 'here': an address begins with '/'");
    assert_refused("[net]\nekko = 1\n", "log.level", "warn",
                   "the file: line 2: unknown key 'net.ekko', did you mean 'net.echo'?");
    assert_refused("[net]\nnonsense\n", "log.level", "warn",
                   "line 2: neither '[section]' nor 'key = value'");
    char longest[PG_CONFIG_LINE_BYTES_MAX + 1];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_refused("", "net.swarm_key", longest, "the file: line 2: longer than 180 characters");
}

static void test_edit__wrong_value_of_the_key__is_mended(void **state)
{
    (void) state;
    assert_edit("[log]\nlevel = loud\n", "log.level", "warn", "[log]\nlevel = warn\n");
}

static void test_edit__out_of_memory__is_reported_and_leaks_nothing(void **state)
{
    (void) state;
    for (uint64_t n = 1;; n++) {
        pg_buf out = {0};
        pg_mem_fail_nth(n);
        pg_err err = edit(OWNERS, "log.level", "warn", &out);
        pg_mem_fail_nth(0);
        pg_buf_deinit(&out);
        if (err == PG_OK) {
            break;
        }
        assert_int_equal(err, PG_ERR_NOMEM);
    }
}

static void on_mistake(unsigned line, const char *detail, void *user)
{
    assert_int_equal(pg_buf_printf(user, "%u: %s\n", line, detail), PG_OK);
}

static void test_check__every_mistake__is_told(void **state)
{
    (void) state;
    pg_buf told = {0};
    size_t count = 0;
    assert_int_equal(pg_config_check(PG_BYTES_LIT("[net]\nlissten = /ip4/192.0.2.1/tcp/1\n"
                                                  "nonsense\necho = yes\ndrain_timeout = 1s\n"
                                                  "[limits]\nstreams = 1\n"),
                                     on_mistake, &told, &count),
                     PG_OK);
    assert_int_equal(count, 4);
    assert_string_equal((const char *) told.ptr,
                        "2: unknown key 'net.lissten', did you mean 'net.listen'?\n"
                        "4: net.echo: 'yes' is neither true nor false\n"
                        "7: limits.streams: '1' is not a number from 64 to 1000000\n"
                        "3: neither '[section]' nor 'key = value'\n");
    pg_buf_clear(&told);
    assert_int_equal(pg_config_check(PG_BYTES_LIT(OWNERS), on_mistake, &told, &count), PG_OK);
    assert_int_equal(count, 0);
    assert_int_equal(told.len, 0);
    static uint8_t big[PG_CONFIG_FILE_BYTES_MAX + 1];
    assert_int_equal(pg_config_check(PG_BYTES_OF(big), on_mistake, &told, &count), PG_OK);
    assert_string_equal((const char *) told.ptr, "0: 65537 bytes, at most 65536\n");
    pg_buf_deinit(&told);
}

static void assert_format(const char *pair, const char *wanted)
{
    pg_config config;
    pg_buf out = {0};
    pg_str name;
    const pg_config_key *key = NULL;
    (void) pg_str_split(pg_str_make(pair), '=', &name);
    assert_int_equal(pg_config_init(&config), PG_OK);
    assert_int_equal(pg_config_find(name, &key), PG_OK);
    assert_int_equal(pg_config_layer_of(&config, key), PG_CONFIG_LAYER_DEFAULT);
    assert_int_equal(pg_config_set_pair(&config, pg_str_make(pair)), PG_OK);
    assert_int_equal(pg_config_layer_of(&config, key), PG_CONFIG_LAYER_COMMAND);
    assert_int_equal(pg_config_format(&config, key, &out), PG_OK);
    assert_string_equal((const char *) out.ptr, wanted);
    pg_buf_deinit(&out);
    pg_config_deinit(&config);
}

static void test_format__values__read_back_as_the_same(void **state)
{
    (void) state;
    assert_format("storage.quota=1024MiB", "1GiB");
    assert_format("storage.quota=16777217", "16777217");
    assert_format("net.dial_timeout=90s", "90s");
    assert_format("net.dial_timeout=120000ms", "2m");
    assert_format("net.drain_timeout=0", "0");
    assert_format("limits.streams=64", "64");
    assert_format("net.echo=true", "true");
    assert_format("log.level=warn", "warn");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edit__value__changes_alone),
        cmocka_unit_test(test_edit__list__is_replaced_where_it_stood),
        cmocka_unit_test(test_edit__new_key__goes_to_its_section),
        cmocka_unit_test(test_edit__what_does_not_fit__is_refused),
        cmocka_unit_test(test_edit__wrong_value_of_the_key__is_mended),
        cmocka_unit_test(test_edit__out_of_memory__is_reported_and_leaks_nothing),
        cmocka_unit_test(test_check__every_mistake__is_told),
        cmocka_unit_test(test_format__values__read_back_as_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
