// SPDX-License-Identifier: Apache-2.0
#include "files/decode.h"

#include "base/mem.h"
#include "base/str.h"
#include "files/extents.h"
#include "files/lanes_priv.h"
#include "files/limits.h"
#include "runtime/offload.h"

/** An extent that segments in work refer to. */
typedef struct extent_ref {
    unsigned refs; // the front's, and one for each segment in work
    uint64_t number;
    pg_descriptor descriptor;
} extent_ref;

/** One segment in work. */
typedef struct lane {
    struct decoder *decoder;
    pg_lane_state state;
    bool end;               // no segment: the stream ends here
    pg_err err;             // what the work on it came to; told when its turn comes
    pg_error_record record; // detail of err
    uint32_t segment;
    uint32_t skip; // bytes of it before the start
    extent_ref *extent;
    pg_segment_coder coder; // set up for the extent's code when the first segment comes
    pg_shard_set good;      // checked
    pg_shard_set corrupt;
    pg_shard_set absent;
    pg_shard_set fresh; // in coder.shards, not checked yet
} lane;

/** One level of a file: the file itself, or a list of extents of the level below. */
typedef struct decoder {
    const pg_key *file_key;
    const pg_files_store *store;
    const pg_files_output *output;
    pg_bytes list; // encoded extents
    uint64_t start;
    uint32_t level;
    uint64_t turn; // segments handed out so far
    pg_lanes lanes;
    unsigned lane_count;
    lane *lane; // lane[lane_count]
} decoder;

static unsigned shard_count(pg_shard_set set)
{
    return (unsigned) __builtin_popcount(set);
}

static pg_shard_set all_shards(pg_code code)
{
    return (pg_shard_set) (((uint64_t) 1 << pg_code_shards(code)) - 1);
}

static void extent_unref(extent_ref **ref)
{
    if (*ref != NULL && --(*ref)->refs == 0) {
        pg_descriptor_deinit(&(*ref)->descriptor);
        pg_mfree(*ref);
    }
    *ref = NULL;
}

/** Fetch a block and hold it against its name. */
static pg_err get_block(const pg_files_store *store, const pg_cid *cid, const pg_extent *extent,
                        pg_buf *out)
{
    PG_TRY(store->get_block(cid, extent, out, store->user));
    pg_cid actual = pg_block_cid(pg_buf_bytes(out));
    if (!pg_cid_equal(&actual, cid)) {
        return pg_fail(PG_ERR_CORRUPT, "a block does not match its content id");
    }
    return PG_OK;
}

static pg_err load_extent(const decoder *dec, const pg_extent *extent, extent_ref *ref)
{
    pg_buf block = {.max_len = PG_DESCRIPTOR_BYTES_MAX};
    pg_err err = get_block(dec->store, &extent->descriptor, extent, &block);
    if (err == PG_OK) {
        err = pg_descriptor_decode(pg_buf_bytes(&block), &ref->descriptor);
    }
    if (err == PG_OK) {
        err = pg_descriptor_open(&ref->descriptor, dec->file_key, dec->level);
    }
    if (err == PG_OK && pg_descriptor_plain_bytes(&ref->descriptor) != extent->plain_bytes) {
        err = pg_fail(PG_ERR_MALFORMED, "its segments do not have the size the list tells");
    }
    pg_buf_deinit(&block);
    return err;
}

/** Hand the segments of one extent to the lanes, from byte `start` of the level on. */
static pg_err front_step_extent(decoder *dec, extent_ref *ref, uint64_t position)
{
    for (uint32_t g = 0; g < ref->descriptor.segment_count; g++) {
        uint64_t begin = position;
        position += ref->descriptor.segments[g].plain_bytes;
        if (position <= dec->start) {
            continue;
        }
        lane *to = &dec->lane[dec->turn % dec->lane_count];
        PG_TRY(pg_lanes_wait(&dec->lanes, &to->state, PG_LANE_STATE_FREE));
        ref->refs++;
        to->extent = ref;
        to->segment = g;
        to->skip = begin < dec->start ? (uint32_t) (dec->start - begin) : 0;
        pg_lanes_set(&dec->lanes, &to->state, PG_LANE_STATE_READY);
        dec->turn++;
    }
    return PG_OK;
}

