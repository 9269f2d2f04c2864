//! Chat templates of strangers, rendered so that content stays content.
