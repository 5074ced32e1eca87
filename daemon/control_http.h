/*
 * What the files over evhttp share: control.c (the server), control_connection.c and
 * control_request.c. A connection has a slot from its first moment to its last and stands in the
 * list of its state. Nothing is freed in evhttp's own callbacks: what has to go is doomed, and cut
 * at the end of the turn.
 */
#ifndef QUIESCED_CONTROL_HTTP_H
#define QUIESCED_CONTROL_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The one place where evhttp's headers come in. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/listener.h>

#include "daemon/control.h"
#include "daemon/control_internal.h"
#include "daemon/control_listen.h"

enum connection_state {
	CONNECTION_FREE,
	CONNECTION_NEW,       /* evhttp is still putting it together */
	CONNECTION_IDLE,      /* between requests */
	CONNECTION_READING,   /* part of a request has come */
	CONNECTION_ANSWERING, /* its handler has it */
	CONNECTION_REFUSED,   /* evhttp answers by itself; reworded at the end of the turn */
	CONNECTION_SENDING,   /* part of the answer has not gone */
	CONNECTION_DOOMED,    /* to be cut at the end of the turn */
	CONNECTION_STATE_COUNT
};

/* What follows `since` is meaningful while the slot is not free. */
struct connection {
	struct control *control;
	struct list node; /* among those of its state, the longest first */
	enum connection_state state;
	uint64_t since; /* of the state */
	struct bufferevent *bev;
	struct evhttp_request *evreq; /* from answering on, until it is answered in whole */
	struct evbuffer_cb_entry *input_entry, *output_entry;
	struct event *hangup;   /* while it is answered later; on a descriptor of its own */
	struct request request; /* with evreq */
};

struct control {
	struct daemon *daemon;
	struct qs_loop *loop;
	struct list in_servers;
	struct control_limits limits;
	struct socket_file file;
	struct evhttp *http;
	struct evhttp_bound_socket *bound; /* NULL once nothing more is accepted */
	struct evbuffer *scratch;          /* empty between uses */
	struct pending pending;
	struct qs_timer timer;
	struct qs_job settle; /* at the end of a turn in which something moved */
	struct connection *slots;
	struct evhttp_connection **evcons; /* of each slot, side by side to be searched */
	struct list lists[CONNECTION_STATE_COUNT];
	unsigned count;
	uint64_t requests;
	size_t input;       /* bytes that wait in all input buffers */
	uint64_t accept_at; /* out of descriptors: when to try again; QS_FOREVER otherwise */
	uint64_t leave_at;  /* while closing: when patience ends; QS_FOREVER otherwise */
	bool accepting, closing, consider;
};

/* --- control.c --- */

/* All slots are taken: nothing is accepted until one is free. */
void control_pause(struct control *control);

/* --- control_connection.c --- */

void connection_move(struct connection *connection, enum connection_state state);
/* evhttp_set_bevcb's: a connection begins. */
struct bufferevent *connection_make_bufferevent(struct event_base *base, void *arg);
/* Finds out what evhttp has made of those that are new. */
void connection_adopt_all(struct control *control);
struct connection *connection_find(
        const struct control *control, const struct evhttp_connection *evcon);
/* Never from evhttp's callbacks. */
void connection_cut(struct connection *connection);
void connection_cut_all(struct control *control, enum connection_state state);
void connection_hear_hangup(struct connection *connection);
void connection_ignore_hangup(struct connection *connection);

/* --- control_request.c --- */

/* evhttp_set_gencb's: a request has come in whole. */
void request_came(struct evhttp_request *evreq, void *arg);
/* The status of the answer that the buffer begins with, 0 if there is none to be seen. */
int request_status_in(struct evbuffer *output);
/* Makes a problem of the page with which evhttp refuses what is no request. */
void request_reword(struct connection *connection);

#endif
