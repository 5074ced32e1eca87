# Each worker has a cgroup of its own below the delegated one, the hardened unit's refusal of clone3
# notwithstanding, and a double-forked grandchild in a session of its own goes with its worker.
. /test/inside.sh

configure <<'END'
shutdown: { deadline: 1s, cancel_grace: 200ms }
workers:
  plain: { exec: [sleep, infinity] }
  daemoniser:
    exec: [/bin/sh, -c, '(setsid sh -c "trap \"\" TERM; exec sleep 4242" &); exec sleep infinity']
    stop: { deadline: 300ms }
END
ok 'it starts' systemctl start "$unit"
ok 'the grandchild is there' within 5 pgrep -u quiesced -f 'sleep 4242'
cgroup_of() {
	sed 's/^0:://' "/proc/$1/cgroup"
}
daemon=$(cgroup_of "$(property MainPID)")
plain=$(cgroup_of "$(worker_pid plain)")
daemoniser=$(cgroup_of "$(worker_pid daemoniser)")
ok 'the daemon is in a leaf' has "$daemon" '/quiesced.service/.'
ok 'a worker is in another cgroup' no is "$daemon" "$plain"
ok 'each in its own' no is "$daemoniser" "$plain"
ok 'all below the unit' has "$plain" '/quiesced.service/.'
ok 'the grandchild is in its worker’s' is "$(cgroup_of "$(pgrep -f 'sleep 4242')")" "$daemoniser"
ok 'the worker can be stopped alone' quiescectl stop daemoniser --wait 10s
ok 'its grandchild went with it' no pgrep -f 'sleep 4242'
ok 'the other one did not' is "$(cgroup_of "$(worker_pid plain)")" "$plain"
ok 'its cgroup is gone' test ! -e "/sys/fs/cgroup$daemoniser"
quiescectl start daemoniser
ok 'the grandchild is there again' within 5 pgrep -u quiesced -f 'sleep 4242'
ok 'the service stops' systemctl stop "$unit"
ok 'nothing lives' nothing_lives
