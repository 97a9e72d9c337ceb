// SPDX-License-Identifier: Apache-2.0
// The inside of the host's side of placement, which its parts share: streams and requests (place_serve.c), pushes (place_push.c), grants
// (place_commit.c), what is given back (place_sweep.c), start and end (place_server.c).
//
// A block may be pushed, leased and deleted at once by several fibers. Who works with one pins it; a deletion begins only without pins, and
// whoever meets one waits until it is over. Changes of the ledger are made one after the other: written, then applied to the table.
//
// Layer: exchange, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/list.h"
#include "exchange/place_clock_priv.h"
#include "exchange/place_held_priv.h"
#include "exchange/place_ledger_priv.h"
#include "exchange/place_msg.h"
#include "exchange/place_server.h"
#include "runtime/fiber.h"

/** A claim that was refused lately. */
typedef struct pg_place_refused {
    uint8_t key[PG_HASH_BYTES]; // of lease key and descriptor
    pg_slot_set slots;          // that others held
    pg_time until;
} pg_place_refused;

/** A claim being looked into. */
typedef struct pg_place_claiming {
    const pg_peer_id *claimant;
    pg_scope scope; // of the fibers that ask
} pg_place_claiming;

/** Claims being looked into, and what came of those before. */
typedef struct pg_place_claims {
    pg_place_claiming *claiming[PG_PLACE_CLAIMS_MAX]; // NULL = free
    uint32_t minute_count;
    pg_time minute_ends;
    uint32_t next; // of refused, to be written
    pg_place_refused refused[PG_PLACE_REFUSED_MAX];
} pg_place_claims;

/** Slots being handed over. */
typedef struct pg_place_leaving {
    pg_cid descriptor; // len 0 = none
    pg_slot_set slots;
} pg_place_leaving;

struct pg_place_server {
    pg_place_server_config config;
    pg_place_leaving leaving[PG_PLACE_LEAVING_MAX];
    pg_held held;
    pg_place_clock clock;
    pg_list streams;                    // of pg_place_stream
    uint32_t sessions;                  // are open
    size_t body_bytes;                  // of blocks being received or written
    uint32_t commits;                   // being worked on
    pg_buf spares[PG_PLACE_SPARES_MAX]; // spares[spare_count]: memory of bodies, for the next
    uint32_t spare_count;
    bool is_ledger_busy;
    bool is_sweeping;
    bool is_kicked; // there is something doomed
    bool is_closing;
    bool
        has_bare_lease; // one that lost its descriptor, so that the table of blocks does not lead to it
    pg_waitq turn;      // body_bytes or commits went down
    pg_waitq changed; // a block was deleted
    pg_waitq ledger_free;
    pg_waitq swept;
    pg_waitq kicked;
    pg_scope scope; // of the fiber that sweeps
    uint64_t leases;
    uint64_t tombs;
    pg_place_claims claims;
    pg_time fill_second; // in which so many were told how full this host is
    uint32_t fill_count;
    pg_place_stats totals; // only the *_total fields
};

/** A stream being served. */
typedef struct pg_place_stream {
    pg_list node;
    pg_place_server *server;
    pg_stream *stream;
    pg_peer_id peer;
    pg_uploader *uploader; // of an open session; NULL before
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    bool is_evicted;   // for another session
    bool is_writing;   // a response
    uint32_t inflight; // requests read and not answered
    pg_time active_at; // when a request was read or answered, or 64 KiB of a body came
    pg_waitq room;     // inflight went down
    pg_waitq write_turn;
    pg_scope scope; // of the requests' fibers
} pg_place_stream;

/** A request being worked on. */
typedef struct pg_place_job {
    pg_place_stream *stream;
    pg_buf head;
    pg_arena arena; // of the request, and of what the response points to
    pg_place_request request;
    pg_place_response response;
    pg_buf body;     // of a PUSH
    uint32_t number; // of the block pushed, pinned; PG_HELD_NONE when it was refused
    pg_buf data;     // that the response points to
} pg_place_job;

/** A grant was entered: tell of it when it drops. */
static inline void pg_place_tell(const pg_place_server *server, const pg_lease_grant *grant)
{
    if (grant->expiry_s == 0 && server->config.dropped != NULL) {
        server->config.dropped(grant, server->config.user);
    }
}

/** Return the wall clock in seconds, as strays have it. */
uint32_t pg_place_now_s(void);

