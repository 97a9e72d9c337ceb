// SPDX-License-Identifier: Apache-2.0
#include "cli/get_place.h"

#include <string.h>

#include "runtime/file.h"

void pg_safe_name(const char *name, char out_name[PG_SAFE_NAME_BYTES])
{
    size_t len = 0;
    for (; *name != '\0' && len + 1 < PG_SAFE_NAME_BYTES; name++) {
        uint8_t byte = (uint8_t) *name;
        bool bad = byte < 0x20 || byte == 0x7f || byte == '/' || (len == 0 && byte == '.');
        out_name[len++] = bad ? '_' : *name;
    }
    out_name[len] = '\0';
}

pg_err pg_output_folder_check(const char *output)
{
    const char *slash = output == NULL ? NULL : strrchr(output, '/');
    pg_file_info info = {0};
    pg_buf folder = {0};
    if (slash == NULL || slash == output) {
        return PG_OK; // here, or in the root
    }
    PG_TRY(pg_buf_printf(&folder, "%.*s", (int) (slash - output), output));
    pg_err err = pg_path_stat((const char *) folder.ptr, &info);
    if (err == PG_ERR_NOT_FOUND || (err == PG_OK && info.type != PG_FILE_TYPE_FOLDER)) {
        err = pg_fail(PG_ERR_NOT_FOUND, err == PG_OK ? "%s is no folder" : "there is no folder %s",
                      (const char *) folder.ptr);
    }
    pg_buf_deinit(&folder);
    return err;
}

pg_err pg_get_place_find(const char *output, const char *name, pg_buf *out)
{
    pg_file_info info = {0};
    if (output == NULL) {
        return name[0] != '\0' ? pg_buf_printf(out, "%s", name)
                               : pg_fail(PG_ERR_INVALID, "it was stored without a name: say where "
                                                         "with -o");
    }
    size_t len = strlen(output);
    if (len == 0) {
        return pg_fail(PG_ERR_INVALID, "-o is empty");
    }
    if (strcmp(output, "-") == 0) {
        return pg_buf_printf(out, "-");
    }
    bool is_folder = pg_path_stat(output, &info) == PG_OK && info.type == PG_FILE_TYPE_FOLDER;
    if (!is_folder) {
        return output[len - 1] != '/' ? pg_buf_printf(out, "%s", output)
                                      : pg_fail(PG_ERR_NOT_FOUND, "%s is no folder", output);
    }
    if (name[0] == '\0') {
        return pg_fail(PG_ERR_INVALID,
                       "it was stored without a name, and %s is a folder: say where in it", output);
    }
    return pg_buf_printf(out, "%s%s%s", output, output[len - 1] == '/' ? "" : "/", name);
}
