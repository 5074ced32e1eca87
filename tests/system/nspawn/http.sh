# A poll and a called worker as a service: what is called is in the journal with its fields, and a
# stop is in time although a call is stuck in a peer that never answers.
. /test/inside.sh

# One port that answers, and one that takes connections and never says anything.
cat >/run/server.py <<'END'
import http.server, socket, threading

hole = socket.socket()
hole.bind(("127.0.0.1", 8002))
hole.listen(16)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    do_POST = do_GET

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", 8001), Handler).serve_forever()
END
configure <<'END'
shutdown: { deadline: 2s, cancel_grace: 5s }
workers:
  poll: { when: every 200ms, http: { url: 'http://127.0.0.1:8001/', save: /var/lib/quiesced/polled } }
  echo: { when: call, http: { url: 'http://127.0.0.1:8001/' } }
  hole: { when: call, http: { url: 'http://127.0.0.1:8002/', timeout: infinity } }
END
ok 'a server is there' systemd-run --quiet --unit=server python3 /run/server.py
ok 'it listens' within 10 curl --silent --fail http://127.0.0.1:8001/
ok 'it starts' systemctl start "$unit"
ok 'the poll is saved where the unit may write' within 10 sh -c \
	'[ "$(cat /var/lib/quiesced/polled)" = hello ]'
ok 'a call is answered' is "$(quiescectl call echo)" hello
ok 'one that will be stuck is taken' quiescectl call --detach hole
ok 'it is stuck' within 10 sh -c "curl --silent --unix-socket $socket http://localhost/v1/calls?worker=hole | grep waiting"
began=$(date +%s%N)
ok 'it stops' systemctl stop "$unit"
took=$((($(date +%s%N) - began) / 1000000))
ok "in time: $took ms with a deadline of 2000" [ "$took" -lt 5000 ]
ok 'it was no timeout, and 150 is a success' ended_as 'success exited 150'
ok 'nothing lives' nothing_lives
journalctl --sync
line=$(journalctl -o json QUIESCED_WORKER=echo | grep 'finished: 200')
ok 'a call’s line tells its host' has "$line" '"QUIESCED_HOST" *: *"127.0.0.1:8001"'
ok 'its status' has "$line" '"QUIESCED_STATUS" *: *"200"'
ok 'its attempts' has "$line" '"QUIESCED_ATTEMPTS" *: *"1"'
ok 'its task' has "$line" '"QUIESCED_TASK" *: *"[0-9]+"'
ok 'its verdict' has "$line" '"QUIESCED_VERDICT" *: *"finished"'
ok 'the straggler is named' has "$(journalctl -o cat QUIESCED_WORKER=hole)" \
	'cancelled: 127.0.0.1:8002: waiting, [0-9]+ s, 0 bytes'
ok 'the report names it too' has "$(cat /var/lib/quiesced/last-shutdown.json)" '127.0.0.1:8002: waiting'
systemctl stop server
