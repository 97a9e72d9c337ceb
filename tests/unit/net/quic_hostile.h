// SPDX-License-Identifier: Apache-2.0
// A peer of QUIC who has the keys and no manners: packets of a connection carry what a test wants in place of what was meant.
// Linked with --wrap=ngtcp2_crypto_encrypt_cb, through which every packet goes before it is encrypted.
#pragma once

#include "quic_test.h"

#define QUIC_HOSTILE_BYTES 1100 // of frames in one packet

/** Send one packet with these frames, at most QUIC_HOSTILE_BYTES, from `conn`; the rest of it is padding. Parks: yes. Returns
 *  false when the connection has ended. */
bool quic_hostile_send(pg_conn *conn, pg_bytes frames);

/** Change the n-th packet from now on that has a long header (of a handshake, of either side): bytes are XORed in. */
void quic_hostile_change(unsigned nth, size_t offset, pg_bytes xored);

/** Change nothing any more. */
void quic_hostile_stop(void);
