#!/usr/bin/env python3
"""Speaks systemd's notify protocol: ready when it is, a status, and a heartbeat.

Any service that runs under systemd with Type=notify and WatchdogSec= works here unchanged.
"""
import os
import signal
import socket
import sys
import time


def notify(text):
    """Sends one datagram; a leading @ stands for the NUL of an abstract address."""
    address = os.environ["NOTIFY_SOCKET"]
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), address)


def stop(_signal, _frame):
    notify("STOPPING=1")
    print("going down", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
beat = int(os.environ.get("WATCHDOG_USEC", "2000000")) / 2 / 1e6
time.sleep(0.5)  # what takes so long to be ready
notify("READY=1\nSTATUS=0 requests served")
print(f"ready, and a heartbeat every {beat:g} s from now on", flush=True)
served = 0
while True:
    time.sleep(beat)
    served += 17
    notify(f"WATCHDOG=1\nSTATUS={served} requests served")
