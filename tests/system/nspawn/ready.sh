# The unit is active only after the daemon says READY=1, and that only when its workers are ready.
. /test/inside.sh

configure <<'END'
workers:
  slow:
    exec: [/bin/sh, -c, 'until [ -e /run/gate ]; do sleep 0.02; done; systemd-notify --ready; exec sleep infinity']
    ready: { notify: true, timeout: 30s }
END
systemctl start --no-block "$unit"
ok 'the worker starts' within 10 pgrep -u quiesced -f run/gate
ok 'the socket answers before' within 10 get /livez
ok 'the unit is activating meanwhile' property_is ActiveState activating
ok 'and /readyz is 503' has "$(get '/readyz?verbose')" '^\[-\]'
touch /run/gate
ok 'the unit becomes active' within 10 property_is ActiveState active
ok '/readyz has turned' within 5 sh -c "curl -sf --unix-socket $socket http://localhost/readyz"
ok 'quiescectl health agrees' quiescectl health
ok 'the main process is known' property_is MainPID "$(pgrep -u quiesced -x quiesced)"
