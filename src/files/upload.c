// SPDX-License-Identifier: Apache-2.0
#include "files/upload.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "exchange/place_client.h"
#include "files/extents.h"
#include "files/lease_keys.h"
#include "files/limits.h"
#include "files/upload_priv.h"
#include "runtime/time.h"

void pg_upload_host_add(pg_upload *upload, const upload_host *host)
{
    upload_host *added = &upload->hosts[upload->host_count++];
    *added = *host;
    pg_waitq_init(&added->turn);
}

unsigned pg_upload_slots(const pg_upload *upload)
{
    return upload->spec.is_whole ? 1 : pg_code_shards(upload->spec.code);
}

size_t pg_upload_host_count(const pg_upload *upload)
{
    size_t count = 0;
    for (size_t i = 0; i < upload->host_count; i++) {
        count += upload->hosts[i].is_lost ? 0 : 1;
    }
    return count;
}

void pg_upload_note(pg_upload *upload, pg_err err)
{
    if (upload->lost_err == PG_ERR_FULL && err != PG_ERR_FULL) {
        return; // what a person can mend is worth telling
    }
    pg_str why = pg_str_make(pg_error_detail(err));
    size_t len = pg_min_size(why.len, sizeof(upload->lost_why) - 1);
    memcpy(upload->lost_why, why.ptr, len);
    upload->lost_why[len] = '\0';
    upload->lost_err = err;
}

