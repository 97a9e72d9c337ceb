// SPDX-License-Identifier: Apache-2.0
// A session has one fiber that reads responses, and a table of requests that are on. Whoever asks takes a place in the table, writes when it
// is his turn, and waits at his place. One who gives up leaves the place taken until the answer comes, so that the host never has more of
// our requests than we count.
#include "exchange/place_client.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "exchange/place_msg.h"
#include "net/framed.h"
#include "runtime/fiber.h"
#include "runtime/offload.h"
#include "store/block_header.h"

#define FAREWELL_MS 1000
#define MISSING_TOLD 3U

typedef enum place_state {
    PLACE_STATE_FREE,
    PLACE_STATE_WAITING,
    PLACE_STATE_ANSWERED,
    PLACE_STATE_ABANDONED, // nobody waits, the answer has not come
} place_state;

/** A request that is on. */
typedef struct place {
    place_state state;
    uint64_t id;
    pg_buf head; // of the response
    pg_arena arena;
    pg_place_response response;
} place;

struct pg_place_session {
    pg_host *host;
    pg_stream *stream;
    pg_peer_id peer;
    pg_buf pushed; // pg_cid[]: that no commit has answered
    place places[PG_PLACE_INFLIGHT_MAX];
    uint64_t last_id;
    bool is_writing;
    pg_err failed; // the session is of no more use
    char reason[160];
    pg_waitq freed; // a place
    pg_waitq write_turn;
    pg_waitq answered;
    pg_scope scope; // of the fiber that reads
};

static void place_free(pg_place_session *session, place *at)
{
    pg_arena_deinit(&at->arena);
    pg_buf_deinit(&at->head);
    *at = (place){.state = PLACE_STATE_FREE};
    pg_waitq_wake_one(&session->freed);
}

// ---- The end of a session

static void session_fail(pg_place_session *session, pg_err err)
{
    if (session->failed != PG_OK) {
        return;
    }
    session->failed = err;
    pg_bytes reason = pg_bytes_cstr(pg_error_detail(err));
    memcpy(session->reason, reason.ptr, pg_min_size(reason.len, sizeof(session->reason) - 1));
    pg_stream_reset(session->stream);
    pg_waitq_wake_all(&session->freed);
    pg_waitq_wake_all(&session->write_turn);
    pg_waitq_wake_all(&session->answered);
}

static pg_err session_check(const pg_place_session *session)
{
    return session->failed == PG_OK
               ? PG_OK
               : pg_fail(session->failed, "the session with the host has ended: %s",
                         session->reason);
}

// ---- Responses

static place *place_of(pg_place_session *session, uint64_t id)
{
    for (size_t i = 0; i < PG_PLACE_INFLIGHT_MAX; i++) {
        place *at = &session->places[i];
        if (at->id == id &&
            (at->state == PLACE_STATE_WAITING || at->state == PLACE_STATE_ABANDONED)) {
            return at;
        }
    }
    return NULL;
}

static pg_err response_take(pg_place_session *session, const pg_place_response *response,
                            pg_buf *head, pg_arena *arena)
{
    place *at = place_of(session, response->id);
    if (at == NULL) {
        return pg_fail(PG_ERR_PROTOCOL, "the host answers what nobody asked");
    }
    if (at->state == PLACE_STATE_ABANDONED) {
        place_free(session, at);
        return PG_OK;
    }
    at->head = *head;
    at->arena = *arena;
    at->response = *response;
    at->state = PLACE_STATE_ANSWERED;
    *head = (pg_buf){0};
    *arena = (pg_arena){0};
    pg_waitq_wake_all(&session->answered);
    return PG_OK;
}

