//! How a daemon reacted to damaged data.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::{StreamExt, stream};

use super::harm::{Harm, copy};
use super::patient::Patient;
use super::pristine::{Expected, Pristine, WORKFLOW, essence};

/// How many questions are asked at once.
const QUESTIONS: usize = 16;
/// The exit code of data that is wrong, and the others that a daemon may end with for it (see
/// `warden --help`).
const DATA: i32 = 65;
const DOCUMENTED: [i32; 4] = [DATA, 70, 74, 77];

/// What came of a damage.
pub enum Verdict {
    /// It serves, and everything is there.
    Harmless,
    /// It says what is damaged and does not serve. Where somebody accepts that, so many things are as they
    /// were.
    Refused(usize),
    /// It does not serve, and says that it cannot for another reason.
    Failed,
    /// It serves, and says of what is damaged that it is.
    Told,
    /// Something is missing or changed, and nothing is told of that.
    Silent(String),
    /// Anything else.
    Wrong(String),
}

impl Verdict {
    /// For counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::Refused(_) => "refused",
            Self::Failed => "failed",
            Self::Told => "told",
            Self::Silent(_) => "SILENT",
            Self::Wrong(_) => "WRONG",
        }
    }
}

/// What was found of an item, or of something else.
enum Found {
    AsItWas,
    /// An error that is no "there is none", and which.
    Error(String),
    /// It is missing or another one.
    Other(String),
    /// The bytes are others, which nothing excuses.
    Changed(String),
}

/// How it went when the daemon was started.
enum Outcome {
    /// It served, and this was found, and whether an error was logged by then.
    Served(Vec<Found>, bool),
    /// It ended in good order before it served, with this code.
    Ended(i32),
}

/// Damages a copy of the directory and starts the daemon on it.
pub async fn judge(pristine: &Pristine, harm: Option<&Harm>) -> Verdict {
    try_to_judge(pristine, harm).await.unwrap_or_else(Verdict::Wrong)
}

async fn try_to_judge(pristine: &Pristine, harm: Option<&Harm>) -> Result<Verdict, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    copy(pristine.scene.data(), &data);
    if let Some(harm) = harm {
        harm.do_to(&data);
    }
    let code = match serve(pristine, &data, &[]).await? {
        Outcome::Served(found, is_told) => return weigh(found, is_told),
        Outcome::Ended(code) if harm.is_none() => return Err(format!("it ended with {code}")),
        Outcome::Ended(code) => code,
    };
    if code != DATA {
        return Ok(Verdict::Failed);
    }
    // A refusal changes nothing, so that it is the same data that somebody now accepts as it is.
    match serve(pristine, &data, &["--accept-damage"]).await {
        Ok(Outcome::Served(_, false)) => Err("with --accept-damage no error was logged".into()),
        Ok(Outcome::Served(found, true)) => {
            match found.iter().find(|found| matches!(found, Found::Changed(_))) {
                Some(Found::Changed(what)) => Ok(Verdict::Silent(format!("with --accept-damage {what}"))),
                // Once is enough.
                _ => match serve(pristine, &data, &[]).await {
                    Ok(Outcome::Served(..)) => Ok(Verdict::Refused(
                        found.iter().filter(|found| matches!(found, Found::AsItWas)).count(),
                    )),
                    Ok(Outcome::Ended(code)) => Err(format!(
                        "after --accept-damage it does not start without: {code}: {}",
                        log(&data)
                    )),
                    Err(problem) => Err(format!("after --accept-damage: {problem}")),
                },
            }
        }
        // One digit of FORMAT changed: nobody can tell that from the data of another version.
        Ok(Outcome::Ended(DATA)) if log(&data).contains("run the version that wrote it") => {
            Ok(Verdict::Refused(0))
        }
        Ok(Outcome::Ended(code)) => {
            Err(format!("with --accept-damage it does not start: {code}: {}", log(&data)))
        }
        Err(problem) => Err(format!("with --accept-damage: {problem}")),
    }
}

/// What the daemon said that was last started on this data.
fn log(data: &Path) -> String {
    std::fs::read_to_string(data.with_extension("log")).unwrap_or_default()
}

