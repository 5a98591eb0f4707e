//! Progress of long work: a bar on stderr, only on a terminal.

use super::terminal::Terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A bar that follows a counter of bytes until it is finished.
pub struct Progress {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows how much of `total` bytes has been read; nothing on a pipe.
    pub fn bytes(total: u64, bytes: &Arc<AtomicU64>, terminal: &Terminal) -> Progress {
        let done = Arc::new(AtomicBool::new(false));
        if !terminal.shows_progress() || total == 0 {
            return Progress { done, thread: None };
        }
        let (bytes, stop) = (Arc::clone(bytes), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
            if let Ok(style) = ProgressStyle::with_template("{bar:32} {bytes} of {total_bytes}, {eta} left") {
                bar.set_style(style.progress_chars("=> "));
            }
            while !stop.load(Ordering::Relaxed) {
                bar.set_position(bytes.load(Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(100));
            }
            bar.finish_and_clear();
        });
        Progress { done, thread: Some(thread) }
    }

    /// Takes the bar away.
    pub fn finish(mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // a bar that could not be drawn is no reason to fail
            let _ = thread.join();
        }
    }
}