static void host_log(pg_upload *upload, const pg_peer_id *peer, const char *event, pg_err err)
{
    char name[PG_PSEUDONYM_TEXT_BYTES];
    pg_host_peer_pseudonym(upload->files->config.host, peer, name);
    pg_log_limited(PG_LOG_LEVEL_INFO, event, PG_LOG_STR("peer", name),
                   PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
}

void pg_upload_lose(pg_upload *upload, upload_host *host, pg_err err)
{
    if (host->is_lost) {
        return;
    }
    host->is_at_fault = host->session != NULL && (pg_files_is_break(err) || err == PG_ERR_REFUSED);
    pg_upload_note(upload, err);
    host->is_lost = true;
    upload->gaps |= host->slots;
    pg_waitq_wake_all(&host->turn);
    host_log(upload, &host->peer, "files.host.lost", err);
}

pg_err pg_upload_fail(const pg_upload *upload)
{
    return upload->lost_err == PG_ERR_FULL
               ? pg_fail(PG_ERR_FULL, "there is not room enough on hosts for it: %s",
                         upload->lost_why)
               : pg_fail(PG_ERR_UNREACHABLE,
                         "too many hosts were lost while it was placed, the last because: %s",
                         upload->lost_why);
}

// ---- Sessions

/** A session being opened. */
typedef struct opening {
    pg_upload *upload;
    pg_peer_id peer;
    pg_place_session *session;
} opening;

static pg_err open_run(void *arg)
{
    opening *self = arg;
    pg_upload *upload = self->upload;
    pg_err err = pg_place_open(upload->files->config.host, &self->peer, upload->lease.public_key,
                               upload->spec.expected_bytes, pg_after(PG_MS(PG_UPLOAD_OPEN_MS)),
                               &self->session);
    if (err != PG_OK && !pg_fiber_is_cancelled()) {
        pg_upload_note(upload, err);
        host_log(upload, &self->peer, "files.host.refused", err);
    }
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

/** Try the next `count` candidates at once; those that take a session stand at the end of the hosts, without slots. */
static pg_err sessions_try(pg_upload *upload, size_t count)
{
    opening openings[PG_PLACE_SLOTS_MAX] = {{.upload = NULL}};
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        openings[i].upload = upload;
        openings[i].peer = upload->spares[upload->spare_next++].peer;
        err = pg_scope_spawn(&scope, "files.open", open_run, &openings[i]);
    }
    pg_err joined = pg_scope_join(&scope);
    for (size_t i = 0; i < count; i++) {
        if (openings[i].session != NULL) {
            pg_upload_host_add(
                upload, &(upload_host){.peer = openings[i].peer, .session = openings[i].session});
        }
    }
    return err != PG_OK ? err : joined;
}

pg_err pg_upload_open(pg_upload *upload, size_t wanted, size_t *out_opened)
{
    size_t before = upload->host_count;
    for (;;) {
        size_t count = wanted - (upload->host_count - before);
        count = pg_min_size(count, upload->spare_count - upload->spare_next);
        count = pg_min_size(count, PG_UPLOAD_HOSTS_MAX - upload->host_count);
        count = pg_min_size(count, PG_PLACE_SLOTS_MAX);
        if (count == 0) {
            *out_opened = upload->host_count - before;
            return PG_OK;
        }
        PG_TRY(sessions_try(upload, count));
    }
}

// ---- Beginning

static pg_err spares_find(pg_upload *upload, const pg_peer_id *exclude, size_t exclude_count)
{
    upload->spares = pg_calloc(PG_FILES_CANDIDATES_MAX, sizeof(*upload->spares));
    if (upload->spares == NULL) {
        return PG_ERR_NOMEM;
    }
    size_t connected = 0;
    upload->spare_count =
        pg_files_candidates(upload->files, exclude, exclude_count, upload->spares, &connected);
    pg_host_set_order(upload->spares, connected, PG_BYTES_OF(upload->spec.extent_id),
                      upload->files->config.health);
    pg_host_set_order(upload->spares + connected, upload->spare_count - connected,
                      PG_BYTES_OF(upload->spec.extent_id), upload->files->config.health);
    return PG_OK;
}

static pg_err upload_make(pg_files *files, const pg_upload_spec *spec, const pg_peer_id *exclude,
                          size_t exclude_count, pg_upload **out_upload)
{
    pg_upload *upload = PG_NEW(pg_upload);
    if (upload == NULL) {
        return PG_ERR_NOMEM;
    }
    upload->files = files;
    upload->spec = *spec;
    pg_err err = pg_files_lease_key(files->config.owner, spec->extent_id, &upload->lease);
    if (err == PG_OK) {
        err = spares_find(upload, exclude, exclude_count);
    }
    if (err != PG_OK) {
        pg_upload_free(&upload);
        return err;
    }
    *out_upload = upload;
    return PG_OK;
}

static void slots_deal(pg_upload *upload)
{
    unsigned n = pg_upload_slots(upload);
    pg_slot_set dealt[PG_PLACE_SLOTS_MAX];
    if (upload->host_count == 0) {
        upload->local = (pg_slot_set) (((uint64_t) 1 << n) - 1);
    } else if (upload->spec.is_whole) {
        for (size_t i = 0; i < upload->host_count; i++) {
            upload->hosts[i].slots = 1;
        }
    } else {
        pg_slots_deal(n, (unsigned) upload->host_count, dealt);
        for (size_t i = 0; i < upload->host_count; i++) {
            upload->hosts[i].slots = dealt[i];
        }
    }
}

pg_err pg_upload_new(pg_files *files, const pg_upload_spec *spec, pg_upload **out_upload)
{
    pg_upload *upload = NULL;
    size_t opened = 0;
    PG_TRY(upload_make(files, spec, NULL, 0, &upload));
    unsigned wanted = spec->is_whole ? pg_whole_copies(spec->code) : pg_upload_slots(upload);
    pg_err err = pg_upload_open(upload, wanted, &opened);
    if (err == PG_OK && opened == 0 && upload->lost_err == PG_ERR_FULL) {
        err = pg_fail(PG_ERR_FULL, "no host has room: %s", upload->lost_why);
    }
    if (err != PG_OK) {
        pg_upload_free(&upload);
        return err;
    }
    slots_deal(upload);
    *out_upload = upload;
    return PG_OK;
}

// ---- Going on with an extent that is not on enough hosts

/** Return the index of the held host with most slots that has more than one; SIZE_MAX when none has. */
static size_t host_fullest(const pg_upload *upload, size_t old_count)
{
    size_t fullest = SIZE_MAX;
    int most = 1;
    for (size_t i = 0; i < old_count; i++) {
        int slots = __builtin_popcount(upload->hosts[i].slots);
        if (slots > most) {
            most = slots;
            fullest = i;
        }
    }
    return fullest;
}

/** Take a slot from where it stands badly: what nobody has, then what is on this node, then from the fullest host. 0 when all
 *  stand well. */
static pg_slot_set slot_take(pg_upload *upload, size_t old_count)
{
    pg_slot_set *from = upload->gaps != 0 ? &upload->gaps : &upload->local;
    if (*from == 0) {
        size_t fullest = host_fullest(upload, old_count);
        if (fullest == SIZE_MAX) {
            return 0;
        }
        from = &upload->hosts[fullest].slots;
    }
    pg_slot_set slot = *from & -*from;
    *from &= ~slot;
    return slot;
}

/** Give the new hosts their slots: one each, and all that nobody or only this node has, dealt in turn. */
static void slots_move(pg_upload *upload, size_t old_count)
{
    size_t count = upload->host_count - old_count;
    size_t at = old_count;
    for (size_t turn = 0; turn < count || (upload->local | upload->gaps) != 0; turn++) {
        pg_slot_set slot = slot_take(upload, old_count);
        if (slot == 0) {
            return;
        }
        upload->hosts[at].slots |= slot;
        at = at + 1 < upload->host_count ? at + 1 : old_count;
        upload->moving |= slot;
    }
}

static size_t slots_badly_placed(const pg_upload *upload)
{
    size_t count = (size_t) __builtin_popcount(upload->local | upload->gaps);
    for (size_t i = 0; i < upload->host_count; i++) {
        count += (size_t) __builtin_popcount(upload->hosts[i].slots) - 1;
    }
    return count;
}

static void held_take(pg_upload *upload, const pg_catalogue_extent *extent)
{
    upload->is_resumed = true;
    upload->sequence = extent->sequence;
    upload->descriptor = extent->descriptor;
    upload->local = extent->local;
    upload->gaps = pg_catalogue_missing(extent);
    for (size_t i = 0; i < pg_upload_slots(upload); i++) {
        upload->slot_bytes[i] = extent->slot_bytes;
    }
    pg_slot_set taken = 0;
    for (size_t i = 0; i < extent->holder_count; i++) {
        const pg_catalogue_holder *holder = &extent->holders[i];
        pg_assert(extent->is_whole || (holder->slots & taken) == 0); // else one is moved by half
        taken |= holder->slots;
        pg_upload_host_add(upload, &(upload_host){
                                       .peer = holder->peer,
                                       .slots = holder->slots,
                                       .had = holder->slots,
                                       .is_committed = true,
                                   });
    }
}

/** Nobody new is there, but slots are missing: the hosts that are there take them, where they let us. */
static pg_err held_open(pg_upload *upload, bool *out_better)
{
    for (size_t i = 0; i < upload->host_count && !*out_better; i++) {
        upload_host *host = &upload->hosts[i];
        pg_err err = pg_place_open(upload->files->config.host, &host->peer,
                                   upload->lease.public_key, upload->spec.expected_bytes,
                                   pg_after(PG_MS(PG_UPLOAD_OPEN_MS)), &host->session);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        *out_better = err == PG_OK; // pg_upload_fill_gaps gives it all of them
    }
    return PG_OK;
}

static pg_err resume_with(pg_upload *upload, bool *out_better)
{
    size_t old_count = upload->host_count;
    size_t opened = 0;
    size_t wanted = slots_badly_placed(upload);
    if (upload->spec.is_whole) {
        size_t copies = pg_whole_copies(upload->spec.code);
        wanted = copies > old_count ? copies - old_count : 0;
    }
    PG_TRY(pg_upload_open(upload, wanted, &opened));
    *out_better = opened > 0;
    if (opened > 0 && upload->spec.is_whole) {
        upload->local = 0;
        upload->gaps = 0;
        for (size_t i = old_count; i < upload->host_count; i++) {
            upload->hosts[i].slots = 1;
        }
    } else if (opened > 0) {
        slots_move(upload, old_count);
    } else if (upload->gaps != 0 && !upload->spec.is_whole) {
        return held_open(upload, out_better);
    }
    return PG_OK;
}

pg_err pg_upload_resume(pg_files *files, const pg_catalogue_extent *extent, pg_upload **out_upload)
{
    pg_upload *upload = NULL;
    pg_peer_id holders[PG_PLACE_SLOTS_MAX];
    bool is_better = false;
    pg_upload_spec spec = {
        .code = extent->code,
        .is_whole = extent->is_whole,
        .expected_bytes = extent->slot_bytes,
        .expiry_s = extent->expiry_s,
    };
    memcpy(spec.extent_id, extent->extent_id, sizeof(spec.extent_id));
    for (size_t i = 0; i < extent->holder_count; i++) {
        holders[i] = extent->holders[i].peer;
    }
    PG_TRY(upload_make(files, &spec, holders, extent->holder_count, &upload));
    held_take(upload, extent);
    pg_err err = resume_with(upload, &is_better);
    if (err != PG_OK || !is_better) {
        pg_upload_free(&upload);
    }
    *out_upload = upload;
    return err;
}

// ---- Going on after a crash

/** Open a session with each of the hosts at once; those that take none are lost. */
static pg_err sessions_again(pg_upload *upload)
{
    opening openings[PG_PLACE_SLOTS_MAX] = {{.upload = NULL}};
    pg_scope scope;
    pg_err err = PG_OK;
    size_t count = upload->host_count;
    pg_scope_init(&scope);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        openings[i] = (opening){.upload = upload, .peer = upload->hosts[i].peer};
        err = pg_scope_spawn(&scope, "files.open", open_run, &openings[i]);
    }
    pg_err joined = pg_scope_join(&scope);
    for (size_t i = 0; i < count; i++) {
        upload->hosts[i].session = openings[i].session;
    }
    PG_TRY(err);
    PG_TRY(joined);
    for (size_t i = 0; i < count; i++) {
        if (upload->hosts[i].session == NULL) {
            pg_upload_lose(upload, &upload->hosts[i],
                           upload->lost_err != PG_OK ? upload->lost_err : PG_ERR_UNREACHABLE);
        }
    }
    return PG_OK;
}

