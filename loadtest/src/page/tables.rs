//! What is better read than seen.

use serde_json::Value;

use super::number;
use super::svg::{escaped, ms};
use crate::report::thousands;

/// The verdict, the figures that matter most, and what had to hold.
pub(super) fn summary(result: &Value) -> String {
    let met = result.get("met") == Some(&Value::Bool(true));
    let (class, said) = if met {
        ("met", "✓ All thresholds are met <span lang=\"ja\">合格</span>")
    } else {
        ("missed", "✗ Thresholds are missed <span lang=\"ja\">不合格</span>")
    };
    let day = |name: &str| text(result, &format!("/day/{name}"));
    let line = format!(
        "{} to {} of a {}, {} seconds of the day in each second of the run; {} recipients, {} look-ups, {} answers",
        day("from"),
        day("to"),
        if day("weekday") == "monday" { "Monday".to_owned() } else { "day other than Monday".to_owned() },
        day("compress"),
        count(result, "/population/recipients"),
        count(result, "/asked/lookups"),
        text(result, "/form"),
    );
    let latency = |name: &str| number(result, &format!("/latency_ms/{name}")).map_or("–".to_owned(), ms);
    let cards = [
        ("p50", "中央値", latency("p50")),
        ("p99", "99パーセンタイル", latency("p99")),
        ("p99.9", "99.9パーセンタイル", latency("p99.9")),
        ("slowest", "最大", latency("max")),
        ("look-ups a second at the crest", "ピーク件数/秒", count(result, "/day/crest_per_s")),
        ("server CPU a look-up", "サーバCPU/件", cpu(result)),
    ];
    let card = |(name, japanese, value): &(&str, &str, String)| {
        format!("<div class=\"card\"><b>{}</b><span>{name}</span><span lang=\"ja\">{japanese}</span></div>", escaped(value))
    };
    format!(
        "<p class=\"verdict {class}\">{said}</p>\n<p class=\"note\">{}</p>\n<div class=\"cards\">{}</div>\n{}",
        escaped(&line),
        cards.iter().map(card).collect::<String>(),
        requirements(result)
    )
}

fn requirements(result: &Value) -> String {
    let rows = result.get("requirements").and_then(Value::as_array).into_iter().flatten().map(|requirement| {
        let said = |name: &str| text(requirement, &format!("/{name}"));
        let figure = |name: &str| number(requirement, &format!("/{name}")).map_or("none".to_owned(), plain) + &said("unit");
        let met = requirement.get("met") == Some(&Value::Bool(true));
        let (class, mark) = if met { ("met", "✓".to_owned()) } else { ("missed", format!("✗ {}", said("else_means"))) };
        let name = format!("{} <span lang=\"ja\">{}</span>", escaped(&said("name")), escaped(&said("japanese")));
        let cells =
            [escaped(&figure("measured")), escaped(&figure("at_most"))].map(|cell| format!("<td class=\"number\">{cell}</td>"));
        format!("<tr><th scope=\"row\">{name}</th>{}<td class=\"{class}\">{}</td></tr>\n", cells.concat(), escaped(&mark))
    });
    let head = "<tr><th>what must hold <span lang=\"ja\">条件</span></th><th class=\"number\">measured <span lang=\"ja\">実測</span></th>\
                <th class=\"number\">at most <span lang=\"ja\">上限</span></th><th></th></tr>";
    format!("<section><div class=\"wide\"><table>{head}\n{}</table></div></section>\n", rows.collect::<String>())
}

/// Who asked what, and how long each kind waited.
pub(super) fn asked(result: &Value) -> String {
    let kinds = [("hospital", "病院"), ("clinic", "医科診療所"), ("dental", "歯科診療所"), ("pharmacy", "薬局")];
    let mut rows: Vec<String> = kinds
        .iter()
        .map(|(name, japanese)| waits(name, japanese, result.pointer(&format!("/latency_by_institution_ms/{name}"))))
        .collect();
    rows.push(waits("on a short connection", "短時間接続", result.get("latency_on_short_connections_ms")));
    rows.push(waits("sent late by the generator", "送信遅れ", result.pointer("/generator/lateness_ms")));
    let head = "<tr><th></th><th class=\"number\">look-ups</th><th class=\"number\">p50</th><th class=\"number\">p99</th>\
                <th class=\"number\">p99.9</th><th class=\"number\">slowest</th></tr>";
    format!(
        "<section><h2>Who asked <span lang=\"ja\">照会の内訳</span></h2>\n<div class=\"wide\"><table>{head}\n{}</table></div>\n<ul>\n{}</ul></section>\n",
        rows.concat(),
        remarks(result).iter().map(|remark| format!("<li>{}</li>\n", escaped(remark))).collect::<String>()
    )
}

