// SPDX-License-Identifier: Apache-2.0
// Pages of the list of files. Each answer that has not the last of them has a text "next"; with "after" it asks for the files behind those.
// Nobody keeps a state: a file that is removed or put between two pages moves no other from one to the next.
//
// Layer: api.  Thread: any.
#pragma once

#include "api/uri.h"
#include "base/attr.h"
#include "base/err.h"
#include "files/service.h"

/** The parameters of a page, for pg_api_route.query. */
#define PG_API_PAGE_QUERY "after limit"

/** "next", with its NUL. */
#define PG_API_PAGE_NEXT_BYTES 48

/** Read which page is asked for. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_api_page_read(const pg_uri *uri, pg_file_page *out_page);

/** Write what names this page. */
void pg_api_page_next(const pg_file_page *page, char out_next[PG_API_PAGE_NEXT_BYTES]);
