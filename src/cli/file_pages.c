// SPDX-License-Identifier: Apache-2.0
#include "cli/file_pages.h"

#include <stdio.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/client.h"

#define PATH_BYTES 128

void pg_file_pages_begin(pg_file_pages *pages, const pg_invocation *invocation)
{
    *pages = (pg_file_pages){.invocation = invocation};
}

void pg_file_pages_end(pg_file_pages *pages)
{
    for (size_t i = 0; i < pg_answer_count(pages->files); i++) {
        pg_answer_wipe(json_object_array_get_idx(pages->files, i), "link");
    }
    json_object_put(pages->answer);
    pages->answer = pages->files = NULL;
}

bool pg_file_pages_next(pg_file_pages *pages, pg_err *out_err)
{
    char path[PATH_BYTES];
    *out_err = PG_OK;
    pg_file_pages_end(pages);
    if (pages->is_last) {
        return false;
    }
    memcpy(pages->query, pages->next, sizeof(pages->query));
    (void) snprintf(path, sizeof(path), "/api/v1/files%s", pages->query);
    *out_err = pg_client_ask(pages->invocation, "GET", path, NULL, &pages->answer);
    if (*out_err != PG_OK) {
        return false;
    }
    const char *next = pg_answer_optional(pages->answer, "next");
    pages->files = pg_answer_object(pages->answer, "files");
    pages->is_last = next[0] == '\0';
    (void) snprintf(pages->next, sizeof(pages->next), "?after=%s", next);
    return true;
}
