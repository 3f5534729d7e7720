//! The Markdown rendering: for change tickets and pull requests.

use super::escape::{markdown, markdown_code};
use super::view::{Cell, View};

pub(super) fn render(view: &View) -> String {
    let mut out = format!("# {}: {}\n\n", markdown(&view.title), view.verdict);
    out.push_str(&format!(
        "{}\n\n{}\n",
        markdown(&view.lede),
        markdown(&view.trust)
    ));
    table(
        &mut out,
        &["", ""],
        view.facts
            .iter()
            .map(|(name, value)| vec![markdown(name), cell(value)]),
    );
    for section in &view.sections {
        out.push_str(&format!("\n## {}\n", section.title));
        if let Some(note) = &section.note {
            out.push_str(&format!("\n{}\n", markdown(note)));
        }
        table(
            &mut out,
            &section.columns,
            section
                .rows
                .iter()
                .map(|row| row.iter().map(cell).collect()),
        );
    }
    out.push_str("\n## Checking it yourself\n\n```sh\n");
    for command in &view.commands {
        // A fence ends at the next one only; ids and file names hold no backtick.
        out.push_str(&command.replace('`', " "));
        out.push('\n');
    }
    out.push_str("```\n");
    out
}

fn table(out: &mut String, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    out.push_str(&format!(
        "\n| {} |\n|{}\n",
        columns.join(" | "),
        "---|".repeat(columns.len())
    ));
    for row in rows {
        out.push_str(&format!("| {} |\n", row.join(" | ")));
    }
}

fn cell(cell: &Cell) -> String {
    if cell.code {
        return markdown_code(&cell.text);
    }
    let lines: Vec<String> = cell.text.lines().map(markdown).collect();
    let text = lines.join("; ");
    if cell.tone.is_some() {
        format!("**{text}**")
    } else {
        text
    }
}
