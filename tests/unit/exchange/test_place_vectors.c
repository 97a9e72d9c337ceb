// SPDX-License-Identifier: Apache-2.0
// Goal: what is signed, and the heads of messages, are those of tests/vectors/place, which never change. Method: make every vector again
// with fixed keys and compare the text.
// `test_exchange_place_vectors --regenerate` writes the file anew: only for a new version of the formats.
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "exchange/place_msg.h"
#include "lease_samples.h"

#define PATH VECTORS_DIR "/place/v1.txt"

static void put_hex(pg_buf *out, const char *title, pg_bytes bytes)
{
    char hex[2 * 1024 + 1];
    assert_true(bytes.len <= 1024);
    pg_hex_encode(bytes, hex);
    assert_int_equal(pg_buf_printf(out, "%s %s\n", title, hex), PG_OK);
}

static void put_title(pg_buf *out, const char *title)
{
    assert_int_equal(pg_buf_printf(out, "%srecord %s\n", out->len == 0 ? "" : "\n", title), PG_OK);
}

static void put_keys(pg_buf *out, const pg_identity *lease, const pg_identity *host)
{
    put_title(out, "keys: the seeds are 32 times 01 and 32 times 02");
    put_hex(out, "lease_key", PG_BYTES_OF(lease->public_key));
    put_hex(out, "host_key", PG_BYTES_OF(host->public_key));
    put_hex(out, "host", pg_peer_id_bytes(&host->peer_id));
}

static void put_grant(pg_buf *out, const char *title, const pg_identity *lease,
                      const pg_lease_grant *grant)
{
    pg_buf encoded = {0};
    put_title(out, title);
    put_hex(out, "descriptor", pg_cid_bytes(&grant->descriptor));
    put_hex(out, "root", pg_cid_bytes(&grant->root));
    assert_int_equal(pg_buf_printf(out, "expiry_s %llu\nsequence %llu\n",
                                   (unsigned long long) grant->expiry_s,
                                   (unsigned long long) grant->sequence),
                     PG_OK);
    assert_int_equal(pg_lease_grant_encode(lease, grant, &encoded), PG_OK);
    put_hex(out, "signed", pg_buf_bytes(&encoded));
    pg_buf_deinit(&encoded);
}

static void put_statements(pg_buf *out, const pg_identity *lease, const pg_identity *host)
{
    pg_lease_grant grant = sample_grant();
    pg_lease_release release = sample_release(host);
    pg_lease_receipt receipt = sample_receipt();
    pg_buf encoded = {0};
    put_grant(out, "grant of an extent with a root", lease, &grant);
    grant.root = (pg_cid){0};
    put_grant(out, "grant of an extent", lease, &grant);
    grant.expiry_s = 0;
    put_grant(out, "grant that drops an extent", lease, &grant);
    grant = sample_grant();
    grant.root = (pg_cid){0};
    grant.is_whole = true;
    put_grant(out, "grant of a block kept whole", lease, &grant);

    put_title(out, "release of slots 0 and 9 by the host, sequence 1765000001");
    assert_int_equal(pg_lease_release_encode(lease, &release, &encoded), PG_OK);
    put_hex(out, "signed", pg_buf_bytes(&encoded));
    pg_buf_clear(&encoded);

    put_title(out, "receipt of the host for slots 0 and 31, sequence 1765000000, expiry "
                   "1770000000, time 1765000100");
    assert_int_equal(pg_lease_receipt_encode(host, &receipt, &encoded), PG_OK);
    put_hex(out, "signed", pg_buf_bytes(&encoded));
    pg_buf_deinit(&encoded);
}

static void put_request(pg_buf *out, const char *title, const pg_place_request *request)
{
    pg_buf encoded = {0};
    put_title(out, title);
    assert_int_equal(pg_place_request_encode(request, &encoded), PG_OK);
    put_hex(out, "framed", pg_buf_bytes(&encoded));
    pg_buf_deinit(&encoded);
}

