// SPDX-License-Identifier: Apache-2.0
// Goal: a feed record reads back as it was signed, holds under its own key only, the newer of two wins whoever judges; the bytes are those of
// tests/vectors/feed, which never change.
// Method: direct calls with fixed keys; every byte of a record flipped once. `test_dht_feed --regenerate` writes the vectors anew: only for
// a new version of the format.
#include "base/str.h"
#include "crypto/envelope.h"
#include "crypto/peer_record.h"
#include "dht/feed.h"
#include "dht_test.h"

#define PATH VECTORS_DIR "/feed/v1.txt"
#define NAME PG_BYTES_LIT("catalogue")

static void identity_make(uint8_t byte, pg_identity *out)
{
    pg_key seed;
    memset(seed.bytes, byte, sizeof(seed.bytes));
    assert_int_equal(pg_identity_init(out, &seed), PG_OK);
}

static pg_feed_record sample(uint64_t sequence, const char *value)
{
    return (pg_feed_record){.name = NAME,
                            .sequence = sequence,
                            .published_s = 1765000000,
                            .value = pg_bytes_cstr(value)};
}

static void encode(const pg_identity *owner, const pg_feed_record *record, pg_buf *out)
{
    assert_int_equal(pg_feed_encode(owner, record, out), PG_OK);
}

static pg_err check(const pg_peer_id *owner, pg_bytes name, pg_bytes value)
{
    pg_buf key = {0};
    const pg_dht_validator *found = NULL;
    pg_dht_validators validators = {.count = 0};
    assert_int_equal(pg_dht_validators_add(&validators, &pg_dht_validator_feed), PG_OK);
    assert_int_equal(pg_feed_key(owner, name, &key), PG_OK);
    pg_err err = pg_dht_validators_check(&validators, pg_buf_bytes(&key), value, &found);
    pg_buf_deinit(&key);
    return err;
}

static void test_feed__record__reads_back(void **state)
{
    (void) state;
    pg_identity owner = {0};
    pg_buf encoded = {0};
    pg_arena arena = pg_arena_make(PG_FEED_ARENA_BYTES);
    pg_feed_record read;
    identity_make(1, &owner);
    const pg_feed_record record = sample(7, "where it is");
    encode(&owner, &record, &encoded);
    assert_int_equal(pg_feed_decode(pg_buf_bytes(&encoded), &arena, &read), PG_OK);
    assert_true(pg_peer_id_equal(&read.owner, &owner.peer_id));
    assert_true(pg_bytes_equal(read.name, NAME));
    assert_true(pg_bytes_equal(read.value, record.value));
    assert_int_equal(read.sequence, 7);
    assert_int_equal(read.published_s, 1765000000);
    assert_int_equal(check(&owner.peer_id, NAME, pg_buf_bytes(&encoded)), PG_OK);
    pg_arena_deinit(&arena);
    pg_buf_deinit(&encoded);
    pg_identity_deinit(&owner);
}

static void test_feed__another_peer_name_or_domain__is_refused(void **state)
{
    (void) state;
    pg_identity owner = {0};
    pg_identity other = {0};
    pg_buf encoded = {0};
    identity_make(1, &owner);
    identity_make(2, &other);
    const pg_feed_record record = sample(7, "x");
    encode(&owner, &record, &encoded);
    assert_int_equal(check(&other.peer_id, NAME, pg_buf_bytes(&encoded)), PG_ERR_AUTH);
    assert_int_equal(check(&owner.peer_id, PG_BYTES_LIT("other"), pg_buf_bytes(&encoded)),
                     PG_ERR_AUTH);
    pg_buf_clear(&encoded);
    assert_int_equal(pg_peer_record_encode(&owner, &(pg_peer_record){.seq = 1}, &encoded), PG_OK);
    assert_int_not_equal(check(&owner.peer_id, NAME, pg_buf_bytes(&encoded)), PG_OK);
    pg_buf_clear(&encoded);
    assert_int_equal(pg_envelope_seal(&owner, PG_BYTES_LIT("pangea-device-cert"),
                                      PG_BYTES_LIT("/pangea/feed"), PG_BYTES_LIT("\x08\x01"),
                                      &encoded),
                     PG_OK);
    assert_int_equal(check(&owner.peer_id, NAME, pg_buf_bytes(&encoded)), PG_ERR_AUTH);
    pg_buf_deinit(&encoded);
    pg_identity_deinit(&owner);
    pg_identity_deinit(&other);
}