/** Return true when a host says that it has all shards of a slot. */
static bool slot_is_there(const upload_host *host, const pg_descriptor *so_far, unsigned slot)
{
    pg_cid cids[PG_BITSWAP_WANTS_MAX / 8];
    bool has[PG_BITSWAP_WANTS_MAX / 8];
    for (uint32_t g = 0; g < so_far->segment_count;) {
        size_t count = 0;
        for (; g < so_far->segment_count && count < PG_ARRAY_LEN(cids); g++) {
            cids[count++] = pg_block_cid_of_digest(
                pg_descriptor_digest(so_far, g, pg_code_shard_of_slot(so_far->code, g, slot)));
        }
        if (pg_place_ask(host->session, cids, count, pg_after(PG_MS(PG_UPLOAD_OPEN_MS)), has) !=
            PG_OK) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            if (!has[i]) {
                return false;
            }
        }
    }
    return true;
}

static void slots_verify(pg_upload *upload, const pg_descriptor *so_far)
{
    for (size_t i = 0; i < upload->host_count; i++) {
        upload_host *host = &upload->hosts[i];
        for (unsigned slot = 0; slot < pg_upload_slots(upload) && !host->is_lost; slot++) {
            pg_slot_set bit = (pg_slot_set) 1 << slot;
            if ((host->slots & bit) != 0 && !slot_is_there(host, so_far, slot)) {
                host->slots &= ~bit;
                upload->gaps |= bit;
            }
        }
    }
}

