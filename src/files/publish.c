// SPDX-License-Identifier: Apache-2.0
#include "files/publish.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dht/feed.h"
#include "files/catalogue_export.h"
#include "files/catalogue_import.h"
#include "files/limits.h"
#include "files/pointer.h"
#include "files/service_priv.h"
#include "runtime/random.h"

#define NAME PG_BYTES_LIT("catalogue")

static void buf_wipe(pg_buf *buf)
{
    if (buf->ptr != NULL) {
        pg_wipe(buf->ptr, buf->cap);
    }
    pg_buf_deinit(buf);
}

// ---- The snapshot

static uint64_t removed_since_s(void)
{
    uint64_t now_s = (uint64_t) pg_wall_ms() / 1000;
    return now_s > PG_REMOVED_TTL_S ? now_s - PG_REMOVED_TTL_S : 0;
}

/** Note what came of reading the catalogue. */
static pg_err export_note(pg_publisher *self, pg_export *export, pg_err err)
{
    if (err == PG_OK) {
        self->is_empty = export->is_empty;
        self->snapshot_bytes = export->bytes;
        pg_export_digest(export, self->digest);
    } else if (export->is_too_large) {
        self->is_too_large = true;
        pg_log(PG_LOG_LEVEL_WARN, "files.catalogue.too_large",
               PG_LOG_U64("bytes_max", self->bytes_max));
    } else {
        self->is_dirty = true;
    }
    return err;
}

static pg_err export_drain(pg_export *export)
{
    pg_buf space PG_CLEANUP(buf_wipe) = {0};
    uint8_t *ptr = NULL;
    size_t len = PG_SNAPSHOT_STEP_BYTES;
    PG_TRY(pg_buf_extend(&space, len, &ptr));
    while (len > 0) {
        PG_TRY(pg_export_read(pg_mut_bytes_make(ptr, space.len), PG_FOREVER, &len, export));
    }
    return PG_OK;
}

/** Read the catalogue as it is now, for its digest and its length. */
static pg_err digest_make(pg_files *files)
{
    pg_publisher *self = &files->publisher;
    pg_export export PG_CLEANUP(pg_export_deinit) = {.bytes = 0};
    self->is_dirty = false; // what changes from here on may be in it or not
    self->is_too_large = false;
    self->snapshots++;
    pg_err err = pg_export_forget(files->config.db, removed_since_s());
    if (err == PG_OK) {
        err = pg_export_init(&export, files->config.db, self->bytes_max);
    }
    if (err == PG_OK) {
        err = export_drain(&export);
    }
    return export_note(self, &export, err);
}

/** Have the digest of the catalogue as it is now; it is read only if it changed. */
static pg_err digest_renew(pg_files *files)
{
    const pg_publisher *self = &files->publisher;
    if (self->is_dirty) {
        return digest_make(files);
    }
    return self->is_too_large ? pg_export_fail_too_large(self->bytes_max) : PG_OK;
}

// ---- Taking in what another device published

static bool is_restoring(const pg_files *files)
{
    return files->config.is_restored && !files->publisher.own.is_found;
}

/** A version of another device. It is read twice, and is the same both times, since its root says what it is: all of it has to be good before
 *  any of it comes in. */
typedef struct foreign {
    pg_files *files;
    pg_link link;
    pg_snapshot_decoder check;
    pg_sha256_stream digest;
    pg_import import;
} foreign;

static pg_err on_root(const pg_root *root, void *user)
{
    (void) user;
    return root->size_bytes <= PG_SNAPSHOT_BYTES_MAX
               ? PG_OK
               : pg_fail(PG_ERR_LIMIT, "the catalogue has %llu bytes, at most %llu are read",
                         (unsigned long long) root->size_bytes,
                         (unsigned long long) PG_SNAPSHOT_BYTES_MAX);
}

static pg_err on_bytes_check(pg_bytes bytes, void *user)
{
    foreign *self = user;
    pg_sha256_stream_update(&self->digest, bytes);
    return pg_snapshot_decode(&self->check, bytes);
}

static pg_err foreign_check(foreign *self)
{
    const pg_files_output output = {on_root, on_bytes_check, self};
    const pg_get_options options = {.start = 0};
    PG_TRY(pg_files_get(self->files, &self->link, &options, &output, NULL));
    return pg_snapshot_decode_end(&self->check);
}

static pg_err on_bytes_import(pg_bytes bytes, void *user)
{
    foreign *self = user;
    PG_TRY(pg_files_lock(self->files));
    pg_err err = pg_import_part(&self->import, self->files->config.db, bytes);
    pg_files_unlock(self->files);
    return err;
}

