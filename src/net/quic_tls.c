// SPDX-License-Identifier: Apache-2.0
#include "net/quic_tls.h"

#include <string.h>

#include <ngtcp2/ngtcp2_crypto_ossl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/peer_id_text.h"
#include "net/limits.h"
#include "runtime/time.h"

// A star: the share of this group goes into the first flight. A slash: a server asks a client who can do the first group,
// but sent no share of it, once more.
// (Not const: OpenSSL's macros cast that away.)
static char groups_any[] = "*X25519MLKEM768/*X25519";
static char groups_hybrid[] = "*X25519MLKEM768";
static char groups_classical[] = "*X25519";
static char *const group_lists[] = {
    [PG_QUIC_GROUPS_ANY] = groups_any,
    [PG_QUIC_GROUPS_HYBRID] = groups_hybrid,
    [PG_QUIC_GROUPS_CLASSICAL] = groups_classical,
};
#define GROUP_HYBRID "X25519MLKEM768"

#define ALPN "\x06libp2p"

// A label of our own, as RFC 5705 wants it.
#define EXPORTER_LABEL "EXPORTER-pangea-quic"

struct pg_quic_tls {
    pg_tls_certificate certificate;
    SSL_CTX *client;
    SSL_CTX *server;
    pg_quic_groups groups;
};

static CRYPTO_ONCE ossl_once = CRYPTO_ONCE_STATIC_INIT;

static void ossl_prepare(void)
{
    (void) ngtcp2_crypto_ossl_init(); // looks algorithms up once; without it each packet does
}

static pg_err fail_memory(void)
{
    ERR_clear_error();
    return pg_fail(PG_ERR_NOMEM, "no memory for TLS");
}

// ---- The peer's certificate

static pg_err peer_check(pg_quic_handshake *handshake, pg_bytes der)
{
    PG_TRY(pg_tls_certificate_decode(der, pg_wall_ms(), &handshake->peer));
    if (handshake->expected_id.len != 0 &&
        !pg_peer_id_equal(&handshake->expected_id, &handshake->peer.id)) {
        char wanted[PG_PEER_ID_TEXT_BYTES];
        char found[PG_PEER_ID_TEXT_BYTES];
        pg_peer_id_format(&handshake->expected_id, wanted);
        pg_peer_id_format(&handshake->peer.id, found);
        return pg_fail(PG_ERR_AUTH, "dialed %s, %s answers", wanted, found);
    }
    return PG_OK;
}

static pg_err chain_check(pg_quic_handshake *handshake, X509_STORE_CTX *store)
{
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
    const X509 *x509 = X509_STORE_CTX_get0_cert(store);
    uint8_t *der = NULL;
    if (x509 == NULL || (chain != NULL && sk_X509_num(chain) != 1)) {
        return pg_fail(PG_ERR_PROTOCOL, "the peer sent more than one certificate");
    }
    int len = i2d_X509(x509, &der);
    if (len <= 0) {
        return fail_memory();
    }
    pg_err err = peer_check(handshake, pg_bytes_make(der, (size_t) len));
    OPENSSL_free(der);
    return err;
}

// The whole verification is ours: OpenSSL checks only that the peer has the certificate's key.
static int on_verify(X509_STORE_CTX *store, void *arg)
{
    (void) arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    ngtcp2_crypto_conn_ref *ref = SSL_get_app_data(ssl);
    pg_quic_handshake *handshake = (pg_quic_handshake *) (void *) ref; // its first member
    pg_err err = chain_check(handshake, store);
    if (err == PG_OK) {
        return 1;
    }
    handshake->peer.id.len = 0;
    handshake->refused = err;
    const char *detail = pg_error_detail(err);
    memcpy(handshake->detail, detail, pg_min_size(strlen(detail), sizeof(handshake->detail) - 1));
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED); // becomes bad_certificate
    return 0;
}

// ---- Contexts

