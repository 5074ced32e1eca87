# Whoever does not end by the deadline is named in `systemctl status`, then killed; TimeoutStopSec=
# is carried along. 150 counts as success.
. /test/inside.sh

configure <<'END'
shutdown: { deadline: 3s, cancel_grace: 200ms, kill_grace: 1s }
workers:
  stubborn: { exec: [/bin/sh, -c, 'trap "" TERM; while :; do sleep 1; done'] }
END
override <<'END'
[Service]
TimeoutStopSec=1
END
ok 'it starts' systemctl start "$unit"
systemctl stop --no-block "$unit"
ok 'systemctl status names the straggler' within 3 sh -c "systemctl show -P StatusText $unit | grep stubborn"
ok 'the unit stops' within 10 property_is ActiveState inactive
ok 'it was no timeout, and 150 is a success' ended_as 'success exited 150'
ok 'nothing lives' nothing_lives
ok 'the report says killed' has "$(cat /var/lib/quiesced/last-shutdown.json)" '"killed": ?1'