static pg_err foreign_import(foreign *self)
{
    const pg_files_output output = {on_root, on_bytes_import, self};
    const pg_get_options options = {.start = 0};
    PG_TRY(pg_files_get(self->files, &self->link, &options, &output, NULL));
    return pg_import_end(&self->import);
}

static pg_err foreign_read(foreign *self)
{
    PG_TRY(pg_sha256_stream_init(&self->digest));
    PG_TRY(foreign_check(self));
    PG_TRY(foreign_import(self));
    pg_sha256_stream_final(&self->digest, self->files->publisher.seen_digest);
    return PG_OK;
}

static void foreign_deinit(foreign *self)
{
    pg_link_wipe(&self->link);
    pg_snapshot_decoder_deinit(&self->check);
    pg_sha256_stream_deinit(&self->digest);
    pg_import_deinit(&self->import);
}

/** Note what came in, also of a reading that ended too early. */
static void import_note(pg_files *files, const pg_import *import)
{
    if (import->is_adopting && import->has_pins) {
        files->has_found_pins = true;
        pg_waitq_wake_all(&files->pins_found);
    }
    if (import->changed > 0) {
        files->publisher.is_dirty = true;
        pg_log(PG_LOG_LEVEL_INFO, "files.catalogue.found", PG_LOG_U64("changed", import->changed));
        pg_files_recount(files);
        pg_files_spread_wake(files);
    }
}

static pg_err foreign_get(pg_files *files, const pg_feed_record *record)
{
    foreign *self = PG_NEW(foreign);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    *self = (foreign){.files = files};
    pg_snapshot_decoder_init(&self->check, NULL);
    pg_import_init(&self->import, is_restoring(files));
    pg_err err =
        pg_pointer_decode(record->value, files->config.owner, &files->config.person->peer_id,
                          record->sequence, &self->link.root);
    if (err == PG_OK) {
        pg_catalogue_key(files->config.owner, &self->link.key);
        err = foreign_read(self);
    }
    import_note(files, &self->import);
    foreign_deinit(self);
    pg_mfree(self);
    return err;
}

static pg_err found_note(pg_files *files)
{
    pg_publisher *self = &files->publisher;
    if (self->own.is_found) {
        return PG_OK;
    }
    self->own.is_found = true;
    return pg_feed_own_save(files->config.db, &self->own);
}

/** Take in a record that is newer than ours. */
static pg_err foreign_take(pg_files *files, const pg_feed_record *record)
{
    pg_publisher *self = &files->publisher;
    uint8_t payload[PG_HASH_BYTES];
    pg_sha256(record->payload, payload);
    bool is_seen = self->seen_at != 0 && memcmp(payload, self->seen, sizeof(payload)) == 0;
    // Whether it can still be had is looked at again: else nobody would put another in the place of one whose device is gone.
    if (is_seen && pg_now() < self->seen_at + PG_HOURS(PG_FEED_VERIFY_HOURS)) {
        return PG_OK;
    }
    pg_err err = foreign_get(files, record);
    if (err == PG_OK) {
        memcpy(self->seen, payload, sizeof(payload));
        self->seen_at = pg_now();
        self->seen_sequence = record->sequence;
        self->seen_published_s = record->published_s;
        self->unread_since = 0;
        return found_note(files);
    }
    if (err == PG_ERR_CANCELLED || err == PG_ERR_NOMEM) {
        return err;
    }
    self->unread_since = self->unread_since == 0 ? pg_now() : self->unread_since;
    pg_log(PG_LOG_LEVEL_INFO, "files.catalogue.unread", PG_LOG_STR("error", pg_err_name(err)),
           PG_LOG_STR("detail", pg_error_detail(err)));
    if (pg_now() > self->unread_since + PG_HOURS(PG_FEED_UNREAD_HOURS)) {
        return PG_OK; // nobody has it any more: ours takes its place
    }
    return err;
}

static bool is_ours(const pg_publisher *self, const pg_feed_record *record)
{
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(PG_FEED_ARENA_BYTES);
    pg_feed_record own;
    if (self->own.record_len == 0 ||
        pg_feed_decode(pg_bytes_make(self->own.record, self->own.record_len), &arena, &own) !=
            PG_OK) {
        return false;
    }
    return pg_feed_compare(record, &own) <= 0;
}

