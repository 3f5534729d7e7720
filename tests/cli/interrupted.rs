//! Ctrl-C before there is a run: nothing was begun, and that is what is said.

use std::net::TcpListener;

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::Bench;
use crate::shared;

#[test]
fn stopped_while_it_plans_a_command_says_that_nothing_was_begun() {
    for format in ["human", "json"] {
        // A server that takes the connection and never says a word.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let bench = Bench::new();
        bench.write(
            "summitctl.toml",
            &format!("version = 1\n[contexts.t]\ntier = \"development\"\n[contexts.t.redis]\nhost = \"127.0.0.1\"\nport = {port}\n"),
        );
        let child = bench.start(&["context", "pin", "--yes", "--output", format]);
        let _held = silent.accept().unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let gave = Bench::gave(child.wait_with_output().unwrap());
        assert_eq!(gave.code, 4, "{}", gave.all());
        assert!(gave.err.contains("no run was begun"), "{}", gave.err);
        assert!(!gave.err.contains("run resume"), "{}", gave.err);
        assert_eq!(bench.run(&["run", "resume"]).code, 2, "nothing waits");
        if format == "json" {
            let document = shared::document("context pin", &gave.out, gave.code);
            assert_eq!(document["error"]["reason"], "run.not-begun");
        }
    }
}
