#!/bin/bash
# What images for eggs do: the start command is a shell's line in STARTUP, whose
# names are read from the environment.
cd /home/container || exit 1
line=$(printf '%s' "$STARTUP" | sed -e 's/{{/${/g' -e 's/}}/}/g')
printf 'container: %s\n' "$line"
eval "exec $line"
