//! Standard process metrics, under the names of all Prometheus clients.

use std::fmt;

use procfs::ProcResult;
use procfs::process::Process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};

/// From `/proc`.
#[derive(Debug)]
pub struct ProcessFigures {
    cpu_seconds: f64,
    start_time_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: i64,
    open_files: usize,
}

impl ProcessFigures {
    /// Fails if `/proc` is not mounted or hides this process.
    pub fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = float(procfs::ticks_per_second());
        Ok(Self {
            cpu_seconds: float(stat.utime + stat.stime) / ticks,
            start_time_seconds: float(procfs::boot_time_secs()?) + float(stat.starttime) / ticks,
            resident_bytes: stat.rss * procfs::page_size(),
            virtual_bytes: stat.vsize,
            threads: stat.num_threads,
            open_files: process.fd_count()?,
        })
    }
}

impl Collector for ProcessFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        let help = "CPU time in user and system mode";
        let cpu = encoder.encode_descriptor("process_cpu", help, seconds, MetricType::Counter)?;
        ConstCounter::new(self.cpu_seconds).encode(cpu)?;
        let mut gauge = |name, help, unit, value: f64| -> Result<(), fmt::Error> {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
        };
        let start = "Start time of the process in seconds since 1970";
        gauge("process_start_time", start, seconds, self.start_time_seconds)?;
        gauge("process_resident_memory", "Resident memory", bytes, float(self.resident_bytes))?;
        gauge("process_virtual_memory", "Virtual memory", bytes, float(self.virtual_bytes))?;
        gauge("process_open_fds", "Open files and sockets", None, float(self.open_files as u64))?;
        if let Some(most) = getrlimit(Resource::Nofile).current {
            gauge("process_max_fds", "Limit of open files and sockets", None, float(most))?;
        }
        gauge("process_threads", "Threads", None, float(self.threads.unsigned_abs()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for a graph")]
fn float(value: u64) -> f64 {
    value as f64
}
