//! The way to an intake for those who do not own it: whoever follows owns it, and does between two steps what others ask of it.

use tokio::sync::mpsc;

use super::Intake;

/// Something to be done with the intake.
type Deed = Box<dyn FnOnce(&mut Intake) + Send>;

/// For those who ask.
#[derive(Clone, Debug)]
pub struct IntakeDoor(mpsc::UnboundedSender<Deed>);

/// For the one who owns the intake.
#[derive(Debug)]
pub struct IntakeDeeds(mpsc::UnboundedReceiver<Deed>);

impl IntakeDoor {
    /// Both sides of a door.
    pub fn new() -> (IntakeDoor, IntakeDeeds) {
        let (asking, asked) = mpsc::unbounded_channel();
        (IntakeDoor(asking), IntakeDeeds(asked))
    }

    /// Does something with the intake and waits for what comes of it; `None` when its owner has ended.
    pub fn ask<T: Send + 'static>(&self, deed: impl FnOnce(&mut Intake) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let deed: Deed = Box::new(move |intake| {
            // Whoever asked may have gone.
            let _ = answer.send(deed(intake));
        });
        self.0.send(deed).ok()?;
        answered.recv().ok()
    }
}

impl IntakeDeeds {
    /// The next; never where nobody can ask any more. Giving up the wait loses none.
    pub async fn next(&mut self) -> Box<dyn FnOnce(&mut Intake) + Send> {
        match self.0.recv().await {
            Some(deed) => deed,
            None => std::future::pending().await,
        }
    }
}
