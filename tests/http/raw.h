/* A client that is nothing but a socket. Whatever fails fails the test. */
#ifndef HTTP_RAW_H
#define HTTP_RAW_H

#include <stdbool.h>
#include <stddef.h>

int raw_connect(unsigned port);
void raw_send(int fd, const char *text);

/* "GET PATH HTTP/1.1", with the connection kept. */
void raw_get(int fd, const char *path);

/* Reads until the text has come, or until the peer hangs up if it is NULL. malloc'ed. */
char *raw_read(int fd, const char *until);

/* The errno with which the peer ends it, 0 for an orderly end. What comes before is passed over. */
int raw_end(int fd);

/* Asks on a connection of its own and reads all of the answer. */
char *raw_ask(unsigned port, const char *path);

#endif
