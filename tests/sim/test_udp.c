// SPDX-License-Identifier: Apache-2.0
// Goal: simulated datagrams are lost, doubled and overtaken at the rates of their link, and never otherwise.
// Method: numbered datagrams from one machine to another, counted there.
#include "base/bytes.h"
#include "base/mem.h"
#include "runtime/socket.h"
#include "sim_test.h"

#define PORT 4001
#define COUNT 4000u

/** What one run sends and finds. */
struct numbers {
    pg_sim_machine *sender;
    pg_sim_machine *receiver;
    pg_endpoint to;
    pg_err failed; // what the sender saw last
    uint32_t seen[COUNT];
    size_t received;
    size_t distinct;
    size_t overtaken;
    size_t batches;
    uint32_t last;
};

static pg_err bind_here(uint16_t port, pg_udp **out_udp)
{
    return pg_udp_bind(&(pg_endpoint){.family = PG_IP_FAMILY_V4, .port = port}, out_udp);
}

static pg_err count_one(struct numbers *numbers, const pg_udp_msg *msg)
{
    pg_reader reader = pg_reader_make(msg->data);
    uint32_t number = pg_reader_u32be(&reader);
    PG_TRY(pg_reader_finish(&reader));
    SIM_CHECK(number < COUNT && msg->ecn == number % 4 && msg->segment_bytes == 0);
    SIM_CHECK(msg->peer.port != 0 && msg->peer.ip[0] == 10);
    numbers->received++;
    numbers->distinct += numbers->seen[number]++ == 0;
    numbers->overtaken += number < numbers->last;
    numbers->last = number > numbers->last ? number : numbers->last;
    return PG_OK;
}

static pg_err receive_all(struct numbers *numbers, pg_udp *udp)
{
    static pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    for (;;) {
        size_t count = 0;
        PG_TRY(pg_udp_recv(udp, PG_FOREVER, msgs, &count));
        SIM_CHECK(count > 0 && count <= PG_UDP_BATCH_MAX);
        numbers->batches++;
        for (size_t i = 0; i < count; i++) {
            PG_TRY(count_one(numbers, &msgs[i]));
        }
    }
}

static pg_err receiver_main(void *arg)
{
    pg_udp *udp = NULL;
    PG_TRY(bind_here(PORT, &udp));
    pg_err err = receive_all(arg, udp);
    pg_udp_free(&udp);
    return err;
}

static pg_err send_number(pg_udp *udp, const struct numbers *numbers, uint32_t number)
{
    uint8_t space[4];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_u32be(&writer, number);
    pg_udp_msg msg = {
        .peer = numbers->to, .data = PG_BYTES_OF(space), .ecn = (uint8_t) (number % 4)};
    return pg_udp_send(udp, &msg, PG_FOREVER);
}

static pg_err sender_main(void *arg)
{
    struct numbers *numbers = arg;
    pg_udp *udp = NULL;
    PG_TRY(bind_here(0, &udp));
    pg_err err = PG_OK;
    for (uint32_t i = 0; i < COUNT && err == PG_OK; i++) {
        err = send_number(udp, numbers, i);
        if (err == PG_OK) {
            err = pg_sleep_until(pg_after(PG_US(200)));
        }
    }
    numbers->failed = err;
    pg_udp_free(&udp);
    return PG_OK;
}

static pg_err numbers_begin(struct numbers *numbers)
{
    memset(numbers, 0, sizeof(*numbers));
    PG_TRY(pg_sim_machine_new(&numbers->sender));
    PG_TRY(pg_sim_machine_new(&numbers->receiver));
    numbers->to = pg_sim_machine_endpoint(numbers->receiver);
    numbers->to.port = PORT;
    return pg_sim_machine_start(numbers->receiver, "test.receive", receiver_main, numbers);
}

static pg_err numbers_send(struct numbers *numbers)
{
    PG_TRY(pg_sim_machine_start(numbers->sender, "test.send", sender_main, numbers));
    PG_TRY(pg_sim_machine_join(numbers->sender, PG_FOREVER));
    return pg_sleep_until(pg_after(PG_SECONDS(1)));
}

static pg_err clean_script(void *arg)
{
    struct numbers *numbers = arg;
    PG_TRY(numbers_begin(numbers));
    PG_TRY(numbers_send(numbers));
    SIM_CHECK(numbers->received == COUNT && numbers->distinct == COUNT && numbers->overtaken == 0);
    return PG_OK;
}

static void test_udp__clean_link__delivers_each_once_and_in_order(void **state)
{
    (void) state;
    static struct numbers numbers;
    sim_seeds(&(pg_sim_config){.link = {.latency_ns = PG_MS(10)}}, 2, clean_script, &numbers);
}

