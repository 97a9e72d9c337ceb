// SPDX-License-Identifier: Apache-2.0
// Goal: a lookup finds the nearest peers, gets around the dead and the liars, minds crowds, and ends.
// Method: a network of tables in memory that answers at once or never; time is a number.
#include "base/mem.h"
#include "dht/lookup.h"
#include "dht_test.h"

#define NODES_MAX 2000
#define LINK 60 // peers each node knows: near ones well, far ones some

/** How a node behaves. */
typedef enum manner {
    MANNER_HONEST,
    MANNER_DEAD,
    MANNER_LIAR, // tells of peers that do not exist, right at the target
} manner;

typedef struct net_node {
    pg_peer_id id;
    pg_dht_key key;
    manner manner;
    pg_dht_group group;
} net_node;

/** A network, and the peers of a lookup in it by distance. */
typedef struct net {
    net_node nodes[NODES_MAX];
    size_t count;
    pg_dht_key target;
    uint32_t fakes; // told so far
    uint32_t messages;
    uint32_t seed;
} net;

static uint32_t draw(net *self)
{
    self->seed = self->seed * 1664525U + 1013904223U;
    return self->seed >> 8;
}

static void net_make(net *self, size_t count, uint32_t seed)
{
    memset(self, 0, sizeof(*self));
    self->seed = seed;
    self->count = count;
    self->target = pg_dht_key_of(pg_bytes_make(&seed, sizeof(seed)));
    for (size_t i = 0; i < count; i++) {
        self->nodes[i].id = peer_number((uint32_t) i + seed * 100000U);
        self->nodes[i].key = pg_dht_key_of_peer(&self->nodes[i].id);
    }
}

static net_node *net_find(net *self, const pg_peer_id *id)
{
    for (size_t i = 0; i < self->count; i++) {
        if (pg_peer_id_equal(&self->nodes[i].id, id)) {
            return &self->nodes[i];
        }
    }
    return NULL;
}

static const pg_dht_key *sort_target;

static int sort_compare(const void *a, const void *b)
{
    const net_node *const *x = a;
    const net_node *const *y = b;
    return pg_dht_key_compare(sort_target, &(*x)->key, &(*y)->key);
}

// The nodes by distance from `target`, those that answer only when asked so.
static size_t net_sort(net *self, const pg_dht_key *target, bool honest_only, net_node **out)
{
    size_t count = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (!honest_only || self->nodes[i].manner == MANNER_HONEST) {
            out[count++] = &self->nodes[i];
        }
    }
    sort_target = target;
    qsort(out, count, sizeof(*out),
          sort_compare); // NOLINT(bugprone-sizeof-expression): of pointers
    return count;
}

// What an honest node answers: the 20 nearest of those it knows. It knows a peer that shares b more bits with it the better.
static size_t answer_honest(net *self, const net_node *node, pg_peer_id *out)
{
    static net_node *known[NODES_MAX];
    static net_node *nearest[NODES_MAX];
    size_t count = net_sort(self, &node->key, false, nearest);
    size_t known_count = 0;
    for (size_t i = 1; i < count; i++) {
        if (i <= LINK || draw(self) % count < LINK) {
            known[known_count++] = nearest[i];
        }
    }
    sort_target = &self->target;
    qsort(known, known_count, sizeof(*known), sort_compare); // NOLINT(bugprone-sizeof-expression)
    size_t told = known_count < PG_DHT_K ? known_count : PG_DHT_K;
    for (size_t i = 0; i < told; i++) {
        out[i] = known[i]->id;
    }
    return told;
}

static size_t answer_lie(net *self, pg_peer_id *out)
{
    uint32_t number = 0x40000000U + self->fakes * 1000U;
    for (size_t i = 0; i < PG_DHT_K; i++) {
        pg_peer_id fake;
        pg_dht_key key;
        do { // nearer than anybody there is
            fake = peer_number(number++);
            key = pg_dht_key_of_peer(&fake);
        } while (pg_dht_key_prefix(&key, &self->target) < 12);
        out[i] = fake;
        self->fakes++;
    }
    return PG_DHT_K;
}

/** Requests that get no answer, with the time they are given up. */
typedef struct silence {
    pg_dht_candidate_id candidate;
    pg_time until;
} silence;

