//! The engines, and the choice between them. `app` and tests alone name one; all else takes [`Store`].
//!
//! To add one, implement the traits of [`Store`] in a module of its own and name it in [`EngineSettings`] and
//! [`open`]. An engine provides:
//!
//! * transactions: the rows that a command reads and writes (`Rows` in `store/command/`). It passes every
//!   command to `settle`, which alone judges preconditions, and commits what that writes as a whole;
//! * durability: an outcome is returned after the data is on disk, and after a failed write none is;
//! * one order of commits, in which the observer gets every change before the outcome is returned;
//! * a limit to what may queue: beyond it nothing is written ([`StoreError::Overloaded`]);
//! * exclusive use: opening what another process has open fails ([`OpenErrorKind::Locked`]);
//! * errors of opening that say what to do, and a state that is cheap to read ([`StoreStatus`]).
//!
//! The conformance suite (`tests/suite/store/conformance/`) checks every engine.
//!
//! [`StoreError::Overloaded`]: crate::store::StoreError::Overloaded
//! [`OpenErrorKind::Locked`]: crate::store::OpenErrorKind::Locked
//! [`StoreStatus`]: crate::store::StoreStatus

pub mod memory;
pub mod sled;

use std::path::Path;
use std::sync::Arc;

use self::memory::MemoryStore;
use self::sled::{SledSettings, SledStore};
use crate::model::Clock;
use crate::store::{CheckError, OpenError, Report, Store};

/// An engine with its settings.
#[derive(Clone, Debug)]
pub enum EngineSettings {
    Memory,
    Sled(SledSettings),
}

/// Opens a store, which is created if there is none.
pub fn open(settings: &EngineSettings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, OpenError> {
    Ok(match settings {
        EngineSettings::Memory => Arc::new(MemoryStore::new()),
        EngineSettings::Sled(settings) => Arc::new(SledStore::open(settings, clock)?),
    })
}

/// Checks the files of a store for damage, without changing them. It copies parts of them to the directory
/// `scratch`. `go_on` is called now and then with the number of bytes read so far, and stops the check by
/// returning false. Damage is in the report.
///
/// # Errors
/// The directory cannot be checked.
pub fn check(path: &Path, scratch: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Report, CheckError> {
    sled::check::check(path, scratch, go_on)
}
