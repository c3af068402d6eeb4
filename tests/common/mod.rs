//! What the black-box tests share: the program run as a user runs it, a small HTTP client, rows of registration files.
//!
//! Every test file takes what it needs, so what one of them leaves unused is no fault.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub mod crash;
pub mod houses;
pub mod liar;
pub mod limits;
pub mod proof;
pub mod proxy;
pub mod site;
pub mod small_disk;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for a busy machine, short enough to notice that something hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shikaku"));
    command.env_remove("SHIKAKU_LOG").env_remove("SHIKAKU_TOKEN").stdin(Stdio::null());
    command
}

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the program writes UTF-8");
        Said { status: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Fails the test, with all that was said, unless the status is this one.
    #[track_caller]
    pub fn ends(self, status: i32) -> Said {
        assert_eq!(self.status, status, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// Whether the text stands in either stream.
    pub fn mentions(&self, text: &str) -> bool {
        self.out.contains(text) || self.err.contains(text)
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// Runs the program to its end.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Said {
    Said::of(&program().args(arguments).output().unwrap())
}

/// Runs the program with something on its standard input.
pub fn run_with_input<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>, input: &str) -> Said {
    let mut command = program();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Said::of(&child.wait_with_output().unwrap())
}

/// A command line split at spaces, `{data}` and the like filled in by the caller with `format!`. Paths of temporary directories hold
/// no spaces.
pub fn shikaku(line: &str) -> Said {
    run(line.split_whitespace())
}

/// The lines of a stream as they come, for a test to wait on.
#[derive(Clone, Default)]
pub struct Lines(Arc<(Mutex<Heard>, Condvar)>);

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Lines {
        let lines = Lines::default();
        let heard = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                heard.0.0.lock().unwrap().lines.push(String::from_utf8_lossy(&line).into_owned());
                heard.0.1.notify_all();
            }
            heard.0.0.lock().unwrap().ended = true;
            heard.0.1.notify_all();
        });
        lines
    }

    pub fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }

    /// Waits until the lines, all of them, give something; `None` when the stream ends first.
    pub fn wait<T>(&self, mut give: impl FnMut(&[String]) -> Option<T>) -> Option<T> {
        let until = Instant::now() + PATIENCE;
        let mut heard = self.0.0.lock().unwrap();
        loop {
            if let Some(given) = give(&heard.lines) {
                return Some(given);
            }
            if heard.ended {
                return None;
            }
            let left = until.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("nothing came of it: {:#?}", heard.lines));
            heard = self.0.1.wait_timeout(heard, left).unwrap().0;
        }
    }

    /// Everything, once the stream has ended.
    pub fn to_end(&self) -> Vec<String> {
        self.wait(|_| None::<()>);
        self.all()
    }
}

/// A running program. It is killed when the test lets go of it, however the test ends.
pub struct Running {
    child: Child,
    pub out: Lines,
    pub err: Lines,
}

impl Running {
    pub fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Running {
        Running::of(program().args(arguments))
    }