static void test_feed__any_bit_flipped__is_refused(void **state)
{
    (void) state;
    pg_identity owner = {0};
    pg_buf encoded = {0};
    identity_make(1, &owner);
    const pg_feed_record record = sample(7, "value");
    encode(&owner, &record, &encoded);
    for (size_t i = 0; i < encoded.len; i++) {
        encoded.ptr[i] ^= 1;
        assert_int_not_equal(check(&owner.peer_id, NAME, pg_buf_bytes(&encoded)), PG_OK);
        encoded.ptr[i] ^= 1;
    }
    for (size_t len = 0; len < encoded.len; len++) {
        assert_int_not_equal(check(&owner.peer_id, NAME, pg_bytes_make(encoded.ptr, len)), PG_OK);
    }
    pg_buf_deinit(&encoded);
    pg_identity_deinit(&owner);
}

static int judge(const pg_buf *a, const pg_buf *b)
{
    return pg_dht_validator_feed.compare(pg_buf_bytes(a), pg_buf_bytes(b), NULL);
}

static void test_feed__two_records__the_higher_sequence_is_newer(void **state)
{
    (void) state;
    pg_identity owner = {0};
    pg_buf ninth = {0};
    pg_buf tenth = {0};
    pg_buf twin = {0};
    identity_make(1, &owner);
    pg_feed_record record = sample(9, "z");
    encode(&owner, &record, &ninth);
    record = sample(10, "a");
    encode(&owner, &record, &tenth);
    record = sample(10, "b");
    encode(&owner, &record, &twin);
    assert_true(judge(&tenth, &ninth) > 0);
    assert_true(judge(&ninth, &tenth) < 0);
    assert_int_equal(judge(&tenth, &tenth), 0);
    assert_true(judge(&twin, &tenth) > 0); // two devices at once: all choose the same
    assert_true(judge(&tenth, &twin) < 0);
    pg_buf_deinit(&ninth);
    pg_buf_deinit(&tenth);
    pg_buf_deinit(&twin);
    pg_identity_deinit(&owner);
}

// What was checked is not verified again to be compared: a signature that is damaged since makes no difference.
static void test_feed__compared__by_sequence_without_verifying_again(void **state)
{
    (void) state;
    pg_identity owner = {0};
    pg_buf older = {0};
    pg_buf newer = {0};
    identity_make(1, &owner);
    const pg_feed_record first = sample(7, "x");
    const pg_feed_record second = sample(8, "a");
    encode(&owner, &first, &older);
    encode(&owner, &second, &newer);
    newer.ptr[newer.len - 1] ^= 1; // of the signature, which stands at the end
    assert_int_not_equal(check(&owner.peer_id, NAME, pg_buf_bytes(&newer)), PG_OK);
    assert_true(pg_dht_validator_feed.compare(pg_buf_bytes(&newer), pg_buf_bytes(&older), NULL) >
                0);
    assert_true(pg_dht_validator_feed.compare(pg_buf_bytes(&older), pg_buf_bytes(&newer), NULL) <
                0);
    assert_int_equal(
        pg_dht_validator_feed.compare(pg_buf_bytes(&older), pg_buf_bytes(&older), NULL), 0);
    pg_buf_deinit(&older);
    pg_buf_deinit(&newer);
    pg_identity_deinit(&owner);
}

