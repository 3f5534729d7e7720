//! Whether a lock's holder runs on this machine: the one place where a process can be seen to have ended.
//!
//! Nothing follows from not finding a process, unless every process of the machine can be seen and the holder cannot be one of
//! them: so each is looked at for the Java runtime, for connections to the server, and for connections at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use super::lock::Holder;
use crate::pid::host_name;

/// What is known of the holder's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    /// It has ended.
    Ended,
    /// Something runs that may be it.
    MayRun,
    /// Nobody can tell from here.
    Unknown,
}

/// What was seen of the holder's machine.
#[derive(Debug, Clone)]
pub(super) struct Around {
    /// Whether the holder names this machine.
    pub here: bool,
    pub process: Process,
    pub observations: Vec<String>,
}

impl Around {
    fn unknown(here: bool, why: String) -> Self {
        Around {
            here,
            process: Process::Unknown,
            observations: vec![why],
        }
    }
}

/// `PROC_PID_INIT_INO` of the kernel's `include/linux/proc_ns.h`: whoever is in this namespace sees every process.
const INITIAL_NAMESPACE: &str = "pid:[4026531836]";

/// Looks for the holder's process, if the holder is on this machine; `port` is the server's.
pub(super) fn look(holder: Option<&Holder>, port: u16) -> Around {
    let Some(holder) = holder else {
        return Around::unknown(false, "the row does not say who holds the lock".to_owned());
    };
    let own = host_name();
    let Some(address) = holder.address else {
        return Around::unknown(
            false,
            format!(
                "the row names no address of `{}`, and a name alone is no machine",
                holder.host
            ),
        );
    };
    let first = |name: &str| name.split('.').next().unwrap_or(name).to_lowercase();
    if first(&holder.host) != first(&own) || address.is_loopback() || !is_ours(address) {
        return Around::unknown(
            false,
            format!(
                "`{}` ({address}) is not this machine (`{own}`), so its processes cannot be seen",
                holder.host
            ),
        );
    }
    let initial = |ns: std::path::PathBuf| ns.as_os_str() == INITIAL_NAMESPACE;
    if !fs::read_link("/proc/self/ns/pid").is_ok_and(initial) {
        return Around::unknown(
            true,
            format!(
                "`{}` is this machine, but this container does not see all its processes",
                holder.host
            ),
        );
    }
    // Others may be shown only a part of the processes, and nothing says which (proc(5), `hidepid`).
    if !rustix::process::geteuid().is_root() {
        let why = format!(
            "`{}` is this machine, but only root sees all its processes",
            holder.host
        );
        return Around::unknown(true, why);
    }
    match scan(port) {
        Err(why) => Around::unknown(
            true,
            format!("`{}` is this machine, but {why}", holder.host),
        ),
        Ok((seen, suspects)) if suspects.is_empty() => Around {
            here: true,
            process: Process::Ended,
            observations: vec![format!(
                "`{}` is this machine, and of its {seen} processes none runs Java with a connection elsewhere, is called liquibase, or is connected to port {port}",
                holder.host
            )],
        },
        Ok((_, suspects)) => Around {
            here: true,
            process: Process::MayRun,
            observations: suspects,
        },
    }
}

/// Whether this machine has the address: only then can a socket be bound to it.
pub(super) fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The sockets of one network namespace.
#[derive(Default)]
struct Sockets {
    /// Local and remote port of each connection, by inode.
    connections: BTreeMap<String, (u16, u16)>,
    listening: BTreeSet<u16>,
}