    /// The program as some command starts it.
    pub fn of(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (Lines::of(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
        Running { child, out, err }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([format!("-{signal}"), self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; the status, and how long it took.
    pub fn wait(&mut self) -> (i32, Duration) {
        let began = Instant::now();
        self.out.to_end();
        self.err.to_end();
        (self.child.wait().unwrap().code().unwrap_or(-1), began.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server that answers.
pub struct Server {
    pub process: Running,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(data: &Path) -> Server {
        Server::start_with(data, &[])
    }

    /// Waits for the word that it is ready, and takes its address from there: port 0 leaves the choice to the system.
    #[track_caller]
    pub fn start_with(data: &Path, more: &[&str]) -> Server {
        let mut arguments = vec!["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        arguments.extend(more);
        Server::of(Running::start(arguments))
    }

    #[track_caller]
    pub fn of(process: Running) -> Server {
        let address = process.err.wait(|lines| lines.iter().find_map(|line| address_in(line)));
        let address = address.unwrap_or_else(|| panic!("it does not serve: {:#?}", process.err.all()));
        Server { process, address }
    }

    pub fn connect(&self) -> Http {
        Http::to(self.address)
    }

    /// Where its API listens, from its own word.
    #[track_caller]
    pub fn api(&self) -> SocketAddr {
        let said = |lines: &[String]| lines.iter().find_map(|line| houses::said(line, "the API listens", "address"));
        let address = self.process.err.wait(said);
        address.unwrap_or_else(|| panic!("no API: {:#?}", self.process.err.all())).parse().unwrap()
    }

    pub fn get(&self, target: &str) -> Answer {
        self.connect().ask("GET", target, &[], b"")
    }

    /// One question in JSON.
    pub fn question(&self, body: &str) -> Answer {
        self.connect().question(body)
    }

    /// Lines of the batch form, answered in the compact form.
    pub fn batch(&self, query: &str, lines: &str) -> Vec<String> {
        self.connect().batch(query, lines)
    }

    pub fn status(&self) -> Value {
        self.get("/v1/status").json()
    }

    /// What the status page says of the state, once it shows this sequence.
    pub fn state_checksum(&self) -> String {
        self.status()["state_checksum"].as_str().unwrap().to_owned()
    }

    /// Asks it to stop, and waits.
    pub fn stop(mut self) -> i32 {
        self.process.signal("TERM");
        self.process.wait().0
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    (fields["message"] == "ready").then(|| fields["address"].as_str().unwrap().parse().unwrap())
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Status and error code.
    #[track_caller]
    pub fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("{}", self.body)).to_owned())
    }

    #[track_caller]
    pub fn succeeds(self) -> Answer {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// One connection.
pub struct Http<S: Read + Write = TcpStream>(BufReader<S>);

impl Http {
    pub fn to(address: SocketAddr) -> Http {
        Http::over(connected(address))
    }
}

/// A connection on which nothing is waited for longer than is reasonable.
pub fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl<S: Read + Write> Http<S> {
    pub fn over(stream: S) -> Http<S> {
        Http(BufReader::new(stream))
    }

    pub fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" || !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes);
        self.receive()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    pub fn receive(&mut self) -> Answer {
        self.try_receive().unwrap_or_else(|error| panic!("{error}"))
    }

    /// An answer, or how the connection ended.
    pub fn try_receive(&mut self) -> std::io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, format!("the connection ended: {head:?}")));
            }
        }
        let mut answer = Answer { status: head[9..12].parse().unwrap(), head, body: String::new() };
        let length = answer.header("Content-Length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).unwrap();
        Ok(answer)
    }

    pub fn question(&mut self, body: &str) -> Answer {
        self.ask("POST", "/v1/eligibility", &[("Content-Type", "application/json")], body.as_bytes())
    }

    pub fn batch(&mut self, query: &str, lines: &str) -> Vec<String> {
        let headers = [("Content-Type", "text/tab-separated-values"), ("Accept", "text/tab-separated-values")];
        let target = format!("/v1/eligibility/batch?{query}");
        let answer = self.ask("POST", &target, &headers, lines.as_bytes()).succeeds();
        answer.body.lines().map(str::to_owned).collect()
    }
}

/// Today in Japan, which the horizon hangs on.
pub fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(9))).date()
}

/// A day so many days from today.
pub fn day(days: i64) -> String {
    use jiff::ToSpan;
    (today() + days.days()).to_string()
}

/// The columns of a registration file.
pub const COLUMNS: [&str; 29] = [
    "op",
    "authority_code",
    "certificate_type_id",
    "certificate_name",
    "insurer_number",
    "symbol",
    "number",
    "branch_number",
    "birth_date",
    "sex",
    "payer_number",
    "recipient_number",
    "sub_key",
    "history_key",
    "segment",
    "income_segment",
    "additional_conditions",
    "designated_institutions",
    "always_reimbursement",
    "not_disclosed",
    "rate_percent",
    "outpatient_visit_yen",
    "inpatient_day_yen",
    "pharmacy_visit_yen",
    "monthly_cap_yen",
    "monthly_visits_cap",
    "valid_from",
    "valid_to",
    "card_link",
];

/// Hachioji, which took part in the pilot's population of authorities.
pub const HACHIOJI: &str = "132012";
/// Hachioji's scheme for infants.
pub const INFANTS: &str = "88138243";
/// A hospital with a right check digit.
pub const HOSPITAL: &str = "0110113719";
/// Another one, in another prefecture.
pub const FAR_HOSPITAL: &str = "3618010015";

/// One row of a registration file.
#[derive(Clone, Debug)]
pub struct Row([String; 29]);

impl Row {
    /// A row that is in force today and for a year on either side, of the person whose number is this.
    pub fn of(number: u64) -> Row {
        let row = Row(std::array::from_fn(|_| String::new()));
        row.with("op", "upsert")
            .with("authority_code", HACHIOJI)
            .with("certificate_type_id", "A1")
            .with("certificate_name", "乳幼児医療証")
            .with("insurer_number", "06132013")
            .with("symbol", "1234")
            .with("number", number.to_string())
            .with("branch_number", "00")
            .with("birth_date", "1980-01-01")
            .with("sex", "1")
            .with("payer_number", INFANTS)
            .with("recipient_number", format!("R{number}"))
            .with("history_key", "1")
            .with("always_reimbursement", "0")
            .with("not_disclosed", "0")
            .with("outpatient_visit_yen", "200")
            .with("valid_from", day(-365))
            .with("valid_to", day(365))
            .with("card_link", format!("card-{number}"))
    }

    #[must_use]
    pub fn with(mut self, column: &str, value: impl Into<String>) -> Row {
        let place = COLUMNS.iter().position(|name| *name == column).unwrap_or_else(|| panic!("no column {column}"));
        self.0[place] = value.into();
        self
    }

    pub fn value(&self, column: &str) -> &str {
        &self.0[COLUMNS.iter().position(|name| *name == column).unwrap()]
    }

    /// The withdrawal of this row: nothing but its identity.
    #[must_use]
    pub fn withdrawn(&self) -> Row {
        let kept = ["authority_code", "certificate_type_id", "birth_date", "recipient_number", "sub_key", "history_key"];
        let mut row = Row(std::array::from_fn(|_| String::new())).with("op", "delete");
        for column in kept {
            row = row.with(column, self.value(column));
        }
        row
    }

    pub fn line(&self) -> String {
        let quoted = |value: &String| {
            if value.contains([',', '"', '\n']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.clone() }
        };
        self.0.iter().map(quoted).collect::<Vec<_>>().join(",")
    }
}

/// A registration file's text.
pub fn csv<'r>(rows: impl IntoIterator<Item = &'r Row>) -> String {
    let mut text = COLUMNS.join(",");
    text.push('\n');
    for row in rows {
        text.push_str(&row.line());
        text.push('\n');
    }
    text
}

/// A temporary directory with a data directory's path in it.
pub struct Place(pub TempDir);

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// The same in a directory that is on some other disk.
    pub fn within(directory: &Path) -> Place {
        Place(TempDir::new_in(directory).unwrap())
    }