// Run a lookup to its end; every answer takes 50 ms, no answer is noticed after 5 s. Returns the time it took.
static pg_time net_run(net *self, pg_dht_lookup *lookup)
{
    static silence silent[PG_DHT_CANDIDATES_MAX];
    size_t silent_count = 0;
    pg_time now = PG_SECONDS(1);
    pg_time start = now;
    while (!pg_dht_lookup_is_done(lookup)) {
        pg_dht_candidate_id round[PG_DHT_LOOKUP_INFLIGHT_MAX];
        size_t asked = 0;
        pg_dht_candidate_id next = 0;
        while (pg_dht_lookup_next(lookup, now, &next)) {
            const net_node *node = net_find(self, &pg_dht_lookup_get(lookup, next)->id);
            self->messages++;
            if (node == NULL || node->manner == MANNER_DEAD) {
                silent[silent_count++] = (silence){next, now + PG_SECONDS(5)};
            } else {
                round[asked++] = next;
            }
        }
        assert_true(lookup->in_flight <= PG_DHT_LOOKUP_INFLIGHT_MAX);
        if (asked == 0 && pg_dht_lookup_is_done(lookup)) {
            break; // some have become slow
        }
        pg_time due = pg_dht_lookup_due(lookup);
        now = asked > 0 ? now + PG_MS(50) : due;
        for (size_t i = 0; i < silent_count; i++) {
            now = asked == 0 && silent[i].until < now ? silent[i].until : now;
        }
        assert_true(now < PG_SECONDS(1000));
        for (size_t i = 0; i < asked; i++) {
            pg_peer_id told[PG_DHT_K];
            net_node *node = net_find(self, &pg_dht_lookup_get(lookup, round[i])->id);
            size_t count = node->manner == MANNER_LIAR ? answer_lie(self, told)
                                                       : answer_honest(self, node, told);
            pg_dht_lookup_answered(lookup, round[i], node->group, now);
            for (size_t k = 0; k < count; k++) {
                (void) pg_dht_lookup_hear(lookup, round[i], &told[k], false);
            }
        }
        for (size_t i = 0; i < silent_count; i++) {
            if (silent[i].until <= now) {
                pg_dht_lookup_failed(lookup, silent[i].candidate);
                silent[i] = silent[--silent_count];
                i--;
            }
        }
    }
    return now - start;
}

static void lookup_begin(net *self, pg_dht_lookup *lookup, uint64_t reach, bool is_trusting)
{
    const pg_dht_lookup_config config = {
        .target = self->target, .reach = reach, .ignores_lies = is_trusting};
    pg_dht_lookup_init(lookup, &config);
    for (size_t i = 0; i < PG_DHT_K; i++) { // honest ones from anywhere: our own table
        net_node *node = NULL;
        do {
            node = &self->nodes[draw(self) % self->count];
        } while (node->manner != MANNER_HONEST);
        (void) pg_dht_lookup_hear(lookup, PG_DHT_TELLER_SELF, &node->id, false);
    }
}

// How many of the `wanted` nearest honest nodes the lookup found.
static size_t found_count(net *self, const pg_dht_lookup *lookup, size_t wanted)
{
    static net_node *honest[NODES_MAX];
    pg_dht_candidate_id ids[PG_DHT_LOOKUP_WIDE_MAX];
    size_t honest_count = net_sort(self, &self->target, true, honest);
    size_t count = pg_dht_lookup_nearest(lookup, ids);
    size_t found = 0;
    for (size_t i = 0; i < wanted && i < honest_count; i++) {
        for (size_t k = 0; k < count; k++) {
            found +=
                pg_peer_id_equal(&honest[i]->id, &pg_dht_lookup_get(lookup, ids[k])->id) ? 1U : 0U;
        }
    }
    return found;
}

static net world;

static void test_lookup__honest_network__finds_the_nearest(void **state)
{
    (void) state;
    for (uint32_t seed = 1; seed <= 20; seed++) {
        pg_dht_lookup lookup;
        net_make(&world, 1000, seed);
        lookup_begin(&world, &lookup, 0, false);
        pg_time took = net_run(&world, &lookup);
        assert_int_equal(found_count(&world, &lookup, PG_DHT_K), PG_DHT_K);
        assert_true(took <= PG_MS(400));
        assert_true(world.messages < 100);
        pg_dht_lookup_deinit(&lookup);
    }
}

