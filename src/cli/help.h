// SPDX-License-Identifier: Apache-2.0
// The help, written from the table of commands.
//
// Layer: cli.  Thread: any.
#pragma once

#include <stdio.h>

#include "cli/command.h"

/** What the program is for. */
#define PG_HELP_PURPOSE "keeps files alive among strangers, sealed, without a company in the middle"

/** Write the list of all commands. */
void pg_help_program(FILE *to);

/** Write the list of the commands that begin with the word `group`. */
void pg_help_group(FILE *to, const char *group);

/** Write all that is known of one command. */
void pg_help_command(FILE *to, const pg_command *command);

/** Write the table of exit codes. */
void pg_help_exit_codes(FILE *to);
