//! 一括照会: before the doors open, the appointments of the day are asked about in batches.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use shikaku::domain::day::Day;
use shikaku::population::workload::Asker;

use crate::arguments::{Form, PopulationArguments};
use crate::check::Checker;
use crate::error::LoadError;
use crate::plan::{Plan, batch_institution, batches, workload};
use crate::wire::{HeadReader, Inbox};

/// Lines of a request.
const LINES: u16 = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);

/// The night's batches, each asked once.
pub(crate) struct Overnight {
    plan: Plan,
}

/// How the night went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Night {
    pub(crate) batches: u64,
    pub(crate) lookups: u64,
    pub(crate) elapsed: Duration,
    pub(crate) wrong: u64,
    pub(crate) complaints: Vec<String>,
}

impl Overnight {
    /// `appointments` people of the same population, other than those who come by themselves, or at least in another order.
    pub(crate) fn prepare(population: &PopulationArguments, horizon: Day, appointments: u32) -> Result<Overnight, LoadError> {
        let appointments = appointments.max(2 * u32::from(LINES));
        let institution = batch_institution(population)?;
        let booked = PopulationArguments { question_seed: population.question_seed.wrapping_add(1), ..population.clone() };
        let workload = workload(&booked, Some(horizon), Asker::Always(institution.clone()))?;
        Ok(Overnight { plan: batches(workload, appointments, LINES, Some(&institution), Form::Compact)? })
    }

    /// Asks batch after batch on one connection, as one system does through the night.
    pub(crate) fn pass(&self, address: SocketAddr) -> Result<Night, LoadError> {
        let mut checker = Checker::new(&self.plan);
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(LoadError::io("connecting"))?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(LoadError::io("a read timeout"))?;
        let (mut inbox, heads, began) = (Inbox::new(), HeadReader::new(), Instant::now());
        for request in 0..self.plan.requests.len() {
            stream.write_all(self.plan.requests.slice(request)).map_err(LoadError::io("asking in batches"))?;
            while inbox.take(&heads, |status, body| checker.check(request, status, body))?.is_none() {
                let (count, _) = inbox.fill(&mut stream).map_err(LoadError::io("the answer to a batch"))?;
                if count == 0 {
                    return Err(LoadError::Closed);
                }
            }
        }
        Ok(Night {
            batches: self.plan.requests.len() as u64,
            lookups: checker.checked(),
            elapsed: began.elapsed(),
            wrong: checker.wrong(),
            complaints: checker.complaints(),
        })
    }
}
