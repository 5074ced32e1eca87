/*
 * HTTP requests as waits: driven by the runtime's loop, with connections that are kept and shared.
 * In libquiesce-http, which brings libcurl. Only http and https; certificates are verified; a proxy
 * is used as curl's environment variables say.
 *
 * A request is work in flight: an ask leaves it alone, and on cancel it is gone at once, whatever
 * the resolver, the handshake or the peer are doing. Loop thread only.
 */
#ifndef QUIESCE_HTTP_H
#define QUIESCE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <quiesce/clock.h>
#include <quiesce/export.h>
#include <quiesce/group.h>
#include <quiesce/task.h>

QS_BEGIN_DECLS

typedef struct qs_http qs_http; /* a client: its connections and limits */

/* How far a request has come. The names are what reports show; they never change. */
#define QS_HTTP_PHASE_MAP(X)                \
	X(QS_HTTP_QUEUED, "queued")         \
	X(QS_HTTP_RESOLVING, "resolving")   \
	X(QS_HTTP_CONNECTING, "connecting") \
	X(QS_HTTP_SENDING, "sending")       \
	X(QS_HTTP_WAITING, "waiting")       \
	X(QS_HTTP_RECEIVING, "receiving")   \
	X(QS_HTTP_OVER, "over")
#define QS_HTTP_PHASE_VALUE(value, name) value,
enum qs_http_phase { QS_HTTP_PHASE_MAP(QS_HTTP_PHASE_VALUE) QS_HTTP_PHASE_COUNT };
#undef QS_HTTP_PHASE_VALUE
QS_EXPORT const char *qs_http_phase_name(enum qs_http_phase phase);

/* --- clients --- */

/* All zero is a good default. Whatever is pointed at is copied. */
struct qs_http_options {
	const char *unix_socket; /* all requests go there; NULL: to the host of the URL */
	const char *ca_file;     /* certificates to trust; NULL: the system's */
	const char *user_agent;  /* NULL: libquiesce and its version */
	unsigned calls;          /* so many at once are given to the network; 0: 16,384 */
	unsigned resolving;      /* so many names are looked up at once; 0: 64 */
	unsigned keep;           /* idle connections that are kept; 0: 256 */
};

/* -ENOMEM, -EINVAL (an option), -ENAMETOOLONG (the socket), -ENOENT (the certificates), -ELIBACC
 * (there is no libcurl: it is loaded with the first client). */
QS_EXPORT QS_MUST_CHECK int qs_http_new(
        qs_group *group, const struct qs_http_options *options, qs_http **ret_http);

/* Nobody may wait for a request of its; what callbacks still wait for ends with -ECANCELED. Idle
 * connections are closed. NULL is fine. */
QS_EXPORT void qs_http_free(qs_http *http);

/* --- requests --- */

struct qs_http_header {
	const char *name, *value;
};

/* Spans in ns; 0: the default, QS_FOREVER: none. */
struct qs_http_limits {
	uint64_t connect_timeout;    /* to resolve, connect and shake hands: 10 s */
	uint64_t first_byte_timeout; /* from the request's last byte to the answer's first: none */
	uint64_t idle_timeout;       /* between two bytes of the answer: 60 s */
	uint64_t timeout;            /* all in all: 5 min */
	/* Bytes of body, decompressed; SIZE_MAX: no limit. 16 MiB; for a stream there is none. */
	size_t response_max;
	/* So many are followed; 0: none. Never from https to http, nor to another host with a body
	 * or headers besides Accept, Accept-Language, Content-Type, User-Agent (these are sent),
	 * Authorization and Cookie (which are left out). */
	unsigned redirects;
};

/* Whatever is pointed at is copied, but for the body. */
struct qs_http_request {
	const char *method; /* NULL: GET, or POST with a body */
	const char *url;
	const struct qs_http_header *headers; /* NULL-name-ended; NULL: none */
	const void *body;                     /* stays the caller's, unchanged until it is over */
	size_t body_size;
	struct qs_http_limits limits;
	bool compressed; /* the answer may come compressed; it is handed out decompressed */
};

struct qs_http_times { /* spans from the begin, ns; 0: it did not come so far */
	uint64_t queued, resolved, connected, secured, sent, first_byte, total;
};

/*
 * An answer, or how far a request came that has failed: valid in both cases, to be released by
 * qs_http_response_done. Text is empty, never NULL.
 */
struct qs_http_response {
	int status;                     /* 200, …; 0: no answer */
	struct qs_http_header *headers; /* of the last answer; NULL-name-ended, never NULL */
	const char *body;               /* with a NUL behind it */
	size_t body_size;
	enum qs_http_phase phase; /* QS_HTTP_OVER, or where it stood when it failed */
	uint64_t received, sent;  /* bytes of bodies, on the wire */
	struct qs_http_times times;
	bool reused;     /* over a connection that was there */
	bool sent_any;   /* the server may have seen some of it */
	char host[256];  /* and the port, unless it is the scheme's */
	char error[160]; /* what went wrong, for people, without a secret in it */
	void *memory;    /* private */
};

QS_EXPORT void qs_http_response_done(struct qs_http_response *response);

/* The value of a header of an answer, whatever its case; NULL: it has none. */
QS_EXPORT const char *qs_http_response_header(
        const struct qs_http_response *response, const char *name);

/*
 * Sends a request and waits for its whole answer, whatever its status. In flight. The response is
 * always set. Errors, besides those of every wait:
 *   -EINVAL      the URL, method or a header is none       -EPROTONOSUPPORT  neither http nor https
 *   -EHOSTUNREACH  the name cannot be resolved, or no way there     -ECONNREFUSED
 *   -ECONNRESET  the peer hung up too early                -EBADMSG  what it says is not HTTP
 *   -EKEYREJECTED  its certificate cannot be trusted       -EPROTO   the TLS handshake failed
 *   -EMSGSIZE    more than response_max                    -ELOOP    more redirects than allowed
 *   -ETIME       one of the request's own timeouts (-ETIMEDOUT is a deadline of the wait)
 *   -EPERM       a redirect that is not allowed            -ENOMEM, -EMFILE, -EIO
 */
QS_EXPORT QS_MUST_CHECK int qs_http_perform(qs_task *self, qs_http *http,
        const struct qs_http_request *request, uint64_t deadline,
        struct qs_http_response *ret_response);

/* --- streams: an answer as it comes --- */

typedef struct qs_http_stream qs_http_stream;

/*
 * Sends a request and waits for the head of its answer. In flight; errors as qs_http_perform. The
 * response is always set, without a body. The stream is closed by its owner, or with the fiber.
 */
QS_EXPORT QS_MUST_CHECK int qs_http_open(qs_task *self, qs_http *http,
        const struct qs_http_request *request, uint64_t deadline,
        struct qs_http_response *ret_response, qs_http_stream **ret_stream);

/*
 * Reads what has come, at least one byte: how many, or 0 at the end. Who does not read makes the
 * server wait: at most 64 KiB lie here. In flight.
 */
QS_EXPORT QS_MUST_CHECK ssize_t qs_http_read(
        qs_task *self, qs_http_stream *stream, void *buffer, size_t size, uint64_t deadline);

/* Why reading has failed, for people, without a secret in it; empty where errno says it all. The
 * stream's own: valid until it is closed. */
QS_EXPORT const char *qs_http_stream_error(const qs_http_stream *stream);

/* Lets go of it; what has not come yet never will. NULL is fine. */
QS_EXPORT void qs_http_close(qs_http_stream *stream);

QS_END_DECLS

#endif
