// SPDX-License-Identifier: Apache-2.0
// Goal: a host follows its rules exactly: which grants count, how much is taken from whom.
// Method: one host and two owners; each test is a script of a few steps on their machines.
#include "base/mem.h"
#include "crypto/hash.h"
#include "place_set.h"

// ---- Grants

static pg_err on_renew(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    pg_lease_receipt receipt = {0};
    uint64_t known = 0;
    pg_buf grant = {0};
    uint64_t expiry_s = place_now_s() + 50 * DAY_S;
    place_grant(&w->extent, expiry_s, 101, &grant);
    CHECK_OK(send_grant(session, &grant, 0, &known));
    expect_slots(self, w, 0x5, 101);
    CHECK_OK(send_grant(session, &grant, 0, &known)); // the same once more
    place_grant(&w->extent, expiry_s - 5, 101, &grant);
    CHECK_ERR(send_grant(session, &grant, 0, &known), PG_ERR_CHANGED); // another of that number
    CHECK(known == 101);
    place_grant(&w->extent, expiry_s, 100, &grant);
    CHECK_ERR(send_grant(session, &grant, 0, &known), PG_ERR_CHANGED);
    CHECK(known == 101);
    // More slots under the same grant.
    CHECK_OK(place_push_all(session, &w->extent, 0x8));
    place_grant(&w->extent, expiry_s, 101, &grant);
    const pg_place_commit commit = {.grant = pg_buf_bytes(&grant), .slots = 0x8};
    CHECK_OK(pg_place_commit_send(session, &commit, pg_after(PG_SECONDS(9)), &receipt, NULL, NULL));
    CHECK(receipt.slots == 0xd && receipt.expiry_s == expiry_s && receipt.sequence == 101);
    CHECK(receipt.time_s <= place_now_s() && receipt.time_s + 60 > place_now_s());
    pg_buf_deinit(&grant);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err renew_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    CHECK_OK(place_node_do(&w->owner, on_renew, w));
    CHECK(stats(w).lease_bytes == place_extent_space(&w->extent, 0xd));
    CHECK(w->stats.leases == 1 && w->stats.commits_total == 4 && w->stats.session_bytes == 0);
    world_end(w);
    return PG_OK;
}

static void test_rules__later_grant__renews_and_an_older_one_is_refused(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, renew_script, &w);
}

static pg_err on_replay(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    uint64_t known = 0;
    pg_buf grant = {0};
    CHECK_OK(place_push_all(session, &w->extent, 0x5));
    place_grant(&w->extent, place_now_s() + 30 * DAY_S, 100, &grant);
    CHECK_ERR(send_grant(session, &grant, 0x5, &known), PG_ERR_CHANGED);
    CHECK(known == 101);
    CHECK_ERR(place_drop(session, &w->extent, 99), PG_ERR_CHANGED);
    pg_buf_deinit(&grant);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err on_place_again(place_node *self, void *arg)
{
    world *w = arg;
    CHECK_OK(place_upload(self, HOST, &w->extent, 0x1, 102));
    expect_slots(self, w, 0x1, 102);
    return PG_OK;
}

static pg_err drop_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    CHECK(stats(w).lease_bytes > 0);
    CHECK_OK(place_node_do(&w->owner, on_drop, w));
    await_empty(w);
    CHECK(w->stats.leases == 0);
    // Somebody else replays the grant he saw, at once, and after a restart.
    CHECK_OK(place_node_do(&w->other, on_replay, w));
    restart(w);
    sweep(w); // which forgets drops whose grants have expired
    CHECK_OK(place_node_do(&w->other, on_replay, w));
    CHECK(stats(w).leases == 0);
    // The owner may place it anew.
    CHECK_OK(place_node_do(&w->owner, on_place_again, w));
    world_end(w);
    return PG_OK;
}

static void test_rules__drop__deletes_and_is_remembered(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, drop_script, &w);
}