/** Load one extent and hand its segments out. */
static pg_err walk_extent(decoder *dec, const pg_extent *extent, uint64_t number, uint64_t position)
{
    extent_ref *ref = PG_NEW(extent_ref);
    if (ref == NULL) {
        return PG_ERR_NOMEM;
    }
    ref->refs = 1;
    ref->number = number;
    pg_err err = load_extent(dec, extent, ref);
    if (err == PG_OK) {
        err = front_step_extent(dec, ref, position);
    } else {
        err = pg_error_wrap(err, "extent %llu", (unsigned long long) number);
    }
    extent_unref(&ref);
    return err;
}

static pg_err walk_list(decoder *dec)
{
    pg_bytes list = dec->list;
    uint64_t position = 0;
    for (uint64_t number = 0; list.len > 0; number++) {
        pg_arena arena = pg_arena_make(PG_EXTENT_LIST_BYTES_MAX);
        pg_extent extent = {.plain_bytes = 0};
        pg_err err = pg_extents_take(&list, &arena, &extent);
        if (err == PG_OK && position + extent.plain_bytes > dec->start) {
            err = walk_extent(dec, &extent, number, position);
        }
        pg_arena_deinit(&arena); // the hints stand in it
        PG_TRY(err);
        position += extent.plain_bytes;
    }
    return PG_OK;
}

/** Note how the work on a lane ended. */
static void set_result(lane *self, pg_err err, const pg_error_record *record)
{
    self->err = err;
    self->record = *record;
}

static pg_err front_run(void *arg)
{
    // A failure waits for its turn behind the segments before it: those are still written.
    decoder *dec = arg;
    pg_err err = walk_list(dec);
    lane *last = &dec->lane[dec->turn % dec->lane_count];
    pg_error_record record = pg_error_keep();
    if (pg_lanes_wait(&dec->lanes, &last->state, PG_LANE_STATE_FREE) != PG_OK) {
        return pg_lanes_result(&dec->lanes, PG_ERR_CANCELLED);
    }
    last->end = true;
    set_result(last, err, &record);
    pg_lanes_set(&dec->lanes, &last->state, PG_LANE_STATE_READY);
    return PG_OK;
}

/** Tell of every shard in `set`. */
static void report(const lane *self, pg_shard_set set, pg_shard_fault fault)
{
    const pg_files_store *store = self->decoder->store;
    const pg_descriptor *descriptor = &self->extent->descriptor;
    for (unsigned i = 0; store->problem != NULL && i < pg_code_shards(descriptor->code); i++) {
        if ((set >> i & 1) == 0) {
            continue;
        }
        pg_shard_problem problem = {
            .fault = fault,
            .level = self->decoder->level,
            .extent = self->extent->number,
            .segment = self->segment,
            .shard = i,
            .slot = pg_code_slot_of_shard(descriptor->code, self->segment, i),
            .cid = pg_block_cid_of_digest(pg_descriptor_digest(descriptor, self->segment, i)),
        };
        store->problem(&problem, store->user);
    }
}

static void append_set(pg_buf *text, const char *title, pg_shard_set set)
{
    const char *before = title;
    for (unsigned i = 0; i < PG_CODE_SHARDS_MAX; i++) {
        if ((set >> i & 1) != 0) {
            pg_ignore(pg_buf_printf(text, "%s%u", before, i), "the message is then shorter");
            before = ", ";
        }
    }
}

/** Fail because there are not enough shards, and name those that are not good. */
static pg_err fail_missing(const lane *self)
{
    pg_code code = self->extent->descriptor.code;
    pg_buf text = {.max_len = PG_ERROR_TEXT_BYTES_MAX};
    append_set(&text, "; missing: ", all_shards(code) & ~self->good & ~self->corrupt);
    append_set(&text, "; corrupt: ", self->corrupt);
    pg_err err = pg_fail(PG_ERR_MISSING, "segment %u: %u of %u shards are left, %u are needed%.*s",
                         self->segment, shard_count(self->good), pg_code_shards(code), code.data,
                         PG_STR_ARGS(pg_buf_str(&text)));
    pg_buf_deinit(&text);
    return err;
}

/** Check what came, and open the segment when that is enough. */
static pg_err open_job(void *arg)
{
    lane *self = arg;
    const pg_descriptor *descriptor = &self->extent->descriptor;
    pg_shard_set bad =
        self->decoder->store->is_verified
            ? 0
            : pg_segment_find_corrupt(&self->coder, descriptor, self->segment, self->fresh);
    self->good |= self->fresh & ~bad;
    self->corrupt |= bad;
    self->fresh = bad; // left for the report
    if (shard_count(self->good) < descriptor->code.data) {
        return PG_OK;
    }
    return pg_segment_open(&self->coder, descriptor, self->segment, self->good);
}

