# An orderly stop: status 0, nothing left, and the report says so.
. /test/inside.sh

configure <<'END'
shutdown: { deadline: 5s }
workers:
  good: { exec: [/bin/sh, -c, 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'] }
  sleeper: { exec: [sleep, infinity] }
END
ok 'it starts' systemctl start "$unit"
ok 'both workers run' within 5 pgrep -u quiesced -x sleep
ok 'it stops' systemctl stop "$unit"
ok 'the result is success, the exit status 0' ended_as 'success exited 0'
ok 'nothing lives' nothing_lives
ok 'the cgroup is gone' test ! -e "$cgroup"
report=/var/lib/quiesced/last-shutdown.json
ok 'both were stopped' has "$(cat $report)" '"stopped": ?2'
ok 'the report is read without the daemon' has "$(quiescectl last-shutdown --file $report 2>&1)" stopped
