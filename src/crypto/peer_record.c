// SPDX-License-Identifier: Apache-2.0
#include "crypto/peer_record.h"

#include "codec/pb.h"
#include "crypto/libp2p.pb-c.h"

// RFC 0003 names other ones; these are what go-libp2p and js-libp2p send and take.
#define DOMAIN PG_BYTES_LIT("libp2p-peer-record")
#define PAYLOAD_TYPE PG_BYTES_LIT("\x03\x01")

pg_err pg_peer_record_encode(const pg_identity *identity, const pg_peer_record *record, pg_buf *out)
{
    if (record->addr_count > PG_PEER_RECORD_ADDRS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a peer record with %zu addresses, at most %d",
                       record->addr_count, PG_PEER_RECORD_ADDRS_MAX);
    }
    Pangea__Crypto__PeerRecord__Address addrs[PG_PEER_RECORD_ADDRS_MAX];
    Pangea__Crypto__PeerRecord__Address *list[PG_PEER_RECORD_ADDRS_MAX];
    for (size_t i = 0; i < record->addr_count; i++) {
        pangea__crypto__peer_record__address__init(&addrs[i]);
        addrs[i].has_multiaddr = true;
        addrs[i].multiaddr = pg_pb_view(record->addrs[i]);
        list[i] = &addrs[i];
    }
    Pangea__Crypto__PeerRecord message = PANGEA__CRYPTO__PEER_RECORD__INIT;
    message.has_peer_id = true;
    message.peer_id = pg_pb_view(pg_peer_id_bytes(&identity->peer_id));
    message.has_seq = true;
    message.seq = record->seq;
    message.n_addresses = record->addr_count;
    message.addresses = list;
    pg_buf payload PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_ENVELOPE_BYTES_MAX};
    PG_TRY(pg_error_wrap(pg_pb_append(&payload, &message.base), "peer record"));
    return pg_envelope_seal(identity, DOMAIN, PAYLOAD_TYPE, pg_buf_bytes(&payload), out);
}

static pg_err addrs_copy(const Pangea__Crypto__PeerRecord *message, pg_arena *arena,
                         pg_peer_record *record)
{
    if (message->n_addresses > PG_PEER_RECORD_ADDRS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a peer record with %zu addresses, at most %d",
                       message->n_addresses, PG_PEER_RECORD_ADDRS_MAX);
    }
    pg_bytes *addrs = pg_arena_alloc(arena, message->n_addresses * sizeof(*addrs));
    if (addrs == NULL) {
        return pg_fail(PG_ERR_LIMIT, "a peer record that takes too much memory");
    }
    for (size_t i = 0; i < message->n_addresses; i++) {
        addrs[i] = pg_pb_bytes(message->addresses[i]->multiaddr);
    }
    record->addrs = addrs;
    record->addr_count = message->n_addresses;
    return PG_OK;
}

pg_err pg_peer_record_decode(pg_bytes in, pg_arena *arena, pg_peer_record *out_record)
{
    pg_envelope envelope = {0};
    PG_TRY(pg_error_wrap(pg_envelope_decode(in, DOMAIN, PAYLOAD_TYPE, arena, &envelope),
                         "peer record"));
    ProtobufCMessage *unpacked = NULL;
    PG_TRY(
        pg_pb_unpack(&pangea__crypto__peer_record__descriptor, envelope.payload, arena, &unpacked));
    const Pangea__Crypto__PeerRecord *message = (const Pangea__Crypto__PeerRecord *) unpacked;
    pg_peer_record record = {.peer = envelope.signer, .seq = message->seq};
    if (!pg_bytes_equal(pg_pb_bytes(message->peer_id), pg_peer_id_bytes(&record.peer))) {
        return pg_fail(PG_ERR_AUTH, "a peer record signed by another peer");
    }
    PG_TRY(addrs_copy(message, arena, &record));
    *out_record = record;
    return PG_OK;
}
