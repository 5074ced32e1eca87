#!/bin/sh
# An example does what the comment on its top says: its output, line by line, and its exit status.
#
#	example.sh SOURCE PROGRAM
set -u

expected=$(mktemp) || exit 1
trap 'rm -f "$expected" "$expected.real"' EXIT

status=$(sed -n '/^ \*\//q; s/.*exits with status \([0-9]*\).*/\1/p' "$1")
sed -n '/^ \*\//q; s/^ \*\t//p' "$1" >"$expected"
[ -n "$status" ] && [ -s "$expected" ] || {
	echo "$1 does not say what it prints and exits with"
	exit 1
}
"$2" >"$expected.real"
real=$?
diff -u "$expected" "$expected.real" || exit 1
[ "$real" = "$status" ] || {
	echo "exit status $real, not $status"
	exit 1
}