fn waits(name: &str, japanese: &str, of: Option<&Value>) -> String {
    let figure = |quantile: &str| of.and_then(|of| of.get(quantile)).and_then(Value::as_f64);
    let asked = figure("count").unwrap_or(0.0);
    let cells =
        ["p50", "p99", "p99.9", "max"].map(|quantile| figure(quantile).filter(|_| asked > 0.0).map_or("–".to_owned(), ms));
    let cell = |text: &String| format!("<td class=\"number\">{}</td>", escaped(text));
    format!(
        "<tr><th scope=\"row\">{name} <span lang=\"ja\">{japanese}</span></th>{}{}</tr>\n",
        cell(&thousands(asked)),
        cells.iter().map(cell).collect::<String>()
    )
}

fn remarks(result: &Value) -> Vec<String> {
    let mut remarks = vec![
        format!("Occasions: {}.", listed(result, "/asked/occasions")),
        format!("Right answers by verdict letter: {}.", listed(result, "/asked/right_answers")),
        format!(
            "{} kept connections behind {} gateways, and up to {} short ones at once.",
            count(result, "/region/kept_connections"),
            count(result, "/region/gateways"),
            count(result, "/region/short_connections_at_once")
        ),
        format!(
            "The night before: {} look-ups in {} batches, {} s.",
            count(result, "/night/lookups"),
            count(result, "/night/batches"),
            text(result, "/night/seconds")
        ),
    ];
    for file in result.pointer("/changes/imported").and_then(Value::as_array).into_iter().flatten() {
        let said = |name: &str| text(file, &format!("/{name}"));
        remarks.push(format!("Imported at {}: {} rows in {} s.", said("at"), said("rows"), said("seconds")));
    }
    if let Some(wrong) = number(result, "/changes/newcomers/wrong") {
        let asked = count(result, "/changes/newcomers/asked_about_afterwards");
        remarks.push(format!("Afterwards {asked} of the newcomers were asked about; {} answers were wrong.", thousands(wrong)));
    }
    if let Some(after) = number(result, "/reconnected_after_ms") {
        remarks.push(format!("All gateways hung up at once and were back after {}.", ms(after)));
    }
    if let Some(again) = number(result, "/asked_again").filter(|again| *again > 0.0) {
        let why = "because their connections went down with all others, or after a silence";
        remarks.push(format!("Look-ups asked a second time, {why}: {}.", thousands(again)));
    }
    remarks
}

/// Where the figures come from.
pub(super) fn environment(result: &Value) -> String {
    let names = ["/environment", "/population", "/day"];
    let fields = names.iter().filter_map(|name| result.pointer(name).and_then(Value::as_object)).flatten();
    let rows: String = fields
        .filter(|(_, value)| !value.is_object() && !value.is_array())
        .map(|(name, value)| {
            let name = escaped(&name.replace('_', " "));
            format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n", escaped(&shown(value)))
        })
        .collect();
    format!(
        "<section><h2>Where and how <span lang=\"ja\">測定環境</span></h2>\n<div class=\"wide\"><table class=\"environment\">{rows}</table></div></section>\n"
    )
}

fn cpu(result: &Value) -> String {
    number(result, "/server_cpu_ns_per_lookup").map_or("–".to_owned(), |ns| format!("{:.1} µs", ns / 1_000.0))
}

fn listed(result: &Value, pointer: &str) -> String {
    let fields = result.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    let named: Vec<String> = fields.map(|(name, value)| format!("{name} {}", thousands(value.as_f64().unwrap_or(0.0)))).collect();
    named.join(", ")
}

fn count(result: &Value, pointer: &str) -> String {
    number(result, pointer).map_or("–".to_owned(), thousands)
}

fn text(result: &Value, pointer: &str) -> String {
    result.pointer(pointer).map(shown).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Three digits behind the point where there are any.
fn plain(value: f64) -> String {
    if value.fract() == 0.0 { thousands(value) } else { format!("{value:.3}") }
}