static pg_err response_read(pg_place_session *session)
{
    pg_buf head = {0};
    pg_arena arena = pg_arena_make(PG_PLACE_ARENA_BYTES);
    pg_place_response response = {0};
    pg_err err = pg_framed_read(session->stream, PG_PLACE_HEAD_BYTES_MAX, PG_FOREVER, &head);
    if (err == PG_OK) {
        err = pg_place_response_decode(pg_buf_bytes(&head), &arena, &response);
    }
    if (err == PG_OK) {
        err = response_take(session, &response, &head, &arena);
    }
    pg_arena_deinit(&arena);
    pg_buf_deinit(&head);
    return err;
}

static pg_err reader_run(void *arg)
{
    pg_place_session *session = arg;
    pg_err err = PG_OK;
    while (err == PG_OK) {
        err = response_read(session);
    }
    session_fail(session, err == PG_ERR_CANCELLED ? PG_ERR_CLOSED : err);
    return PG_OK;
}

// ---- Requests

static pg_err place_take(pg_place_session *session, pg_time deadline, place **out_place)
{
    for (;;) {
        PG_TRY(session_check(session));
        for (size_t i = 0; i < PG_PLACE_INFLIGHT_MAX; i++) {
            if (session->places[i].state == PLACE_STATE_FREE) {
                session->places[i].state = PLACE_STATE_WAITING;
                session->places[i].id = ++session->last_id;
                *out_place = &session->places[i];
                return PG_OK;
            }
        }
        PG_TRY(pg_waitq_wait(&session->freed, deadline));
    }
}

static pg_err write_turn_take(pg_place_session *session, pg_time deadline)
{
    PG_TRY(session_check(session));
    while (session->is_writing) {
        PG_TRY(pg_waitq_wait(&session->write_turn, deadline));
        PG_TRY(session_check(session));
    }
    session->is_writing = true;
    return PG_OK;
}

// A request that was written in part ends the session: what comes behind it would be read as the rest.
static pg_err request_write(pg_place_session *session, const pg_place_request *request,
                            pg_bytes body, pg_time deadline)
{
    pg_buf head = {0};
    pg_err err = pg_place_request_encode(request, &head);
    if (err == PG_OK) {
        err = write_turn_take(session, deadline);
    }
    if (err == PG_OK) {
        const pg_bytes parts[] = {pg_buf_bytes(&head), body};
        err = pg_stream_writev(session->stream, parts, body.len > 0 ? 2 : 1, deadline);
        if (err != PG_OK) {
            session_fail(session,
                         err == PG_ERR_CANCELLED || err == PG_ERR_TIMEOUT ? PG_ERR_CLOSED : err);
        }
        session->is_writing = false;
        pg_waitq_wake_one(&session->write_turn);
    }
    pg_buf_deinit(&head);
    return err;
}

static pg_err answer_await(pg_place_session *session, place *at, pg_time deadline)
{
    while (at->state == PLACE_STATE_WAITING) {
        pg_err err = session_check(session);
        if (err == PG_OK) {
            err = pg_waitq_wait(&session->answered, deadline);
        }
        if (err != PG_OK && at->state == PLACE_STATE_WAITING) {
            at->state = PLACE_STATE_ABANDONED;
            return err;
        }
    }
    return PG_OK;
}

// Ask, and wait for the answer. It is in the place, which the caller frees.
static pg_err ask(pg_place_session *session, pg_place_request *request, pg_bytes body,
                  pg_time deadline, place **out_place)
{
    place *at = NULL;
    PG_TRY(place_take(session, deadline, &at));
    request->id = at->id;
    pg_err err = request_write(session, request, body, deadline);
    if (err != PG_OK) {
        place_free(session, at);
        return err;
    }
    PG_TRY(answer_await(session, at, deadline));
    *out_place = at;
    return PG_OK;
}