static void shards_count(pg_upload *upload, const pg_descriptor *so_far)
{
    for (unsigned slot = 0; slot < pg_upload_slots(upload); slot++) {
        for (uint32_t g = 0; g < so_far->segment_count; g++) {
            upload->slot_bytes[slot] += so_far->segments[g].shard_bytes;
        }
    }
}

static pg_err hosts_again(pg_upload *upload, const pg_catalogue_extent *extent,
                          const pg_descriptor *so_far)
{
    upload->gaps = pg_catalogue_missing(extent);
    for (size_t i = 0; i < extent->holder_count; i++) {
        pg_upload_host_add(upload, &(upload_host){.peer = extent->holders[i].peer,
                                                  .slots = extent->holders[i].slots});
    }
    shards_count(upload, so_far);
    PG_TRY(sessions_again(upload));
    slots_verify(upload, so_far);
    if (__builtin_popcount(upload->gaps) > upload->spec.code.parity) {
        return pg_upload_fail(upload);
    }
    return pg_upload_fill_gaps(upload, so_far);
}

static size_t holders_list(const pg_catalogue_extent *extent, pg_peer_id *out_peers)
{
    for (size_t i = 0; i < extent->holder_count; i++) {
        out_peers[i] = extent->holders[i].peer;
    }
    return extent->holder_count;
}

