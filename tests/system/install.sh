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
libexec/quiesced-host
lib/systemd/system/quiesced.service
lib/systemd/system/quiesced.socket
lib/sysusers.d/quiesced.conf
lib/tmpfiles.d/quiesced.conf
lib/systemd/catalog/quiesced.catalog
share/man/man8/quiesced.8
share/man/man8/quiesced-host.8
share/man/man5/quiesced.yaml.5
share/man/man1/quiescectl.1
share/man/man3/libquiesce.3
share/man/man3/quiesce_fiber.3
share/bash-completion/completions/quiescectl
share/doc/quiesced/examples/quiesced.yaml
share/doc/quiesced/examples/long-running.c
share/doc/quiesced/systemd/relaxed.conf
include/quiesce/quiesce.h
include/quiesce/stop.h
libquiesce.a
libquiesce.so
libquiesce-http.a
libquiesce-http.so
pkgconfig/quiesce.pc
pkgconfig/quiesce-http.pc
share/man/man3/quiesce_http.3
cmake/quiesce/quiesceConfig.cmake
END
find "$root" -name '*.service' -exec grep -Hn '@[A-Z_]*@' {} + && fail 'something was not filled in'

cat >"$root/user.c" <<'END'
#include <stdio.h>

#include <quiesce/quiesce.h>

static int fiber(qs_task *self, void *arg)
{
	*(int *)arg = 1;
	return qs_sleep(self, qs_in(self, QS_MSEC));
}

static int run(void)
{
	qs_runtime *runtime;
	int ran = 0;

	if (qs_runtime_new(&runtime) < 0)
		return 1;
	if (qs_spawn_fiber(qs_root(runtime), NULL, fiber, &ran, NULL) < 0)
		return 1;
	int status = qs_run(runtime);
	qs_runtime_free(runtime);
	return ran ? status : 1;
}

int main(void)
{
	qs_stop *stop;
	struct qs_stop_reason reason = { QS_CAUSE_API, "somebody", 0, QS_FOREVER };

	if (qs_stop_new(NULL, &stop) < 0 || qs_stop_is_set(stop))
		return 1;
	if (qs_stop_set(stop, &reason) != 1 || !qs_stop_is_set(stop) || qs_time_now() == 0)
		return 1;
	qs_stop_free(stop);
	if (run() != 0)
		return 1;
	puts(qs_verdict_name(QS_VERDICT_STOPPED));
	return 0;
}
END
# Below another prefix than it was configured for: all of it goes there (but units of a /usr go where
# systemd wants them), and is found from there.
DESTDIR=$root/stray cmake --install "$build" --prefix /elsewhere >"$root/log" 2>&1 ||
	fail 'cmake --install --prefix failed'
find "$root/stray" -type f ! -path "$root/stray/elsewhere/*" ! -path '*/systemd/system/*' | grep . &&
	fail 'this goes somewhere else than below the prefix'
PKG_CONFIG_PATH=$(dirname "$(find "$root/stray" -name quiesce.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046 # words
"${CC:-cc}" "$root/user.c" -o "$root/user" $(pkg-config --cflags --libs quiesce) ||
	fail 'a program does not build against another prefix'
rm -r "$root/stray"

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

# Requests: nobody listens at that port.
cat >"$root/caller.c" <<'END'
#include <errno.h>
#include <stdio.h>

#include <quiesce/http.h>
#include <quiesce/quiesce.h>

static int call(qs_task *self, void *arg)
{
	struct qs_http_request request = { .url = "http://127.0.0.1:1/" };
	struct qs_http_response response;
	qs_http *http;
	int r;

	if (qs_http_new(qs_task_group(self), NULL, &http) < 0)
		return -EIO;
	r = qs_http_perform(self, http, &request, QS_FOREVER, &response);
	*(int *)arg = r;
	qs_http_response_done(&response);
	qs_http_free(http);
	return 0;
}

int main(void)
{
	qs_runtime *runtime;
	int result = 0;

	if (qs_runtime_new(&runtime) < 0 || qs_spawn_fiber(qs_root(runtime), NULL, call, &result, NULL) < 0)
		return 1;
	if (qs_run(runtime) != 0)
		return 1;
	qs_runtime_free(runtime);
	puts(result == -ECONNREFUSED ? "refused" : "wrong");
	return 0;
}
END
# shellcheck disable=SC2046 # words
"${CC:-cc}" "$root/caller.c" -o "$root/caller" $(pkg-config --cflags --libs quiesce-http) \
	-Wl,-rpath-link,"$libraries" || fail 'a program that makes requests does not build'
[ "$(LD_LIBRARY_PATH=$libraries "$root/caller")" = refused ] || fail 'a program that makes requests does not run'

# And by CMake, which the package tells what to link.
mkdir "$root/cmake"
cat >"$root/cmake/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(quiesce 0.1 REQUIRED COMPONENTS http)
add_executable(user ../user.c)
target_link_libraries(user quiesce::quiesce)
add_executable(user-static ../user.c)
target_link_libraries(user-static quiesce::static)
add_executable(caller ../caller.c)
target_link_libraries(caller quiesce::http)
add_executable(caller-static ../caller.c)
target_link_libraries(caller-static quiesce::http-static)
END
package=$(dirname "$(find "$root" -name quiesceConfig.cmake)")
cmake -S "$root/cmake" -B "$root/cmake/build" -Dquiesce_DIR="$package" >"$root/log" 2>&1 &&
	cmake --build "$root/cmake/build" >>"$root/log" 2>&1 || {
	cat "$root/log"
	fail 'a program does not build by CMake'
}
for program in user user-static; do
	[ "$("$root/cmake/build/$program")" = stopped ] || fail "CMake: the program $program does not run"
done

for program in caller caller-static; do
	[ "$(LD_LIBRARY_PATH=$libraries "$root/cmake/build/$program")" = refused ] ||
		fail "CMake: the program $program does not run"
done

exported=$(nm -D --defined-only "$libraries/libquiesce.so" "$libraries/libquiesce-http.so" |
	awk 'NF == 3 { print $3 }' | grep -v '^qs_')
[ -z "$exported" ] || fail "the library exports names that are not qs_*: $exported"
echo 'The installation is complete.'