static pg_err missing_fail(const pg_place_response *response)
{
    pg_buf text = {0};
    pg_err err = PG_OK;
    for (size_t i = 0; err == PG_OK && i < response->missing_count && i < MISSING_TOLD; i++) {
        char cid[PG_CID_TEXT_BYTES];
        pg_cid_format(&response->missing[i], cid);
        err = pg_buf_printf(&text, "%s%s", i == 0 ? ": " : ", ", cid);
    }
    err = pg_fail(PG_ERR_MISSING, "the host lacks %zu shards%s%.*s", response->missing_count,
                  response->missing_count == PG_PLACE_MISSING_MAX ? " or more" : "",
                  PG_STR_ARGS(pg_buf_str(&text)));
    pg_buf_deinit(&text);
    return err;
}

static pg_err response_check(const pg_place_response *response)
{
    pg_err err = pg_place_status_err(response->status);
    if (err == PG_OK) {
        return PG_OK;
    }
    return err == PG_ERR_MISSING ? missing_fail(response)
                                 : pg_fail(err, "%s", pg_place_status_text(response->status));
}

// Ask what is answered by a status alone.
static pg_err ask_simply(pg_place_session *session, pg_place_request *request, pg_bytes body,
                         pg_time deadline)
{
    place *at = NULL;
    PG_TRY(ask(session, request, body, deadline, &at));
    pg_err err = response_check(&at->response);
    place_free(session, at);
    return err;
}

// ---- Sessions

static pg_err session_new(pg_host *host, pg_stream *stream, const pg_peer_id *peer,
                          pg_place_session **out_session)
{
    pg_place_session *session = PG_NEW(pg_place_session);
    if (session == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for an upload session");
    }
    session->stream = stream;
    session->peer = *peer;
    session->host = host;
    pg_waitq_init(&session->freed);
    pg_waitq_init(&session->write_turn);
    pg_waitq_init(&session->answered);
    pg_scope_init_tolerant(&session->scope);
    pg_err err = pg_scope_spawn(&session->scope, "place.client", reader_run, session);
    if (err != PG_OK) {
        pg_mfree(session);
        return err;
    }
    *out_session = session;
    return PG_OK;
}

static pg_err session_begin(pg_host *host, const pg_peer_id *peer, pg_time deadline,
                            pg_place_session **out_session)
{
    static const char *const ids[] = {PG_PLACE_ID, NULL};
    pg_stream *stream = NULL;
    PG_TRY(pg_host_open_stream(host, peer, ids, deadline, &stream, NULL));
    pg_err err = session_new(host, stream, peer, out_session);
    if (err != PG_OK) {
        pg_stream_free(&stream);
    }
    return err;
}

pg_err pg_place_open(pg_host *host, const pg_peer_id *peer,
                     const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES], uint64_t expected_bytes,
                     pg_time deadline, pg_place_session **out_session)
{
    pg_place_session *session = NULL;
    pg_place_request request = {.kind = PG_PLACE_KIND_OPEN, .expected_bytes = expected_bytes};
    memcpy(request.lease_key, lease_key, sizeof(request.lease_key));
    PG_TRY(session_begin(host, peer, deadline, &session));
    pg_err err = ask_simply(session, &request, PG_BYTES_EMPTY, deadline);
    if (err != PG_OK) {
        pg_place_session_free(&session);
        return err;
    }
    *out_session = session;
    return PG_OK;
}

const pg_peer_id *pg_place_session_peer(const pg_place_session *session)
{
    return &session->peer;
}

void pg_place_session_free(pg_place_session **session)
{
    pg_place_session *own = *session;
    if (own == NULL) {
        return;
    }
    *session = NULL;
    pg_fiber_shield(true);
    if (own->failed == PG_OK && !own->is_writing) {
        pg_ignore(pg_stream_close_write(own->stream, pg_after(PG_MS(FAREWELL_MS))),
                  "freeing resets it");
    }
    pg_scope_close(&own->scope);
    pg_fiber_shield(false);
    for (size_t i = 0; i < PG_PLACE_INFLIGHT_MAX; i++) {
        place_free(own, &own->places[i]);
    }
    pg_stream_free(&own->stream);
    pg_buf_deinit(&own->pushed);
    pg_mfree(own);
}