// Everything that a grant may not be.
static pg_err on_bad_grants(place_node *self, void *arg)
{
    world *w = arg;
    uint64_t known = 0;
    pg_buf grant = {0};
    pg_place_session *session = open_it(self, w);
    CHECK_OK(place_push_all(session, &w->extent, 0x3));
    uint64_t now_s = place_now_s();
    place_grant(&w->extent, now_s + 61 * DAY_S, 1, &grant);
    CHECK_ERR(send_grant(session, &grant, 0x3, &known), PG_ERR_AUTH); // too far
    place_grant(&w->extent, now_s - 1, 1, &grant);
    CHECK_ERR(send_grant(session, &grant, 0x3, &known), PG_ERR_AUTH); // past
    place_grant(&w->second, now_s + DAY_S, 1, &grant);
    CHECK_ERR(send_grant(session, &grant, 0x3, &known), PG_ERR_AUTH); // of another key
    place_grant(&w->extent, now_s + DAY_S, 1, &grant);
    CHECK_ERR(send_grant(session, &grant, 0x10, &known), PG_ERR_AUTH);   // no such slot
    CHECK_ERR(send_grant(session, &grant, 0, &known), PG_ERR_NOT_FOUND); // none at all
    // The right descriptor under a foreign lease key, its session too.
    pg_place_session *foreign = NULL;
    CHECK_OK(place_open(self, HOST, &w->second, &foreign));
    const pg_lease_grant stolen = {
        .descriptor = w->extent.cid, .expiry_s = now_s + DAY_S, .sequence = 1};
    pg_buf_clear(&grant);
    CHECK_OK(pg_lease_grant_encode(&w->second.lease, &stolen, &grant));
    CHECK_ERR(send_grant(foreign, &grant, 0x3, &known), PG_ERR_AUTH);
    // A descriptor that is none.
    const pg_lease_grant not_one = {.descriptor = pg_cid_of_blake3(PG_BYTES_LIT("x")),
                                    .expiry_s = now_s + DAY_S,
                                    .sequence = 1};
    CHECK_OK(pg_place_push(foreign, &not_one.descriptor, PG_BYTES_LIT("x"), PG_FOREVER));
    pg_buf_clear(&grant);
    CHECK_OK(pg_lease_grant_encode(&w->second.lease, &not_one, &grant));
    CHECK_ERR(send_grant(foreign, &grant, 0x1, &known), PG_ERR_AUTH);
    pg_place_session_free(&foreign);
    pg_place_session_free(&session);
    pg_buf_deinit(&grant);
    return PG_OK;
}

static pg_err on_missing(place_node *self, void *arg)
{
    world *w = arg;
    uint64_t known = 0;
    pg_buf grant = {0};
    pg_place_session *session = open_it(self, w);
    place_grant(&w->extent, place_now_s() + DAY_S, 1, &grant);
    CHECK_ERR(send_grant(session, &grant, 0x7, &known), PG_ERR_MISSING);
    CHECK(strstr(pg_error_detail(PG_ERR_MISSING), "lacks 3 shards: bafkr4i") != NULL);
    // Of a root that was not pushed.
    const pg_lease_grant with_root = {
        .descriptor = w->extent.cid,
        .root = pg_cid_of_blake3(PG_BYTES_LIT("root")),
        .expiry_s = place_now_s() + DAY_S,
        .sequence = 1,
    };
    pg_buf_clear(&grant);
    CHECK_OK(pg_lease_grant_encode(&w->extent.lease, &with_root, &grant));
    CHECK_ERR(send_grant(session, &grant, 0x3, &known), PG_ERR_NOT_FOUND);
    pg_place_session_free(&session);
    // Of a descriptor that was not.
    CHECK_OK(place_open(self, HOST, &w->second, &session));
    place_grant(&w->second, place_now_s() + DAY_S, 1, &grant);
    CHECK_ERR(send_grant(session, &grant, 0x1, &known), PG_ERR_NOT_FOUND);
    CHECK_ERR(place_drop(session, &w->second, 2), PG_ERR_NOT_FOUND);
    CHECK_ERR(place_release(session, &w->second, 1, 2), PG_ERR_NOT_FOUND);
    pg_place_session_free(&session);
    pg_buf_deinit(&grant);
    return PG_OK;
}

