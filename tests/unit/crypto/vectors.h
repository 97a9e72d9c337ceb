// SPDX-License-Identifier: Apache-2.0
// Reads the files of tests/vectors record by record. Not for: anything but tests.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/bytes.h"

#define VECTOR_FIELDS_MAX 12

typedef struct vectors {
    FILE *file;
    size_t count; // records read
    struct {
        char name[32];
        char *text;
        pg_mut_bytes bytes; // the value, when it is hexadecimal
    } fields[VECTOR_FIELDS_MAX];
    size_t field_count;
} vectors;

/** Open tests/vectors/<path>. Ends the test when it cannot. */
vectors vectors_open(const char *path);

/** Read the next record; false, with everything freed, at the end. What the record before gave is gone. */
bool vectors_next(vectors *file);

/** The value of a field as bytes, each in a block of its exact size. Ends the test when there is none. */
pg_bytes vectors_bytes(const vectors *file, const char *name);

/** The value of a field as text. */
const char *vectors_text(const vectors *file, const char *name);
