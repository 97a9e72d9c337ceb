// SPDX-License-Identifier: Apache-2.0
#include "crypto/peer_id.h"

#include <string.h>

#include "codec/multihash.h"
#include "crypto/hash.h"

static pg_peer_id make(uint8_t code, pg_bytes digest)
{
    pg_peer_id id = {.len = (uint8_t) (2 + digest.len), .bytes = {code, (uint8_t) digest.len}};
    if (digest.len > 0) { // of an envelope without a key: a view of nothing points nowhere
        memcpy(id.bytes + 2, digest.ptr, digest.len);
    }
    return id;
}

void pg_peer_id_of_key(pg_bytes encoded_key, pg_peer_id *out_id)
{
    if (encoded_key.len <= PG_PEER_ID_KEY_BYTES_MAX) {
        *out_id = make(PG_MULTIHASH_CODE_IDENTITY, encoded_key);
        return;
    }
    uint8_t digest[PG_HASH_BYTES];
    pg_sha256(encoded_key, digest);
    *out_id = make(PG_MULTIHASH_CODE_SHA2_256, PG_BYTES_OF(digest));
}

pg_err pg_peer_id_decode(pg_bytes in, pg_peer_id *out_id)
{
    pg_reader reader = pg_reader_make(in);
    uint8_t code = pg_reader_u8(&reader);
    uint8_t len = pg_reader_u8(&reader); // both are varints of one byte when they are valid
    pg_bytes digest = pg_reader_take(&reader, len);
    PG_TRY(pg_error_wrap(pg_reader_finish(&reader), "peer id"));
    if (code != PG_MULTIHASH_CODE_IDENTITY && code != PG_MULTIHASH_CODE_SHA2_256) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a peer id of multihash code 0x%02x", code);
    }
    if (code == PG_MULTIHASH_CODE_SHA2_256 ? len != PG_HASH_BYTES
                                           : len == 0 || len > PG_PEER_ID_KEY_BYTES_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "a peer id of code 0x%02x with %u bytes", code, len);
    }
    *out_id = make(code, digest);
    return PG_OK;
}

bool pg_peer_id_cut(pg_multiaddr *addr, pg_peer_id *out_peer)
{
    pg_multihash named;
    return pg_multiaddr_cut_peer(addr, &named) &&
           pg_peer_id_decode(pg_multihash_bytes(&named), out_peer) == PG_OK;
}
