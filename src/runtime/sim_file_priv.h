// SPDX-License-Identifier: Apache-2.0
// Open files of simulated machines.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include "runtime/sim_world_priv.h"

/** Take all open files away from a machine that lost its power: their locks are free, and calls on them have no effect. */
void pg_sim_files_crash(pg_sim_machine *machine);
