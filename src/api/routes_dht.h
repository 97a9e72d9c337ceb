// SPDX-License-Identifier: Apache-2.0
// The routes of the DHTs. Both are asked at once; times are in milliseconds, values in hexadecimal.
//
//      GET  /api/v1/dht              what each DHT holds and did
//      POST /api/v1/dht/find-peer    {"peer", "timeout_ms"?}: be connected with a peer, and tell its addresses
//      POST /api/v1/dht/get          {"key", "timeout_ms"?}: the value of a record
//      POST /api/v1/dht/put          {"key", "value_hex", "once"?, "timeout_ms"?}: put a record, again every 22 h unless "once"
//      POST /api/v1/dht/provide      {"cid", "once"?, "timeout_ms"?}: tell that this node provides a CID, likewise
//      POST /api/v1/dht/unpublish    {"key" or "cid"}: publish it no longer
//      POST /api/v1/dht/providers    {"cid", "max"?, "timeout_ms"?}: who provides a CID
//      POST /api/v1/dht/explain      {"key", "timeout_ms"?}: look a PeerId, a CID or a record up, and tell every request on the way
//
// The key of a record is "/NAMESPACE/NAME"; under "/pk/" the name is a PeerId as text.
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include "api/server.h"
#include "base/attr.h"

/** Serve GET /api/v1/dht. */
PG_NODISCARD pg_err pg_api_dht_get(const pg_api_request *request, json_object **out_body);

/** Serve POST /api/v1/dht/find-peer. */
PG_NODISCARD pg_err pg_api_dht_find_peer(const pg_api_request *request, json_object **out_body);

/** Serve POST /api/v1/dht/get. */
PG_NODISCARD pg_err pg_api_dht_get_value(const pg_api_request *request, json_object **out_body);

/** Serve POST /api/v1/dht/put. */
PG_NODISCARD pg_err pg_api_dht_put_value(const pg_api_request *request, json_object **out_body);

/** Serve POST /api/v1/dht/provide. */
PG_NODISCARD pg_err pg_api_dht_provide(const pg_api_request *request, json_object **out_body);

/** Serve POST /api/v1/dht/unpublish. */
PG_NODISCARD pg_err pg_api_dht_unpublish(const pg_api_request *request, json_object **out_body);

/** Serve POST /api/v1/dht/providers. */
PG_NODISCARD pg_err pg_api_dht_providers(const pg_api_request *request, json_object **out_body);

/** Serve POST /api/v1/dht/explain. */
PG_NODISCARD pg_err pg_api_dht_explain(const pg_api_request *request, json_object **out_body);

/** Rows for a table of routes. */
// clang-format off
#define PG_API_DHT_ROUTES                                                                          \
    {"GET", "/api/v1/dht", pg_api_dht_get},                                                        \
    {"POST", "/api/v1/dht/find-peer", pg_api_dht_find_peer},                                       \
    {"POST", "/api/v1/dht/get", pg_api_dht_get_value},                                             \
    {"POST", "/api/v1/dht/put", pg_api_dht_put_value},                                             \
    {"POST", "/api/v1/dht/provide", pg_api_dht_provide},                                           \
    {"POST", "/api/v1/dht/unpublish", pg_api_dht_unpublish},                                       \
    {"POST", "/api/v1/dht/providers", pg_api_dht_providers},                                       \
    {"POST", "/api/v1/dht/explain", pg_api_dht_explain}
// clang-format on
