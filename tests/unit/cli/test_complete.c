// SPDX-License-Identifier: Apache-2.0
// Goal: in each place of a line the shells are offered what the table of commands has for it, and nothing that does not fit what was typed.
// Method: lines as words, the answers joined into one text; the node's knowledge is played.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/complete.h"

static char told[8192];      // the candidates, each with a blank behind it
static char asked_data[128]; // of the last question

static void on_put(const char *text, const char *summary, void *user)
{
    (void) user;
    assert_non_null(summary);
    size_t len = strlen(told);
    assert_true(len + strlen(text) + 2 < sizeof(told));
    (void) snprintf(told + len, sizeof(told) - len, "%s ", text);
}

static void on_ask(pg_value_kind kind, const char *data, const char *word, pg_complete_fn tell,
                   void *teller, void *user)
{
    (void) word;
    (void) user;
    (void) snprintf(asked_data, sizeof(asked_data), "%s", data == NULL ? "none" : data);
    tell(kind == PG_VALUE_KIND_PEER ? "12D3KooWa" : "photos.tar", "", teller);
    tell(kind == PG_VALUE_KIND_PEER ? "12D3KooWb" : "pangea:abc#def", "", teller);
}

// Complete a line whose words are parted by one blank each; a blank at its end begins an empty one.
static pg_complete_kind complete(const char *line)
{
    char space[512];
    const char *words[32];
    size_t count = 0;
    const pg_complete_callbacks callbacks = {on_put, on_ask, NULL};
    assert_true((size_t) snprintf(space, sizeof(space), "%s", line) < sizeof(space));
    for (char *word = space; word != NULL; count++) {
        assert_true(count < PG_ARRAY_LEN(words));
        words[count] = word;
        word = strchr(word, ' ');
        if (word != NULL) {
            *word++ = '\0';
        }
    }
    told[0] = asked_data[0] = '\0';
    return pg_complete(words, count, &callbacks);
}

static void assert_words(const char *line, const char *candidates)
{
    assert_int_equal(complete(line), PG_COMPLETE_KIND_WORDS);
    assert_string_equal(told, candidates);
}

static void test_complete__first_word__commands_and_groups(void **state)
{
    (void) state;
    assert_words("unp", "unpin ");
    assert_words("sh", "shards ");
    assert_words("nothing-of-ours", "");
    assert_int_equal(complete(""), PG_COMPLETE_KIND_WORDS);
    for (const pg_command *const *command = pg_commands; *command != NULL; command++) {
        char first[64];
        (void) snprintf(first, sizeof(first), "%.*s ", (int) strcspn((*command)->name, " "),
                        (*command)->name);
        const char *at = strstr(told, first);
        assert_non_null(at);
    }
}

static void test_complete__group__its_commands(void **state)
{
    (void) state;
    assert_words("shards ", "encode decode ");
    assert_words("shards d", "decode ");
    assert_words("shards x ", "");
    assert_words("nothing ", "");
}

static void test_complete__command_that_is_a_group_too__both(void **state)
{
    (void) state;
    assert_words("pin ", "ls photos.tar pangea:abc#def ");
    assert_words("pin ls --l", "--links ");
    assert_words("pin x ", "");
}

static void test_complete__options__those_not_given(void **state)
{
    (void) state;
    assert_words("get --f", "--force ");
    assert_words("get --force --f", "");
    assert_words("get -f --f", "");
    assert_words("get -fq --q", "");
    assert_words("run --set log.level=info --se", "--set ");
    assert_words("get -- --f", "");
    assert_words("--js", "--json ");
}

static void test_complete__value__as_its_kind(void **state)
{
    (void) state;
    assert_int_equal(complete("get -o "), PG_COMPLETE_KIND_FILES);
    assert_int_equal(complete("get --output "), PG_COMPLETE_KIND_FILES);
    assert_int_equal(complete("get --output=/tm"), PG_COMPLETE_KIND_FILES);
    assert_int_equal(complete("ls --data "), PG_COMPLETE_KIND_FOLDERS);
    assert_words("get -o x --for", "--force ");
    assert_words("get --unknown=x", "");
    assert_words("get --force=x", "");
    assert_words("put --name ", "");
}

static void test_complete__arguments__as_their_kinds(void **state)
{
    (void) state;
    assert_int_equal(complete("put "), PG_COMPLETE_KIND_FILES);
    assert_int_equal(complete("put --no-name "), PG_COMPLETE_KIND_FILES);
    assert_words("put a ", "");
    assert_int_equal(complete("shards encode "), PG_COMPLETE_KIND_FILES);
    assert_int_equal(complete("shards encode a "), PG_COMPLETE_KIND_FOLDERS);
    assert_int_equal(complete("shards encode a b c "), PG_COMPLETE_KIND_FOLDERS);
    assert_int_equal(complete("put -- "), PG_COMPLETE_KIND_FILES);
    assert_words("completion f", "fish ");
    assert_words("help shards ", "encode decode ");
    assert_words("help ex", "exit-codes ");
    assert_words("help put ", "");
}

static void test_complete__settings__keys_and_words(void **state)
{
    (void) state;
    assert_words("run --set log.", "log.file= log.file_bytes= log.file_count= log.format= "
                                   "log.level= ");
    assert_words("run --set log.format=", "log.format=text log.format=json ");
    assert_words("run --set=log.format=j", "--set=log.format=json ");
    assert_words("run --set net.mdns=t", "net.mdns=true ");
    assert_words("run --set limits.streams=", "");
    assert_words("run --set nothing=", "");
}

static void test_complete__what_the_node_knows__asked_where_data_says(void **state)
{
    (void) state;
    assert_words("ping 1", "12D3KooWa 12D3KooWb ");
    assert_string_equal(asked_data, "none");
    assert_words("rm --data /tmp/x p", "photos.tar pangea:abc#def ");
    assert_string_equal(asked_data, "/tmp/x");
    assert_words("rm --data=/tmp/y pan", "pangea:abc#def ");
    assert_string_equal(asked_data, "/tmp/y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete__first_word__commands_and_groups),
        cmocka_unit_test(test_complete__group__its_commands),
        cmocka_unit_test(test_complete__command_that_is_a_group_too__both),
        cmocka_unit_test(test_complete__options__those_not_given),
        cmocka_unit_test(test_complete__value__as_its_kind),
        cmocka_unit_test(test_complete__arguments__as_their_kinds),
        cmocka_unit_test(test_complete__settings__keys_and_words),
        cmocka_unit_test(test_complete__what_the_node_knows__asked_where_data_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
