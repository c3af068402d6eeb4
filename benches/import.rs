//! A registration file examined, and examined and applied, in process and on a disk: parsing, gates, frames, syncs, index.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use common::{NOW_UNIX_MS, criterion, directory, open, population};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use shikaku::ingest::register::LocalRegister;
use shikaku::ingest::{Ending, ImportOptions, ImportReport, ParseOptions, import};
use shikaku::population::synth;
use shikaku::registry::Registry;
use tempfile::TempDir;

const RECIPIENTS: u64 = 2_000;

/// A registry that is empty, in a directory of its own.
struct Empty {
    registry: Registry,
    _directory: TempDir,
}

impl Empty {
    fn new() -> Empty {
        let directory = directory();
        Empty { registry: open(directory.path()), _directory: directory }
    }

    fn import(&self, file: &Path, dry_run: bool) -> ImportReport {
        let options = ImportOptions {
            parse: ParseOptions::default(),
            rejects: None,
            dry_run,
            accept: false,
            accepted_by: None,
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        let register = LocalRegister::new(&self.registry, || NOW_UNIX_MS);
        import(file, &options, &register, &mut |_| {}).unwrap()
    }
}

fn importing(criterion: &mut Criterion) {
    let home = directory();
    let file = synthetic_file(home.path());
    let empty = Empty::new();
    let examined = empty.import(&file, true);
    assert_eq!((examined.ending, examined.examination.rejects), (Ending::DryRun, 0));
    let applied = empty.import(&file, false);
    let (rows, counts) = (applied.examination.rows, applied.counts);
    assert_eq!((applied.ending, applied.rejects.rows), (Ending::Applied, 0));
    assert!(rows > RECIPIENTS && counts.registered + counts.history_only == rows, "{counts:?}");
    drop(empty);
    let mut group = criterion.benchmark_group("import");
    group.throughput(Throughput::Elements(rows));
    let empty = Empty::new();
    group.bench_function("examine", |bencher| bencher.iter(|| empty.import(&file, true).examination.rows));
    group.bench_function("examine and apply", |bencher| {
        let apply = |empty: Empty| (empty.import(&file, false), empty);
        bencher.iter_batched(Empty::new, apply, BatchSize::PerIteration);
    });
    group.finish();
}

fn synthetic_file(directory: &Path) -> PathBuf {
    let path = directory.join("people.csv");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    synth::write_registrations(&population(RECIPIENTS), &mut out, synth::Encoding::Utf8, &mut |_| {}).unwrap();
    path
}

criterion_group!(name = benches; config = criterion(); targets = importing);
criterion_main!(benches);
