// SPDX-License-Identifier: Apache-2.0
// Telemetry: once in a while a document of aggregates (telemetry_document.h) goes to a collector that the owner of the node named, after they
// were shown what is in it and agreed, and not otherwise. They agree to one list of fields and one URL; with another list, after an
// upgrade say, or another URL, nothing is sent until they agree anew. What was sent is kept and shown.
//
//      OFF ──setting on, URL, agreed to (pg_telemetry_agree)──> ON ──due──> SENDING ──taken, or 3 tries──> ON
//       ^                                                        │              │
//       └───────── setting off, another URL, withdrawn ──────────┴──────────────┘
//
// Layer: api.  Thread: loop thread only.  Spec: docs/guide/telemetry.md
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/telemetry_document.h"
#include "api/telemetry_rows.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "store/db.h"

typedef struct pg_telemetry pg_telemetry;

/** The tables, a step of the database's pg_db_schema. */
extern const char *const pg_telemetry_schema_1;

/** Settings; may be changed while it runs. */
typedef struct pg_telemetry_rules {
    bool is_enabled;     // false also withdraws what was agreed to
    const char *url;     // passes pg_telemetry_url_check, or is empty; copied
    uint64_t interval_s; // between two documents, more or less
} pg_telemetry_rules;

/** What it stands on; all outlive it. */
typedef struct pg_telemetry_config {
    pg_db *db;           // has the tables
    const char *version; // of the program, static
    /** Fill in what the node knows: all but tag, version, period_s and usage; sums since the start. Must not park. */
    void (*look)(pg_telemetry_facts *facts, void *user);
    void *user;
    /** Send a document once, as pg_telemetry_send does, which is what NULL stands for. May park. */
    pg_err (*send)(const char *url, pg_bytes document, void *user);
    pg_telemetry_rules rules;
} pg_telemetry_config;

/** Load the state and begin. Parks: yes. Errors: PG_ERR_NOMEM, PG_ERR_CORRUPT, of the database. */
PG_NODISCARD pg_err pg_telemetry_new(const pg_telemetry_config *config,
                                     pg_telemetry **out_telemetry);

/** Change the rules. NULL does nothing. Errors: PG_ERR_NOMEM: nothing was changed. Parks: no. */
PG_NODISCARD pg_err pg_telemetry_set_rules(pg_telemetry *telemetry,
                                           const pg_telemetry_rules *rules);

/** How it stands. */
typedef struct pg_telemetry_status {
    bool is_on;      // documents are sent
    bool is_enabled; // by the settings
    bool is_agreed;  // to the present list and URL
    bool was_agreed; // to another list, or another URL
    bool is_sending; // now
    const char *url; // borrowed until the rules change; empty = none
    uint64_t interval_s;
    uint64_t agreed_s; // wall clock; 0 = nobody agreed
    uint64_t next_s;   // when the next one is due; 0 = none is
    uint64_t taken_total;
    uint64_t not_taken_total;
} pg_telemetry_status;

/** Return how it stands; NULL: off. Parks: no. */
pg_telemetry_status pg_telemetry_get_status(const pg_telemetry *telemetry);

/** Append exactly the document that would be sent now. Parks: no. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_telemetry_document(pg_telemetry *telemetry, pg_buf *out);

/** Agree to a list, named by the id that came with it (pg_telemetry_list_id).
 *  Errors: PG_ERR_INVALID (the settings name no URL, or are off), PG_ERR_CHANGED (another list than the present one, or another URL), of the
 *  database. Parks: yes. */
PG_NODISCARD pg_err pg_telemetry_agree(pg_telemetry *telemetry, const char *list_id);

/** Withdraw that, and forget the tag. At return nothing is being sent, and nothing will be. Parks: yes, for as long as a try may take. Errors of the
 *  database: then only until the next start. PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_telemetry_withdraw(pg_telemetry *telemetry);

/** Send a document now, in one try; the next is due an interval later. Errors: PG_ERR_INVALID (off), PG_ERR_BUSY (one is being sent), of `send`, of the
 *  database. Parks: yes. */
PG_NODISCARD pg_err pg_telemetry_send_now(pg_telemetry *telemetry);

/** Call `each` for the last documents that were sent, the newest first, as pg_telemetry_rows_each. Parks: yes. */
PG_NODISCARD pg_err pg_telemetry_sent_each(
    pg_telemetry *telemetry, pg_err (*each)(const pg_telemetry_sent *sent, void *user), void *user);

/** Return where puts and gets are noted (pg_usage_note); NULL for NULL. Parks: no. */
pg_usage *pg_telemetry_usage(pg_telemetry *telemetry);

/** End what is under way, free, and set *telemetry to NULL. NULL is fine. Parks: yes. */
void pg_telemetry_free(pg_telemetry **telemetry);
