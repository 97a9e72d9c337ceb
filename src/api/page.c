// SPDX-License-Identifier: Apache-2.0
#include "api/page.h"

#include "api/limits.h"
#include "base/str.h"

static pg_err place_read(const char *text, pg_file_page *page)
{
    pg_str put_ms;
    pg_str file = pg_str_split(pg_str_make(text), '.', &put_ms);
    uint64_t parts[2];
    if (pg_str_to_u64(put_ms, INT64_MAX, &parts[0]) != PG_OK ||
        pg_str_to_u64(file, INT64_MAX, &parts[1]) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "after: not what \"next\" of an answer was");
    }
    page->put_ms = (int64_t) parts[0];
    page->file = (int64_t) parts[1];
    return PG_OK;
}

pg_err pg_api_page_read(const pg_uri *uri, pg_file_page *out_page)
{
    const char *after = pg_uri_get(uri, "after");
    uint64_t max = 0;
    PG_TRY(pg_uri_u64(uri, "limit", PG_API_PAGE_FILES_MAX, PG_API_PAGE_FILES_MAX, &max));
    if (max == 0) {
        return pg_fail(PG_ERR_INVALID, "limit: at least 1");
    }
    *out_page = (pg_file_page){.put_ms = INT64_MAX, .file = INT64_MAX, .max = (uint32_t) max};
    return after == NULL ? PG_OK : place_read(after, out_page);
}

void pg_api_page_next(const pg_file_page *page, char out_next[PG_API_PAGE_NEXT_BYTES])
{
    (void) snprintf(out_next, PG_API_PAGE_NEXT_BYTES, "%llu.%llu",
                    (unsigned long long) page->put_ms, (unsigned long long) page->file);
}
