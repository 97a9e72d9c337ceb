// SPDX-License-Identifier: Apache-2.0
#include "files/snapshot.h"

#include <string.h>

#include "base/mem.h"
#include "files/extents.h"
#include "files/limits.h"
#include "files/root.h"

#define MAGIC PG_BYTES_LIT("pangea catalogue")
#define DIGEST_BYTES PG_SNAPSHOT_ROOT_BYTES

/** What is looked at in one step, bytes. */
#define STEP_BYTES (64U << 10)

enum { RECORD_END = 0, RECORD_FILE = 1, RECORD_REMOVED = 2, RECORD_PIN = 3 };
enum { FLAG_WHOLE = 1, FLAG_ROOT = 2, FLAGS_KNOWN = 3 };

// ---- Writing

#define HEAD_BYTES_MAX (1 + 2 * DIGEST_BYTES + 1 + PG_NAME_BYTES_MAX + 3 + 7 * 8 + 4)
#define EXTENT_BYTES_MIN (1 + 2 * DIGEST_BYTES + 2 + 3 * 8 + 1)
#define EXTENT_BYTES_MAX                                                                           \
    (1 + 2 * DIGEST_BYTES + 2 + 3 * 8 + 1 + PG_PLACE_SLOTS_MAX * (1 + PG_PEER_ID_BYTES_MAX + 12))

#define PIN_BYTES_MAX (1 + 2 * DIGEST_BYTES + 8 + 1 + 1 + PG_NAME_BYTES_MAX + 1 + 8)

static pg_err written_append(pg_buf *out, const pg_writer *writer)
{
    pg_assert(!writer->failed);
    return pg_buf_append(out, pg_writer_bytes(writer));
}

static void cid_write(pg_writer *writer, const pg_cid *cid)
{
    const pg_multihash hash = pg_cid_multihash(cid);
    pg_writer_put(writer, pg_multihash_digest(&hash));
}

pg_err pg_snapshot_begin(pg_buf *out, bool has_pins)
{
    const uint8_t version = has_pins ? PG_SNAPSHOT_VERSION_PINS : PG_SNAPSHOT_VERSION;
    PG_TRY(pg_buf_append(out, MAGIC));
    return pg_buf_append(out, pg_bytes_make(&version, 1));
}

static void head_write(pg_writer *writer, const pg_snapshot_file *file)
{
    const uint64_t numbers[] = {file->size_bytes, file->packed_bytes, file->stored_bytes,
                                file->extents,    file->segments,     file->put_ms,
                                file->ttl_s};
    pg_writer_u8(writer, RECORD_FILE);
    cid_write(writer, &file->link.root);
    pg_writer_put(writer, pg_key_bytes(&file->link.key));
    pg_writer_u8(writer, (uint8_t) file->name.len);
    pg_writer_put(writer, file->name);
    pg_writer_u8(writer, (uint8_t) file->kind);
    pg_writer_u8(writer, file->code.data);
    pg_writer_u8(writer, file->code.parity);
    for (size_t i = 0; i < PG_ARRAY_LEN(numbers); i++) {
        pg_writer_u64be(writer, numbers[i]);
    }
    pg_writer_u32be(writer, file->placed_count);
}

/** Return the holder that comes next after `last` in the order of PeerIds; NULL at the end. */
static const pg_catalogue_holder *holder_after(const pg_catalogue_extent *extent,
                                               const pg_catalogue_holder *last)
{
    const pg_catalogue_holder *next = NULL;
    for (size_t i = 0; i < extent->holder_count; i++) {
        const pg_catalogue_holder *each = &extent->holders[i];
        pg_bytes id = pg_peer_id_bytes(&each->peer);
        bool is_later = last == NULL || pg_bytes_compare(id, pg_peer_id_bytes(&last->peer)) > 0;
        if (is_later && (next == NULL || pg_bytes_compare(id, pg_peer_id_bytes(&next->peer)) < 0)) {
            next = each;
        }
    }
    return next;
}

