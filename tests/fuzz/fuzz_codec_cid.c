// SPDX-License-Identifier: Apache-2.0
// Goal: a multihash, CID or PeerId that is read, in binary or text, writes and reads back as itself.
#include <string.h>

#include "codec/cid.h"
#include "fuzz.h"

static void check_cid(const pg_cid *cid)
{
    char text[PG_CID_TEXT_BYTES];
    pg_cid again;
    for (pg_base base = PG_BASE_16; base < PG_BASE_COUNT; base++) {
        pg_cid_format_base(cid, base, text);
        FUZZ_CHECK(pg_cid_parse(pg_str_make(text), &again) == PG_OK);
        FUZZ_CHECK(pg_cid_equal(cid, &again));
    }
    pg_cid_format(cid, text);
    FUZZ_CHECK(pg_cid_parse(pg_str_make(text), &again) == PG_OK && pg_cid_equal(cid, &again));
    pg_multihash hash = pg_cid_multihash(cid);
    if (pg_cid_version(cid) == 0) {
        FUZZ_CHECK(pg_cid_make_v0(&hash, &again) == PG_OK);
    } else {
        again = pg_cid_make(pg_cid_codec(cid), &hash);
    }
    FUZZ_CHECK(pg_cid_equal(cid, &again));
}

static void check_peer(const pg_multihash *peer)
{
    char text[PG_PEER_TEXT_BYTES];
    pg_multihash again;
    pg_peer_text_format(pg_multihash_bytes(peer), text);
    pg_err err = pg_peer_text_parse(pg_str_make(text), &again);
    FUZZ_CHECK((err == PG_OK) == pg_peer_hash_is_valid(peer));
    FUZZ_CHECK(err != PG_OK || pg_multihash_equal(peer, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    pg_str text = pg_str_make_len((const char *) data, size);
    pg_cid cid;
    pg_multihash hash;
    if (pg_cid_decode(in, &cid) == PG_OK) {
        FUZZ_CHECK(pg_bytes_equal(in, pg_cid_bytes(&cid)));
        check_cid(&cid);
    }
    if (pg_cid_parse(text, &cid) == PG_OK) {
        check_cid(&cid);
    }
    if (pg_multihash_decode(in, &hash) == PG_OK) {
        FUZZ_CHECK(pg_bytes_equal(in, pg_multihash_bytes(&hash)));
        check_peer(&hash);
    }
    if (pg_peer_text_parse(text, &hash) == PG_OK) {
        check_peer(&hash);
    }
    return 0;
}
