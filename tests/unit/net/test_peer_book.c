// SPDX-License-Identifier: Apache-2.0
// Goal: the book stays within its bounds, prefers what it should, and keeps what is pinned.
// Method: direct calls with chosen times.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/limits.h"
#include "net/peer_book.h"

static pg_peer_id peer_named(uint8_t name)
{
    return (pg_peer_id){.len = 3, .bytes = {0, 1, name}};
}

static pg_multiaddr addr_at(uint16_t port)
{
    const uint8_t ip[] = {192, 0, 2, 1};
    return pg_multiaddr_make(PG_BYTES_OF(ip), PG_MULTIADDR_TRANSPORT_TCP, port);
}

static pg_book_peer *add(pg_peer_book *book, uint8_t name)
{
    pg_peer_id id = peer_named(name);
    pg_book_peer *peer = NULL;
    assert_int_equal(pg_peer_book_add(book, &id, 0, &peer), PG_OK);
    return peer;
}

static void test_book__full__forgets_the_peer_not_seen_for_longest(void **state)
{
    (void) state;
    pg_peer_book book;
    pg_peer_book_init(&book, 3);
    (void) add(&book, 1);
    pg_book_peer_pin(add(&book, 2));
    (void) add(&book, 3);
    (void) add(&book, 1); // seen again
    (void) add(&book, 4);
    pg_peer_id ids[] = {peer_named(1), peer_named(2), peer_named(3), peer_named(4)};
    assert_non_null(pg_peer_book_get(&book, &ids[0]));
    assert_non_null(pg_peer_book_get(&book, &ids[1]));
    assert_null(pg_peer_book_get(&book, &ids[2]));
    assert_non_null(pg_peer_book_get(&book, &ids[3]));

    pg_map_cursor cursor = {0};
    size_t count = 0;
    while (pg_peer_book_next(&book, &cursor) != NULL) {
        count++;
    }
    assert_int_equal(count, 3);
    pg_peer_book_deinit(&book);
}

static void test_book__full__strangers_make_room_for_those_that_were_met(void **state)
{
    (void) state;
    pg_peer_book book;
    pg_multiaddr addr = addr_at(1);
    pg_peer_book_init(&book, 3);
    pg_book_peer *reached = add(&book, 1);
    assert_int_equal(pg_book_peer_add_addr(reached, &addr, PG_BOOK_SOURCE_SIGNED, 100, 0), PG_OK);
    pg_book_peer_dialed(reached, &addr, true, 0, 0);
    pg_book_peer *met = add(&book, 2);
    pg_book_peer_note_hybrid(met, true);
    for (uint8_t i = 3; i < 100; i++) { // heard of, one after the other
        pg_book_peer *heard = add(&book, i);
        assert_int_equal(pg_book_peer_add_addr(heard, &addr, PG_BOOK_SOURCE_HEARSAY, 100, 0),
                         PG_OK);
    }
    pg_peer_id ids[] = {peer_named(1), peer_named(2), peer_named(99)};
    assert_non_null(pg_peer_book_get(&book, &ids[0]));
    assert_non_null(pg_peer_book_get(&book, &ids[1]));
    for (uint8_t i = 100; i < 110; i++) { // called, one after the other
        pg_book_peer_note_hybrid(add(&book, i), false);
    }
    assert_non_null(pg_peer_book_get(&book, &ids[0]));
    assert_null(pg_peer_book_get(&book, &ids[1]));
    assert_null(pg_peer_book_get(&book, &ids[2]));
    pg_peer_book_deinit(&book);
}

static void test_book__full_of_pinned__refuses(void **state)
{
    (void) state;
    pg_peer_book book;
    pg_peer_book_init(&book, 1);
    pg_book_peer *peer = add(&book, 1);
    pg_book_peer_pin(peer);
    pg_peer_id other = peer_named(2);
    pg_book_peer *added = NULL;
    assert_int_equal(pg_peer_book_add(&book, &other, 0, &added), PG_ERR_LIMIT);
    pg_book_peer_unpin(peer);
    assert_int_equal(pg_peer_book_add(&book, &other, 0, &added), PG_OK);
    pg_peer_book_deinit(&book);
}

