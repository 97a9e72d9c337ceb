// SPDX-License-Identifier: Apache-2.0
#include "api/fields.h"
#include "api/limits.h"
#include "api/routes.h"
#include "base/mem.h"
#include "exchange/limits.h"

static pg_err block_keep(const pg_api_request *request, pg_files *files, pg_mut_bytes space,
                         json_object **out_body)
{
    size_t len = 0;
    pg_cid cid;
    PG_TRY(pg_api_read(request->call, space, &len));
    if (len == space.len) {
        return pg_api_refuse(
            request->call, 413,
            pg_fail(PG_ERR_LIMIT, "a block has at most %u bytes", PG_BITSWAP_BLOCK_BYTES_MAX));
    }
    PG_TRY(pg_files_block_put(files, pg_bytes_make(space.ptr, len), &cid));
    *out_body = json_object_new_object();
    pg_field_add_cid(*out_body, "cid", &cid);
    pg_field_add_u64(*out_body, "size_bytes", len);
    return PG_OK;
}

static pg_err blocks_post(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    PG_TRY(pg_api_files_of(request, &files));
    const size_t space_bytes =
        (size_t) PG_BITSWAP_BLOCK_BYTES_MAX + 1; // one more shows a longer one
    uint8_t *space = pg_malloc(space_bytes);
    if (space == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = block_keep(request, files, pg_mut_bytes_make(space, space_bytes), out_body);
    pg_mfree(space);
    return err;
}

static pg_err block_get(const pg_api_request *request, json_object **out_body)
{
    pg_files *files = NULL;
    uint64_t timeout_ms = 0;
    pg_cid cid;
    pg_buf block = {.max_len = PG_BITSWAP_BLOCK_BYTES_MAX};
    (void) out_body;
    PG_TRY(pg_api_files_of(request, &files));
    PG_TRY(pg_uri_u64(request->uri, "timeout_ms", PG_API_BLOCK_TIMEOUT_MS_MAX,
                      PG_API_BLOCK_TIMEOUT_MS, &timeout_ms));
    pg_err err = pg_cid_parse(pg_str_make(request->param), &cid);
    if (err != PG_OK) {
        return pg_api_refuse(request->call, 400, err);
    }
    err = pg_files_block_get(files, &cid, pg_after(PG_MS(timeout_ms)), &block);
    if (err == PG_OK) {
        pg_api_answer(request->call, "application/octet-stream", block.len);
        err = pg_api_write(request->call, pg_buf_bytes(&block));
    }
    pg_buf_deinit(&block);
    return err;
}

const pg_api_route pg_api_block_routes[] = {
    {.method = "POST", .path = "/api/v1/blocks", .handler = blocks_post, .streams = true},
    {.method = "GET", .path = "/api/v1/blocks/{cid}", .handler = block_get, .query = "timeout_ms"},
    {.path = NULL},
};
