//! The page of a made-up morning.

use serde_json::json;

use super::*;

fn result() -> Value {
    let interval = |nth: u32, rate: f64, known: bool| {
        json!({
            "at": "08:20", "minute": 500.0 + f64::from(nth), "offered_per_s": rate,
            "p50": known.then_some(0.12), "p99": known.then_some(0.9), "p99.9": known.then_some(4.5),
        })
    };
    let intervals: Vec<Value> = (0..60).map(|nth| interval(nth, f64::from(nth) * 800.0, nth != 7)).collect();
    json!({
        "what": "reception", "met": false,
        "requirements": [
            { "name": "p99", "japanese": "", "measured": 2.5, "at_most": 2.0, "unit": " ms", "met": false, "else_means": "patients wait" },
            { "name": "p99.9", "japanese": "", "measured": 4.5, "at_most": 10.0, "unit": " ms", "met": true, "else_means": "" },
        ],
        "environment": { "cpu": "<script>alert('x')</script> & \"sons\"", "cores": 2 },
        "day": { "from": "08:20", "to": "09:20", "weekday": "monday", "compress": 60, "crest_per_s": 50_000 },
        "asked": { "lookups": 1_234_567, "occasions": { "visit": 7 } },
        "latency_ms": { "p50": 0.12, "p99": 2.5, "p99.9": 4.5, "max": 31.0 },
        "events": [{ "minute": 510.0, "what": "doors" }, { "minute": 540.0, "what": "doors" }, { "minute": 550.0, "what": "reconnect" }],
        "intervals": intervals,
        "curve": [[1, 0.05], [10, 0.3], [100, 2.5], [1_000, 4.5], [5_000, 31.0]],
        "curve_from_sending": [[1, 0.04], [10, 0.2], [100, 0.5], [1_000, 0.8], [5_000, 2.0]],
    })
}

fn groups() -> Vec<Group> {
    beside::groups(
        &json!([{ "what": "batch <1,000>", "appliance": { "lookups_per_s": 3e6 }, "redis": { "lookups_per_s": 1.5e6 } }]),
    )
}

#[test]
fn a_page_has_its_plots_its_verdict_and_its_figures() {
    let page = html(&result(), &groups());
    assert_eq!(page.matches("<svg ").count(), 3);
    assert_eq!(page.matches("</svg>").count(), 3);
    for part in
        ["class=\"line p50\"", "class=\"line p99\"", "class=\"line p999\"", "class=\"line intended\"", "class=\"offered\""]
    {
        assert!(page.contains(part), "{part}");
    }
    for said in
        ["Thresholds are missed", "patients wait", "1,234,567", "p99 ≤ 2 ms", "doors", "reconnect", "08:30", "99.9 %", "× 0.50"]
    {
        assert!(page.contains(said), "{said}");
    }
    assert_eq!(html(&result(), &[]).matches("<svg ").count(), 2, "without other trials there are no bars");
}

#[test]
fn whatever_stands_in_a_result_is_text_in_the_page() {
    let page = html(&result(), &groups());
    assert!(!page.contains("<script") && !page.contains("batch <1,000>"));
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;sons&quot;"));
    assert!(page.contains("batch &lt;1,000&gt;"));
}

#[test]
fn a_page_needs_nothing_else() {
    let page = html(&result(), &groups());
    for outside in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn each_line_has_a_point_for_each_part_of_the_morning_that_is_known() {
    let page = html(&result(), &[]);
    let path = page.split("<path class=\"line p999\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    // The eighth is unknown: the line ends before it and begins anew after it.
    assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 57));
}

#[test]
fn a_result_without_anything_still_makes_a_page() {
    let page = html(&json!({}), &[]);
    assert!(page.contains("Thresholds are missed") && page.ends_with("</html>\n"));
}

#[test]
fn what_is_no_result_is_refused_by_name() {
    let directory = std::env::temp_dir().join(format!("loadtest-page-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let from = directory.join("other.json");
    std::fs::write(&from, "{\"what\":\"single\"}").unwrap();
    let arguments = PageArguments { from: from.clone(), beside: vec![from], report: directory.join("page.html") };
    assert!(run(&arguments).unwrap_err().to_string().contains("other.json is not what reception"));
    assert!(beside(&arguments.beside).unwrap_err().to_string().contains("other.json tells no throughput"));
    std::fs::remove_dir_all(&directory).unwrap();
}
