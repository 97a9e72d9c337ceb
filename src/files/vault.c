// SPDX-License-Identifier: Apache-2.0
// Rounds of the archive: which of the leases of this node are cold and below their redundancy, and whose turn it is to archive them. Who else opted in
// is not known, so that hosts take turns in the order in which an extent prefers them, as with repairs; each looks first whether one before it did.
#include "files/vault.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "exchange/place_neighbours.h"
#include "files/discover.h"
#include "files/extents.h"
#include "files/limits.h"
#include "files/vault_priv.h"
#include "runtime/random.h"
#include "runtime/time.h"

// ---- Shared

void pg_vault_note(pg_vault *vault, pg_err err)
{
    if (err == PG_ERR_CANCELLED || err == PG_ERR_CLOSED) {
        return;
    }
    if (err != PG_OK) {
        (void) snprintf(vault->totals.failure, sizeof(vault->totals.failure), "%s: %s",
                        pg_err_name(err), pg_error_detail(err));
        if (!vault->totals.is_failing) {
            pg_log(PG_LOG_LEVEL_WARN, "vault.failed", PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
        }
    }
    vault->totals.is_failing = err != PG_OK;
}

pg_err pg_vault_pace(const pg_vault *vault, pg_time *at, uint64_t bytes)
{
    uint64_t bandwidth = vault->config.rules.bandwidth;
    if (bandwidth == 0) {
        return PG_OK;
    }
    pg_time from = *at > pg_now() ? *at : pg_now();
    *at = from + (int64_t) ((double) bytes / (double) bandwidth * 1e9);
    return pg_sleep_until(from);
}

pg_vault_row *pg_vault_row_of(const pg_vault *vault, const pg_cid *descriptor)
{
    return pg_map_get(&vault->rows, pg_cid_bytes(descriptor));
}

static bool has_credentials(const pg_vault *vault)
{
    return vault->config.s3 == NULL || pg_s3_has_credentials(vault->config.s3);
}

pg_err pg_vault_enter(pg_vault *vault)
{
    if (vault->is_ending) {
        return PG_ERR_CLOSED;
    }
    if (!has_credentials(vault)) {
        return pg_fail(PG_ERR_KEY, "there are no credentials: `pangea archive login`");
    }
    vault->readers++;
    return PG_OK;
}

void pg_vault_leave(pg_vault *vault)
{
    vault->readers--;
    pg_waitq_wake_all(&vault->idle);
}

void pg_vault_index(pg_vault *vault, pg_vault_row *row, bool on)
{
    if (row->root.len == 0) {
        return;
    }
    pg_bytes root = pg_cid_bytes(&row->root);
    const pg_vault_row *known = pg_map_get(&vault->roots, root);
    if (on && known == NULL) {
        pg_ignore(pg_map_add(&vault->roots, root, row), "without memory it is not found");
    } else if (!on && known == row) {
        (void) pg_map_take(&vault->roots, root);
    }
}

// ---- Which leases are cold

/** What is done with each lease of this node. */
typedef pg_err (*lease_fn)(pg_vault *vault, const pg_place_lease *lease, void *user);

static pg_err leases_each(pg_vault *vault, lease_fn each, void *user)
{
    pg_buf page PG_CLEANUP(pg_buf_deinit) = {0};
    int64_t after = 0;
    do {
        pg_buf_clear(&page);
        PG_TRY(pg_place_server_page(vault->config.place, after, &page));
        for (size_t at = 0; at + sizeof(pg_place_lease) <= page.len; at += sizeof(pg_place_lease)) {
            pg_place_lease lease;
            memcpy(&lease, page.ptr + at, sizeof(lease));
            after = lease.id;
            PG_TRY(each(vault, &lease, user));
        }
    } while (page.len > 0);
    return PG_OK;
}

static pg_err lease_add(pg_vault *vault, const vault_lease *lease)
{
    vault_lease *made = PG_NEW(vault_lease);
    if (made == NULL) {
        return PG_ERR_NOMEM;
    }
    *made = *lease;
    pg_err err = pg_map_add(&vault->leases, pg_cid_bytes(&made->descriptor), made);
    if (err != PG_OK) {
        pg_mfree(made);
    }
    return err;
}

static vault_lease *lease_of(const pg_vault *vault, const pg_cid *descriptor)
{
    return pg_map_get(&vault->leases, pg_cid_bytes(descriptor));
}

/** Return true when one of the shards in `slots` was sent to somebody. */
static bool has_read(const pg_vault *vault, const pg_descriptor *read, pg_slot_set slots)
{
    for (uint32_t segment = 0; segment < read->segment_count; segment++) {
        for (unsigned slot = 0; slot < pg_code_shards(read->code); slot++) {
            if ((slots >> slot & 1) == 0) {
                continue;
            }
            const uint8_t *digest = pg_descriptor_digest(
                read, segment, pg_code_shard_of_slot(read->code, segment, slot));
            const pg_cid cid = pg_block_cid_of_digest(digest);
            if (pg_map_get(&vault->reads, pg_cid_bytes(&cid)) != NULL) {
                return true;
            }
        }
    }
    return false;
}

static bool was_read(pg_vault *vault, const pg_place_lease *lease)
{
    pg_block_store *blocks = vault->config.files->config.blocks;
    pg_buf block PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_BITSWAP_BLOCK_BYTES_MAX};
    pg_descriptor read = {.segment_count = 0};
    if (vault->has_more_reads || pg_map_count(&vault->reads) == 0 || lease->is_whole) {
        return vault->has_more_reads ||
               pg_map_get(&vault->reads, pg_cid_bytes(&lease->descriptor)) != NULL;
    }
    if (pg_block_store_get(blocks, &lease->descriptor, &block) != PG_OK ||
        pg_descriptor_decode(pg_buf_bytes(&block), &read) != PG_OK) {
        return true; // not known: as if it were
    }
    bool is_read = has_read(vault, &read, lease->slots);
    pg_descriptor_deinit(&read);
    return is_read;
}

