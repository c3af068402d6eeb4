#!/usr/bin/env bash
# Runs every bench once, so that none of them goes stale: each checks what it measures before it measures it. Nothing is timed.
set -euo pipefail
cd "$(dirname "$0")/.."

# As instructions.sh builds them, which then finds them built.
export CARGO_INCREMENTAL=0
subjects=()
for bench in benches/*.rs; do
  subjects+=(--bench "$(basename "$bench" .rs)")
done
cargo bench --locked "${subjects[@]}" -- --test
