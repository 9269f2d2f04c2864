//! Which of the wheel's workers runs on this processor.

use std::path::{Path, PathBuf};

use strongroom_sandbox::{Cpu, InstructionSet};

use crate::HostError;

/// A worker's executable, and what it is compiled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// It may not be there: that is said when it is to be started.
    pub path: PathBuf,
    /// What `path` is compiled for.
    pub instruction_set: InstructionSet,
}

impl Executable {
    fn in_directory(directory: &Path, instruction_set: InstructionSet) -> Self {
        let name = format!("strongroom-worker-{}", instruction_set.as_str());
        Self {
            path: directory.join(name),
            instruction_set,
        }
    }
}

/// The sets that `directory` has a worker for, the fastest first.
pub fn carried(directory: &Path) -> Vec<InstructionSet> {
    InstructionSet::ALL
        .into_iter()
        .filter(|&set| Executable::in_directory(directory, set).path.is_file())
        .collect()
}

/// The fastest worker in `directory` that runs on `cpu`; or the `wanted` one, and no other in its place.
///
/// # Errors
/// [`HostError::Processor`], [`HostError::InstructionSet`].
pub fn choose(
    directory: &Path,
    wanted: Option<InstructionSet>,
    cpu: Cpu,
) -> Result<Executable, HostError> {
    let lacks = cpu.lacks(InstructionSet::Avx2);
    if !lacks.is_empty() {
        return Err(HostError::Processor { lacks });
    }
    let carried = carried(directory);
    let set = match wanted {
        Some(set) => {
            available(set, cpu, &carried)?;
            set
        }
        None => carried
            .into_iter()
            .find(|&set| cpu.lacks(set).is_empty())
            .unwrap_or(InstructionSet::Avx2),
    };
    Ok(Executable::in_directory(directory, set))
}

/// Refuses a set that the processor lacks, or that no worker is there for.
fn available(set: InstructionSet, cpu: Cpu, carried: &[InstructionSet]) -> Result<(), HostError> {
    let refuse = |reason| Err(HostError::InstructionSet { set, reason });
    let lacks = cpu.lacks(set);
    if !lacks.is_empty() {
        return refuse(format!(
            "this processor, or its kernel, lacks {}",
            lacks.join(", ")
        ));
    }
    if !carried.contains(&set) {
        let there: Vec<_> = carried.iter().map(|set| set.as_str()).collect();
        return refuse(if there.is_empty() {
            "this installation has no worker at all".to_owned()
        } else {
            format!(
                "this installation has workers for {} alone",
                there.join(", ")
            )
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, path::PathBuf};

    use InstructionSet::{Avx2, Avx512};

    use super::*;

    /// A directory with the executables of `sets`; removed when it is dropped.
    struct Wheel(PathBuf);

    impl Wheel {
        fn of(test: &str, sets: &[InstructionSet]) -> Self {
            let name = format!("strongroom-{test}-{}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            fs::create_dir(&directory).unwrap();
            for &set in sets {
                fs::write(Executable::in_directory(&directory, set).path, "").unwrap();
            }
            Self(directory)
        }

        /// What is chosen, or the error's code and message.
        fn choose(
            &self,
            wanted: Option<InstructionSet>,
            cpu: Cpu,
        ) -> Result<InstructionSet, (&'static str, String)> {
            match choose(&self.0, wanted, cpu) {
                Ok(executable) => {
                    let name = format!("strongroom-worker-{}", executable.instruction_set.as_str());
                    assert_eq!(executable.path, self.0.join(name));
                    Ok(executable.instruction_set)
                }
                Err(error) => Err((error.code(), error.to_string())),
            }
        }
    }

    impl Drop for Wheel {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn everything() -> Cpu {
        Cpu::with(|_| true)
    }

    fn haswell() -> Cpu {
        Cpu::with(|feature| !feature.starts_with("avx512"))
    }

    /// AVX-512 as Skylake has it.
    fn without_vnni() -> Cpu {
        Cpu::with(|feature| feature != "avx512vnni")
    }

    #[test]
    fn the_fastest_that_the_processor_runs_is_chosen() {
        let both = Wheel::of("both", &[Avx2, Avx512]);
        assert_eq!(both.choose(None, everything()), Ok(Avx512));
        assert_eq!(both.choose(None, haswell()), Ok(Avx2));
        assert_eq!(both.choose(None, without_vnni()), Ok(Avx2));
        assert_eq!(carried(&both.0), [Avx512, Avx2]);
    }

    #[test]
    fn what_is_not_carried_is_not_chosen() {
        let plain = Wheel::of("plain", &[Avx2]);
        assert_eq!(plain.choose(None, everything()), Ok(Avx2));
        let wide = Wheel::of("wide", &[Avx512]);
        assert_eq!(wide.choose(None, everything()), Ok(Avx512));
        // Starting it then says that it isn't there.
        assert_eq!(wide.choose(None, haswell()), Ok(Avx2));
        let empty = Wheel::of("empty", &[]);
        assert_eq!(empty.choose(None, everything()), Ok(Avx2));
        assert!(carried(&empty.0).is_empty());
    }

    #[test]
    fn a_setting_chooses_and_nothing_takes_its_place() {
        let both = Wheel::of("asked", &[Avx2, Avx512]);
        assert_eq!(both.choose(Some(Avx2), everything()), Ok(Avx2));
        assert_eq!(both.choose(Some(Avx512), everything()), Ok(Avx512));
        let (code, message) = both.choose(Some(Avx512), without_vnni()).unwrap_err();
        assert_eq!(code, "settings.unavailable");
        assert_eq!(
            message,
            "instruction_set=\"avx512\" can't be used here: this processor, or its kernel, lacks avx512vnni"
        );
        let plain = Wheel::of("asked-plain", &[Avx2]);
        let (code, message) = plain.choose(Some(Avx512), everything()).unwrap_err();
        assert_eq!(code, "settings.unavailable");
        assert!(message.ends_with("this installation has workers for avx2 alone"));
        let empty = Wheel::of("asked-empty", &[]);
        let (code, message) = empty.choose(Some(Avx2), everything()).unwrap_err();
        assert_eq!(code, "settings.unavailable");
        assert!(message.ends_with("this installation has no worker at all"));
    }

    #[test]
    fn a_processor_without_avx2_is_refused_whatever_is_asked_for() {
        let both = Wheel::of("old", &[Avx2, Avx512]);
        let old = Cpu::with(|feature| matches!(feature, "sse4.2" | "popcnt" | "avx"));
        for wanted in [None, Some(Avx2), Some(Avx512)] {
            let (code, message) = both.choose(wanted, old).unwrap_err();
            assert_eq!(code, "worker.unsupported_processor");
            assert!(
                message.ends_with("lacks avx2, fma, f16c, bmi2"),
                "{message}"
            );
        }
    }
}
