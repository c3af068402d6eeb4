#!/bin/sh
# What cargo calls in rustc's place for this workspace's crates, so that they alone are instrumented.
RUSTC_BOOTSTRAP=1 exec "$@" -Zsanitizer=address
