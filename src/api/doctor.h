// SPDX-License-Identifier: Apache-2.0
// Facts of a node's health, as one JSON document: what GET /api/v1/doctor answers, and what `pangea doctor` reads itself where no node
// runs. Not for: judging them (cli).
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include <stdbool.h>

#include <json-c/json_object.h>

#include "base/attr.h"
#include "base/err.h"
#include "exchange/place_server.h"
#include "files/service.h"
#include "store/blocks.h"
#include "store/db.h"

/** What to look at; each may be NULL: its part of the document is null then. */
typedef struct pg_doctor_parts {
    pg_block_store *blocks;
    pg_db *db;
    const pg_files *files;
    const pg_place_server *place;
} pg_doctor_parts;

/** Make the document. docs/openapi.yaml describes it.
 *  is_deep     hash every block and read the whole database, instead of a sample of headers and the version
 *  out_facts   owned by the caller
 *  Errors: those of pg_block_store_check, PG_ERR_NOMEM; a damaged database is a fact. Parks: yes. */
PG_NODISCARD pg_err pg_doctor_facts(const pg_doctor_parts *parts, bool is_deep,
                                    json_object **out_facts);
