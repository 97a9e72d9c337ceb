// SPDX-License-Identifier: Apache-2.0
#include "net/yamux_frame.h"

#define YAMUX_VERSION 0

pg_err pg_yamux_frame_decode(pg_bytes in, pg_yamux_frame *out_frame)
{
    pg_reader reader = pg_reader_make(in);
    uint8_t version = pg_reader_u8(&reader);
    uint8_t type = pg_reader_u8(&reader);
    uint16_t flags = pg_reader_u16be(&reader);
    uint32_t stream_id = pg_reader_u32be(&reader);
    uint32_t length = pg_reader_u32be(&reader);
    if (reader.failed) {
        return pg_fail(PG_ERR_TRUNCATED, "yamux header has %zu bytes, wants 12", in.len);
    }
    if (version != YAMUX_VERSION) {
        return pg_fail(PG_ERR_PROTOCOL, "yamux version %u, wants 0", version);
    }
    if (type >= PG_YAMUX_TYPE_COUNT) {
        return pg_fail(PG_ERR_PROTOCOL, "yamux frame of type %u", type);
    }
    if (stream_id == 0 && type <= PG_YAMUX_TYPE_WINDOW) {
        return pg_fail(PG_ERR_PROTOCOL, "yamux frame of type %u for stream 0", type);
    }
    *out_frame = (pg_yamux_frame){(pg_yamux_type) type, flags, stream_id, length};
    return PG_OK;
}

void pg_yamux_frame_encode(const pg_yamux_frame *frame, uint8_t out_header[PG_YAMUX_HEADER_BYTES])
{
    pg_writer writer = pg_writer_make((pg_mut_bytes){out_header, PG_YAMUX_HEADER_BYTES});
    pg_writer_u8(&writer, YAMUX_VERSION);
    pg_writer_u8(&writer, (uint8_t) frame->type);
    pg_writer_u16be(&writer, frame->flags);
    pg_writer_u32be(&writer, frame->stream_id);
    pg_writer_u32be(&writer, frame->length);
}
