// SPDX-License-Identifier: Apache-2.0
// The header of a yamux frame, and nothing else: what the fields mean is the session's (yamux.h).
//
// Layer: net.  Thread: any.  Spec: libp2p yamux, "Framing"
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

#define PG_YAMUX_HEADER_BYTES 12

/** Payload we put into one data frame: with its header it fills one Noise frame, and is below the 64 KiB others buffer. */
#define PG_YAMUX_DATA_BYTES_MAX (65519 - PG_YAMUX_HEADER_BYTES)

typedef enum pg_yamux_type {
    PG_YAMUX_TYPE_DATA,    // length: bytes of payload that follow
    PG_YAMUX_TYPE_WINDOW,  // length: further bytes the receiver of this frame may send
    PG_YAMUX_TYPE_PING,    // length: any value, to be echoed
    PG_YAMUX_TYPE_GO_AWAY, // length: a pg_yamux_code
    PG_YAMUX_TYPE_COUNT,
} pg_yamux_type;

#define PG_YAMUX_FLAG_SYN 1u
#define PG_YAMUX_FLAG_ACK 2u
#define PG_YAMUX_FLAG_FIN 4u
#define PG_YAMUX_FLAG_RST 8u

typedef enum pg_yamux_code {
    PG_YAMUX_CODE_NORMAL,
    PG_YAMUX_CODE_PROTOCOL,
    PG_YAMUX_CODE_INTERNAL,
} pg_yamux_code;

/** One header. */
typedef struct pg_yamux_frame {
    pg_yamux_type type;
    uint16_t flags;     // PG_YAMUX_FLAG_*; foreign bits are kept
    uint32_t stream_id; // 0 = the session: ping and go away
    uint32_t length;
} pg_yamux_frame;

/** Read the header at the front of `in`.
 *  out_frame  written only on PG_OK
 *  Errors: PG_ERR_TRUNCATED below 12 bytes; PG_ERR_PROTOCOL for a foreign version or type, and data or credit for stream 0.
 *  Thread: any. */
PG_NODISCARD pg_err pg_yamux_frame_decode(pg_bytes in, pg_yamux_frame *out_frame);

/** Write a header. */
void pg_yamux_frame_encode(const pg_yamux_frame *frame, uint8_t out_header[PG_YAMUX_HEADER_BYTES]);
