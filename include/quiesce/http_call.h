/*
 * HTTP requests with callbacks, for who has no fiber; and scripted servers for simulations. See
 * http.h for clients, requests and errors. Loop thread only.
 */
#ifndef QUIESCE_HTTP_CALL_H
#define QUIESCE_HTTP_CALL_H

#include <stddef.h>
#include <stdint.h>

#include <quiesce/export.h>
#include <quiesce/http.h>

QS_BEGIN_DECLS

typedef struct qs_http_call qs_http_call; /* one request under way */

#define QS_HTTP_PAUSE 1 /* not now: the same bytes come again after qs_http_resume */

struct qs_http_handlers {
	/* The head of the answer has come (of the last one, after redirects). A negative errno ends
	 * the request with it. NULL is fine. */
	int (*head)(qs_http_call *call, const struct qs_http_response *response, void *arg);
	/* Takes bytes of the body: 0, QS_HTTP_PAUSE or a negative errno. NULL: the body is gathered
	 * for `done`. With it the request is made over HTTP/1.1 and never compressed, because
	 * of anything else libcurl keeps megabytes during a pause. */
	int (*data)(qs_http_call *call, const void *data, size_t size, void *arg);
	/* It is over, with 0 or an error of qs_http_perform; the call is not valid afterwards. The
	 * response is the callee's to release. Never called within qs_http_start. */
	void (*done)(qs_http_call *call, int result, struct qs_http_response *response, void *arg);
};

/* Begins it. Its `deadline` (absolute) counts like a timeout. -ENOMEM, -EINVAL, -EPROTONOSUPPORT.
 */
QS_EXPORT QS_MUST_CHECK int qs_http_start(qs_http *http, const struct qs_http_request *request,
        uint64_t deadline, const struct qs_http_handlers *handlers, void *arg,
        qs_http_call **ret_call);

/* After QS_HTTP_PAUSE. */
QS_EXPORT void qs_http_resume(qs_http_call *call);

/*
 * Forgets it: no callback comes any more, the body is the caller's again, and its connection is
 * closed. Also from its own callbacks, but `done`: they return a negative errno then.
 * `ret_response`: how far it came, without headers and body; may be NULL.
 */
QS_EXPORT void qs_http_drop(qs_http_call *call, struct qs_http_response *ret_response);

/* Where it stands, for people and reports. */
struct qs_http_progress {
	enum qs_http_phase phase;
	uint64_t began_at; /* absolute, ns */
	uint64_t received, sent;
	const char *host; /* valid while the call is */
};
QS_EXPORT void qs_http_progress(const qs_http_call *call, struct qs_http_progress *ret_progress);

/* --- in a simulation --- */

/* What a scripted server says to a request: after `delay` either an answer or an error. */
struct qs_http_scripted {
	uint64_t delay; /* ns; QS_FOREVER: it never answers */
	int error;      /* a negative errno of qs_http_perform; 0: the answer below */
	bool unsent;    /* with an error: it came before anything was sent */
	int status;
	const struct qs_http_header *headers; /* NULL-name-ended; NULL: none */
	const void *body;
	size_t body_size;
};

/*
 * A client without a network: `script` answers each request. What it points at is copied at once.
 * For tests of one's own tasks, mostly under a virtual clock. -ENOMEM.
 */
QS_EXPORT QS_MUST_CHECK int qs_http_new_scripted(qs_group *group,
        void (*script)(const struct qs_http_request *request, struct qs_http_scripted *ret_scripted,
                void *arg),
        void *arg, qs_http **ret_http);

QS_END_DECLS

#endif
