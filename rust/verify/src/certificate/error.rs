//! Why a certificate, or the chain behind it, is refused.

use crate::manifest::shown;

/// Every code of [`CertificateError`].
pub const CODES: &[&str] = &[
    "certificate.authority",
    "certificate.critical_extension",
    "certificate.expired",
    "certificate.extended_key_usage",
    "certificate.key_usage",
    "certificate.malformed",
    "certificate.no_root",
    "certificate.not_yet_valid",
    "certificate.other_key",
    "certificate.path_length",
    "certificate.untrusted",
];

/// A chain of certificates that doesn't vouch for a signer. Subjects in it are printable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// One that isn't an authority signed others, or one that is an authority signs a model.
    #[error("the certificate of \"{subject}\" {reason}")]
    Authority {
        /// Whose.
        subject: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// It restricts itself in a way that isn't understood here.
    #[error("the certificate of \"{subject}\" has a critical extension that isn't known: {oid}")]
    CriticalExtension {
        /// Whose.
        subject: String,
        /// Which, or several.
        oid: String,
    },
    /// Its time is over.
    #[error("the certificate of \"{subject}\" expired on {not_after}")]
    Expired {
        /// Whose.
        subject: String,
        /// Last valid second.
        not_after: String,
    },
    /// It is for something else.
    #[error("the certificate of \"{subject}\" is not for code signing")]
    ExtendedKeyUsage {
        /// Whose.
        subject: String,
    },
    /// Its key is for something else.
    #[error("the key in the certificate of \"{subject}\" may not {purpose}")]
    KeyUsage {
        /// Whose.
        subject: String,
        /// What it was used for.
        purpose: &'static str,
    },
    /// No certificate, or not to the letter.
    #[error("the {what} is malformed: {reason}")]
    Malformed {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of certificates of which none signed itself, by its own key.
    #[error(
        "none of the {count} certificates that were given is a root: none is signed by its own key"
    )]
    NoRoot {
        /// How many there are.
        count: usize,
    },
    /// Its time hasn't come.
    #[error("the certificate of \"{subject}\" is not valid before {not_before}")]
    NotYetValid {
        /// Whose.
        subject: String,
        /// First valid second.
        not_before: String,
    },
    /// The private key is another one's.
    #[error("the certificate of \"{subject}\" is not that of the private key")]
    OtherKey {
        /// Whose.
        subject: String,
    },
    /// More authorities below one than it allows.
    #[error("the certificate of \"{subject}\" allows {allowed} authorities below it, not {found}")]
    PathLength {
        /// Whose.
        subject: String,
        /// As it says.
        allowed: usize,
        /// Found below it.
        found: usize,
    },
    /// No chain of valid signatures leads to a root.
    #[error("no chain leads from the signer's certificate to a pinned root: {reason}")]
    Untrusted {
        /// What failed on the best way.
        reason: String,
    },
}

impl CertificateError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Authority { .. } => "certificate.authority",
            Self::CriticalExtension { .. } => "certificate.critical_extension",
            Self::Expired { .. } => "certificate.expired",
            Self::ExtendedKeyUsage { .. } => "certificate.extended_key_usage",
            Self::KeyUsage { .. } => "certificate.key_usage",
            Self::Malformed { .. } => "certificate.malformed",
            Self::NoRoot { .. } => "certificate.no_root",
            Self::NotYetValid { .. } => "certificate.not_yet_valid",
            Self::OtherKey { .. } => "certificate.other_key",
            Self::PathLength { .. } => "certificate.path_length",
            Self::Untrusted { .. } => "certificate.untrusted",
        }
    }

    /// What the caller can do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Authority { .. } | Self::PathLength { .. } | Self::CriticalExtension { .. } => {
                "ask the publisher for a certificate that its authority may issue"
            }
            Self::Expired { .. } => {
                "ask the publisher to sign the model again, and check this machine's clock"
            }
            Self::ExtendedKeyUsage { .. } | Self::KeyUsage { .. } => {
                "ask the publisher to sign with a certificate for digital signatures and code \
                 signing"
            }
            Self::Malformed { .. } => "give certificates as PEM blocks, each CERTIFICATE",
            Self::NoRoot { .. } => "give the root of the chain too, which signed itself",
            Self::NotYetValid { .. } => "check this machine's clock",
            Self::OtherKey { .. } => "give the certificate that was issued for this key",
            Self::Untrusted { .. } => {
                "don't load this model, unless its publisher names another root: then pin that"
            }
        }
    }

    pub(super) fn malformed(what: &'static str, reason: &dyn std::fmt::Display) -> Self {
        Self::Malformed {
            what,
            reason: shown(&reason.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_errors() {
        let subject = || String::from("CN=a");
        let errors = [
            CertificateError::Authority {
                subject: subject(),
                reason: "b",
            },
            CertificateError::CriticalExtension {
                subject: subject(),
                oid: String::from("1.2"),
            },
            CertificateError::Expired {
                subject: subject(),
                not_after: String::new(),
            },
            CertificateError::ExtendedKeyUsage { subject: subject() },
            CertificateError::KeyUsage {
                subject: subject(),
                purpose: "b",
            },
            CertificateError::malformed("file", &"b"),
            CertificateError::NoRoot { count: 1 },
            CertificateError::NotYetValid {
                subject: subject(),
                not_before: String::new(),
            },
            CertificateError::OtherKey { subject: subject() },
            CertificateError::PathLength {
                subject: subject(),
                allowed: 0,
                found: 1,
            },
            CertificateError::Untrusted {
                reason: String::new(),
            },
        ];
        assert_eq!(errors.each_ref().map(CertificateError::code), CODES);
        for error in errors {
            assert!(!error.next_step().is_empty());
        }
    }
}