static pg_err faulty_script(void *arg)
{
    struct numbers *numbers = arg;
    PG_TRY(numbers_begin(numbers));
    PG_TRY(numbers_send(numbers));
    size_t doubled = numbers->received - numbers->distinct;
    SIM_CHECK(numbers->distinct > COUNT * 87 / 100 && numbers->distinct < COUNT * 93 / 100);
    SIM_CHECK(doubled > COUNT * 3 / 100 && doubled < COUNT * 6 / 100);
    SIM_CHECK(numbers->overtaken >
              COUNT / 4); // one in five jitters for longer than the next ten take
    return PG_OK;
}

static void test_udp__faulty_link__loses_doubles_and_reorders_at_its_rates(void **state)
{
    (void) state;
    static struct numbers numbers;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(10),
                                           .jitter_ns = PG_MS(2),
                                           .loss_ppm = 100000,
                                           .duplicate_ppm = 50000}};
    sim_seeds(&config, SIM_SEEDS_DEFAULT, faulty_script, &numbers);
}

static pg_err path_script(void *arg)
{
    struct numbers *numbers = arg;
    PG_TRY(numbers_begin(numbers));
    pg_sim_partition(numbers->sender, numbers->receiver, true);
    PG_TRY(numbers_send(numbers));
    SIM_CHECK(numbers->received == 0 && numbers->failed == PG_OK);
    pg_sim_partition(numbers->sender, numbers->receiver, false);

    // 5,000 datagrams a second of 32 bytes want 160,000 bytes a second.
    const pg_sim_link slow = {.latency_ns = PG_MS(1), .bytes_per_second = 32000};
    pg_sim_link_set(numbers->receiver, numbers->sender, &slow);
    PG_TRY(numbers_send(numbers));
    SIM_CHECK(numbers->received > COUNT / 5 && numbers->received < COUNT / 2);

    pg_sim_link_set(numbers->sender, numbers->receiver, NULL);
    numbers->received = 0;
    PG_TRY(numbers_send(numbers));
    SIM_CHECK(numbers->received == COUNT);
    return PG_OK;
}

static void test_udp__cut_or_slow_path__loses_what_does_not_fit(void **state)
{
    (void) state;
    static struct numbers numbers;
    sim_seeds(&(pg_sim_config){.link = {.latency_ns = PG_MS(10)}}, 2, path_script, &numbers);
}

static pg_err deaf_main(void *arg)
{
    (void) arg;
    pg_udp *udp = NULL;
    PG_TRY(bind_here(PORT, &udp));
    pg_err err = pg_sleep_until(PG_FOREVER);
    pg_udp_free(&udp);
    return err;
}

static pg_err deaf_script(void *arg)
{
    struct numbers *numbers = arg;
    PG_TRY(numbers_begin(numbers));
    PG_TRY(pg_sim_machine_stop(numbers->receiver));
    PG_TRY(numbers_send(numbers)); // nobody has the port
    PG_TRY(pg_sim_machine_start(numbers->receiver, "test.deaf", deaf_main, NULL));
    PG_TRY(numbers_send(numbers)); // nobody reads
    pg_sim_machine_crash(numbers->receiver);
    PG_TRY(numbers_send(numbers)); // nobody is there
    SIM_CHECK(numbers->failed == PG_OK && numbers->received == 0);
    numbers->to.ip[1] = 99;
    return numbers_send(numbers); // nobody has the address
}

static void test_udp__nobody_listens__is_lost_without_a_word(void **state)
{
    (void) state;
    static struct numbers numbers;
    sim_seeds(&(pg_sim_config){.link = {.latency_ns = PG_MS(10)}}, 2, deaf_script, &numbers);
}

// ---- One machine

static pg_err expect_lengths(pg_udp *udp, const size_t *lengths, size_t count)
{
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t got = 0;
    PG_TRY(pg_sleep_until(pg_after(PG_MS(1))));
    PG_TRY(pg_udp_recv(udp, PG_FOREVER, msgs, &got));
    SIM_CHECK(got == count);
    for (size_t i = 0; i < count; i++) {
        SIM_CHECK(msgs[i].data.len == lengths[i]);
    }
    return PG_OK;
}

