// SPDX-License-Identifier: Apache-2.0
// Goal: the table finds what was added and nothing else, and its sums are those of its blocks, whatever is done to it.
// Method: random steps against a model that counts anew each time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exchange/place_held_priv.h"

#define NAMES 400
#define PEERS 3

/** What is expected of one block. */
struct expected {
    bool is_there;
    bool is_present;
    uint32_t len;
    uint32_t leases;
    uint32_t pins;
    unsigned owner; // number of the peer, PEERS = nobody
};

static struct expected model[NAMES];
static uint64_t random_state;

static unsigned random_below(unsigned bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned) (random_state >> 33) % bound;
}

static pg_held_name name_of(unsigned id)
{
    pg_cid cid = id % 2 == 0 ? pg_cid_of_blake3(pg_bytes_make(&id, sizeof(id)))
                             : pg_cid_of_sha256(pg_bytes_make(&id, sizeof(id)));
    return pg_held_name_of(&cid);
}

static pg_peer_id peer_of(unsigned number)
{
    pg_peer_id peer = {.len = 4, .bytes = {0, 2, 7, (uint8_t) number}};
    return peer;
}

static void check(const pg_held *held)
{
    uint64_t leased = 0;
    uint64_t stray = 0;
    uint64_t bytes[PEERS + 1] = {0};
    uint32_t count = 0;
    for (unsigned id = 0; id < NAMES; id++) {
        pg_held_name name = name_of(id);
        uint32_t number = pg_held_find(held, &name);
        assert_true((number != PG_HELD_NONE) == model[id].is_there);
        if (number == PG_HELD_NONE) {
            continue;
        }
        const pg_held_block *block = pg_held_at(held, number);
        assert_true(block->len == model[id].len && block->leases == model[id].leases);
        uint64_t space = ((uint64_t) block->len + 128 + 4095) / 4096 * 4096;
        *(block->leases > 0 ? &leased : &stray) += space;
        bytes[model[id].owner] += space;
        count++;
    }
    assert_int_equal(held->count, count);
    assert_int_equal(held->lease_bytes, leased);
    assert_int_equal(held->stray_bytes, stray);
    for (unsigned i = 0; i < PEERS; i++) {
        pg_peer_id peer = peer_of(i);
        const pg_uploader *uploader = pg_map_get(&held->uploaders, pg_peer_id_bytes(&peer));
        assert_int_equal(uploader == NULL ? 0 : uploader->bytes, bytes[i]);
    }
}

static void model_settle(unsigned id)
{
    struct expected *one = &model[id];
    one->is_there = one->is_present || one->leases > 0 || one->pins > 0;
}

static void step_add(pg_held *held, unsigned id)
{
    pg_uploader *owner = NULL;
    uint32_t number = PG_HELD_NONE;
    unsigned who = random_below(PEERS + 1);
    pg_peer_id peer = peer_of(who);
    pg_held_name name = name_of(id);
    if (who < PEERS) {
        assert_int_equal(pg_uploader_get(held, &peer, &owner), PG_OK);
    }
    model[id] = (struct expected){.is_there = true, .len = random_below(2000000), .owner = who};
    assert_int_equal(pg_held_add(held, &name, model[id].len, owner, &number), PG_OK);
    pg_held_at(held, number)->pins = 1;
    model[id].pins = 1;
}

static void step_change(pg_held *held, unsigned id)
{
    pg_held_name name = name_of(id);
    uint32_t number = pg_held_find(held, &name);
    struct expected *one = &model[id];
    switch (random_below(6)) {
    case 0:
        one->len = random_below(2000000);
        pg_held_set_len(held, number, one->len);
        break;
    case 1:
        one->leases++;
        pg_held_lease(held, number);
        break;
    case 2:
        if (one->leases > 0) {
            one->leases--;
            assert_true(pg_held_unlease(held, number) == (one->leases == 0));
            pg_held_settle(held, number);
        }
        break;
    case 3:
        if (one->pins > 0) {
            one->pins--;
            pg_held_unpin(held, number);
        }
        break;
    case 4:
        one->is_present = !one->is_present;
        pg_held_at(held, number)->is_present = one->is_present;
        pg_held_settle(held, number);
        break;
    default:
        if (one->owner == PEERS) {
            pg_uploader *owner = NULL;
            pg_peer_id peer = peer_of(0);
            assert_int_equal(pg_uploader_get(held, &peer, &owner), PG_OK);
            pg_held_own(held, number, owner);
            one->owner = 0;
        }
        break;
    }
    model_settle(id);
}

static void test_place_held__random_steps__sums_are_right(void **state)
{
    (void) state;
    for (unsigned seed = 1; seed <= 5; seed++) {
        pg_held held;
        random_state = seed;
        memset(model, 0, sizeof(model));
        pg_held_init(&held);
        for (unsigned i = 0; i < 8000; i++) {
            unsigned id = random_below(NAMES);
            if (model[id].is_there) {
                step_change(&held, id);
            } else {
                step_add(&held, id);
            }
            if (i % 200 == 0) {
                check(&held);
            }
        }
        check(&held);
        pg_held_deinit(&held);
    }
}

static void test_place_held__name__is_that_of_all_cids_with_the_hash(void **state)
{
    (void) state;
    pg_cid raw = pg_cid_of_sha256(PG_BYTES_LIT("x"));
    pg_multihash hash = pg_cid_multihash(&raw);
    pg_cid v0;
    assert_int_equal(pg_cid_make_v0(&hash, &v0), PG_OK);
    pg_held_name a = pg_held_name_of(&raw);
    pg_held_name b = pg_held_name_of(&v0);
    assert_memory_equal(a.bytes, b.bytes, sizeof(a.bytes));
    pg_cid back = pg_held_name_cid(&b);
    assert_true(pg_cid_equal(&back, &raw));
}

static void test_place_held__last_lease_gone__is_doomed_until_leased_again(void **state)
{
    (void) state;
    pg_held held;
    uint32_t number = PG_HELD_NONE;
    pg_held_name name = name_of(1);
    pg_held_init(&held);
    assert_int_equal(pg_held_add(&held, &name, 10, NULL, &number), PG_OK);
    pg_held_at(&held, number)->is_present = true;
    pg_held_lease(&held, number);
    assert_true(pg_held_unlease(&held, number));
    assert_true(pg_held_at(&held, number)->is_doomed);
    pg_held_lease(&held, number);
    assert_false(pg_held_at(&held, number)->is_doomed);
    pg_held_at(&held, number)->wants = 1;
    assert_true(pg_held_unlease(&held, number));
    assert_false(pg_held_at(&held, number)->is_doomed);
    pg_held_deinit(&held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_held__random_steps__sums_are_right),
        cmocka_unit_test(test_place_held__name__is_that_of_all_cids_with_the_hash),
        cmocka_unit_test(test_place_held__last_lease_gone__is_doomed_until_leased_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
