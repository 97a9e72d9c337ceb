// SPDX-License-Identifier: Apache-2.0
// What the tests of this room share: peers by number, and their addresses.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "codec/multiaddr.h"
#include "codec/multihash.h"
#include "crypto/peer_id.h"
#include "dht/key.h"

/** The PeerId of nobody, by number. */
static inline pg_peer_id peer_number(uint32_t number)
{
    pg_peer_id id = {.len = 34, .bytes = {PG_MULTIHASH_CODE_SHA2_256, 32}};
    memcpy(id.bytes + 2, &number, sizeof(number));
    return id;
}

/** A peer, by number from `number` on, that shares exactly `prefix` bits with a point. */
static inline pg_peer_id peer_near(const pg_dht_key *point, unsigned prefix, uint32_t *number)
{
    for (;;) {
        pg_peer_id id = peer_number(*number);
        pg_dht_key key = pg_dht_key_of_peer(&id);
        (*number)++;
        if (pg_dht_key_prefix(point, &key) == prefix) {
            return id;
        }
    }
}

/** Read an address; it has to be one. */
static inline pg_multiaddr addr_of(const char *text)
{
    pg_multiaddr addr;
    assert_int_equal(pg_multiaddr_parse(pg_str_make(text), &addr), PG_OK);
    return addr;
}
