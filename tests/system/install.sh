#!/bin/sh
# What `cmake --install` installs is complete, and a program of somebody else's builds against it.
set -u

build=${QUIESCE_BUILD:?names the build directory}
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT

fail() {
	echo "install: $*"
	exit 1
}

DESTDIR=$root cmake --install "$build" >"$root/log" 2>&1 || {
	cat "$root/log"
	fail 'cmake --install failed'
}
while read -r path; do
	find "$root" -path "*/$path" | grep -q . || fail "$path is missing"
done <<'END'
sbin/quiesced
bin/quiescectl
lib/systemd/system/quiesced.service
lib/systemd/system/quiesced.socket
lib/sysusers.d/quiesced.conf
lib/tmpfiles.d/quiesced.conf
lib/systemd/catalog/quiesced.catalog
share/man/man8/quiesced.8
share/man/man5/quiesced.yaml.5
share/man/man1/quiescectl.1
share/bash-completion/completions/quiescectl
share/doc/quiesced/examples/quiesced.yaml
share/doc/quiesced/systemd/relaxed.conf
include/quiesce/stop.h
libquiesce.a
libquiesce.so
pkgconfig/quiesce.pc
END
find "$root" -name '*.service' -exec grep -Hn '@[A-Z_]*@' {} + && fail 'something was not filled in'

cat >"$root/user.c" <<'END'
#include <stdio.h>

#include <quiesce/clock.h>
#include <quiesce/stop.h>

int main(void)
{
	qs_stop *stop;
	struct qs_stop_reason reason = { QS_CAUSE_API, "somebody", 0, QS_FOREVER };

	if (qs_stop_new(NULL, &stop) < 0 || qs_stop_is_set(stop))
		return 1;
	if (qs_stop_set(stop, &reason) != 1 || !qs_stop_is_set(stop) || qs_time_now() == 0)
		return 1;
	qs_stop_free(stop);
	puts(qs_verdict_name(QS_VERDICT_STOPPED));
	return 0;
}
END
PKG_CONFIG_PATH=$(dirname "$(find "$root" -name quiesce.pc)")
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR="$root"
libraries=$(dirname "$(find "$root" -name libquiesce.so)")

# compiled COMPILER LANGUAGE: against the shared library
compiled() {
	# shellcheck disable=SC2046 # words
	"$1" -x "$2" "$root/user.c" -o "$root/user" $(pkg-config --cflags --libs quiesce) ||
		fail "$2: a program does not build"
	[ "$(LD_LIBRARY_PATH=$libraries "$root/user")" = stopped ] || fail "$2: the program does not run"
}
compiled "${CC:-cc}" c
compiled "${CXX:-c++}" c++
# The private libraries are the system's, not the sysroot's.
# shellcheck disable=SC2046 # words
"${CC:-cc}" "$root/user.c" -o "$root/user" -I"$(dirname "$(dirname "$(find "$root" -name stop.h)")")" \
	"$libraries/libquiesce.a" $(PKG_CONFIG_SYSROOT_DIR='' pkg-config --libs libevent_core libsystemd) -pthread ||
	fail 'a program does not build against the static library'
"$root/user" >/dev/null || fail 'the statically linked program does not run'

exported=$(nm -D --defined-only "$libraries/libquiesce.so" | awk '{ print $3 }' | grep -v '^qs_')
[ -z "$exported" ] || fail "the library exports names that are not qs_*: $exported"
echo 'The installation is complete.'