/** Look the feed up, and take in what is newer. *out_foreign tells that it is, and stands. Errors: PG_ERR_NOT_FOUND, PG_ERR_UNREACHABLE and others. */
static pg_err look(pg_files *files, bool *out_foreign)
{
    pg_publisher *self = &files->publisher;
    const pg_dht_call call = {.quorum =
                                  PG_DHT_K}; // all who could have it: one honest one is enough
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(PG_FEED_ARENA_BYTES);
    pg_buf key PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf value PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_FEED_BYTES_MAX};
    pg_feed_record record;
    *out_foreign = false;
    PG_TRY(pg_feed_key(&files->config.person->peer_id, NAME, &key));
    self->looks++;
    PG_TRY(pg_dht_pair_get(files->config.dht, pg_buf_bytes(&key), &call, &value));
    PG_TRY(pg_feed_decode(pg_buf_bytes(&value), &arena, &record));
    self->newest = record.sequence > self->newest ? record.sequence : self->newest;
    if (is_ours(self, &record)) {
        return PG_OK;
    }
    PG_TRY(foreign_take(files, &record));
    *out_foreign = self->unread_since == 0;
    return PG_OK;
}

// ---- Publishing

/** Check that a version is with hosts, not only here. */
static pg_err version_check(pg_files *files, const pg_cid *root)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    int64_t file = 0;
    PG_TRY(pg_catalogue_find(files->config.db, root, &file));
    PG_TRY(pg_catalogue_extents(files->config.db, file, &extents, &count));
    bool are = count > 0;
    for (size_t i = 0; i < count && are; i++) {
        are = pg_catalogue_is_on_hosts(&extents[i]);
    }
    pg_mfree(extents);
    if (are) {
        return PG_OK;
    }
    PG_TRY(pg_catalogue_remove(files->config.db, file));
    pg_files_spread_wake(files);
    return pg_fail(PG_ERR_UNREACHABLE, "no host took the catalogue");
}

// It is read again from the database while it is put: what is put may be younger than the digest that asked for it, and gives its own.
static pg_err version_put(pg_files *files, pg_export *export, pg_cid *out_root)
{
    pg_publisher *self = &files->publisher;
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    const pg_files_source source = {pg_export_read, export};
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    if (entry == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_catalogue_key(files->config.owner, &key);
    pg_err err = pg_export_init(export, files->config.db, self->bytes_max);
    if (err == PG_OK) {
        err = pg_files_put_version(files, &key, self->snapshot_bytes, &source, entry);
    }
    if (err == PG_OK) {
        *out_root = entry->link.root;
        pg_file_entry_deinit(entry);
    }
    pg_mfree(entry);
    if (err == PG_OK || export->is_too_large) {
        err = export_note(self, export, err);
    }
    PG_TRY(err);
    return version_check(files, out_root);
}

static pg_err record_sign(pg_files *files, pg_feed_own *own)
{
    uint8_t nonce[PG_AEAD_NONCE_BYTES];
    uint8_t value[PG_POINTER_BYTES];
    pg_buf record PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_FEED_BYTES_MAX};
    pg_random_bytes(PG_MUT_BYTES_OF(nonce));
    PG_TRY(pg_pointer_encode(files->config.owner, &files->config.person->peer_id, own->sequence,
                             nonce, &own->root, value));
    const pg_feed_record said = {
        .name = NAME,
        .sequence = own->sequence,
        .published_s = own->published_s,
        .value = PG_BYTES_OF(value),
    };
    PG_TRY(pg_feed_encode(files->config.person, &said, &record));
    memcpy(own->record, record.ptr, record.len);
    own->record_len = record.len;
    return PG_OK;
}

/** Return how many peers have to take a record: a quorum, or all where there are fewer. */
static size_t stored_min(const pg_dht_pair *dhts)
{
    return pg_min_size(pg_max_size(pg_dht_pair_peers(dhts), 1), PG_DHT_QUORUM);
}

/** Drop all versions but the one that stands. */
static pg_err old_drop(pg_files *files)
{
    uint64_t count = 0;
    PG_TRY(pg_files_lock(files));
    pg_err err = pg_catalogue_versions_remove(files->config.db, &files->publisher.own.root, &count);
    pg_files_unlock(files);
    if (count > 0) {
        pg_files_spread_wake(files);
    }
    return err;
}

/** Have the DHTs keep our record, and publish it again from now on. */
static pg_err announce(pg_files *files)
{
    pg_publisher *self = &files->publisher;
    const pg_dht_call call = {.keeps = true};
    size_t stored = 0;
    pg_buf key PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_feed_key(&files->config.person->peer_id, NAME, &key));
    PG_TRY(pg_dht_pair_put(files->config.dht, pg_buf_bytes(&key),
                           pg_bytes_make(self->own.record, self->own.record_len), &call, &stored));
    self->stored = stored;
    if (stored < stored_min(files->config.dht)) {
        return pg_fail(PG_ERR_UNREACHABLE, "%zu peers took the record of the catalogue", stored);
    }
    self->is_announced = true;
    if (!self->own.stands) {
        self->own.stands = true;
        PG_TRY(pg_feed_own_save(files->config.db, &self->own));
    }
    return old_drop(files);
}

