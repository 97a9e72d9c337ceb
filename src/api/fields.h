// SPDX-License-Identifier: Apache-2.0
// Fields of JSON objects: read strictly, a wrong type or range being an error with the field's name; written in short.
//
// Layer: api.  Thread: any, one object at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json_object.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/peer_id.h"

/** Read a text that must be there. Borrowed from the object. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_field_text(json_object *object, const char *name, const char **out_text);

/** Read a whole number of 0..max, `missing` where there is none. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_field_u64(json_object *object, const char *name, uint64_t max,
                                 uint64_t missing, uint64_t *out_value);

/** Read true or false, false where there is none. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_field_bool(json_object *object, const char *name, bool *out_value);

/** Overwrite a text, where there is one, before the object is freed: it was a secret. NULL is fine. */
void pg_field_wipe(json_object *object, const char *name);

/** Add a text; NULL adds null. */
void pg_field_add_text(json_object *object, const char *name, const char *text);

/** Add a number; what does not fit a signed 64-bit one is cut to its maximum. */
void pg_field_add_u64(json_object *object, const char *name, uint64_t value);

/** Add nanoseconds as milliseconds with three decimals. */
void pg_field_add_ms(json_object *object, const char *name, int64_t ns);

/** Add true or false. */
void pg_field_add_bool(json_object *object, const char *name, bool value);

/** Add a PeerId as text. */
void pg_field_add_peer(json_object *object, const char *name, const pg_peer_id *peer);

/** Add a name that a stranger gave; empty adds null. What is no UTF-8, or controls a terminal, becomes U+FFFD. */
void pg_field_add_name(json_object *object, const char *name, pg_bytes value);

/** Add a CID as text. */
void pg_field_add_cid(json_object *object, const char *name, const pg_cid *cid);

/** Add an object or a list, which is the object's then; NULL adds null. */
void pg_field_add(json_object *object, const char *name, json_object *value);
