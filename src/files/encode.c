// SPDX-License-Identifier: Apache-2.0
#include "files/encode.h"

#include <string.h>

#include "base/mem.h"
#include "files/lanes_priv.h"
#include "files/limits.h"
#include "files/segment.h"
#include "runtime/offload.h"

// A list of extents in a root: what a root block has room for beside the longest name.
#define LIST_BYTES_MAX (PG_ROOT_BYTES_MAX - 1024U)

/** One segment in work. */
typedef struct lane {
    struct encoder *encoder;
    pg_lane_state state;
    bool end;                                      // no segment: the stream ends here
    uint32_t segment;                              // its number in the extent; 0 begins one
    uint8_t descriptor_nonce[PG_AEAD_NONCE_BYTES]; // with segment 0
    pg_segment_info info;
    uint8_t digests[PG_CODE_SHARDS_MAX][PG_HASH_BYTES];
    pg_segment_coder coder;
} lane;

/** One level of a file: the file itself, or a list of extents of the level below. */
typedef struct encoder {
    const pg_files_encoding *encoding;
    const pg_files_source *source;
    const pg_files_sink *sink;
    pg_files_encoded *totals;
    pg_bytes head; // bytes of the source that were read already
    uint32_t level;
    uint32_t segment_bytes;
    uint32_t extent_segments;
    pg_lanes lanes;
    unsigned lane_count;
    lane *lane;               // lane[lane_count]
    pg_descriptor descriptor; // of the extent the back is in
    uint8_t descriptor_nonce[PG_AEAD_NONCE_BYTES];
    pg_buf list; // extents that are complete
    bool begun;  // the descriptor has segments of an earlier run
} encoder;

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static unsigned lanes_wanted(const pg_files_sink *sink)
{
    // One to read into and one to write from, beside those that compute; where lanes wait for hosts, all there may be.
    return sink->place_shards != NULL ? PG_LANES_MAX
                                      : (unsigned) pg_min_size(pg_cpu_count() + 2U, PG_LANES_MAX);
}

/** Read the next segment into the lane; *out_len is short only at the end of the stream. */
static pg_err fill(encoder *enc, lane *to, size_t *out_len)
{
    size_t from_head = pg_min_size(enc->head.len, enc->segment_bytes);
    size_t len = 0;
    if (from_head > 0) {
        memcpy(to->coder.plain, enc->head.ptr, from_head);
        enc->head = pg_bytes_slice(enc->head, from_head, enc->head.len);
    }
    pg_mut_bytes space = {to->coder.plain + from_head, enc->segment_bytes - from_head};
    if (space.len > 0) {
        PG_TRY(enc->source->read(space, &len, enc->source->user));
    }
    *out_len = from_head + len;
    return PG_OK;
}

static pg_err read_segments(encoder *enc)
{
    // All that is random is drawn here, in the order of the stream: the same source of it gives the same blocks.
    uint8_t extent_id[PG_EXTENT_ID_BYTES] = {0};
    size_t len = enc->segment_bytes;
    uint32_t segment = 0;
    pg_time open_until = PG_FOREVER;
    uint64_t i = 0;
    if (enc->begun) { // in an earlier run
        memcpy(extent_id, enc->descriptor.extent_id, sizeof(extent_id));
        segment = enc->descriptor.segment_count;
        open_until = pg_after(PG_MINUTES(PG_EXTENT_MINUTES_MAX));
    }
    for (; len == enc->segment_bytes; i++) {
        lane *to = &enc->lane[i % enc->lane_count];
        PG_TRY(pg_lanes_wait(&enc->lanes, &to->state, PG_LANE_STATE_FREE));
        PG_TRY(fill(enc, to, &len));
        if (len == 0) {
            break;
        }
        if (segment == enc->extent_segments || pg_now() > open_until) {
            segment = 0;
        }
        to->segment = segment++;
        to->info = (pg_segment_info){
            .plain_bytes = (uint32_t) len,
            .flags = enc->encoding->no_compress ? PG_SEGMENT_FLAG_FULL : 0,
        };
        if (to->segment == 0) {
            open_until = pg_after(PG_MINUTES(PG_EXTENT_MINUTES_MAX));
            enc->encoding->random(PG_MUT_BYTES_OF(extent_id));
            enc->encoding->random(PG_MUT_BYTES_OF(to->descriptor_nonce));
        }
        enc->encoding->random(PG_MUT_BYTES_OF(to->info.nonce));
        pg_segment_coder_choose(&to->coder, enc->encoding->file_key, extent_id, enc->level);
        pg_lanes_set(&enc->lanes, &to->state, PG_LANE_STATE_READY);
    }
    lane *last = &enc->lane[i % enc->lane_count];
    PG_TRY(pg_lanes_wait(&enc->lanes, &last->state, PG_LANE_STATE_FREE));
    last->end = true;
    pg_lanes_set(&enc->lanes, &last->state, PG_LANE_STATE_READY);
    return PG_OK;
}