/** See that the lease is known, and whether it was read; follow what its owner granted. */
static pg_err on_lease_see(pg_vault *vault, const pg_place_lease *lease, void *user)
{
    pg_vault_round *round = user;
    uint64_t now_s = pg_guard_now_s();
    vault_lease *known = lease_of(vault, &lease->descriptor);
    pg_vault_row *row = pg_vault_row_of(vault, &lease->descriptor);
    if (known == NULL) {
        const vault_lease made = {
            .descriptor = lease->descriptor, .read_s = now_s, .is_changed = true};
        PG_TRY(lease_add(vault, &made));
        known = lease_of(vault, &lease->descriptor);
    } else if (was_read(vault, lease)) {
        known = lease_of(vault, &lease->descriptor); // it parked
        known->is_changed = known->read_s != now_s;
        known->read_s = now_s;
    }
    known->round = vault->totals.rounds_total;
    round->looked++;
    if (row != NULL) {
        row->round = vault->totals.rounds_total;
        row->ask_at = 0;
        row->asks = 0;
        row->is_dropped = false; // granted anew, if it was
        row->sequence = lease->sequence;
        if (row->expiry_s != lease->expiry_s) {
            row->expiry_s = lease->expiry_s;
            PG_TRY(pg_vault_row_write(vault->config.files->config.db, row));
        }
    }
    return PG_OK;
}

static void reads_forget(pg_vault *vault)
{
    pg_map_deinit(&vault->reads);
    vault->reads = (pg_map){.head = NULL};
    vault->has_more_reads = false;
}

/** Forget leases that are no more, and write what changed. */
static pg_err leases_settle(pg_vault *vault)
{
    pg_buf changed PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL};
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&vault->leases, &cursor)) {
        vault_lease *lease = cursor.value;
        bool is_gone = lease->round != vault->totals.rounds_total;
        if (!is_gone && !lease->is_changed) {
            continue;
        }
        lease->read_s = is_gone ? 0 : lease->read_s;
        lease->is_changed = false;
        PG_TRY(pg_buf_append(&changed, pg_bytes_make(lease, sizeof(*lease))));
        if (is_gone) {
            (void) pg_map_take(&vault->leases, pg_cid_bytes(&lease->descriptor));
            pg_mfree(lease);
        }
    }
    return pg_vault_reads_write(vault->config.files->config.db, pg_buf_bytes(&changed));
}