// ---- Blocks

pg_err pg_place_push(pg_place_session *session, const pg_cid *cid, pg_bytes bytes, pg_time deadline)
{
    pg_place_request request = {.kind = PG_PLACE_KIND_PUSH, .cids = cid, .cid_count = 1};
    if (bytes.len > PG_BITSWAP_BLOCK_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a block of %zu bytes, at most %u", bytes.len,
                       PG_BITSWAP_BLOCK_BYTES_MAX);
    }
    if (!pg_block_cid_is_kept(cid)) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a block needs a CID with a hash of 32 bytes");
    }
    request.body_bytes = (uint32_t) bytes.len;
    PG_TRY(
        pg_buf_append(&session->pushed, pg_bytes_make(cid, sizeof(*cid)))); // who gives up names it
    return ask_simply(session, &request, bytes, deadline);
}

static pg_err bits_take(const pg_place_response *response, size_t count, bool *out_has)
{
    PG_TRY(response_check(response));
    if (response->has.len != (count + 7) / 8) {
        return pg_fail(PG_ERR_PROTOCOL, "the host answers about %zu blocks, not %zu",
                       8 * response->has.len, count);
    }
    for (size_t i = 0; i < count; i++) {
        out_has[i] = ((unsigned) response->has.ptr[i / 8] >> i % 8 & 1U) != 0;
    }
    return PG_OK;
}

pg_err pg_place_ask(pg_place_session *session, const pg_cid *cids, size_t cid_count,
                    pg_time deadline, bool *out_has)
{
    if (cid_count > PG_BITSWAP_WANTS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a question about %zu blocks, at most %u", cid_count,
                       PG_BITSWAP_WANTS_MAX);
    }
    bool has[PG_BITSWAP_WANTS_MAX];
    for (size_t done = 0; done < cid_count; done += PG_PLACE_ASK_MAX) {
        size_t count = pg_min_size(cid_count - done, PG_PLACE_ASK_MAX);
        pg_place_request request = {
            .kind = PG_PLACE_KIND_ASK, .cids = cids + done, .cid_count = count};
        place *at = NULL;
        PG_TRY(ask(session, &request, PG_BYTES_EMPTY, deadline, &at));
        pg_err err = bits_take(&at->response, count, has + done);
        place_free(session, at);
        PG_TRY(err);
    }
    memcpy(out_has, has, cid_count * sizeof(*has));
    return PG_OK;
}

// ---- Grants

/** A commit and what came back. */
typedef struct committing {
    const pg_place_session *session;
    const pg_place_commit *commit;
    pg_lease_grant grant;
    pg_lease_receipt receipt;
} committing;

// A host may say what it likes: that it knows a later grant has to be possible.
static pg_err known_take(const committing *work, uint64_t known, uint64_t *out_known)
{
    uint64_t now_ms = (uint64_t) pg_wall_ms();
    if (known < work->grant.sequence || known > now_ms + PG_PLACE_SEQUENCE_AHEAD_MS) {
        return pg_fail(PG_ERR_PROTOCOL, "the host says it knows a grant with sequence %llu",
                       (unsigned long long) known);
    }
    *out_known = known;
    return pg_fail(PG_ERR_CHANGED, "%s, with sequence %llu",
                   pg_place_status_text(PG_PLACE_STATUS_SUPERSEDED), (unsigned long long) known);
}

static pg_err receipt_check(committing *work, pg_bytes encoded)
{
    const pg_lease_receipt *receipt = &work->receipt;
    pg_err err = pg_lease_receipt_decode(encoded, &work->receipt);
    if (err != PG_OK) {
        return pg_fail(PG_ERR_AUTH, "the host's receipt: %s", pg_error_detail(err));
    }
    bool is_right = pg_peer_id_equal(&receipt->host, &work->session->peer) &&
                    pg_cid_equal(&receipt->descriptor, &work->grant.descriptor) &&
                    (work->commit->slots & ~receipt->slots) == 0 &&
                    receipt->sequence == work->grant.sequence &&
                    receipt->expiry_s == work->grant.expiry_s;
    return is_right ? PG_OK : pg_fail(PG_ERR_AUTH, "the host's receipt is for something else");
}

