// SPDX-License-Identifier: Apache-2.0
// Where `pangea get` writes: the path that follows from -o, the stored name and what is there already.
//
// Layer: cli.  Thread: any; pg_get_place_find parks on a fiber and blocks in a job.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "files/limits.h"

#define PG_SAFE_NAME_BYTES (PG_NAME_BYTES_MAX + 1)

/** Make a stored name, which a stranger chose, one that may stand in a folder of ours: '/' and control characters become '_', as does
 *  a dot in front, since hidden files are read by many programs; it is cut after PG_NAME_BYTES_MAX bytes. Empty when nothing is left. */
void pg_safe_name(const char *name, char out_name[PG_SAFE_NAME_BYTES]);

/** Check that the folder is there in which -o is to be made, and say which is not: before anything is got, and by the name the person gave.
 *  output   what -o says; NULL and "-" are fine
 *  Errors: PG_ERR_NOT_FOUND (no such folder), those of pg_path_stat, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_output_folder_check(const char *output);

/** Find the place.
 *  output   what -o says; NULL = the stored name in the working directory. A folder that is there: the stored name in it
 *  name     a safe name, may be empty
 *  out      the path, with a NUL behind; "-" for standard output
 *  Errors: PG_ERR_INVALID (a name is needed and none was stored), PG_ERR_NOT_FOUND (a folder that is named as such), PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_get_place_find(const char *output, const char *name, pg_buf *out);
