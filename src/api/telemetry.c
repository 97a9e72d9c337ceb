// SPDX-License-Identifier: Apache-2.0
#include "api/telemetry.h"

#include <string.h>

#include "api/limits.h"
#include "api/telemetry_send.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "runtime/time.h"

#define WEEK_S (UINT64_C(7) * 24 * 3600)
#define JITTER_PART 4 // of an interval: it is an eighth shorter to an eighth longer
#define RETRY_PART                                                                                 \
    48 // of an interval, before the second try; twice as long before each further one

struct pg_telemetry {
    pg_telemetry_config config;
    char *url; // of the rules
    pg_telemetry_state state;
    bool is_unsaved; // the state, after the rules took something back
    pg_usage usage;  // of the period
    pg_telemetry_sums begun;
    uint64_t begun_s; // the period
    uint64_t taken;
    uint64_t not_taken;
    bool is_failing; // told once
    bool is_sending;
    pg_telemetry_sender *sender; // made when it is first needed
    pg_scope scope;
    pg_waitq woken;
    pg_waitq idle; // nothing is being sent any more
};

static uint64_t now_s(void)
{
    int64_t now_ms = pg_wall_ms();
    return now_ms > 0 ? (uint64_t) now_ms / 1000 : 0;
}

// ---- May it

static bool is_agreed(const pg_telemetry *self)
{
    char id[PG_TELEMETRY_LIST_ID_CHARS + 1];
    pg_telemetry_list_id(self->url, id);
    return strcmp(id, self->state.consent) == 0;
}

/** Return true when documents may go to a URL. */
static bool may_send(const pg_telemetry *self, const char *url)
{
    return self->config.rules.is_enabled && url[0] != '\0' && strcmp(url, self->url) == 0 &&
           is_agreed(self);
}

static void state_forget(pg_telemetry *self)
{
    self->state = (pg_telemetry_state){.next_s = 0};
    self->is_unsaved = true;
    pg_waitq_wake_all(&self->woken);
}

// ---- The document

/** Draw the tag of this week. A clock that went back begins a week, too. */
static void tag_turn(pg_telemetry *self, uint64_t now)
{
    pg_telemetry_state *state = &self->state;
    if (state->tag_s == 0 || now < state->tag_s || now - state->tag_s >= WEEK_S) {
        pg_random_bytes(pg_mut_bytes_make(state->tag, sizeof(state->tag)));
        state->tag_s = now;
    }
}

static pg_usage_rate rate_since(pg_usage_rate now, pg_usage_rate then)
{
    return (pg_usage_rate){now.good - then.good, now.bad - then.bad};
}

static pg_err document_make(pg_telemetry *self, pg_telemetry_facts *facts, pg_buf *out)
{
    uint64_t now = now_s();
    tag_turn(self, now);
    *facts = (pg_telemetry_facts){.uptime_s = 0};
    self->config.look(facts, self->config.user);
    memcpy(facts->tag, self->state.tag, sizeof(facts->tag));
    facts->version = self->config.version;
    facts->period_s = now > self->begun_s ? now - self->begun_s : 0;
    facts->usage = self->usage;
    pg_telemetry_facts told = *facts;
    told.sums.repairs = rate_since(facts->sums.repairs, self->begun.repairs);
    told.sums.audits = rate_since(facts->sums.audits, self->begun.audits);
    return pg_telemetry_write(&told, out);
}

pg_err pg_telemetry_document(pg_telemetry *telemetry, pg_buf *out)
{
    pg_telemetry_facts facts;
    return document_make(telemetry, &facts, out);
}

/** The next document is about what happens from now on, whatever becomes of this one. */
static void period_begin(pg_telemetry *self, const pg_telemetry_facts *facts)
{
    self->usage = (pg_usage){.put = {.ended = {0}}};
    self->begun = facts->sums;
    self->begun_s = now_s();
}

// ---- Sending

static void next_set(pg_telemetry *self)
{
    uint64_t interval_s = self->config.rules.interval_s;
    uint64_t jitter_s = pg_random_below(interval_s / JITTER_PART + 1);
    self->state.next_s = now_s() + interval_s - interval_s / (2 * JITTER_PART) + jitter_s;
}

static pg_err try_send(pg_telemetry *self, const char *url, pg_bytes document)
{
    if (self->config.send != NULL) {
        return self->config.send(url, document, self->config.user);
    }
    if (self->sender == NULL) {
        PG_TRY(pg_telemetry_sender_new(&self->sender));
    }
    return pg_telemetry_send(url, document, self->sender);
}

static pg_err retry_await(pg_telemetry *self, uint64_t tries)
{
    uint64_t wait_s = (self->config.rules.interval_s / RETRY_PART + 1) << (tries - 1);
    pg_time until = pg_after(PG_SECONDS(wait_s + pg_random_below(wait_s / 2 + 1)));
    pg_err err = PG_OK;
    while (err == PG_OK && may_send(self, self->url)) {
        err = pg_waitq_wait(&self->woken, until);
    }
    return err == PG_ERR_TIMEOUT ? PG_OK : err;
}