static pg_err commit_take(committing *work, const pg_place_response *response, pg_buf *out_encoded,
                          uint64_t *out_known)
{
    uint64_t known = 0;
    if (response->status == PG_PLACE_STATUS_SUPERSEDED) {
        pg_err err = known_take(work, response->known_sequence, &known);
        if (err == PG_ERR_CHANGED && out_known != NULL) {
            *out_known = known;
        }
        return err;
    }
    PG_TRY(response_check(response));
    if (work->grant.expiry_s == 0) {
        return PG_OK;
    }
    PG_TRY(receipt_check(work, response->receipt));
    return out_encoded == NULL ? PG_OK : pg_buf_append(out_encoded, response->receipt);
}

static pg_err owner_sign(const pg_place_session *session, const pg_place_commit *commit,
                         const pg_cid *descriptor, pg_buf *out)
{
    const pg_lease_owner owner = {
        .descriptor = *descriptor,
        .host = session->peer,
        .uploader = *pg_host_id(session->host),
    };
    return commit->owner == NULL ? PG_OK : pg_lease_owner_encode(commit->owner, &owner, out);
}

pg_err pg_place_commit_send(pg_place_session *session, const pg_place_commit *commit,
                            pg_time deadline, pg_lease_receipt *out_receipt, pg_buf *out_encoded,
                            uint64_t *out_known)
{
    pg_buf owner PG_CLEANUP(pg_buf_deinit) = {0};
    committing work = {.session = session, .commit = commit};
    pg_place_request request = {
        .kind = PG_PLACE_KIND_COMMIT,
        .grant = commit->grant,
        .slots = commit->slots,
        .receipts = commit->receipts,
        .receipt_count = commit->receipt_count,
    };
    place *at = NULL;
    PG_TRY(pg_lease_grant_decode(commit->grant, &work.grant));
    PG_TRY(owner_sign(session, commit, &work.grant.descriptor, &owner));
    request.owner = pg_buf_bytes(&owner);
    PG_TRY(ask(session, &request, PG_BYTES_EMPTY, deadline, &at));
    pg_err err = commit_take(&work, &at->response, out_encoded, out_known);
    place_free(session, at);
    if (err == PG_OK) {
        *out_receipt = work.receipt;
        pg_buf_clear(&session->pushed); // it is a promise now
    }
    return err;
}

pg_err pg_place_release_send(pg_place_session *session, pg_bytes release, pg_time deadline)
{
    pg_place_request request = {.kind = PG_PLACE_KIND_RELEASE, .release = release};
    return ask_simply(session, &request, PG_BYTES_EMPTY, deadline);
}

// ---- Giving up

static pg_err abandon_send(pg_place_session *session, const pg_identity *lease, const pg_cid *cids,
                           size_t count, pg_time deadline)
{
    pg_buf statement = {0};
    pg_lease_abandon abandon = {.host = session->peer, .uploader = *pg_host_id(session->host)};
    pg_lease_blocks_digest(cids, count, abandon.blocks);
    pg_err err = pg_lease_abandon_encode(lease, &abandon, &statement);
    if (err == PG_OK) {
        pg_place_request request = {.kind = PG_PLACE_KIND_ABANDON,
                                    .cids = cids,
                                    .cid_count = count,
                                    .abandon = pg_buf_bytes(&statement)};
        err = ask_simply(session, &request, PG_BYTES_EMPTY, deadline);
    }
    pg_buf_deinit(&statement);
    return err;
}

