//! Small file systems for a row: to be filled, to lose power or their disk, to become read-only.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often, and how far apart, it is looked whether the kernel has let go of a file system that is mounted
/// nowhere: for half a minute in all.
const RELEASE_TRIES: u32 = 3_000;
const RELEASE_PAUSE: Duration = Duration::from_millis(10);

/// A mounted ext4 in a file.
pub struct LoopMount {
    image: PathBuf,
    point: PathBuf,
    mounted: bool,
}

/// A process in a mount namespace of its own.
pub struct Elsewhere(Child);

/// A file system in memory, of a size that can be changed. A disk in a file in it has as much room as that,
/// whatever it promises.
pub struct MemoryMount {
    point: PathBuf,
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    output(program, arguments).map(|_| ())
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn only_root() -> Result<(), String> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err("it takes root to mount a file system".into())
    }
}

/// The processes, one of each mount namespace, that have the device mounted.
fn holders(device: &str) -> Vec<String> {
    let mut by_namespace = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let (path, process) = (entry.path(), entry.file_name());
        // What is no process, or has ended, has neither.
        let mounts = std::fs::read_to_string(path.join("mounts")).unwrap_or_default();
        let has_it = mounts.lines().any(|mount| mount.split(' ').next() == Some(device));
        if let (true, Ok(namespace)) = (has_it, std::fs::read_link(path.join("ns/mnt"))) {
            by_namespace.insert(namespace, process.to_string_lossy().into_owned());
        }
    }
    by_namespace.into_values().collect()
}

impl LoopMount {
    /// Makes one of that size below the directory. Where that cannot be done (not root, no loop devices) it
    /// says why.
    pub fn new(directory: &Path, mebibytes: u64) -> Result<Self, String> {
        Self::made(directory, mebibytes, &[])
    }

    /// The same, with nothing kept back for root: who works in it has all of it.
    pub fn without_reserve(directory: &Path, mebibytes: u64) -> Result<Self, String> {
        Self::made(directory, mebibytes, &["-m", "0"])
    }

    fn made(directory: &Path, mebibytes: u64, options: &[&str]) -> Result<Self, String> {
        only_root()?;
        let (image, point) = (directory.join("image"), directory.join("mount"));
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(mebibytes << 20).map_err(|error| error.to_string())?;
        std::fs::create_dir(&point).map_err(|error| error.to_string())?;
        // As the kernel names it.
        let image = image.canonicalize().map_err(|error| error.to_string())?;
        run("mkfs.ext4", &[options, &["-q", "-F", text(&image)]].concat())?;
        let mut mount = Self { image, point, mounted: false };
        mount.mount()?;
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.point
    }

    fn mount(&mut self) -> Result<(), String> {
        run("mount", &["-o", "loop,errors=remount-ro", text(&self.image), text(&self.point)])?;
        self.mounted = true;
        Ok(())
    }

    fn device(&self) -> Result<String, String> {
        output("findmnt", &["--noheadings", "--output", "SOURCE", text(&self.point)])
    }

    /// Unmounts it, and waits until the kernel has let go of it. Whoever made a mount namespace meanwhile, as
    /// services do, has the mount there too, and would keep the file system: mounted again it would be the
    /// one without power.
    fn unmount(&mut self) -> Result<(), String> {
        let device = self.device()?;
        run("umount", &[text(&self.point)])?;
        self.mounted = false;
        let backing =
            Path::new("/sys/block").join(device.trim_start_matches("/dev/")).join("loop/backing_file");
        let is_held =
            || std::fs::read_to_string(&backing).is_ok_and(|file| Path::new(file.trim_end()) == self.image);
        for _ in 0..RELEASE_TRIES {
            if !is_held() {
                return Ok(());
            }
            for process in holders(&device) {
                // It may have ended by now.
                let _ = run("nsenter", &["--target", &process, "--mount", "umount", text(&self.point)]);
            }
            std::thread::sleep(RELEASE_PAUSE);
        }
        let holders = holders(&device);
        Err(format!("{device} is held by the mount namespaces of these processes: {holders:?}"))
    }

    /// Has a process keep the file system mounted in a mount namespace of its own, as services that start
    /// meanwhile do.
    pub fn hold_elsewhere(&self) -> Result<Elsewhere, String> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "echo; exec sleep infinity"]).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut line = [0];
        // Nothing comes where there are no namespaces.
        let _ = process.stdout.take().expect("its output").read(&mut line);
        Ok(Elsewhere(process))
    }

    /// Shuts the file system down as a power cut does: what is not on its device is gone, and every call
    /// fails.
    pub fn cut(&self) -> Result<(), String> {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH. Perl, which every Debian has, makes the call:
        // this crate has no unsafe code.
        const SHUTDOWN: &str = r#"open(my $f, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); ioctl($f, 0x8004587d, $how) or die $!"#;
        run("perl", &["-e", SHUTDOWN, text(&self.point)])
    }

    /// Has the kernel find an error in the file system, upon which it makes it read-only under everybody's
    /// hands.
    pub fn find_error(&self) -> Result<(), String> {
        let device = self.device()?;
        let name = device.trim_start_matches("/dev/");
        let trigger = Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error");
        std::fs::write(&trigger, "a test").map_err(|error| format!("{}: {error}", trigger.display()))
    }

    /// Unmounts and mounts again: the power is back.
    pub fn restore(&mut self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    /// Unmounts, repairs and mounts again, as whoever looks after the machine does.
    pub fn repair(&mut self) -> Result<(), String> {
        self.unmount()?;
        let check = Command::new("e2fsck").args(["-f", "-y", text(&self.image)]).output();
        let check = check.map_err(|error| format!("e2fsck: {error}"))?;
        // 1 says that there was something to repair.
        if !matches!(check.status.code(), Some(0 | 1)) {
            return Err(format!("e2fsck: {}", String::from_utf8_lossy(&check.stdout)));
        }
        self.mount()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        if self.mounted {
            let _ = run("umount", &["-l", text(&self.point)]);
        }
    }
}

impl MemoryMount {
    /// Makes one of that size below the directory. Where that cannot be done (not root) it says why.
    pub fn new(directory: &Path, mebibytes: u64) -> Result<Self, String> {
        only_root()?;
        let point = directory.join("memory");
        std::fs::create_dir(&point).map_err(|error| error.to_string())?;
        run("mount", &["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs", text(&point)])?;
        Ok(Self { point })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Gives it another size.
    pub fn resize(&self, mebibytes: u64) -> Result<(), String> {
        run("mount", &["-o", &format!("remount,size={mebibytes}m"), text(&self.point)])
    }
}

impl Drop for MemoryMount {
    fn drop(&mut self) {
        let _ = run("umount", &["-l", text(&self.point)]);
    }
}