static pg_err front_run(void *arg)
{
    encoder *enc = arg;
    return pg_lanes_result(&enc->lanes, read_segments(enc));
}

static pg_err seal_job(void *arg)
{
    lane *self = arg;
    return pg_segment_seal(&self->coder, self->segment, &self->info, self->digests);
}

/** View the shards of the segment in a lane, by their number. */
static void list_shards(const lane *from, pg_shard out_shards[PG_CODE_SHARDS_MAX])
{
    pg_code code = from->encoder->encoding->code;
    for (unsigned i = 0; i < pg_code_shards(code); i++) {
        out_shards[i] = (pg_shard){
            .slot = pg_code_slot_of_shard(code, from->segment, i),
            .cid = pg_block_cid_of_digest(from->digests[i]),
            .bytes = pg_bytes_const(pg_segment_shard(&from->coder, &from->info, i)),
        };
    }
}

static pg_err place_segment(lane *self)
{
    const encoder *enc = self->encoder;
    pg_shard shards[PG_CODE_SHARDS_MAX];
    pg_segment_place place = {
        .extent_id = self->coder.extent_id, .level = enc->level, .segment = self->segment};
    list_shards(self, shards);
    return enc->sink->place_shards(&place, shards, pg_code_shards(enc->encoding->code),
                                   enc->sink->user);
}

static pg_err work(lane *self)
{
    for (bool end = false; !end;) {
        PG_TRY(pg_lanes_wait(&self->encoder->lanes, &self->state, PG_LANE_STATE_READY));
        end = self->end;
        if (!end) {
            PG_TRY(pg_offload(seal_job, self));
        }
        if (!end && self->encoder->sink->place_shards != NULL) {
            PG_TRY(place_segment(self));
        }
        pg_lanes_set(&self->encoder->lanes, &self->state, PG_LANE_STATE_DONE);
    }
    return PG_OK;
}

static pg_err lane_run(void *arg)
{
    lane *self = arg;
    return pg_lanes_result(&self->encoder->lanes, work(self));
}

/** Write the descriptor of the extent that is complete. */
static pg_err close_extent(encoder *enc)
{
    pg_extent extent = {.plain_bytes = pg_descriptor_plain_bytes(&enc->descriptor)};
    pg_buf block = {.max_len = PG_DESCRIPTOR_BYTES_MAX};
    pg_err err = pg_descriptor_encode(&enc->descriptor, enc->encoding->file_key, enc->level,
                                      enc->descriptor_nonce, &block);
    if (err == PG_OK) {
        extent.descriptor = pg_block_cid(pg_buf_bytes(&block));
        enc->totals->shared_bytes += block.len;
        enc->totals->extents++;
        err = enc->sink->put_descriptor(pg_buf_bytes(&block), &extent, enc->sink->user);
    }
    if (err == PG_OK) {
        err = pg_extents_append(&enc->list, &extent);
    }
    pg_buf_deinit(&block);
    return err;
}

static pg_err open_extent(encoder *enc, const lane *from)
{
    memcpy(enc->descriptor_nonce, from->descriptor_nonce, PG_AEAD_NONCE_BYTES);
    pg_descriptor_reset(&enc->descriptor, from->coder.extent_id);
    if (enc->encoding->lease_key == NULL) {
        return PG_OK;
    }
    enc->descriptor.has_lease_key = true;
    return enc->encoding->lease_key(from->coder.extent_id, enc->descriptor.lease_key,
                                    enc->encoding->lease_user);
}

static pg_err put_segment(encoder *enc, const lane *from)
{
    unsigned n = pg_code_shards(enc->encoding->code);
    enc->totals->shards_bytes += (uint64_t) n * from->info.shard_bytes;
    if (enc->sink->place_shards == NULL) {
        pg_shard shards[PG_CODE_SHARDS_MAX];
        list_shards(from, shards);
        PG_TRY(enc->sink->put_shards(shards, n, enc->sink->user));
    }
    pg_descriptor_add(&enc->descriptor, &from->info, from->digests[0]);
    enc->totals->segments++;
    if (enc->level == 0) {
        enc->totals->size_bytes += from->info.plain_bytes;
        enc->totals->packed_bytes += from->info.stored_bytes;
        if (enc->sink->progress != NULL) {
            enc->sink->progress(enc->totals->size_bytes, enc->sink->user);
        }
    }
    return PG_OK;
}

