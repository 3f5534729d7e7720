//! The published JSON schemas (`docs/schemas/`), generated from the types.

use schemars::JsonSchema;
use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::entry::{Entry, Head};
use super::envelope::Envelope;
use super::predicate::{Closing, Start};
use super::render::Dossier;
use super::statement::Statement;
use super::verify::Report;

/// Every schema with its file name, without `.json`.
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        (
            "evidence-start-v1",
            of::<Statement<Start>>(
                "A start record: the in-toto statement that a start envelope carries",
            ),
        ),
        (
            "evidence-closing-v1",
            of::<Statement<Closing>>(
                "A closing record: the in-toto statement that a closing envelope carries",
            ),
        ),
        (
            "evidence-envelope-v1",
            of::<Envelope>("A DSSE envelope file"),
        ),
        (
            "evidence-log-entry-v1",
            of::<Entry>("One line of a signer's log"),
        ),
        (
            "evidence-head-v1",
            of::<Head>("The payload of a log's signed head"),
        ),
        (
            "evidence-dossier-v1",
            of::<Dossier<'static>>("One run: what `summitctl evidence show --output json` prints"),
        ),
        (
            "evidence-report-v1",
            of::<Report>("What `summitctl evidence verify --output json` prints"),
        ),
    ]
}

fn of<T: JsonSchema>(title: &str) -> Schema {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema
}
