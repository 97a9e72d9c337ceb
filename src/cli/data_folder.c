// SPDX-License-Identifier: Apache-2.0
#include "cli/data_folder.h"

#include <stdlib.h>

#include "base/str.h"

pg_err pg_data_folder(const pg_invocation *invocation, pg_buf *out)
{
    const char *data = pg_invocation_option(invocation, "data");
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    if (data != NULL) {
        return data[0] != '\0' ? pg_buf_printf(out, "%s", data)
                               : pg_fail(PG_ERR_INVALID, "--data is empty");
    }
    if (xdg != NULL && xdg[0] == '/') {
        return pg_buf_printf(out, "%s/pangea", xdg);
    }
    if (home != NULL && home[0] == '/') {
        return pg_buf_printf(out, "%s/.local/share/pangea", home);
    }
    return pg_fail(PG_ERR_INVALID, "no home directory: say where the data is by --data");
}
