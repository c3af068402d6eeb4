//! A result as a page: one file that needs nothing else, with plots drawn here, readable in light and dark.

mod bars;
mod beside;
mod curve;
mod over_time;
mod svg;
mod tables;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::error::LoadError;

pub(crate) use beside::Group;

use svg::escaped;

const STYLE: &str = include_str!("style.css");

#[derive(Debug, Args)]
pub(crate) struct PageArguments {
    /// What `reception --json` wrote
    #[arg(long, value_name = "FILE.json")]
    pub(crate) from: PathBuf,
    /// JSON of other trials, for the bars of throughput
    #[arg(long, value_name = "FILE.json")]
    pub(crate) beside: Vec<PathBuf>,
    /// Where the page goes
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: PathBuf,
}

/// Makes the page of a saved result.
pub(crate) fn run(arguments: &PageArguments) -> Result<(), LoadError> {
    let result = read(&arguments.from)?;
    if result.get("what").and_then(Value::as_str) != Some("reception") {
        return Err(LoadError::Usage(format!("{} is not what reception --json writes", arguments.from.display())));
    }
    let page = html(&result, &beside(&arguments.beside)?);
    std::fs::write(&arguments.report, page).map_err(LoadError::io("writing the page"))
}

/// The throughputs that other trials wrote down.
pub(crate) fn beside(files: &[PathBuf]) -> Result<Vec<Group>, LoadError> {
    let mut groups = Vec::new();
    for file in files {
        let found = beside::groups(&read(file)?);
        if found.is_empty() {
            return Err(LoadError::Usage(format!("{} tells no throughput", file.display())));
        }
        groups.extend(found);
    }
    Ok(groups)
}

/// The page of a reception's result.
pub(crate) fn html(result: &Value, beside: &[Group]) -> String {
    let mut sections = vec![
        tables::summary(result),
        section("Latency over the morning", "応答時間の推移", over_time::NOTE, &over_time::plot(result)),
        section("How many wait how long", "パーセンタイル曲線", curve::NOTE, &curve::plot(result)),
    ];
    if !beside.is_empty() {
        sections.push(section("Throughput beside the floor and peers", "処理能力の比較", bars::NOTE, &bars::plot(beside)));
    }
    sections.push(tables::asked(result));
    sections.push(tables::environment(result));
    let title = "Reception, the morning of a region";
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title} <span lang=\"ja\">受付の朝</span></h1>\n{}</main>\n</body>\n</html>\n",
        sections.concat()
    )
}

fn section(heading: &str, japanese: &str, note: &str, content: &str) -> String {
    format!(
        "<section>\n<h2>{} <span lang=\"ja\">{}</span></h2>\n<p class=\"note\">{}</p>\n<div class=\"plot\">{content}</div>\n</section>\n",
        escaped(heading),
        escaped(japanese),
        escaped(note)
    )
}

fn read(file: &Path) -> Result<Value, LoadError> {
    let text = std::fs::read_to_string(file).map_err(|source| LoadError::Io { what: "reading a result", source })?;
    serde_json::from_str(&text).map_err(|error| LoadError::Usage(format!("{} is not JSON: {error}", file.display())))
}

/// A number at a JSON pointer.
fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer).and_then(Value::as_f64)
}

#[cfg(test)]
mod tests;
