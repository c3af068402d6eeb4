//! P1 to P11, as far as a comparison measures them.

use super::Measured;
use super::results::{What, Who};
use crate::arguments::{Form, Shape};
use crate::peers::Language;
use crate::targets::{
    BATCH_COMPACT_CPU_NS_MAX, BATCH_NDJSON_CPU_NS_MAX, BATCH_REDIS_TIMES_MIN, Bound, DISK_TIMES_MAX, DOSSIER_TIMES_MAX,
    IMPORT_S_MAX, INDEX_DECIDED_NS_MAX, INDEX_MANY_NS_MAX, INDEX_ONE_NS_MAX, PIPELINE_COMPACT_FLOOR_RATIO_MIN,
    PIPELINE_JSON_FLOOR_RATIO_MIN, PIPELINE_REDIS_TIMES_MIN, RECIPIENT_BYTES_MORE_MAX, RESTART_S_MAX, Reading,
    SINGLE_FLOOR_RATIO_MIN, Target,
};

const ONLY_FULL: &str = "--full measures it";

/// The table, in the targets' order.
pub(super) fn targets(measured: &Measured) -> Vec<Target> {
    let mut targets = speeds(measured);
    targets.extend(in_process(measured));
    targets.extend(memory(measured));
    targets.extend(files(measured));
    targets.extend(measured.rest.iter().flat_map(super::rest::Rest::targets));
    targets
}

fn speeds(measured: &Measured) -> Vec<Target> {
    let results = &measured.results;
    let appliance = |shape, form| What::of(Who::Appliance, shape, form);
    let over_floor = |shape, form| results.times(appliance(shape, form), What::of(Who::Floor, shape, form));
    let over_redis =
        |shape| results.times(appliance(shape, Form::Compact), What::of(Who::Peer(Language::Resp), shape, Form::Compact));
    let cpu = |form| results.cpu_ns(appliance(Shape::Batch, form)).map(Reading::from);
    let row = |name, what, bound, unit, measured| Target { name, what, bound, unit, measured };
    let least = Bound::AtLeast;
    let (compact, json) = (over_floor(Shape::Pipeline, Form::Compact), over_floor(Shape::Pipeline, Form::Json));
    let single = over_floor(Shape::Single, Form::Compact);
    vec![
        row("P1", "single, pipelined, compact, over the floor", least(PIPELINE_COMPACT_FLOOR_RATIO_MIN), " ×", compact),
        row("P1", "single, pipelined, JSON, over the floor", least(PIPELINE_JSON_FLOOR_RATIO_MIN), " ×", json),
        row("P1", "single, pipelined, over Redis GET", least(PIPELINE_REDIS_TIMES_MIN), " ×", over_redis(Shape::Pipeline)),
        row("P2", "single, one at a time, over the floor", least(SINGLE_FLOOR_RATIO_MIN), " ×", single),
        row("P3", "batch, compact, over Redis MGET", least(BATCH_REDIS_TIMES_MIN), " ×", over_redis(Shape::Batch)),
        row("P3", "batch, compact, CPU a look-up", Bound::AtMost(BATCH_COMPACT_CPU_NS_MAX), " ns", cpu(Form::Compact)),
        row("P4", "batch, NDJSON, CPU a look-up", Bound::AtMost(BATCH_NDJSON_CPU_NS_MAX), " ns", cpu(Form::Json)),
    ]
}

fn in_process(measured: &Measured) -> Vec<Target> {
    let row = |what, most, name: &str| {
        let found = measured.full.as_ref().ok_or(ONLY_FULL).and_then(|full| full.index_ns(name).ok_or("not reported"));
        Target { name: "P5", what, bound: Bound::AtMost(most), unit: " ns", measured: found.map(Reading::from) }
    };
    vec![
        row("in process, one at a time", INDEX_ONE_NS_MAX, "one_ns"),
        row("in process, lookup_many", INDEX_MANY_NS_MAX, "many_ns"),
        row("in process, lookup_many with the decision", INDEX_DECIDED_NS_MAX, "many_decided_ns"),
    ]
}

fn memory(measured: &Measured) -> Vec<Target> {
    let memory = &measured.memory;
    let own = DOSSIER_TIMES_MAX * memory.dossier_bytes_mean() + RECIPIENT_BYTES_MORE_MAX;
    let row = |what, bound, measured: Result<f64, _>| {
        let measured = measured.map(Reading::from);
        Target { name: "P6", what, bound, unit: " B", measured }
    };
    let beside = memory.redis_bytes_per_key.and_then(|_| memory.bytes_per_recipient());
    vec![
        row("memory a recipient, beside the dossiers' bytes", Bound::AtMost(own), memory.bytes_per_recipient()),
        row("memory a recipient, beside Redis", Bound::AtMost(memory.redis_bytes_per_key.unwrap_or(f64::NAN)), beside),
    ]
}

fn files(measured: &Measured) -> Vec<Target> {
    let full = measured.full.as_ref().ok_or(ONLY_FULL);
    let row = |name, what, most, unit, measured: Result<f64, _>| {
        let measured = measured.map(Reading::from);
        Target { name, what, bound: Bound::AtMost(most), unit, measured }
    };
    vec![
        row("P7", "import", IMPORT_S_MAX, " s", full.map(|full| full.imported.took.as_secs_f64())),
        row("P7", "on the disk, over the rows' bytes", DISK_TIMES_MAX, " ×", full.map(super::full::Full::disk_times)),
        row("P8", "kill -9 to ready", RESTART_S_MAX, " s", full.map(|full| full.restarts.median().as_secs_f64())),
    ]
}
