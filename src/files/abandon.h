// SPDX-License-Identifier: Apache-2.0
// Puts that were broken off and will not be gone on with: what they left on hosts.
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include "files/service.h"
#include "files/unfinished.h"

/** Let the hosts of the extent that a put left open delete what they got of it; in the background, once, so far as they can be reached: the others
 *  keep it for two days. Parks: no. */
void pg_abandon_unfinished(pg_files *files, const pg_unfinished *put);

/** At a start: tell the hosts of puts that an earlier run left and that nobody can go on with; in the background, until all were told or two days
 *  are over. Parks: yes. Errors: of the database, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_abandon_left(pg_files *files);
