// SPDX-License-Identifier: Apache-2.0
// The files of the running node, a page at a time, so that there can be any number of them.
//
//      pg_file_pages pages;
//      pg_file_pages_begin(&pages, invocation);
//      while (pg_file_pages_next(&pages, &err)) {
//          // pages.files
//      }
//      pg_file_pages_end(&pages);
//
// Layer: cli.  Thread: blocks the caller's.
#pragma once

#include <stdbool.h>

#include <json-c/json_object.h>

#include "base/err.h"
#include "cli/invocation.h"

/** "?after=" and where a page begins, with its NUL. */
#define PG_FILE_PAGE_QUERY_BYTES 64

/** The pages of one list. */
typedef struct pg_file_pages {
    const pg_invocation *invocation;
    char query[PG_FILE_PAGE_QUERY_BYTES]; // of this page, for other lists that have the same pages
    char next[PG_FILE_PAGE_QUERY_BYTES];
    bool is_last;
    json_object *answer; // NULL = no page yet
    json_object *files;  // of this page, newest first; borrowed
} pg_file_pages;

/** Begin before the first page. */
void pg_file_pages_begin(pg_file_pages *pages, const pg_invocation *invocation);

/** Take the next page; the last one is let go. False behind the last one, and when asking failed: `out_err` tells, as pg_client_ask does. */
bool pg_file_pages_next(pg_file_pages *pages, pg_err *out_err);

/** Let the page go, at any time. */
void pg_file_pages_end(pg_file_pages *pages);
