// SPDX-License-Identifier: Apache-2.0
#include "files/fetch.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "files/discover.h"
#include "files/extents.h"
#include "files/limits.h"
#include "runtime/time.h"

// ---- Roots and descriptors

/** Append a block that is here. Returns false when it is not, or was found damaged. */
static bool local_get(pg_files *files, const pg_cid *cid, pg_buf *out)
{
    if (!pg_block_store_has(files->config.blocks, cid, NULL)) {
        return false;
    }
    pg_err err = pg_block_store_get(files->config.blocks, cid, out);
    if (err == PG_OK) {
        pg_keep_touch(&files->keep, cid);
    }
    return err == PG_OK;
}

/** Offer a shard that came over the network to the cache, which takes the buffer. */
static void offer(const pg_fetch *fetch, const pg_cid *cid, pg_buf *block)
{
    if (!fetch->is_kept) {
        pg_keep_offer_take(&fetch->files->keep, cid, block);
    }
}

/** Turn the hints of a list into PeerIds. */
static size_t hints_read(const pg_files *files, const pg_extent *extent, pg_peer_id *out_peers)
{
    size_t count = 0;
    for (size_t i = 0; i < extent->host_count; i++) {
        if (pg_peer_id_decode(extent->hosts[i], &out_peers[count]) == PG_OK &&
            !pg_peer_id_equal(&out_peers[count], pg_host_id(files->config.host))) {
            count++;
        }
    }
    return count;
}

/** A block being looked for in several ways at once. */
typedef struct search {
    pg_fetch *fetch;
    const pg_cid *cid;
    const pg_extent *extent; // NULL: a root
    pg_buf block;            // of whoever found it first
    bool is_found;
    unsigned running;
    pg_waitq changed;
} search;

/** Fetch from some, or from all who are connected (peers NULL). */
static pg_err search_with(search *self, const pg_peer_id *peers, size_t count)
{
    pg_buf block = {.max_len = PG_BLOCK_BYTES_MAX};
    const pg_bitswap_sources sources = {peers, count};
    pg_err err =
        pg_bitswap_fetch_any(self->fetch->files->config.bitswap, peers == NULL ? NULL : &sources,
                             self->cid, pg_after(PG_MS(PG_FETCH_BLOCK_MS)), &block, NULL);
    if (err == PG_OK && !self->is_found) {
        self->block = block;
        self->is_found = true;
        return PG_OK;
    }
    pg_buf_deinit(&block);
    return err;
}

static void search_end(search *self)
{
    self->running--;
    pg_waitq_wake_all(&self->changed);
}

/** With the hosts of the hints, then with all who are connected. */
static pg_err search_near_run(void *arg)
{
    search *self = arg;
    pg_peer_id hints[PG_CODE_SHARDS_MAX];
    size_t count = self->extent == NULL ? 0 : hints_read(self->fetch->files, self->extent, hints);
    pg_err err = count > 0 ? search_with(self, hints, count) : PG_ERR_NOT_FOUND;
    if (err != PG_OK && !pg_fiber_is_cancelled()) {
        err = search_with(self, NULL, 0);
    }
    search_end(self);
    return err;
}

/** With those who announced it. */
static pg_err search_far_run(void *arg)
{
    search *self = arg;
    pg_peer_id providers[PG_PROVIDERS_MAX];
    size_t count = pg_discover_providers(self->fetch->files, self->cid, providers);
    pg_err err = count > 0 ? search_with(self, providers, count) : PG_ERR_NOT_FOUND;
    search_end(self);
    return err;
}

