//! P6: what a recipient takes in memory, beside what Redis takes for the same bytes under one key.

use serde_json::{Value, json};

use super::CompareArguments;
use crate::error::LoadError;
use crate::measure::memory::resident_bytes;
use crate::peers::{Keys, Language, redis};
use crate::report::complain;
use crate::server::appliance::Appliance;
use crate::server::{dossier_bytes, status};
use crate::targets::FIXED_BYTES;
use crate::work::Work;

/// With fewer, what does not depend on them decides.
const RECIPIENTS_MIN: u64 = 1_000_000;

/// Bytes, after all runs.
pub(super) struct Memory {
    pub(super) resident_bytes: u64,
    pub(super) dossier_bytes: u64,
    pub(super) recipients: u64,
    /// What Redis takes for a key and a value of a mean dossier's length.
    pub(super) redis_bytes_per_key: Result<f64, &'static str>,
}

impl Memory {
    pub(super) fn weigh(
        arguments: &CompareArguments,
        appliance: &Appliance,
        keys: &Keys,
        work: &Work,
    ) -> Result<Memory, LoadError> {
        let mut memory = Memory {
            resident_bytes: resident_bytes(appliance.pid())?,
            dossier_bytes: dossier_bytes(appliance.address)?,
            recipients: status(appliance.address)?.recipients,
            redis_bytes_per_key: Err("not installed, or left out"),
        };
        if keys.count() < RECIPIENTS_MIN {
            memory.redis_bytes_per_key = Err("too few keys to tell");
        } else if arguments.wants(Language::Resp) {
            memory.redis_bytes_per_key = redis_bytes_per_key(keys, memory.dossier_bytes_mean(), work)?;
        }
        Ok(memory)
    }

    /// Bytes of a dossier, on average.
    #[expect(clippy::cast_precision_loss, reason = "a mean to be printed")]
    pub(super) fn dossier_bytes_mean(&self) -> f64 {
        self.dossier_bytes as f64 / self.recipients.max(1) as f64
    }

    /// Bytes of a recipient, beyond what does not depend on them.
    #[expect(clippy::cast_precision_loss, reason = "a mean to be printed")]
    pub(super) fn bytes_per_recipient(&self) -> Result<f64, &'static str> {
        if self.recipients < RECIPIENTS_MIN {
            return Err("too few recipients to tell");
        }
        Ok((self.resident_bytes as f64 - FIXED_BYTES) / self.recipients as f64)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "resident_bytes": self.resident_bytes,
            "dossier_bytes": self.dossier_bytes,
            "recipients": self.recipients,
            "redis_bytes_per_key_with_a_mean_dossier": self.redis_bytes_per_key.ok(),
        })
    }
}

/// Starts a Redis of its own, fills it and weighs it.
#[expect(clippy::cast_precision_loss, reason = "a mean to be printed")]
fn redis_bytes_per_key(keys: &Keys, value_bytes: f64, work: &Work) -> Result<Result<f64, &'static str>, LoadError> {
    let Some(redis) = redis::start(work.path())? else { return Ok(Err("not installed, or left out")) };
    complain("weighing the dossiers' bytes in Redis …");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean length")]
    let values = keys.with_values_of(value_bytes.round() as usize);
    let before = resident_bytes(redis.pid())?;
    redis.load(&values)?;
    let taken = resident_bytes(redis.pid())?.saturating_sub(before);
    Ok(Ok(taken as f64 / keys.count() as f64))
}