static void test_feed__what_is_out_of_range__is_not_signed(void **state)
{
    (void) state;
    static uint8_t large[PG_FEED_VALUE_BYTES_MAX + 1];
    static const char *const names[] = {"", "a/b", "A", "a b", "\xc3\xa4"};
    pg_identity owner = {0};
    pg_buf out = {0};
    identity_make(1, &owner);
    pg_feed_record record = sample(0, "x");
    assert_int_equal(pg_feed_encode(&owner, &record, &out), PG_ERR_INVALID);
    record = sample(1, "x");
    for (size_t i = 0; i < PG_ARRAY_LEN(names); i++) {
        record.name = pg_bytes_cstr(names[i]);
        assert_int_equal(pg_feed_encode(&owner, &record, &out), PG_ERR_INVALID);
        assert_int_equal(pg_feed_key(&owner.peer_id, record.name, &out), PG_ERR_INVALID);
    }
    record.name = NAME;
    record.value = PG_BYTES_OF(large);
    assert_int_equal(pg_feed_encode(&owner, &record, &out), PG_ERR_LIMIT);
    record.value.len = PG_FEED_VALUE_BYTES_MAX; // the largest fits into a record
    encode(&owner, &record, &out);
    assert_int_equal(check(&owner.peer_id, NAME, pg_buf_bytes(&out)), PG_OK);
    pg_buf_deinit(&out);
    pg_identity_deinit(&owner);
}

// ---- vectors ----

static void put_hex(pg_buf *out, const char *title, pg_bytes bytes)
{
    char hex[2 * PG_FEED_BYTES_MAX + 1];
    pg_hex_encode(bytes, hex);
    assert_int_equal(pg_buf_printf(out, "%s %s\n", title, hex), PG_OK);
}

static pg_buf vectors_make(void)
{
    static const char *const values[] = {"", "pointer"};
    pg_buf out = {0};
    for (uint8_t i = 0; i < 2; i++) {
        pg_identity owner = {0};
        pg_buf key = {0};
        pg_buf encoded = {0};
        identity_make((uint8_t) (i + 1), &owner);
        const pg_feed_record record = sample(1 + i * UINT64_C(1000000), values[i]);
        encode(&owner, &record, &encoded);
        assert_int_equal(pg_feed_key(&owner.peer_id, NAME, &key), PG_OK);
        assert_int_equal(pg_buf_printf(&out,
                                       "seed_byte %u\nkey %.*s\nsequence %llu\n"
                                       "published_s 1765000000\n",
                                       i + 1U, (int) key.len, (const char *) key.ptr,
                                       (unsigned long long) record.sequence),
                         PG_OK);
        put_hex(&out, "value", record.value);
        put_hex(&out, "record", pg_buf_bytes(&encoded));
        assert_int_equal(pg_buf_append(&out, PG_BYTES_LIT("\n")), PG_OK);
        pg_buf_deinit(&key);
        pg_buf_deinit(&encoded);
        pg_identity_deinit(&owner);
    }
    return out;
}

static void test_feed__vectors__are_what_is_written(void **state)
{
    (void) state;
    static uint8_t file[8192];
    pg_buf made = vectors_make();
    FILE *stream = fopen(PATH, "rb");
    assert_non_null(stream);
    size_t len = fread(file, 1, sizeof(file), stream);
    (void) fclose(stream);
    assert_true(pg_bytes_equal(pg_bytes_make(file, len), pg_buf_bytes(&made)));
    pg_buf_deinit(&made);
}

static int regenerate(void)
{
    pg_buf made = vectors_make();
    FILE *stream = fopen(PATH, "wb");
    bool is_written = stream != NULL && fwrite(made.ptr, 1, made.len, stream) == made.len;
    is_written = stream != NULL && fclose(stream) == 0 && is_written;
    pg_buf_deinit(&made);
    return is_written ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--regenerate") == 0) {
        return regenerate();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_feed__record__reads_back),
        cmocka_unit_test(test_feed__another_peer_name_or_domain__is_refused),
        cmocka_unit_test(test_feed__any_bit_flipped__is_refused),
        cmocka_unit_test(test_feed__two_records__the_higher_sequence_is_newer),
        cmocka_unit_test(test_feed__compared__by_sequence_without_verifying_again),
        cmocka_unit_test(test_feed__what_is_out_of_range__is_not_signed),
        cmocka_unit_test(test_feed__vectors__are_what_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