/// Starts the daemon and looks at what it serves, if it does. An error is an end that nobody may meet.
async fn serve(pristine: &Pristine, data: &Path, arguments: &[&str]) -> Result<Outcome, String> {
    let mut command = pristine.scene.command();
    command.args(arguments).env("WARDEN_STORAGE__PATH", data);
    let started = Patient::start(command, &data.with_extension("log")).await?;
    let mut patient = match started {
        Ok(patient) => patient,
        Err(status) => {
            let said = log(data);
            let code = status.code().filter(|code| DOCUMENTED.contains(code));
            return match code.filter(|_| said.contains(data.to_str().expect("a path of text"))) {
                Some(code) => Ok(Outcome::Ended(code)),
                None => Err(format!("it ended with {status}: {said}")),
            };
        }
    };
    let found = look_at_all(&patient, pristine).await;
    if !patient.is_running() {
        return Err(format!("it ended while it served: {}", log(data)));
    }
    patient.end().await;
    let is_told = log(data).lines().any(|line| line.contains(" ERROR "));
    Ok(Outcome::Served(found?, is_told))
}

/// Makes a verdict of what was found while it served.
fn weigh(found: Vec<Found>, is_told: bool) -> Result<Verdict, String> {
    let (mut errors, mut others) = (Vec::new(), Vec::new());
    for found in found {
        match found {
            Found::AsItWas => {}
            Found::Error(what) => errors.push(what),
            Found::Other(what) => others.push(what),
            Found::Changed(what) => return Ok(Verdict::Silent(what)),
        }
    }
    match (others.first(), errors.first()) {
        (Some(first), _) => {
            let told = if is_told { "; an error was logged" } else { "" };
            Ok(Verdict::Silent(format!("{} things are not as they were: {first}{told}", others.len())))
        }
        (None, Some(_)) if is_told => Ok(Verdict::Told),
        (None, Some(first)) => {
            Err(format!("{} answers are errors of which none was logged: {first}", errors.len()))
        }
        (None, None) => Ok(Verdict::Harmless),
    }
}

async fn look_at_all(patient: &Patient, pristine: &Pristine) -> Result<Vec<Found>, String> {
    let looks = pristine.items.iter().map(|expected| look(patient, expected));
    let looks = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(QUESTIONS);
    let mut found = looks.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    found.push(look_at_list(patient, pristine, &found).await?);
    let (status, silences) = patient.get_json("/v1/silences").await?;
    found.push(match status {
        200 if silences["data"][0]["comment"] == pristine.silences["data"][0]["comment"] => Found::AsItWas,
        200 => Found::Other(format!("the silences are {silences}")),
        _ => Found::Error(format!("the silences are {status} {silences}")),
    });
    Ok(found)
}

/// Lists agree with what is found by name, but for what is an error there.
async fn look_at_list(patient: &Patient, pristine: &Pristine, found: &[Found]) -> Result<Found, String> {
    let list = format!("/v1/items?workflow={WORKFLOW}&state=open&limit=1000");
    let (status, list) = patient.get_json(&list).await?;
    if status != 200 {
        return Ok(Found::Error(format!("the list is {status} {list}")));
    }
    let listed = list["data"].as_array().into_iter().flatten();
    let listed: BTreeSet<String> =
        listed.filter_map(|item| Some(format!("/{}", item["id"].as_str()?))).collect();
    let open = pristine.items.iter().filter(|expected| expected.payload.is_some());
    let missing = open.filter(|expected| !listed.iter().any(|id| expected.path.ends_with(&**id)));
    let missing: Vec<&str> = missing.map(|expected| &*expected.path).collect();
    let errors = found.iter().filter(|found| matches!(found, Found::Error(_))).count();
    Ok(if missing.len() <= errors {
        Found::AsItWas
    } else {
        Found::Other(format!("{} open items are not listed: {:?} …", missing.len(), missing[0]))
    })
}

async fn look(patient: &Patient, expected: &Expected) -> Result<Found, String> {
    let path = &expected.path;
    let (status, item) = patient.get_json(path).await?;
    match status {
        200 if essence(&item) == expected.essence => {}
        200 => return Ok(Found::Other(format!("{path} was {} and is {item}", expected.essence))),
        404 => return Ok(Found::Other(format!("{path} is not there: it was {}", expected.essence))),
        _ => return Ok(Found::Error(format!("{path} is {status} {item}"))),
    }
    let Some(payload) = &expected.payload else { return Ok(Found::AsItWas) };
    let (status, bytes) = match patient.get(&format!("{path}/payload")).await {
        Ok(answer) => answer,
        // Its head may be out before its end is read; a client sees that it is not whole.
        Err(broken) if broken.contains("broken off") => return Ok(Found::Error(broken)),
        Err(problem) => return Err(problem),
    };
    Ok(match status {
        200 if bytes == *payload => Found::AsItWas,
        200 => Found::Changed(format!("the payload of {path} is changed, {} bytes", bytes.len())),
        404 => Found::Other(format!("the payload of {path} is not there")),
        _ => Found::Error(format!("the payload of {path} is {status}: {}", String::from_utf8_lossy(&bytes))),
    })
}
