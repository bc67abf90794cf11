//! A small file system of a test's own, on a loop device: to fill it, or to cut its power.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted ext4 in a file.
pub struct LoopMount {
    image: PathBuf,
    point: PathBuf,
    mounted: bool,
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

impl LoopMount {
    /// Makes one of that size below the directory. Where that cannot be done (not root, no loop devices) it says why.
    pub fn new(directory: &Path, mebibytes: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it takes root to mount a file system".into());
        }
        let (image, point) = (directory.join("image"), directory.join("mount"));
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(mebibytes << 20).map_err(|error| error.to_string())?;
        std::fs::create_dir(&point).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", text(&image)])?;
        let mut mount = Self { image, point, mounted: false };
        mount.mount()?;
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.point
    }

    fn mount(&mut self) -> Result<(), String> {
        run("mount", &["-o", "loop", text(&self.image), text(&self.point)])?;
        self.mounted = true;
        Ok(())
    }

    /// Shuts the file system down as a power cut does: what is not on its device is gone, and every call fails.
    pub fn cut(&self) -> Result<(), String> {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH. Perl, which every Debian has, makes the call: this crate
        // has no unsafe code.
        const SHUTDOWN: &str = r#"open(my $f, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); ioctl($f, 0x8004587d, $how) or die $!"#;
        run("perl", &["-e", SHUTDOWN, text(&self.point)])
    }

    /// Unmounts and mounts again: the power is back.
    pub fn restore(&mut self) -> Result<(), String> {
        run("umount", &[text(&self.point)])?;
        self.mounted = false;
        self.mount()
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        if self.mounted {
            let _ = run("umount", &["-l", text(&self.point)]);
        }
    }
}