/** Ask for as many shards as are needed still; *out_progress tells whether anything came of it. */
static pg_err ask(lane *self, bool *out_progress)
{
    const pg_descriptor *descriptor = &self->extent->descriptor;
    const pg_files_store *store = self->decoder->store;
    pg_shard_set tried = self->good | self->corrupt | self->absent;
    pg_shard_set absent = 0;
    pg_shards_want want = {
        .descriptor = descriptor,
        .extent = self->extent->number,
        .segment = self->segment,
        .shard_bytes = descriptor->segments[self->segment].shard_bytes,
        .need = descriptor->code.data - shard_count(self->good),
        .tried = tried,
        .shards = self->coder.shards,
    };
    self->fresh = 0;
    PG_TRY(store->get_shards(&want, &self->fresh, &absent, store->user));
    pg_shard_set untried = all_shards(descriptor->code) & ~tried;
    self->fresh &= untried;
    absent &= untried & ~self->fresh;
    self->absent |= absent;
    report(self, absent, PG_SHARD_FAULT_ABSENT);
    *out_progress = (self->fresh | absent) != 0;
    return PG_OK;
}

static pg_err restore_segment(lane *self)
{
    const pg_descriptor *descriptor = &self->extent->descriptor;
    self->good = 0;
    self->corrupt = 0;
    self->absent = 0;
    while (shard_count(self->good) < descriptor->code.data) {
        bool progress = false;
        PG_TRY(ask(self, &progress));
        if (!progress) {
            return fail_missing(self);
        }
        if (self->fresh != 0) {
            PG_TRY(pg_offload(open_job, self));
            report(self, self->fresh, PG_SHARD_FAULT_CORRUPT);
        }
    }
    return PG_OK;
}

/** Set the coder up for the extent. All extents of a file have one code as a rule, so this is done once. */
static pg_err choose(lane *self)
{
    const pg_descriptor *descriptor = &self->extent->descriptor;
    pg_segment_coder *coder = &self->coder;
    if (coder->code.data != descriptor->code.data ||
        coder->code.parity != descriptor->code.parity ||
        coder->segment_bytes != descriptor->segment_bytes) {
        pg_segment_coder_deinit(coder);
        PG_TRY(pg_segment_coder_init(coder, descriptor->code, descriptor->segment_bytes));
    }
    pg_segment_coder_choose(coder, self->decoder->file_key, descriptor->extent_id,
                            self->decoder->level);
    return PG_OK;
}

static pg_err work(lane *self)
{
    for (bool end = false; !end;) {
        PG_TRY(pg_lanes_wait(&self->decoder->lanes, &self->state, PG_LANE_STATE_READY));
        end = self->end;
        if (!end) {
            pg_err err = choose(self);
            if (err == PG_OK) {
                err = restore_segment(self);
            }
            err = pg_error_wrap(err, "extent %llu", (unsigned long long) self->extent->number);
            set_result(self, err, pg_error_last());
        }
        pg_lanes_set(&self->decoder->lanes, &self->state, PG_LANE_STATE_DONE);
    }
    return PG_OK;
}

static pg_err lane_run(void *arg)
{
    lane *self = arg;
    return pg_lanes_result(&self->decoder->lanes, work(self));
}

/** The back: write the segments in order. */
static pg_err write_segments(decoder *dec)
{
    for (uint64_t i = 0;; i++) {
        lane *from = &dec->lane[i % dec->lane_count];
        PG_TRY(pg_lanes_wait(&dec->lanes, &from->state, PG_LANE_STATE_DONE));
        if (from->err != PG_OK) {
            return pg_error_again(&from->record, from->err);
        }
        if (from->end) {
            return PG_OK;
        }
        uint32_t len = from->extent->descriptor.segments[from->segment].plain_bytes;
        pg_bytes plain = pg_bytes_slice(pg_bytes_make(from->coder.plain, len), from->skip, len);
        PG_TRY(dec->output->write(plain, dec->output->user));
        extent_unref(&from->extent);
        pg_lanes_set(&dec->lanes, &from->state, PG_LANE_STATE_FREE);
    }
}