    /// Another place with a copy of the data directory, which nobody may own.
    pub fn copied(&self) -> Place {
        let copy = Place::new();
        let status = Command::new("cp").arg("-a").args([self.data(), copy.data()]).status().unwrap();
        assert!(status.success());
        copy
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The data directory; it need not exist.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A file with these rows.
    pub fn file<'r>(&self, name: &str, rows: impl IntoIterator<Item = &'r Row>) -> PathBuf {
        self.write(name, csv(rows))
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a command that takes `--data`, on this place's data directory.
    pub fn run(&self, command: &str, more: &[&str]) -> Said {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        let data = self.data();
        arguments.extend(["--data", data.to_str().unwrap()]);
        arguments.extend(more);
        run(arguments)
    }

    /// Imports rows, through whatever owns the directory.
    pub fn import<'r>(&self, name: &str, rows: impl IntoIterator<Item = &'r Row>, more: &[&str]) -> Said {
        let file = self.file(name, rows);
        let mut arguments = more.to_vec();
        arguments.push(file.to_str().unwrap());
        self.run("import", &arguments)
    }

    /// Sequence and state checksum as `verify` gives them; the test fails on damage.
    #[track_caller]
    pub fn verified(&self) -> Value {
        let report = self.run("verify", &["--json"]).ends(0).json();
        assert!(report["fault"].is_null(), "{report}");
        report
    }

    #[track_caller]
    pub fn state_checksum(&self) -> String {
        self.verified()["state_checksum"].as_str().unwrap().to_owned()
    }

    pub fn serve(&self) -> Server {
        Server::start(&self.data())
    }

    /// Serves with this configuration.
    pub fn serve_configured(&self, config: &str) -> Server {
        let config = self.write("shikaku.toml", config);
        Server::start_with(&self.data(), &["--config", config.to_str().unwrap()])
    }
}

/// The line of the batch form that asks about the person of a row made by [`Row::of`].
pub fn ask_member(row: &Row) -> String {
    let value = |column| row.value(column);
    let member = format!("{}:{}:{}:{}", value("insurer_number"), value("symbol"), value("number"), value("branch_number"));
    format!("m\t{member}\t{}", value("birth_date"))
}

/// The same question in JSON, with consent, as of a day.
pub fn member_json(row: &Row, on: &str) -> String {
    let value = |column| row.value(column);
    serde_json::json!({
        "member": {
            "insurer_number": value("insurer_number"), "symbol": value("symbol"), "number": value("number"),
            "branch_number": value("branch_number"), "birth_date": value("birth_date"),
        },
        "service_date": on,
        "consent": true,
    })
    .to_string()
}

/// Every file below a directory with its bytes, by its path: what "nothing changed" is judged by.
pub fn bytes_below(directory: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut bytes_below(&path));
        } else if path.is_file() {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// Whether a condition comes true; it is looked at again and again.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