// ---- Whose turn it is

static int64_t round_ns(const pg_vault *vault)
{
    uint64_t part = vault->config.rules.cold_after_s / PG_VAULT_ROUND_PART;
    part = part < PG_VAULT_ROUND_S_MIN   ? PG_VAULT_ROUND_S_MIN
           : part > PG_VAULT_ROUND_S_MAX ? PG_VAULT_ROUND_S_MAX
                                         : part;
    return PG_SECONDS(part);
}

static pg_err has_silent_host(const pg_vault *vault, const pg_place_lease *lease, bool *out_has)
{
    pg_buf hosts PG_CLEANUP(pg_buf_deinit) = {0};
    *out_has = false;
    PG_TRY(pg_place_server_hosts(vault->config.place, lease->id, &hosts));
    for (size_t at = 0; at + sizeof(pg_peer_id) <= hosts.len; at += sizeof(pg_peer_id)) {
        pg_peer_id id;
        memcpy(&id, hosts.ptr + at, sizeof(id));
        const guard_peer *peer = pg_guard_peer(vault->config.guard, &id);
        *out_has |= peer != NULL && peer->silent_s != 0;
    }
    return PG_OK;
}

/** Return true when a node gives some of what it says it has archived: the descriptor, and a data shard chosen by chance. */
static bool has_archived(const pg_vault *vault, const pg_peer_id *peer, const guard_exam *exam)
{
    pg_bitswap *bitswap = vault->config.files->config.bitswap;
    pg_buf block PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_BITSWAP_BLOCK_BYTES_MAX};
    pg_buf shard PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_SHARD_BYTES_MAX};
    pg_time deadline = pg_after(PG_MS(PG_FETCH_SHARD_MS));
    if (pg_bitswap_fetch(bitswap, peer, &exam->descriptor, deadline, &block) != PG_OK) {
        return false;
    }
    if (exam->is_whole) {
        return true;
    }
    uint32_t segment = (uint32_t) pg_random_below(exam->read.segment_count);
    unsigned number = (unsigned) pg_random_below(exam->read.code.data);
    const pg_cid cid = pg_block_cid_of_digest(pg_descriptor_digest(&exam->read, segment, number));
    return pg_bitswap_fetch(bitswap, peer, &cid, deadline, &shard) == PG_OK;
}

static bool is_elsewhere(const pg_vault *vault, const guard_exam *exam)
{
    pg_peer_id peers[PG_PROVIDERS_MAX];
    size_t count = pg_discover_archived(vault->config.files, &exam->descriptor, peers);
    for (size_t i = 0; i < count && !pg_fiber_is_cancelled(); i++) {
        if (has_archived(vault, &peers[i], exam)) {
            return true;
        }
    }
    return false;
}

static bool is_below(const guard_exam *exam)
{
    return exam->is_whole ? exam->plan.copies_lost > 0 : exam->plan.at_risk != 0;
}

static void upload_note(pg_vault *vault, const guard_exam *exam, pg_err err)
{
    const pg_vault_row *row = pg_vault_row_of(vault, &exam->descriptor);
    pg_buf detail = {.ptr = NULL};
    pg_err made = err == PG_OK && row != NULL
                      ? pg_buf_printf(&detail, "%llu bytes copied into the archive",
                                      (unsigned long long) row->bytes)
                      : pg_buf_printf(&detail, "archive: %s", pg_error_detail(err));
    pg_vault_note(vault, err);
    pg_ignore(made, "then without it");
    vault->totals.uploads_total += err == PG_OK ? 1 : 0;
    vault->totals.uploads_failed_total += err == PG_OK ? 0 : 1;
    pg_guard_note(vault->config.guard, &exam->descriptor,
                  err == PG_OK ? "archived" : "not-archived", &detail);
}

