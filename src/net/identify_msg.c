// SPDX-License-Identifier: Apache-2.0
#include "net/identify_msg.h"

#include "base/mem.h"
#include "codec/pb.h"
#include "net/identify.pb-c.h"
#include "net/limits.h"

static pg_err views_make(const ProtobufCBinaryData *fields, size_t count, pg_arena *arena,
                         const pg_bytes **out_views)
{
    *out_views = NULL;
    if (count == 0) {
        return PG_OK;
    }
    pg_bytes *views = pg_arena_alloc(arena, count * sizeof(*views));
    if (views == NULL) {
        return pg_fail(PG_ERR_LIMIT, "identify message with %zu entries", count);
    }
    for (size_t i = 0; i < count; i++) {
        views[i] = pg_pb_bytes(fields[i]);
    }
    *out_views = views;
    return PG_OK;
}

pg_err pg_identify_msg_decode(pg_bytes in, pg_arena *arena, pg_identify_msg *out_msg)
{
    if (in.len > (size_t) PG_NET_IDENTIFY_MESSAGES_MAX * PG_NET_IDENTIFY_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "identify message of %zu bytes", in.len);
    }
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_pb_unpack(&pg__net__identify__descriptor, in, arena, &message));
    const Pg__Net__Identify *fields = (const Pg__Net__Identify *) (const void *) message;
    pg_identify_msg msg = {
        .public_key = pg_pb_bytes(fields->public_key),
        .listen_addr_count = fields->n_listen_addrs,
        .protocol_count = fields->n_protocols,
        .observed_addr = pg_pb_bytes(fields->observed_addr),
        .protocol_version = pg_pb_bytes(fields->protocol_version),
        .agent_version = pg_pb_bytes(fields->agent_version),
        .signed_peer_record = pg_pb_bytes(fields->signed_peer_record),
    };
    PG_TRY(views_make(fields->listen_addrs, fields->n_listen_addrs, arena, &msg.listen_addrs));
    PG_TRY(views_make(fields->protocols, fields->n_protocols, arena, &msg.protocols));
    *out_msg = msg;
    return PG_OK;
}

// The fields of a repeated entry as protobuf-c wants them; NULL when memory is out.
static ProtobufCBinaryData *fields_make(const pg_bytes *views, size_t count)
{
    ProtobufCBinaryData *fields = pg_calloc(count, sizeof(*fields));
    for (size_t i = 0; fields != NULL && i < count; i++) {
        fields[i] = pg_pb_view(views[i]);
    }
    return fields;
}

pg_err pg_identify_msg_append(pg_buf *buf, const pg_identify_msg *msg)
{
    pg_err err = PG_ERR_NOMEM;
    Pg__Net__Identify fields = PG__NET__IDENTIFY__INIT;
    fields.listen_addrs = fields_make(msg->listen_addrs, msg->listen_addr_count);
    fields.protocols = fields_make(msg->protocols, msg->protocol_count);
    if (fields.listen_addrs == NULL || fields.protocols == NULL) {
        goto out;
    }
    fields.n_listen_addrs = msg->listen_addr_count;
    fields.n_protocols = msg->protocol_count;
    fields.has_public_key = msg->public_key.len > 0;
    fields.public_key = pg_pb_view(msg->public_key);
    fields.has_observed_addr = msg->observed_addr.len > 0;
    fields.observed_addr = pg_pb_view(msg->observed_addr);
    fields.has_protocol_version = msg->protocol_version.len > 0;
    fields.protocol_version = pg_pb_view(msg->protocol_version);
    fields.has_agent_version = msg->agent_version.len > 0;
    fields.agent_version = pg_pb_view(msg->agent_version);
    fields.has_signed_peer_record = msg->signed_peer_record.len > 0;
    fields.signed_peer_record = pg_pb_view(msg->signed_peer_record);

    size_t len = protobuf_c_message_get_packed_size(&fields.base);
    if (len > PG_NET_IDENTIFY_SEND_BYTES_MAX) {
        err = pg_fail(PG_ERR_LIMIT, "identify message of %zu bytes", len);
        goto out;
    }
    err = pg_pb_append_framed(buf, &fields.base);
out:
    pg_mfree(fields.listen_addrs);
    pg_mfree(fields.protocols);
    return err;
}
