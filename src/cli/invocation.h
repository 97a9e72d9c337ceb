// SPDX-License-Identifier: Apache-2.0
// One call of the program: the words of the command line, read by the table of commands.
//
// Layer: cli.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "cli/command.h"
#include "cli/output.h"

/** How many values options that repeat may have together. */
#define PG_REPEATED_MAX 128

/** A command with its options and arguments. Everything is borrowed from argv. */
struct pg_invocation {
    const pg_command *command; // NULL: none was named (help of the program, or of `group`)
    const char *group;         // a first word that only groups commands; NULL otherwise
    const pg_option *options[PG_OPTIONS_MAX];
    const char
        *values[PG_OPTIONS_MAX]; // of options[i]; NULL = not given, "" = a flag that was given
    size_t option_count;
    struct {
        const pg_option *option;
        const char *value;
    } repeated[PG_REPEATED_MAX]; // values of options that may be given several times, in order
    size_t repeated_count;
    const char **arguments; // points into argv, which is reordered
    size_t argument_count;
    pg_output output;
};

/** Read the command line. Arguments and options may stand in any order; `--` ends the options. `argv` is reordered.
 *  out_invocation   written even on failure as far as it was understood, so that an error is told in the form asked for
 *  Errors: PG_ERR_INVALID with a text for the person who typed it. */
PG_NODISCARD pg_err pg_invocation_read(int argc, char **argv, pg_invocation *out_invocation);

/** Check that there are as many arguments as the command takes. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_invocation_check(const pg_invocation *invocation);

/** Return the value of an option, "" for a flag, NULL when it was not given. `name` must be an option of the command. */
const char *pg_invocation_option(const pg_invocation *invocation, const char *name);

/** Return the next value of an option that may be given several times; NULL at the end. Begin with *position 0. */
const char *pg_invocation_next(const pg_invocation *invocation, const char *name, size_t *position);

/** Return true when an option was given. */
bool pg_invocation_has(const pg_invocation *invocation, const char *name);

/** Read a size that an option gives, digits and perhaps KiB, MiB or GiB behind them; `missing` where it is not given. Errors: PG_ERR_INVALID, with a
 *  detail for the user. */
PG_NODISCARD pg_err pg_invocation_size(const pg_invocation *invocation, const char *name,
                                       uint64_t missing, uint64_t *out_bytes);

/** Find the command whose words begin `words[0..count)`, the longest name first, and how many words its name took; NULL when there is none. */
const pg_command *pg_command_find(const char *const *words, size_t count, size_t *out_words);

/** Return true when `word` is the first word of several commands. */
bool pg_command_is_group(const char *word);

/** Fail with what to say of a word that is no command, of a group or (NULL) at all, and with the name that may have been meant.
 *  Returns PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_command_unknown(const char *group, const char *word);

/** Return true when options with values of this kind may be given several times. */
bool pg_value_repeats(pg_value_kind kind);

/** Return true when `word` is one of `choices`, "auto|always|never". */
bool pg_choice_has(const char *choices, const char *word);