/** Send until it is taken, at most `tries_max` times, and no longer than it may be. */
static pg_err tries_run(pg_telemetry *self, const char *url, pg_bytes document, uint64_t tries_max,
                        uint64_t *out_tries)
{
    for (;;) {
        if (!may_send(self, url)) {
            return pg_fail(PG_ERR_CANCELLED, "telemetry was switched off meanwhile");
        }
        pg_err err = try_send(self, url, document);
        ++*out_tries;
        if (err == PG_OK || *out_tries >= tries_max || pg_fiber_is_cancelled()) {
            return err;
        }
        PG_TRY(retry_await(self, *out_tries));
    }
}

static void result_tell(pg_telemetry *self, pg_err err, size_t bytes)
{
    *(err == PG_OK ? &self->taken : &self->not_taken) += 1;
    if (err == PG_OK) {
        pg_log(PG_LOG_LEVEL_INFO, "telemetry.sent", PG_LOG_U64("bytes", bytes));
    } else if (!self->is_failing) {
        pg_log(PG_LOG_LEVEL_WARN, "telemetry.failed", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_STR("detail", pg_error_detail(err)));
    }
    self->is_failing = err != PG_OK;
}

/** One document: it is made, entered, sent. What is not taken in the end is dropped. */
static pg_err document_send(pg_telemetry *self, char *url, uint64_t tries_max)
{
    pg_telemetry_facts facts;
    pg_buf document PG_CLEANUP(pg_buf_deinit) = {0};
    int64_t id = 0;
    uint64_t tries = 0;
    PG_TRY(document_make(self, &facts, &document));
    period_begin(self, &facts);
    const pg_telemetry_sent sent = {
        .time_s = now_s(),
        .url = pg_str_make(url),
        .document = pg_buf_str(&document),
    };
    PG_TRY(pg_telemetry_rows_begin(self->config.db, &self->state, &sent, &id));
    pg_err err = tries_run(self, url, pg_buf_bytes(&document), tries_max, &tries);
    result_tell(self, err, document.len);
    const pg_error_record kept = pg_error_keep();
    pg_ignore(pg_telemetry_rows_end(
                  self->config.db, id,
                  err == PG_OK ? PG_TELEMETRY_RESULT_TAKEN : PG_TELEMETRY_RESULT_NOT_TAKEN, tries),
              "that it was sent is on the disk");
    return pg_error_again(&kept, err);
}

/** The same, one at a time. */
static pg_err turn_send(pg_telemetry *self, uint64_t tries_max)
{
    if (self->is_sending) {
        return pg_fail(PG_ERR_BUSY, "a document is being sent");
    }
    char *url = pg_str_dup(pg_str_make(self->url));
    if (url == NULL) {
        return PG_ERR_NOMEM;
    }
    self->is_sending = true;
    next_set(self);
    pg_err err = document_send(self, url, tries_max);
    self->is_sending = false;
    pg_mfree(url);
    pg_waitq_wake_all(&self->idle);
    pg_waitq_wake_all(&self->woken);
    return err;
}

pg_err pg_telemetry_send_now(pg_telemetry *telemetry)
{
    if (!may_send(telemetry, telemetry->url)) {
        return pg_fail(PG_ERR_INVALID, "telemetry is off: nothing is sent");
    }
    return turn_send(telemetry, 1);
}

// ---- When

/** Return how long to wait for the next document, 0 when it is due. A date too far ahead is one of a clock, or an interval, that was set. */
static int64_t wait_ns(pg_telemetry *self)
{
    uint64_t now = now_s();
    uint64_t longest_s = 2 * self->config.rules.interval_s;
    if (self->state.next_s > now + longest_s) {
        next_set(self);
    }
    return self->state.next_s <= now ? 0 : PG_SECONDS(self->state.next_s - now);
}

static void state_save(pg_telemetry *self)
{
    self->is_unsaved = false;
    pg_err err = pg_telemetry_rows_save(self->config.db, &self->state);
    if (err != PG_OK && err != PG_ERR_CANCELLED) {
        pg_log(PG_LOG_LEVEL_WARN, "telemetry.save.failed", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_STR("detail", pg_error_detail(err)));
    }
}

static pg_err telemetry_run(void *arg)
{
    pg_telemetry *self = arg;
    for (;;) {
        if (self->is_unsaved) {
            state_save(self);
        }
        bool is_on = may_send(self, self->url) && !self->is_sending;
        int64_t rest_ns = is_on ? wait_ns(self) : 0;
        pg_err err = PG_OK;
        if (is_on && rest_ns == 0) {
            pg_ignore(turn_send(self, PG_API_TELEMETRY_TRIES_MAX), "it was told, and is dropped");
        } else {
            err = pg_waitq_wait(&self->woken, is_on ? pg_after(rest_ns) : PG_FOREVER);
        }
        if (err == PG_ERR_CANCELLED || pg_fiber_is_cancelled()) {
            return PG_ERR_CANCELLED;
        }
    }
}

