// SPDX-License-Identifier: Apache-2.0
// Every route there is.
#include "api/routes.h"

const pg_api_route *const pg_api_tables[] = {
    pg_api_node_routes,      pg_api_event_routes,   pg_api_file_routes,
    pg_api_block_routes,     pg_api_stat_routes,    pg_api_dht_routes,
    pg_api_invite_routes,    pg_api_doctor_routes,  pg_api_service_routes,
    pg_api_health_routes,    pg_api_backup_routes,  pg_api_repair_routes,
    pg_api_telemetry_routes, pg_api_archive_routes, NULL,
};
