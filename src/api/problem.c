// SPDX-License-Identifier: Apache-2.0
#include "api/server.h"

unsigned pg_api_status(pg_err err)
{
    switch (pg_err_class_of(err)) {
    case PG_ERR_CLASS_OK:
        return 200;
    case PG_ERR_CLASS_CANCELLED:
        return 503; // the node stops
    case PG_ERR_CLASS_PEER:
        return err == PG_ERR_UNSUPPORTED ? 501 : 502;
    case PG_ERR_CLASS_LOCAL:
    case PG_ERR_CLASS_RETRY:
    case PG_ERR_CLASS_BUG:
        break;
    }
    if (err == PG_ERR_INVALID) {
        return 400;
    }
    if (err == PG_ERR_ACCESS || err == PG_ERR_KEY) {
        return 403;
    }
    if (err == PG_ERR_NOT_FOUND) {
        return 404;
    }
    if (err == PG_ERR_EXISTS || err == PG_ERR_BUSY || err == PG_ERR_CHANGED) {
        return 409;
    }
    if (err == PG_ERR_TIMEOUT) {
        return 504;
    }
    if (err == PG_ERR_UNREACHABLE || err == PG_ERR_REFUSED || err == PG_ERR_RESET ||
        err == PG_ERR_CLOSED) {
        return 502;
    }
    if (err == PG_ERR_NOMEM || err == PG_ERR_MISSING || err == PG_ERR_PENDING) {
        return 503; // may work later
    }
    return err == PG_ERR_FULL ? 507 : 500;
}

json_object *pg_api_problem(pg_err err, unsigned status, const char *detail)
{
    unsigned told = status == 0 ? pg_api_status(err) : status;
    json_object *problem = json_object_new_object();
    if (problem != NULL) {
        json_object_object_add(problem, "type", json_object_new_string("about:blank"));
        json_object_object_add(problem, "title", json_object_new_string(pg_err_text(err)));
        json_object_object_add(problem, "status", json_object_new_int((int) told));
        json_object_object_add(problem, "detail", json_object_new_string(detail));
        json_object_object_add(problem, "code", json_object_new_string(pg_err_name(err)));
    }
    return problem;
}