static pg_err spawn_all(decoder *dec)
{
    PG_TRY(pg_scope_spawn(&dec->lanes.scope, "files.decode_front", front_run, dec));
    for (unsigned i = 0; i < dec->lane_count; i++) {
        dec->lane[i].decoder = dec;
        PG_TRY(pg_scope_spawn(&dec->lanes.scope, "files.decode_lane", lane_run, &dec->lane[i]));
    }
    return PG_OK;
}

static pg_err decode_level(decoder *dec)
{
    pg_lanes_init(&dec->lanes);
    dec->lane_count = (unsigned) pg_min_size(pg_cpu_count() + 2U, PG_LANES_MAX);
    dec->lane = pg_calloc(dec->lane_count, sizeof(*dec->lane));
    if (dec->lane == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = spawn_all(dec);
    if (err == PG_OK) {
        err = write_segments(dec);
    }
    err = pg_lanes_end(&dec->lanes, err);
    for (unsigned i = 0; i < dec->lane_count; i++) {
        extent_unref(&dec->lane[i].extent);
        pg_segment_coder_deinit(&dec->lane[i].coder);
    }
    pg_mfree(dec->lane);
    return err;
}

/** Takes a list of extents as it is decoded. */
static pg_err on_list_write(pg_bytes bytes, void *user)
{
    return pg_buf_append(user, bytes);
}

/** Replace a list of lists by what it lists, until it is the list of the file's own extents. */
static pg_err lengthen_list(const pg_link *link, const pg_files_store *store, pg_root *root)
{
    for (; root->level > 0; root->level--) {
        pg_buf list = {.max_len = PG_EXTENT_LIST_BYTES_MAX};
        pg_files_output output = {NULL, on_list_write, &list};
        decoder dec = {.file_key = &link->key,
                       .store = store,
                       .output = &output,
                       .list = pg_buf_bytes(&root->extents),
                       .level = root->level};
        pg_err err = pg_error_wrap(decode_level(&dec), "list of extents");
        if (err != PG_OK) {
            pg_buf_deinit(&list);
            return err;
        }
        pg_buf_deinit(&root->extents);
        root->extents = list;
    }
    uint64_t sum = 0;
    PG_TRY(pg_extents_sum(pg_buf_bytes(&root->extents), &sum));
    if (sum != root->size_bytes) {
        return pg_fail(PG_ERR_MALFORMED, "the extents do not have the size the root tells");
    }
    return PG_OK;
}

static pg_err write_content(const pg_link *link, uint64_t start, const pg_files_store *store,
                            const pg_files_output *output, pg_root *root)
{
    if (root->extents.len == 0) {
        pg_bytes rest = pg_bytes_slice(pg_buf_bytes(&root->content), (size_t) start, SIZE_MAX);
        return rest.len == 0 ? PG_OK : output->write(rest, output->user);
    }
    PG_TRY(lengthen_list(link, store, root));
    decoder dec = {.file_key = &link->key,
                   .store = store,
                   .output = output,
                   .list = pg_buf_bytes(&root->extents),
                   .start = start};
    return decode_level(&dec);
}

static pg_err root_get(const pg_link *link, const pg_files_store *store, pg_root *out_root)
{
    pg_buf block = {.max_len = PG_ROOT_BYTES_MAX};
    pg_err err = get_block(store, &link->root, NULL, &block);
    if (err == PG_OK) {
        err = pg_root_decode(pg_buf_bytes(&block), &link->key, out_root);
    }
    pg_buf_deinit(&block);
    return err;
}

pg_err pg_files_decode_root(const pg_link *link, const pg_files_store *store, pg_root *out_root)
{
    pg_root root = {0};
    pg_err err = root_get(link, store, &root);
    if (err == PG_OK && root.extents.len > 0) {
        err = lengthen_list(link, store, &root);
    }
    if (err != PG_OK) {
        pg_root_deinit(&root);
        return err;
    }
    *out_root = root;
    return PG_OK;
}

pg_err pg_files_decode_stream(const pg_link *link, uint64_t start, const pg_files_store *store,
                              const pg_files_output *output)
{
    pg_root root = {0};
    pg_err err = root_get(link, store, &root);
    if (err == PG_OK && start > root.size_bytes) {
        err = pg_fail(PG_ERR_INVALID, "byte %llu lies beyond the end, the file has %llu bytes",
                      (unsigned long long) start, (unsigned long long) root.size_bytes);
    }
    if (err == PG_OK && output->begin != NULL) {
        err = output->begin(&root, output->user);
    }
    if (err == PG_OK) {
        err = write_content(link, start, store, output, &root);
    }
    pg_root_deinit(&root);
    return err;
}
