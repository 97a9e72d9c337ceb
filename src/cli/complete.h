// SPDX-License-Identifier: Apache-2.0
// What may stand in a place of a command line, read from the table of commands: the shells ask for it when TAB is pressed. Pure; what
// only the node knows (peers, files) is asked of a function that is handed in. Not for: the shells themselves (completion.c).
//
// Layer: cli.  Thread: any.
#pragma once

#include <stddef.h>

#include "cli/command.h"

/** What the shell is to offer. */
typedef enum pg_complete_kind {
    PG_COMPLETE_KIND_WORDS, // the candidates, none of them perhaps
    PG_COMPLETE_KIND_FILES,
    PG_COMPLETE_KIND_FOLDERS,
} pg_complete_kind;

/** Is told of each candidate: the whole word, and a line about it, "" where nothing is said. Both are borrowed. */
typedef void (*pg_complete_fn)(const char *text, const char *summary, void *user);

/** Who is told of candidates, and who is asked for what is not in the tables. */
typedef struct pg_complete_callbacks {
    pg_complete_fn put;
    /** Tell what the node knows of a kind (PEER, LINK, STORED, PINNED), each thing by `tell` with `teller`, whether it fits or not.
     *  NULL: nothing is known.
     *  data   the value of --data in the line, NULL where it was not given
     *  word   what the person typed */
    void (*ask)(pg_value_kind kind, const char *data, const char *word, pg_complete_fn tell,
                void *teller, void *user);
    void *user;
} pg_complete_callbacks;

/** Find what may stand in the place of the last word, which is as far as it was typed.
 *  words       those after the program's name, at least one; the last may be empty
 *  callbacks   called before the return only */
pg_complete_kind pg_complete(const char *const *words, size_t count,
                             const pg_complete_callbacks *callbacks);
