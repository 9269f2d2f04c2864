"""Services that wrap data keys: AWS KMS, and the transit engine of OpenBao and Vault."""
