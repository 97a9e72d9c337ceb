// SPDX-License-Identifier: Apache-2.0
// Goal: messages of the link decode within their bounds; the addresses of one, told again in an answer of ours, come back.
#include <string.h>

#include "fuzz.h"
#include "net/mdns_msg.h"

static pg_mdns_msg msg;
static pg_mdns_msg back;

static void check_again(void)
{
    uint8_t space[PG_NET_MDNS_SEND_BYTES_MAX];
    pg_multiaddr bare = msg.addrs[0];
    pg_multihash hash;
    pg_peer_id peer;
    size_t len = 0;
    FUZZ_CHECK(pg_multiaddr_cut_peer(&bare, &hash));
    if (pg_peer_id_decode(pg_multihash_bytes(&hash), &peer) != PG_OK) {
        return;
    }
    const pg_mdns_answer answer = {PG_STR("abcdefghijklmnopqrstuvwxyz012345"), &peer, &bare, 1};
    if (pg_mdns_answer_encode(&answer, PG_MUT_BYTES_OF(space), &len) != PG_OK) {
        return; // too long for one string
    }
    FUZZ_CHECK(pg_mdns_msg_decode(pg_bytes_make(space, len), &back) == PG_OK);
    FUZZ_CHECK(back.addr_count == 1 && pg_multiaddr_equal(&back.addrs[0], &msg.addrs[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (pg_mdns_msg_decode(pg_bytes_make(data, size), &msg) == PG_OK) {
        FUZZ_CHECK(msg.addr_count <= PG_NET_MDNS_ADDRS_MAX);
        FUZZ_CHECK(!msg.asks || msg.addr_count == 0);
        if (msg.addr_count > 0) {
            check_again();
        }
    }
    return 0;
}
