//! A table filled over several connections: rows are read and hashed once, and dealt out in turns.
//!
//! The server takes rows with one process a connection, so that a table larger than all others would keep one core busy and the rest
//! waiting. Each connection has its own transaction, and none commits before all rows are in and agree. What one connection alone
//! can have, which is rows that are frozen and in their old order, is given up for it.

use tokio::sync::mpsc;

use super::super::copy::{Meter, RowSum, Rows, Shape};
use super::super::tuples::{self, Tuples};
use super::super::wire::{Piece, Wire};
use super::super::{CONNECTION_LOST, RESTORE_FAILED};
use crate::capture::{Fingerprint, FingerprintKey, PartReader};
use crate::error::{Error, Result};

/// Bytes of a table from which on another connection helps to fill it.
pub const SHARE: u64 = 256 << 20;

/// So many bytes go to one connection before it is the next one's turn: an index on blocks (BRIN) still finds near each other what
/// was near each other.
const TURN: usize = 4 << 20;

/// So much is handed over at once; each connection holds up to three of them.
const PARCEL: usize = 1 << 20;
const WAITING: usize = 2;

/// How many connections fill a table of so many bytes, if all tables together have `total`.
pub(super) fn connections(bytes: u64, total: u64, share: u64, jobs: usize) -> usize {
    let of_all = u128::from(bytes) * jobs as u128 / u128::from(total.max(1));
    let worth = u128::from(bytes / share.max(1));
    usize::try_from(of_all.min(worth)).map_or(jobs, |most| most.clamp(1, jobs.max(1)))
}

/// What is filled, and how.
pub(super) struct Spread {
    pub shape: Shape,
    pub key: FingerprintKey,
    pub meter: Meter,
    /// Runs first on each connection: it begins the transaction.
    pub begin: String,
    /// `COPY … FROM STDIN`.
    pub statement: String,
    pub what: String,
}

/// Sends the rows over these connections, whose transactions are left open. The fingerprint of what was sent, and how many rows the
/// server says it has.
pub(super) async fn fill(
    wires: Vec<Wire>,
    spread: Spread,
    reader: Box<dyn PartReader>,
) -> Result<(Vec<Wire>, Fingerprint, u64)> {
    let (mut hands, mut takers) = (Vec::new(), Vec::new());
    for wire in wires {
        let (hand, parcels) = mpsc::channel(WAITING);
        hands.push(hand);
        let (begin, statement) = (spread.begin.clone(), spread.statement.clone());
        let (what, shape) = (spread.what.clone(), spread.shape);
        takers.push(wire.in_thread(move |wire| async move {
            let taker = Taker { wire, shape, what };
            taker.take(&begin, &statement, parcels).await
        }));
    }
    let runtime = tokio::runtime::Handle::current();
    let dealer = Dealer::new(spread, hands);
    let deal = tokio::task::spawn_blocking(move || runtime.block_on(dealer.deal(reader)));
    let (dealt, taken) = tokio::join!(deal, futures_util::future::join_all(takers));
    let dealt = dealt.map_err(|e| Error::bug("a thread that deals rows broke").caused_by(e))?;
    let (mut wires, mut stored, mut abandoned) = (Vec::new(), 0, None);
    for taken in taken {
        match taken {
            Ok((wire, rows)) => {
                wires.push(wire);
                stored += rows;
            }
            // Of those that merely were given nothing more, the cause is elsewhere.
            Err(error) if error.reason() == &RESTORE_FAILED => abandoned = Some(error),
            Err(error) => return Err(error),
        }
    }
    let sum = dealt?;
    match abandoned {
        None => Ok((wires, sum, stored)),
        Some(error) => Err(error),
    }
}

enum Parcel {
    Rows(Vec<u8>),
    /// There are no more: without this, what came is not all.
    End,
}

/// One connection's end of it.
struct Taker {
    wire: Wire,
    shape: Shape,
    what: String,
}

