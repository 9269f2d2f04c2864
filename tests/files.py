"""Models made of other models."""

OTHER = "lllla"
"""An architecture that nobody knows, as long as `llama`."""


def of_another_architecture(data: bytes) -> bytes:
    """Rename the architecture of a `llama` model, in its value and in its keys; the tokenizer stays."""
    tokenizer = b"tokenizer.ggml.model" + (8).to_bytes(4, "little") + (5).to_bytes(8, "little")
    renamed = data.replace(b"llama", OTHER.encode())
    return renamed.replace(tokenizer + OTHER.encode(), tokenizer + b"llama")


def header_end(data: bytes) -> int:
    """Return where the last tensor is described: what follows are the tensors' values."""
    return max(data.rfind(name) for name in (b"blk.", b"output", b"token_embd"))