pg_err pg_upload_go_on(pg_files *files, const pg_upload_spec *spec,
                       const pg_catalogue_extent *extent, const pg_descriptor *so_far,
                       pg_upload **out_upload)
{
    pg_upload *upload = NULL;
    pg_peer_id holders[PG_PLACE_SLOTS_MAX];
    PG_TRY(upload_make(files, spec, holders, holders_list(extent, holders), &upload));
    upload->sequence = extent->sequence;
    pg_err err = hosts_again(upload, extent, so_far);
    if (err != PG_OK) {
        pg_error_record record = pg_error_keep();
        pg_upload_free(&upload);
        return pg_error_again(&record, err);
    }
    *out_upload = upload;
    return PG_OK;
}

pg_err pg_upload_reopen(pg_files *files, const pg_catalogue_extent *extent, pg_upload **out_upload)
{
    pg_upload *upload = NULL;
    pg_peer_id holders[PG_PLACE_SLOTS_MAX];
    pg_upload_spec spec = {.code = extent->code, .expiry_s = extent->expiry_s};
    memcpy(spec.extent_id, extent->extent_id, sizeof(spec.extent_id));
    PG_TRY(upload_make(files, &spec, holders, holders_list(extent, holders), &upload));
    held_take(upload, extent);
    upload->is_resumed = false;
    for (size_t i = 0; i < upload->host_count; i++) {
        upload->hosts[i].had = 0; // it has not the root yet
    }
    pg_err err = sessions_again(upload);
    if (err != PG_OK) {
        pg_upload_free(&upload);
        return err;
    }
    *out_upload = upload;
    return PG_OK;
}

// ---- Shards

/** One shard on its way. */
typedef struct push {
    pg_upload *upload;
    upload_host *host; // NULL: kept here
    const pg_cid *cid;
    pg_bytes bytes;
} push;

upload_host *pg_upload_host_of(pg_upload *upload, unsigned slot)
{
    for (size_t i = 0; i < upload->host_count; i++) {
        upload_host *host = &upload->hosts[i];
        if (!host->is_lost && (host->slots >> slot & 1) != 0) {
            return host;
        }
    }
    return NULL;
}

/** Keep a block on this node, and remember that until the catalogue does. */
static pg_err keep_here(pg_upload *upload, const pg_cid *cid, pg_bytes bytes)
{
    PG_TRY(pg_keep_put(&upload->files->keep, cid, bytes));
    pg_err err = pg_buf_append(&upload->kept, pg_bytes_make(cid, sizeof(*cid)));
    if (err != PG_OK) {
        pg_keep_drop(&upload->files->keep, cid);
    }
    return err;
}

static void kept_drop(pg_upload *upload)
{
    for (size_t at = 0; at < upload->kept.len; at += sizeof(pg_cid)) {
        pg_cid cid;
        memcpy(&cid, upload->kept.ptr + at, sizeof(cid));
        pg_keep_drop(&upload->files->keep, &cid);
    }
    pg_buf_deinit(&upload->kept);
}