static void put_response(pg_buf *out, const char *title, const pg_place_response *response)
{
    pg_buf encoded = {0};
    put_title(out, title);
    assert_int_equal(pg_place_response_encode(response, &encoded), PG_OK);
    put_hex(out, "framed", pg_buf_bytes(&encoded));
    pg_buf_deinit(&encoded);
}

// Where a signed statement stands in a head, the vectors put a short stand-in.
static void put_heads(pg_buf *out, const pg_identity *lease)
{
    pg_cid cids[] = {pg_cid_of_blake3(PG_BYTES_LIT("a")), pg_cid_of_sha256(PG_BYTES_LIT("b"))};
    pg_bytes receipts[] = {PG_BYTES_LIT("receipt 1"), PG_BYTES_LIT("receipt 2")};
    pg_place_request open = {.id = 1, .kind = PG_PLACE_KIND_OPEN, .expected_bytes = 1048640};
    memcpy(open.lease_key, lease->public_key, sizeof(open.lease_key));
    put_request(out, "OPEN under the lease key, 1048640 bytes expected", &open);
    put_request(
        out, "PUSH of a block of 1 byte, \"a\", which follows the head",
        &(pg_place_request){
            .id = 2, .kind = PG_PLACE_KIND_PUSH, .cids = cids, .cid_count = 1, .body_bytes = 1});
    put_request(
        out, "ASK for two blocks",
        &(pg_place_request){.id = 300, .kind = PG_PLACE_KIND_ASK, .cids = cids, .cid_count = 2});
    put_request(out, "COMMIT of slots 0 and 4 with two receipts",
                &(pg_place_request){.id = 4,
                                    .kind = PG_PLACE_KIND_COMMIT,
                                    .grant = PG_BYTES_LIT("grant"),
                                    .slots = 0x11,
                                    .receipts = receipts,
                                    .receipt_count = 2});
    put_request(out, "RELEASE",
                &(pg_place_request){
                    .id = 5, .kind = PG_PLACE_KIND_RELEASE, .release = PG_BYTES_LIT("release")});
    put_request(
        out, "HAVE of one descriptor",
        &(pg_place_request){.id = 6, .kind = PG_PLACE_KIND_HAVE, .cids = cids, .cid_count = 1});

    put_response(out, "response: done", &(pg_place_response){.id = 1});
    put_response(out, "response: full",
                 &(pg_place_response){.id = 2, .status = PG_PLACE_STATUS_FULL});
    put_response(out, "response to ASK: the first is there, the second is not",
                 &(pg_place_response){.id = 300, .has = PG_BYTES_LIT("\x01")});
    put_response(out, "response to COMMIT: the receipt",
                 &(pg_place_response){.id = 4, .receipt = PG_BYTES_LIT("receipt")});
    put_response(out, "response to COMMIT: superseded by sequence 1765000001",
                 &(pg_place_response){
                     .id = 4, .status = PG_PLACE_STATUS_SUPERSEDED, .known_sequence = 1765000001});
    put_response(
        out, "response to COMMIT: two shards are missing",
        &(pg_place_response){
            .id = 4, .status = PG_PLACE_STATUS_MISSING, .missing = cids, .missing_count = 2});
    put_response(out, "response to HAVE: slots 0 and 4 and the descriptor",
                 &(pg_place_response){.id = 6,
                                      .slots = 0x11,
                                      .has_descriptor = true,
                                      .sequence = 1765000000,
                                      .expiry_s = 1770000000,
                                      .receipts = receipts,
                                      .receipt_count = 2});
}

