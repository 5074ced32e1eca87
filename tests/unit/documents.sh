#!/bin/sh
# Everything that a user can see is documented: each key of the configuration in quiesced.yaml(5),
# each option of the programs in their pages and in --help, each exit status in quiesced(8) and the
# README, each public header in libquiesce(3) and each of its names in the header's page. And the
# example configurations are good ones.
set -u

cd "${1:-${QUIESCE_SOURCE:?names the source directory}}" || exit 1
bin=${QUIESCE_BUILD:?names the build directory}/bin
found=$(mktemp) || exit 1
trap 'rm -f "$found" "$found.words"' EXIT

# A page as plain words: no fonts, no escaped minus.
page() {
	sed 's/\\f[BIRP]//g; s/\\-/-/g; s/\\&//g' "packaging/man/$1"
}

# documented PAGE WORD: as a word of its own
documented() {
	page "$1" | grep -qE -- "(^|[^a-z_.-])$(printf '%s' "$2" | sed 's/[.]/[.]/g')([^a-z_-]|\$)" ||
		echo "$2 is not in $1"
}

"$bin/quiesced" --reference | grep -v '^[[:space:]]' | while read -r key; do
	documented quiesced.yaml.5 "$key"
done >"$found"
for program in quiesced:quiesced.8 quiesced-host:quiesced-host.8 quiescectl:quiescectl.1; do
	"$bin/${program%:*}" --help | grep -oE -- '--[a-z][a-z-]*' | sort -u | while read -r option; do
		documented "${program#*:}" "$option"
	done
done >>"$found"
for status in 0 1 2 4 6 150 151; do
	page quiesced.8 | grep -qE "^\\.B $status\$" || echo "exit status $status is not in quiesced.8"
	grep -qE "^\\| $status +\\|" README.md || echo "exit status $status is not in README.md"
done >>"$found"
# Functions, structures, constants: whatever a program can name.
names_in() {
	grep -v '^[[:space:]/]*[*]' "$1" | grep -oE '\b(qs_[a-z0-9_]+|QS_[A-Z0-9_]+)\b' | sort -u |
		grep -vxE 'QS_(EXPORT|MUST_CHECK|BEGIN_DECLS|END_DECLS)'
}
for header in include/quiesce/*.h; do
	name=$(basename "$header" .h)
	case $name in
	export | quiesce) continue ;;
	esac
	page libquiesce.3 | grep -qw "quiesce_$name" || echo "quiesce_$name is not in libquiesce.3"
	made=$QUIESCE_BUILD/packaging/man/quiesce_$name.3
	tr -cs 'A-Za-z0-9_' '\n' <"$made" | sort -u >"$found.words"
	names_in "$header" | grep -vxFf "$found.words" | sed "s/\$/ is not in quiesce_$name.3/"
	sed -n '/^\.SH NAME/,/^\.SH SYNOPSIS/p' "$made" | tr -cs 'A-Za-z0-9_' '\n' >"$found.words"
	grep -h '^QS_EXPORT' "$header" | grep -oE 'qs_[a-z0-9_]+\(' | tr -d '(' | grep -vxFf "$found.words" |
		sed "s/\$/ is not among the names of quiesce_$name.3/"
done >>"$found" 2>&1
secrets=$(mktemp -d) || exit 1
echo secret >"$secrets/images"
for example in quiesced http; do
	CREDENTIALS_DIRECTORY=$secrets "$bin/quiesced" --check-config --config "packaging/examples/$example.yaml" \
		>"$found.words" 2>&1 || echo "packaging/examples/$example.yaml is wrong"
	grep -F "$example.yaml:" "$found.words"
done >>"$found"
rm -r "$secrets"

[ ! -s "$found" ] || {
	cat "$found"
	exit 1
}
echo 'All of it is documented.'
