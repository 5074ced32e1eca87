/*
 * Who may ask for what. The socket's mode says who can open it, and whoever can may read. Changes
 * are for root, the daemon's own user, and members of its group. A browser that was talked into
 * sending a request here brings an Origin or the Host it believes to speak with, and is refused.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "daemon/control_internal.h"

bool access_host_is_ours(const char *host)
{
	static const char *const ours[] = { "localhost", "quiesced" };

	if (!host || !*host)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		size_t length = strlen(ours[i]);

		if (strncasecmp(host, ours[i], length) != 0)
			continue;
		if (host[length] == '\0')
			return true;
		if (host[length] == ':' &&
		        strspn(host + length + 1, "0123456789") == strlen(host + length + 1))
			return true;
	}
	return false;
}

bool access_may_change(uid_t uid, const gid_t *groups, size_t count, uid_t own_uid, gid_t own_gid)
{
	if (uid == 0 || uid == own_uid)
		return true;
	for (size_t i = 0; i < count; i++)
		if (groups[i] == own_gid)
			return true;
	return false;
}

/* The supplementary groups of the peer, after room for its own: `*ret_groups` is malloc'ed. */
static int read_groups(int fd, gid_t own, gid_t **ret_groups, size_t *ret_count)
{
	socklen_t size = 64 * sizeof(gid_t);

	for (int tries = 0; tries < 4; tries++) {
		_cleanup_(freep) gid_t *groups = malloc(sizeof(gid_t) + size);

		if (!groups)
			return -ENOMEM;
		groups[0] = own;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) == 0) {
			*ret_count = 1 + size / sizeof(gid_t);
			*ret_groups = TAKE(groups, NULL);
			return 0;
		}
		/* The kernel has said how much it needs. */
		if (errno != ERANGE)
			return -errno;
	}
	return -ERANGE;
}

int access_read_peer(int fd, struct peer *ret_peer)
{
	_cleanup_(freep) gid_t *groups = NULL;
	struct ucred credentials = { 0 };
	socklen_t size = sizeof(credentials);
	size_t count = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	int r = read_groups(fd, credentials.gid, &groups, &count);
	if (r < 0)
		return r;
	*ret_peer = (struct peer){
		.uid = credentials.uid,
		.gid = credentials.gid,
		.pid = credentials.pid,
		.may_change =
		        access_may_change(credentials.uid, groups, count, geteuid(), getegid()),
	};
	return 0;
}