static void extent_write(pg_writer *writer, const pg_catalogue_extent *extent)
{
    unsigned flags = (extent->is_whole ? FLAG_WHOLE : 0U) | (extent->root.len > 0 ? FLAG_ROOT : 0U);
    pg_writer_u8(writer, (uint8_t) flags);
    cid_write(writer, &extent->descriptor);
    pg_writer_put(writer, PG_BYTES_OF(extent->extent_id));
    pg_writer_u8(writer, extent->code.data);
    pg_writer_u8(writer, extent->code.parity);
    pg_writer_u64be(writer, extent->slot_bytes);
    pg_writer_u64be(writer, extent->sequence);
    pg_writer_u64be(writer, extent->expiry_s);
    pg_writer_u8(writer, (uint8_t) extent->holder_count);
    for (const pg_catalogue_holder *holder = holder_after(extent, NULL); holder != NULL;
         holder = holder_after(extent, holder)) {
        pg_writer_u8(writer, (uint8_t) holder->peer.len);
        pg_writer_put(writer, pg_peer_id_bytes(&holder->peer));
        pg_writer_u32be(writer, holder->slots);
        pg_writer_u64be(writer, holder->bytes);
    }
}

pg_err pg_snapshot_file_add(pg_buf *out, const pg_snapshot_file *file)
{
    uint8_t head[HEAD_BYTES_MAX];
    if (file->name.len > PG_NAME_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "catalogue: a name of %zu bytes", file->name.len);
    }
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(head));
    head_write(&writer, file);
    pg_err err = written_append(out, &writer);
    pg_wipe(head, sizeof(head));
    return err;
}

pg_err pg_snapshot_extent_add(pg_buf *out, const pg_catalogue_extent *extent)
{
    uint8_t space[EXTENT_BYTES_MAX];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    extent_write(&writer, extent);
    return written_append(out, &writer);
}

pg_err pg_snapshot_removed_add(pg_buf *out, const pg_snapshot_removed *removed)
{
    uint8_t space[1 + DIGEST_BYTES + 8];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_u8(&writer, RECORD_REMOVED);
    cid_write(&writer, &removed->root);
    pg_writer_u64be(&writer, removed->removed_s);
    return written_append(out, &writer);
}

pg_err pg_snapshot_pin_add(pg_buf *out, const pg_snapshot_pin *pin)
{
    uint8_t space[PIN_BYTES_MAX];
    if (pin->name.len > PG_NAME_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "catalogue: a name of %zu bytes", pin->name.len);
    }
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_u8(&writer, RECORD_PIN);
    cid_write(&writer, &pin->link.root);
    pg_writer_u64be(&writer, pin->changed_ms);
    pg_writer_u8(&writer, pin->is_pinned ? 1 : 0);
    if (pin->is_pinned) {
        pg_writer_put(&writer, pg_key_bytes(&pin->link.key));
        pg_writer_u8(&writer, (uint8_t) pin->name.len);
        pg_writer_put(&writer, pin->name);
        pg_writer_u8(&writer, (uint8_t) pin->kind);
        pg_writer_u64be(&writer, pin->size_bytes);
    }
    pg_err err = written_append(out, &writer);
    pg_wipe(space, sizeof(space));
    return err;
}

pg_err pg_snapshot_end(pg_buf *out)
{
    const uint8_t end = RECORD_END;
    return pg_buf_append(out, pg_bytes_make(&end, 1));
}

// ---- Reading

static pg_cid cid_read(pg_reader *reader)
{
    uint8_t digest[DIGEST_BYTES];
    pg_reader_copy(reader, digest, sizeof(digest));
    return pg_block_cid_of_digest(digest);
}

static bool is_code(pg_code code)
{
    return code.data >= 1 && code.parity >= 1 && pg_code_shards(code) <= PG_CODE_SHARDS_MAX;
}

