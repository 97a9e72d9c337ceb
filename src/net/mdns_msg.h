// SPDX-License-Identifier: Apache-2.0
// The DNS messages by which peers on one link find each other: the question "who serves _p2p._udp.local?", and the answer, a
// name with its addresses in TXT records. Pure, bounded; only what this takes of DNS. Not for: sending them (mdns.h).
//
// Layer: net.  Thread: any.  Spec: libp2p discovery/mdns; RFC 1035, section 4; RFC 6762; RFC 6763
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/multiaddr.h"
#include "crypto/peer_id.h"
#include "net/limits.h"

/** Characters of the name a peer answers by, chosen at random; as DNS wants, one label. */
#define PG_MDNS_NAME_CHARS 32

/** What matters of a message. */
typedef struct pg_mdns_msg {
    bool asks; // it is a question for peers
    pg_multiaddr
        addrs[PG_NET_MDNS_ADDRS_MAX]; // of answers, in their order; each with "/p2p/ID" at its end
    size_t addr_count;
} pg_mdns_msg;

/** Read a message. Records of other kinds and names are passed over, so are addresses that cannot be used, and those whose
 *  time to live is 0.
 *  in        borrowed until return
 *  out_msg   undefined on failure; large: not for a stack
 *  Errors    PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_LIMIT (longer than PG_NET_MDNS_MESSAGE_BYTES_MAX, or more than
 *            PG_NET_MDNS_RECORDS_MAX records)
 *  Cost      O(len), no heap.   Thread: any. */
PG_NODISCARD pg_err pg_mdns_msg_decode(pg_bytes in, pg_mdns_msg *out_msg);

/** Write the question for peers. Errors: PG_ERR_LIMIT (`space` is too small). */
PG_NODISCARD pg_err pg_mdns_question_encode(pg_mut_bytes space, size_t *out_len);

/** An answer. Borrowed. */
typedef struct pg_mdns_answer {
    pg_str name; // PG_MDNS_NAME_CHARS characters, letters and digits
    const pg_peer_id *peer;
    const pg_multiaddr *addrs; // addrs[addr_count], without "/p2p/ID"
    size_t addr_count;
} pg_mdns_answer;

/** Write an answer. Addresses for which there is no room, or which are too long for a TXT string, are left out.
 *  space    PG_NET_MDNS_SEND_BYTES_MAX is what a link takes for certain
 *  Errors: PG_ERR_LIMIT (no room for any), PG_ERR_INVALID (no address, or the name) */
PG_NODISCARD pg_err pg_mdns_answer_encode(const pg_mdns_answer *answer, pg_mut_bytes space,
                                          size_t *out_len);
