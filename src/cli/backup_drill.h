// SPDX-License-Identifier: Apache-2.0
// Proving a backup: it is restored beside its file, opened as a node would, looked through, compared, and removed.
//
// Layer: cli.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "cli/invocation.h"

/** Prove the backup at `file`, and tell in one line what was proved. What was restored for it is gone afterwards, whatever happens. Parks: yes.
 *  Errors: PG_ERR_CORRUPT (something in it is not what it should be), those of pg_backup_read and pg_backup_place. */
PG_NODISCARD pg_err pg_backup_drill(const pg_invocation *invocation, const char *file);
