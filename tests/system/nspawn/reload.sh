# `systemctl reload` is a transaction: what has not changed is not touched, and a bad file changes
# nothing at all and is told.
. /test/inside.sh

configure <<'END'
workers:
  kept: { exec: [sleep, infinity] }
  leaving: { exec: [sleep, '1000'] }
END
ok 'it starts' systemctl start "$unit"
kept=$(worker_pid kept)
configure <<'END'
workers:
  kept: { exec: [sleep, infinity] }
  coming: { exec: [sleep, '2000'] }
END
ok 'it reloads' systemctl reload "$unit"
ok 'the new worker runs' within 5 pgrep -u quiesced -f 'sleep 2000'
ok 'the removed one is gone' within 5 no pgrep -u quiesced -f 'sleep 1000'
ok 'the unchanged one was not touched' is "$(worker_pid kept)" "$kept"
configure <<'END'
workers:
  kept: { exce: [sleep, infinity] }
END
ok 'a bad file makes the reload fail' no systemctl reload "$unit"
ok 'and says where' within 5 sh -c "journalctl -u $unit -o cat | grep 'quiesced.yaml:2:.*exce'"
ok 'the service is still active' property_is ActiveState active
ok 'its workers were not touched' is "$(worker_pid kept)" "$kept"
