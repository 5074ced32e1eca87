# With quiesced.socket, a request starts the daemon, which answers on the socket that systemd passed;
# the path outlives the daemon.
. /test/inside.sh

configure <<'END'
workers: { sleeper: { exec: [sleep, infinity] } }
END
systemctl start quiesced.socket
ok 'the daemon does not run yet' property_is ActiveState inactive
ok 'a request is answered' has "$(get /v1/status)" '"sleeper"'
ok 'by the service' property_is ActiveState active
ok 'the mode is 0660, the group quiesced' is "$(stat -c '%a %G' $socket)" '660 quiesced'
ok 'it stops' systemctl stop "$unit"
ok 'the path is still there' test -S $socket
ok 'the next request starts it again' has "$(get /v1/status)" '"sleeper"'
ok 'nobody else may ask' no setpriv --reuid=nobody --clear-groups \
	curl -s --max-time 5 --unix-socket $socket http://localhost/livez
