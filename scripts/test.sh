#!/usr/bin/env bash
# Passes all tests, installing what they need. On a machine that has Rust, nothing else is to be done by hand.
set -euo pipefail
cd "$(dirname "$0")/.."

# curl, because the demo's printed lines are run as pasted.
if ! command -v curl >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q && apt-get install -qy --no-install-recommends curl
  else
    echo "curl is missing and cannot be installed from here; the demo's lines are then asked by the tests themselves"
  fi
fi

# Redis, PostgreSQL and memcached, which the load tester is set beside. Its tests say so where one is missing.
scripts/peers.sh || echo "not all peers of the load tester could be installed; their tests say which they leave out"

# The engine through which the log may travel.
scripts/nats.sh

echo "== tests"
cargo test --workspace --locked --no-fail-fast

echo "== the index's publish step, every interleaving (loom)"
cargo test --locked --profile bench --features loom --lib -- loom_

scripts/sanitize.sh

echo "== every door, fuzzed"
scripts/fuzz.sh

echo "== the tests themselves: every promise broken once"
scripts/sabotage.sh

echo "== every bench, once"
scripts/benches.sh

echo "== instructions a look-up"
scripts/instructions.sh
