#!/bin/sh
# Ignores the stop signal, but minds the second one.
trap '' TERM
trap 'echo "oh, you mean it"; exit 0' INT
while :; do
	sleep 0.3 &
	wait $!
done
