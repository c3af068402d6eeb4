#!/usr/bin/env bash
# Installs the engine through which the log may travel: nats-server from the distribution's package. The tests start and end servers of
# their own; the package's service is not wanted, and is kept from starting.
set -euo pipefail

if command -v nats-server >/dev/null; then
  echo "$(nats-server --version) is here"
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "nats-server is missing and not to be installed from here; the tests that need it say so"
  exit 0
fi
# RUNLEVEL=1: invoke-rc.d starts nothing in single-user mode.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
if apt-get update -q && apt-get install -qy --no-install-recommends nats-server; then
  # Nor at the machine's next start.
  ! command -v systemctl >/dev/null || systemctl disable --quiet nats-server || true
  echo "installed: $(nats-server --version)"
else
  echo "nats-server could not be installed; the tests that need it say so"
fi
