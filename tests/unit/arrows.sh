#!/bin/sh
# Checks the architecture: who may include whom, which file alone may use which library, that every
# public header stands on its own in C and C++, and what the top level holds.
#
#	arrows.sh [SOURCE-DIRECTORY]
set -u

cd "${1:-${QUIESCE_SOURCE:?names the source directory}}" || exit 1
found=$(mktemp) || exit 1
trap 'rm -f "$found"' EXIT

# One row a line, lowest first: a module includes its own row and those above it.
rows='macro alloc list heap clock utf8 eventfd fd post_queue fault trace fiber_context stack_pool
loop bell stop words verdict shutdown_fsm supervise json_writer notify_message
ledger ground task group
step fiber thread process health
mailbox semaphore event join supervisor
coordinator guard report
http retry cache rate gate sse notify
runtime inspect module
sim
quiesce'

# "FILE LINE HEADER DELIMITER" for each include of one of lib's own modules.
lib_includes() {
	grep -Hn '^[[:space:]]*#[[:space:]]*include' lib/*.c lib/*.h include/quiesce/*.h |
		sed -n 's,^\([^:]*\):\([0-9]*\):[^<"]*\(["<]\)\(.*\)[">].*,\1 \2 \4 \3,p'
}

# A file process_spawn.c belongs to the module process: the longest known name that begins it counts.
lib_includes | awk -v rows="$rows" '
	BEGIN {
		count = split(rows, line, "\n")
		for (i = 1; i <= count; i++) {
			n = split(line[i], name, " ")
			for (j = 1; j <= n; j++)
				row[name[j]] = i
		}
	}
	function module(path, base) {
		base = path
		sub(".*/", "", base)
		sub("[.][ch]$", "", base)
		while (base != "" && !(base in row))
			if (!sub("_[^_]*$", "", base))
				base = ""
		return base
	}
	{
		where = $1 ":" $2 ": "
		if ($3 ~ "^daemon/" || $3 ~ "^(config|daemon|worker|fleet|log|state|events|control)[.]h$")
			print where "lib includes nothing of daemon/: " $3
		if ($4 == "\"" && $3 !~ "^lib/")
			print where "quoted includes of lib begin with lib/: " $3
		if ($1 !~ "^include/" && !module($1)) {
			if (!told[$1]++)
				print where "no row for this file: arrows.sh names every module"
			next
		}
		if ($3 == "quiesce/export.h" || $3 !~ "^(lib|quiesce)/")
			next
		if (!module($3))
			print where "no row for " $3 ": arrows.sh names every module"
		else if (row[module($3)] > row[module($1)])
			print where "an arrow goes up: " module($1) " includes " module($3)
		if ($1 ~ "^include/" && $3 ~ "^lib/")
			print where "a public header includes a private one: " $3
	}
' >>"$found"

# only PATTERN HEADERS WHERE…: outside of files that match the pattern no such header in WHERE.
only() {
	pattern=$1
	headers=$2
	shift 2
	# shellcheck disable=SC2068 # words
	grep -rHnE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$headers" $@ |
		grep -vE "^$pattern:" | sed "s|\$|   (only $pattern may)|" >>"$found"
}
only 'lib/loop[.]c' '(event2/|event[.]h)' lib include
only 'daemon/control_http[.]h' '(event2/|event[.]h|evhttp[.]h)' daemon
only 'lib/http_curl_internal[.]h' 'curl/' lib include daemon
only 'lib/notify[.]c' 'systemd/' lib include daemon

# Only clock.c asks the kernel for the time.
grep -rHnE --include='*.[ch]' '\b(clock_gettime|gettimeofday|time)[[:space:]]*\((CLOCK_|&|NULL|0\))' lib daemon include |
	grep -v '^lib/clock[.]c:' | sed 's/$/   (only lib\/clock.c may)/' >>"$found"

# stands_alone COMPILER LANGUAGE HEADER
stands_alone() {
	printf '#include <quiesce/%s>\n' "$3" |
		"$1" -x "$2" -fsyntax-only -Wall -Wextra -Werror -Iinclude - 2>&1 ||
		echo "include/quiesce/$3 does not compile alone as $2"
}
for header in include/quiesce/*.h; do
	stands_alone "${CC:-cc}" c "${header##*/}"
	stands_alone "${CXX:-c++}" c++ "${header##*/}"
done >>"$found"

# Build directories of the presets and of people are not part of the tree.
list() {
	git ls-files 2>/dev/null | grep . || find . -mindepth 1 -not -path './build*' | sed 's,^./,,'
}
list | cut -d/ -f1 | sort -u |
	grep -vxE '\..*|CMakeLists\.txt|CMakePresets\.json|README\.md|daemon|include|lib|packaging|systemd|tests|build' |
	sed 's/$/ is not on the top level of the design/' >>"$found"

[ ! -s "$found" ] || {
	cat "$found"
	exit 1
}
echo 'Every arrow goes down.'
