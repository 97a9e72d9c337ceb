// SPDX-License-Identifier: Apache-2.0
#include "cli/invocation.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define COLOR_IS "--color="

bool pg_command_is_group(const char *word)
{
    for (const pg_command_group *group = pg_command_groups; group->name != NULL; group++) {
        if (strcmp(group->name, word) == 0) {
            return true;
        }
    }
    return false;
}

/** Count the words of `name` when `words` begins with all of them, else 0. */
static size_t name_words(const char *name, const char *const *words, size_t count)
{
    pg_str rest = pg_str_make(name);
    size_t taken = 0;
    while (rest.len > 0) {
        pg_str head;
        rest = pg_str_split(rest, ' ', &head);
        if (taken == count || !pg_str_equal(head, pg_str_make(words[taken]))) {
            return 0;
        }
        taken++;
    }
    return taken;
}

const pg_command *pg_command_find(const char *const *words, size_t count, size_t *out_words)
{
    const pg_command *found = NULL;
    *out_words = 0;
    for (const pg_command *const *command = pg_commands; *command != NULL; command++) {
        size_t taken = name_words((*command)->name, words, count);
        if (taken == 0 && (*command)->alias != NULL) {
            taken = name_words((*command)->alias, words, count);
        }
        if (taken > *out_words) {
            *out_words = taken;
            found = *command;
        }
    }
    return found;
}

bool pg_value_repeats(pg_value_kind kind)
{
    return kind == PG_VALUE_KIND_TEXTS || kind == PG_VALUE_KIND_SETTINGS;
}

bool pg_choice_has(const char *choices, const char *word)
{
    pg_str rest = pg_str_make(choices);
    while (rest.len > 0) {
        pg_str choice;
        rest = pg_str_split(rest, '|', &choice);
        if (pg_str_equal(choice, pg_str_make(word))) {
            return true;
        }
    }
    return false;
}

// The command, or the group of commands, whose name is nearest to what was typed; NULL where nothing is near.
static const char *nearest_name(const char *typed)
{
    const pg_str name = pg_str_make(typed);
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (const pg_command *const *command = pg_commands; *command != NULL; command++) {
        size_t distance = pg_str_distance(name, pg_str_make((*command)->name));
        if (distance < best) {
            best = distance;
            nearest = (*command)->name;
        }
    }
    for (const pg_command_group *group = pg_command_groups; group->name != NULL; group++) {
        size_t distance = pg_str_distance(name, pg_str_make(group->name));
        if (distance < best) {
            best = distance;
            nearest = group->name;
        }
    }
    return nearest != NULL && pg_str_is_near(name, best) ? nearest : NULL;
}

pg_err pg_command_unknown(const char *group, const char *word)
{
    char typed[64];
    bool fits = (size_t) snprintf(typed, sizeof(typed), "%s%s%s", group == NULL ? "" : group,
                                  group == NULL ? "" : " ", word) < sizeof(typed);
    const char *nearest = fits ? nearest_name(typed) : NULL;
    if (nearest != NULL) {
        return pg_fail(PG_ERR_INVALID, "unknown command \"%s\": did you mean \"%s\"?", typed,
                       nearest);
    }
    return pg_fail(PG_ERR_INVALID, "unknown command \"%.64s%s%.64s\"; `pangea help%s%s` lists them",
                   group == NULL ? "" : group, group == NULL ? "" : " ", word,
                   group == NULL ? "" : " ", group == NULL ? "" : group);
}

static void add_options(pg_invocation *invocation, const pg_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        pg_assert(invocation->option_count < PG_OPTIONS_MAX);
        invocation->options[invocation->option_count++] = options;
    }
}

static pg_err set_option(pg_invocation *invocation, size_t index, const char *value)
{
    const pg_option *option = invocation->options[index];
    if (option->kind == PG_VALUE_KIND_CHOICE && !pg_choice_has(option->value, value)) {
        return pg_fail(PG_ERR_INVALID, "--%s takes %s, not \"%s\"", option->name, option->value,
                       value);
    }
    if (pg_value_repeats(option->kind)) {
        if (invocation->repeated_count == PG_REPEATED_MAX) {
            return pg_fail(PG_ERR_INVALID, "option --%s is given too often", option->name);
        }
        invocation->repeated[invocation->repeated_count].option = option;
        invocation->repeated[invocation->repeated_count].value = value;
        invocation->repeated_count++;
        return PG_OK;
    }
    if (invocation->values[index] != NULL && option->kind != PG_VALUE_KIND_NONE) {
        return pg_fail(PG_ERR_INVALID, "option --%s is given twice", option->name);
    }
    invocation->values[index] = value;
    return PG_OK;
}

