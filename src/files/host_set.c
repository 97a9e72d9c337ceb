// SPDX-License-Identifier: Apache-2.0
#include "files/host_set.h"

#include <stdbool.h>
#include <string.h>

#include "codec/multiaddr.h"
#include "crypto/hash.h"
#include "exchange/limits.h"

void pg_network_of(pg_bytes addr, uint8_t out_network[PG_NETWORK_BYTES])
{
    pg_multiaddr decoded;
    pg_multiaddr_hop hop;
    memset(out_network, 0, PG_NETWORK_BYTES);
    if (pg_multiaddr_decode(addr, &decoded) != PG_OK ||
        pg_multiaddr_first_hop(&decoded, &hop) != PG_OK) {
        return;
    }
    if (hop.host_code == PG_MULTIADDR_CODE_IP4) {
        out_network[0] = 4;
        memcpy(out_network + 1, hop.host.ptr, 3);
    } else if (hop.host_code == PG_MULTIADDR_CODE_IP6) {
        out_network[0] = 6;
        memcpy(out_network + 1, hop.host.ptr, 6);
    }
}

uint64_t pg_host_set_number(const pg_peer_id *peer, pg_bytes extent_id)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea rendezvous v1"));
    pg_blake3_stream_update(&stream, extent_id);
    pg_blake3_stream_update(&stream, pg_peer_id_bytes(peer));
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(digest));
    pg_reader reader = pg_reader_make(PG_BYTES_OF(digest));
    return pg_reader_u64be(&reader);
}

static void sort_by_rank(pg_host_candidate *candidates, size_t count)
{
    for (size_t i = 1; i < count; i++) { // some hundreds at most
        pg_host_candidate moved = candidates[i];
        size_t j = i;
        for (; j > 0 && candidates[j - 1].rank < moved.rank; j--) {
            candidates[j] = candidates[j - 1];
        }
        candidates[j] = moved;
    }
}

static bool is_known_network(const pg_host_candidate *chosen, size_t count,
                             const pg_host_candidate *candidate)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(chosen[i].network, candidate->network, PG_NETWORK_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

void pg_host_set_order(pg_host_candidate *candidates, size_t count, pg_bytes extent_id,
                       const pg_health *health)
{
    for (size_t i = 0; i < count; i++) {
        candidates[i].rank = pg_health_rank(health, &candidates[i].peer,
                                            pg_host_set_number(&candidates[i].peer, extent_id));
    }
    sort_by_rank(candidates, count);
    // The first of each network come first, in their order; so do the others behind them.
    size_t front = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_known_network(candidates, front, &candidates[i])) {
            continue;
        }
        pg_host_candidate moved = candidates[i];
        memmove(&candidates[front + 1], &candidates[front], (i - front) * sizeof(*candidates));
        candidates[front++] = moved;
    }
}

void pg_slots_deal(unsigned n, unsigned hosts, pg_slot_set *out_slots)
{
    memset(out_slots, 0, hosts * sizeof(*out_slots));
    for (unsigned s = 0; s < n; s++) {
        out_slots[s % hosts] |= (pg_slot_set) 1 << s;
    }
}

unsigned pg_slots_survive(const pg_slot_set *sets, size_t count, unsigned parity)
{
    unsigned with[PG_PLACE_SLOTS_MAX + 1] = {0}; // with[c]: hosts that hold c slots
    for (size_t i = 0; i < count; i++) {
        with[(unsigned) __builtin_popcount(sets[i])]++;
    }
    unsigned survived = 0;
    unsigned lost = 0;
    for (unsigned c = PG_PLACE_SLOTS_MAX; c > 0; c--) {
        for (; with[c] > 0; with[c]--) {
            if (lost + c > parity) {
                return survived;
            }
            lost += c;
            survived++;
        }
    }
    return survived;
}
