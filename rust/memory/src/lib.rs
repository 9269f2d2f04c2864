//! Sealed images of models.
