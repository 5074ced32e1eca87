/*
 * What is told of a call: the answer to whoever asked for it, now or later, and how it is shown.
 */
#ifndef QUIESCED_CALL_ANSWER_H
#define QUIESCED_CALL_ANSWER_H

#include <jansson.h>

struct call;
struct request;

/* Answers the request with the outcome of a call that is over. */
void call_answer(const struct call *call, struct request *request);

/* Answers whoever waits for it, or ends the stream. */
void call_answer_waiting(struct call *call);

/* The problem of one that went wrong, as one line of JSON; to be freed. NULL: no memory. */
char *call_problem_text(const struct call *call);

/* How it stands, or how it ended. NULL: no memory. */
json_t *call_view(const struct call *call);

#endif