static pg_err holder_read(pg_reader *reader, pg_slot_set all, pg_catalogue_extent *extent)
{
    pg_catalogue_holder *holder = &extent->holders[extent->holder_count];
    *holder = (pg_catalogue_holder){.missed = 0};
    uint8_t len = pg_reader_u8(reader);
    pg_bytes id = pg_reader_take(reader, len);
    holder->slots = pg_reader_u32be(reader);
    holder->bytes = pg_reader_u64be(reader);
    if (reader->failed) {
        return PG_ERR_TRUNCATED;
    }
    PG_TRY(pg_peer_id_decode(id, &holder->peer));
    bool is_sorted =
        extent->holder_count == 0 ||
        pg_bytes_compare(pg_peer_id_bytes(&extent->holders[extent->holder_count - 1].peer), id) < 0;
    if (!is_sorted || holder->slots == 0 || (holder->slots & ~all) != 0 ||
        holder->bytes > INT64_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "catalogue: a host that cannot be");
    }
    extent->holder_count++;
    return PG_OK;
}

static pg_err extent_read(pg_reader *reader, const pg_cid *root, pg_catalogue_extent *extent)
{
    *extent = (pg_catalogue_extent){.id = 0};
    uint8_t flags = pg_reader_u8(reader);
    extent->is_whole = (flags & FLAG_WHOLE) != 0;
    extent->descriptor = cid_read(reader);
    pg_reader_copy(reader, extent->extent_id, sizeof(extent->extent_id));
    extent->root = (flags & FLAG_ROOT) != 0 ? *root : (pg_cid){.len = 0};
    extent->code.data = pg_reader_u8(reader);
    extent->code.parity = pg_reader_u8(reader);
    extent->slot_bytes = pg_reader_u64be(reader);
    extent->sequence = pg_reader_u64be(reader);
    extent->expiry_s = pg_reader_u64be(reader);
    uint8_t holders = pg_reader_u8(reader);
    if (reader->failed) {
        return PG_ERR_TRUNCATED;
    }
    if ((flags & ~(unsigned) FLAGS_KNOWN) != 0 || !is_code(extent->code) ||
        holders > PG_PLACE_SLOTS_MAX || extent->slot_bytes > INT64_MAX ||
        extent->sequence > INT64_MAX || extent->expiry_s > INT64_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "catalogue: an extent that cannot be");
    }
    unsigned slots = extent->is_whole ? 1 : pg_code_shards(extent->code);
    pg_slot_set all = (pg_slot_set) (((uint64_t) 1 << slots) - 1);
    for (uint8_t i = 0; i < holders; i++) {
        PG_TRY(holder_read(reader, all, extent));
    }
    return PG_OK;
}

static pg_err head_check(const pg_snapshot_file *file, uint8_t kind)
{
    if (file->name.len > 0) {
        PG_TRY(pg_error_wrap(pg_root_check_name(file->name), "catalogue"));
    }
    const uint64_t numbers[] = {file->size_bytes, file->packed_bytes, file->stored_bytes,
                                file->extents,    file->segments,     file->put_ms,
                                file->ttl_s};
    bool is_good = kind < PG_FILE_KIND_COUNT && is_code(file->code);
    for (size_t i = 0; i < PG_ARRAY_LEN(numbers); i++) {
        is_good = is_good && numbers[i] <= INT64_MAX;
    }
    return is_good ? PG_OK : pg_fail(PG_ERR_MALFORMED, "catalogue: a file that cannot be");
}

static void head_read(pg_reader *reader, pg_snapshot_file *file, uint8_t *out_kind)
{
    (void) pg_reader_u8(reader); // of the record
    file->link.root = cid_read(reader);
    pg_reader_copy(reader, file->link.key.bytes, PG_KEY_BYTES);
    uint8_t name_len = pg_reader_u8(reader);
    file->name = pg_reader_take(reader, name_len);
    *out_kind = pg_reader_u8(reader);
    file->code.data = pg_reader_u8(reader);
    file->code.parity = pg_reader_u8(reader);
    file->size_bytes = pg_reader_u64be(reader);
    file->packed_bytes = pg_reader_u64be(reader);
    file->stored_bytes = pg_reader_u64be(reader);
    file->extents = pg_reader_u64be(reader);
    file->segments = pg_reader_u64be(reader);
    file->put_ms = pg_reader_u64be(reader);
    file->ttl_s = pg_reader_u64be(reader);
    file->placed_count = pg_reader_u32be(reader);
}

