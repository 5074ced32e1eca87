# A daemon whose loop is stuck (here: stopped altogether) pings no watchdog: systemd ends and
# restarts it, and nothing of the first run survives.
. /test/inside.sh

configure <<'END'
workers:
  sleeper: { exec: [sleep, infinity] }
END
override <<'END'
[Service]
WatchdogSec=1
TimeoutAbortSec=1
RestartSec=0
END
ok 'it starts' systemctl start "$unit"
ok 'the worker runs' within 5 pgrep -u quiesced -x sleep
first=$(property MainPID)
sleeper=$(worker_pid sleeper)
kill -s STOP "$first"
ok 'it is restarted' within 15 property_is NRestarts 1
ok 'it is up again' within 10 property_is ActiveState active
ok 'in a new process' no property_is MainPID "$first"
ok 'the old worker is gone' test ! -e "/proc/$sleeper"
ok 'a new one runs' within 5 worker_pid sleeper
ok 'it was the watchdog' has "$(journalctl -u "$unit" -o cat)" 'Watchdog timeout'
