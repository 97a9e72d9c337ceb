// SPDX-License-Identifier: Apache-2.0
// Log lines of a running node: to standard error, with the time in front, as text or as JSON.
//
// Layer: cli.  Thread: loop thread only.
#pragma once

#include "node/config.h"

/** Write log lines as the configuration says from now on. */
void pg_log_sink_start(const pg_config *config);
