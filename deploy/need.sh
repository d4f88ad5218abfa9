#!/usr/bin/env bash
# Makes sure that what a build or a test needs is on this machine, and installs
# what is missing: need.sh go compiler curl debootstrap
set -euo pipefail
# shellcheck source=deploy/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for what in "$@"; do
  case $what in
    go) need_go ;;
    compiler) need_compiler ;;
    curl) need_curl ;;
    debootstrap) need debootstrap debootstrap ;;
    node) need_node ;;
    chromium) need chromium chromium ;;
    ssh) need sftp openssh-client ;;
    sshd) need_sshd ;;
    nginx) need_nginx ;;
    glewlwyd) need_glewlwyd ;;
    registry) need_registry ;;
    network)
      need ip iproute2
      need nsenter util-linux
      need nft nftables
      need iptables iptables
      need mkfs.ext4 e2fsprogs
      ;;
    filesystems)
      need mkfs.ext4 e2fsprogs
      need mkfs.xfs xfsprogs
      ;;
    dockerd) need dockerd docker.io ;;
    *) die "nobody here knows what $what is" ;;
  esac
done