static pg_err remote_get(pg_fetch *fetch, const pg_cid *cid, const pg_extent *extent, pg_buf *out)
{
    search self = {.fetch = fetch, .cid = cid, .extent = extent, .running = 2};
    pg_scope scope;
    pg_waitq_init(&self.changed);
    pg_scope_init_tolerant(&scope);
    pg_err err = pg_scope_spawn(&scope, "files.search", search_near_run, &self);
    if (err == PG_OK) {
        err = pg_scope_spawn(&scope, "files.search", search_far_run, &self);
    }
    while (err == PG_OK && !self.is_found && self.running > 0) {
        err = pg_waitq_wait(&self.changed, PG_FOREVER); // both have deadlines
    }
    pg_scope_close(&scope);
    if (err == PG_OK) {
        err = self.is_found ? pg_buf_append(out, pg_buf_bytes(&self.block)) : PG_ERR_NOT_FOUND;
    }
    pg_buf_deinit(&self.block);
    return err;
}

/** Return true when a fetch failed because nobody who could be asked has the block. */
static bool is_absence(pg_err err)
{
    return err == PG_ERR_NOT_FOUND || err == PG_ERR_TIMEOUT || err == PG_ERR_UNREACHABLE ||
           err == PG_ERR_REFUSED || err == PG_ERR_RESET || err == PG_ERR_CLOSED;
}

static pg_err fail_absent(const pg_fetch *fetch, const char *what)
{
    pg_host_stats stats = pg_host_get_stats(fetch->files->config.host);
    if (stats.connections == 0) {
        return pg_fail(PG_ERR_UNREACHABLE, "%s is not here, and no other node is connected", what);
    }
    return pg_fail(PG_ERR_NOT_FOUND, "%s is with none of the nodes that were asked", what);
}

static pg_err holders_learn(pg_fetch *fetch, const pg_cid *cid, const pg_extent *extent,
                            pg_bytes block)
{
    pg_descriptor descriptor;
    PG_TRY(pg_descriptor_decode(block, &descriptor));
    pg_fetch_extent *known = PG_NEW(pg_fetch_extent);
    pg_err err = PG_ERR_NOMEM;
    if (known != NULL) {
        pg_holders_init(&known->holders);
        pg_archived_init(&known->archived);
        known->descriptor = *cid;
        err = pg_map_add(&fetch->extents, PG_BYTES_OF(descriptor.extent_id), known);
    }
    const pg_holders_question question = {
        .host = fetch->files->config.host,
        .files = fetch->files,
        .descriptor = cid,
        .enough = fetch->asks_all ? UINT32_MAX : descriptor.code.data,
    };
    pg_descriptor_deinit(&descriptor);
    if (err != PG_OK) {
        pg_mfree(known);
        return err == PG_ERR_EXISTS ? PG_OK : err; // an extent that a list names twice
    }
    return pg_holders_ask(&known->holders, &question, extent->hosts, extent->host_count);
}

static pg_err on_get_block(const pg_cid *cid, const pg_extent *extent, pg_buf *out, void *user)
{
    pg_fetch *fetch = user;
    if (!local_get(fetch->files, cid, out)) {
        pg_err err = remote_get(fetch, cid, extent, out);
        const char *what = extent == NULL ? "the root of this link" : "a descriptor";
        if (is_absence(err)) {
            err = pg_archived_block(fetch->files, cid, out);
        }
        if (is_absence(err)) {
            return fail_absent(fetch, what);
        }
        PG_TRY(pg_error_wrap(err, "%s", what));
        if (!fetch->is_kept) {
            pg_keep_offer(&fetch->files->keep, cid, pg_buf_bytes(out));
        }
    }
    return extent == NULL ? PG_OK : holders_learn(fetch, cid, extent, pg_buf_bytes(out));
}

// ---- Shards

/** The shards of one segment being got. */
typedef struct want_run {
    pg_fetch *fetch;
    const pg_shards_want *want;
    pg_fetch_extent *extent;
    pg_holders *holders;
    pg_shard_set got;
    pg_shard_set asked; // fetched, or being fetched
    unsigned running;
    pg_waitq changed;
    pg_scope scope;
} want_run;

/** One shard being fetched. */
typedef struct shard_run {
    want_run *run;
    unsigned shard;
} shard_run;

