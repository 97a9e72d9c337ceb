// SPDX-License-Identifier: Apache-2.0
#include "crypto/peer_id_text.h"

#include "codec/cid.h"
#include "codec/multibase.h"

void pg_peer_id_format(const pg_peer_id *id, char out_text[PG_PEER_ID_TEXT_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_text, PG_PEER_ID_TEXT_BYTES - 1));
    pg_writer_base(&writer, PG_BASE_58BTC, pg_peer_id_bytes(id));
    pg_assert(!writer.failed);
    out_text[writer.len] = '\0';
}

pg_err pg_peer_id_parse(pg_str text, pg_peer_id *out_id)
{
    // A multihash in base58 begins with 1 (identity) or Qm (sha2-256); everything else is a CID.
    if (!pg_str_starts_with(text, PG_STR("1")) && !pg_str_starts_with(text, PG_STR("Qm"))) {
        pg_cid cid;
        PG_TRY(pg_cid_parse(text, &cid));
        if (pg_cid_codec(&cid) != PG_CID_CODEC_LIBP2P_KEY) {
            return pg_fail(PG_ERR_UNSUPPORTED, "a CID, but not of a peer");
        }
        pg_multihash hash = pg_cid_multihash(&cid);
        return pg_peer_id_decode(pg_multihash_bytes(&hash), out_id);
    }
    uint8_t bytes[PG_PEER_ID_BYTES_MAX];
    size_t len = 0;
    PG_TRY(pg_base_decode(PG_BASE_58BTC, text, PG_MUT_BYTES_OF(bytes), &len));
    return pg_peer_id_decode(pg_bytes_make(bytes, len), out_id);
}
