// SPDX-License-Identifier: Apache-2.0
#include "files/snapshot.h"

#include <string.h>

#include "base/mem.h"
#include "files/extents.h"
#include "files/limits.h"
#include "files/root.h"

#define MAGIC PG_BYTES_LIT("pangea catalogue")
#define DIGEST_BYTES 32

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
    pg_writer_u32be(writer, (uint32_t) file->placed_count);
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
    uint8_t space[EXTENT_BYTES_MAX];
    if (file->name.len > PG_NAME_BYTES_MAX || file->placed_count > UINT32_MAX) {
        return pg_fail(PG_ERR_LIMIT, "catalogue: a name of %zu bytes", file->name.len);
    }
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(head));
    head_write(&writer, file);
    pg_err err = written_append(out, &writer);
    for (size_t i = 0; i < file->placed_count && err == PG_OK; i++) {
        writer = pg_writer_make(PG_MUT_BYTES_OF(space));
        extent_write(&writer, &file->placed[i]);
        err = written_append(out, &writer);
    }
    pg_wipe(head, sizeof(head));
    return err;
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

/** A reading. */
typedef struct reading {
    pg_reader reader;
    const pg_snapshot_visitor *visitor;
    pg_catalogue_extent *extents; // of the file at hand
    size_t room;
    pg_bytes last_root; // of the record before, of the same kind
    unsigned last_kind;
    uint8_t version;
} reading;

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

static pg_err room_make(reading *self, size_t count)
{
    // What is left to read bounds what is taken: each extent takes some.
    if (count > self->reader.rest.len / EXTENT_BYTES_MIN) {
        return PG_ERR_TRUNCATED;
    }
    if (count <= self->room) {
        return PG_OK;
    }
    size_t bytes = 0;
    void *extents = pg_mul_size(count, sizeof(*self->extents), &bytes)
                        ? pg_realloc(self->extents, bytes)
                        : NULL;
    if (extents == NULL) {
        return PG_ERR_NOMEM;
    }
    self->extents = extents;
    self->room = count;
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
}

static pg_err file_read(reading *self)
{
    pg_reader *reader = &self->reader;
    pg_snapshot_file file = {.placed = NULL};
    uint8_t kind = 0;
    head_read(reader, &file, &kind);
    uint32_t count = pg_reader_u32be(reader);
    pg_err err = reader->failed ? PG_ERR_TRUNCATED : head_check(&file, kind);
    if (err == PG_OK) {
        file.kind = (pg_file_kind) kind;
        err = room_make(self, count);
    }
    for (uint32_t i = 0; i < count && err == PG_OK; i++) {
        err = extent_read(reader, &file.link.root, &self->extents[i]);
    }
    if (err == PG_OK) {
        file.placed = self->extents;
        file.placed_count = count;
        err = self->visitor->file == NULL ? PG_OK : self->visitor->file(&file, self->visitor->user);
    }
    pg_link_wipe(&file.link);
    return err;
}

static pg_err removed_read(reading *self)
{
    pg_snapshot_removed removed;
    removed.root = cid_read(&self->reader);
    removed.removed_s = pg_reader_u64be(&self->reader);
    if (self->reader.failed) {
        return PG_ERR_TRUNCATED;
    }
    if (removed.removed_s > INT64_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "catalogue: a time that cannot be");
    }
    return self->visitor->removed == NULL ? PG_OK
                                          : self->visitor->removed(&removed, self->visitor->user);
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

static pg_err pin_read(reading *self)
{
    pg_reader *reader = &self->reader;
    pg_snapshot_pin pin = {.size_bytes = 0};
    uint8_t kind = 0;
    pin.link.root = cid_read(reader);
    pin.changed_ms = pg_reader_u64be(reader);
    uint8_t flag = pg_reader_u8(reader);
    pin.is_pinned = flag == 1;
    if (pin.is_pinned) {
        pinned_read(reader, &pin, &kind);
    }
    pg_err err = reader->failed ? PG_ERR_TRUNCATED : pin_check(&pin, kind, flag);
    if (err == PG_OK) {
        pin.kind = (pg_file_kind) kind;
        err = self->visitor->pin == NULL ? PG_OK : self->visitor->pin(&pin, self->visitor->user);
    }
    pg_link_wipe(&pin.link);
    return err;
}

/** Check that records come in order: files, then removed ones, then pins, each by root. */
static pg_err order_check(reading *self, unsigned kind)
{
    unsigned last = self->version == PG_SNAPSHOT_VERSION_PINS ? RECORD_PIN : RECORD_REMOVED;
    pg_bytes root = pg_bytes_slice(self->reader.rest, 0, DIGEST_BYTES);
    bool is_next = kind > self->last_kind ||
                   (kind == self->last_kind && pg_bytes_compare(root, self->last_root) > 0);
    if (kind > last || !is_next) {
        return pg_fail(PG_ERR_MALFORMED, "catalogue: records out of order, or unknown");
    }
    self->last_kind = kind;
    self->last_root = root;
    return PG_OK;
}

static pg_err record_read(reading *self, unsigned kind)
{
    switch (kind) {
    case RECORD_FILE:
        return file_read(self);
    case RECORD_REMOVED:
        return removed_read(self);
    default:
        return pin_read(self);
    }
}

static pg_err end_read(const reading *self)
{
    if (self->version == PG_SNAPSHOT_VERSION_PINS && self->last_kind != RECORD_PIN) {
        return pg_fail(PG_ERR_MALFORMED, "catalogue: of version %u, but without pins",
                       self->version);
    }
    return pg_reader_finish(&self->reader);
}

static pg_err records_read(reading *self)
{
    for (;;) {
        unsigned kind = pg_reader_u8(&self->reader);
        if (self->reader.failed) {
            return PG_ERR_TRUNCATED;
        }
        if (kind == RECORD_END) {
            return end_read(self);
        }
        PG_TRY(order_check(self, kind));
        PG_TRY(record_read(self, kind));
    }
}

pg_err pg_snapshot_decode(pg_bytes in, const pg_snapshot_visitor *visitor)
{
    reading self = {.reader = pg_reader_make(in), .visitor = visitor};
    if (in.len > PG_SNAPSHOT_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a catalogue of %zu bytes, at most %u", in.len,
                       PG_SNAPSHOT_BYTES_MAX);
    }
    pg_bytes magic = pg_reader_take(&self.reader, MAGIC.len);
    self.version = pg_reader_u8(&self.reader);
    if (self.reader.failed || !pg_bytes_equal(magic, MAGIC)) {
        return pg_fail(PG_ERR_MALFORMED, "not a catalogue");
    }
    if (self.version != PG_SNAPSHOT_VERSION && self.version != PG_SNAPSHOT_VERSION_PINS) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "the catalogue has version %u; this program knows versions %d and %d",
                       self.version, PG_SNAPSHOT_VERSION, PG_SNAPSHOT_VERSION_PINS);
    }
    pg_err err = records_read(&self);
    pg_mfree(self.extents);
    return err;
}