static pg_cid shard_cid(const pg_shards_want *want, unsigned shard)
{
    return pg_block_cid_of_digest(pg_descriptor_digest(want->descriptor, want->segment, shard));
}

static bool row_take(want_run *run, unsigned shard, pg_bytes bytes)
{
    const pg_shards_want *want = run->want;
    if (bytes.len != want->shard_bytes) {
        return false;
    }
    memcpy(want->shards + (size_t) shard * want->shard_bytes, bytes.ptr, bytes.len);
    run->got |= (pg_shard_set) 1 << shard;
    return true;
}

static unsigned count_of(pg_shard_set set)
{
    return (unsigned) __builtin_popcount(set);
}

static pg_shard_set untried(const want_run *run)
{
    unsigned n = pg_code_shards(run->want->descriptor->code);
    pg_shard_set all = (pg_shard_set) (((uint64_t) 1 << n) - 1);
    return all & ~run->want->tried & ~run->got & ~run->asked;
}

/** Take what is here. */
static void shards_take_local(want_run *run)
{
    unsigned n = pg_code_shards(run->want->descriptor->code);
    pg_shard_set rest = untried(run);
    for (unsigned i = 0; i < n && count_of(run->got) < run->want->need; i++) {
        if ((rest >> i & 1) == 0) {
            continue;
        }
        pg_cid cid = shard_cid(run->want, i);
        pg_buf block = {.max_len = PG_SHARD_BYTES_MAX};
        if (local_get(run->fetch->files, &cid, &block) && row_take(run, i, pg_buf_bytes(&block))) {
            run->fetch->report.shards_local++;
        }
        pg_buf_deinit(&block);
    }
}

/** How long to wait before a spare shard is asked for. */
static int64_t hedge_ns(const pg_fetch *fetch)
{
    int64_t wait_ns = 2 * fetch->shard_ns;
    wait_ns = wait_ns < PG_MS(PG_FETCH_HEDGE_MS_MAX) ? wait_ns : PG_MS(PG_FETCH_HEDGE_MS_MAX);
    return wait_ns > PG_MS(PG_FETCH_HEDGE_MS) ? wait_ns : PG_MS(PG_FETCH_HEDGE_MS);
}

static const char *const fault_names[PG_HOST_FAULT_COUNT] = {"late", "absent", "corrupt"};

/** Name a host that failed, in the report and in the log. */
static void fault_note(pg_fetch *fetch, const pg_peer_id *peer, pg_host_fault fault)
{
    pg_get_report *report = &fetch->report;
    size_t i = 0;
    while (i < report->faulty_count && !pg_peer_id_equal(&report->faulty[i].peer, peer)) {
        i++;
    }
    if (i == PG_GET_FAULTY_MAX || (i < report->faulty_count && report->faulty[i].fault >= fault)) {
        return;
    }
    report->faulty[i] = (pg_faulty_host){*peer, fault};
    report->faulty_count += i == report->faulty_count ? 1 : 0;
    char name[PG_PSEUDONYM_TEXT_BYTES];
    pg_host_peer_pseudonym(fetch->files->config.host, peer, name);
    pg_log_limited(PG_LOG_LEVEL_INFO, "files.host.faulty", PG_LOG_STR("peer", name),
                   PG_LOG_STR("fault", fault_names[fault]));
}

/** Put into the host's book what came of asking it for a shard that it said it has. */
static void health_note(const pg_fetch *fetch, const pg_peer_id *peer, pg_err err)
{
    const pg_health_observation seen = {
        .peer = peer,
        .kind = err == PG_OK            ? PG_HEALTH_TRANSFER_OK
                : err == PG_ERR_CORRUPT ? PG_HEALTH_AUDIT_FAILED
                                        : PG_HEALTH_REFUSED,
    };
    pg_health_note(fetch->files->config.health, &seen);
}