impl Taker {
    async fn take(
        mut self,
        begin: &str,
        statement: &str,
        mut parcels: mpsc::Receiver<Parcel>,
    ) -> Result<(Wire, u64)> {
        let what = &self.what;
        self.wire.run("make the table ready", begin).await?;
        self.wire.copy_in(what, statement).await?;
        if self.shape == Shape::Binary {
            self.wire.copy_data(what, &tuples::head()).await?;
        }
        loop {
            match parcels.recv().await {
                Some(Parcel::Rows(rows)) => self.wire.copy_data(what, &rows).await?,
                Some(Parcel::End) => break,
                None => {
                    let message = format!("cannot {what}: its rows broke off");
                    return Err(Error::new(&RESTORE_FAILED, message));
                }
            }
        }
        if self.shape == Shape::Binary {
            self.wire.copy_data(what, &tuples::TRAILER).await?;
        }
        let stored = self.wire.copy_end(what).await?;
        Ok((self.wire, stored))
    }
}

/// Reads the rows, sums them up, and deals them out.
struct Dealer {
    shape: Shape,
    meter: Meter,
    sum: RowSum,
    hands: Vec<mpsc::Sender<Parcel>>,
    /// Whose turn it is.
    at: usize,
    /// Bytes of this turn.
    given: usize,
    parcel: Vec<u8>,
    /// What is to be handed over, and to whom.
    ready: Vec<(usize, Vec<u8>)>,
}

impl Dealer {
    fn new(spread: Spread, hands: Vec<mpsc::Sender<Parcel>>) -> Dealer {
        Dealer {
            shape: spread.shape,
            meter: spread.meter,
            sum: RowSum::new(&spread.key),
            hands,
            at: 0,
            given: 0,
            parcel: Vec::new(),
            ready: Vec::new(),
        }
    }

    async fn deal(mut self, mut reader: Box<dyn PartReader>) -> Result<Fingerprint> {
        let (mut rows, mut tuples) = (Rows::default(), Tuples::new(None));
        while let Some(chunk) = reader.next().await? {
            match self.shape {
                Shape::Text => rows.pieces(&chunk, |piece| self.add(&piece)),
                Shape::Binary => tuples.feed(&chunk, |piece| self.add(&piece))?,
            }
            self.meter.add(chunk.len());
            self.hand_over().await?;
        }
        match self.shape {
            Shape::Text => rows.end()?,
            Shape::Binary => tuples.end()?,
        }
        self.settle();
        self.hand_over().await?;
        for hand in &self.hands {
            hand.send(Parcel::End).await.map_err(|_| left())?;
        }
        self.meter.done();
        Ok(self.sum.finish())
    }

    fn add(&mut self, piece: &Piece<'_>) {
        self.sum.add(piece);
        self.parcel.extend_from_slice(piece.bytes);
        let mut length = piece.bytes.len();
        if piece.last && self.shape == Shape::Text {
            self.parcel.push(b'\n');
            length += 1;
        }
        self.given += length;
        let turn_is_over = piece.last && self.given >= TURN;
        if turn_is_over || self.parcel.len() >= PARCEL {
            self.settle();
        }
        if turn_is_over {
            self.given = 0;
            self.at = (self.at + 1) % self.hands.len();
        }
    }

    fn settle(&mut self) {
        if !self.parcel.is_empty() {
            let next = Vec::with_capacity(PARCEL + PARCEL / 8);
            let parcel = std::mem::replace(&mut self.parcel, next);
            self.ready.push((self.at, parcel));
        }
    }

    async fn hand_over(&mut self) -> Result<()> {
        for (to, rows) in self.ready.drain(..) {
            let sent = self.hands[to].send(Parcel::Rows(rows)).await;
            sent.map_err(|_| left())?;
        }
        Ok(())
    }
}

/// What the one that left says counts more.
fn left() -> Error {
    Error::new(&CONNECTION_LOST, "a connection takes no more rows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_as_many_connections_as_it_is_of_all_and_is_worth() {
        let gib = 1 << 30;
        for (bytes, total, jobs, expected) in [
            (0, 0, 4, 1),
            (gib, gib, 1, 1),
            (gib, gib, 4, 4),
            (gib, gib, 8, 4),
            (gib, 2 * gib, 4, 2),
            (gib, 100 * gib, 4, 1),
            (gib / 4 - 1, gib / 4, 4, 1),
            (u64::MAX, u64::MAX, 64, 64),
        ] {
            let seen = connections(bytes, total, SHARE, jobs);
            assert_eq!(seen, expected, "{bytes} of {total} with {jobs}");
        }
    }
}
