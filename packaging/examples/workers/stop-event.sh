#!/bin/sh
# Polls the shared stop event. QUIESCE_STOP_FD is a pipe: it brings one line once the event is set,
# and then its end. (Its end without a line means that the daemon is gone.)
: "${QUIESCE_STOP_FD:?is set by quiesced}"

trap : TERM # comes as well; this worker goes by the event
while :; do
	# The wait for the line is the pause between two pieces of work, too: stop ends it at once.
	if line=$(timeout 1 head -n 1 <&"$QUIESCE_STOP_FD"); then
		echo "the stop event is set: ${line:-the daemon is gone}"
		exit 0
	fi
	echo 'doing a piece of work'
done