// What the book keeps in order must be what the peers are now, not what they were when they came.
static void test_book__full__counts_what_is_known_now(void **state)
{
    (void) state;
    pg_peer_book book;
    pg_multiaddr addr = addr_at(1);
    pg_peer_book_init(&book, 3);
    pg_book_peer *named = add(&book, 1);
    assert_int_equal(pg_book_peer_add_addr(named, &addr, PG_BOOK_SOURCE_GIVEN, 100, 0), PG_OK);
    assert_int_equal(pg_book_peer_set_agent(add(&book, 2), PG_BYTES_LIT("agent")), PG_OK);
    pg_book_peer *used = add(&book, 3);
    pg_book_peer_note_hybrid(used, true);
    pg_book_peer_pin(used);
    pg_book_peer_pin(used);
    pg_book_peer_drop_addrs(named, PG_BOOK_SOURCE_GIVEN);
    (void) add(&book, 4); // for 1, a stranger by now
    pg_peer_id ids[] = {peer_named(1), peer_named(2), peer_named(3), peer_named(4)};
    assert_null(pg_peer_book_get(&book, &ids[0]));
    assert_non_null(pg_peer_book_get(&book, &ids[1]));
    pg_book_peer_unpin(used);
    (void) add(&book, 2); // seen again, before the last pin of 3 goes
    pg_book_peer_note_hybrid(add(&book, 4), true);
    (void) add(&book, 5); // for 2, the longest not seen of those that were met and are not pinned
    assert_null(pg_peer_book_get(&book, &ids[1]));
    pg_book_peer_unpin(used);
    pg_book_peer_note_hybrid(add(&book, 5), true);
    (void) add(&book, 6); // for 4: 3 was in use until now
    assert_non_null(pg_peer_book_get(&book, &ids[2]));
    assert_null(pg_peer_book_get(&book, &ids[3]));
    pg_peer_book_deinit(&book);
}

static void test_book__addresses__the_trusted_and_working_come_first(void **state)
{
    (void) state;
    pg_peer_book book;
    pg_peer_book_init(&book, 4);
    pg_book_peer *peer = add(&book, 1);
    pg_multiaddr a = addr_at(1);
    pg_multiaddr b = addr_at(2);
    pg_multiaddr c = addr_at(3);
    pg_multiaddr d = addr_at(4);
    assert_int_equal(pg_book_peer_add_addr(peer, &a, PG_BOOK_SOURCE_HEARSAY, 100, 0), PG_OK);
    assert_int_equal(pg_book_peer_add_addr(peer, &b, PG_BOOK_SOURCE_SIGNED, 100, 0), PG_OK);
    assert_int_equal(pg_book_peer_add_addr(peer, &c, PG_BOOK_SOURCE_GIVEN, 100, 0), PG_OK);
    assert_int_equal(pg_book_peer_add_addr(peer, &d, PG_BOOK_SOURCE_GIVEN, 5, 0), PG_OK);
    pg_book_peer_dialed(peer, &c, false, 10, 0);

    pg_multiaddr addrs[PG_NET_BOOK_ADDRS_MAX];
    pg_time due = 0;
    assert_int_equal(pg_book_peer_dial_addrs(peer, 10, false, addrs, &due), 2); // d has expired
    assert_true(pg_multiaddr_equal(&addrs[0], &b));
    assert_true(pg_multiaddr_equal(&addrs[1], &a));
    assert_int_equal(due, 10);
    assert_int_equal(pg_book_peer_dial_addrs(peer, 10, true, addrs, &due), 3);
    assert_true(pg_multiaddr_equal(&addrs[2], &c));

    pg_book_peer_dialed(peer, &a, true, 10, 0);
    assert_int_equal(pg_book_peer_dial_addrs(peer, 101, true, addrs, &due), 1);
    assert_true(pg_multiaddr_equal(&addrs[0], &a));
    pg_book_peer_dialed(peer, &a, false, 101, 0);
    assert_int_equal(pg_book_peer_dial_addrs(peer, 102, false, addrs, &due), 0);
    assert_true(due > 102 && due < PG_FOREVER);
    pg_book_peer_dialed(peer, &d, false, 101, 0);
    pg_peer_book_deinit(&book);
}

static void test_book__too_many_addresses__the_least_trusted_goes(void **state)
{
    (void) state;
    pg_peer_book book;
    pg_peer_book_init(&book, 4);
    pg_book_peer *peer = add(&book, 1);
    for (uint16_t i = 0; i < PG_NET_BOOK_ADDRS_MAX; i++) {
        pg_multiaddr addr = addr_at(i);
        pg_book_source source = i == 3 ? PG_BOOK_SOURCE_HEARSAY : PG_BOOK_SOURCE_SIGNED;
        assert_int_equal(pg_book_peer_add_addr(peer, &addr, source, 100, 0), PG_OK);
    }
    pg_multiaddr good = addr_at(1000);
    pg_multiaddr rumour = addr_at(1001);
    assert_int_equal(pg_book_peer_add_addr(peer, &good, PG_BOOK_SOURCE_IDENTIFY, 100, 0), PG_OK);
    assert_int_equal(pg_book_peer_add_addr(peer, &rumour, PG_BOOK_SOURCE_HEARSAY, 100, 0), PG_OK);
    assert_int_equal(peer->addr_count, PG_NET_BOOK_ADDRS_MAX);
    assert_true(pg_multiaddr_equal(&peer->addrs[3].addr, &good));
    assert_int_equal(pg_book_peer_add_addr(peer, &rumour, PG_BOOK_SOURCE_HEARSAY, 300, 200), PG_OK);
    assert_true(pg_multiaddr_equal(&peer->addrs[0].addr, &rumour)); // all had expired
    pg_book_peer_drop_addrs(peer, PG_BOOK_SOURCE_SIGNED);
    assert_int_equal(peer->addr_count, 2);
    pg_peer_book_deinit(&book);
}