/** Tell how far the encoding is; `open` says whether an extent is. */
static pg_err note(const encoder *enc, bool open)
{
    const pg_encode_state state = {enc->totals, pg_buf_bytes(&enc->list),
                                   open ? &enc->descriptor : NULL};
    return enc->sink->note == NULL || enc->level > 0 ? PG_OK
                                                     : enc->sink->note(&state, enc->sink->user);
}

/** The back: take the segments in order, close an extent when the next begins. */
static pg_err put_segments(encoder *enc)
{
    bool is_open = enc->begun;
    for (uint64_t i = 0;; i++) {
        lane *from = &enc->lane[i % enc->lane_count];
        PG_TRY(pg_lanes_wait(&enc->lanes, &from->state, PG_LANE_STATE_DONE));
        if (is_open && (from->end || from->segment == 0)) {
            PG_TRY(close_extent(enc));
            PG_TRY(note(enc, false));
        }
        is_open = true;
        if (from->end) {
            return PG_OK;
        }
        if (from->segment == 0) {
            PG_TRY(open_extent(enc, from));
        }
        PG_TRY(put_segment(enc, from));
        PG_TRY(note(enc, true));
        pg_lanes_set(&enc->lanes, &from->state, PG_LANE_STATE_FREE);
    }
}

/** Take over the extent that an earlier run left open, to be sealed with a nonce of this run: it may have been sealed before. */
static pg_err descriptor_resume(encoder *enc, const pg_descriptor *from)
{
    if (from->segment_count > enc->extent_segments || from->segment_bytes != enc->segment_bytes ||
        from->code.data != enc->encoding->code.data ||
        from->code.parity != enc->encoding->code.parity) {
        return pg_fail(PG_ERR_INVALID, "it was begun with another code");
    }
    pg_descriptor_reset(&enc->descriptor, from->extent_id);
    enc->descriptor.has_lease_key = from->has_lease_key;
    memcpy(enc->descriptor.lease_key, from->lease_key, sizeof(from->lease_key));
    for (uint32_t g = 0; g < from->segment_count; g++) {
        pg_descriptor_add(&enc->descriptor, &from->segments[g], pg_descriptor_digest(from, g, 0));
    }
    enc->encoding->random(PG_MUT_BYTES_OF(enc->descriptor_nonce));
    enc->begun = true;
    return PG_OK;
}

static pg_err state_resume(encoder *enc)
{
    const pg_encode_state *state = enc->encoding->resume;
    if (state == NULL || enc->level > 0) {
        return PG_OK;
    }
    PG_TRY(pg_buf_append(&enc->list, state->list));
    return state->open == NULL ? PG_OK : descriptor_resume(enc, state->open);
}

static pg_err encoder_init(encoder *enc)
{
    const pg_files_encoding *encoding = enc->encoding;
    enc->segment_bytes = or_default(encoding->segment_bytes, pg_code_segment_bytes(encoding->code));
    enc->extent_segments =
        or_default(encoding->extent_segments, pg_code_extent_segments(enc->segment_bytes));
    enc->list.max_len = PG_EXTENT_LIST_BYTES_MAX;
    pg_lanes_init(&enc->lanes);
    PG_TRY(pg_descriptor_init(&enc->descriptor, encoding->code, enc->segment_bytes,
                              enc->extent_segments));
    PG_TRY(state_resume(enc));
    unsigned count = lanes_wanted(enc->sink);
    enc->lane = pg_calloc(count, sizeof(*enc->lane));
    if (enc->lane == NULL) {
        return PG_ERR_NOMEM;
    }
    for (; enc->lane_count < count; enc->lane_count++) {
        lane *next = &enc->lane[enc->lane_count];
        next->encoder = enc;
        PG_TRY(pg_segment_coder_init(&next->coder, encoding->code, enc->segment_bytes));
    }
    return PG_OK;
}

static void encoder_deinit(encoder *enc)
{
    for (unsigned i = 0; i < enc->lane_count; i++) {
        pg_segment_coder_deinit(&enc->lane[i].coder);
    }
    pg_mfree(enc->lane);
    pg_descriptor_deinit(&enc->descriptor);
    pg_buf_deinit(&enc->list);
}

static pg_err spawn_all(encoder *enc)
{
    PG_TRY(pg_scope_spawn(&enc->lanes.scope, "files.encode_front", front_run, enc));
    for (unsigned i = 0; i < enc->lane_count; i++) {
        PG_TRY(pg_scope_spawn(&enc->lanes.scope, "files.encode_lane", lane_run, &enc->lane[i]));
    }
    return PG_OK;
}