static void manners_set(net *self, manner which, unsigned percent)
{
    for (size_t i = 0; i < self->count; i++) {
        if (draw(self) % 100 < percent) {
            self->nodes[i].manner = which;
        }
    }
}

static void test_lookup__fifth_is_dead__others_are_found_soon(void **state)
{
    (void) state;
    size_t found = 0;
    for (uint32_t seed = 1; seed <= 20; seed++) {
        pg_dht_lookup lookup;
        net_make(&world, 1000, seed);
        manners_set(&world, MANNER_DEAD, 20);
        lookup_begin(&world, &lookup, 0, false);
        pg_time took = net_run(&world, &lookup);
        found += found_count(&world, &lookup, PG_DHT_K / 2);
        assert_true(took < PG_SECONDS(2)); // not even one dead peer was waited for
        pg_dht_lookup_deinit(&lookup);
    }
    assert_true(found >= 20 * PG_DHT_K / 2 * 99 / 100);
}

/** What lookups among liars came to. */
typedef struct liars_sum {
    size_t found;
    pg_time took;
    uint32_t messages;
} liars_sum;

static liars_sum liars_run(bool is_trusting)
{
    liars_sum sum = {0};
    for (uint32_t seed = 1; seed <= 20; seed++) {
        pg_dht_lookup lookup;
        net_make(&world, 1000, seed);
        manners_set(&world, MANNER_LIAR, 20);
        lookup_begin(&world, &lookup, 0, is_trusting);
        sum.took += net_run(&world, &lookup);
        sum.found += found_count(&world, &lookup, PG_DHT_K / 2);
        sum.messages += world.messages;
        pg_dht_lookup_deinit(&lookup);
    }
    return sum;
}

static void test_lookup__fifth_lies__they_are_believed_no_more(void **state)
{
    (void) state;
    liars_sum guarded = liars_run(false);
    liars_sum trusting = liars_run(true);
    assert_true(guarded.found >= 20 * PG_DHT_K / 2 * 98 / 100);
    assert_true(guarded.took < PG_SECONDS(2) * 20);
    assert_true(trusting.took > guarded.took);
    assert_true(trusting.messages > guarded.messages);
}

static void test_lookup__peer_times_out__tries_next_closest(void **state)
{
    (void) state;
    pg_dht_lookup lookup;
    const pg_dht_lookup_config config = {.target = pg_dht_key_of(PG_BYTES_LIT("t")), .alpha = 1};
    pg_dht_candidate_id first = 0;
    pg_dht_candidate_id second = 0;
    pg_dht_lookup_init(&lookup, &config);
    for (uint32_t i = 0; i < 5; i++) {
        pg_peer_id peer = peer_number(i);
        assert_true(pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &peer, false));
        assert_false(pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &peer, false));
    }
    assert_true(pg_dht_lookup_next(&lookup, 0, &first));
    assert_false(pg_dht_lookup_next(&lookup, 0, &second));
    assert_int_equal(pg_dht_lookup_due(&lookup), PG_MS(PG_DHT_SLOW_MAX_MS));
    assert_true(pg_dht_lookup_next(&lookup, PG_MS(PG_DHT_SLOW_MAX_MS), &second)); // beside it
    const pg_dht_key *near = &pg_dht_lookup_get(&lookup, first)->key;
    const pg_dht_key *next = &pg_dht_lookup_get(&lookup, second)->key;
    assert_true(pg_dht_key_compare(&config.target, near, next) < 0);
    pg_dht_lookup_failed(&lookup, first);
    pg_dht_lookup_answered(&lookup, second, 0, PG_SECONDS(2));
    assert_false(pg_dht_lookup_is_done(&lookup));
    pg_dht_lookup_deinit(&lookup);
}