/// How many processes were looked at, and those that may be the holder.
fn scan(port: u16) -> Result<(usize, Vec<String>), String> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").map_err(|e| format!("/proc cannot be read: {e}"))?;
    let (mut seen, mut suspects, mut closed) = (0, Vec::new(), 0);
    let mut namespaces: BTreeMap<String, Sockets> = BTreeMap::new();
    let mut listed_init = false;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|b| b.is_ascii_digit()) || name == own {
            continue;
        }
        seen += 1;
        listed_init |= name == "1";
        match suspicion(&entry.path(), port, &mut namespaces) {
            Ok(Some(why)) => suspects.push(format!("process {name} of this machine {why}")),
            Ok(None) => {}
            Err(e) if has_ended(&e, &entry.path()) => {}
            // The machine's init, which even root may not look into everywhere, migrates no database.
            Err(_) if name == "1" => {}
            Err(_) => closed += 1,
        }
    }
    if !listed_init {
        return Err("/proc does not list its init, so it does not list everything".to_owned());
    }
    if closed > 0 {
        return Err(format!(
            "{closed} of its processes cannot be looked into; as root they could be"
        ));
    }
    Ok((seen, suspects))
}

/// Whether a process ended while it was looked at, or only waits to be reaped with no thread left but its first. What cannot be
/// read proves nothing.
fn has_ended(error: &std::io::Error, process: &Path) -> bool {
    let gone = |e: &std::io::Error| {
        e.kind() == std::io::ErrorKind::NotFound
            || e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
    };
    let stat = match fs::read_to_string(process.join("stat")) {
        Ok(stat) => stat,
        Err(e) => return gone(error) && gone(&e),
    };
    // The state follows the command's name, which may hold anything, in parentheses.
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().next());
    let threads = fs::read_dir(process.join("task")).map(Iterator::count);
    matches!(state, Some("Z" | "X")) && threads.is_ok_and(|n| n <= 1)
}

fn suspicion(
    process: &Path,
    port: u16,
    namespaces: &mut BTreeMap<String, Sockets>,
) -> std::io::Result<Option<String>> {
    let line = fs::read(process.join("cmdline"))?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let program = line.split('\0').next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or(program).to_owned();
    let java = String::from_utf8_lossy(&fs::read(process.join("maps"))?).contains("libjvm.so");
    let namespace = fs::read_link(process.join("ns/net"))?;
    let namespace = namespace.to_string_lossy().into_owned();
    if !namespaces.contains_key(&namespace) {
        let sockets = sockets(process)?;
        namespaces.insert(namespace.clone(), sockets);
    }
    let sockets = &namespaces[&namespace];
    let mut elsewhere = false;
    for descriptor in fs::read_dir(process.join("fd"))?.flatten() {
        let Ok(link) = fs::read_link(descriptor.path()) else {
            continue;
        };
        let link = link.to_string_lossy();
        let inode = link
            .strip_prefix("socket:[")
            .and_then(|l| l.strip_suffix(']'));
        let Some((local, remote)) = inode.and_then(|i| sockets.connections.get(i)) else {
            continue;
        };
        if *remote == port {
            return Ok(Some(format!("(`{program}`) is connected to port {port}")));
        }
        elsewhere |= !sockets.listening.contains(local);
    }
    let named = program.to_lowercase().contains("liquibase");
    let runs_it = java && line.to_lowercase().contains("liquibase");
    Ok(if named || runs_it {
        Some(format!("(`{program}`) runs Liquibase"))
    } else if java && elsewhere {
        Some(format!(
            "(`{program}`) runs Java and is connected to another place"
        ))
    } else {
        None
    })
}

/// The TCP sockets that a process's network namespace has: proc(5), `/proc/PID/net/tcp`.
fn sockets(process: &Path) -> std::io::Result<Sockets> {
    let mut sockets = Sockets::default();
    for table in ["tcp", "tcp6"] {
        let text = match fs::read_to_string(process.join("net").join(table)) {
            Ok(text) => text,
            // A machine without the newer protocol has no table for it.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && table == "tcp6" => continue,
            Err(e) => return Err(e),
        };
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, state, .., _] = fields.as_slice() else {
                continue;
            };
            let (Some(local), Some(remote), Some(inode)) =
                (port(local), port(remote), fields.get(9))
            else {
                continue;
            };
            if *state == "0A" {
                sockets.listening.insert(local);
            } else {
                sockets
                    .connections
                    .insert((*inode).to_owned(), (local, remote));
            }
        }
    }
    Ok(sockets)
}

fn port(address: &str) -> Option<u16> {
    u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok()
}
