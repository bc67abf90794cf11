//! Which rows run, and for how long: command line and environment.

/// How long each row is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As long as every run of the tests can bear.
    Short,
    /// As long as somebody who waits for nothing can bear.
    Long,
    /// So many rounds.
    Rounds(u32),
}

impl Extent {
    /// How many rounds that is for a row that has so many in a short run, and so many in a long one.
    pub fn rounds(self, short: u32, long: u32) -> u32 {
        match self {
            Self::Short => short,
            Self::Long => long,
            Self::Rounds(rounds) => rounds,
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To try the rows.
    Try,
    /// To say which there are.
    List,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Choice {
    /// How long.
    pub extent: Extent,
    /// What for.
    pub wish: Wish,
    /// Whether a row that cannot be tried has failed.
    pub required: bool,
    /// Parts of names, one of which a row must have; none at all is no limit. First those of `FAULTS_ONLY`,
    /// then those of the command line: a row must pass both.
    only: [Vec<String>; 2],
    /// Whether the command line means whole names.
    exact: bool,
    /// Parts of names that a row must not have.
    skip: Vec<String>,
    /// No row is an ignored one.
    ignored: bool,
}

/// The options of test programs that are followed by a value.
const WITH_VALUE: [&str; 6] = ["--color", "--format", "--logfile", "--test-threads", "--shuffle-seed", "-Z"];

impl Choice {
    /// Reads the arguments and variables of this process.
    ///
    /// # Errors
    /// When `FAULTS` says nothing that can be done.
    pub fn of_this_process() -> Result<Self, String> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let extent = match &*variable("FAULTS") {
            "" | "short" => Extent::Short,
            "long" => Extent::Long,
            text => match text.parse() {
                Ok(rounds) if rounds > 0 => Extent::Rounds(rounds),
                _ => return Err(format!("FAULTS is {text:?}: set it to short, long, or a number of rounds")),
            },
        };
        let named = variable("FAULTS_ONLY");
        let named = named.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let mut choice = Self {
            extent,
            wish: Wish::Try,
            required: variable("FAULTS_REQUIRED") == "1",
            only: [named.collect(), Vec::new()],
            exact: false,
            skip: Vec::new(),
            ignored: false,
        };
        choice.read(std::env::args().skip(1));
        Ok(choice)
    }

    /// Reads what `cargo test` and other runners say to test programs. What means nothing here is passed
    /// over.
    fn read(&mut self, mut arguments: impl Iterator<Item = String>) {
        while let Some(argument) = arguments.next() {
            match &*argument {
                "--list" => self.wish = Wish::List,
                "--exact" => self.exact = true,
                "--ignored" => self.ignored = true,
                "--skip" => self.skip.extend(arguments.next()),
                option if WITH_VALUE.contains(&option) => drop(arguments.next()),
                option if option.starts_with('-') => {}
                _ => self.only[1].push(argument),
            }
        }
    }

    /// Whether the row of this name is meant.
    pub fn takes(&self, row: &str) -> bool {
        let [named, asked] = &self.only;
        let fits = |part: &String| if self.exact { row == part } else { row.contains(&**part) };
        !self.ignored
            && (named.is_empty() || named.iter().any(|part| row.contains(&**part)))
            && (asked.is_empty() || asked.iter().any(fits))
            && !self.skip.iter().any(|part| row.contains(&**part))
    }
}
