#!/bin/sh
echo "the first boot of ${HOSTNAME:-this machine} was at $(date)" > /etc/motd
