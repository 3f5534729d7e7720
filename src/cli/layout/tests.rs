use super::*;

const DIGEST: &str = "sha256:ec1acd036cf66e9115c9eefa07c371ae777150ac2b0839557671b70d05ee739a";
const RUN: &str = "20261121T052017Z-0f6f";

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// Every word of the source is whole in the result, and a line is too long only if it holds a single one that is.
fn holds(source: &str, wrapped: &str, width: usize) {
    for word in source.split_whitespace() {
        assert!(
            wrapped.lines().any(|l| l.contains(word)),
            "`{word}` was broken:\n{wrapped}"
        );
    }
    for line in wrapped.lines() {
        let widest = pieces(line)
            .iter()
            .map(|p| columns(p.text))
            .max()
            .unwrap_or(0);
        assert!(
            columns(line) <= width || widest > width,
            "{} columns: {line}",
            columns(line)
        );
    }
}

#[test]
fn text_breaks_between_words_and_hangs_below_its_label() {
    let text = "postgres  12.7 MiB at 7.1 MiB/s, 41423 rows, point-in-time (exported snapshot 00000003-000000C5-1)";
    assert_eq!(
        lines(&wrap(text, Some(80))),
        [
            "postgres  12.7 MiB at 7.1 MiB/s, 41423 rows, point-in-time",
            "          (exported snapshot 00000003-000000C5-1)",
        ]
    );
    let text = "  ✓ passed Gateway refuses a path that does not exist: HTTP 404 for a path that does not exist";
    assert_eq!(
        lines(&wrap(text, Some(80)))[1],
        "    does not exist",
        "below the sign's text"
    );
    assert_eq!(wrap(text, None), text, "a pipe gets whole lines");
}

#[test]
fn commands_digests_and_paths_stay_whole() {
    let command = "`summitctl backup verify 20261121T052017Z-0f6f --level 3 --context sandbox`";
    let hint = format!("      hint: Prove it with {command}.");
    let wrapped = wrap(&hint, Some(80));
    assert!(wrapped.lines().any(|l| l.contains(command)), "{wrapped}");
    holds(&hint, &wrapped, 80);

    let next = format!(
        "next      summitctl run resume {RUN} --context a-context-with-a-long-name-of-its-own    (or abort)"
    );
    let wrapped = wrap(&next, Some(80));
    assert!(
        wrapped.contains(&format!(
            "summitctl run resume {RUN} --context a-context-with-a-long-name-of-its-own"
        )),
        "{wrapped}"
    );

    assert_eq!(
        wrap(&format!("  digest   {DIGEST}"), Some(80)),
        format!("  digest {DIGEST}"),
        "a label gives way"
    );
    let path = format!("/var/lib/summitctl/{}/end.dsse.json", "deep/".repeat(20));
    let line = format!("evidence  {path} (record 2 of 28829063af30bee2)");
    let wrapped = wrap(&line, Some(80));
    assert_eq!(
        lines(&wrapped),
        [
            format!("evidence  {path}").as_str(),
            "          (record 2 of 28829063af30bee2)"
        ]
    );
}

#[test]
fn what_is_fenced_is_left_alone() {
    let long = format!("  argv: {}", "word ".repeat(30));
    let text = format!("In a runbook:\n```yaml step\n{long}\n```");
    assert_eq!(wrap(&text, Some(80)), text);
}

fn sample() -> Table {
    let mut table = Table::new(&["setting", "value", "from"]);
    for (key, value, from) in [
        ("tier", "development", "line 6".to_owned()),
        (
            "postgres.password",
            "file:/var/lib/summitctl/sandbox/secrets/operator/password",
            "line 12".to_owned(),
        ),
        (
            "repository.recipients",
            "age16excqt7f327hc3twyllplhpwskrspvammautz83v5lcn20g0j9vs7n9ezw",
            "/etc/summitctl/summitctl.toml:59".to_owned(),
        ),
        ("plan", DIGEST, "default".to_owned()),
        (RUN, "✓ ok", "default".to_owned()),
    ] {
        table.row(vec![key.to_owned(), value.to_owned(), from]);
    }
    table
}

#[test]
fn no_cell_is_broken_and_no_line_is_too_long() {
    for width in [40, 60, 80, 100, 132] {
        let table = sample();
        let shown = table.render(Some(width));
        for row in &table.rows {
            for cell in &row.cells {
                assert!(
                    shown.lines().any(|l| l.contains(cell.as_str())),
                    "{width}: `{cell}` was broken:\n{shown}"
                );
            }
        }
        for line in shown.lines() {
            let widest = line.split_whitespace().map(columns).max().unwrap_or(0);
            assert!(
                columns(line) <= width || widest + NOTE.len() > width,
                "{width}: {line}"
            );
        }
    }
}

#[test]
fn what_finds_no_room_stands_below_its_row_after_its_heading() {
    let shown = sample().render(Some(80));
    let shown = lines(&shown);
    assert_eq!(shown[0], "SETTING                VALUE        FROM");
    assert_eq!(shown[1], "tier                   development  line 6");
    assert_eq!(
        shown[3],
        "    value  file:/var/lib/summitctl/sandbox/secrets/operator/password"
    );
    let wide = sample().render(None);
    assert_eq!(wide.lines().count(), 6, "without a width a row is a line");
}

#[test]
fn prose_is_broken_between_words_beside_its_row() {
    let mut table = Table::new(&["end", "step", "what"]).with_prose();
    table.row(vec![
        "✗ failed".into(),
        "swap-postgres".into(),
        "swap the restored Postgres database in; the old one stays beside it until somebody drops it".into(),
    ]);
    table.note("lock timeout after 5s");
    assert_eq!(
        lines(&table.render(Some(80))),
        [
            "END       STEP           WHAT",
            "✗ failed  swap-postgres  swap the restored Postgres database in; the old one",
            "                         stays beside it until somebody drops it",
            "    lock timeout after 5s",
        ]
    );
}

proptest::proptest! {
    #[test]
    fn any_text_keeps_its_words(text in "( {0,12}[a-z`:/✓]{1,30}){1,20}", width in 20_usize..100) {
        let wrapped = wrap(&text, Some(width));
        let words = |t: &str| t.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        proptest::prop_assert_eq!(words(&text), words(&wrapped));
    }

    #[test]
    fn any_table_keeps_its_cells(
        rows in proptest::collection::vec(proptest::collection::vec("[a-z0-9:/.-]{0,50}", 4), 1..6),
        width in 20_usize..120,
    ) {
        let mut table = Table::new(&["id", "state", "place", "digest"]);
        rows.iter().for_each(|r| table.row(r.clone()));
        let shown = table.render(Some(width));
        for cell in rows.iter().flatten() {
            proptest::prop_assert!(shown.lines().any(|l| l.contains(cell.as_str())), "{}\n{}", cell, shown);
        }
        for line in shown.lines() {
            let first = line.split_whitespace().next().unwrap_or_default();
            let alone = line.split_whitespace().count() <= 2;
            proptest::prop_assert!(columns(line) <= width || alone || columns(first) + 2 > width / 2, "{}\n{}", line, shown);
        }
    }
}
