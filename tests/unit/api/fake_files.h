// SPDX-License-Identifier: Apache-2.0
// A files service that keeps nothing, in place of files/service.c: it does what the name of a file says, so that a test on the other side
// of the API can make it fail, park and stream. Words of the name, separated by '-':
//
//      pattern          of a put: the content has to be the pattern below, else it fails with CORRUPT
//      pending          of a put: the file waits on this node
//      full:N, park:N   of a put: fails with FULL, or parks for ever, after N bytes
//      within:MS        of a put: takes what comes within MS at a time; `extents` of the answer is 1 more than the times something did
//      size:N           of a get: the file has N bytes of the pattern, whatever was put
//      missing:N        of a get: fails with MISSING after N bytes
//      stall:N          of a get: parks for ever after N bytes; 0: before the root is known
//
// Byte i of the pattern is i % 251.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "files/guard.h"
#include "files/service.h"
#include "files/vault.h"

/** What it was asked for. */
typedef struct fake_counters {
    uint64_t puts_running;
    uint64_t gets_running;
    uint64_t cancelled; // puts and gets that ended with CANCELLED or RESET
    uint64_t bytes_in;  // of puts, read so far
    uint64_t bytes_out; // of gets, written so far
} fake_counters;

/** Make the service. Ends the process when memory is out. */
pg_files *fake_files_new(void);

/** Free it. */
void fake_files_free(pg_files **files);

/** Return what it was asked for. */
fake_counters fake_files_counters(const pg_files *files);

/** Make a Bitswap and a place server that only have statistics; static. */
pg_bitswap *fake_bitswap(void);
pg_place_server *fake_place(void);

/** Return a guard; what it says changes with what it is told. */
pg_guard *fake_guard(void);

/** Return an archive that does as it is told (fake_vault.c). */
pg_vault *fake_vault(void);
