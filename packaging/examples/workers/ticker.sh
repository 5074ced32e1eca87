#!/bin/sh
# Behaves well: ends at once when it is asked to.
trap 'echo "ticker: bye"; exit 0' TERM
count=0
while :; do
	count=$((count + 1))
	echo "tick $count"
	# A shell runs its trap only between commands, or during `wait`.
	sleep 1 &
	wait $!
done
