// SPDX-License-Identifier: Apache-2.0
#include "codec/cid.h"

#include <string.h>

#include "codec/varint.h"

#define CID_V0_BYTES 34 // 0x12 0x20 and the digest
#define CID_V0_CHARS 46

static bool has_v0_prefix(pg_bytes bytes)
{
    return pg_bytes_starts_with(bytes, PG_BYTES_LIT("\x12\x20"));
}

pg_cid pg_cid_make(uint32_t codec, const pg_multihash *hash)
{
    pg_assert(codec <= PG_CID_CODEC_MAX && hash->len != 0);
    pg_cid cid = {0};
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(cid.bytes));
    pg_writer_uvarint(&writer, 1);
    pg_writer_uvarint(&writer, codec);
    pg_writer_put(&writer, pg_multihash_bytes(hash));
    pg_assert(!writer.failed);
    cid.len = (uint8_t) writer.len;
    return cid;
}

pg_err pg_cid_make_v0(const pg_multihash *hash, pg_cid *out_cid)
{
    if (pg_multihash_code_of(hash) != PG_MULTIHASH_CODE_SHA2_256) {
        return pg_fail(PG_ERR_INVALID, "a version 0 CID wants sha2-256");
    }
    pg_cid cid = {.len = hash->len};
    memcpy(cid.bytes, hash->bytes, hash->len);
    *out_cid = cid;
    return PG_OK;
}

pg_err pg_cid_decode(pg_bytes in, pg_cid *out_cid)
{
    pg_multihash hash;
    if (has_v0_prefix(in)) {
        PG_TRY(pg_error_wrap(pg_multihash_decode(in, &hash), "CID"));
        return pg_cid_make_v0(&hash, out_cid);
    }
    uint64_t version = 0;
    uint64_t codec = 0;
    pg_reader reader = pg_reader_make(in);
    PG_TRY(pg_error_wrap(pg_reader_uvarint(&reader, PG_UVARINT_MAX, &version), "CID version"));
    if (version != 1) {
        return pg_fail(PG_ERR_UNSUPPORTED, "CID of version %llu", (unsigned long long) version);
    }
    PG_TRY(pg_error_wrap(pg_reader_uvarint(&reader, PG_UVARINT_MAX, &codec), "CID codec"));
    if (codec > PG_CID_CODEC_MAX) {
        return pg_fail(PG_ERR_UNSUPPORTED, "CID with codec 0x%llx", (unsigned long long) codec);
    }
    PG_TRY(pg_error_wrap(pg_multihash_read(&reader, &hash), "CID"));
    PG_TRY(pg_error_wrap(pg_reader_finish(&reader), "CID"));
    *out_cid = pg_cid_make((uint32_t) codec, &hash);
    return PG_OK;
}

pg_err pg_cid_parse(pg_str text, pg_cid *out_cid)
{
    uint8_t bytes[PG_CID_BYTES_MAX];
    size_t len = 0;
    if (text.len == CID_V0_CHARS && pg_str_starts_with(text, PG_STR("Qm"))) {
        PG_TRY(pg_error_wrap(pg_base_decode(PG_BASE_58BTC, text, PG_MUT_BYTES_OF(bytes), &len),
                             "CID"));
        return pg_cid_decode(pg_bytes_make(bytes, len), out_cid);
    }
    pg_base base = PG_BASE_32;
    pg_err err = pg_multibase_decode(text, PG_MUT_BYTES_OF(bytes), &base, &len);
    if (err ==
        PG_ERR_UNSUPPORTED) { // a word that begins with any letter: no CID, not one of a newer kind
        return pg_fail(PG_ERR_MALFORMED, "CID: %s", pg_error_detail(err));
    }
    PG_TRY(pg_error_wrap(err, "CID"));
    if (has_v0_prefix(pg_bytes_make(bytes, len))) {
        return pg_fail(PG_ERR_MALFORMED, "CID of version 0 behind a multibase prefix");
    }
    return pg_cid_decode(pg_bytes_make(bytes, len), out_cid);
}

void pg_cid_format(const pg_cid *cid, char out_text[PG_CID_TEXT_BYTES])
{
    pg_cid_format_base(cid, PG_BASE_32, out_text);
}