pg_err pg_place_abandon_blocks(pg_place_session *session, const pg_identity *lease,
                               const pg_cid *cids, size_t cid_count, pg_time deadline)
{
    for (size_t done = 0; done < cid_count; done += PG_PLACE_ASK_MAX) {
        PG_TRY(abandon_send(session, lease, cids + done,
                            pg_min_size(cid_count - done, PG_PLACE_ASK_MAX), deadline));
    }
    return PG_OK;
}

// A push whose answer nobody waits for any more may become durable yet.
static pg_err answers_await(pg_place_session *session, pg_time deadline)
{
    for (size_t i = 0; i < PG_PLACE_INFLIGHT_MAX; i++) {
        while (session->places[i].state == PLACE_STATE_ABANDONED) {
            PG_TRY(session_check(session));
            PG_TRY(pg_waitq_wait(&session->freed, deadline));
        }
    }
    return PG_OK;
}

static pg_err pushed_abandon(pg_place_session *session, const pg_identity *lease, pg_bytes pushed,
                             pg_time deadline)
{
    PG_TRY(answers_await(session, deadline));
    return pg_place_abandon_blocks(session, lease, (const pg_cid *) (const void *) pushed.ptr,
                                   pushed.len / sizeof(pg_cid), deadline);
}

// Whoever breaks off in the middle of a push has ended the session with it.
static pg_err pushed_abandon_anew(const pg_place_session *session, const pg_identity *lease,
                                  pg_bytes pushed, pg_time deadline)
{
    pg_place_session *fresh = NULL;
    PG_TRY(pg_place_open(session->host, &session->peer, lease->public_key, 0, deadline, &fresh));
    pg_err err = pushed_abandon(fresh, lease, pushed, deadline);
    pg_place_session_free(&fresh);
    return err;
}

pg_err pg_place_abandon(pg_place_session *session, const pg_identity *lease, pg_time deadline)
{
    if (session->pushed.len == 0) {
        return PG_OK;
    }
    pg_buf pushed = session->pushed;
    session->pushed = (pg_buf){0};
    pg_err err = session->failed != PG_OK
                     ? pushed_abandon_anew(session, lease, pg_buf_bytes(&pushed), deadline)
                     : pushed_abandon(session, lease, pg_buf_bytes(&pushed), deadline);
    pg_buf_deinit(&pushed);
    return err;
}

// ---- What a host has

void pg_place_verified_init(pg_place_verified *verified)
{
    verified->is_busy = false;
    verified->count = 0;
    pg_waitq_init(&verified->turn);
}

/** What a host answered, to be verified. */
typedef struct verifying {
    const pg_place_response *response;
    const pg_cid *descriptor;
    const pg_peer_id *peer;
    pg_place_verified *verified; // NULL = nothing is known
    pg_place_holding *holding;
} verifying;

static pg_err receipt_verify(pg_place_verified *verified, pg_bytes encoded,
                             pg_lease_receipt *out_receipt)
{
    uint8_t digest[PG_HASH_BYTES];
    if (verified == NULL) {
        return pg_lease_receipt_decode(encoded, out_receipt);
    }
    pg_blake3(encoded, digest);
    for (size_t i = 0; i < verified->count; i++) {
        if (memcmp(verified->items[i].digest, digest, sizeof(digest)) == 0) {
            *out_receipt = verified->items[i].receipt;
            return PG_OK;
        }
    }
    PG_TRY(pg_lease_receipt_decode(encoded, out_receipt));
    if (verified->count < PG_PLACE_RECEIPTS_MAX) {
        memcpy(verified->items[verified->count].digest, digest, sizeof(digest));
        verified->items[verified->count++].receipt = *out_receipt;
    }
    return PG_OK;
}

