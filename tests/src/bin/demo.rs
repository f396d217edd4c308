//! The load balancer at work, in about 15 seconds: `cargo xtask demo`.
//!
//! Builds a private network of namespaces on this machine, balances real HTTP traffic over three
//! nginx origins, and shows what happens when weights change, an origin is drained, and the
//! agent is killed. Each step checks what it shows; the first that fails ends the demo with its
//! name, the cause, and where the logs are. Nothing is left behind but, then, those logs.

#[path = "../demo/screen.rs"]
mod screen;
#[path = "../demo/steps.rs"]
mod steps;
#[path = "../demo/traffic.rs"]
mod traffic;

use std::process::ExitCode;

use lb_tests::process::now;

fn main() -> ExitCode {
    let start = now();
    let mut screen = screen::Screen::new(steps::COUNT);
    match steps::run(&mut screen) {
        Ok(()) => {
            screen.line(&format!("Demo done in {:.1} s.", start.elapsed().as_secs_f64()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            screen.failure(&error);
            ExitCode::FAILURE
        }
    }
}
