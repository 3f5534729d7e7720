//! A folder, the program, and what one call of it gave.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A folder of its own, gone with the test.
pub struct Bench {
    pub dir: PathBuf,
    env: Vec<(String, String)>,
}

/// What a call gave.
pub struct Gave {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Gave {
    /// The one JSON document on stdout.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("stdout is not one JSON document: {e}\n{}", self.out))
    }

    /// Everything that was printed.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

impl Bench {
    pub fn new() -> Self {
        let mut bytes = [0_u8; 6];
        getrandom::fill(&mut bytes).unwrap();
        let tag: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let dir = std::env::temp_dir().join(format!("summitctl-cli-{tag}"));
        std::fs::create_dir_all(&dir).unwrap();
        Bench {
            dir,
            env: Vec::new(),
        }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same folder without the variables that were added.
    pub fn without_env(mut self) -> Self {
        self.env.clear();
        self
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs the program in the folder, with nothing of this process's environment.
    pub fn run(&self, args: &[&str]) -> Gave {
        Self::gave(self.start(args).wait_with_output().unwrap())
    }

    /// Starts the program as [`Bench::run`] does.
    pub fn start(&self, args: &[&str]) -> Child {
        self.start_with(args, &[])
    }

    /// The same with variables of this call alone.
    pub fn start_with(&self, args: &[&str], env: &[(&str, &str)]) -> Child {
        self.command(args)
            .envs(env.iter().copied())
            .spawn()
            .unwrap()
    }

    /// What [`Bench::start`] starts.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_summitctl"));
        command
            .args(args)
            .env_clear()
            .env("HOME", &self.dir)
            .env("PATH", "/usr/bin:/bin")
            .env("SUMMITCTL_STATE_DIR", self.dir.join("state"))
            .env("SUMMITCTL_TEST_CLOCK", "2026-11-21T03:04:05.678Z")
            .env("SUMMITCTL_TEST_ID", "0000")
            .envs(self.env.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// What a call that has ended gave.
    pub fn gave(output: Output) -> Gave {
        Gave {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