static void holder_note(want_run *run, pg_holder *holder, unsigned slot, pg_err err)
{
    pg_fetch *fetch = run->fetch;
    fetch->report.shards_corrupt += err == PG_ERR_CORRUPT ? 1 : 0;
    if (err == PG_ERR_CORRUPT) {
        fault_note(fetch, &holder->peer, PG_HOST_FAULT_CORRUPT);
    } else if (err == PG_ERR_NOT_FOUND && holder->has_answered) {
        fault_note(fetch, &holder->peer, PG_HOST_FAULT_ABSENT);
    } else if (err == PG_ERR_TIMEOUT) {
        fault_note(fetch, &holder->peer, PG_HOST_FAULT_LATE);
    }
    if (err == PG_OK || err == PG_ERR_CORRUPT ||
        (err == PG_ERR_NOT_FOUND && holder->has_answered)) {
        health_note(fetch, &holder->peer, err);
    }
    if (err == PG_OK) {
        holder->failures = 0;
    } else if (err == PG_ERR_NOT_FOUND || err == PG_ERR_CORRUPT) {
        holder->slots &= ~((pg_slot_set) 1 << slot); // whatever it said before
        holder->failures++;
    } else {
        holder->failures++;
    }
}

/** Fetch a shard from one host. */
static pg_err holder_fetch(want_run *run, pg_holder *holder, unsigned slot, const pg_cid *cid,
                           pg_buf *out)
{
    pg_fetch *fetch = run->fetch;
    const pg_peer_id peer = holder->peer;
    PG_TRY(pg_holders_turn_take(run->holders, holder));
    pg_time asked_at = pg_now();
    pg_err err = pg_bitswap_fetch(fetch->files->config.bitswap, &peer, cid,
                                  pg_after(PG_MS(PG_FETCH_SHARD_MS)), out);
    int64_t took_ns = pg_now() - asked_at;
    pg_holders_turn_give(run->holders, holder);
    if (pg_fiber_is_cancelled()) {
        // Others were faster. A host that had as long as a spare one is given was slow, and is asked behind them next time.
        if (took_ns >= hedge_ns(fetch)) {
            holder->failures++;
            fault_note(fetch, &holder->peer, PG_HOST_FAULT_LATE);
        }
        return PG_ERR_CANCELLED;
    }
    if (err == PG_OK) {
        fetch->shard_ns = fetch->shard_ns == 0 ? took_ns : (7 * fetch->shard_ns + took_ns) / 8;
    }
    holder_note(run, holder, slot, err);
    return err;
}

/** Fetch a shard from its best host, then from the next. */
static pg_err shard_fetch(want_run *run, unsigned shard, const pg_cid *cid, pg_buf *out)
{
    unsigned slot = pg_code_slot_of_shard(run->want->descriptor->code, run->want->segment, shard);
    pg_err err = PG_ERR_NOT_FOUND;
    for (unsigned turn = 0; turn < 2 && err != PG_OK && err != PG_ERR_CANCELLED; turn++) {
        pg_holder *holder = pg_holders_find(run->holders, slot);
        if (holder == NULL) {
            return err;
        }
        err = holder_fetch(run, holder, slot, cid, out);
    }
    return err;
}

static pg_err shard_run_main(void *arg)
{
    shard_run *self = arg;
    want_run *run = self->run;
    pg_cid cid = shard_cid(run->want, self->shard);
    pg_buf block = {.max_len = PG_SHARD_BYTES_MAX};
    pg_err err = shard_fetch(run, self->shard, &cid, &block);
    if (err == PG_OK && row_take(run, self->shard, pg_buf_bytes(&block))) {
        run->fetch->report.shards_fetched++;
        offer(run->fetch, &cid, &block);
    }
    pg_buf_deinit(&block);
    run->running--;
    pg_waitq_wake_all(&run->changed);
    return PG_OK;
}

