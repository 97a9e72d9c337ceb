// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <string.h>

#include "base/str.h"
#include "cli/exit_codes.h"
#include "cli/invocation.h"
#include "cli/manual.h"
#include "cli/output.h"

#define NAME_COLUMN 26

static void put_row(FILE *to, const char *name, const char *summary)
{
    bool is_long = strlen(name) > NAME_COLUMN; // then the summary stands below
    if (is_long) {
        (void) fprintf(to, "  %s\n", name);
    }
    (void) fprintf(to, "  %-*s  %s\n", NAME_COLUMN, is_long ? "" : name, summary);
}

/** Write the commands of a group, all those of no group when `group` is NULL. */
static void put_commands(FILE *to, const char *group)
{
    for (const pg_command *const *command = pg_commands; *command != NULL; command++) {
        const char *name = (*command)->name;
        size_t len = group == NULL ? 0 : strlen(group);
        if (group == NULL ? strchr(name, ' ') == NULL
                          : strncmp(name, group, len) == 0 && name[len] == ' ') {
            put_row(to, name, (*command)->summary);
        }
    }
}

void pg_help_program(FILE *to)
{
    (void) fputs("pangea: " PG_HELP_PURPOSE ".\n"
                 "\nUsage: pangea COMMAND [OPTION]... [ARGUMENT]...\n",
                 to);
    (void) fputc('\n', to);
    put_commands(to, NULL);
    for (const pg_command_group *group = pg_command_groups; group->name != NULL; group++) {
        (void) fprintf(to, "\n%s (%s):\n", group->name, group->summary);
        put_commands(to, group->name);
    }
    (void) fputs(
        "\n`pangea help COMMAND` explains a command, `pangea help exit-codes` what it returns.\n",
        to);
}

void pg_help_group(FILE *to, const char *group)
{
    for (const pg_command_group *row = pg_command_groups; row->name != NULL; row++) {
        if (strcmp(row->name, group) == 0) {
            (void) fprintf(to, "pangea %s: %s\n\n", group, row->summary);
        }
    }
    put_commands(to, group);
}

static void put_usage(FILE *to, const pg_command *command)
{
    (void) fprintf(to, "Usage: pangea %s [OPTION]...", command->name);
    for (const pg_argument *argument = command->arguments;
         argument != NULL && argument->name != NULL; argument++) {
        (void) fprintf(to, " %s%s%s%s", argument->optional ? "[" : "", argument->name,
                       argument->optional ? "]" : "", argument->repeats ? "..." : "");
    }
    (void) fputc('\n', to);
}

static void put_options(FILE *to, const pg_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char text[64];
        char letter[5] = "    ";
        if (options->letter != 0) {
            (void) snprintf(letter, sizeof(letter), "-%c, ", options->letter);
        }
        (void) snprintf(text, sizeof(text), "%s--%s%s%s", letter, options->name,
                        options->value == NULL ? "" : " ",
                        options->value == NULL ? "" : options->value);
        put_row(to, text, options->summary);
    }
}

static void put_indented(FILE *to, const char *lines)
{
    pg_str rest = pg_str_make(lines);
    while (rest.len > 0) {
        pg_str line;
        rest = pg_str_split(rest, '\n', &line);
        (void) fprintf(to, "  %.*s\n", PG_STR_ARGS(line));
    }
}

void pg_help_command(FILE *to, const pg_command *command)
{
    (void) fprintf(to, "pangea %s: %s\n\n", command->name, command->summary);
    put_usage(to, command);
    if (command->alias != NULL) {
        (void) fprintf(to, "       pangea %s is the same\n", command->alias);
    }
    if (command->description != NULL) {
        (void) fprintf(to, "\n%s\n", command->description);
    }
    (void) fputs("\nOptions:\n", to);
    put_options(to, command->options);
    put_options(to, pg_common_options);
    if (command->example != NULL) {
        (void) fputs("\nExample:\n", to);
        put_indented(to, command->example);
    }
}

static void on_exit_code(pg_err err, int code, const char *text, void *user)
{
    (void) fprintf(user, "  %3d  %-12s  %s\n", code, pg_err_name(err), text);
}

void pg_help_exit_codes(FILE *to)
{
    (void) fputs("Exit codes of every command, with the name that --json gives:\n\n", to);
    pg_exit_codes_each(on_exit_code, to);
}

static json_object *command_object(const pg_command *command)
{
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "name", json_object_new_string(command->name));
    (void) json_object_object_add(object, "summary", json_object_new_string(command->summary));
    return object;
}

static void on_exit_code_object(pg_err err, int code, const char *text, void *user)
{
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "exit_code", json_object_new_int(code));
    (void) json_object_object_add(object, "code", json_object_new_string(pg_err_name(err)));
    (void) json_object_object_add(object, "text", json_object_new_string(text));
    (void) json_object_array_add(user, object);
}

static void put_json(const pg_output *output)
{
    json_object *object = json_object_new_object();
    json_object *commands = json_object_new_array();
    json_object *codes = json_object_new_array();
    for (const pg_command *const *command = pg_commands; *command != NULL; command++) {
        (void) json_object_array_add(commands, command_object(*command));
    }
    pg_exit_codes_each(on_exit_code_object, codes);
    (void) json_object_object_add(object, "commands", commands);
    (void) json_object_object_add(object, "exit_codes", codes);
    pg_output_object(output, object);
}

static pg_err help_run(pg_invocation *invocation)
{
    if (pg_invocation_has(invocation, "man")) {
        pg_manual_write(stdout);
        return PG_OK;
    }
    if (invocation->output.json) {
        put_json(&invocation->output);
        return PG_OK;
    }
    if (invocation->argument_count == 0) {
        pg_help_program(stdout);
        return PG_OK;
    }
    const char *topic = invocation->arguments[0];
    size_t words = 0;
    const pg_command *command =
        pg_command_find(invocation->arguments, invocation->argument_count, &words);
    if (command != NULL && words == invocation->argument_count) {
        pg_help_command(stdout, command);
    } else if (strcmp(topic, "exit-codes") == 0 && invocation->argument_count == 1) {
        pg_help_exit_codes(stdout);
    } else if (pg_command_is_group(topic) && invocation->argument_count == 1) {
        pg_help_group(stdout, topic);
    } else {
        return pg_fail(PG_ERR_INVALID, "no command \"%s%s%s\"; `pangea help` lists them", topic,
                       invocation->argument_count > 1 ? " " : "",
                       invocation->argument_count > 1 ? invocation->arguments[1] : "");
    }
    return PG_OK;
}

static const pg_argument help_arguments[] = {
    {"COMMAND", PG_VALUE_KIND_COMMAND, true, true},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_option help_options[] = {
    {"man", 0, PG_VALUE_KIND_NONE, NULL, "write all of it as a manual page, for man(1)"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_help = {
    .name = "help",
    .summary = "explain a command, or list them all",
    .description =
        "Besides the commands there is the topic exit-codes: what each command returns to scripts.",
    .example = "pangea help shards encode",
    .arguments = help_arguments,
    .options = help_options,
    .run = help_run,
};