static pg_err removed_read(pg_reader *reader, pg_snapshot_removed *removed)
{
    (void) pg_reader_u8(reader);
    removed->root = cid_read(reader);
    removed->removed_s = pg_reader_u64be(reader);
    if (removed->removed_s > INT64_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "catalogue: a time that cannot be");
    }
    return PG_OK;
}

static void pinned_read(pg_reader *reader, pg_snapshot_pin *pin, uint8_t *out_kind)
{
    pg_reader_copy(reader, pin->link.key.bytes, PG_KEY_BYTES);
    uint8_t name_len = pg_reader_u8(reader);
    pin->name = pg_reader_take(reader, name_len);
    *out_kind = pg_reader_u8(reader);
    pin->size_bytes = pg_reader_u64be(reader);
}

static pg_err pin_check(const pg_snapshot_pin *pin, uint8_t kind, uint8_t flag)
{
    if (pin->name.len > 0) {
        PG_TRY(pg_error_wrap(pg_root_check_name(pin->name), "catalogue"));
    }
    bool is_good = flag <= 1 && kind < PG_FILE_KIND_COUNT && pin->changed_ms <= INT64_MAX &&
                   pin->size_bytes <= INT64_MAX;
    return is_good ? PG_OK : pg_fail(PG_ERR_MALFORMED, "catalogue: a pin that cannot be");
}

static pg_err pin_read(pg_reader *reader, pg_snapshot_pin *pin)
{
    uint8_t kind = 0;
    (void) pg_reader_u8(reader);
    pin->link.root = cid_read(reader);
    pin->changed_ms = pg_reader_u64be(reader);
    uint8_t flag = pg_reader_u8(reader);
    pin->is_pinned = flag == 1;
    if (pin->is_pinned) {
        pinned_read(reader, pin, &kind);
    }
    if (reader->failed) {
        return PG_OK; // the caller sees that
    }
    PG_TRY(pin_check(pin, kind, flag));
    pin->kind = (pg_file_kind) kind;
    return PG_OK;
}

// ---- Whether a record came whole, and is good: each gives its length, 0 = more has to come

/** The head of a file: begins the check of its record. */
static pg_err head_take(pg_snapshot_decoder *self, pg_bytes in)
{
    pg_reader reader = pg_reader_make(in);
    pg_snapshot_file file = {.put_ms = 0};
    uint8_t kind = 0;
    head_read(&reader, &file, &kind);
    pg_link_wipe(&file.link);
    if (reader.failed) {
        return PG_OK;
    }
    PG_TRY(head_check(&file, kind));
    if (file.placed_count > PG_SNAPSHOT_RECORD_BYTES_MAX / EXTENT_BYTES_MIN) {
        return pg_fail(PG_ERR_LIMIT, "catalogue: a file of %u extents", file.placed_count);
    }
    self->checked = in.len - reader.rest.len;
    self->extents_left = file.placed_count;
    return PG_OK;
}

// What was looked at is not looked at again when the next part comes: else many small parts of a long record cost the square of its length.
static pg_err file_whole(pg_snapshot_decoder *self, pg_bytes in, size_t *out_len)
{
    const pg_cid none = {.len = 0};
    pg_catalogue_extent extent;
    if (self->checked == 0) {
        PG_TRY(head_take(self, in));
    }
    while (self->checked > 0 && self->extents_left > 0) {
        pg_bytes rest = pg_bytes_slice(in, self->checked, in.len);
        pg_reader reader = pg_reader_make(rest);
        pg_err err = extent_read(&reader, &none, &extent);
        if (reader.failed) {
            return PG_OK;
        }
        PG_TRY(err);
        self->checked += rest.len - reader.rest.len;
        self->extents_left--;
        if (self->checked > PG_SNAPSHOT_RECORD_BYTES_MAX) {
            return pg_fail(PG_ERR_LIMIT, "catalogue: a file whose record has more than %u bytes",
                           PG_SNAPSHOT_RECORD_BYTES_MAX);
        }
    }
    *out_len = self->checked;
    self->checked = 0;
    return PG_OK;
}