static void test_lookup__slow_one_answers_late__counts_again(void **state)
{
    (void) state;
    pg_dht_lookup lookup;
    const pg_dht_lookup_config config = {.target = pg_dht_key_of(PG_BYTES_LIT("t")), .k = 2};
    pg_dht_candidate_id ids[PG_DHT_LOOKUP_WIDE_MAX];
    pg_dht_candidate_id asked[3];
    pg_dht_candidate_id none = 0;
    pg_dht_lookup_init(&lookup, &config);
    for (uint32_t i = 0; i < 3; i++) {
        pg_peer_id peer = peer_number(i);
        (void) pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &peer, false);
    }
    assert_true(pg_dht_lookup_next(&lookup, 0, &asked[0]));
    assert_true(pg_dht_lookup_next(&lookup, 0, &asked[1]));
    assert_false(pg_dht_lookup_next(&lookup, 0, &none)); // two are enough
    assert_true(pg_dht_lookup_next(&lookup, PG_SECONDS(2), &asked[2]));
    pg_dht_lookup_answered(&lookup, asked[2], 0, PG_SECONDS(2));
    assert_false(pg_dht_lookup_is_done(&lookup)); // two slow ones may still come
    pg_dht_lookup_answered(&lookup, asked[0], 0, PG_SECONDS(3));
    assert_true(pg_dht_lookup_is_done(&lookup));
    assert_int_equal(pg_dht_lookup_nearest(&lookup, ids), 2);
    assert_int_equal(ids[0], asked[0]);
    pg_dht_lookup_deinit(&lookup);
}

static void test_lookup__crowd_in_one_subnet__takes_few_places(void **state)
{
    (void) state;
    for (int is_trusting = 0; is_trusting < 2; is_trusting++) {
        pg_dht_lookup lookup;
        pg_dht_candidate_id ids[PG_DHT_LOOKUP_WIDE_MAX];
        uint32_t number = 1;
        net_make(&world, 500, 3);
        for (size_t i = 0; i < 60; i++) { // at the target, and they know each other
            net_node *sybil = &world.nodes[world.count++];
            sybil->id = peer_near(&world.target, 10 + (unsigned) i % 4, &number);
            sybil->key = pg_dht_key_of_peer(&sybil->id);
            sybil->group = is_trusting ? 0 : 77;
        }
        lookup_begin(&world, &lookup, 0, false);
        (void) net_run(&world, &lookup);
        size_t count = pg_dht_lookup_nearest(&lookup, ids);
        size_t sybils = 0;
        for (size_t i = 0; i < count; i++) {
            const pg_dht_candidate *each = pg_dht_lookup_get(&lookup, ids[i]);
            sybils += pg_dht_key_prefix(&each->key, &world.target) >= 10 ? 1U : 0U;
        }
        assert_int_equal(count, PG_DHT_K);
        assert_true(is_trusting ? sybils == PG_DHT_K : sybils == PG_DHT_LOOKUP_GROUP_MAX);
        pg_dht_lookup_deinit(&lookup);
    }
}

static void test_lookup__crowd_at_the_target__reach_goes_past_it(void **state)
{
    (void) state;
    pg_dht_lookup lookup;
    pg_dht_candidate_id ids[PG_DHT_LOOKUP_WIDE_MAX];
    uint32_t number = 1;
    net_make(&world, 500, 4);
    for (size_t i = 0; i < PG_DHT_K; i++) { // each in a subnet of its own
        net_node *sybil = &world.nodes[world.count++];
        sybil->id = peer_near(&world.target, 10 + (unsigned) i % 4, &number);
        sybil->key = pg_dht_key_of_peer(&sybil->id);
        sybil->group = 1000 + i;
    }
    uint64_t reach = UINT64_MAX / 500 * PG_DHT_K / 2;
    lookup_begin(&world, &lookup, reach, false);
    (void) net_run(&world, &lookup);
    size_t count = pg_dht_lookup_nearest(&lookup, ids);
    assert_true(count > PG_DHT_K && count <= PG_DHT_LOOKUP_WIDE_MAX);
    size_t honest = 0;
    for (size_t i = 0; i < count; i++) {
        honest += pg_dht_lookup_get(&lookup, ids[i])->group == 0 ? 1U : 0U;
    }
    assert_true(honest >= 5);
    pg_dht_lookup_deinit(&lookup);
}