/** The next shard worth asking for: data before parity, with a host that did not fail before one that did; n when none is left. */
static unsigned shard_next(want_run *run)
{
    unsigned n = pg_code_shards(run->want->descriptor->code);
    pg_shard_set rest = untried(run);
    unsigned best = n;
    unsigned least = UINT32_MAX;
    for (unsigned i = 0; i < n; i++) {
        if ((rest >> i & 1) == 0) {
            continue;
        }
        const pg_holder *holder =
            pg_holders_find(run->holders, pg_code_slot_of_shard(run->want->descriptor->code,
                                                                run->want->segment, i));
        if (holder != NULL && holder->failures > 0 && run->extent->archived.is_working) {
            continue; // rather out of the archive than waited for
        }
        if (holder != NULL && holder->failures < least) {
            best = i;
            least = holder->failures;
        }
    }
    return best;
}

/** Begin one more; false when there is none. */
static bool shard_begin(want_run *run, shard_run *runs)
{
    unsigned shard = shard_next(run);
    if (shard == pg_code_shards(run->want->descriptor->code)) {
        return false;
    }
    runs[shard] = (shard_run){run, shard};
    run->asked |= (pg_shard_set) 1 << shard;
    run->running++;
    if (pg_scope_spawn(&run->scope, "files.fetch", shard_run_main, &runs[shard]) != PG_OK) {
        run->running--;
        return false;
    }
    return true;
}

/** Keep as many going as are still needed; one more whenever nothing came for a while. */
static pg_err shards_fetch(want_run *run)
{
    shard_run runs[PG_CODE_SHARDS_MAX];
    unsigned spare = 0;
    pg_err err = PG_OK;
    pg_scope_init_tolerant(&run->scope);
    while (count_of(run->got) < run->want->need) {
        while (run->running < run->want->need - count_of(run->got) + spare &&
               shard_begin(run, runs)) {
        }
        if (run->running == 0) {
            break;
        }
        unsigned before = run->running;
        err = pg_waitq_wait(&run->changed, pg_after(hedge_ns(run->fetch)));
        if (err == PG_ERR_TIMEOUT) {
            spare++;
        } else if (err != PG_OK) {
            break;
        }
        spare = run->running < before && spare > 0 ? spare - 1 : spare;
    }
    pg_scope_close(&run->scope);
    return err == PG_ERR_TIMEOUT ? PG_OK : err;
}

/** Ask everybody for what no known host gives: it may have moved, or lie in a cache. */
static pg_err shards_fetch_anywhere(want_run *run)
{
    pg_files *files = run->fetch->files;
    unsigned n = pg_code_shards(run->want->descriptor->code);
    pg_shard_set rest = (untried(run) | run->asked) & ~run->got;
    pg_time deadline = pg_after(PG_MS(PG_FETCH_SHARD_MS)); // for all of them
    for (unsigned i = 0; i < n && count_of(run->got) < run->want->need; i++) {
        if ((rest >> i & 1) == 0) {
            continue;
        }
        pg_cid cid = shard_cid(run->want, i);
        pg_buf block = {.max_len = PG_SHARD_BYTES_MAX};
        pg_err err =
            pg_bitswap_fetch_any(files->config.bitswap, NULL, &cid, deadline, &block, NULL);
        run->asked |= (pg_shard_set) 1 << i;
        if (err == PG_OK && row_take(run, i, pg_buf_bytes(&block))) {
            run->fetch->report.shards_fetched++;
            offer(run->fetch, &cid, &block);
        }
        pg_buf_deinit(&block);
        if (err == PG_ERR_CANCELLED && pg_fiber_is_cancelled()) {
            return err;
        }
    }
    return PG_OK;
}

// ---- The archive

/** One of several fibers that take the data shards that are missing in turn. */
typedef struct archived_run {
    want_run *run;
    unsigned *next;
} archived_run;

