// SPDX-License-Identifier: Apache-2.0
#include "cli/reach.h"

#include "base/str.h"
#include "cli/answer.h"

pg_ip_scope pg_reach_scope(json_object *addrs, size_t *out_count)
{
    pg_ip_scope widest = PG_IP_SCOPE_NONE;
    *out_count = pg_answer_count(addrs);
    for (size_t i = 0; i < *out_count; i++) {
        pg_multiaddr addr;
        const char *text = json_object_get_string(json_object_array_get_idx(addrs, i));
        if (pg_multiaddr_parse(pg_str_make(text), &addr) != PG_OK) {
            continue;
        }
        pg_ip_scope scope = pg_multiaddr_scope(&addr);
        scope = scope == PG_IP_SCOPE_NONE ? PG_IP_SCOPE_PUBLIC : scope; // announced by a name
        if (scope != PG_IP_SCOPE_UNUSABLE && scope > widest) {
            widest = scope;
        }
    }
    return widest;
}

pg_reach pg_reach_judge(pg_ip_scope widest, uint64_t inbound, uint64_t outbound)
{
    if (widest < PG_IP_SCOPE_LINK_LOCAL) {
        return inbound > 0 ? PG_REACH_MACHINE : PG_REACH_CLOSED;
    }
    if (inbound > 0) {
        return PG_REACH_OTHERS;
    }
    return outbound > 0 ? PG_REACH_UNPROVEN : PG_REACH_UNKNOWN;
}
