#!/bin/sh
# Leaves a grandchild behind that is in a session of its own, as daemons once did: no signal to the
# process group reaches it, and when its parents are gone nobody seems to own it.
(setsid sh -c 'trap "" TERM; echo "the grandchild is here"; while :; do sleep 1; done' &)
trap 'echo "the leader goes"; exit 0' TERM
while :; do
	sleep 1 &
	wait $!
done
