// SPDX-License-Identifier: Apache-2.0
// Goal: an invitation that is read, as text or as what its checksum is added to here, is written as one that reads the same.
#include <string.h>

#include "codec/multibase.h"
#include "crypto/hash.h"
#include "fuzz.h"
#include "net/invite.h"

static void check_again(const pg_invite *invite)
{
    char text[PG_INVITE_TEXT_BYTES];
    pg_invite back;
    FUZZ_CHECK(invite->addr_count > 0 && invite->addr_count <= PG_INVITE_ADDRS_MAX);
    FUZZ_CHECK(pg_invite_format(invite, text) == PG_OK);
    FUZZ_CHECK(pg_invite_parse(pg_str_make(text), &back) == PG_OK);
    FUZZ_CHECK(back.addr_count == invite->addr_count && back.is_private == invite->is_private);
    FUZZ_CHECK(back.expires_s == invite->expires_s);
    FUZZ_CHECK(pg_peer_id_equal(&back.peer, &invite->peer));
    for (size_t i = 0; i < back.addr_count; i++) {
        FUZZ_CHECK(pg_multiaddr_equal(&back.addrs[i], &invite->addrs[i]));
    }
}

// A fuzzer does not guess checksums: take the input as content, and add it.
static void parse_content(pg_bytes content)
{
    uint8_t digest[PG_HASH_BYTES];
    uint8_t space[PG_INVITE_BYTES_MAX];
    char text[PG_INVITE_TEXT_BYTES];
    pg_invite invite;
    pg_blake3_stream stream;
    if (content.len > sizeof(space) - 4) {
        return;
    }
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea invite"));
    pg_blake3_stream_update(&stream, content);
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(digest));
    if (content.len > 0) {
        memcpy(space, content.ptr, content.len);
    }
    memcpy(space + content.len, digest, 4);
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(text));
    pg_writer_put(&writer, PG_BYTES_LIT("pangea-invite:"));
    pg_writer_multibase(&writer, PG_BASE_32, pg_bytes_make(space, content.len + 4));
    if (pg_invite_parse(pg_str_make_len(text, writer.len), &invite) == PG_OK) {
        check_again(&invite);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_invite invite;
    if (pg_invite_parse(pg_str_make_len((const char *) data, size), &invite) == PG_OK) {
        check_again(&invite);
    }
    parse_content(pg_bytes_make(data, size));
    return 0;
}
