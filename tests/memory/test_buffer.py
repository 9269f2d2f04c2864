import gc

import numpy as np
import pytest

from strongroom import ArenaError, SecureArena, SecureBuffer, compare_digest

CONTENT = b"nobody's business"


def array_of(buffer: SecureBuffer) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    return np.frombuffer(buffer, np.uint8)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def arena() -> SecureArena:
    return SecureArena(1 << 20)


@pytest.fixture
def buffer(arena: SecureArena) -> SecureBuffer:
    buffer = arena.allocate(len(CONTENT), "test")
    buffer.write(CONTENT)
    return buffer


def test_views_are_of_the_memory_itself(buffer: SecureBuffer) -> None:
    view, array = memoryview(buffer), array_of(buffer)
    assert bytes(view) == bytes(array) == CONTENT
    assert not view.readonly
    array[0] = ord("N")
    assert view[0] == ord("N")
    assert (view.format, view.shape, len(buffer)) == ("B", (len(CONTENT),), len(CONTENT))
    assert array.__array_interface__["data"][0] % 4096 == 4096 - len(CONTENT)


def test_a_viewed_buffer_is_not_closed(arena: SecureArena, buffer: SecureBuffer) -> None:
    array = array_of(buffer)[3:]
    with pytest.raises(BufferError) as caught:
        buffer.close()
    assert isinstance(caught.value, ArenaError)
    assert caught.value.code == "arena.in_use"
    assert bytes(array) == CONTENT[3:]
    with pytest.raises(BufferError), buffer:
        pass
    assert arena.usage()[0].views == 1
    del array
    gc.collect()
    buffer.close()
    assert arena.usage() == ()


def test_a_view_keeps_what_its_buffer_was(arena: SecureArena) -> None:
    buffer = arena.allocate(len(CONTENT), "test")
    buffer.write(CONTENT)
    view = array_of(buffer)
    del buffer, arena
    gc.collect()
    assert bytes(view) == CONTENT


def test_a_closed_buffer_stays_closed(arena: SecureArena, buffer: SecureBuffer) -> None:
    with buffer as entered:
        assert entered is buffer
        seen = [buffer.closed]
    seen.append(buffer.closed)
    assert seen == [False, True]
    buffer.close()
    other = arena.allocate(10, "other")
    for use in (lambda: memoryview(buffer), lambda: array_of(buffer), lambda: buffer.write(b"x")):
        with pytest.raises(ArenaError) as caught:
            use()
        assert caught.value.code == "arena.closed"
    buffer.close()
    assert [usage.purpose for usage in arena.usage()] == ["other"]
    other.close()


def test_what_is_written_must_fit(buffer: SecureBuffer) -> None:
    buffer.write(b"NOBODY")
    buffer.write(memoryview(b"BUSINESS"), 9)
    buffer.write(bytearray(), len(CONTENT))
    assert bytes(buffer) == b"NOBODY's BUSINESS"
    for data, offset in ((bytes(18), 0), (b"x", 17), (b"", 18), (b"x", 2**63)):
        with pytest.raises(ArenaError, match="doesn't fit") as caught:
            buffer.write(data, offset)
        assert caught.value.code == "arena.invalid"
    with pytest.raises(OverflowError):
        buffer.write(b"x", -1)
    with pytest.raises(TypeError):
        buffer.write("text")  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        buffer.write(memoryview(b"abcd")[::2])
    assert bytes(buffer) == b"NOBODY's BUSINESS"


def test_a_buffer_may_be_written_from_itself(buffer: SecureBuffer) -> None:
    with memoryview(buffer) as view:
        buffer.write(view[:8], 4)
    assert bytes(buffer) == b"nobonobody'siness"


def test_new_memory_is_zeros(arena: SecureArena) -> None:
    for _ in range(3):
        with arena.allocate(5000, "test") as buffer:
            assert not any(memoryview(buffer))
            buffer.write(b"\xa5" * 5000)


def test_content_is_never_shown(buffer: SecureBuffer) -> None:
    assert repr(buffer) == f'<strongroom.SecureBuffer of {len(CONTENT)} bytes for "test">'
    buffer.close()
    assert repr(buffer).endswith('for "test", closed>')


def test_secrets_are_compared(buffer: SecureBuffer) -> None:
    assert compare_digest(buffer, CONTENT)
    assert compare_digest(CONTENT, bytearray(CONTENT))
    assert compare_digest(memoryview(CONTENT), array_of(buffer).data)
    assert not compare_digest(buffer, CONTENT[:-1])
    assert not compare_digest(buffer, CONTENT[:-1] + b"S")
    assert compare_digest(b"", b"")
    assert compare_digest("token", "token")
    assert not compare_digest("token", "tokem")
    for pair in (("text", b"text"), (b"text", "text"), ("é", "é"), (1, 1), (None, b""), ([1], [1])):
        with pytest.raises(TypeError) as caught:
            compare_digest(*pair)
        assert "é" not in str(caught.value)
