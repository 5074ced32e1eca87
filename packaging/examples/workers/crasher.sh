#!/bin/sh
# Works for a while and then crashes.
trap 'exit 0' TERM
echo 'up again'
sleep 2 &
wait $!
echo 'something is null here'
kill -s SEGV $$