// A descriptor that says its shards are shorter than they are.
static pg_err on_wrong_length(place_node *self, void *arg)
{
    world *w = arg;
    uint64_t known = 0;
    pg_buf grant = {0};
    pg_place_session *session = open_it(self, w);
    place_extent lying = w->extent;
    lying.descriptor = (pg_buf){0};
    CHECK_OK(pg_buf_append(&lying.descriptor, pg_buf_bytes(&w->extent.descriptor)));
    lying.descriptor.ptr[46] ^= 1; // the last byte of the length
    lying.cid = pg_cid_of_blake3(pg_buf_bytes(&lying.descriptor));
    CHECK_OK(place_push_all(session, &lying, 0x1));
    place_grant(&lying, place_now_s() + DAY_S, 1, &grant);
    CHECK_ERR(send_grant(session, &grant, 0x1, &known), PG_ERR_MISSING);
    pg_buf_deinit(&lying.descriptor);
    pg_buf_deinit(&grant);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err bad_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_bad_grants, w));
    CHECK_OK(place_node_do(&w->owner, on_missing, w));
    CHECK_OK(place_node_do(&w->owner, on_wrong_length, w));
    CHECK(stats(w).leases == 0 && w->stats.lease_bytes == 0 && w->stats.session_bytes > 0);
    CHECK(w->stats.refused_total >= 6);
    world_end(w);
    return PG_OK;
}

static void test_rules__bad_grants__promise_nothing(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, bad_script, &w);
}

static pg_err on_release(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    CHECK_OK(place_release(session, &w->extent, 0x4, 101));
    CHECK_OK(place_release(session, &w->extent, 0x4, 101)); // again
    expect_slots(self, w, 0x1, 100);
    CHECK_ERR(place_release(session, &w->extent, 0x1, 101), PG_ERR_CHANGED);
    CHECK_ERR(place_commit(session, &w->extent, 0, 100, NULL), PG_ERR_CHANGED); // older than it
    CHECK_OK(place_commit(session, &w->extent, 0, 102, NULL));
    expect_slots(self, w, 0x1, 102);
    // Signed for another host.
    const pg_lease_release release = {
        .descriptor = w->extent.cid,
        .host = self->identity.peer_id,
        .slots = 1,
        .sequence = 103,
    };
    pg_buf encoded = {0};
    CHECK_OK(pg_lease_release_encode(&w->extent.lease, &release, &encoded));
    CHECK_ERR(pg_place_release_send(session, pg_buf_bytes(&encoded), PG_FOREVER), PG_ERR_AUTH);
    pg_buf_deinit(&encoded);
    CHECK_OK(place_release(session, &w->extent, 0xf, 104)); // the last slot: the lease ends
    expect_slots(self, w, 0, 0);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err release_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    CHECK_OK(place_node_do(&w->owner, on_release, w));
    await_empty(w);
    CHECK(w->stats.leases == 0);
    world_end(w);
    return PG_OK;
}

static void test_rules__release__gives_slots_back(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, release_script, &w);
}

// ---- Room

static pg_err on_push_beyond(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    CHECK_ERR(place_push_all(session, &w->extent, 0xf), PG_ERR_FULL);
    CHECK_ERR(place_push_all(session, &w->extent, 0xf), PG_ERR_FULL);
    pg_place_session_free(&session);
    pg_place_session *refused = NULL;
    CHECK_ERR(pg_place_open(self->host, &HOST->identity.peer_id, w->extent.lease.public_key, 12289,
                            PG_FOREVER, &refused),
              PG_ERR_FULL);
    return PG_OK;
}

static pg_err quota_script(void *arg)
{
    world *w = arg;
    world_make(w);
    // Room for seven shards of three pages, where the descriptor takes one page of its own.
    w->host.rules.quota_bytes = UINT64_C(7) * 12288;
    restart(w);
    CHECK_OK(place_node_do(&w->owner, on_push_beyond, w));
    uint64_t used = stats(w).session_bytes;
    CHECK(used > w->host.rules.quota_bytes - 12288 && used <= w->host.rules.quota_bytes);
    world_end(w);
    return PG_OK;
}

