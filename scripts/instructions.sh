#!/usr/bin/env bash
# Counts the instructions of a look-up in process, without the socket, under callgrind, and compares them with benches/instructions.tsv.
# The same on a busy machine as on a quiet one, and, because nothing is built by halves, in a fresh clone as in an old one.
# `scripts/instructions.sh --write` writes what it counts down instead.
set -euo pipefail
cd "$(dirname "$0")/.."

tolerance_percent=5
recipients=20000

if ! command -v valgrind >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q && apt-get install -qy --no-install-recommends valgrind
  else
    echo "skipped: valgrind is missing and cannot be installed from here"
    exit 0
  fi
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bench=$(CARGO_INCREMENTAL=0 cargo bench --locked --bench lookup_cost --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
cargo build --locked --quiet
program=target/debug/shikaku
"$program" synth --recipients "$recipients" --out "$work/people.csv"
"$program" import --data "$work/data" "$work/people.csv" >/dev/null

count() { # shape form: instructions a look-up
  local said rounds=2 lookups
  said=$(valgrind --tool=callgrind --callgrind-out-file="$work/callgrind.out" --toggle-collect='*measured*' \
    "$bench" "$work/data" "$recipients" "$1" "$2" 1 2>&1)
  lookups=$(sed -n 's/.* recipients, \([0-9]*\) look-ups a round.*/\1/p' <<<"$said")
  sed -n 's/.*Collected : \([0-9]*\).*/\1/p' <<<"$said" | awk -v of="$((lookups * rounds))" '{ printf "%d", $1 / of }'
}

written=benches/instructions.tsv
worse=0
counted=$'shape\tform\tinstructions\n'
for manner in "single compact" "single json" "batch compact" "batch json"; do
  read -r shape form <<<"$manner"
  now=$(count "$shape" "$form")
  counted+="$shape"$'\t'"$form"$'\t'"$now"$'\n'
  before=$(awk -F'\t' -v s="$shape" -v f="$form" '$1 == s && $2 == f { print $3 }' "$written" 2>/dev/null || true)
  echo "$shape $form: $now instructions a look-up (written down: ${before:-nothing})"
  if [ -n "$before" ] && [ "$((now * 100))" -gt "$((before * (100 + tolerance_percent)))" ]; then
    echo "  more than $tolerance_percent % worse than $written says"
    worse=1
  fi
done
if [ "${1:-}" = --write ]; then
  printf '%s' "$counted" >"$written"
  exit 0
fi
exit "$worse"
