//! The thin binary: everything lives in the library.

fn main() -> std::process::ExitCode {
    // The one TLS provider of the process; a second call would only say that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    summitctl::cli::run()
}
