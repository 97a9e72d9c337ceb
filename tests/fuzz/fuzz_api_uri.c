// SPDX-License-Identifier: Apache-2.0
// Goal: what is read of a request's target stays inside its text, names differ, and a value that is written again reads back the same.
#include <string.h>

#include "api/uri.h"
#include "fuzz.h"

static bool is_inside(const pg_uri *uri, const char *text)
{
    return text >= uri->text && text + strlen(text) < uri->text + sizeof(uri->text);
}

static void param_check(const pg_uri *uri, const pg_uri_param *param)
{
    pg_uri again;
    pg_buf text = {0};
    FUZZ_CHECK(is_inside(uri, param->name) && is_inside(uri, param->value));
    FUZZ_CHECK(pg_uri_get(uri, param->name) == param->value);
    FUZZ_CHECK(pg_buf_append(&text, PG_BYTES_LIT("/?a=")) == PG_OK);
    FUZZ_CHECK(pg_uri_escape(pg_bytes_cstr(param->value), &text) == PG_OK);
    if (text.len <= PG_API_URI_BYTES_MAX) {
        FUZZ_CHECK(pg_uri_decode(pg_buf_str(&text), &again) == PG_OK);
        FUZZ_CHECK(strcmp(pg_uri_get(&again, "a"), param->value) == 0);
    }
    pg_buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_uri uri;
    uint64_t number = 0;
    bool is_on = false;
    const char *param = NULL;
    pg_err err = pg_uri_decode(pg_str_make_len((const char *) data, size), &uri);
    FUZZ_CHECK(err == PG_OK || err == PG_ERR_INVALID);
    if (err != PG_OK) {
        return 0;
    }
    FUZZ_CHECK(uri.path == uri.text && is_inside(&uri, uri.path));
    for (size_t i = 0; i < uri.param_count; i++) {
        param_check(&uri, &uri.params[i]);
    }
    FUZZ_CHECK(pg_uri_u64(&uri, "n", 9, 0, &number) != PG_OK || number <= 9);
    pg_ignore(pg_uri_bool(&uri, "b", &is_on), "any text may stand there");
    pg_ignore(pg_uri_check(&uri, "n b"), "any name may stand there");
    if (pg_uri_match(uri.path, "/a/{id}", &param)) {
        FUZZ_CHECK(param[0] != '\0' && strchr(param, '/') == NULL);
    }
    return 0;
}