// The time for a shard begins when it is its turn: on a slow line those of several segments wait for each other.
static pg_err turn_take(upload_host *host)
{
    while (!host->is_lost && host->pushes == PG_UPLOAD_PUSHES_MAX) {
        PG_TRY(pg_waitq_wait(&host->turn, PG_FOREVER)); // each push has its deadline
    }
    host->pushes++;
    return PG_OK;
}

static void turn_give(upload_host *host)
{
    host->pushes--;
    (void) pg_waitq_wake_one(&host->turn);
}

pg_err pg_upload_push(pg_upload *upload, upload_host *host, const pg_cid *cid, pg_bytes bytes)
{
    if (host == NULL) {
        return keep_here(upload, cid, bytes);
    }
    PG_TRY(turn_take(host));
    pg_err err = PG_OK;
    if (!host->is_lost) { // else its slots are gaps already
        err = pg_place_push(host->session, cid, bytes, pg_after(PG_MS(PG_UPLOAD_PUSH_MS)));
    }
    turn_give(host);
    host->has_taken |= err == PG_OK && !host->is_lost;
    if (err == PG_ERR_CANCELLED && pg_fiber_is_cancelled()) {
        return err;
    }
    if (err != PG_OK) {
        pg_upload_lose(upload, host, err);
    }
    return PG_OK;
}

static pg_err push_run(void *arg)
{
    const push *self = arg;
    return pg_upload_push(self->upload, self->host, self->cid, self->bytes);
}

