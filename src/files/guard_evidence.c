// SPDX-License-Identifier: Apache-2.0
// What hosts tell each other of holders that lied. Each one that hears of it checks it alone, and then knows as much as the one that asked: the
// slot counts as lost for it, the holder's book is the worse for it, and who leads may repair.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "files/guard_priv.h"
#include "files/limits.h"

// ---- Hearing

static pg_err fault_write(pg_guard *guard, const pg_evidence_found *found)
{
    pg_audit_result *result = PG_NEW(pg_audit_result);
    if (result == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_audit_item *item = &result->items[0];
    item->peer = found->statement->holder;
    item->slot = found->slot;
    item->finding = PG_AUDIT_FINDING_LIED;
    result->segment = found->statement->answer.segment;
    result->count = 1;
    pg_err err = pg_buf_append(&item->statement, found->encoded);
    if (err == PG_OK) {
        err = pg_guard_log_audit(guard->config.files->config.db, &found->statement->descriptor,
                                 result, pg_guard_now_s());
    }
    pg_audit_result_deinit(result);
    pg_mfree(result);
    return err;
}

static void found_note(pg_guard *guard, const pg_evidence_found *found)
{
    char name[PG_PSEUDONYM_TEXT_BYTES];
    pg_buf detail = {.ptr = NULL};
    pg_host_peer_pseudonym(guard->config.files->config.host, &found->statement->holder, name);
    pg_ignore(pg_buf_printf(&detail, "host %s, slot %u, segment %u: as another host found out",
                            name, found->slot, found->statement->answer.segment),
              "then without it");
    pg_guard_note(guard, &found->statement->descriptor,
                  pg_audit_finding_name(PG_AUDIT_FINDING_LIED), &detail);
}

static void on_found(const pg_evidence_found *found, void *user)
{
    pg_guard *guard = user;
    pg_place_lease lease;
    const pg_health_observation seen = {
        .peer = &found->statement->holder,
        .kind = PG_HEALTH_AUDIT_FAILED,
        .evidence = found->encoded,
    };
    pg_err err = fault_write(guard, found);
    if (err == PG_OK) {
        pg_health_note(guard->config.files->config.health, &seen);
        found_note(guard, found);
        err = pg_guard_lease(guard, &found->statement->descriptor, &lease);
    }
    if (err == PG_OK) {
        err = pg_guard_suspect(guard, &lease);
    }
    if (err != PG_OK) { // the next round finds the fault
        pg_log_limited(PG_LOG_LEVEL_DEBUG, "guard.evidence.failed",
                       PG_LOG_STR("error", pg_err_name(err)));
    }
}

pg_err pg_guard_evidence_begin(pg_guard *guard)
{
    const pg_files *files = guard->config.files;
    const pg_evidence_server_config config = {
        .host = files->config.host,
        .blocks = files->config.blocks,
        .place = guard->config.place,
        .db = files->config.db,
        .take = on_found,
        .user = guard,
    };
    return pg_evidence_server_new(&config, &guard->hearing);
}

// ---- Telling

/** Tell one host. Who does not hear of it finds it out itself, sooner or later. */
static void member_tell(pg_guard *guard, const pg_peer_id *peer, const pg_audit_item *item,
                        pg_bytes shard)
{
    pg_evidence_status status = PG_EVIDENCE_STATUS_BUSY;
    pg_err err = pg_evidence_tell(guard->config.files->config.host, peer,
                                  pg_buf_bytes(&item->statement), shard, &status);
    guard->totals.evidence_told_total += err == PG_OK && status == PG_EVIDENCE_STATUS_TAKEN ? 1 : 0;
    if (err != PG_OK || status != PG_EVIDENCE_STATUS_TAKEN) {
        pg_log(PG_LOG_LEVEL_DEBUG, "guard.evidence.untold", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_U64("status", (uint64_t) status));
    }
}

pg_err pg_guard_evidence_tell(pg_guard *guard, const guard_exam *exam,
                              const pg_audit_result *result)
{
    const pg_peer_id *ourselves = pg_host_id(guard->config.files->config.host);
    for (size_t i = 0; i < result->count; i++) {
        const pg_audit_item *item = &result->items[i];
        pg_bytes shard = pg_buf_bytes(exam->is_whole ? &exam->block : &item->shard);
        if (item->finding != PG_AUDIT_FINDING_LIED || item->statement.len == 0 || shard.len == 0) {
            continue;
        }
        for (size_t j = 0; j < exam->member_count; j++) {
            const pg_repair_member *member = &exam->members[j];
            if (member->standing == PG_REPAIR_STANDING_LIVING && member->slots != 0 &&
                !pg_peer_id_equal(&member->peer, ourselves) &&
                !pg_peer_id_equal(&member->peer, &item->peer)) {
                member_tell(guard, &member->peer, item, shard);
                PG_TRY(pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK);
            }
        }
    }
    return PG_OK;
}
