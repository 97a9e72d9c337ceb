// SPDX-License-Identifier: Apache-2.0
#include "net/budget.h"

pg_budget pg_budget_make(const pg_conn_limits *limits, size_t free_bytes)
{
    return (pg_budget){
        .max_bytes = limits->memory_max_bytes, .free_bytes = free_bytes, .shared = limits->shared};
}

static size_t budget_excess(const pg_budget *budget, size_t used_bytes)
{
    return used_bytes > budget->free_bytes ? used_bytes - budget->free_bytes : 0;
}

bool pg_budget_take(pg_budget *budget, size_t len)
{
    if (len > budget->max_bytes - budget->used_bytes) {
        return false;
    }
    if (budget->shared != NULL) {
        pg_conn_memory *shared = budget->shared;
        size_t more = budget_excess(budget, budget->used_bytes + len) -
                      budget_excess(budget, budget->used_bytes);
        if (shared->used_bytes > shared->max_bytes ||
            more > shared->max_bytes - shared->used_bytes) {
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
        size_t less = budget_excess(budget, budget->used_bytes) -
                      budget_excess(budget, budget->used_bytes - len);
        budget->shared->used_bytes -= less;
    }
    budget->used_bytes -= len;
}