pg_err pg_upload_shards(pg_upload *upload, const pg_shard *shards, unsigned count)
{
    push pushes[PG_CODE_SHARDS_MAX];
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < count && err == PG_OK; i++) {
        unsigned slot = shards[i].slot;
        upload_host *host = pg_upload_host_of(upload, slot);
        upload->slot_bytes[slot] += shards[i].bytes.len;
        if (host == NULL && (upload->local >> slot & 1) == 0) {
            continue; // a gap: rebuilt at the end
        }
        pushes[i] = (push){upload, host, &shards[i].cid, shards[i].bytes};
        err = pg_scope_spawn(&scope, "files.push", push_run, &pushes[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    PG_TRY(pg_scope_join(&scope));
    // What more than the parity can replace exists nowhere else.
    return __builtin_popcount(upload->gaps) > upload->spec.code.parity ? pg_upload_fail(upload)
                                                                       : PG_OK;
}

// ---- The end

static void extent_fill(const pg_upload *upload, pg_catalogue_extent *extent)
{
    pg_catalogue_extent made = {
        .id = extent->id,
        .descriptor = upload->descriptor,
        .root = upload->root,
        .is_whole = upload->spec.is_whole,
        .code = upload->spec.code,
        .sequence = upload->sequence,
        .expiry_s = upload->spec.expiry_s,
        .local = upload->local,
    };
    memcpy(made.extent_id, upload->spec.extent_id, sizeof(made.extent_id));
    for (unsigned i = 0; i < pg_upload_slots(upload); i++) {
        made.slot_bytes =
            upload->slot_bytes[i] > made.slot_bytes ? upload->slot_bytes[i] : made.slot_bytes;
    }
    for (size_t i = 0; i < upload->host_count && made.holder_count < PG_PLACE_SLOTS_MAX; i++) {
        const upload_host *host = &upload->hosts[i];
        made.has_strays |= host->is_lost && host->is_asked;
        if (!host->is_lost && host->slots != 0) {
            made.holders[made.holder_count++] = (pg_catalogue_holder){
                .peer = host->peer,
                .slots = host->slots,
                .bytes = (uint64_t) __builtin_popcount(host->slots) * made.slot_bytes,
            };
        }
    }
    *extent = made;
}

void pg_upload_describe(const pg_upload *upload, pg_catalogue_extent *out_extent)
{
    extent_fill(upload, out_extent);
}

/** Bring the shards of gaps where they belong, and ask all for their promise. */
static pg_err finish_round(pg_upload *upload, const pg_descriptor *descriptor, pg_bytes block,
                           pg_catalogue_extent *extent)
{
    PG_TRY(pg_upload_fill_gaps(upload, descriptor));
    if (upload->spec.record != NULL) {
        extent_fill(upload, extent);
        PG_TRY(upload->spec.record(extent, upload->spec.user));
    }
    return pg_upload_commit(upload, block);
}

static pg_err finish_rounds(pg_upload *upload, pg_bytes block, pg_catalogue_extent *extent)
{
    pg_descriptor descriptor = {.segment_count = 0};
    pg_err err = PG_OK;
    if (!upload->spec.is_whole) {
        err = pg_descriptor_decode(block, &descriptor);
    }
    for (unsigned round = 0; round < PG_UPLOAD_ROUNDS_MAX && err == PG_OK; round++) {
        err = finish_round(upload, &descriptor, block, extent);
        if (err != PG_OK || upload->gaps == 0) {
            break;
        }
    }
    pg_descriptor_deinit(&descriptor);
    return err == PG_OK && upload->gaps != 0 ? pg_upload_fail(upload) : err;
}

pg_err pg_upload_finish(pg_upload *upload, pg_bytes block, const pg_cid *cid,
                        pg_catalogue_extent *extent)
{
    upload->descriptor = *cid;
    if (upload->spec.is_whole) {
        upload->slot_bytes[0] = block.len;
    }
    PG_TRY(pg_upload_sign(upload));
    PG_TRY(finish_rounds(upload, block, extent));
    if (upload->local != 0) {
        PG_TRY(keep_here(upload, cid, block));
    }
    extent_fill(upload, extent);
    return PG_OK;
}

void pg_upload_recorded(pg_upload *upload)
{
    pg_buf_deinit(&upload->kept);
}

pg_err pg_upload_seal(pg_upload *upload, pg_bytes root, const pg_cid *root_cid,
                      pg_catalogue_extent *extent)
{
    size_t hosts = pg_upload_host_count(upload);
    if (root_cid != NULL) {
        upload->root = *root_cid;
        PG_TRY(pg_upload_sign(upload));
    }
    size_t sealed = 0;
    PG_TRY(pg_upload_tell(upload, root, &sealed));
    for (size_t i = 0; i < upload->host_count; i++) {
        sealed += upload->hosts[i].had != 0 ? 1 : 0; // has it from before
    }
    if (root_cid != NULL && upload->local != 0) {
        PG_TRY(keep_here(upload, root_cid, root));
    } else if (root_cid != NULL &&
               sealed < pg_max_size(pg_min_size(hosts, (size_t) upload->spec.code.parity + 1), 1)) {
        return pg_upload_fail(upload);
    }
    extent_fill(upload, extent);
    return PG_OK;
}

/** Tell the health book. Where no host at all took something it may be this node that is cut off, and nobody is the worse for it. */
static void hosts_note(const pg_upload *upload)
{
    size_t taken = 0;
    for (size_t i = 0; i < upload->host_count; i++) {
        taken += upload->hosts[i].has_taken && !upload->hosts[i].is_lost ? 1 : 0;
    }
    for (size_t i = 0; i < upload->host_count && taken > 0; i++) {
        const upload_host *host = &upload->hosts[i];
        const pg_health_observation seen = {
            .peer = &host->peer,
            .kind = host->is_at_fault ? PG_HEALTH_REFUSED : PG_HEALTH_TRANSFER_OK,
        };
        if (host->is_at_fault || (host->has_taken && !host->is_lost)) {
            pg_health_note(upload->files->config.health, &seen);
        }
    }
}

void pg_upload_free(pg_upload **upload)
{
    pg_upload *dead = *upload;
    if (dead == NULL) {
        return;
    }
    hosts_note(dead);
    for (size_t i = 0; i < dead->host_count; i++) {
        pg_place_session_free(&dead->hosts[i].session);
        pg_buf_deinit(&dead->hosts[i].receipt);
    }
    kept_drop(dead);
    pg_identity_deinit(&dead->lease);
    pg_buf_deinit(&dead->grant);
    pg_mfree(dead->spares);
    pg_mfree(dead);
    *upload = NULL;
}
