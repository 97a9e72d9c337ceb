// SPDX-License-Identifier: Apache-2.0
// The manual page, made from the tables of commands, settings and exit codes, as the help is.
//
// Layer: cli.  Thread: any.  Spec: man(7)
#pragma once

#include <stdio.h>

/** Write pangea(1). */
void pg_manual_write(FILE *to);
