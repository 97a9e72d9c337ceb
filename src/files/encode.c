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

/** What a lane brings to the back. */
typedef enum lane_load {
    LOAD_SEGMENT,
    LOAD_CLOSE, // the extent at hand is complete
    LOAD_END,   // so is the stream
} lane_load;

/** One segment in work. */
typedef struct lane {
    struct encoder *encoder;
    pg_lane_state state;
    lane_load load;
    uint32_t segment;                              // its number in the extent; 0 begins one
    uint8_t descriptor_nonce[PG_AEAD_NONCE_BYTES]; // with segment 0
    pg_segment_info info;
    uint8_t digests[PG_CODE_SHARDS_MAX][PG_HASH_BYTES];
    pg_segment_coder coder;
} lane;

/** Where the front is. */
typedef struct front {
    uint64_t turn; // lanes handed on so far
    uint8_t extent_id[PG_EXTENT_ID_BYTES];
    uint32_t segment;   // number of the next in the extent at hand; 0 = none is open
    pg_time open_until; // when that is closed; PG_FOREVER = nothing of it came yet
    bool is_end;        // of the stream
} front;

/** One level of a file: the file itself, or a list of extents of the level below. */
typedef struct encoder {
    const pg_files_encoding *encoding;
    const pg_files_source *source;
    const pg_files_sink *sink;
    pg_files_encoded *totals;
    pg_bytes head;      // bytes of the source that were read already
    pg_time head_until; // when the extent that begins with them is closed
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

/** Read what comes until the extent at hand is closed; *out_is_end tells that nothing follows. */
static pg_err source_read(const pg_files_source *source, pg_mut_bytes space, pg_time deadline,
                          size_t *out_len, bool *out_is_end)
{
    pg_err err = source->read(space, deadline, out_len, source->user);
    if (err == PG_ERR_TIMEOUT && pg_now() >= deadline) {
        *out_len = 0;
        return PG_OK;
    }
    PG_TRY(err);
    // One that is short for its deadline, and at the end at once, says so when it is asked again.
    *out_is_end = *out_len == 0 || (*out_len < space.len && pg_now() < deadline);
    return PG_OK;
}

/** The same for the first bytes of an extent: its time begins with the first of them, however long that takes. */
static pg_err source_begin(const pg_files_source *source, pg_mut_bytes space, pg_time *out_until,
                           size_t *out_len, bool *out_is_end)
{
    size_t first = 0;
    size_t len = 0;
    PG_TRY(source_read(source, pg_mut_bytes_make(space.ptr, 1), PG_FOREVER, &first, out_is_end));
    *out_until = pg_after(PG_MINUTES(PG_EXTENT_MINUTES_MAX));
    if (!*out_is_end && space.len > 1) {
        PG_TRY(source_read(source, pg_mut_bytes_make(space.ptr + 1, space.len - 1), *out_until,
                           &len, out_is_end));
    }
    *out_len = first + len;
    return PG_OK;
}

/** Read the next segment into the lane; *out_len is short at the end of the stream and when the time of the extent is up. */
static pg_err fill(encoder *enc, front *at, lane *to, size_t *out_len)
{
    pg_mut_bytes space = {to->coder.plain, enc->segment_bytes};
    size_t from_head = pg_bytes_read(&enc->head, space);
    size_t len = 0;
    space = pg_mut_bytes_make(space.ptr + from_head, space.len - from_head);
    if (from_head > 0 && at->open_until == PG_FOREVER) {
        at->open_until = enc->head_until;
    }
    if (space.len > 0 && at->open_until == PG_FOREVER) {
        PG_TRY(source_begin(enc->source, space, &at->open_until, &len, &at->is_end));
    } else if (space.len > 0) {
        PG_TRY(source_read(enc->source, space, at->open_until, &len, &at->is_end));
    }
    *out_len = from_head + len;
    return PG_OK;
}

static pg_err lane_take(encoder *enc, const front *at, lane **out_lane)
{
    *out_lane = &enc->lane[at->turn % enc->lane_count];
    return pg_lanes_wait(&enc->lanes, &(*out_lane)->state, PG_LANE_STATE_FREE);
}

static void lane_give(encoder *enc, front *at, lane *to, lane_load load)
{
    to->load = load;
    at->turn++;
    pg_lanes_set(&enc->lanes, &to->state, PG_LANE_STATE_READY);
}

/** Give a lane the segment that was read into it. All that is random is drawn here, in the order of the stream: the same source of it gives
 *  the same blocks. */
static void segment_give(encoder *enc, front *at, lane *to, size_t len)
{
    to->segment = at->segment++;
    to->info = (pg_segment_info){
        .plain_bytes = (uint32_t) len,
        .flags = enc->encoding->no_compress ? PG_SEGMENT_FLAG_FULL : 0,
    };
    if (to->segment == 0) {
        enc->encoding->random(PG_MUT_BYTES_OF(at->extent_id));
        enc->encoding->random(PG_MUT_BYTES_OF(to->descriptor_nonce));
    }
    enc->encoding->random(PG_MUT_BYTES_OF(to->info.nonce));
    pg_segment_coder_choose(&to->coder, enc->encoding->file_key, at->extent_id, enc->level);
    lane_give(enc, at, to, LOAD_SEGMENT);
}

/** Go on with the extent of an earlier run, unless its last segment is a short one, behind which none can follow. */
static front front_make(const encoder *enc)
{
    front at = {.open_until = PG_FOREVER};
    const pg_descriptor *so_far = &enc->descriptor;
    if (enc->begun) {
        bool is_short =
            so_far->segments[so_far->segment_count - 1].plain_bytes < enc->segment_bytes;
        memcpy(at.extent_id, so_far->extent_id, sizeof(at.extent_id));
        at.segment = so_far->segment_count;
        at.open_until = is_short ? pg_now() : pg_after(PG_MINUTES(PG_EXTENT_MINUTES_MAX));
    }
    return at;
}

/** The extent at hand is complete. */
static void extent_give(encoder *enc, front *at, lane *to)
{
    lane_give(enc, at, to, LOAD_CLOSE);
    at->segment = 0;
    at->open_until = PG_FOREVER;
}

static pg_err read_segments(encoder *enc)
{
    front at = front_make(enc);
    lane *to = NULL;
    while (!at.is_end) {
        bool is_full = at.segment == enc->extent_segments;
        size_t len = 0;
        PG_TRY(lane_take(enc, &at, &to));
        if (at.segment > 0 && (is_full || pg_now() >= at.open_until)) {
            extent_give(enc, &at, to);
            continue;
        }
        PG_TRY(fill(enc, &at, to, &len)); // short but at the end: the time is up, which comes next
        if (len > 0) {
            segment_give(enc, &at, to, len);
        }
    }
    PG_TRY(lane_take(enc, &at, &to));
    lane_give(enc, &at, to, LOAD_END);
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
    for (lane_load load = LOAD_SEGMENT; load != LOAD_END;) {
        PG_TRY(pg_lanes_wait(&self->encoder->lanes, &self->state, PG_LANE_STATE_READY));
        load = self->load;
        if (load == LOAD_SEGMENT) {
            PG_TRY(pg_offload(seal_job, self));
        }
        if (load == LOAD_SEGMENT && self->encoder->sink->place_shards != NULL) {
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

/** The back: take the segments in order, and close each extent. */
static pg_err put_segments(encoder *enc)
{
    bool is_open = enc->begun;
    for (uint64_t i = 0;; i++) {
        lane *from = &enc->lane[i % enc->lane_count];
        PG_TRY(pg_lanes_wait(&enc->lanes, &from->state, PG_LANE_STATE_DONE));
        if (from->load != LOAD_SEGMENT && is_open) {
            PG_TRY(close_extent(enc));
            PG_TRY(note(enc, false));
            is_open = false;
        }
        if (from->load == LOAD_END) {
            return PG_OK;
        }
        if (from->load == LOAD_SEGMENT && from->segment == 0) {
            PG_TRY(open_extent(enc, from));
            is_open = true;
        }
        if (from->load == LOAD_SEGMENT) {
            PG_TRY(put_segment(enc, from));
            PG_TRY(note(enc, true));
        }
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

static pg_err on_memory_read(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user)
{
    (void) deadline;
    *out_len = pg_bytes_read(user, space);
    return PG_OK;
}

pg_files_source pg_files_source_of(pg_bytes *rest)
{
    return (pg_files_source){on_memory_read, rest};
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
        const pg_files_source source = pg_files_source_of(&rest);
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

/** The first bytes of a source. */
typedef struct head {
    pg_buf space;
    size_t len;
    pg_time until; // when an extent that begins with them is closed
    bool is_end;   // they are all
} head;

/** Read as much as tells whether the file stands in its root. One that goes on with an earlier run does not. */
static pg_err head_read(const pg_files_encoding *encoding, const pg_files_source *source,
                        head *first)
{
    uint8_t *space = NULL;
    if (encoding->resume != NULL) {
        return PG_OK;
    }
    PG_TRY(pg_buf_extend(&first->space, PG_INLINE_BYTES_MAX + 1, &space));
    return source_begin(source, pg_mut_bytes_make(space, first->space.len), &first->until,
                        &first->len, &first->is_end);
}

static void head_deinit(head *first)
{
    if (first->space.ptr != NULL) {
        pg_wipe(first->space.ptr, first->space.len);
    }
    pg_buf_deinit(&first->space);
}

/** Encode what begins with `first`: inline when that is all, else in extents. */
static pg_err encode_content(const pg_files_encoding *encoding, const pg_files_source *source,
                             const pg_files_sink *sink, const head *first, pg_files_encoded *totals,
                             pg_root *root)
{
    pg_bytes bytes = pg_bytes_make(first->space.ptr, first->len);
    if (first->is_end) {
        totals->size_bytes = bytes.len;
        totals->packed_bytes = bytes.len;
        return pg_buf_append(&root->content, bytes);
    }
    encoder enc = {.encoding = encoding,
                   .source = source,
                   .sink = sink,
                   .totals = totals,
                   .head = bytes,
                   .head_until = first->until};
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
    head first = {.len = 0};
    if (encoding->resume != NULL) {
        totals = *encoding->resume->totals;
    }
    pg_err err = head_read(encoding, source, &first);
    if (err == PG_OK) {
        err = encode_content(encoding, source, sink, &first, &totals, &root);
    }
    if (err == PG_OK) {
        err = put_root(encoding, sink, &totals, &root);
    }
    if (err == PG_OK) {
        *out_encoded = totals;
    }
    head_deinit(&first);
    pg_root_deinit(&root);
    return err;
}