static pg_err option_unknown(const pg_invocation *invocation, pg_str name)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < invocation->option_count; i++) {
        size_t distance = pg_str_distance(name, pg_str_make(invocation->options[i]->name));
        if (distance < best) {
            best = distance;
            nearest = invocation->options[i]->name;
        }
    }
    if (nearest != NULL && pg_str_is_near(name, best)) {
        return pg_fail(PG_ERR_INVALID, "unknown option --%.*s: did you mean --%s?",
                       PG_STR_ARGS(name), nearest);
    }
    return pg_fail(PG_ERR_INVALID, "unknown option --%.*s; --help lists them", PG_STR_ARGS(name));
}

/** Read `--name`, `--name=value` or `--name value`; *position is moved past what was used. */
static pg_err read_long(pg_invocation *invocation, int argc, char **argv, int *position)
{
    const char *name = argv[*position] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals == NULL ? strlen(name) : (size_t) (equals - name);
    (*position)++;
    for (size_t i = 0; i < invocation->option_count; i++) {
        const pg_option *option = invocation->options[i];
        if (strlen(option->name) != len || strncmp(option->name, name, len) != 0) {
            continue;
        }
        if (option->kind == PG_VALUE_KIND_NONE) {
            if (equals != NULL) {
                return pg_fail(PG_ERR_INVALID, "option --%s takes no value", option->name);
            }
            return set_option(invocation, i, "");
        }
        if (equals != NULL) {
            return set_option(invocation, i, equals + 1);
        }
        if (*position == argc) {
            return pg_fail(PG_ERR_INVALID, "option --%s needs a value, %s", option->name,
                           option->value);
        }
        return set_option(invocation, i, argv[(*position)++]);
    }
    return option_unknown(invocation, pg_str_make_len(name, len));
}

/** Read letters after one dash: flags together, or one letter with its value behind it or in the next word. */
static pg_err read_letters(pg_invocation *invocation, int argc, char **argv, int *position)
{
    const char *letters = argv[*position] + 1;
    (*position)++;
    for (; *letters != '\0'; letters++) {
        size_t i = 0;
        while (i < invocation->option_count && invocation->options[i]->letter != *letters) {
            i++;
        }
        if (i == invocation->option_count) {
            return pg_fail(PG_ERR_INVALID, "unknown option -%c; --help lists them", *letters);
        }
        if (invocation->options[i]->kind == PG_VALUE_KIND_NONE) {
            PG_TRY(set_option(invocation, i, ""));
            continue;
        }
        if (letters[1] != '\0') {
            return set_option(invocation, i, letters + 1);
        }
        if (*position == argc) {
            return pg_fail(PG_ERR_INVALID, "option -%c needs a value, %s", *letters,
                           invocation->options[i]->value);
        }
        return set_option(invocation, i, argv[(*position)++]);
    }
    return PG_OK;
}

/** Sort what follows the command's name into options and arguments. */
static pg_err read_words(pg_invocation *invocation, int argc, char **argv, int position)
{
    int kept = position;
    pg_err first = PG_OK;
    invocation->arguments = (const char **) (void *) (argv + position);
    while (position < argc) {
        const char *word = argv[position];
        pg_err err = PG_OK;
        if (strcmp(word, "--") == 0) {
            position++;
            while (position < argc) {
                argv[kept++] = argv[position++];
            }
        } else if (strncmp(word, "--", 2) == 0) {
            err = read_long(invocation, argc, argv, &position);
        } else if (word[0] == '-' && word[1] != '\0') {
            err = read_letters(invocation, argc, argv, &position);
        } else {
            argv[kept++] = argv[position++];
        }
        if (err != PG_OK) {
            first = err;
            break;
        }
    }
    invocation->argument_count =
        (size_t) (kept - (int) ((char **) (void *) invocation->arguments - argv));
    return first;
}

/** Find out early in what form the person wants to be told, errors of the command line itself included. */
static void read_output(pg_invocation *invocation, int argc, char **argv)
{
    const char *color = NULL;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        invocation->output.json |= strcmp(argv[i], "--json") == 0;
        invocation->output.quiet |= strcmp(argv[i], "--quiet") == 0 || strcmp(argv[i], "-q") == 0;
        if (strcmp(argv[i], "--color") == 0 && i + 1 < argc) {
            color = argv[i + 1];
        } else if (strncmp(argv[i], COLOR_IS, strlen(COLOR_IS)) == 0) {
            color = argv[i] + strlen(COLOR_IS);
        }
    }
    pg_output_color(&invocation->output, color);
}