static void test_rules__pushes_at_once__never_exceed_the_quota(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 10, quota_script, &w);
}

static pg_err on_too_much(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    CHECK_ERR(place_push_all(session, &w->extent, 0xf), PG_ERR_LIMIT);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err on_other_upload(place_node *self, void *arg)
{
    world *w = arg;
    return place_upload(self, HOST, &w->second, 0x1, 1);
}

static pg_err cap_script(void *arg)
{
    world *w = arg;
    world_make(w);
    w->host.rules.uploader_bytes_max = UINT64_C(6) * 12288;
    restart(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w) == PG_ERR_LIMIT ? PG_OK : PG_ERR_BUG);
    CHECK_OK(place_node_do(&w->owner, on_too_much, w));
    CHECK(stats(w).session_bytes <= w->host.rules.uploader_bytes_max);
    // One uploader's limit is nothing to another.
    CHECK_OK(place_node_do(&w->other, on_other_upload, w));
    world_end(w);
    return PG_OK;
}

static void test_rules__cap_of_one_uploader__holds_and_others_are_served(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, cap_script, &w);
}

static pg_err on_nobody(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = NULL;
    CHECK_ERR(place_open(self, HOST, &w->second, &session), PG_ERR_REFUSED);
    // Whose blocks are here may drop them, and no more.
    session = open_it(self, w);
    CHECK_ERR(place_push_all(session, &w->extent, 0x2), PG_ERR_REFUSED);
    CHECK_ERR(place_commit(session, &w->extent, 0, 101, NULL), PG_ERR_REFUSED);
    expect_slots(self, w, 0x5, 100);
    CHECK_OK(place_drop(session, &w->extent, 101));
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err on_set_nobody(place_node *self, void *arg)
{
    (void) arg;
    const pg_place_rules rules = {.accept = PG_PLACE_ACCEPT_NOBODY, .quota_bytes = 1 << 30};
    pg_place_server_set_rules(self->server, &rules);
    return PG_OK;
}

static pg_err nobody_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    CHECK_OK(place_node_do(&w->host, on_set_nobody, w));
    CHECK_OK(place_node_do(&w->owner, on_nobody, w));
    await_empty(w);
    world_end(w);
    return PG_OK;
}

static void test_rules__nobody_accepted__what_is_there_may_be_dropped(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, nobody_script, &w);
}

// A node that became view-only: it names the protocol to nobody, refuses who asks all the same, and answers its owners.
static pg_err on_unlisted(place_node *self, void *arg)
{
    world *w = arg;
    PG_TRY(on_nobody(self, arg));
    const pg_book_peer *known =
        pg_peer_book_get(pg_host_book(self->host), &w->host.identity.peer_id);
    CHECK(known != NULL && known->protocol_count > 0);
    CHECK(!pg_book_peer_has_protocol(known, PG_PLACE_ID));
    return PG_OK;
}

static pg_err unlisted_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    w->host.rules.accept = PG_PLACE_ACCEPT_NOBODY;
    w->host.is_unlisted = true;
    restart(w);
    CHECK_OK(place_node_do(&w->owner, on_unlisted, w));
    await_empty(w);
    world_end(w);
    return PG_OK;
}

static void test_rules__unlisted_host__refuses_strangers_and_answers_owners(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, unlisted_script, &w);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules__later_grant__renews_and_an_older_one_is_refused),
        cmocka_unit_test(test_rules__drop__deletes_and_is_remembered),
        cmocka_unit_test(test_rules__bad_grants__promise_nothing),
        cmocka_unit_test(test_rules__release__gives_slots_back),
        cmocka_unit_test(test_rules__pushes_at_once__never_exceed_the_quota),
        cmocka_unit_test(test_rules__cap_of_one_uploader__holds_and_others_are_served),
        cmocka_unit_test(test_rules__nobody_accepted__what_is_there_may_be_dropped),
        cmocka_unit_test(test_rules__unlisted_host__refuses_strangers_and_answers_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
