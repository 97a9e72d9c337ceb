// SPDX-License-Identifier: Apache-2.0
#include "cli/manual.h"

#include <string.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/help.h"
#include "node/config.h"

// A line of text: what man(7) would take for a request or an escape is escaped. A minus stays one, to be copied from the page.
static void put_text(FILE *to, pg_str text)
{
    if (text.len > 0 && (text.ptr[0] == '.' || text.ptr[0] == '\'')) {
        (void) fputs("\\&", to);
    }
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '\\':
            (void) fputs("\\e", to);
            break;
        case '-':
            (void) fputs("\\-", to);
            break;
        case '\'':
            (void) fputs("\\(aq", to);
            break;
        case '`':
            (void) fputs("\\(ga", to);
            break;
        case '^':
            (void) fputs("\\(ha", to);
            break;
        case '~':
            (void) fputs("\\(ti", to);
            break;
        default:
            (void) fputc(text.ptr[i], to);
        }
    }
}

static void put_lines(FILE *to, const char *text)
{
    pg_str rest = pg_str_make(text);
    while (rest.len > 0) {
        pg_str line;
        rest = pg_str_split(rest, '\n', &line);
        if (line.len == 0) {
            (void) fputs(".PP", to); // a line without text would be one more of space
        } else {
            put_text(to, line);
        }
        (void) fputc('\n', to);
    }
}

// Lines as they are, indented.
static void put_example(FILE *to, const char *text)
{
    (void) fputs(".PP\n.RS 4\n.nf\n", to);
    put_lines(to, text);
    (void) fputs(".fi\n.RE\n", to);
}

static void put_options(FILE *to, const pg_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        (void) fputs(".TP\n", to);
        if (options->letter != 0) {
            (void) fprintf(to, "\\fB\\-%c\\fR, ", options->letter);
        }
        (void) fputs("\\fB\\-\\-", to);
        put_text(to, pg_str_make(options->name));
        (void) fputs("\\fR", to);
        if (options->value != NULL) {
            (void) fputs(" \\fI", to);
            put_text(to, pg_str_make(options->value));
            (void) fputs("\\fR", to);
        }
        (void) fputc('\n', to);
        put_lines(to, options->summary);
    }
}

static void put_command(FILE *to, const pg_command *command)
{
    (void) fputs(".SS pangea ", to);
    put_text(to, pg_str_make(command->name));
    (void) fputc('\n', to);
    put_lines(to, command->summary);
    (void) fputs(".PP\n\\fBpangea ", to);
    put_text(to, pg_str_make(command->name));
    (void) fputs("\\fR [\\fIOPTION\\fR]...", to);
    for (const pg_argument *argument = command->arguments;
         argument != NULL && argument->name != NULL; argument++) {
        (void) fprintf(to, " %s\\fI%s\\fR%s%s", argument->optional ? "[" : "", argument->name,
                       argument->optional ? "]" : "", argument->repeats ? "..." : "");
    }
    (void) fputc('\n', to);
    if (command->alias != NULL) {
        (void) fprintf(to, ".PP\n\\fBpangea %s\\fR is the same.\n", command->alias);
    }
    if (command->description != NULL) {
        (void) fputs(".PP\n", to);
        put_lines(to, command->description);
    }
    put_options(to, command->options);
    if (command->example != NULL) {
        put_example(to, command->example);
    }
}

static void put_settings(FILE *to)
{
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        (void) fputs(".TP\n\\fB", to);
        put_text(to, pg_str_make(keys[i].name));
        (void) fputs("\\fR", to);
        if (keys[i].initial[0] != '\0') {
            (void) fputs(" (", to);
            put_text(to, pg_str_make(keys[i].initial));
            (void) fputc(')', to);
        }
        (void) fputc('\n', to);
        put_lines(to, keys[i].help);
        if (keys[i].choices != NULL) {
            (void) fputs("One of: ", to);
            put_lines(to, keys[i].choices);
        }
        if (keys[i].reloads) {
            (void) fputs("Read anew on SIGHUP.\n", to);
        }
    }
}

static void on_exit_code(pg_err err, int code, const char *text, void *user)
{
    FILE *to = user;
    (void) fprintf(to, ".TP\n\\fB%d\\fR ", code);
    put_lines(to, pg_err_name(err));
    put_lines(to, text);
}

void pg_manual_write(FILE *to)
{
    (void) fprintf(to,
                   ".TH PANGEA 1 \"\" \"pangea %s\" \"User Commands\"\n"
                   ".nh\n"
                   ".SH NAME\npangea \\- " PG_HELP_PURPOSE "\n"
                   ".SH SYNOPSIS\n"
                   "\\fBpangea\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...\n"
                   ".SH DESCRIPTION\n"
                   "A node of a network of equals.\n"
                   "\\fBpangea run\\fR runs it; most other commands speak with the one that runs\n"
                   "on the same data directory, over a socket in it.\n"
                   "Results go to standard output, everything else to standard error.\n"
                   ".SH OPTIONS\nEvery command has these:\n",
                   PANGEA_VERSION);
    put_options(to, pg_common_options);
    (void) fputs(".SH COMMANDS\n", to);
    for (const pg_command *const *command = pg_commands; *command != NULL; command++) {
        put_command(to, *command);
    }
    (void) fputs(".SH SETTINGS\n"
                 "In \\fIpangea.conf\\fR, as INI: a line [section], and lines key = value below\n"
                 "it. The same on the command line, where it counts for more:\n"
                 "\\fBpangea run \\-\\-set\\fR \\fIsection.key=value\\fR.\n"
                 "In parentheses what holds where nothing is said.\n",
                 to);
    put_settings(to);
    (void) fputs(".SH EXIT STATUS\n", to);
    pg_exit_codes_each(on_exit_code, to);
    (void) fputs(".SH ENVIRONMENT\n"
                 ".TP\n\\fBXDG_DATA_HOME\\fR\n"
                 "The data directory is \\fIpangea\\fR in it, unless \\fB\\-\\-data\\fR is given.\n"
                 ".SH FILES\n"
                 ".TP\n\\fI\\(ti/.local/share/pangea\\fR\n"
                 "The data directory.\n"
                 ".TP\n\\fIpangea.conf\\fR\n"
                 "In it: the settings.\n"
                 ".TP\n\\fIapi.sock\\fR\n"
                 "In it: where the running node listens to commands.\n",
                 to);
}