static pg_err sizes_try(pg_udp *udp)
{
    static uint8_t space[PG_UDP_BUFFER_BYTES];
    pg_udp_msg msg = {.peer = pg_udp_endpoint(udp), .data = {space, 2500}, .segment_bytes = 1000};
    msg.peer.ip[0] = 127;
    PG_TRY(pg_udp_send(udp, &msg, PG_FOREVER));
    PG_TRY(expect_lengths(udp, (const size_t[]){1000, 1000, 500}, 3));
    msg.segment_bytes = 0;
    msg.data.len = 0;
    PG_TRY(pg_udp_send(udp, &msg, PG_FOREVER));
    PG_TRY(expect_lengths(udp, (const size_t[]){0}, 1));
    msg.data.len = 65508;
    SIM_CHECK(pg_udp_send(udp, &msg, PG_FOREVER) == PG_ERR_LIMIT);
    msg.data.len = 65507;
    PG_TRY(pg_udp_send(udp, &msg, PG_FOREVER));
    PG_TRY(expect_lengths(udp, (const size_t[]){65507}, 1));
    msg.peer = (pg_endpoint){.family = PG_IP_FAMILY_V4, .ip = {10, 0, 0, 2}, .port = 1};
    SIM_CHECK(pg_udp_send(udp, &msg, PG_FOREVER) == PG_ERR_LIMIT);
    msg.data.len = 1473;
    SIM_CHECK(pg_udp_send(udp, &msg, PG_FOREVER) == PG_ERR_LIMIT);
    msg.data.len = 1472;
    PG_TRY(pg_udp_send(udp, &msg, PG_FOREVER));
    msg.peer.family = PG_IP_FAMILY_V6;
    SIM_CHECK(pg_udp_send(udp, &msg, PG_FOREVER) == PG_ERR_UNREACHABLE);
    return PG_OK;
}

static pg_err sizes_main(void *arg)
{
    (void) arg;
    pg_udp *udp = NULL;
    pg_udp *second = NULL;
    PG_TRY(bind_here(0, &udp));
    pg_err busy = bind_here(pg_udp_endpoint(udp).port, &second);
    pg_err strange =
        pg_udp_bind(&(pg_endpoint){.family = PG_IP_FAMILY_V4, .ip = {10, 9, 9, 9}}, &second);
    pg_err err = sizes_try(udp);
    pg_udp_free(&udp);
    SIM_CHECK(busy == PG_ERR_BUSY && strange == PG_ERR_UNREACHABLE);
    return err;
}

static pg_err local_main(void *arg)
{
    (void) arg;
    pg_udp *udp = NULL;
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t count = 0;
    PG_TRY(bind_here(PORT, &udp));
    pg_endpoint meant = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}, .port = PORT};
    pg_udp_msg msg = {.peer = meant, .local = meant, .data = PG_BYTES_LIT("x")};
    pg_err err = pg_udp_send(udp, &msg, PG_FOREVER);
    if (err == PG_OK) {
        err = pg_udp_recv(udp, PG_FOREVER, msgs, &count);
    }
    bool told = err == PG_OK && count == 1 && pg_endpoint_equal(&msgs[0].local, &meant);
    msg.local.ip[0] = 10;
    pg_err refused = pg_udp_send(udp, &msg, PG_FOREVER);
    pg_udp_free(&udp);
    SIM_CHECK(told && refused == PG_ERR_INVALID);
    return err;
}

static pg_err free_soon(void *arg)
{
    pg_udp *udp = arg;
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1))));
    pg_udp_free(&udp);
    return PG_OK;
}

static pg_err closing_main(void *arg)
{
    (void) arg;
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    pg_udp *udp = NULL;
    pg_scope scope;
    size_t count = 0;
    pg_scope_init(&scope);
    PG_TRY(bind_here(0, &udp));
    SIM_CHECK(pg_udp_recv(udp, pg_after(PG_MS(5)), msgs, &count) == PG_ERR_TIMEOUT);
    PG_TRY(pg_scope_spawn(&scope, "test.free", free_soon, udp));
    pg_err err = pg_udp_recv(udp, PG_FOREVER, msgs, &count);
    pg_scope_close(&scope);
    SIM_CHECK(err == PG_ERR_CLOSED);
    return PG_OK;
}

static pg_err local_script(void *arg)
{
    pg_sim_machine *machine = NULL;
    pg_sim_machine *other = NULL;
    pg_fiber_fn fn = *(pg_fiber_fn *) arg;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(pg_sim_machine_new(&other));
    PG_TRY(pg_sim_machine_start(machine, "test.local", fn, NULL));
    return pg_sim_machine_join(machine, PG_FOREVER);
}

static void test_udp__sizes__are_split_and_limited_as_the_path_wants(void **state)
{
    (void) state;
    pg_fiber_fn fn = sizes_main;
    sim_seeds(&(pg_sim_config){.link = {.latency_ns = PG_MS(10)}}, 2, local_script, &fn);
}

static void test_udp__address_meant__is_told_and_held_to(void **state)
{
    (void) state;
    pg_fiber_fn fn = local_main;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, local_script, &fn);
}

static void test_udp__freed_while_receiving__ends_with_closed(void **state)
{
    (void) state;
    pg_fiber_fn fn = closing_main;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, local_script, &fn);
}

// ---- Groups

