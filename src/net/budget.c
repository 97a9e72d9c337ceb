// SPDX-License-Identifier: Apache-2.0
#include "net/budget.h"

#include "net/limits.h"

pg_budget pg_budget_make(const pg_conn_limits *limits)
{
    return (pg_budget){.max_bytes = limits->memory_max_bytes, .shared = limits->shared};
}

static size_t budget_excess(size_t used_bytes)
{
    size_t granted = PG_NET_CONN_MEMORY_BYTES_FREE;
    return used_bytes > granted ? used_bytes - granted : 0;
}

bool pg_budget_take(pg_budget *budget, size_t len)
{
    if (len > budget->max_bytes - budget->used_bytes) {
        return false;
    }
    if (budget->shared != NULL) {
        pg_conn_memory *shared = budget->shared;
        size_t more = budget_excess(budget->used_bytes + len) - budget_excess(budget->used_bytes);
        if (more > shared->max_bytes - shared->used_bytes) {
            return false;
        }
        shared->used_bytes += more;
    }
    budget->used_bytes += len;
    return true;
}

void pg_budget_give(pg_budget *budget, size_t len)
{
    pg_assert(len <= budget->used_bytes);
    if (budget->shared != NULL) {
        size_t less = budget_excess(budget->used_bytes) - budget_excess(budget->used_bytes - len);
        budget->shared->used_bytes -= less;
    }
    budget->used_bytes -= len;
}