static void test_lookup__no_crowd__reach_costs_nothing(void **state)
{
    (void) state;
    size_t wider = 0;
    for (uint32_t seed = 1; seed <= 50; seed++) {
        pg_dht_lookup lookup;
        pg_dht_candidate_id ids[PG_DHT_LOOKUP_WIDE_MAX];
        net_make(&world, 500, seed);
        lookup_begin(&world, &lookup, UINT64_MAX / 500 * PG_DHT_K / 2, false);
        (void) net_run(&world, &lookup);
        wider += pg_dht_lookup_nearest(&lookup, ids) > PG_DHT_K ? 1U : 0U;
        pg_dht_lookup_deinit(&lookup);
    }
    assert_true(wider <= 2);
}

static void test_lookup__many_told__bounded_and_nearest_kept(void **state)
{
    (void) state;
    pg_dht_lookup lookup;
    const pg_dht_lookup_config config = {.target = pg_dht_key_of(PG_BYTES_LIT("t"))};
    pg_dht_lookup_init(&lookup, &config);
    uint32_t number = 100000;
    for (uint32_t i = 0; i < 5000; i++) {
        pg_peer_id peer = peer_number(i);
        (void) pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &peer, false);
    }
    assert_int_equal(lookup.count, PG_DHT_CANDIDATES_MAX);
    pg_peer_id near = peer_near(&config.target, 12, &number);
    assert_true(pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &near, false));
    assert_int_equal(lookup.count, PG_DHT_CANDIDATES_MAX);
    pg_dht_candidate_id first = 0;
    assert_true(pg_dht_lookup_next(&lookup, 0, &first));
    for (size_t i = 1; i < lookup.count; i++) {
        assert_true(pg_dht_key_compare(&config.target, &lookup.candidates[lookup.order[i - 1]].key,
                                       &lookup.candidates[lookup.order[i]].key) < 0);
    }
    pg_dht_lookup_deinit(&lookup);
}

static void test_lookup__ourselves__is_no_candidate(void **state)
{
    (void) state;
    pg_dht_lookup lookup;
    pg_peer_id me = peer_number(1);
    const pg_dht_lookup_config config = {.target = pg_dht_key_of(PG_BYTES_LIT("t")),
                                         .self = pg_dht_key_of_peer(&me)};
    pg_dht_lookup_init(&lookup, &config);
    assert_false(pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &me, false));
    assert_true(pg_dht_lookup_is_done(&lookup));
    pg_dht_lookup_deinit(&lookup);
}

static void test_lookup__wanted_peer__may_be_tried_again(void **state)
{
    (void) state;
    pg_dht_lookup lookup;
    const pg_dht_lookup_config config = {.target = pg_dht_key_of(PG_BYTES_LIT("t"))};
    pg_dht_candidate_id asked = 0;
    pg_peer_id peer = peer_number(1);
    pg_dht_lookup_init(&lookup, &config);
    assert_true(pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &peer, false));
    assert_true(pg_dht_lookup_next(&lookup, 0, &asked));
    assert_false(pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &peer, true)); // it runs
    pg_dht_lookup_failed(&lookup, asked);
    assert_false(pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &peer, false));
    assert_true(pg_dht_lookup_is_done(&lookup));
    assert_true(pg_dht_lookup_hear(&lookup, PG_DHT_TELLER_SELF, &peer, true));
    assert_true(pg_dht_lookup_next(&lookup, 1, &asked));
    pg_dht_lookup_deinit(&lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup__honest_network__finds_the_nearest),
        cmocka_unit_test(test_lookup__fifth_is_dead__others_are_found_soon),
        cmocka_unit_test(test_lookup__fifth_lies__they_are_believed_no_more),
        cmocka_unit_test(test_lookup__peer_times_out__tries_next_closest),
        cmocka_unit_test(test_lookup__slow_one_answers_late__counts_again),
        cmocka_unit_test(test_lookup__crowd_in_one_subnet__takes_few_places),
        cmocka_unit_test(test_lookup__crowd_at_the_target__reach_goes_past_it),
        cmocka_unit_test(test_lookup__no_crowd__reach_costs_nothing),
        cmocka_unit_test(test_lookup__many_told__bounded_and_nearest_kept),
        cmocka_unit_test(test_lookup__ourselves__is_no_candidate),
        cmocka_unit_test(test_lookup__wanted_peer__may_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
