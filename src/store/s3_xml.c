// SPDX-License-Identifier: Apache-2.0
#include "store/s3_xml.h"

#include <string.h>

#include "base/str.h"

#define DEPTH_MAX 8 // elements inside each other; S3 has 4

// ---- Walking: one element or end of one at a time, with the text before it

typedef enum step_kind {
    STEP_OPEN,
    STEP_CLOSE,
    STEP_EMPTY, // <a/>
    STEP_END,
} step_kind;

typedef struct walk {
    pg_str rest;
    pg_str text; // between the last tag and this one, as it stands there
    pg_str name; // of the tag, without a prefix
    step_kind kind;
} walk;

static pg_err malformed(const char *why)
{
    return pg_fail(PG_ERR_MALFORMED, "the answer is no XML that is understood: %s", why);
}

static size_t find(pg_str text, pg_str what)
{
    const char *at =
        what.len == 0 || text.len == 0 ? NULL : memmem(text.ptr, text.len, what.ptr, what.len);
    return at == NULL ? SIZE_MAX : (size_t) (at - text.ptr);
}

static void skip(pg_str *text, size_t len)
{
    text->ptr += len;
    text->len -= len;
}

/** Skip what begins here up to an end mark. */
static pg_err skip_past(walk *self, pg_str end)
{
    size_t at = find(self->rest, end);
    if (at == SIZE_MAX) {
        return malformed("it ends in the middle");
    }
    skip(&self->rest, at + end.len);
    return PG_OK;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/** Take the name out of what stands between the angle brackets. */
static pg_err tag_read(walk *self, pg_str tag)
{
    self->kind = STEP_OPEN;
    if (tag.len > 0 && tag.ptr[0] == '/') {
        self->kind = STEP_CLOSE;
        skip(&tag, 1);
    } else if (tag.len > 0 && tag.ptr[tag.len - 1] == '/') {
        self->kind = STEP_EMPTY;
        tag.len--;
    }
    size_t len = 0;
    while (len < tag.len && !is_space(tag.ptr[len])) {
        len++;
    }
    self->name = pg_str_make_len(tag.ptr, len);
    const char *colon = len == 0 ? NULL : memrchr(tag.ptr, ':', len);
    if (colon != NULL) {
        skip(&self->name, (size_t) (colon - tag.ptr) + 1);
    }
    return self->name.len == 0 ? malformed("a tag has no name") : PG_OK;
}

static pg_err walk_next(walk *self)
{
    for (;;) {
        size_t at = find(self->rest, PG_STR("<"));
        if (at == SIZE_MAX) {
            self->kind = STEP_END;
            return PG_OK;
        }
        self->text = pg_str_make_len(self->rest.ptr, at);
        skip(&self->rest, at);
        if (pg_str_starts_with(self->rest, PG_STR("<?"))) {
            PG_TRY(skip_past(self, PG_STR("?>")));
        } else if (pg_str_starts_with(self->rest, PG_STR("<!--"))) {
            PG_TRY(skip_past(self, PG_STR("-->")));
        } else if (pg_str_starts_with(self->rest, PG_STR("<!"))) {
            return malformed("it has a document type or character data"); // S3 sends neither
        } else {
            size_t end = find(self->rest, PG_STR(">"));
            if (end == SIZE_MAX) {
                return malformed("it ends in the middle");
            }
            pg_str tag = pg_str_make_len(self->rest.ptr + 1, end - 1);
            skip(&self->rest, end + 1);
            return tag_read(self, tag);
        }
    }
}

// ---- Texts

/** Give the character of "amp", "#65", "#x41"; 0 for none that is known. */
static char entity_of(pg_str name)
{
    static const struct {
        pg_str name;
        char c;
    } known[] = {{PG_STR("amp"), '&'},  {PG_STR("lt"), '<'},    {PG_STR("gt"), '>'},
                 {PG_STR("quot"), '"'}, {PG_STR("apos"), '\''}, {PG_STR("#34"), '"'},
                 {PG_STR("#39"), '\''}, {PG_STR("#x27"), '\''}, {PG_STR("#x22"), '"'},
                 {PG_STR("#x2F"), '/'}, {PG_STR("#x2f"), '/'},  {PG_STR("#43"), '+'},
                 {PG_STR("#61"), '='}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (pg_str_equal(known[i].name, name)) {
            return known[i].c;
        }
    }
    return 0;
}

/** Copy a text with its entities resolved. False when it does not fit, has an unknown entity, or a control character. */
static bool text_take(pg_str text, char *out, size_t room)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '&') {
            pg_str tail = pg_str_make_len(text.ptr + i + 1, text.len - i - 1);
            size_t end = find(tail, PG_STR(";"));
            c = end == SIZE_MAX ? 0 : entity_of(pg_str_make_len(tail.ptr, end));
            i += end == SIZE_MAX ? 0 : end + 1;
        }
        if ((unsigned char) c < ' ' || c == '\x7f' || len + 1 >= room) {
            out[len] = '\0';
            return false;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

/** For a person: what is printable, up to the bound. The first of several counts. */
static void text_show(pg_str text, char *out, size_t room)
{
    if (out[0] != '\0') {
        return;
    }
    (void) text_take(text, out, room); // what fits
    pg_str rest = pg_str_make(out);
    for (size_t len = 0; (len = pg_str_printable_len(rest)) > 0;) {
        skip(&rest, len);
    }
    out[strlen(out) - rest.len] = '\0';
}

// ---- Errors

pg_err pg_s3_error_decode(pg_bytes in, pg_s3_error *out_error)
{
    walk self = {.rest = pg_str_make_len((const char *) in.ptr, in.len)};
    pg_s3_error error = {.code = ""};
    unsigned depth = 0;
    do {
        PG_TRY(walk_next(&self));
        if (self.kind == STEP_OPEN) {
            if (++depth > DEPTH_MAX || (depth == 1 && !pg_str_equal(self.name, PG_STR("Error")))) {
                return malformed("it is no error");
            }
        } else if (depth == 0) {
            return malformed("it is no error");
        } else if (self.kind == STEP_CLOSE && depth-- == 2) {
            if (pg_str_equal(self.name, PG_STR("Code"))) {
                text_show(self.text, error.code, sizeof(error.code));
            } else if (pg_str_equal(self.name, PG_STR("Message"))) {
                text_show(self.text, error.message, sizeof(error.message));
            } else if (pg_str_equal(self.name, PG_STR("Region"))) {
                text_show(self.text, error.region, sizeof(error.region));
            }
        }
    } while (depth > 0 && self.kind != STEP_END);
    if (depth > 0 || error.code[0] == '\0') {
        return malformed("it has no error code");
    }
    *out_error = error;
    return PG_OK;
}

// ---- Lists

typedef struct listing {
    walk walk;
    unsigned depth;
    bool is_object; // inside <Contents>
    bool has_name;
    bool has_size;
    char name[PG_S3_NAME_BYTES_MAX + 1];
    uint64_t bytes;
    pg_s3_list list;
} listing;

static pg_err bool_take(pg_str text, bool *out)
{
    *out = pg_str_equal(text, PG_STR("true"));
    return *out || pg_str_equal(text, PG_STR("false")) ? PG_OK : malformed("IsTruncated");
}

static pg_err object_part(listing *self)
{
    const walk *at = &self->walk;
    if (pg_str_equal(at->name, PG_STR("Key"))) {
        self->has_name = text_take(at->text, self->name, sizeof(self->name));
        return self->has_name ? PG_OK : pg_fail(PG_ERR_LIMIT, "an object has an impossible name");
    }
    if (pg_str_equal(at->name, PG_STR("Size"))) {
        self->has_size = pg_str_to_u64(at->text, INT64_MAX, &self->bytes) == PG_OK;
        return self->has_size ? PG_OK : malformed("the size of an object");
    }
    return PG_OK;
}

static pg_err list_part(listing *self)
{
    const walk *at = &self->walk;
    if (pg_str_equal(at->name, PG_STR("IsTruncated"))) {
        return bool_take(at->text, &self->list.is_truncated);
    }
    if (pg_str_equal(at->name, PG_STR("NextContinuationToken")) &&
        !text_take(at->text, self->list.token, sizeof(self->list.token))) {
        return pg_fail(PG_ERR_LIMIT, "the token of a list is too long");
    }
    return PG_OK;
}

static pg_err on_open(listing *self)
{
    self->depth++;
    if (self->depth > DEPTH_MAX) {
        return pg_fail(PG_ERR_LIMIT, "elements stand too deep in each other");
    }
    if (self->depth == 1 && !pg_str_equal(self->walk.name, PG_STR("ListBucketResult"))) {
        return malformed("it is no list");
    }
    if (self->depth == 2) {
        self->is_object = pg_str_equal(self->walk.name, PG_STR("Contents"));
        self->has_name = self->has_size = false;
    }
    return PG_OK;
}

static pg_err on_close(listing *self, pg_object_fn each, void *user)
{
    unsigned depth = self->depth--;
    if (depth == 3 && self->is_object) {
        return object_part(self);
    }
    if (depth == 2 && !self->is_object) {
        return list_part(self);
    }
    if (depth == 2) {
        self->is_object = false;
        return self->has_name && self->has_size ? each(self->name, self->bytes, user)
                                                : malformed("an object has no name or size");
    }
    return PG_OK;
}

pg_err pg_s3_list_decode(pg_bytes in, pg_object_fn each, void *user, pg_s3_list *out_list)
{
    listing self = {.walk = {.rest = pg_str_make_len((const char *) in.ptr, in.len)}};
    do {
        PG_TRY(walk_next(&self.walk));
        if (self.walk.kind == STEP_OPEN) {
            PG_TRY(on_open(&self));
        } else if (self.depth == 0) {
            return malformed("it is no list");
        } else if (self.walk.kind == STEP_CLOSE) {
            PG_TRY(on_close(&self, each, user));
        }
    } while (self.depth > 0 && self.walk.kind != STEP_END);
    if (self.depth > 0) {
        return malformed("it ends in the middle");
    }
    if (self.list.is_truncated && self.list.token[0] == '\0') {
        return malformed("it does not tell how it goes on");
    }
    *out_list = self.list;
    return PG_OK;
}
