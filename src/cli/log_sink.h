// SPDX-License-Identifier: Apache-2.0
// Log lines of a running node: to standard error or a file, as text or as JSON, with the time in front and without addresses. Where
// standard error is the system's journal, which keeps time and importance itself, a line of text has "<6>" in front instead.
//
// Layer: cli.  Thread: loop thread only; lines may come from any.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "net/pseudonym.h"
#include "node/config.h"

/** Write log lines as the configuration says from now on; a file is opened anew, so that one that was moved away is left alone.
 *  folder       the data directory, in which the file stands unless its name begins with a slash
 *  pseudonyms   for addresses in lines; outlive the sink
 *  Errors: as pg_log_file_open; the lines then go where they went. */
PG_NODISCARD pg_err pg_log_sink_start(const pg_config *config, const char *folder,
                                      pg_pseudonyms *pseudonyms);

/** Drop what comes from now on, and close the file. */
void pg_log_sink_stop(void);
