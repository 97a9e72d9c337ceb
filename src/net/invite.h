// SPDX-License-Identifier: Apache-2.0
// Invitations: a line of text that names a peer with its addresses and, for a private network, carries the key of the network.
// Whoever has the text of such a one can join the network, now and for as long as it has that key. Pure. Not for: showing it as a
// QR code (cli), acting on it (node, api).
//
// Layer: net.  Thread: any.  Spec: docs/protocols/invite.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/multiaddr.h"
#include "crypto/peer_id.h"
#include "crypto/secret.h"

/** Addresses an invitation may have, and how many ours have: more would make its QR code larger than a terminal. */
#define PG_INVITE_ADDRS_MAX 8
#define PG_INVITE_ADDRS_TOLD 4

/** Bytes of its binary form, and characters of its text with a NUL. */
#define PG_INVITE_BYTES_MAX 256
#define PG_INVITE_TEXT_BYTES 426

/** An invitation. May hold a secret: whoever owns it wipes it. */
typedef struct pg_invite {
    pg_peer_id peer;
    pg_multiaddr addrs[PG_INVITE_ADDRS_MAX]; // without "/p2p/ID"
    size_t addr_count;                       // from 1
    bool is_private;
    pg_key network_key; // when is_private
    uint64_t expires_s; // since 1970; 0 = never
} pg_invite;

/** Write an invitation, in lower case, and a NUL. The text is a secret where the network is private: wipe it. Addresses for which there
 *  is no room are left out.
 *  Errors: PG_ERR_INVALID (no peer, no address), PG_ERR_LIMIT (no room for any). */
PG_NODISCARD pg_err pg_invite_format(const pg_invite *invite, char out_text[PG_INVITE_TEXT_BYTES]);

/** Read an invitation, in either case; white space around it is refused. Addresses of kinds that are not known are left out. Whether it has
 *  expired is not looked at. Each failure has a text for the person who typed it.
 *  out_invite   written only on PG_OK
 *  Errors: PG_ERR_INVALID (no invitation at all), PG_ERR_TRUNCATED, PG_ERR_MALFORMED (mistyped), PG_ERR_UNSUPPORTED (a newer version, which
 *  is named, or no address of a known kind). */
PG_NODISCARD pg_err pg_invite_parse(pg_str text, pg_invite *out_invite);

/** Check that an invitation holds at `now_s`, seconds since 1970. Errors: PG_ERR_INVALID, which tells since when it has expired. */
PG_NODISCARD pg_err pg_invite_check(const pg_invite *invite, uint64_t now_s);

/** Choose from a host's addresses at most PG_INVITE_ADDRS_TOLD to invite with: those that reach farthest first, loopback ones only where
 *  there are no others. Returns how many. */
size_t pg_invite_choose_addrs(const pg_multiaddr *ours, size_t count,
                              pg_multiaddr out_addrs[PG_INVITE_ADDRS_TOLD]);

/** Overwrite the key. NULL is fine. */
void pg_invite_wipe(pg_invite *invite);