static void test_book__record__only_a_newer_one_counts(void **state)
{
    (void) state;
    pg_peer_book book;
    pg_peer_book_init(&book, 4);
    pg_book_peer *peer = add(&book, 1);
    pg_multiaddr a = addr_at(1);
    pg_multiaddr b = addr_at(2);
    assert_int_equal(pg_book_peer_add_addr(peer, &a, PG_BOOK_SOURCE_IDENTIFY, 100, 0), PG_OK);
    assert_int_equal(pg_book_peer_set_record(peer, PG_BYTES_LIT("one"), 5, &b, 1, 0), PG_OK);
    assert_int_equal(peer->addr_count, 1);
    assert_true(pg_multiaddr_equal(&peer->addrs[0].addr, &b));
    assert_int_equal(pg_book_peer_set_record(peer, PG_BYTES_LIT("two"), 5, &a, 1, 0),
                     PG_ERR_EXISTS);
    assert_int_equal(pg_book_peer_set_record(peer, PG_BYTES_LIT("two"), 6, &a, 1, 0), PG_OK);
    assert_true(pg_bytes_equal(pg_buf_bytes(&peer->record), PG_BYTES_LIT("two")));
    pg_peer_book_deinit(&book);
}

static void test_book__foreign_text__is_made_printable_and_cut(void **state)
{
    (void) state;
    pg_peer_book book;
    pg_peer_book_init(&book, 4);
    pg_book_peer *peer = add(&book, 1);
    uint8_t big[1000];
    memset(big, 'x', sizeof(big));
    big[1] = 0x1b;
    big[2] = 0;
    assert_int_equal(pg_book_peer_set_agent(peer, PG_BYTES_OF(big)), PG_OK);
    assert_int_equal(strlen(peer->agent), PG_NET_AGENT_BYTES_MAX);
    assert_memory_equal(peer->agent, "x??x", 4);

    pg_bytes protocols[PG_NET_BOOK_PROTOCOLS_MAX + 10];
    for (size_t i = 0; i < PG_ARRAY_LEN(protocols); i++) {
        protocols[i] = PG_BYTES_LIT("/a/1.0.0");
    }
    protocols[0] = PG_BYTES_OF(big);
    protocols[1] = PG_BYTES_EMPTY;
    protocols[2] = PG_BYTES_LIT("/b/1.0.0");
    assert_int_equal(pg_book_peer_set_protocols(peer, protocols, PG_ARRAY_LEN(protocols)), PG_OK);
    assert_int_equal(peer->protocol_count, PG_NET_BOOK_PROTOCOLS_MAX - 2);
    assert_true(pg_book_peer_has_protocol(peer, "/b/1.0.0"));
    assert_false(pg_book_peer_has_protocol(peer, "/c/1.0.0"));
    assert_int_equal(pg_book_peer_set_protocols(peer, NULL, 0), PG_OK);
    assert_int_equal(peer->protocol_count, 0);
    pg_peer_book_deinit(&book);
}

static void test_book__out_of_memory__leaves_it_usable(void **state)
{
    (void) state;
    for (uint64_t n = 1;; n++) {
        pg_peer_book book;
        pg_peer_book_init(&book, 4);
        pg_peer_id id = peer_named(1);
        pg_book_peer *peer = NULL;
        pg_multiaddr addr = addr_at(1);
        const pg_bytes protocols[] = {PG_BYTES_LIT("/a"), PG_BYTES_LIT("/b")};
        pg_mem_fail_nth(n);
        pg_err err = pg_peer_book_add(&book, &id, 0, &peer);
        if (err == PG_OK) {
            err = pg_book_peer_add_addr(peer, &addr, PG_BOOK_SOURCE_GIVEN, 100, 0);
        }
        if (err == PG_OK) {
            err = pg_book_peer_set_protocols(peer, protocols, 2);
        }
        if (err == PG_OK) {
            err = pg_book_peer_set_agent(peer, PG_BYTES_LIT("agent"));
        }
        if (err == PG_OK) {
            err = pg_book_peer_set_record(peer, PG_BYTES_LIT("record"), 1, &addr, 1, 0);
        }
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_int_equal(err, failed ? PG_ERR_NOMEM : PG_OK);
        pg_peer_book_deinit(&book);
        if (!failed) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_book__full__forgets_the_peer_not_seen_for_longest),
        cmocka_unit_test(test_book__full__strangers_make_room_for_those_that_were_met),
        cmocka_unit_test(test_book__full_of_pinned__refuses),
        cmocka_unit_test(test_book__full__counts_what_is_known_now),
        cmocka_unit_test(test_book__addresses__the_trusted_and_working_come_first),
        cmocka_unit_test(test_book__too_many_addresses__the_least_trusted_goes),
        cmocka_unit_test(test_book__record__only_a_newer_one_counts),
        cmocka_unit_test(test_book__foreign_text__is_made_printable_and_cut),
        cmocka_unit_test(test_book__out_of_memory__leaves_it_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