void pg_cid_format_base(const pg_cid *cid, pg_base base, char out_text[PG_CID_TEXT_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_text, PG_CID_TEXT_BYTES));
    if (pg_cid_version(cid) == 0) {
        pg_writer_base(&writer, PG_BASE_58BTC, pg_cid_bytes(cid));
    } else {
        pg_writer_multibase(&writer, base, pg_cid_bytes(cid));
    }
    pg_writer_u8(&writer, 0);
    pg_assert(!writer.failed);
}

unsigned pg_cid_version(const pg_cid *cid)
{
    return cid->len == CID_V0_BYTES && has_v0_prefix(pg_cid_bytes(cid)) ? 0 : 1;
}

// Where the multihash begins; *out_codec is what stands before it. Decoding was checked when the value was made.
static size_t cid_split(const pg_cid *cid, uint32_t *out_codec)
{
    pg_assert(cid->len != 0);
    if (pg_cid_version(cid) == 0) {
        *out_codec = PG_CID_CODEC_DAG_PB;
        return 0;
    }
    uint64_t codec = 0;
    size_t len = 0;
    pg_err err = pg_uvarint_decode(pg_bytes_slice(pg_cid_bytes(cid), 1, SIZE_MAX), &codec, &len);
    pg_assert(err == PG_OK);
    *out_codec = (uint32_t) codec;
    return 1 + len;
}

uint32_t pg_cid_codec(const pg_cid *cid)
{
    uint32_t codec = 0;
    (void) cid_split(cid, &codec);
    return codec;
}

pg_multihash pg_cid_multihash(const pg_cid *cid)
{
    uint32_t codec = 0;
    size_t at = cid_split(cid, &codec);
    pg_multihash hash = {.len = (uint8_t) (cid->len - at)};
    memcpy(hash.bytes, cid->bytes + at, hash.len);
    return hash;
}

bool pg_cid_equal(const pg_cid *a, const pg_cid *b)
{
    return pg_bytes_equal(pg_cid_bytes(a), pg_cid_bytes(b));
}

bool pg_peer_hash_is_valid(const pg_multihash *hash)
{
    pg_multihash_code code = pg_multihash_code_of(hash);
    return code == PG_MULTIHASH_CODE_IDENTITY || code == PG_MULTIHASH_CODE_SHA2_256;
}

static pg_err peer_from_base58(pg_str text, pg_multihash *out_hash)
{
    uint8_t bytes[PG_MULTIHASH_BYTES_MAX];
    size_t len = 0;
    PG_TRY(pg_base_decode(PG_BASE_58BTC, text, PG_MUT_BYTES_OF(bytes), &len));
    return pg_multihash_decode(pg_bytes_make(bytes, len), out_hash);
}

static pg_err peer_from_cid(pg_str text, pg_multihash *out_hash)
{
    pg_cid cid;
    PG_TRY(pg_cid_parse(text, &cid));
    if (pg_cid_codec(&cid) != PG_CID_CODEC_LIBP2P_KEY) {
        return pg_fail(PG_ERR_MALFORMED, "a CID, but not of a libp2p key");
    }
    *out_hash = pg_cid_multihash(&cid);
    return PG_OK;
}

pg_err pg_peer_text_parse(pg_str text, pg_multihash *out_peer)
{
    // No multibase letter is '1' or 'Q', and no base58 text of a PeerId begins with anything else.
    bool is_base58 = pg_str_starts_with(text, PG_STR("1")) || pg_str_starts_with(text, PG_STR("Q"));
    pg_multihash hash;
    PG_TRY(pg_error_wrap(is_base58 ? peer_from_base58(text, &hash) : peer_from_cid(text, &hash),
                         "PeerId"));
    if (!pg_peer_hash_is_valid(&hash)) {
        return pg_fail(PG_ERR_UNSUPPORTED, "PeerId with hash function 0x%x",
                       (unsigned) pg_multihash_code_of(&hash));
    }
    *out_peer = hash;
    return PG_OK;
}

void pg_peer_text_format(pg_bytes peer, char out_text[PG_PEER_TEXT_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_text, PG_PEER_TEXT_BYTES));
    pg_writer_base(&writer, PG_BASE_58BTC, peer);
    pg_writer_u8(&writer, 0);
    pg_assert(!writer.failed);
}
