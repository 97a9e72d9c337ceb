// SPDX-License-Identifier: Apache-2.0
// Goal: messages of audits read as they were written, in one encoding; a statement is its signer's, whole, and for its challenge; what does not
//       belong is refused with a word on why.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "crypto/envelope.h"
#include "files/audit_msg.h"
#include "files/evidence.h"
#include "files/extents.h"

static pg_identity holder;
static pg_identity auditor;

static int setup(void **state)
{
    const pg_key seeds[] = {{{1}}, {{2}}};
    (void) state;
    assert_int_equal(pg_identity_init(&holder, &seeds[0]), PG_OK);
    assert_int_equal(pg_identity_init(&auditor, &seeds[1]), PG_OK);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    pg_identity_deinit(&holder);
    pg_identity_deinit(&auditor);
    return 0;
}

static pg_audit_request request_make(void)
{
    pg_audit_request request = {.segment = 5, .shard = 9};
    request.descriptor = pg_block_cid(PG_BYTES_LIT("descriptor"));
    memset(request.nonce, 7, sizeof(request.nonce));
    return request;
}

static void statement_make(pg_audit_statement *statement)
{
    *statement = (pg_audit_statement){.auditor = auditor.peer_id, .time_s = 1700000000};
    statement->descriptor = pg_block_cid(PG_BYTES_LIT("descriptor"));
    memset(statement->nonce, 7, sizeof(statement->nonce));
    statement->answer = (pg_audit_answer){.segment = 5, .shard = 9};
    memset(statement->answer.sum, 3, sizeof(statement->answer.sum));
}

static void test_audit_msg__request__reads_as_written(void **state)
{
    pg_buf out = {0};
    pg_audit_request request = request_make();
    pg_audit_request again;
    (void) state;
    assert_int_equal(pg_audit_request_encode(&request, &out), PG_OK);
    assert_int_equal(pg_audit_request_decode(pg_buf_bytes(&out), &again), PG_OK);
    assert_true(pg_cid_equal(&again.descriptor, &request.descriptor));
    assert_int_equal(again.segment, 5);
    assert_int_equal(again.shard, 9);
    assert_memory_equal(again.nonce, request.nonce, sizeof(request.nonce));
    for (size_t len = 0; len < out.len; len++) {
        assert_int_not_equal(pg_audit_request_decode(pg_bytes_make(out.ptr, len), &again), PG_OK);
    }
    pg_buf_deinit(&out);
}

static void test_audit_msg__request_of_impossible_numbers__refused(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++) {
        pg_buf out = {0};
        pg_audit_request request = request_make();
        request.segment = i == 0 ? PG_EXTENT_SEGMENTS_MAX : request.segment;
        request.shard = i == 1 ? PG_CODE_SHARDS_MAX : request.shard;
        request.descriptor.len = i == 2 ? 3 : request.descriptor.len;
        assert_int_equal(pg_audit_request_encode(&request, &out), PG_OK);
        assert_int_equal(pg_audit_request_decode(pg_buf_bytes(&out), &request), PG_ERR_MALFORMED);
        pg_buf_deinit(&out);
    }
}

static void test_audit_msg__request_of_another_version__named(void **state)
{
    const uint8_t later[] = {0x08, 0x02};
    pg_audit_request request;
    (void) state;
    assert_int_equal(pg_audit_request_decode(PG_BYTES_OF(later), &request), PG_ERR_UNSUPPORTED);
    assert_non_null(strstr(pg_error_detail(PG_ERR_UNSUPPORTED), "version 2"));
}

static void test_audit_msg__reply__statement_with_success_only(void **state)
{
    const pg_audit_reply replies[] = {
        {PG_AUDIT_STATUS_OK, PG_BYTES_LIT("statement")},
        {PG_AUDIT_STATUS_NOT_HELD, PG_BYTES_EMPTY},
        {PG_AUDIT_STATUS_BUSY, PG_BYTES_EMPTY},
        {PG_AUDIT_STATUS_OK, PG_BYTES_EMPTY},
        {PG_AUDIT_STATUS_BUSY, PG_BYTES_LIT("statement")},
        {PG_AUDIT_STATUS_COUNT, PG_BYTES_EMPTY},
    };
    (void) state;
    for (size_t i = 0; i < PG_ARRAY_LEN(replies); i++) {
        pg_buf out = {0};
        pg_audit_reply again = {.status = PG_AUDIT_STATUS_COUNT};
        assert_int_equal(pg_audit_reply_encode(&replies[i], &out), PG_OK);
        pg_err err = pg_audit_reply_decode(pg_buf_bytes(&out), &again);
        assert_int_equal(err == PG_OK, i < 3);
        if (err == PG_OK) {
            assert_int_equal(again.status, replies[i].status);
            assert_true(pg_bytes_equal(again.statement, replies[i].statement));
        }
        pg_buf_deinit(&out);
    }
}

