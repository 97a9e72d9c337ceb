// SPDX-License-Identifier: Apache-2.0
// A folder of a test's own, removed with all that is in it.
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char temp_folder[64];

static inline int temp_folder_make(void **state)
{
    (void) state;
    (void) strcpy(temp_folder, "/tmp/pangea-files-XXXXXX");
    return mkdtemp(temp_folder) == NULL ? -1 : 0;
}

static inline int temp_one_remove(const char *path, const struct stat *info, int kind,
                                  struct FTW *at)
{
    (void) info;
    (void) kind;
    (void) at;
    return remove(path);
}

static inline int temp_folder_remove(void **state)
{
    (void) state;
    return nftw(temp_folder, temp_one_remove, 4, FTW_DEPTH | FTW_PHYS);
}
