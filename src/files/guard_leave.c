// SPDX-License-Identifier: Apache-2.0
// Leaving, and shrinking: slots go to other hosts, a few leases at a time, and are dropped here only with the other's promise in hand. Who
// stops in the middle has lost nothing, and goes on by calling again.
#include <string.h>

#include "base/mem.h"
#include "codec/frame.h"
#include "exchange/limits.h"
#include "files/guard_priv.h"

_Static_assert(PG_GUARD_LEAVES + 1 <= PG_PLACE_LEAVING_MAX, "and one that rebalancing moves");

/** A leave under way. */
typedef struct leave {
    pg_guard *guard;
    pg_buf leases; // pg_place_lease[]
    size_t at;     // in it, the next one
    uint64_t keep_bytes;
    uint64_t under_way_bytes; // of leases being moved
    void (*progress)(const pg_guard_leaving *so_far, void *user);
    void *user;
    pg_err err;
    pg_guard_leaving so_far;
} leave;

static void on_lease(const pg_place_lease *lease, void *user)
{
    leave *self = user;
    if (self->err == PG_OK) {
        self->err = pg_buf_append(&self->leases, pg_bytes_make(lease, sizeof(*lease)));
    }
}

/** Drop here what others have promised. */
static pg_err receipts_take(pg_guard *guard, const pg_place_lease *lease, pg_bytes receipts)
{
    while (receipts.len > 0) {
        pg_bytes encoded;
        pg_lease_receipt receipt;
        size_t len = 0;
        PG_TRY(pg_frame_decode(receipts, PG_PLACE_SIGNED_BYTES_MAX, &encoded, &len));
        PG_TRY(pg_lease_receipt_decode(encoded, &receipt));
        PG_TRY(pg_place_server_hand_over(guard->config.place, lease, receipt.slots & lease->slots,
                                         encoded));
        receipts = pg_bytes_slice(receipts, len, receipts.len);
    }
    return PG_OK;
}

pg_err pg_guard_move(pg_guard *guard, guard_placing *placing)
{
    pg_err err = pg_guard_place(guard, placing);
    if (err == PG_OK) {
        err = receipts_take(guard, placing->lease, pg_buf_bytes(&placing->receipts));
    }
    pg_ignore(pg_place_server_leaving(guard->config.place, &placing->lease->descriptor, 0),
              "there is room to say that nothing is");
    return err;
}

/** What this node gives up is placed as if it were lost: among those who have it it does not count. */
static pg_err lease_place(pg_guard *guard, guard_placing *placing)
{
    guard_exam *exam = placing->exam;
    PG_TRY(pg_guard_examine(guard, &placing->lease->descriptor, NULL, 0, exam));
    if (exam->own == 0) {
        return PG_ERR_NOT_FOUND; // dropped meanwhile
    }
    placing->slots = exam->own;
    pg_err err = pg_guard_move(guard, placing);
    if (err == PG_ERR_EXISTS) { // by somebody whom no receipt names
        PG_TRY(pg_guard_examine_further(guard, exam));
        err = pg_guard_move(guard, placing);
    }
    return err;
}

static pg_err lease_move(leave *self, const pg_place_lease *lease)
{
    pg_guard *guard = self->guard;
    pg_buf detail = {.ptr = NULL};
    guard_exam *exam = PG_NEW(guard_exam);
    if (exam == NULL) {
        return PG_ERR_NOMEM;
    }
    guard_placing placing = {.lease = lease, .exam = exam, .is_moving = true};
    pg_err err = lease_place(guard, &placing);
    self->so_far.bytes += placing.bytes;
    if (err == PG_OK) {
        pg_ignore(pg_buf_printf(&detail, "%d of %d slots, %llu bytes pushed",
                                __builtin_popcount(placing.moved),
                                __builtin_popcount(placing.slots),
                                (unsigned long long) placing.bytes),
                  "then without it");
        pg_guard_note(guard, &lease->descriptor, "handed over", &detail);
        err = placing.moved == placing.slots ? PG_OK
                                             : pg_fail(PG_ERR_UNREACHABLE, "some slots stay here");
    }
    pg_buf_deinit(&placing.receipts);
    pg_guard_exam_deinit(exam);
    pg_mfree(exam);
    return err;
}

static void lease_try(leave *self, const pg_place_lease *lease)
{
    pg_err err = lease_move(self, lease);
    if (err == PG_ERR_CANCELLED) {
        self->err = err;
    } else if (err == PG_OK || err == PG_ERR_NOT_FOUND) {
        self->so_far.moved++;
    } else {
        pg_buf detail = {.ptr = NULL};
        self->so_far.failed++;
        pg_ignore(pg_buf_printf(&detail, "%s", pg_error_detail(err)), "then without it");
        pg_guard_note(self->guard, &lease->descriptor, "stays", &detail);
    }
}

/** Take the next lease, while more is kept than what is to stay and what is going already. */
static bool lease_next(leave *self, pg_place_lease *out_lease)
{
    uint64_t kept = pg_place_server_get_stats(self->guard->config.place).lease_bytes;
    if (self->err != PG_OK || self->at + sizeof(*out_lease) > self->leases.len ||
        kept <= self->keep_bytes || kept - self->keep_bytes <= self->under_way_bytes) {
        return false;
    }
    memcpy(out_lease, self->leases.ptr + self->at, sizeof(*out_lease));
    self->at += sizeof(*out_lease);
    self->under_way_bytes += out_lease->bytes;
    return true;
}

// Mostly it waits for other hosts: several at once.
static pg_err leases_run(void *arg)
{
    leave *self = arg;
    pg_place_lease lease;
    while (lease_next(self, &lease)) {
        lease_try(self, &lease);
        self->under_way_bytes -= lease.bytes;
        if (self->progress != NULL) {
            self->progress(&self->so_far, self->user);
        }
    }
    return self->err;
}

static pg_err leave_run(leave *self)
{
    pg_scope scope;
    PG_TRY(pg_place_server_leases(self->guard->config.place, on_lease, self));
    PG_TRY(self->err);
    self->so_far.leases = self->leases.len / sizeof(pg_place_lease);
    pg_scope_init(&scope);
    for (size_t i = 0; i < PG_GUARD_LEAVES; i++) {
        pg_err err = pg_scope_spawn(&scope, "guard.leave", leases_run, self);
        if (err != PG_OK) {
            pg_scope_close(&scope);
            return err;
        }
    }
    return pg_scope_join(&scope);
}

pg_err pg_guard_leave(pg_guard *guard, uint64_t keep_bytes,
                      void (*progress)(const pg_guard_leaving *so_far, void *user), void *user,
                      pg_guard_leaving *out_leaving)
{
    leave self = {
        .guard = guard,
        .keep_bytes = keep_bytes,
        .progress = progress,
        .user = user,
    };
    if (guard->is_leaving) {
        return pg_fail(PG_ERR_BUSY, "this node is handing over already");
    }
    guard->is_leaving = true;
    pg_err err = leave_run(&self);
    guard->is_leaving = false;
    pg_buf_deinit(&self.leases);
    if (err == PG_OK) {
        *out_leaving = self.so_far;
    }
    return err;
}