static void test_audit_msg__statement__is_its_signers(void **state)
{
    static pg_audit_statement statement;
    static pg_audit_statement again;
    pg_buf out = {0};
    (void) state;
    statement_make(&statement);
    assert_int_equal(pg_audit_statement_encode(&holder, &statement, &out), PG_OK);
    assert_true(out.len <= PG_AUDIT_MESSAGE_BYTES_MAX);
    assert_int_equal(pg_audit_statement_decode(pg_buf_bytes(&out), &again), PG_OK);
    assert_true(pg_peer_id_equal(&again.holder, &holder.peer_id));
    assert_true(pg_peer_id_equal(&again.auditor, &auditor.peer_id));
    assert_true(pg_cid_equal(&again.descriptor, &statement.descriptor));
    assert_memory_equal(&again.answer, &statement.answer, sizeof(again.answer));
    assert_int_equal(again.time_s, 1700000000);
    pg_buf_deinit(&out);
}

/** Read the value of a name in the vectors. */
static void vector_read(const char *name, pg_buf *out)
{
    static char line[16384];
    FILE *file = fopen(VECTORS_DIR "/audit/v1.txt", "r");
    size_t len = strlen(name);
    assert_non_null(file);
    while (out->len == 0 && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, len) == 0 && line[len] == ' ') {
            line[strcspn(line, "\n")] = '\0';
            pg_str hex = pg_str_make(line + len + 1);
            assert_int_equal(pg_buf_reserve(out, hex.len / 2), PG_OK);
            assert_int_equal(pg_hex_decode(hex, pg_mut_bytes_make(out->ptr, hex.len / 2)), PG_OK);
            out->len = hex.len / 2;
        }
    }
    assert_int_equal(fclose(file), 0);
    assert_true(out->len > 0);
}

static void test_audit_msg__vectors__written_byte_for_byte(void **state)
{
    static pg_audit_statement statement;
    const pg_audit_request request = request_make();
    const pg_audit_reply reply = {PG_AUDIT_STATUS_NOT_HELD, PG_BYTES_EMPTY};
    const pg_evidence evidence = {PG_BYTES_LIT("statement"), 4096};
    static const char *const names[] = {"request", "reply_not_held", "statement", "evidence",
                                        "evidence_reply_stale"};
    (void) state;
    statement_make(&statement);
    for (size_t i = 0; i < PG_ARRAY_LEN(names); i++) {
        pg_buf wanted = {0};
        pg_buf out = {0};
        vector_read(names[i], &wanted);
        pg_err err = i == 0   ? pg_audit_request_encode(&request, &out)
                     : i == 1 ? pg_audit_reply_encode(&reply, &out)
                     : i == 2 ? pg_audit_statement_encode(&holder, &statement, &out)
                     : i == 3 ? pg_evidence_encode(&evidence, &out)
                              : pg_evidence_reply_encode(PG_EVIDENCE_STATUS_STALE, &out);
        assert_int_equal(err, PG_OK);
        assert_true(pg_bytes_equal(pg_buf_bytes(&out), pg_buf_bytes(&wanted)));
        pg_buf_deinit(&out);
        pg_buf_deinit(&wanted);
    }
}

// ---- Evidence

static void test_evidence__reads_as_written(void **state)
{
    const pg_evidence evidence[] = {
        {PG_BYTES_LIT("statement"), 64},
        {PG_BYTES_LIT("s"), PG_SHARD_BYTES_MAX},
        {PG_BYTES_LIT("s"), PG_SHARD_BYTES_MAX + 1},
        {PG_BYTES_LIT("s"), 0},
        {PG_BYTES_EMPTY, 64},
    };
    (void) state;
    for (size_t i = 0; i < PG_ARRAY_LEN(evidence); i++) {
        pg_buf out = {0};
        pg_evidence again = {.shard_bytes = 0};
        assert_int_equal(pg_evidence_encode(&evidence[i], &out), PG_OK);
        pg_err err = pg_evidence_decode(pg_buf_bytes(&out), &again);
        assert_int_equal(err, i < 2 ? PG_OK : PG_ERR_MALFORMED);
        if (err == PG_OK) {
            assert_int_equal(again.shard_bytes, evidence[i].shard_bytes);
            assert_true(pg_bytes_equal(again.statement, evidence[i].statement));
        }
        pg_buf_deinit(&out);
    }
    for (unsigned status = 0; status <= PG_EVIDENCE_STATUS_COUNT; status++) {
        pg_buf out = {0};
        pg_evidence_status again = PG_EVIDENCE_STATUS_COUNT;
        assert_int_equal(pg_evidence_reply_encode((pg_evidence_status) status, &out), PG_OK);
        assert_int_equal(pg_evidence_reply_decode(pg_buf_bytes(&out), &again),
                         status < PG_EVIDENCE_STATUS_COUNT ? PG_OK : PG_ERR_UNSUPPORTED);
        assert_true(status == PG_EVIDENCE_STATUS_COUNT || (unsigned) again == status);
        pg_buf_deinit(&out);
    }
}

