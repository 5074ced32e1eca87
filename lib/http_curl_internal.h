/*
 * What the files of the driver that is libcurl share; besides them nobody includes curl/.
 * http_curl.c has the multi handle on the loop, http_curl_transfer.c sets transfers up,
 * http_curl_told.c is what libcurl tells of them, http_curl_load.c finds it.
 *
 * A transfer is an easy handle with what is around it. libcurl tells it what happens, and it tells
 * its call; one whose call was dropped answers everything with "no" until it is swept. Transfers
 * that are over are kept for others: to set up an easy handle costs as much as a small request.
 */
#ifndef QS_HTTP_CURL_INTERNAL_H
#define QS_HTTP_CURL_INTERNAL_H

#include <curl/curl.h>
#include <stdbool.h>

#include "lib/http.h"
#include "lib/http_sockets.h"

/*
 * libcurl's functions by their names. It is loaded with the first client: it brings thirty other
 * libraries and three MiB, which who makes no calls need not carry.
 */
#define QS_CURL_FUNCTIONS(X)   \
	X(global_init)         \
	X(easy_init)           \
	X(easy_cleanup)        \
	X(easy_setopt)         \
	X(easy_getinfo)        \
	X(easy_pause)          \
	X(multi_init)          \
	X(multi_cleanup)       \
	X(multi_setopt)        \
	X(multi_add_handle)    \
	X(multi_remove_handle) \
	X(multi_info_read)     \
	X(multi_socket_action)

struct qs_curl {
#define QS_CURL_MEMBER(name) __typeof__(curl_##name) *name;
	QS_CURL_FUNCTIONS(QS_CURL_MEMBER)
#undef QS_CURL_MEMBER
};

struct qs_http_curl {
	struct qs_http http;
	struct qs_curl libcurl;
	CURLM *multi;
	struct qs_timer timer; /* libcurl's */
	struct qs_http_sockets sockets;
	struct list dropped, spare; /* transfers */
	unsigned spare_count, keep;
	unsigned connected; /* transfers that have a connection */
	char *unix_socket, *ca_file, *user_agent;
};

struct qs_http_transfer {
	struct list node;
	struct qs_http_curl *owner;
	struct qs_http_call *call; /* NULL once it was dropped */
	CURL *easy;
	struct curl_slist *headers; /* with their text behind them */
	int failure;                /* what a callback has ended it with */
	bool connected, opened, in_head, redirecting;
	bool worn; /* libcurl counts how often a handle tries again, and never forgets */
	char error[CURL_ERROR_SIZE];
};

/* --- http_curl_load.c --- */

/* -ELIBACC: there is no libcurl, or one that lacks a function. -ENOMEM. */
QS_MUST_CHECK int qs_curl_load(struct qs_curl *ret_curl);

/* --- http_curl_transfer.c --- */

/* A spare one, or a new one; set up for the call. -ENOMEM. */
QS_MUST_CHECK int qs_http_transfer_get(
        struct qs_http_call *call, struct qs_http_transfer **ret_transfer);

/* It is not with the multi handle any more: makes it a spare one, or frees it. */
void qs_http_transfer_put(struct qs_http_transfer *transfer);
void qs_http_transfer_free(struct qs_http_transfer *transfer);

/* Whether it has a connection, for the count of those that are idle. */
void qs_http_transfer_connected(struct qs_http_transfer *transfer, bool connected);

/* --- http_curl_told.c --- */

/* Has libcurl tell this file what happens to it. */
QS_MUST_CHECK CURLcode qs_http_transfer_listen(struct qs_http_transfer *transfer);

/* The negative errno, which is explained to the call; 0 for CURLE_OK. */
QS_MUST_CHECK int qs_http_transfer_errno(struct qs_http_transfer *transfer, CURLcode code);

#define QS_HTTP_SET(transfer, code, option, value)                          \
	do {                                                                \
		if ((code) == CURLE_OK)                                     \
			(code) = (transfer)->owner->libcurl.easy_setopt(    \
			        (transfer)->easy, CURLOPT_##option, value); \
	} while (0)

#endif
