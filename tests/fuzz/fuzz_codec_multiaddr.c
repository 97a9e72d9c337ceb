// SPDX-License-Identifier: Apache-2.0
// Goal: an address that is read, in binary or text, writes and reads back as itself; taking it apart stays inside it.
#include "codec/multiaddr.h"
#include "fuzz.h"

static void check_addr(const pg_multiaddr *addr)
{
    char text[PG_MULTIADDR_TEXT_BYTES];
    pg_multiaddr again = {0};
    pg_multiaddr_format(addr, text);
    FUZZ_CHECK(pg_multiaddr_parse(pg_str_make(text), &again) == PG_OK);
    FUZZ_CHECK(pg_multiaddr_equal(addr, &again));
    FUZZ_CHECK(pg_multiaddr_decode(pg_multiaddr_bytes(addr), &again) == PG_OK);

    pg_multiaddr built = {0};
    pg_multiaddr_cursor cursor = pg_multiaddr_walk(addr);
    pg_multiaddr_part part;
    while (pg_multiaddr_next(&cursor, &part)) {
        FUZZ_CHECK(pg_multiaddr_append(&built, part.code, part.value) == PG_OK);
    }
    FUZZ_CHECK(pg_multiaddr_equal(addr, &built));

    pg_multiaddr_hop hop;
    pg_multihash peer;
    pg_multiaddr relay;
    pg_ignore(pg_multiaddr_first_hop(addr, &hop), "only that it stays in bounds");
    FUZZ_CHECK(!pg_multiaddr_relay(addr, &relay) || relay.len < addr->len);
    FUZZ_CHECK(pg_multiaddr_scope(addr) <= PG_IP_SCOPE_UNUSABLE);
    if (pg_multiaddr_cut_peer(&built, &peer)) {
        FUZZ_CHECK(pg_multiaddr_append(&built, PG_MULTIADDR_CODE_P2P, pg_multihash_bytes(&peer)) ==
                   PG_OK);
        FUZZ_CHECK(pg_multiaddr_equal(addr, &built));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_multiaddr addr;
    if (pg_multiaddr_decode(pg_bytes_make(data, size), &addr) == PG_OK) {
        FUZZ_CHECK(pg_bytes_equal(pg_multiaddr_bytes(&addr), pg_bytes_make(data, size)));
        check_addr(&addr);
    }
    if (pg_multiaddr_parse(pg_str_make_len((const char *) data, size), &addr) == PG_OK) {
        check_addr(&addr);
    }
    return 0;
}
