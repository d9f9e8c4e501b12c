//! What a person sees while something takes minutes, on stderr: a bar on a terminal, otherwise a plain line for every 5 %
//! that took some time. It measures nothing and decides nothing.
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Program;

/// Plain lines are at least this far apart, in percent, or in time if there is anything new at all.
const STEP_PERCENT: u64 = 5;
const STEP_TIME: Duration = Duration::from_secs(10);

/// Where progress is told.
#[derive(Debug)]
pub struct Progress {
    program: Program,
    bar: Option<ProgressBar>,
    start: Instant,
    last: Cell<(u64, Instant)>,
}

impl Progress {
    /// For the making of this program, on stderr, in the way that suits it.
    pub fn on_stderr(program: Program) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{bar:40} {pos}/{len} pieces  {elapsed_precise}, {eta} left");
            ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { program, bar, start: now, last: Cell::new((0, now)) }
    }

    /// One line.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("leyden: {text}")),
            None => eprintln!("leyden: {text}"),
        }
    }

    /// `done` of `total` pieces are ready.
    pub fn at(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        let (last_percent, last_time) = self.last.get();
        let now = Instant::now();
        let news = percent > last_percent;
        if news && (percent >= last_percent + STEP_PERCENT || now - last_time >= STEP_TIME || percent == 100)
        {
            self.last.set((percent, now));
            let seconds = (now - self.start).as_secs();
            let program = self.program;
            eprintln!("leyden: building {program}: {percent:3} % ({done}/{total} pieces, {seconds} s)");
        }
    }

    /// Takes the bar away.
    pub fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
