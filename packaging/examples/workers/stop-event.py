#!/usr/bin/env python3
"""Polls the shared stop event between two pieces of work.

QUIESCE_STOP_FD is a pipe: it brings one line once the event is set, and then its end.
"""
import os
import select
import signal

STOP_FD = int(os.environ["QUIESCE_STOP_FD"])


def stopping(seconds=0.0):
    """Whether the event is set, now or within so many seconds."""
    return bool(select.select([STOP_FD], [], [], seconds)[0])


signal.signal(signal.SIGTERM, signal.SIG_IGN)  # comes as well; this worker goes by the event
while not stopping(1.0):
    print("doing a piece of work", flush=True)
line = os.read(STOP_FD, 4096).decode().strip()
print("the stop event is set:", line or "the daemon is gone", flush=True)