// Behind all that were there before.
static void put_abandon(pg_buf *out, const pg_identity *lease, const pg_identity *host)
{
    const pg_cid cids[] = {pg_cid_of_blake3(PG_BYTES_LIT("a")),
                           pg_cid_of_sha256(PG_BYTES_LIT("b"))};
    pg_identity uploader = {0};
    pg_buf encoded = {0};
    sample_identity(&uploader, 3);
    const pg_lease_abandon abandon = sample_abandon(host, &uploader);
    put_title(out, "abandonment at the host, of what the uploader (seed 32 times 03) pushed of two "
                   "blocks");
    put_hex(out, "uploader", pg_peer_id_bytes(&uploader.peer_id));
    put_hex(out, "blocks", PG_BYTES_OF(abandon.blocks));
    assert_int_equal(pg_lease_abandon_encode(lease, &abandon, &encoded), PG_OK);
    put_hex(out, "signed", pg_buf_bytes(&encoded));
    pg_buf_deinit(&encoded);
    put_request(out, "ABANDON of two blocks",
                &(pg_place_request){.id = 7,
                                    .kind = PG_PLACE_KIND_ABANDON,
                                    .cids = cids,
                                    .cid_count = 2,
                                    .abandon = PG_BYTES_LIT("abandonment")});
    pg_identity_deinit(&uploader);
}

static void put_owner(pg_buf *out, const pg_identity *lease, const pg_identity *host)
{
    pg_identity uploader = {0};
    pg_buf encoded = {0};
    sample_identity(&uploader, 3);
    const pg_lease_owner owner = sample_owner(host, &uploader);
    put_title(out, "proof of the owner, for the uploader (seed 32 times 03) at the host");
    assert_int_equal(pg_lease_owner_encode(lease, &owner, &encoded), PG_OK);
    put_hex(out, "signed", pg_buf_bytes(&encoded));
    pg_buf_deinit(&encoded);
    put_request(out, "COMMIT of slot 0 by the owner",
                &(pg_place_request){.id = 8,
                                    .kind = PG_PLACE_KIND_COMMIT,
                                    .grant = PG_BYTES_LIT("grant"),
                                    .slots = 1,
                                    .owner = PG_BYTES_LIT("owner")});
    put_response(out, "response to COMMIT: others hold the slots",
                 &(pg_place_response){.id = 8, .status = PG_PLACE_STATUS_HELD});
    put_response(out, "response to HAVE: nothing, and the host is 42 % full",
                 &(pg_place_response){.id = 9, .fill = 43});
    put_response(out, "response to HAVE: slots 0 and 4, of which 4 is being handed over",
                 &(pg_place_response){.id = 10, .slots = 0x11, .leaving = 0x10, .fill = 100});
    pg_identity_deinit(&uploader);
}

// What came last.
static void put_without_receipts(pg_buf *out)
{
    const pg_cid cid = pg_cid_of_blake3(PG_BYTES_LIT("a"));
    put_request(out, "HAVE of one descriptor, without receipts",
                &(pg_place_request){.id = 11,
                                    .kind = PG_PLACE_KIND_HAVE,
                                    .cids = &cid,
                                    .cid_count = 1,
                                    .without_receipts = true});
}

static void make(pg_buf *out)
{
    pg_identity lease = {0};
    pg_identity host = {0};
    sample_identity(&lease, 1);
    sample_identity(&host, 2);
    put_keys(out, &lease, &host);
    put_statements(out, &lease, &host);
    put_heads(out, &lease);
    put_abandon(out, &lease, &host);
    put_owner(out, &lease, &host);
    put_without_receipts(out);
    pg_identity_deinit(&host);
    pg_identity_deinit(&lease);
}

static void test_place__made_again__equals_the_vectors(void **state)
{
    (void) state;
    static char kept[1 << 16];
    pg_buf made = {0};
    FILE *file = fopen(PATH, "rb");
    assert_non_null(file);
    size_t len = fread(kept, 1, sizeof(kept), file);
    assert_int_equal(fclose(file), 0);
    make(&made);
    assert_int_equal(made.len, len);
    assert_memory_equal(made.ptr, kept, len);
    pg_buf_deinit(&made);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--regenerate") == 0) {
        pg_buf made = {0};
        make(&made);
        FILE *file = fopen(PATH, "wb");
        bool good = file != NULL && fwrite(made.ptr, 1, made.len, file) == made.len;
        good = file != NULL && fclose(file) == 0 && good;
        pg_buf_deinit(&made);
        return good ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__made_again__equals_the_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
