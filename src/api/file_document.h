// SPDX-License-Identifier: Apache-2.0
// Files, links and what holds them as JSON.
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include <stdbool.h>

#include <json-c/json_object.h>

#include "base/attr.h"
#include "files/service.h"

/** Make the document of a file. It holds a secret: wipe its "link" before it is freed (pg_field_wipe).
 *  with_hosts   list the hosts, each with what it holds */
json_object *pg_file_document(const pg_file_entry *entry, bool with_hosts);

/** Make the document of a pin. It holds a secret, as that of a file. */
json_object *pg_pin_document(const pg_pin *pin);

/** Make the document of an extent and its holders. */
json_object *pg_extent_document(const pg_extent_info *extent);

/** Return "file" or "folder". Static. */
const char *pg_file_kind_name(pg_file_kind kind);

/** Read "file" or "folder"; NULL is a file. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_file_kind_from_name(const char *name, pg_file_kind *out_kind);
