// SPDX-License-Identifier: Apache-2.0
// What telemetry says, in one table: each field of the document with its meaning. The document, the list that a person is shown
// before they agree, and what they agree to are made from it, and nothing that is not in it is ever sent. Counts are rounded down to powers of two
// and end at a maximum, shares are rounded to twentieths, times and speeds are powers of two; where fewer than eight stand behind a number, there
// is none. Pure.
//
// Layer: api.  Thread: any.  Spec: docs/guide/telemetry.md
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "api/usage.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

#define PG_TELEMETRY_TAG_BYTES 16U
#define PG_TELEMETRY_LIST_ID_CHARS 64U

/** What the parts of a node did since it was started. */
typedef struct pg_telemetry_sums {
    pg_usage_rate repairs;
    pg_usage_rate audits; // slots that were proven, and those that were not
} pg_telemetry_sums;

/** What a document is made of. */
typedef struct pg_telemetry_facts {
    uint8_t tag[PG_TELEMETRY_TAG_BYTES];
    const char *version; // of the program
    uint64_t period_s;   // that usage and sums are of
    uint64_t uptime_s;
    uint64_t peers; // connected now
    uint64_t files; // put here
    uint64_t leases;
    pg_telemetry_sums sums;
    pg_usage usage;
} pg_telemetry_facts;

/** Append the document: one JSON object, its fields in the order of the table, at most PG_API_TELEMETRY_BYTES_MAX bytes. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_telemetry_write(const pg_telemetry_facts *facts, pg_buf *out);

/** One field. Static. */
typedef struct pg_telemetry_field {
    const char *name;
    const char *meaning;
} pg_telemetry_field;

/** Return the field at an index, name NULL beyond the last. */
pg_telemetry_field pg_telemetry_field_at(size_t index);

/** Name the list together with where it goes: whoever agreed agreed to this id. It changes when a field is added, removed or means something else, and
 *  with the URL. */
void pg_telemetry_list_id(const char *url, char out_id[PG_TELEMETRY_LIST_ID_CHARS + 1]);