static pg_err archived_run_main(void *arg)
{
    const archived_run *self = arg;
    want_run *run = self->run;
    pg_fetch_extent *extent = run->extent;
    while (*self->next < run->want->descriptor->code.data && count_of(run->got) < run->want->need) {
        const pg_vault_shard what = {&extent->descriptor, run->want->descriptor, run->want->segment,
                                     (*self->next)++};
        if (((run->got | run->want->tried) >> what.shard & 1) != 0) {
            continue;
        }
        pg_cid cid = shard_cid(run->want, what.shard);
        pg_buf block = {.max_len = PG_SHARD_BYTES_MAX};
        pg_err err = pg_archived_shard(run->fetch->files, &extent->archived, &what, &block);
        run->asked |= (pg_shard_set) 1 << what.shard;
        if (err == PG_OK && row_take(run, what.shard, pg_buf_bytes(&block))) {
            run->fetch->report.shards_fetched++;
            offer(run->fetch, &cid, &block);
        }
        pg_buf_deinit(&block);
        PG_TRY(err == PG_ERR_CANCELLED ? err : PG_OK);
    }
    return PG_OK;
}

static pg_err shards_fetch_archived(want_run *run)
{
    pg_scope scope;
    unsigned next = 0;
    archived_run self = {run, &next};
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < PG_VAULT_FETCHES && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "files.archived", archived_run_main, &self);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

static pg_err on_get_shards(const pg_shards_want *want, pg_shard_set *out_got,
                            pg_shard_set *out_absent, void *user)
{
    pg_fetch *fetch = user;
    want_run run = {.fetch = fetch, .want = want};
    run.extent = pg_map_get(&fetch->extents, PG_BYTES_OF(want->descriptor->extent_id));
    pg_assert(run.extent != NULL); // its descriptor was got here
    run.holders = &run.extent->holders;
    pg_waitq_init(&run.changed);
    shards_take_local(&run);
    if (count_of(run.got) < want->need) {
        PG_TRY(shards_fetch(&run));
    }
    if (count_of(run.got) < want->need && run.extent->archived.is_working) {
        PG_TRY(shards_fetch_archived(&run));
    }
    if (count_of(run.got) < want->need) {
        PG_TRY(shards_fetch_anywhere(&run));
    }
    if (count_of(run.got) < want->need && !run.extent->archived.is_working) {
        PG_TRY(shards_fetch_archived(&run));
    }
    // What was asked for and is not needed any more may be asked for again; when nothing came, it is absent.
    *out_got = run.got;
    *out_absent = count_of(run.got) < want->need ? run.asked & ~run.got : 0;
    return PG_OK;
}

static void on_problem(const pg_shard_problem *problem, void *user)
{
    pg_fetch *fetch = user;
    fetch->report.shards_absent += problem->fault == PG_SHARD_FAULT_ABSENT ? 1 : 0;
    pg_log(PG_LOG_LEVEL_DEBUG, "files.shard.problem", PG_LOG_U64("extent", problem->extent),
           PG_LOG_U64("segment", problem->segment), PG_LOG_U64("shard", problem->shard));
}

// ---- Beginning and end

void pg_fetch_init(pg_fetch *fetch, pg_files *files)
{
    *fetch = (pg_fetch){.files = files};
}

void pg_fetch_deinit(pg_fetch *fetch)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&fetch->extents, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&fetch->extents);
}

pg_files_store pg_fetch_store(pg_fetch *fetch)
{
    return (pg_files_store){
        .get_block = on_get_block,
        .get_shards = on_get_shards,
        .problem = on_problem,
        .is_verified = true, // by the block store and by Bitswap, each before it gives a block
        .user = fetch,
    };
}

const pg_holders *pg_fetch_holders(const pg_fetch *fetch,
                                   const uint8_t extent_id[PG_EXTENT_ID_BYTES])
{
    const pg_fetch_extent *known =
        pg_map_get(&fetch->extents, pg_bytes_make(extent_id, PG_EXTENT_ID_BYTES));
    return known == NULL ? NULL : &known->holders;
}