// ---- Agreeing

pg_err pg_telemetry_agree(pg_telemetry *telemetry, const char *list_id)
{
    char id[PG_TELEMETRY_LIST_ID_CHARS + 1];
    pg_telemetry_list_id(telemetry->url, id);
    if (telemetry->url[0] == '\0') {
        return pg_fail(PG_ERR_INVALID, "telemetry.url is not set: there is nobody to send to");
    }
    if (!telemetry->config.rules.is_enabled) {
        return pg_fail(PG_ERR_INVALID,
                       "telemetry.enabled is false in the settings that the node reads");
    }
    if (strcmp(list_id, id) != 0) {
        return pg_fail(PG_ERR_CHANGED, "that was another list, or another URL: look at it again");
    }
    memcpy(telemetry->state.consent, id, sizeof(id));
    telemetry->state.consent_s = now_s();
    telemetry->state.next_s = now_s() + pg_random_below(telemetry->config.rules.interval_s + 1);
    tag_turn(telemetry, now_s());
    pg_err err = pg_telemetry_rows_save(telemetry->config.db, &telemetry->state);
    if (err != PG_OK) {
        state_forget(telemetry);
        return err;
    }
    pg_log(PG_LOG_LEVEL_INFO, "telemetry.on");
    pg_waitq_wake_all(&telemetry->woken);
    return PG_OK;
}

pg_err pg_telemetry_withdraw(pg_telemetry *telemetry)
{
    pg_log(PG_LOG_LEVEL_INFO, "telemetry.off");
    state_forget(telemetry);
    while (telemetry->is_sending) {
        PG_TRY(pg_waitq_wait(&telemetry->idle, PG_FOREVER)); // a try has its time
    }
    return pg_telemetry_rows_save(telemetry->config.db, &telemetry->state);
}

pg_err pg_telemetry_set_rules(pg_telemetry *telemetry, const pg_telemetry_rules *rules)
{
    if (telemetry == NULL) {
        return PG_OK;
    }
    char *url = pg_str_dup(pg_str_make(rules->url));
    if (url == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_mfree(telemetry->url);
    telemetry->url = url;
    telemetry->config.rules = *rules;
    telemetry->config.rules.url = url;
    if (!rules->is_enabled && telemetry->state.consent[0] != '\0') {
        state_forget(telemetry);
    }
    pg_waitq_wake_all(&telemetry->woken);
    return PG_OK;
}

// ---- Telling

pg_telemetry_status pg_telemetry_get_status(const pg_telemetry *telemetry)
{
    if (telemetry == NULL) {
        return (pg_telemetry_status){.url = ""};
    }
    const pg_telemetry_state *state = &telemetry->state;
    bool is_on = may_send(telemetry, telemetry->url);
    return (pg_telemetry_status){
        .is_on = is_on,
        .is_enabled = telemetry->config.rules.is_enabled,
        .is_agreed = is_agreed(telemetry),
        .was_agreed = state->consent[0] != '\0' && !is_agreed(telemetry),
        .is_sending = telemetry->is_sending,
        .url = telemetry->url,
        .interval_s = telemetry->config.rules.interval_s,
        .agreed_s = state->consent_s,
        .next_s = is_on ? state->next_s : 0,
        .taken_total = telemetry->taken,
        .not_taken_total = telemetry->not_taken,
    };
}

pg_err pg_telemetry_sent_each(pg_telemetry *telemetry,
                              pg_err (*each)(const pg_telemetry_sent *sent, void *user), void *user)
{
    return pg_telemetry_rows_each(telemetry->config.db, each, user);
}

pg_usage *pg_telemetry_usage(pg_telemetry *telemetry)
{
    return telemetry == NULL ? NULL : &telemetry->usage;
}

// ---- Life

pg_err pg_telemetry_new(const pg_telemetry_config *config, pg_telemetry **out_telemetry)
{
    pg_telemetry *self = PG_NEW(pg_telemetry);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->config = *config;
    self->begun_s = now_s();
    pg_scope_init_tolerant(&self->scope);
    pg_waitq_init(&self->woken);
    pg_waitq_init(&self->idle);
    pg_err err = pg_telemetry_rows_load(config->db, &self->state);
    if (err == PG_OK) {
        err = pg_telemetry_set_rules(self, &config->rules);
    }
    if (err == PG_OK) {
        err = pg_scope_spawn(&self->scope, "telemetry", telemetry_run, self);
    }
    if (err != PG_OK) {
        pg_telemetry_free(&self);
        return err;
    }
    *out_telemetry = self;
    return PG_OK;
}

void pg_telemetry_free(pg_telemetry **telemetry)
{
    pg_telemetry *dead = *telemetry;
    if (dead == NULL) {
        return;
    }
    *telemetry = NULL;
    pg_scope_close(&dead->scope);
    pg_telemetry_sender_free(&dead->sender);
    pg_mfree(dead->url);
    pg_mfree(dead);
}
