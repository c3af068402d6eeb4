#!/usr/bin/env bash
# Runs the unit tests under AddressSanitizer, and those of the lock-free index under ThreadSanitizer, with the installed stable
# toolchain. Only this workspace's crates are instrumented, so that the dependencies are the ones the other tests were built with: all
# unsafe code of ours, and what is inlined into it, is watched; a fault inside a dependency is not.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
case $target in
  x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
  *)
    echo "skipped: the sanitizers' runtimes are not known to come with the toolchain for $target"
    exit 0
    ;;
esac

echo "== unit tests under AddressSanitizer"
RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/sanitize/address.sh" cargo test --locked --lib

echo "== the index under ThreadSanitizer"
# What is not instrumented is told apart by name, and names are asked of one of these.
if command -v llvm-symbolizer >/dev/null || command -v addr2line >/dev/null; then
  TSAN_OPTIONS="suppressions=$PWD/scripts/sanitize/thread.suppressions" \
    RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/sanitize/thread.sh" cargo test --locked --lib -- index::
else
  echo "skipped: neither llvm-symbolizer nor addr2line (binutils) is installed"
fi
