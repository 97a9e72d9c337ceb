// SPDX-License-Identifier: Apache-2.0
#include "node/token.h"

#include <string.h>

#include "api/door.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "codec/multibase.h"
#include "crypto/secret.h"
#include "node/data.h"
#include "runtime/file.h"
#include "runtime/random.h"

#define TOKEN_NAME "api.token"
#define TOKEN_FILE_BYTES (PG_API_TOKEN_CHARS + 1) // and a newline

static pg_err token_make(const char *path, char out_text[PG_API_TOKEN_CHARS + 1])
{
    uint8_t token[PG_API_TOKEN_BYTES];
    char line[TOKEN_FILE_BYTES];
    pg_random_bytes(PG_MUT_BYTES_OF(token));
    pg_door_token_format(token, out_text);
    memcpy(line, out_text, PG_API_TOKEN_CHARS);
    line[PG_API_TOKEN_CHARS] = '\n';
    pg_err err = pg_file_replace(path, PG_BYTES_OF(line), 0600);
    pg_wipe(token, sizeof(token));
    pg_wipe(line, sizeof(line));
    return err;
}

static pg_err token_read(const char *path, pg_buf *text)
{
    pg_file_info info;
    uint8_t token[PG_API_TOKEN_BYTES];
    size_t len = 0;
    PG_TRY(pg_buf_reserve(text, TOKEN_FILE_BYTES + 1)); // at once: growing leaves secrets behind
    PG_TRY(pg_path_stat(path, &info));
    if ((info.permissions & 077) != 0) {
        return pg_fail(PG_ERR_ACCESS, "%s can be read by others: chmod 600, or remove it", path);
    }
    PG_TRY(pg_file_load(path, TOKEN_FILE_BYTES, text));
    pg_str digits =
        pg_str_make_len((const char *) text->ptr, pg_min_size(text->len, PG_API_TOKEN_CHARS));
    pg_err err = pg_base_decode(PG_BASE_64URL, digits, PG_MUT_BYTES_OF(token), &len);
    pg_wipe(token, sizeof(token));
    return err == PG_OK && len == PG_API_TOKEN_BYTES
               ? PG_OK
               : pg_fail(PG_ERR_CORRUPT, "%s has no token: remove it, and a new one is made", path);
}

pg_err pg_token_open(const char *folder, char out_text[PG_API_TOKEN_CHARS + 1])
{
    pg_buf path = {0};
    pg_buf text = {0};
    pg_err err = pg_data_name(folder, TOKEN_NAME, &path);
    if (err == PG_OK) {
        err = token_read((const char *) path.ptr, &text);
    }
    if (err == PG_OK) {
        memcpy(out_text, text.ptr, PG_API_TOKEN_CHARS);
        out_text[PG_API_TOKEN_CHARS] = '\0';
    } else if (err == PG_ERR_NOT_FOUND) {
        err = token_make((const char *) path.ptr, out_text);
    }
    if (text.ptr != NULL) {
        pg_wipe(text.ptr, text.cap);
    }
    pg_buf_deinit(&text);
    pg_buf_deinit(&path);
    return err;
}
