//! Materialised views are filled, and what adds up others' rows is analysed.

use super::super::enumerate::{MatView, user_schema};
use super::super::session::{close, run, texts};
use super::super::sql::qualified;
use super::super::{DISK_FULL, STATEMENT_TIMEOUT};
use super::{Work, quiet};
use crate::error::{Error, Result};
use crate::exit::Exit;

impl Work<'_> {
    pub(super) async fn refresh_and_analyze(&mut self) -> Result<()> {
        // Filling a view and expressions of indexes may call functions that count on the database's own search path.
        let (mut session, path) = quiet::open_given(self.target, self.off).await?;
        let mut left: Vec<MatView> = self.schema.matviews.clone();
        left.retain(|view| view.populated);
        // What a view reads through a function is not known to the server: it may need another that comes later.
        loop {
            let mut refused: Vec<(MatView, Error)> = Vec::new();
            let before = left.len();
            for view in left {
                let name = qualified(&view.schema, &view.name);
                match quiet::refresh(self.target, &mut session, &name, &path).await {
                    Ok(()) => self.done.notes.push(format!(
                        "materialised view `{}.{}` was refreshed from the restored tables",
                        view.schema, view.name
                    )),
                    Err(e) if is_refusal(&e) => refused.push((view, e)),
                    Err(e) => return Err(e),
                }
            }
            if refused.len() == before {
                // It reads what is not there now, such as another server, or was filled before what it reads was emptied. The
                // rest must come back all the same.
                for (view, e) in refused {
                    let shown = format!("{}.{}", view.schema, view.name);
                    let name = format!("{}catalogue", self.prefix);
                    let why = format!("materialised view `{shown}` could not be filled");
                    self.done.incomparable.insert(name, why);
                    self.done.notes.push(format!(
                        "materialised view `{shown}` is empty: {}",
                        e.one_line()
                    ));
                }
                break;
            }
            left = refused.into_iter().map(|(view, _)| view).collect();
        }
        if self.options.throwaway {
            close(session).await;
            return Ok(());
        }
        // Ordinary tables have their statistics already; parents add up those of their children, and extended ones did not exist.
        let sql = format!(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {} AND (c.relkind IN ('p', 'm') OR c.relkind = 'r' AND (
                 EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)
                 OR EXISTS (SELECT FROM pg_statistic_ext s WHERE s.stxrelid = c.oid))) ORDER BY 1",
            user_schema()
        );
        let names = texts(self.target, &mut session, "list what has parts", &sql).await?;
        let given = quiet::set_path(&path, false);
        run(self.target, &mut session, &given).await?;
        for name in names {
            run(self.target, &mut session, &format!("ANALYZE {name}")).await?;
        }
        close(session).await;
        Ok(())
    }
}

/// Whether the server refused the view itself, and trying again would not help.
fn is_refusal(e: &Error) -> bool {
    let reason = e.reason();
    reason.exit == Exit::Failed && reason != &DISK_FULL && reason != &STATEMENT_TIMEOUT
}