static pg_err version_publish(pg_files *files)
{
    pg_publisher *self = &files->publisher;
    pg_feed_own own = self->own;
    pg_export export PG_CLEANUP(pg_export_deinit) = {.bytes = 0};
    PG_TRY(version_put(files, &export, &own.root));
    memcpy(own.digest, self->digest, PG_HASH_BYTES);
    self->rest_until = pg_after(PG_SECONDS(export.bytes / PG_FEED_BYTES_PER_S));
    uint64_t last = own.sequence > self->newest ? own.sequence : self->newest;
    own.sequence = last + 1;
    own.published_s = (uint64_t) pg_wall_ms() / 1000;
    own.stands = false;
    PG_TRY(record_sign(files, &own));
    // Before anybody hears of it: after a crash this record is published again, and no other under its sequence.
    PG_TRY(pg_feed_own_save(files->config.db, &own));
    self->own = own;
    self->is_announced = false;
    pg_err err = announce(files);
    pg_log(PG_LOG_LEVEL_INFO, "files.catalogue.published", PG_LOG_U64("sequence", own.sequence),
           PG_LOG_U64("peers", self->stored), PG_LOG_STR("error", pg_err_name(err)));
    return err;
}

static pg_err publish(pg_files *files, bool is_foreign)
{
    pg_publisher *self = &files->publisher;
    PG_TRY(digest_renew(files));
    bool has_own = self->own.record_len > 0;
    if (is_foreign && has_own && memcmp(self->digest, self->seen_digest, PG_HASH_BYTES) == 0) {
        return PG_OK; // another device's record stands and says all that we know
    }
    bool is_same = has_own && memcmp(self->digest, self->own.digest, PG_HASH_BYTES) == 0;
    if (is_same && !is_foreign && self->unread_since == 0) {
        return self->is_announced && self->own.stands ? PG_OK : announce(files);
    }
    if (self->is_empty && !has_own && !is_foreign) {
        return PG_OK;
    }
    return version_publish(files);
}

// ---- The whole

static pg_err round_run(pg_files *files)
{
    bool is_foreign = false;
    if (pg_dht_pair_is_off(files->config.dht)) {
        return PG_ERR_UNREACHABLE; // they come later than we do
    }
    pg_err err = look(files, &is_foreign);
    if (err == PG_OK || err == PG_ERR_NOT_FOUND) {
        PG_TRY(publish(files, is_foreign));
        // A record of our own is not what a restored node looks for.
        err = is_restoring(files) ? PG_ERR_NOT_FOUND : PG_OK;
    }
    return err;
}

static void reason_note(pg_publisher *self, const char *text)
{
    size_t len = pg_min_size(strlen(text), sizeof(self->reason) - 1);
    memcpy(self->reason, text, len);
    self->reason[len] = '\0';
}

static void round_note(pg_files *files, pg_err err)
{
    pg_publisher *self = &files->publisher;
    if (err == PG_OK) {
        self->retry_ns = 0;
        self->is_behind = false;
        self->reason[0] = '\0';
        self->is_current = true;
        self->look_at = pg_after(PG_MINUTES(PG_FEED_LOOK_MINUTES));
        return;
    }
    int64_t most = PG_MINUTES(PG_FEED_RETRY_MINUTES_MAX);
    self->retry_ns = self->retry_ns == 0 ? PG_SECONDS(PG_FEED_RETRY_SECONDS) : 2 * self->retry_ns;
    self->retry_ns = self->retry_ns < most ? self->retry_ns : most;
    self->look_at = pg_after(self->retry_ns);
    self->is_behind = true;
    reason_note(self, pg_error_detail(err));
    pg_log(PG_LOG_LEVEL_DEBUG, "files.catalogue.behind", PG_LOG_STR("error", pg_err_name(err)),
           PG_LOG_STR("detail", pg_error_detail(err)));
}

/** When the next round is due. */
static pg_time due(const pg_publisher *self)
{
    if (self->changed_first == 0) {
        return self->look_at;
    }
    bool is_first = self->own.record_len == 0; // till then nothing could be found again
    pg_time quiet =
        self->changed_last + PG_SECONDS(is_first ? PG_FEED_RETRY_SECONDS : PG_FEED_QUIET_SECONDS);
    pg_time latest = self->changed_first + PG_SECONDS(PG_FEED_LATEST_SECONDS);
    pg_time at = quiet < latest ? quiet : latest;
    at = at > self->rest_until ? at : self->rest_until;
    return at < self->look_at ? at : self->look_at;
}

