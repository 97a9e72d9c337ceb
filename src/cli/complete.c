// SPDX-License-Identifier: Apache-2.0
#include "cli/complete.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/invocation.h"
#include "node/config.h"

#define CANDIDATE_BYTES 512 // a link has about 120, a name at most 255

/** The line, read up to the last word. */
typedef struct completion {
    const char *const *words;
    size_t count; // without the last
    const char *last;
    const pg_command *command;
    size_t name_words;
    const pg_option *options[PG_OPTIONS_MAX];
    bool used[PG_OPTIONS_MAX];
    size_t option_count;
    const pg_option *awaits; // the option whose value the last word is
    const char *const *arguments;
    size_t argument_count;
    bool is_ended; // by `--`
    const char *data;
    char prefix[CANDIDATE_BYTES]; // of every candidate: "--color=" and the like
    const char *typed;            // the last word without it
    const pg_complete_callbacks *callbacks;
} completion;

// Offer a word if it goes on from what was typed.
static void offer(const completion *self, const char *text, const char *summary)
{
    char whole[CANDIDATE_BYTES];
    size_t len = strlen(self->typed);
    if (strncmp(text, self->typed, len) == 0 &&
        (size_t) snprintf(whole, sizeof(whole), "%s%s", self->prefix, text) < sizeof(whole)) {
        self->callbacks->put(whole, summary == NULL ? "" : summary, self->callbacks->user);
    }
}

static void on_known(const char *text, const char *summary, void *user)
{
    offer(user, text, summary);
}

// ---- Names of commands

static const char *group_summary(const char *word)
{
    for (const pg_command_group *group = pg_command_groups; group->name != NULL; group++) {
        if (strcmp(group->name, word) == 0) {
            return group->summary;
        }
    }
    return NULL;
}

// First words: those of commands, and those that several share.
static void offer_first_words(const completion *self)
{
    for (const pg_command *const *command = pg_commands; *command != NULL; command++) {
        if (strchr((*command)->name, ' ') == NULL) {
            offer(self, (*command)->name, (*command)->summary);
        }
    }
    for (const pg_command_group *group = pg_command_groups; group->name != NULL; group++) {
        size_t words = 0;
        if (pg_command_find(&group->name, 1, &words) == NULL) {
            offer(self, group->name, group->summary);
        }
    }
}

// Words that make a command of the only word before.
static void offer_second_words(const completion *self, const char *first)
{
    size_t len = strlen(first);
    for (const pg_command *const *command = pg_commands; *command != NULL; command++) {
        const char *name = (*command)->name;
        if (strncmp(name, first, len) == 0 && name[len] == ' ') {
            offer(self, name + len + 1, (*command)->summary);
        }
    }
}

static void offer_names(const completion *self, const char *const *words, size_t count)
{
    if (count == 0) {
        offer_first_words(self);
    } else if (count == 1 && group_summary(words[0]) != NULL) {
        offer_second_words(self, words[0]);
    }
}

// ---- Values

static void offer_choices(const completion *self, const char *before, const char *choices,
                          char separator)
{
    pg_str rest = pg_str_make(choices);
    while (rest.len > 0) {
        pg_str choice;
        char text[CANDIDATE_BYTES];
        rest = pg_str_split(rest, separator, &choice);
        (void) snprintf(text, sizeof(text), "%s%.*s", before, PG_STR_ARGS(choice));
        offer(self, text, "");
    }
}

// `section.key`, and with `is_pair` the values that are words.
static void offer_settings(const completion *self, bool is_pair)
{
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    const char *equals = is_pair ? strchr(self->typed, '=') : NULL;
    for (size_t i = 0; i < count; i++) {
        char text[CANDIDATE_BYTES];
        (void) snprintf(text, sizeof(text), "%s%s", keys[i].name, is_pair ? "=" : "");
        if (equals == NULL) {
            offer(self, text, keys[i].help);
        } else if (strncmp(text, self->typed, strlen(text)) != 0) {
            continue;
        } else if (keys[i].type == PG_CONFIG_TYPE_BOOL) {
            offer_choices(self, text, "true false", ' ');
        } else if (keys[i].choices != NULL) {
            offer_choices(self, text, keys[i].choices, ' ');
        }
    }
}

// What a value of a kind may be; `called` is what the help calls it.
static pg_complete_kind offer_values(completion *self, pg_value_kind kind, const char *called)
{
    switch (kind) {
    case PG_VALUE_KIND_FILE:
        return PG_COMPLETE_KIND_FILES;
    case PG_VALUE_KIND_FOLDER:
        return PG_COMPLETE_KIND_FOLDERS;
    case PG_VALUE_KIND_CHOICE:
        offer_choices(self, "", called, '|');
        break;
    case PG_VALUE_KIND_COMMAND:
        offer_names(self, self->arguments, self->argument_count);
        if (self->argument_count == 0) {
            offer(self, "exit-codes", "what each command returns to scripts");
        }
        break;
    case PG_VALUE_KIND_SETTING:
    case PG_VALUE_KIND_SETTINGS:
        offer_settings(self, kind == PG_VALUE_KIND_SETTINGS);
        break;
    case PG_VALUE_KIND_PEER:
    case PG_VALUE_KIND_LINK:
    case PG_VALUE_KIND_STORED:
    case PG_VALUE_KIND_PINNED:
        if (self->callbacks->ask != NULL) {
            self->callbacks->ask(kind, self->data, self->typed, on_known, self,
                                 self->callbacks->user);
        }
        break;
    case PG_VALUE_KIND_NONE:
    case PG_VALUE_KIND_TEXT:
    case PG_VALUE_KIND_TEXTS:
        break;
    }
    return PG_COMPLETE_KIND_WORDS;
}

