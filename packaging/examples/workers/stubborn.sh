#!/bin/sh
# Ignores the stop signal, and never ends by itself.
trap '' TERM
echo 'I will not stop'
while :; do
	sleep 1
done