/** Return a lease as listings show it. */
pg_place_lease pg_place_lease_of(const pg_ledger_listed *listed);

/** Log a failure of this machine, and return the status that tells the peer to come later. */
pg_place_status pg_place_failed(const char *what, pg_err err);

/** Serve a stream: the handler of the protocol. */
pg_err pg_place_handle(pg_net_stream_ctx *ctx);

// Sessions and pushes

/** Open a session, or say why not. Parks: yes. */
pg_place_status pg_place_session_open(pg_place_stream *stream, const pg_place_request *request);

/** End what pg_place_session_open began. */
void pg_place_session_end(pg_place_stream *stream);

/** Say whether `extra` more bytes may be taken from an uploader. */
pg_place_status pg_place_room(const pg_place_server *server, const pg_uploader *uploader,
                              uint64_t extra);

/** Admit a push: account for the block, pin it, and take memory for its body. On OK pg_place_push_end has to follow. Parks: yes. */
pg_place_status pg_place_push_begin(pg_place_job *job);

/** Take memory for the body of an admitted push. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_body_alloc(pg_place_job *job, uint8_t **out_space);

/** Give back the memory that is kept for bodies. */
void pg_place_spares_free(pg_place_server *server);

/** Store the body that was read. Parks: yes. */
pg_place_status pg_place_push_store(pg_place_job *job);

/** Undo what pg_place_push_begin took; the block stays if it was stored. */
void pg_place_push_end(pg_place_job *job);

/** Answer ASK. */
pg_place_status pg_place_ask_answer(pg_place_job *job);

/** Work on ABANDON: OK when the blocks that nobody else has to do with are deleted. Parks: yes. */
pg_place_status pg_place_abandon_answer(pg_place_job *job);

/** Take back one push of a block. Returns true when it is to go: nobody else pushed it, and no lease needs it. */
bool pg_place_push_take_back(const pg_place_stream *stream, const pg_held_name *name);

/** Wait while a block is being deleted, and find it. *out_number may be PG_HELD_NONE. Parks: yes. Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_place_block_find(pg_place_server *server, const pg_held_name *name,
                                        uint32_t *out_number);

// Grants

/** Work on COMMIT. Parks: yes. */
pg_place_status pg_place_commit_answer(pg_place_job *job);

/** Look into a commit of somebody who did not show to be the owner: HELD when others hold the slots, SUPERSEDED when the DHTs have a later grant, BUSY
 *  when it cannot be told now. Parks: yes, without any lock. */
pg_place_status pg_place_claim_check(pg_place_job *job, const pg_lease_grant *grant,
                                     const pg_place_claim *claim);

/** Return the slots of an extent that are being handed over. */
pg_slot_set pg_place_leaving_of(const pg_place_server *server, const pg_cid *descriptor);

/** Look no further into any claim: the server ends. */
void pg_place_claims_end(pg_place_claims *claims);

/** Work on RELEASE. Parks: yes. */
pg_place_status pg_place_release_answer(pg_place_job *job);

/** Answer HAVE. Parks: yes. */
pg_place_status pg_place_have_answer(pg_place_job *job);

/** Wait for the ledger. Parks: yes. Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_place_ledger_lock(pg_place_server *server);

/** Let the next one have it. */
void pg_place_ledger_unlock(pg_place_server *server);

/** Apply to the table what was written to the ledger, and free `change`. Blocks without leases are to be deleted, or become strays. */
void pg_place_apply(pg_place_server *server, pg_ledger_change *change, bool as_strays);

/** Drop the claims on a block that is gone. Parks: yes. */
PG_NODISCARD pg_err pg_place_lose(pg_place_server *server, const pg_held_name *name);

// Giving back

/** Begin to sweep by itself. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_sweeper_start(pg_place_server *server);

/** Begin to look for missed grants by itself, where somebody can be asked; after pg_place_sweeper_start. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_catch_up_start(pg_place_server *server);

/** Delete what is doomed now; *out_bytes is what that gave back. Parks: yes. Errors: those of the block store, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_place_doomed_delete(pg_place_server *server, uint64_t *out_bytes);

/** Have what is doomed deleted soon. Parks: no. */
void pg_place_kick(pg_place_server *server);

/** Keep the ages of strays and the clock. Parks: yes. */
PG_NODISCARD pg_err pg_place_save(pg_place_server *server);
