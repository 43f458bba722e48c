"""Small phrases that results, pages and papers all make, in the same way."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """'1 row', '2 rows'."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """`text` with a capital at its beginning and a stop at its end; a name like vector_mae keeps its spelling."""
    text = text.strip()
    if not text:
        return ""
    start = text if "_" in text.split()[0] else text[0].upper() + text[1:]
    return start + ("" if start[-1] in ".!?…`" else ".")
