//! Instruction sets: what the workers are compiled for, and what the processor and the kernel offer.

use std::fmt;

/// What both compilers use for a worker, by Rust's names of target features; the first seven for AVX2.
/// `popcnt` is among them because the C++ compiler takes it as given with SSE 4.2.
const FEATURES: [&str; 13] = [
    "sse4.2",
    "popcnt",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "bmi2",
    "avx512f",
    "avx512cd",
    "avx512vl",
    "avx512dq",
    "avx512bw",
    "avx512vnni",
];

/// What a worker is compiled for: a file in `instruction-sets/` beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX2, and what processors have that have it.
    Avx2,
    /// AVX-512 F, CD, VL, DQ, BW and VNNI, and AVX2.
    Avx512,
}

impl InstructionSet {
    /// The faster first.
    pub const ALL: [Self; 2] = [Self::Avx512, Self::Avx2];

    /// As in the name of the worker's executable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Every feature that a worker of this set may use.
    pub fn features(self) -> &'static [&'static str] {
        match self {
            Self::Avx2 => &FEATURES[..7],
            Self::Avx512 => &FEATURES,
        }
    }
}

/// The features that a processor and its kernel offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    has: [bool; FEATURES.len()],
}

impl Cpu {
    /// Asks this processor by CPUID. AVX and what builds on it, and AVX-512, count only where XGETBV
    /// says that the kernel saves their registers: the standard library's macro asks for that too.
    pub fn detect() -> Self {
        Self::with(detected)
    }

    /// A processor of which `has` knows the features.
    pub fn with(has: impl Fn(&str) -> bool) -> Self {
        Self {
            has: FEATURES.map(has),
        }
    }

    /// What a worker of `set` would miss here; nothing if it can run.
    pub fn lacks(&self, set: InstructionSet) -> Vec<&'static str> {
        let features = set.features().iter().zip(self.has);
        features
            .filter(|&(_, has)| !has)
            .map(|(&feature, _)| feature)
            .collect()
    }

    /// Of the features that workers use, those that are here.
    pub fn features(&self) -> Vec<&'static str> {
        let features = FEATURES.iter().zip(self.has);
        features
            .filter(|&(_, has)| has)
            .map(|(&feature, _)| feature)
            .collect()
    }
}

fn detected(feature: &str) -> bool {
    match feature {
        "sse4.2" => is_x86_feature_detected!("sse4.2"),
        "popcnt" => is_x86_feature_detected!("popcnt"),
        "avx" => is_x86_feature_detected!("avx"),
        "avx2" => is_x86_feature_detected!("avx2"),
        "fma" => is_x86_feature_detected!("fma"),
        "f16c" => is_x86_feature_detected!("f16c"),
        "bmi2" => is_x86_feature_detected!("bmi2"),
        "avx512f" => is_x86_feature_detected!("avx512f"),
        "avx512cd" => is_x86_feature_detected!("avx512cd"),
        "avx512vl" => is_x86_feature_detected!("avx512vl"),
        "avx512dq" => is_x86_feature_detected!("avx512dq"),
        "avx512bw" => is_x86_feature_detected!("avx512bw"),
        "avx512vnni" => is_x86_feature_detected!("avx512vnni"),
        _ => false,
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [wide, plain] = InstructionSet::ALL.map(|set| self.lacks(set));
        if !plain.is_empty() {
            write!(f, "lacks {}", plain.join(", "))
        } else if wide.is_empty() {
            f.write_str("AVX2, AVX-512")
        } else if self.features().contains(&"avx512f") {
            // Some of AVX-512 is no reason to wonder why it isn't used.
            write!(f, "AVX2; of AVX-512 it lacks {}", wide.join(", "))
        } else {
            f.write_str("AVX2")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The features that a build with `file` lets the compilers use.
    fn compiled(file: &str) -> BTreeSet<&str> {
        let flags = file
            .lines()
            .find_map(|line| line.split_once("target-feature="))
            .map(|(_, flags)| flags.trim_end_matches("\"]"))
            .unwrap_or_default();
        let mut features: BTreeSet<_> = flags
            .split(',')
            .map(|flag| flag.trim_start_matches('+'))
            .filter(|&flag| flag != "crt-static")
            .collect();
        if features.contains("sse4.2") {
            features.insert("popcnt");
        }
        for line in file.lines().filter(|line| line.starts_with("GGML_")) {
            let (option, value) = line.split_once(" = ").unwrap_or_default();
            assert_eq!(value, r#"{ value = "ON", force = true }"#);
            features.extend(match option {
                "GGML_AVX512" => ["avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"].iter(),
                "GGML_AVX512_VNNI" => ["avx512vnni"].iter(),
                _ => panic!("{option} lets llama.cpp use something that no processor is asked for"),
            });
        }
        features
    }

    #[test]
    fn a_processor_is_asked_for_what_the_workers_are_compiled_with() {
        let files = [
            include_str!("../../../worker/instruction-sets/avx512.toml"),
            include_str!("../../../worker/instruction-sets/avx2.toml"),
        ];
        for (set, file) in InstructionSet::ALL.into_iter().zip(files) {
            let asked: BTreeSet<_> = set.features().iter().copied().collect();
            assert_eq!(asked, compiled(file), "{set:?}");
        }
    }

    #[test]
    fn every_feature_can_be_detected_and_is_told_apart() {
        for feature in FEATURES {
            let without = Cpu::with(|other| other != feature);
            assert_eq!(without.lacks(InstructionSet::Avx512), [feature]);
            let only = Cpu::with(|other| other == feature);
            assert_eq!(only.features(), [feature]);
        }
        // The kernel's list has the features by names of its own.
        let listed = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = listed
            .lines()
            .find(|line| line.starts_with("flags"))
            .unwrap_or_default();
        let flags: BTreeSet<_> = flags.split_whitespace().collect();
        for feature in FEATURES {
            let name = match feature {
                "sse4.2" => "sse4_2",
                "avx512vnni" => "avx512_vnni",
                same => same,
            };
            assert_eq!(detected(feature), flags.contains(name), "{feature}");
        }
    }

    #[test]
    fn one_feature_too_few_is_a_set_too_few() {
        use InstructionSet::{Avx2, Avx512};
        let no_vnni = Cpu::with(|feature| feature != "avx512vnni");
        assert_eq!(no_vnni.lacks(Avx512), ["avx512vnni"]);
        assert!(no_vnni.lacks(Avx2).is_empty());
        assert_eq!(no_vnni.to_string(), "AVX2; of AVX-512 it lacks avx512vnni");

        let no_fma = Cpu::with(|feature| feature != "fma");
        assert_eq!(no_fma.lacks(Avx2), ["fma"]);
        assert_eq!(no_fma.lacks(Avx512), ["fma"]);
        assert_eq!(no_fma.to_string(), "lacks fma");

        let haswell = Cpu::with(|feature| !feature.starts_with("avx512"));
        assert_eq!(haswell.to_string(), "AVX2");
        assert_eq!(Cpu::with(|_| true).to_string(), "AVX2, AVX-512");
    }
}