#define MEMBERS 4

/** Machines that have joined a group and one that has not, and what each has heard. */
struct group {
    pg_sim_machine *machines[MEMBERS + 1];
    uint32_t heard[MEMBERS + 1];
    bool stop;
};

struct group_end {
    struct group *group;
    size_t index;
};

static const pg_endpoint group_at = {
    .family = PG_IP_FAMILY_V4, .ip = {224, 0, 0, 251}, .port = 5353};

static pg_err member_main(void *arg)
{
    const struct group_end *self = arg;
    pg_udp *udps[2] = {NULL, NULL};
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    SIM_CHECK(pg_udp_join(&group_at, 1, &udps[0]) == PG_ERR_UNREACHABLE); // loopback
    for (size_t i = 0; i < 2; i++) { // two programs on a machine may be members
        PG_TRY(pg_udp_join(&group_at, 2, &udps[i]));
    }
    pg_err err = PG_OK;
    for (size_t i = 0; !self->group->stop && err != PG_ERR_CANCELLED; i = 1 - i) {
        size_t count = 0;
        err = pg_udp_recv(udps[i], pg_after(PG_MS(10)), msgs, &count);
        self->group->heard[self->index] += err == PG_OK ? (uint32_t) count : 0;
    }
    pg_udp_free(&udps[0]);
    pg_udp_free(&udps[1]);
    return PG_OK;
}

static pg_err outsider_main(void *arg)
{
    const struct group_end *self = arg;
    pg_udp *udp = NULL;
    pg_udp *member = NULL;
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t count = 0;
    PG_TRY(bind_here(group_at.port, &udp));
    SIM_CHECK(pg_udp_join(&group_at, 2, &member) == PG_ERR_BUSY); // shared among members only
    const pg_udp_msg msg = {.peer = group_at, .data = PG_BYTES_LIT("to all")};
    PG_TRY(pg_udp_send(udp, &msg, PG_FOREVER));
    pg_err err = pg_udp_recv(udp, pg_after(PG_SECONDS(1)), msgs, &count);
    self->group->heard[self->index] += err == PG_OK ? 1U : 0U;
    pg_udp_free(&udp);
    return PG_OK;
}

static pg_err group_script(void *arg)
{
    struct group *group = arg;
    static struct group_end ends[MEMBERS + 1];
    memset(group, 0, sizeof(*group));
    for (size_t i = 0; i <= MEMBERS; i++) {
        ends[i] = (struct group_end){group, i};
        PG_TRY(pg_sim_machine_new(&group->machines[i]));
        if (i < MEMBERS) {
            PG_TRY(pg_sim_machine_start(group->machines[i], "test.member", member_main, &ends[i]));
        }
    }
    PG_TRY(pg_sleep_until(pg_after(PG_MS(10))));
    pg_sim_machine *outsider = group->machines[MEMBERS];
    pg_sim_partition(outsider, group->machines[0], true);
    PG_TRY(pg_sim_machine_start(outsider, "test.outsider", outsider_main, &ends[MEMBERS]));
    PG_TRY(pg_sim_machine_join(outsider, PG_FOREVER));
    pg_sim_partition(outsider, group->machines[0], false);
    SIM_CHECK(group->heard[0] == 0 && group->heard[MEMBERS] == 0);
    for (size_t i = 1; i < MEMBERS; i++) {
        SIM_CHECK(group->heard[i] == 2); // both sockets
    }
    PG_TRY(pg_sim_machine_start(outsider, "test.outsider", outsider_main, &ends[MEMBERS]));
    PG_TRY(pg_sim_machine_join(outsider, PG_FOREVER));
    SIM_CHECK(group->heard[0] == 2 && group->heard[1] == 4);
    group->stop = true;
    return pg_sleep_until(pg_after(PG_SECONDS(1)));
}

static void test_udp__group__reaches_all_members_that_are_not_cut_off(void **state)
{
    (void) state;
    static struct group group;
    sim_seeds(&(pg_sim_config){.link = {.latency_ns = PG_MS(3)}}, 2, group_script, &group);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp__clean_link__delivers_each_once_and_in_order),
        cmocka_unit_test(test_udp__faulty_link__loses_doubles_and_reorders_at_its_rates),
        cmocka_unit_test(test_udp__cut_or_slow_path__loses_what_does_not_fit),
        cmocka_unit_test(test_udp__nobody_listens__is_lost_without_a_word),
        cmocka_unit_test(test_udp__sizes__are_split_and_limited_as_the_path_wants),
        cmocka_unit_test(test_udp__address_meant__is_told_and_held_to),
        cmocka_unit_test(test_udp__freed_while_receiving__ends_with_closed),
        cmocka_unit_test(test_udp__group__reaches_all_members_that_are_not_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
