# What happens is in the journal with its fields, and the catalog explains it.
. /test/inside.sh

configure <<'END'
shutdown: { deadline: 500ms, cancel_grace: 200ms }
workers:
  talker: { exec: [/bin/sh, -c, 'echo "a line of mine"; exec sleep infinity'] }
  stubborn: { exec: [/bin/sh, -c, 'trap "" TERM; while :; do sleep 1; done'] }
END
ok 'it starts' systemctl start "$unit"
ok 'a worker’s line carries its name' within 5 sh -c \
	"journalctl -o cat --output-fields=MESSAGE QUIESCED_WORKER=talker | grep -Ex '(talker: )?a line of mine'"
ok 'it stops' systemctl stop "$unit"
journalctl --sync
# ids MATCH…: the message ids of what matches
ids() {
	journalctl -o json "$@" | python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line).get("MESSAGE_ID"))'
}
ok 'a verdict is a field' has "$(ids QUIESCED_VERDICT=killed)" '^[0-9a-f]{32}$'
ok 'a worker’s line tells its task' has \
	"$(journalctl -o json QUIESCED_WORKER=talker | grep 'a line of mine')" '"QUIESCED_TASK" *: *"[0-9]+"'
ok 'so is the task' has "$(journalctl -o json QUIESCED_VERDICT=killed)" '"QUIESCED_TASK" *: *"[0-9]+"'
ok 'so is the phase' has "$(ids QUIESCED_PHASE=stopping)" '^[0-9a-f]{32}$'
ok 'the daemon’s lines belong to its unit' has \
	"$(journalctl -o json QUIESCED_VERDICT=killed)" '"_SYSTEMD_UNIT" *: *"quiesced.service"'
journalctl --update-catalog
ok 'the catalog knows every kind of event there was' sh -c '
	for id in $(journalctl -o json QUIESCED_WORKER=stubborn + QUIESCED_PHASE=stopping |
		sed -n "s/.*\"MESSAGE_ID\" *: *\"\([0-9a-f]*\)\".*/\1/p" | sort -u); do
		journalctl --dump-catalog "$id" || exit 1
	done'