static pg_complete_kind offer_arguments(completion *self)
{
    const pg_argument *argument = self->command->arguments;
    for (size_t i = 0; i < self->argument_count && argument != NULL && argument->name != NULL;
         i++) {
        argument += argument->repeats ? 0 : 1;
    }
    if (self->argument_count == 0 && !self->is_ended && self->count == self->name_words) {
        offer_names(self, self->words, self->count); // "pin" is one, "pin ls" another
    }
    return argument == NULL || argument->name == NULL
               ? PG_COMPLETE_KIND_WORDS
               : offer_values(self, argument->kind, argument->name);
}

// ---- Options

static void add_options(completion *self, const pg_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        self->options[self->option_count++] = options;
    }
}

static const pg_option *find_long(completion *self, pg_str name)
{
    for (size_t i = 0; i < self->option_count; i++) {
        if (pg_str_equal(name, pg_str_make(self->options[i]->name))) {
            self->used[i] = !pg_value_repeats(self->options[i]->kind);
            return self->options[i];
        }
    }
    return NULL;
}

// The last of letters behind one dash.
static const pg_option *find_letter(completion *self, const char *letters)
{
    const pg_option *found = NULL;
    for (; *letters != '\0'; letters++) {
        for (size_t i = 0; i < self->option_count; i++) {
            if (self->options[i]->letter == *letters) {
                self->used[i] = true;
                found = self->options[i];
            }
        }
        if (found != NULL && found->kind != PG_VALUE_KIND_NONE) {
            return letters[1] == '\0' ? found : NULL; // its value stands behind it
        }
    }
    return NULL;
}

static void offer_options(const completion *self)
{
    for (size_t i = 0; i < self->option_count; i++) {
        char text[CANDIDATE_BYTES];
        (void) snprintf(text, sizeof(text), "--%s", self->options[i]->name);
        if (!self->used[i]) {
            offer(self, text, self->options[i]->summary);
        }
    }
}

// Read one word before the last; *position is moved past it and its value.
static void read_word(completion *self, size_t *position)
{
    const char *word = self->words[(*position)++];
    const pg_option *option = NULL;
    if (self->is_ended || word[0] != '-' || word[1] == '\0') {
        self->argument_count++;
        return;
    }
    if (strcmp(word, "--") == 0) {
        self->is_ended = true;
        return;
    }
    if (word[1] == '-') {
        pg_str name;
        pg_str value = pg_str_split(pg_str_make(word + 2), '=', &name);
        option = find_long(self, name);
        if (option != NULL && strchr(word, '=') != NULL) {
            self->data = strcmp(option->name, "data") == 0 ? value.ptr : self->data;
            return;
        }
    } else {
        option = find_letter(self, word + 1);
    }
    if (option == NULL || option->kind == PG_VALUE_KIND_NONE) {
        return;
    }
    if (*position == self->count) {
        self->awaits = option;
        return;
    }
    self->data = strcmp(option->name, "data") == 0 ? self->words[*position] : self->data;
    (*position)++;
}

static pg_complete_kind complete_last(completion *self)
{
    const char *equals = strchr(self->last, '=');
    if (self->awaits != NULL) {
        return offer_values(self, self->awaits->kind, self->awaits->value);
    }
    if (!self->is_ended && strncmp(self->last, "--", 2) == 0 && equals != NULL) {
        size_t len = (size_t) (equals - self->last);
        const pg_option *option = find_long(self, pg_str_make_len(self->last + 2, len - 2));
        if (option == NULL || len + 2 > sizeof(self->prefix)) {
            return PG_COMPLETE_KIND_WORDS;
        }
        memcpy(self->prefix, self->last, len + 1);
        self->typed = equals + 1;
        return offer_values(self, option->kind, option->value);
    }
    if (!self->is_ended && self->last[0] == '-') {
        offer_options(self);
        return PG_COMPLETE_KIND_WORDS;
    }
    if (self->command != NULL) {
        return offer_arguments(self);
    }
    offer_names(self, self->words, self->count);
    return PG_COMPLETE_KIND_WORDS;
}

pg_complete_kind pg_complete(const char *const *words, size_t count,
                             const pg_complete_callbacks *callbacks)
{
    completion self = {
        .words = words,
        .count = count - 1,
        .last = words[count - 1],
        .typed = words[count - 1],
        .callbacks = callbacks,
    };
    self.command = pg_command_find(words, self.count, &self.name_words);
    if (self.command == NULL && self.count > 1) {
        return PG_COMPLETE_KIND_WORDS; // of no command we know
    }
    add_options(&self, self.command == NULL ? NULL : self.command->options);
    add_options(&self, pg_common_options);
    // Arguments are kept only as long as nothing stands between them, as in `help shards encode`.
    self.arguments = words + self.name_words;
    for (size_t position = self.name_words; position < self.count && self.command != NULL;) {
        read_word(&self, &position);
    }
    return complete_last(&self);
}
