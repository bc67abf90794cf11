//! The run: what is measured, in which order.

use tokio::runtime::Runtime;

use crate::load::{Failure, Machine, Settings};
use crate::{artifacts, churn, document, size, sizes};

/// Measures all that the settings choose, prints it, and after a whole run writes the document.
pub fn measure_all(settings: &Settings) -> Result<(), Failure> {
    let wanted = sizes::sizes(settings.smoke)?;
    let (by_size, churning) = (settings.chooses("sizes"), settings.chooses("churn"));
    let finding = settings.chooses("artifacts");
    if !by_size && !churning && !finding {
        let message = "BENCH_ONLY chooses nothing; there are sizes, churn and artifacts";
        return Err(Failure::Settings(message.into()));
    }
    let machine = Machine::look(&settings.directory)?;
    let runtime = runtime()?;
    let mut seen = Vec::new();
    if by_size {
        for items in &wanted {
            let size = size::measure(*items, settings, &runtime)?;
            size.print();
            seen.push(size);
        }
    }
    let churned = match churning {
        true => Some(churn::measure(settings, &runtime)?),
        false => None,
    };
    for count in wanted.iter().filter(|_| finding) {
        artifacts::measure(*count, settings, &runtime)?;
    }
    let whole = !settings.smoke && sizes::USUAL.iter().all(|items| wanted.contains(items));
    match churned {
        Some(churned) if whole && by_size => document::write(&machine, settings, &seen, &churned),
        _ => Ok(()),
    }
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("starting the runtime"))
}
