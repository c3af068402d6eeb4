#!/usr/bin/env bash
# Runs the tests of the rooms that hold unsafe code under AddressSanitizer, with the installed stable toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
if [ "$target" != x86_64-unknown-linux-gnu ] && [ "$target" != aarch64-unknown-linux-gnu ]; then
  echo "skipped: the sanitizer's runtime is not known to come with the toolchain for $target"
  exit 0
fi
RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/sanitize \
  cargo test --locked --target "$target" --lib -- index:: record::