/** Answer for a block that is kept whole. */
static void whole_answer(pg_audit_statement *statement, pg_bytes block)
{
    statement_make(statement);
    statement->descriptor = pg_block_cid(block);
    statement->answer = (pg_audit_answer){.segment = 0};
    pg_audit_challenge challenge = {.auditor = pg_peer_id_bytes(&statement->auditor)};
    pg_multihash hash = pg_cid_multihash(&statement->descriptor);
    memcpy(challenge.extent_id, pg_multihash_digest(&hash).ptr, sizeof(challenge.extent_id));
    memcpy(challenge.nonce, statement->nonce, sizeof(challenge.nonce));
    pg_audit_compute(&challenge, block, statement->answer.sum);
}

static void test_evidence__of_a_whole_block__holds_when_the_answer_is_wrong(void **state)
{
    static pg_audit_statement statement;
    const pg_bytes block = PG_BYTES_LIT("a block that is kept whole");
    (void) state;
    whole_answer(&statement, block);
    assert_false(pg_evidence_holds(&statement, NULL, block)); // it is right
    statement.nonce[3] ^= 1;                                  // to another question
    assert_true(pg_evidence_holds(&statement, NULL, block));
    statement.nonce[3] ^= 1;
    statement.answer.sum[4000] ^= 1;
    assert_true(pg_evidence_holds(&statement, NULL, block));
    assert_false(pg_evidence_holds(&statement, NULL, PG_BYTES_LIT("another block")));
    statement.answer.shard = 1; // there is none
    assert_false(pg_evidence_holds(&statement, NULL, block));
}

static void test_audit_msg__statement_with_any_byte_changed__refused(void **state)
{
    static pg_audit_statement statement;
    pg_buf out = {0};
    (void) state;
    statement_make(&statement);
    assert_int_equal(pg_audit_statement_encode(&holder, &statement, &out), PG_OK);
    for (size_t i = 0; i < out.len; i += i < 160 || i + 160 > out.len ? 1 : 97) {
        out.ptr[i] ^= 4;
        assert_int_not_equal(pg_audit_statement_decode(pg_buf_bytes(&out), &statement), PG_OK);
        out.ptr[i] ^= 4;
    }
    pg_buf_deinit(&out);
}

static void test_audit_msg__statement_signed_for_another_purpose__refused(void **state)
{
    static pg_audit_statement statement;
    pg_buf out = {0};
    (void) state;
    assert_int_equal(pg_envelope_seal(&holder, PG_BYTES_LIT("pangea-lease-receipt"),
                                      PG_BYTES_LIT("/pangea/audit-statement"),
                                      PG_BYTES_LIT("\x08\x01"), &out),
                     PG_OK);
    assert_int_equal(pg_audit_statement_decode(pg_buf_bytes(&out), &statement), PG_ERR_AUTH);
    pg_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audit_msg__request__reads_as_written),
        cmocka_unit_test(test_audit_msg__request_of_impossible_numbers__refused),
        cmocka_unit_test(test_audit_msg__request_of_another_version__named),
        cmocka_unit_test(test_audit_msg__reply__statement_with_success_only),
        cmocka_unit_test(test_audit_msg__statement__is_its_signers),
        cmocka_unit_test(test_audit_msg__vectors__written_byte_for_byte),
        cmocka_unit_test(test_evidence__reads_as_written),
        cmocka_unit_test(test_evidence__of_a_whole_block__holds_when_the_answer_is_wrong),
        cmocka_unit_test(test_audit_msg__statement_with_any_byte_changed__refused),
        cmocka_unit_test(test_audit_msg__statement_signed_for_another_purpose__refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
