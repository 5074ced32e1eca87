#!/bin/sh
# Ends when asked, but not well: it says so by its exit status.
trap 'echo "could not save my work"; exit 3' TERM
while :; do
	sleep 1 &
	wait $!
done
