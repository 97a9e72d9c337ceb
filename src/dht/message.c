// SPDX-License-Identifier: Apache-2.0
#include "dht/message.h"

#include "base/mem.h"
#include "codec/pb.h"
#include "dht/limits.h"
#include "dht/message.pb-c.h"

// ---- reading ----

static pg_err addrs_take(const ProtobufCBinaryData *fields, size_t count, pg_arena *arena,
                         pg_dht_peer_info *info)
{
    if (count == 0) {
        return PG_OK;
    }
    pg_bytes *views = pg_arena_alloc(arena, count * sizeof(*views));
    if (views == NULL) {
        return pg_fail(PG_ERR_LIMIT, "DHT message with too many addresses");
    }
    for (size_t i = 0; i < count; i++) {
        views[i] = pg_pb_bytes(fields[i]);
    }
    info->addrs = views;
    info->addr_count = count;
    return PG_OK;
}

static pg_err peers_take(Pg__Dht__Peer *const *fields, size_t count, pg_arena *arena,
                         const pg_dht_peer_info **out_peers)
{
    *out_peers = NULL;
    if (count == 0) {
        return PG_OK;
    }
    pg_dht_peer_info *peers = pg_arena_alloc(arena, count * sizeof(*peers));
    if (peers == NULL) {
        return pg_fail(PG_ERR_LIMIT, "DHT message with too many peers");
    }
    for (size_t i = 0; i < count; i++) {
        peers[i].id = pg_pb_bytes(fields[i]->id);
        peers[i].link = fields[i]->connection;
        PG_TRY(addrs_take(fields[i]->addrs, fields[i]->n_addrs, arena, &peers[i]));
    }
    *out_peers = peers;
    return PG_OK;
}

pg_err pg_dht_msg_decode(pg_bytes in, pg_arena *arena, pg_dht_msg *out_msg)
{
    if (in.len > PG_DHT_REPLY_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "DHT message of %zu bytes", in.len);
    }
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_pb_unpack(&pg__dht__message__descriptor, in, arena, &message));
    const Pg__Dht__Message *fields = (const Pg__Dht__Message *) (const void *) message;
    if (fields->type >= PG_DHT_MSG_COUNT) {
        return pg_fail(PG_ERR_UNSUPPORTED, "DHT message of type %u", fields->type);
    }
    pg_dht_msg msg = {
        .type = (pg_dht_msg_type) fields->type,
        .key = pg_pb_bytes(fields->key),
        .has_record = fields->record != NULL,
        .closer_count = fields->n_closer_peers,
        .provider_count = fields->n_provider_peers,
    };
    if (fields->record != NULL) {
        msg.record_key = pg_pb_bytes(fields->record->key);
        msg.record_value = pg_pb_bytes(fields->record->value);
        msg.record_time = pg_pb_bytes(fields->record->time_received);
    }
    PG_TRY(peers_take(fields->closer_peers, fields->n_closer_peers, arena, &msg.closer));
    PG_TRY(peers_take(fields->provider_peers, fields->n_provider_peers, arena, &msg.providers));
    *out_msg = msg;
    return PG_OK;
}

// ---- writing ----

static ProtobufCBinaryData *addrs_give(const pg_dht_peer_info *info, pg_arena *arena)
{
    ProtobufCBinaryData *fields =
        pg_arena_alloc(arena, pg_max_size(info->addr_count, 1) * sizeof(*fields));
    for (size_t i = 0; fields != NULL && i < info->addr_count; i++) {
        fields[i] = pg_pb_view(info->addrs[i]);
    }
    return fields;
}

static Pg__Dht__Peer **peers_give(const pg_dht_peer_info *infos, size_t count, pg_arena *arena)
{
    Pg__Dht__Peer **list = pg_arena_alloc(arena, pg_max_size(count, 1) * sizeof(Pg__Dht__Peer *));
    Pg__Dht__Peer *peers = pg_arena_alloc(arena, pg_max_size(count, 1) * sizeof(*peers));
    if (list == NULL || peers == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        pg__dht__peer__init(&peers[i]);
        peers[i].has_id = true;
        peers[i].id = pg_pb_view(infos[i].id);
        peers[i].has_connection = infos[i].link != PG_DHT_LINK_NONE;
        peers[i].connection = infos[i].link;
        peers[i].n_addrs = infos[i].addr_count;
        peers[i].addrs = addrs_give(&infos[i], arena);
        if (peers[i].addrs == NULL) {
            return NULL;
        }
        list[i] = &peers[i];
    }
    return list;
}

static void record_give(const pg_dht_msg *msg, Pg__Dht__Record *record)
{
    record->has_key = msg->record_key.len > 0;
    record->key = pg_pb_view(msg->record_key);
    record->has_value = msg->record_value.len > 0;
    record->value = pg_pb_view(msg->record_value);
    record->has_time_received = msg->record_time.len > 0;
    record->time_received = pg_pb_view(msg->record_time);
}

pg_err pg_dht_msg_append(pg_buf *buf, const pg_dht_msg *msg)
{
    pg_err err = PG_ERR_NOMEM;
    pg_arena arena = pg_arena_make(PG_DHT_REPLY_MEMORY_BYTES_MAX);
    Pg__Dht__Message fields = PG__DHT__MESSAGE__INIT;
    Pg__Dht__Record record = PG__DHT__RECORD__INIT;
    fields.has_type = true;
    fields.type = (uint32_t) msg->type;
    fields.has_key = msg->key.len > 0;
    fields.key = pg_pb_view(msg->key);
    if (msg->has_record) {
        record_give(msg, &record);
        fields.record = &record;
    }
    fields.closer_peers = peers_give(msg->closer, msg->closer_count, &arena);
    fields.provider_peers = peers_give(msg->providers, msg->provider_count, &arena);
    if (fields.closer_peers == NULL || fields.provider_peers == NULL) {
        goto out;
    }
    fields.n_closer_peers = msg->closer_count;
    fields.n_provider_peers = msg->provider_count;
    size_t len = protobuf_c_message_get_packed_size(&fields.base);
    err = len > PG_DHT_REPLY_BYTES_MAX ? pg_fail(PG_ERR_LIMIT, "DHT message of %zu bytes", len)
                                       : pg_pb_append_framed(buf, &fields.base);
out:
    pg_arena_deinit(&arena);
    return err;
}

// Tag and length of a part take at most 4 bytes at these sizes.
size_t pg_dht_peer_info_bytes(const pg_dht_peer_info *info)
{
    size_t bytes = 4 + 4 + info->id.len + 2;
    for (size_t i = 0; i < info->addr_count; i++) {
        bytes += 4 + info->addrs[i].len;
    }
    return bytes;
}
