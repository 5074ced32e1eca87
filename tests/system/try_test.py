#!/usr/bin/env python3
"""packaging/try on a terminal of its own: Ctrl+C arrives once, the report is shown, nothing is left."""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ["QUIESCE_SOURCE"]
BUILD = os.environ["QUIESCE_BUILD"]
PATIENCE = 60.0

# Stands for the daemon: counts what arrives, and ends when it is sure that no more comes.
COUNTER = """#!/usr/bin/env python3
import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
print("counting", flush=True)
came = []
def wait(seconds):
    info = signal.sigtimedwait({signal.SIGINT, signal.SIGTERM}, seconds)
    if info:
        came.append(signal.Signals(info.si_signo).name)
        print("one came", flush=True)
    return info
wait(60)
while wait(0.5):
    pass
print("came:", *came, flush=True)
sys.exit(150)
"""


class Terminal:
    """A program as the foreground process group of a terminal."""

    def __init__(self, arguments, environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(arguments[0], arguments, {**os.environ, **environment})
        self.output = ""

    def read_until(self, text, start=0):
        """Reads on until the text has come, after `start`; None: until the end."""
        end = time.monotonic() + PATIENCE
        while text is None or text not in self.output[start:]:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"{text!r} did not come:\n{self.output}")
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # EIO: nobody has the terminal open any more
                data = b""
            if not data:
                if text is None:
                    return
                raise AssertionError(f"ended before {text!r} came:\n{self.output}")
            self.output += data.decode(errors="replace").replace("\r\n", "\n")

    def press_ctrl_c(self):
        os.write(self.fd, b"\x03")

    def status(self):
        self.read_until(None)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class TryTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.temporary = os.path.join(self.scratch.name, "tmp")
        os.mkdir(self.temporary)

    def run_try(self, *arguments, build):
        return Terminal([os.path.join(SOURCE, "packaging/try"), *arguments],
                        {"QUIESCE_BUILD": build, "TMPDIR": self.temporary})

    def counting_build(self):
        path = os.path.join(self.scratch.name, "bin")
        os.mkdir(path)
        with open(os.path.join(path, "quiesced"), "w", encoding="ascii") as file:
            file.write(COUNTER)
        os.chmod(file.name, 0o755)
        return self.scratch.name

    def test_ctrl_c_arrives_exactly_once(self):
        terminal = self.run_try(build=self.counting_build())
        terminal.read_until("counting\n")
        terminal.press_ctrl_c()
        self.assertEqual(terminal.status(), 150, terminal.output)
        self.assertIn("came: SIGINT\n", terminal.output)
        self.assertIn("Exit status 150", terminal.output)

    def test_a_second_ctrl_c_arrives_as_well(self):
        terminal = self.run_try(build=self.counting_build())
        terminal.read_until("counting\n")
        terminal.press_ctrl_c()
        terminal.read_until("one came")
        terminal.press_ctrl_c()
        terminal.status()
        self.assertIn("came: SIGINT SIGINT\n", terminal.output)

    def test_sigterm_to_the_wrapper_is_passed_on_once(self):
        terminal = self.run_try(build=self.counting_build())
        terminal.read_until("counting\n")
        os.kill(terminal.pid, signal.SIGTERM)
        self.assertEqual(terminal.status(), 150, terminal.output)
        self.assertIn("came: SIGTERM\n", terminal.output)

    def test_the_examples_end_in_every_way_there_is(self):
        terminal = self.run_try(build=BUILD)
        # Each of them has shown that it is up.
        for text in ("all is set up", "a batch begins", "ready, and a heartbeat", "I will not stop",
                     "the grandchild is here", "tick 2", "something is null here"):
            terminal.read_until(text)
        # A run of it is under way when the stop comes.
        terminal.read_until("a batch begins", start=len(terminal.output))
        directory = terminal.output.split("The socket is ")[1].split("/control.sock")[0]
        terminal.press_ctrl_c()
        self.assertEqual(terminal.status(), 150, terminal.output)
        self.assertEqual(terminal.output.count("the stop event is set"), 3, terminal.output)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.output)
        _, shown, report = plain.rpartition("\nVERDICT ")
        self.assertTrue(shown, terminal.output)
        for verdict in ("finished", "failed", "stopped", "cancelled", "killed"):
            self.assertIn(verdict, report)
        self.assertIn("something had to be cancelled or killed", terminal.output)
        self.assertFalse(os.path.exists(directory))
        left = subprocess.run(["pgrep", "-f", self.temporary], capture_output=True, check=False)
        self.assertEqual(left.stdout, b"")

    def test_it_stops_by_itself_when_told_so(self):
        terminal = self.run_try("--for", "1", build=BUILD)
        self.assertEqual(terminal.status(), 150, terminal.output)
        self.assertEqual(os.listdir(self.temporary), [])


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