static pg_err removed_whole(pg_bytes in, size_t *out_len)
{
    pg_reader reader = pg_reader_make(in);
    pg_snapshot_removed removed;
    PG_TRY(removed_read(&reader, &removed));
    *out_len = reader.failed ? 0 : in.len - reader.rest.len;
    return PG_OK;
}

static pg_err pin_whole(pg_bytes in, size_t *out_len)
{
    pg_reader reader = pg_reader_make(in);
    pg_snapshot_pin pin = {.size_bytes = 0};
    pg_err err = pin_read(&reader, &pin);
    pg_link_wipe(&pin.link);
    *out_len = reader.failed ? 0 : in.len - reader.rest.len;
    return err;
}

static pg_err record_whole(pg_snapshot_decoder *self, pg_bytes in, size_t *out_len)
{
    switch (in.ptr[0]) {
    case RECORD_FILE:
        return file_whole(self, in, out_len);
    case RECORD_REMOVED:
        return removed_whole(in, out_len);
    default:
        return pin_whole(in, out_len);
    }
}

// ---- Telling of a record that is whole and good

static pg_err file_tell(const pg_snapshot_visitor *visitor, pg_bytes record)
{
    pg_reader reader = pg_reader_make(record);
    pg_snapshot_file file = {.put_ms = 0};
    pg_catalogue_extent extent;
    uint8_t kind = 0;
    head_read(&reader, &file, &kind);
    file.kind = (pg_file_kind) kind;
    pg_err err = visitor->file == NULL ? PG_OK : visitor->file(&file, visitor->user);
    for (uint32_t i = 0; i < file.placed_count && err == PG_OK && visitor->extent != NULL; i++) {
        err = extent_read(&reader, &file.link.root, &extent);
        err = err == PG_OK ? visitor->extent(&extent, visitor->user) : err;
    }
    pg_link_wipe(&file.link);
    return err;
}

static pg_err removed_tell(const pg_snapshot_visitor *visitor, pg_bytes record)
{
    pg_reader reader = pg_reader_make(record);
    pg_snapshot_removed removed;
    PG_TRY(removed_read(&reader, &removed));
    return visitor->removed == NULL ? PG_OK : visitor->removed(&removed, visitor->user);
}

static pg_err pin_tell(const pg_snapshot_visitor *visitor, pg_bytes record)
{
    pg_reader reader = pg_reader_make(record);
    pg_snapshot_pin pin = {.size_bytes = 0};
    pg_err err = pin_read(&reader, &pin);
    if (err == PG_OK && visitor->pin != NULL) {
        err = visitor->pin(&pin, visitor->user);
    }
    pg_link_wipe(&pin.link);
    return err;
}

static pg_err record_tell(const pg_snapshot_visitor *visitor, pg_bytes record)
{
    switch (record.ptr[0]) {
    case RECORD_FILE:
        return file_tell(visitor, record);
    case RECORD_REMOVED:
        return removed_tell(visitor, record);
    default:
        return pin_tell(visitor, record);
    }
}

// ---- The whole

static pg_err start_read(pg_snapshot_decoder *self, pg_bytes in, size_t *out_len)
{
    pg_bytes magic = pg_bytes_slice(in, 0, MAGIC.len);
    if (!pg_bytes_starts_with(MAGIC, magic)) {
        return pg_fail(PG_ERR_MALFORMED, "not a catalogue");
    }
    if (in.len <= MAGIC.len) {
        return PG_OK;
    }
    self->version = in.ptr[MAGIC.len];
    if (self->version != PG_SNAPSHOT_VERSION && self->version != PG_SNAPSHOT_VERSION_PINS) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "the catalogue has version %u; this program knows versions %d and %d",
                       self->version, PG_SNAPSHOT_VERSION, PG_SNAPSHOT_VERSION_PINS);
    }
    *out_len = MAGIC.len + 1;
    return PG_OK;
}