// A job of the pool: 64 signatures take 4 ms.
static pg_err job_verify(void *arg)
{
    const verifying *work = arg;
    const pg_place_response *response = work->response;
    pg_place_holding *holding = work->holding;
    for (size_t i = 0; i < response->receipt_count; i++) {
        pg_lease_receipt *receipt = &holding->receipts[i];
        if (receipt_verify(work->verified, response->receipts[i], receipt) != PG_OK ||
            !pg_cid_equal(&receipt->descriptor, work->descriptor) ||
            pg_peer_id_equal(&receipt->host, work->peer)) {
            return pg_fail(PG_ERR_AUTH, "the host passes on a receipt that is none");
        }
    }
    holding->receipt_count = response->receipt_count;
    return PG_OK;
}

static pg_err verify(verifying *work)
{
    pg_place_verified *verified = work->verified;
    if (verified == NULL) {
        return pg_offload(job_verify, work);
    }
    while (verified->is_busy) {
        PG_TRY(pg_waitq_wait(&verified->turn, PG_FOREVER));
    }
    verified->is_busy = true;
    pg_err err = pg_offload(job_verify, work);
    verified->is_busy = false;
    (void) pg_waitq_wake_one(&verified->turn);
    return err;
}

// All but the receipts.
static void holding_fill(const pg_place_response *response, pg_place_holding *holding)
{
    holding->slots = response->slots;
    holding->leaving = response->leaving;
    holding->has_descriptor = response->has_descriptor;
    holding->sequence = response->sequence;
    holding->expiry_s = response->expiry_s;
    holding->has_fill = response->fill > 0;
    holding->fill = holding->has_fill ? response->fill - 1 : 0;
    holding->receipt_count = 0;
}

static pg_err holding_take(verifying *work, pg_place_holding *out_holding)
{
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for receipts");
    }
    holding_fill(work->response, holding);
    work->holding = holding;
    pg_err err = verify(work);
    if (err == PG_OK) {
        *out_holding = *holding;
    }
    pg_mfree(holding);
    return err;
}

// Ask in a stream of its own. The answer is in the place, and goes with the session, which the caller frees.
static pg_err have_ask(pg_host *host, const pg_peer_id *peer, pg_place_request *request,
                       pg_time deadline, pg_place_session **out_session, place **out_place)
{
    pg_place_session *session = NULL;
    place *at = NULL;
    if (!pg_block_cid_is_kept(request->cids)) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a block needs a CID with a hash of 32 bytes");
    }
    PG_TRY(session_begin(host, peer, deadline, &session));
    pg_err err = ask(session, request, PG_BYTES_EMPTY, deadline, &at);
    if (err == PG_OK) {
        err = response_check(&at->response);
    }
    if (err != PG_OK) {
        pg_place_session_free(&session);
        return err;
    }
    *out_session = session;
    *out_place = at;
    return PG_OK;
}

pg_err pg_place_have(pg_host *host, const pg_peer_id *peer, const pg_cid *descriptor,
                     pg_place_verified *verified, pg_time deadline, pg_place_holding *out_holding)
{
    pg_place_request request = {.kind = PG_PLACE_KIND_HAVE, .cids = descriptor, .cid_count = 1};
    pg_place_session *session = NULL;
    place *at = NULL;
    PG_TRY(have_ask(host, peer, &request, deadline, &session, &at));
    verifying work = {
        .response = &at->response, .descriptor = descriptor, .peer = peer, .verified = verified};
    pg_err err = holding_take(&work, out_holding);
    pg_place_session_free(&session);
    return err;
}

pg_err pg_place_have_slots(pg_host *host, const pg_peer_id *peer, const pg_cid *descriptor,
                           pg_time deadline, pg_place_holding *out_holding)
{
    pg_place_request request = {
        .kind = PG_PLACE_KIND_HAVE, .cids = descriptor, .cid_count = 1, .without_receipts = true};
    pg_place_session *session = NULL;
    place *at = NULL;
    PG_TRY(have_ask(host, peer, &request, deadline, &session, &at));
    holding_fill(&at->response, out_holding);
    pg_place_session_free(&session);
    return PG_OK;
}
