// SPDX-License-Identifier: Apache-2.0
#include "runtime/random.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"
#include "runtime/random_priv.h"
#include "runtime/world_priv.h"

void pg_random_system(pg_mut_bytes out)
{
    size_t done = 0;
    while (done < out.len) {
        ssize_t got = getrandom(out.ptr + done, out.len - done, 0);
        if (got < 0 && errno != EINTR) {
            (void) fprintf(stderr, "pangea: the system gives no random bytes\n");
            abort(); // going on would make guessable keys
        }
        done += got < 0 ? 0 : (size_t) got;
    }
}

void pg_random_bytes(pg_mut_bytes out)
{
    pg_world *world = pg_world_current();
    if (world != NULL) {
        world->ops->random(world, out);
    } else {
        pg_random_system(out);
    }
}

uint64_t pg_random_u64(void)
{
    uint64_t value = 0;
    pg_random_bytes(pg_mut_bytes_make(&value, sizeof(value)));
    return value;
}

uint64_t pg_random_below(uint64_t bound)
{
    uint64_t value = 0;
    if (bound == 0) {
        return 0;
    }
    uint64_t first_fair =
        (0 - bound) % bound; // 2^64 modulo bound: below it some results would come once more
    do {
        value = pg_random_u64();
    } while (value < first_fair);
    return value % bound;
}
