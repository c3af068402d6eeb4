#!/usr/bin/env bash
# Installs what `loadtest compare` sets the appliance beside: Redis, PostgreSQL and memcached from the distribution's packages. The
# harness starts and ends its own servers; the packages' services are not wanted, and are kept from starting.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v memcached >/dev/null || missing+=(memcached)
[ -x "$(command -v postgres || ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null | tail -n 1)" ] || missing+=(postgresql)

if [ ${#missing[@]} -eq 0 ]; then
  echo "redis-server, postgres and memcached are here"
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "missing and not to be installed from here: ${missing[*]}; the comparison leaves them out"
  exit 0
fi
# RUNLEVEL=1: invoke-rc.d starts nothing in single-user mode; create_main_cluster: a data directory that nobody asked for.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
if apt-get update -q && apt-get install -qy --no-install-recommends "${missing[@]}"; then
  # Nor at the machine's next start.
  ! command -v systemctl >/dev/null || systemctl disable --quiet "${missing[@]}" || true
  echo "installed: ${missing[*]}"
else
  echo "could not be installed: ${missing[*]}; the comparison leaves them out"
fi