static pg_err end_read(pg_snapshot_decoder *self, size_t *out_len)
{
    if (self->version == PG_SNAPSHOT_VERSION_PINS && self->last_kind != RECORD_PIN) {
        return pg_fail(PG_ERR_MALFORMED, "catalogue: of version %u, but without pins",
                       self->version);
    }
    self->is_ended = true;
    *out_len = 1;
    return PG_OK;
}

/** Check that records come in order: files, then removed ones, then pins, each by root. */
static pg_err order_check(const pg_snapshot_decoder *self, unsigned kind, pg_bytes root)
{
    unsigned last = self->version == PG_SNAPSHOT_VERSION_PINS ? RECORD_PIN : RECORD_REMOVED;
    bool is_next =
        kind > self->last_kind ||
        (kind == self->last_kind && (root.len < DIGEST_BYTES || // for now
                                     pg_bytes_compare(root, PG_BYTES_OF(self->last_root)) > 0));
    if (kind > last || !is_next) {
        return pg_fail(PG_ERR_MALFORMED, "catalogue: records out of order, or unknown");
    }
    return PG_OK;
}

static pg_err record_read(pg_snapshot_decoder *self, pg_bytes in, size_t *out_len)
{
    pg_bytes root = pg_bytes_slice(in, 1, DIGEST_BYTES);
    size_t len = 0;
    PG_TRY(order_check(self, in.ptr[0], root));
    PG_TRY(record_whole(self, in, &len));
    if (len == 0) {
        return PG_OK;
    }
    self->last_kind = in.ptr[0];
    memcpy(self->last_root, root.ptr, DIGEST_BYTES);
    *out_len = len;
    return self->visitor == NULL ? PG_OK : record_tell(self->visitor, pg_bytes_slice(in, 0, len));
}

/** Read what stands at the front of `in`, not empty. *out_len stays 0 when more has to come. */
static pg_err step_read(pg_snapshot_decoder *self, pg_bytes in, size_t *out_len)
{
    if (self->version == 0) {
        return start_read(self, in, out_len);
    }
    if (self->is_ended) {
        return pg_fail(PG_ERR_MALFORMED, "catalogue: %zu bytes too many at the end", in.len);
    }
    return in.ptr[0] == RECORD_END ? end_read(self, out_len) : record_read(self, in, out_len);
}

static pg_err steps_read(pg_snapshot_decoder *self)
{
    size_t at = 0;
    size_t len = 1;
    while (at < self->rest.len && len > 0) {
        pg_bytes in = pg_bytes_slice(pg_buf_bytes(&self->rest), at, self->rest.len);
        len = 0;
        PG_TRY(step_read(self, in, &len));
        at += len;
    }
    pg_buf_consume(&self->rest, at);
    return PG_OK;
}

void pg_snapshot_decoder_init(pg_snapshot_decoder *self, const pg_snapshot_visitor *visitor)
{
    *self = (pg_snapshot_decoder){.visitor = visitor,
                                  .rest.max_len =
                                      PG_SNAPSHOT_RECORD_BYTES_MAX + STEP_BYTES + EXTENT_BYTES_MAX};
}

pg_err pg_snapshot_decode(pg_snapshot_decoder *self, pg_bytes part)
{
    self->bytes += part.len;
    if (self->bytes > PG_SNAPSHOT_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a catalogue of more than %llu bytes",
                       (unsigned long long) PG_SNAPSHOT_BYTES_MAX);
    }
    while (part.len > 0) {
        pg_bytes step = pg_bytes_slice(part, 0, STEP_BYTES);
        PG_TRY(pg_buf_append(&self->rest, step));
        PG_TRY(steps_read(self));
        part = pg_bytes_slice(part, step.len, part.len);
    }
    return PG_OK;
}

pg_err pg_snapshot_decode_end(const pg_snapshot_decoder *self)
{
    return self->is_ended ? PG_OK : pg_fail(PG_ERR_TRUNCATED, "catalogue: it ends too early");
}

void pg_snapshot_decoder_deinit(pg_snapshot_decoder *self)
{
    if (self->rest.ptr != NULL) {
        pg_wipe(self->rest.ptr, self->rest.cap);
    }
    pg_buf_deinit(&self->rest);
}
