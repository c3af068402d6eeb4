#!/usr/bin/env bash
# Attacks every door with coverage-guided input: `scripts/fuzz.sh [SECONDS_PER_TARGET] [TARGET…]`. Without arguments a smoke of 60 s over
# all targets. What is found lies in fuzz/artifacts/, and the script fails. The installed stable toolchain does: libFuzzer comes as a
# crate, and the instrumentation is asked of the compiler directly.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
case $target in
  x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
  *)
    echo "skipped: the sanitizer's runtime is not known to come with the toolchain for $target"
    exit 0
    ;;
esac
if ! command -v c++ >/dev/null; then
  echo "skipped: libFuzzer is built with a C++ compiler, and none is installed"
  exit 0
fi

all=(request question batch registration_file frame segment snapshot tokens configuration checkpoint message bundle)
seconds=${1:-$((60 / ${#all[@]}))}
shift || true
targets=("$@")
if [ ${#targets[@]} = 0 ]; then targets=("${all[@]}"); fi

# What `cargo fuzz` passes: edges counted, comparisons traced, memory watched; assertions and overflow checks stand in the manifest.
flags=(
  -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares
  -Zsanitizer=address
)
RUSTC_BOOTSTRAP=1 RUSTFLAGS="${flags[*]}" \
  cargo build --manifest-path fuzz/Cargo.toml --locked --release --target "$target" --bins

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
total=0
for name in "${targets[@]}"; do
  mkdir -p "fuzz/artifacts/$name" "$scratch/corpus/$name" "$scratch/tmp"
  dictionary=()
  [ -f "fuzz/dictionaries/$name" ] && dictionary=("-dict=fuzz/dictionaries/$name")
  # New input goes into the first folder, which is thrown away; the seeds stay as they are.
  TMPDIR="$scratch/tmp" ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=0" \
    nice "fuzz/target/$target/release/$name" "$scratch/corpus/$name" "fuzz/corpus/$name" \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=16384 \
    -artifact_prefix="fuzz/artifacts/$name/" -print_final_stats=1 "${dictionary[@]}" >"$scratch/$name.log" 2>&1 || {
      tail -n 60 "$scratch/$name.log"
      echo "$name: failed; the input lies in fuzz/artifacts/$name/"
      exit 1
    }
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$name.log")
  peak=$(sed -n 's/^stat::peak_rss_mb: *//p' "$scratch/$name.log")
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$scratch/$name.log" | tail -n 1)
  total=$((total + executions))
  echo "proof: an answer or an error, never a panic, memory bounded | hostile input to $name | scripts/fuzz.sh $name | $executions executions, $edges edges, peak $peak MB"
done
echo "$total executions in all"
