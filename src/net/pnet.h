// SPDX-License-Identifier: Apache-2.0
// Private networks: a key that all members share (the file swarm.key) encrypts every connection below its security handshake,
// so that strangers get not even a negotiation. It does not authenticate; the handshake inside does.
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p pnet, "Pre-shared Key Based Private Networks in libp2p", version 1
#pragma once

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/secret.h"
#include "runtime/stream.h"

/** Read a swarm.key file: "/key/swarm/psk/1.0.0/", then "/base16/", "/base64/" or "/bin/", then 32 bytes so written.
 *  text      up to PG_NET_SWARM_KEY_BYTES_MAX bytes; a line may end in CR LF, blank lines may follow
 *  out_key   written only on PG_OK; the caller wipes it
 *  Errors: PG_ERR_INVALID with a detail that says what is wrong, never what the key is. Thread: any. */
PG_NODISCARD pg_err pg_swarm_key_parse(pg_bytes text, pg_key *out_key);

/** Characters of a swarm.key file as we write it, and a NUL. */
#define PG_SWARM_KEY_TEXT_BYTES 97

/** Write a key as a swarm.key file, in base 16, and a NUL. The text is a secret: wipe it. Thread: any. */
void pg_swarm_key_format(const pg_key *key, char out_text[PG_SWARM_KEY_TEXT_BYTES]);

/** Wrap a stream. Each side sends a random nonce of 24 bytes before its first bytes. Parks: no. With another key on the other side
 *  everything read is noise.
 *  raw      taken on PG_OK, and *raw set to NULL
 *  network  copied
 *  Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_pnet_protect(pg_stream **raw, const pg_key *network, pg_stream **out_stream);