static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *offered,
                   unsigned offered_len, void *arg)
{
    (void) ssl;
    (void) arg;
    uint8_t *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, (const uint8_t *) ALPN, sizeof(ALPN) - 1, offered,
                              offered_len) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool ctx_fill(SSL_CTX *ctx, const pg_quic_tls *tls)
{
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set1_groups_list(ctx, group_lists[tls->groups]) != 1 ||
        SSL_CTX_use_certificate(ctx, tls->certificate.x509) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, tls->certificate.key) != 1 ||
        SSL_CTX_set_num_tickets(ctx, 0) != 1) {
        return false;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
    SSL_CTX_set_max_cert_list(ctx, PG_NET_QUIC_CERTIFICATES_BYTES_MAX);
    (void) SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void) SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    return true;
}

static pg_err contexts_make(pg_quic_tls *tls)
{
    tls->client = SSL_CTX_new(TLS_client_method());
    tls->server = SSL_CTX_new(TLS_server_method());
    if (tls->client == NULL || tls->server == NULL || !ctx_fill(tls->client, tls) ||
        !ctx_fill(tls->server, tls) ||
        SSL_CTX_set_alpn_protos(tls->client, (const uint8_t *) ALPN, sizeof(ALPN) - 1) != 0) {
        return fail_memory();
    }
    SSL_CTX_set_alpn_select_cb(tls->server, on_alpn, NULL);
    return PG_OK;
}

pg_err pg_quic_tls_new(const pg_identity *identity, pg_quic_groups groups, pg_quic_tls **out_tls)
{
    pg_quic_tls *tls = PG_NEW(pg_quic_tls);
    if (tls == NULL) {
        return fail_memory();
    }
    tls->groups = groups;
    pg_err err = pg_tls_certificate_init(&tls->certificate, identity, pg_wall_ms());
    if (err == PG_OK) {
        pg_assert(CRYPTO_THREAD_run_once(&ossl_once, ossl_prepare) == 1);
        err = contexts_make(tls);
    }
    if (err != PG_OK) {
        pg_quic_tls_free(&tls);
        return err;
    }
    *out_tls = tls;
    return PG_OK;
}

void pg_quic_tls_free(pg_quic_tls **tls)
{
    if (*tls == NULL) {
        return;
    }
    SSL_CTX_free((*tls)->client);
    SSL_CTX_free((*tls)->server);
    pg_tls_certificate_deinit(&(*tls)->certificate);
    pg_mfree(*tls);
    *tls = NULL;
}

// ---- One handshake

static ngtcp2_conn *on_get_conn(ngtcp2_crypto_conn_ref *ref)
{
    return *(ngtcp2_conn **) ref->user_data;
}

static bool role_set(const pg_quic_handshake *handshake)
{
    if (!handshake->is_client) {
        SSL_set_accept_state(handshake->ssl);
        return ngtcp2_crypto_ossl_configure_server_session(handshake->ssl) == 0;
    }
    SSL_set_connect_state(handshake->ssl);
    return ngtcp2_crypto_ossl_configure_client_session(handshake->ssl) == 0 &&
           (!handshake->hybrid_only || SSL_set1_groups_list(handshake->ssl, groups_hybrid) == 1);
}

pg_err pg_quic_handshake_new(const pg_quic_tls *tls, const pg_quic_tls_wish *wish,
                             ngtcp2_conn **ngtcp2, pg_quic_handshake **out_handshake)
{
    pg_quic_handshake *handshake = PG_NEW(pg_quic_handshake);
    if (handshake == NULL) {
        return fail_memory();
    }
    handshake->ref.get_conn = on_get_conn;
    handshake->ref.user_data = ngtcp2;
    handshake->require_pq = tls->groups == PG_QUIC_GROUPS_HYBRID;
    handshake->is_client = wish->is_client;
    handshake->hybrid_only = wish->hybrid_only || handshake->require_pq;
    if (wish->expected_id != NULL) {
        handshake->expected_id = *wish->expected_id;
    }
    handshake->ssl = SSL_new(wish->is_client ? tls->client : tls->server);
    if (handshake->ssl == NULL || !role_set(handshake) ||
        ngtcp2_crypto_ossl_ctx_new(&handshake->ctx, handshake->ssl) != 0) {
        pg_quic_handshake_free(&handshake);
        return fail_memory();
    }
    SSL_set_app_data(handshake->ssl, &handshake->ref);
    *out_handshake = handshake;
    return PG_OK;
}

