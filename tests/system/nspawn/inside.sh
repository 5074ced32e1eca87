# What the test scripts share. Sourced inside the container, where systemd is the first process.
# shellcheck shell=sh

unit=quiesced.service
socket=/run/quiesced/control.sock
cgroup=/sys/fs/cgroup/system.slice/quiesced.service

# systemd forgets an unused unit soon after it has stopped, so each end is written down.
mkdir -p "/etc/systemd/system/$unit.d"
cat >"/etc/systemd/system/$unit.d/record.conf" <<'END'
[Service]
ExecStopPost=/bin/sh -c 'echo "$SERVICE_RESULT $EXIT_CODE $EXIT_STATUS" >/run/quiesced/ended'
END
systemctl daemon-reload

# How the service ended last: RESULT, exited or killed, the status or signal.
ended_as() {
	is "$(cat /run/quiesced/ended)" "$1"
}

# ok TEXT COMMAND…: a claim and the command that proves it.
ok() {
	text=$1
	shift
	if output=$("$@" 2>&1); then
		echo "ok: $text"
	else
		echo "not ok: $text"
		echo "    $*"
		echo "$output" | sed 's/^/    /'
	fi
}

# is A B: whether they are the same.
is() {
	[ "$1" = "$2" ] || {
		echo "is '$1', should be '$2'"
		return 1
	}
}

# has TEXT PATTERN
has() {
	printf '%s\n' "$1" | grep -Eq -- "$2" || {
		echo "no /$2/ in: $1"
		return 1
	}
}

no() {
	! "$@"
}

# within SECONDS COMMAND…: waits until it succeeds, and says by its status whether it ever did.
within() {
	until_time=$(($(date +%s%N) + $1 * 1000000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%N)" -lt "$until_time" ] || {
			"$@"
			return
		}
		sleep 0.02
	done
}

property() {
	systemctl show -P "$1" "$unit"
}

# property_is NAME VALUE
property_is() {
	is "$(property "$1")" "$2"
}

# Every process of the service, its workers included: one pid a line.
processes() {
	find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null
	pgrep -u quiesced
}

nothing_lives() {
	is "$(processes | sort -u)" ''
}

get() {
	curl --silent --show-error --max-time 10 --unix-socket "$socket" "http://localhost$1"
}

# The pid of a worker, from its status.
worker_pid() {
	get "/v1/workers/$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'
}

# Configuration comes on standard input.
configure() {
	cat >/etc/quiesced/quiesced.yaml
}

# Settings of the unit for this test, on standard input.
override() {
	mkdir -p "/etc/systemd/system/$unit.d"
	cat >"/etc/systemd/system/$unit.d/test.conf"
	systemctl daemon-reload
}

the_end() {
	systemctl stop quiesced.socket "$unit" 2>/dev/null
	journalctl --sync
	journalctl --no-pager -o short-precise >/results/journal 2>&1
	echo 'the end'
}
trap the_end EXIT