pg_err pg_invocation_read(int argc, char **argv, pg_invocation *out_invocation)
{
    *out_invocation = (pg_invocation){0};
    pg_output_init(&out_invocation->output);
    read_output(out_invocation, argc, argv);
    add_options(out_invocation, pg_common_options);
    int position = 1;
    if (position < argc && argv[position][0] != '-') {
        size_t words = 0;
        out_invocation->command =
            pg_command_find((const char *const *) (void *) argv + 1, (size_t) argc - 1, &words);
        if (out_invocation->command == NULL && pg_command_is_group(argv[position])) {
            out_invocation->group = argv[position];
            words = 1;
        } else if (out_invocation->command == NULL) {
            return pg_command_unknown(NULL, argv[position]);
        }
        position += (int) words;
    }
    if (out_invocation->command != NULL) {
        add_options(out_invocation, out_invocation->command->options);
    }
    return read_words(out_invocation, argc, argv, position);
}

// Arguments that are one of some words.
static pg_err choices_check(const pg_invocation *invocation)
{
    const pg_argument *argument = invocation->command->arguments;
    for (size_t i = 0; i < invocation->argument_count && argument->name != NULL; i++) {
        if (argument->kind == PG_VALUE_KIND_CHOICE &&
            !pg_choice_has(argument->name, invocation->arguments[i])) {
            return pg_fail(PG_ERR_INVALID, "\"%s\" is not one of %s", invocation->arguments[i],
                           argument->name);
        }
        argument += argument->repeats ? 0 : 1;
    }
    return PG_OK;
}

pg_err pg_invocation_check(const pg_invocation *invocation)
{
    size_t min = 0;
    size_t max = 0;
    const pg_argument *missing = NULL;
    for (const pg_argument *argument = invocation->command->arguments;
         argument != NULL && argument->name != NULL; argument++) {
        if (!argument->optional && min++ == invocation->argument_count) {
            missing = argument;
        }
        max = argument->repeats ? SIZE_MAX : max + 1;
    }
    if (invocation->argument_count < min) {
        return pg_fail(PG_ERR_INVALID, "%s is missing; see `pangea %s --help`", missing->name,
                       invocation->command->name);
    }
    if (invocation->argument_count > max) {
        return pg_fail(PG_ERR_INVALID, "\"%s\" is one argument too many; see `pangea %s --help`",
                       invocation->arguments[max], invocation->command->name);
    }
    return choices_check(invocation);
}

const char *pg_invocation_option(const pg_invocation *invocation, const char *name)
{
    for (size_t i = 0; i < invocation->option_count; i++) {
        if (strcmp(invocation->options[i]->name, name) == 0) {
            return invocation->values[i];
        }
    }
    pg_assert_fail("the command has the option", __FILE__, __LINE__);
}

bool pg_invocation_has(const pg_invocation *invocation, const char *name)
{
    return pg_invocation_option(invocation, name) != NULL;
}

const char *pg_invocation_next(const pg_invocation *invocation, const char *name, size_t *position)
{
    while (*position < invocation->repeated_count) {
        size_t at = (*position)++;
        if (strcmp(invocation->repeated[at].option->name, name) == 0) {
            return invocation->repeated[at].value;
        }
    }
    return NULL;
}

// Digits, and perhaps KiB, MiB or GiB behind them.
pg_err pg_invocation_size(const pg_invocation *invocation, const char *name, uint64_t missing,
                          uint64_t *out_bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    const char *text = pg_invocation_option(invocation, name);
    if (text == NULL) {
        *out_bytes = missing;
        return PG_OK;
    }
    pg_str digits = pg_str_make(text);
    unsigned shift = 0;
    for (unsigned i = 0; i < 3 && digits.len > 3; i++) {
        if (pg_str_equal(pg_str_make_len(digits.ptr + digits.len - 3, 3), pg_str_make(units[i]))) {
            digits.len -= 3;
            shift = 10 * (i + 1);
            break;
        }
    }
    uint64_t number = 0;
    if (pg_str_to_u64(digits, UINT64_MAX >> (shift + 1), &number) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "--%s: '%s' is no size, as 64MiB", name, text);
    }
    *out_bytes = number << shift;
    return PG_OK;
}