/** What changed before a crash, and was not published, is published when the node ends, if it ends before the first round. */
static pg_err unpublished_note(pg_files *files)
{
    pg_publisher *self = &files->publisher;
    PG_TRY(digest_renew(files));
    bool is_same = self->own.record_len == 0
                       ? self->is_empty
                       : memcmp(self->digest, self->own.digest, PG_HASH_BYTES) == 0;
    if (!is_same) {
        pg_publish_changed(files);
    }
    return PG_OK;
}

pg_err pg_publish_run(void *arg)
{
    pg_files *files = arg;
    pg_publisher *self = &files->publisher;
    self->look_at = pg_after(PG_SECONDS(PG_FEED_RETRY_SECONDS));
    pg_err noted = unpublished_note(files);
    if (noted == PG_ERR_CANCELLED) {
        return noted;
    }
    pg_ignore(noted, "the first round meets it again, and tells");
    for (;;) {
        while (pg_now() < due(self)) {
            pg_err waited = pg_waitq_wait(&self->wake, due(self));
            if (waited != PG_OK && waited != PG_ERR_TIMEOUT) {
                return waited;
            }
        }
        self->is_busy = true;
        self->changed_first = 0;
        pg_err err = round_run(files);
        self->is_busy = false;
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        round_note(files, err);
        pg_waitq_wake_all(&self->idle);
    }
}

void pg_publisher_init(pg_publisher *self)
{
    *self = (pg_publisher){.is_dirty = true, .bytes_max = PG_SNAPSHOT_BYTES_MAX};
    pg_waitq_init(&self->wake);
    pg_waitq_init(&self->idle);
}

void pg_publish_changed(pg_files *files)
{
    pg_publisher *self = &files->publisher;
    self->is_dirty = true;
    self->changed_last = pg_now();
    self->changed_first = self->changed_first == 0 ? self->changed_last : self->changed_first;
    pg_waitq_wake_all(&self->wake);
}

void pg_publish_peer_appeared(pg_files *files)
{
    pg_publisher *self = &files->publisher;
    pg_time soon = pg_after(PG_SECONDS(PG_FEED_RETRY_SECONDS));
    if ((self->is_behind || is_restoring(files)) && self->look_at > soon) {
        self->look_at = soon;
        pg_waitq_wake_all(&self->wake);
    }
}

static bool is_clean(const pg_publisher *self)
{
    return !self->is_busy && self->changed_first == 0;
}

void pg_files_flush(pg_files *files, pg_time deadline)
{
    pg_publisher *self = &files->publisher;
    if (files->config.dht == NULL || is_clean(self)) {
        return;
    }
    self->look_at = pg_now();
    pg_waitq_wake_all(&self->wake);
    while (!is_clean(self) && pg_waitq_wait(&self->idle, deadline) == PG_OK) {
    }
}

pg_catalogue_status pg_files_catalogue_status(const pg_files *files)
{
    const pg_publisher *self = &files->publisher;
    // What was taken in may be newer than what was published from here: of another device, or of this one before it was restored.
    bool is_seen = self->seen_sequence > self->own.sequence;
    pg_catalogue_status status = {
        .phase = PG_CATALOGUE_PHASE_PUBLISHED,
        .sequence = is_seen ? self->seen_sequence : self->own.sequence,
        .published_s = is_seen ? self->seen_published_s : self->own.published_s,
        .peers = is_seen ? 0 : self->stored,
        .looks = self->looks,
        .snapshots = self->snapshots,
    };
    if (pg_dht_pair_is_off(files->config.dht)) {
        status.phase = PG_CATALOGUE_PHASE_OFF;
    } else if (is_restoring(files)) {
        status.phase = PG_CATALOGUE_PHASE_RESTORING;
    } else if (self->own.record_len == 0 && self->is_empty && self->changed_first == 0) {
        status.phase = PG_CATALOGUE_PHASE_EMPTY;
    } else if (!(self->own.stands || self->is_current) || self->changed_first != 0 ||
               self->is_busy || self->is_behind) {
        status.phase =
            self->is_too_large ? PG_CATALOGUE_PHASE_TOO_LARGE : PG_CATALOGUE_PHASE_BEHIND;
        status.reason = self->is_behind && self->reason[0] != '\0' ? self->reason : NULL;
    }
    return status;
}
