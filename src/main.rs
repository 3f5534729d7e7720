//! The thin binary: everything lives in the library.

/// Steps that restore and compare several stores are deeply nested futures, whose stack frames a build without optimisation does
/// not share: the 8 MiB of a main thread do not hold them. Only what is touched is ever taken from the machine.
const STACK: usize = 64 << 20;

fn main() -> std::process::ExitCode {
    // The one TLS provider of the process; a second call would only say that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let run = std::thread::Builder::new()
        .name("summitctl".to_owned())
        .stack_size(STACK)
        .spawn(summitctl::cli::run);
    match run.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // The panic has been told already.
        Ok(Err(_)) => std::process::ExitCode::from(70),
        // A machine without room for a thread: the main one does for most commands.
        Err(_) => summitctl::cli::run(),
    }
}
