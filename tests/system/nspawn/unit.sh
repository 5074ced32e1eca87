# The unit files are sound, closed far enough, and the socket is not enabled by installing.
. /test/inside.sh

ok 'systemd finds no fault in the units' systemd-analyze verify --man=no "$unit" quiesced.socket
ok 'the exposure is 2.0 or less' systemd-analyze security --no-pager --offline=true --threshold=20 \
	/usr/local/lib/systemd/system/quiesced.service
ok 'the relaxing drop-in is sound' sh -c '
	mkdir -p /etc/systemd/system/quiesced.service.d &&
	cp /usr/local/share/doc/quiesced/systemd/relaxed.conf /etc/systemd/system/quiesced.service.d/ &&
	systemd-analyze verify --man=no quiesced.service'
ok 'the user was made' id quiesced
ok 'the socket ships disabled' is "$(systemctl is-enabled quiesced.socket)" disabled
