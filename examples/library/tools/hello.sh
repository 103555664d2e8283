#!/bin/sh
# Shows that the executable bit travels too.
echo "hello from $(hostname)"
