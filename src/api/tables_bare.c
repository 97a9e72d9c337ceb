// SPDX-License-Identifier: Apache-2.0
// The routes of a node that is built without the rooms of files: none of theirs.
#include "api/routes.h"

const pg_api_route *const pg_api_tables[] = {
    pg_api_node_routes,
    pg_api_event_routes,
    NULL,
};