/** One extent that is cold being looked at. */
typedef struct looking {
    const pg_place_lease *lease;
    bool by_hand;
    pg_vault_round *round;
} looking;

/** Note when an extent is to be archived, and looked at. It may have gone while this fiber was parked. */
static void known_set(const pg_vault *vault, const pg_cid *descriptor, pg_time due, pg_time look_at)
{
    vault_lease *known = lease_of(vault, descriptor);
    if (known != NULL) {
        known->due = due;
        known->look_at = look_at;
    }
}

/** Return when it is our turn: as it was found before, or reckoned from now. */
static pg_time due_of(const pg_vault *vault, const guard_exam *exam)
{
    const vault_lease *known = lease_of(vault, &exam->descriptor);
    return known != NULL && known->due != 0
               ? known->due
               : pg_after((int64_t) (exam->plan.position + 1) * round_ns(vault));
}

static pg_err extent_decide(pg_vault *vault, const looking *self, guard_exam *exam)
{
    const pg_cid *descriptor = &self->lease->descriptor;
    bool is_begun = pg_vault_row_of(vault, descriptor) != NULL;
    PG_TRY(pg_guard_examine(vault->config.guard, descriptor, NULL, 0, exam));
    pg_time later = pg_after(PG_SECONDS(PG_VAULT_LOOK_S));
    pg_time due = due_of(vault, exam);
    if (!is_below(exam) && !vault->config.rules.healthy_too && !is_begun) {
        known_set(vault, descriptor, 0, later);
        return PG_OK;
    }
    self->round->cold++;
    if (!self->by_hand && !is_begun && pg_now() < due) {
        known_set(vault, descriptor, due, 0);
        return PG_OK;
    }
    if (!is_begun && is_elsewhere(vault, exam)) {
        self->round->elsewhere++;
        known_set(vault, descriptor, 0, later);
        return PG_OK;
    }
    pg_err err = pg_vault_upload(vault, self->lease, exam);
    if (err == PG_ERR_CANCELLED) {
        return err;
    }
    known_set(vault, descriptor, err == PG_OK ? 0 : due,
              err == PG_OK ? later : pg_after(round_ns(vault)));
    *(err == PG_OK ? &self->round->uploaded : &self->round->failed) += 1;
    upload_note(vault, exam, err);
    return PG_OK;
}

/** Return true when an extent is to be looked at now. */
static pg_err is_looked_at(pg_vault *vault, const looking *self, bool *out_is)
{
    const vault_lease *known = lease_of(vault, &self->lease->descriptor);
    const pg_vault_row *row = pg_vault_row_of(vault, &self->lease->descriptor);
    uint64_t now_s = pg_guard_now_s();
    *out_is = false;
    if (known == NULL || (row != NULL && row->state == PG_VAULT_STATE_STORED)) {
        return PG_OK;
    }
    if (row == NULL &&
        (now_s < known->read_s || now_s - known->read_s < vault->config.rules.cold_after_s)) {
        return PG_OK;
    }
    *out_is = self->by_hand || pg_now() >= known->look_at;
    return *out_is ? PG_OK : has_silent_host(vault, self->lease, out_is);
}

