// SPDX-License-Identifier: Apache-2.0
// Reading the node's answers: a field that is missing, or of another type, reads as nothing.
//
// Layer: cli.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

/** Return a text, "?" when there is none. Borrowed from the object. */
const char *pg_answer_text(json_object *object, const char *name);

/** Return a text, "" when there is none. Borrowed from the object. */
const char *pg_answer_optional(json_object *object, const char *name);

/** Return a number, 0 when there is none. */
double pg_answer_number(json_object *object, const char *name);

/** Return a whole number, 0 when there is none or it is negative. */
uint64_t pg_answer_u64(json_object *object, const char *name);

/** Return true when the field is there and true. */
bool pg_answer_bool(json_object *object, const char *name);

/** Return a list or an object; NULL when there is none. Borrowed from the object. */
json_object *pg_answer_object(json_object *object, const char *name);

/** Return the number of items of a list; 0 for NULL and what is no list. */
size_t pg_answer_count(json_object *list);

#define PG_ANSWER_NUMBERS_BYTES 160

/** Write a list of whole numbers as text, with commas between, as many as there is room for. */
void pg_answer_numbers(json_object *object, const char *name,
                       char out_text[PG_ANSWER_NUMBERS_BYTES]);

/** Overwrite a text that is a secret, before the object is put. */
void pg_answer_wipe(json_object *object, const char *name);