/** Encode one level; on PG_OK *out_list is its list of extents. */
static pg_err encode_level(encoder *enc, pg_buf *out_list)
{
    pg_err err = encoder_init(enc);
    if (err == PG_OK) {
        err = spawn_all(enc);
        if (err == PG_OK) {
            err = put_segments(enc);
        }
        err = pg_lanes_end(&enc->lanes, err);
    }
    if (err == PG_OK) {
        *out_list = enc->list;
        enc->list = (pg_buf){0};
    }
    encoder_deinit(enc);
    return err;
}

/** Reads a list of extents as the bytes of a file. */
static pg_err on_list_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    pg_bytes *rest = user;
    *out_len = pg_min_size(space.len, rest->len);
    if (*out_len > 0) {
        memcpy(space.ptr, rest->ptr, *out_len);
    }
    *rest = pg_bytes_slice(*rest, *out_len, rest->len);
    return PG_OK;
}

/** Encode a list that is too long for a root as a file of the next level, until one fits. */
static pg_err shorten_list(const pg_files_encoding *encoding, const pg_files_sink *sink,
                           pg_files_encoded *totals, pg_root *root)
{
    uint32_t list_max = or_default(encoding->list_bytes, LIST_BYTES_MAX);
    while (root->extents.len > list_max) {
        if (++root->level == PG_LEVELS_MAX) {
            return pg_fail(PG_ERR_LIMIT, "the list of extents needs more than %u levels",
                           PG_LEVELS_MAX);
        }
        pg_bytes rest = pg_buf_bytes(&root->extents);
        pg_files_source source = {on_list_read, &rest};
        encoder enc = {.encoding = encoding,
                       .source = &source,
                       .sink = sink,
                       .totals = totals,
                       .level = root->level};
        pg_buf list = {0};
        PG_TRY(encode_level(&enc, &list));
        pg_buf_deinit(&root->extents);
        root->extents = list;
    }
    return PG_OK;
}

static pg_err put_root(const pg_files_encoding *encoding, const pg_files_sink *sink,
                       pg_files_encoded *totals, pg_root *root)
{
    pg_root_seal seal;
    pg_buf block = {.max_len = PG_ROOT_BYTES_MAX};
    encoding->random(PG_MUT_BYTES_OF(seal.salt));
    encoding->random(PG_MUT_BYTES_OF(seal.nonce));
    root->size_bytes = totals->size_bytes;
    root->kind = encoding->kind;
    pg_err err = pg_buf_append(&root->name, encoding->name);
    if (err == PG_OK) {
        err = pg_root_encode(root, encoding->file_key, &seal, &block);
    }
    if (err == PG_OK) {
        totals->root = pg_block_cid(pg_buf_bytes(&block));
        totals->shared_bytes += block.len;
        err = sink->put_root(pg_buf_bytes(&block), &totals->root, sink->user);
    }
    pg_buf_deinit(&block);
    return err;
}

/** Encode what begins with `head`: inline when that is all, else in extents. */
static pg_err encode_content(const pg_files_encoding *encoding, const pg_files_source *source,
                             const pg_files_sink *sink, pg_bytes head, pg_files_encoded *totals,
                             pg_root *root)
{
    if (head.len <= PG_INLINE_BYTES_MAX && encoding->resume == NULL) {
        totals->size_bytes = head.len;
        totals->packed_bytes = head.len;
        return pg_buf_append(&root->content, head);
    }
    encoder enc = {
        .encoding = encoding, .source = source, .sink = sink, .totals = totals, .head = head};
    PG_TRY(encode_level(&enc, &root->extents));
    return shorten_list(encoding, sink, totals, root);
}

pg_err pg_files_encode_stream(const pg_files_encoding *encoding, const pg_files_source *source,
                              const pg_files_sink *sink, pg_files_encoded *out_encoded)
{
    PG_TRY(pg_code_check(encoding->code.data, encoding->code.parity));
    PG_TRY(pg_root_check_name(encoding->name));
    pg_files_encoded totals = {0};
    pg_root root = {0};
    pg_buf head = {0};
    uint8_t *space = NULL;
    size_t len = 0;
    if (encoding->resume != NULL) {
        totals = *encoding->resume->totals;
    }
    pg_err err = pg_buf_extend(&head, PG_INLINE_BYTES_MAX + 1, &space);
    if (err == PG_OK && encoding->resume == NULL) { // else it is longer than what stands in a root
        err = source->read(pg_mut_bytes_make(space, head.len), &len, source->user);
    }
    if (err == PG_OK) {
        err = encode_content(encoding, source, sink, pg_bytes_make(space, len), &totals, &root);
    }
    if (err == PG_OK) {
        err = put_root(encoding, sink, &totals, &root);
    }
    if (err == PG_OK) {
        *out_encoded = totals;
    }
    if (head.ptr != NULL) {
        pg_wipe(head.ptr, head.len);
    }
    pg_buf_deinit(&head);
    pg_root_deinit(&root);
    return err;
}
