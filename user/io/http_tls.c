/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_tls.h"

#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "io/http.h"

#define MAX_PEM ((size_t)4 << 20)

/* At least 1.2, unless it is said otherwise. */
static long tls_versions(const struct http_tls *tls)
{
	static const long MIN_VERSIONS[] = {CURL_SSLVERSION_TLSv1_0, CURL_SSLVERSION_TLSv1_1,
					    CURL_SSLVERSION_TLSv1_2, CURL_SSLVERSION_TLSv1_3};
	static const long MAX_VERSIONS[] = {
		CURL_SSLVERSION_MAX_TLSv1_0, CURL_SSLVERSION_MAX_TLSv1_1,
		CURL_SSLVERSION_MAX_TLSv1_2, CURL_SSLVERSION_MAX_TLSv1_3};
	int min_version = tls && tls->min_version ? tls->min_version : 12;
	int max_version = tls ? tls->max_version : 0;

	if (max_version && !tls->min_version)
		min_version = MIN(min_version, max_version);
	return MIN_VERSIONS[min_version - 10] |
	       (max_version ? MAX_VERSIONS[max_version - 10] : CURL_SSLVERSION_MAX_DEFAULT);
}

/*
 * curl tells connections by the names of their files, and keeps them, and what it read of a
 * ca_file, when the files change: it gets the files' contents instead. A connection made with other
 * contents is not used again then.
 */
static CURLcode set_pem(CURL *easy, CURLoption file_option, CURLoption blob_option,
			const char *file, const char *text)
{
	_buf_ struct buf pem = {0};
	struct curl_blob blob = {.flags = CURL_BLOB_COPY};

	if (text) {
		blob.data = (char *)text;
		blob.len = strlen(text);
	} else if (!file) {
		return CURLE_OK;
	} else if (buf__read_file(&pem, file, MAX_PEM) || !pem.len) {
		/* curl says what is wrong with it. */
		return curl_easy_setopt(easy, file_option, file);
	} else {
		blob.data = pem.data;
		blob.len = pem.len;
	}
	return curl_easy_setopt(easy, blob_option, &blob);
}

CURLcode http_tls__set(const struct http_tls *tls, CURL *easy)
{
	CURLcode code = curl_easy_setopt(easy, CURLOPT_SSLVERSION, tls_versions(tls));

	if (!tls)
		return code;
	if (!code)
		code = set_pem(easy, CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB, tls->ca_file, tls->ca);
	if (!code)
		code = set_pem(easy, CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB, tls->cert_file,
			       tls->cert);
	if (!code)
		code = set_pem(easy, CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB, tls->key_file, tls->key);
	/* Or the system's directory would be trusted besides. */
	if (!code && (tls->ca_file || tls->ca))
		code = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (!code && tls->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	return code;
}