static pg_err on_lease_look(pg_vault *vault, const pg_place_lease *lease, void *user)
{
    looking self = *(const looking *) user;
    bool is_looked = false;
    self.lease = lease;
    PG_TRY(is_looked_at(vault, &self, &is_looked));
    if (!is_looked) {
        return PG_OK;
    }
    guard_exam *exam = PG_NEW(guard_exam);
    if (exam == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = extent_decide(vault, &self, exam);
    pg_guard_exam_deinit(exam);
    pg_mfree(exam);
    return err == PG_ERR_CANCELLED || err == PG_ERR_NOMEM ? err : PG_OK;
}

// ---- Rounds

static pg_err round_do(pg_vault *vault, bool by_hand, pg_vault_round *round)
{
    looking look = {.by_hand = by_hand, .round = round};
    vault->totals.rounds_total++;
    pg_err err = leases_each(vault, on_lease_see, round);
    reads_forget(vault);
    PG_TRY(err);
    PG_TRY(leases_settle(vault));
    PG_TRY(pg_vault_tend(vault, by_hand, round));
    return leases_each(vault, on_lease_look, &look);
}

static pg_err round_run(pg_vault *vault, bool by_hand, pg_vault_round *round)
{
    while (vault->is_running) { // one at a time
        PG_TRY(pg_waitq_wait(&vault->idle, PG_FOREVER));
    }
    PG_TRY(pg_vault_enter(vault));
    vault->is_running = true;
    pg_err err = round_do(vault, by_hand, round);
    vault->is_running = false;
    pg_vault_leave(vault);
    return err;
}

pg_err pg_vault_run(pg_vault *vault, pg_vault_round *out_round)
{
    pg_vault_round round = {.looked = 0};
    PG_TRY(round_run(vault, true, &round));
    *out_round = round;
    return PG_OK;
}

static pg_err rounds_run(void *arg)
{
    pg_vault *vault = arg;
    for (;;) {
        int64_t wait_ns = round_ns(vault);
        wait_ns += (int64_t) pg_random_below((uint64_t) wait_ns / 4);
        pg_err err = pg_waitq_wait(&vault->wake, pg_after(wait_ns));
        PG_TRY(err == PG_ERR_TIMEOUT ? PG_OK : err);
        pg_vault_round round = {.looked = 0};
        err = has_credentials(vault) ? round_run(vault, false, &round) : PG_OK;
        if (err == PG_ERR_CANCELLED || err == PG_ERR_CLOSED) {
            return PG_ERR_CANCELLED;
        }
        if (err != PG_OK) {
            pg_vault_note(vault, err);
        }
    }
}

// ---- Telling

bool pg_vault_has(const pg_vault *vault, const pg_cid *descriptor)
{
    const pg_vault_row *row = vault == NULL ? NULL : pg_vault_row_of(vault, descriptor);
    return row != NULL && row->state == PG_VAULT_STATE_STORED;
}

uint64_t pg_vault_mark(const pg_vault *vault)
{
    return vault == NULL ? 0 : vault->mark;
}

pg_err pg_vault_each(const pg_vault *vault, pg_err (*each)(const pg_cid *cid, void *user),
                     void *user)
{
    pg_map_cursor cursor = {.begun = false};
    while (vault != NULL && pg_map_next(&vault->rows, &cursor)) {
        const pg_vault_row *row = cursor.value;
        if (row->state == PG_VAULT_STATE_STORED) {
            PG_TRY(each(&row->descriptor, user));
            PG_TRY(row->root.len > 0 ? each(&row->root, user) : PG_OK);
        }
    }
    return PG_OK;
}

pg_vault_stats pg_vault_get_stats(const pg_vault *vault)
{
    pg_vault_stats stats = vault->totals;
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&vault->rows, &cursor)) {
        const pg_vault_row *row = cursor.value;
        stats.extents += row->state == PG_VAULT_STATE_STORED ? 1 : 0;
        stats.bytes += row->state == PG_VAULT_STATE_STORED ? row->bytes : 0;
        stats.damaged += row->state == PG_VAULT_STATE_DAMAGED ? 1 : 0;
    }
    cursor = (pg_map_cursor){.begun = false};
    while (pg_map_next(&vault->leases, &cursor)) {
        stats.pending += ((const vault_lease *) cursor.value)->due != 0 ? 1 : 0;
    }
    stats.has_credentials = has_credentials(vault);
    stats.rules = vault->config.rules;
    if (vault->config.s3 != NULL) {
        stats.requests = pg_s3_get_stats(vault->config.s3);
    }
    return stats;
}

void pg_vault_set_rules(pg_vault *vault, const pg_vault_rules *rules)
{
    vault->config.rules = *rules;
}

// ---- Credentials

pg_err pg_vault_login(pg_vault *vault, const pg_s3_credentials *credentials)
{
    PG_TRY(pg_vault_credentials_write(vault->config.files->config.db, credentials));
    vault->totals.is_failing = false;
    vault->totals.failure[0] = '\0';
    return vault->config.s3 == NULL ? PG_OK : pg_s3_credentials_set(vault->config.s3, credentials);
}

