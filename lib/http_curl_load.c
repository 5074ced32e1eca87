/* Finds libcurl. */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "lib/http_curl_internal.h"

#define LIBRARY "libcurl.so.4"

/* A function is no object: its address comes as one all the same. */
static bool find(void *library, const char *name, void *place)
{
	void *address = dlsym(library, name);

	memcpy(place, &address, sizeof(address));
	return address;
}

/* It is never unloaded: a thread that hangs in the resolver may outlive every client. */
int qs_curl_load(struct qs_curl *ret_curl)
{
	struct qs_curl curl;
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	bool complete = library;

#define FIND(name) complete = complete && find(library, "curl_" #name, &curl.name);
	QS_CURL_FUNCTIONS(FIND)
#undef FIND
	if (library)
		(void)dlclose(library);
	if (!complete)
		return -ELIBACC;
	/* Once is enough, more often does no harm; it is never undone, for the same reason. */
	if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	*ret_curl = curl;
	return 0;
}
