#!/bin/sh
# What cargo calls in rustc's place for this workspace's crates, so that they alone are instrumented. The standard library is not, so
# its inline atomics must be compiled here (share-generics), and the two kinds of crate be let together.
RUSTC_BOOTSTRAP=1 exec "$@" -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer -Zshare-generics=no -Copt-level=3