static pg_err credentials_load(pg_vault *vault)
{
    pg_s3_credentials credentials;
    pg_err err = pg_vault_credentials_read(vault->config.files->config.db, &credentials);
    if (err == PG_OK && vault->config.s3 != NULL) {
        err = pg_s3_credentials_set(vault->config.s3, &credentials);
    }
    pg_wipe(&credentials, sizeof(credentials));
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

// ---- Beginning and end

static pg_err rows_load(pg_vault *vault)
{
    pg_buf rows PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL};
    PG_TRY(pg_vault_rows_read(vault->config.files->config.db, &rows));
    for (size_t at = 0; at + sizeof(pg_vault_row) <= rows.len; at += sizeof(pg_vault_row)) {
        pg_vault_row *row = PG_NEW(pg_vault_row);
        if (row == NULL) {
            return PG_ERR_NOMEM;
        }
        memcpy(row, rows.ptr + at, sizeof(*row));
        pg_err err = pg_map_add(&vault->rows, pg_cid_bytes(&row->descriptor), row);
        if (err != PG_OK) {
            pg_mfree(row);
            return err;
        }
        pg_vault_index(vault, row, true);
    }
    return PG_OK;
}

static pg_err reads_load(pg_vault *vault)
{
    pg_buf leases PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL};
    PG_TRY(pg_vault_reads_read(vault->config.files->config.db, &leases));
    for (size_t at = 0; at + sizeof(vault_lease) <= leases.len; at += sizeof(vault_lease)) {
        vault_lease lease;
        memcpy(&lease, leases.ptr + at, sizeof(lease));
        PG_TRY(lease_add(vault, &lease));
    }
    return PG_OK;
}

pg_err pg_vault_new(const pg_vault_config *config, pg_vault **out_vault)
{
    pg_vault *vault = PG_NEW(pg_vault);
    if (vault == NULL) {
        return PG_ERR_NOMEM;
    }
    vault->config = *config;
    vault->objects = *config->objects;
    pg_scope_init_tolerant(&vault->scope);
    pg_waitq_init(&vault->wake);
    pg_waitq_init(&vault->idle);
    pg_err err = credentials_load(vault);
    if (err == PG_OK) {
        err = rows_load(vault);
    }
    if (err == PG_OK) {
        err = reads_load(vault);
    }
    if (err == PG_OK) {
        pg_vault_serve(vault, true);
        vault->mark = 1;
        err = pg_scope_spawn(&vault->scope, "vault.round", rounds_run, vault);
    }
    if (err != PG_OK) {
        pg_vault_free(&vault);
        return err;
    }
    *out_vault = vault;
    return PG_OK;
}

static void values_free(pg_map *map)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(map, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(map);
}

void pg_vault_dropped(pg_vault *vault, const pg_lease_grant *grant)
{
    pg_vault_row *row = vault == NULL ? NULL : pg_vault_row_of(vault, &grant->descriptor);
    if (row != NULL && memcmp(row->lease_key, grant->lease_key, sizeof(row->lease_key)) == 0) {
        row->is_dropped = true;
    }
}

void pg_vault_end(pg_vault *vault)
{
    if (vault != NULL) {
        vault->is_ending = true;
        pg_s3_end(vault->config.s3);
    }
}

void pg_vault_free(pg_vault **vault)
{
    pg_vault *dead = *vault;
    if (dead == NULL) {
        return;
    }
    *vault = NULL;
    pg_vault_end(dead);
    pg_vault_serve(dead, false);
    pg_scope_close(&dead->scope);
    while (dead->readers > 0) {
        pg_ignore(pg_waitq_wait(&dead->idle, PG_FOREVER), "looked at again");
    }
    pg_vault_close(dead, NULL);
    values_free(&dead->rows);
    values_free(&dead->leases);
    pg_map_deinit(&dead->roots);
    pg_map_deinit(&dead->reads);
    pg_mfree(dead);
}
