# The daemon is killed: nothing survives it, systemd starts it again, and the new one tells of it.
. /test/inside.sh

configure <<'END'
shutdown: { deadline: 200ms, cancel_grace: 100ms }
workers:
  plain: { exec: [sleep, '3000'] }
  tree: { exec: [/bin/sh, -c, '(setsid sh -c "trap \"\" TERM HUP; exec sleep 3000" &); trap "" TERM; while :; do sleep 3000; done'] }
END
override <<'END'
[Service]
RestartSec=0
END
ok 'it starts' systemctl start "$unit"
ok 'all run' within 5 sh -c 'test "$(pgrep -u quiesced -f "sleep 3000" | wc -l)" -ge 3'
old=$(processes | sort -u)
kill -s KILL "$(property MainPID)"
ok 'it is restarted' within 10 property_is NRestarts 1
ok 'it is up again' within 10 property_is ActiveState active
nobody_of_before() {
	for pid in $old; do
		! kill -0 "$pid" 2>/dev/null || return 1
	done
}
ok 'nobody of before lives' nobody_of_before
ok 'the new run tells of the old' has "$(cat /var/lib/quiesced/last-shutdown.json)" '"unclean": ?true'