void pg_quic_handshake_attach(pg_quic_handshake *handshake, ngtcp2_conn *ngtcp2)
{
    ngtcp2_conn_set_tls_native_handle(ngtcp2, handshake->ctx);
}

static const char *security_name(const char *group, bool *out_hybrid)
{
    *out_hybrid = group != NULL && strcmp(group, GROUP_HYBRID) == 0;
    return *out_hybrid ? "tls/" GROUP_HYBRID : "tls/X25519";
}

pg_err pg_quic_handshake_result(const pg_quic_handshake *handshake, pg_quic_tls_result *out_result)
{
    const uint8_t *alpn = NULL;
    unsigned alpn_len = 0;
    SSL_get0_alpn_selected(handshake->ssl, &alpn, &alpn_len);
    if (!pg_bytes_equal(pg_bytes_make(alpn, alpn_len), PG_BYTES_LIT("libp2p"))) {
        return pg_fail(PG_ERR_PROTOCOL, "the peer does not speak libp2p");
    }
    if (handshake->peer.id.len == 0) {
        return pg_fail(PG_ERR_PROTOCOL, "the peer showed no certificate");
    }
    pg_quic_tls_result result = {0};
    if (SSL_export_keying_material(handshake->ssl, result.secret.bytes, sizeof(result.secret.bytes),
                                   EXPORTER_LABEL, sizeof(EXPORTER_LABEL) - 1, NULL, 0, 0) != 1) {
        return fail_memory();
    }
    result.security = security_name(SSL_get0_group_name(handshake->ssl), &result.is_hybrid);
    *out_result = result;
    pg_key_wipe(&result.secret);
    return PG_OK;
}

pg_err pg_quic_handshake_fail(const pg_quic_handshake *handshake, uint8_t alert, bool by_peer)
{
    ERR_clear_error();
    if (handshake->refused != PG_OK) {
        return pg_fail(handshake->refused, "%s", handshake->detail);
    }
    if (alert == SSL_AD_HANDSHAKE_FAILURE && handshake->require_pq) {
        return pg_fail(PG_ERR_UNSUPPORTED, "the peer cannot do the post-quantum handshake, and "
                                           "security.require_pq is on");
    }
    if (alert == SSL_AD_HANDSHAKE_FAILURE && handshake->hybrid_only) {
        return pg_fail(PG_ERR_DOWNGRADE, "the peer has done the post-quantum handshake before and "
                                         "now refuses it: somebody may have tampered with it");
    }
    if (alert == 0) {
        return pg_fail(PG_ERR_PROTOCOL, "the TLS handshake failed");
    }
    return pg_fail(by_peer ? PG_ERR_REFUSED : PG_ERR_PROTOCOL, "the TLS handshake failed: %s%s",
                   by_peer ? "the peer says " : "", SSL_alert_desc_string_long(alert));
}

void pg_quic_handshake_free(pg_quic_handshake **handshake)
{
    pg_quic_handshake *dead = *handshake;
    if (dead == NULL) {
        return;
    }
    if (dead->ssl != NULL) {
        SSL_set_app_data(dead->ssl, NULL); // it may call back while it is freed
    }
    ngtcp2_crypto_ossl_ctx_del(dead->ctx);
    SSL_free(dead->ssl);
    pg_mfree(dead);
    *handshake = NULL;
}
