#!/bin/sh
# Has something to do once, before others start.
echo 'setting up'
sleep 0.3
echo 'all is set up'
