"""The rows as a picture: a bar per half with its confidence interval, drawn as SVG."""

WIDTH, ROW_HEIGHT, LEFT, TOP = 720, 46, 60, 46
COLOURS = {"seen": "#7a8ba3", "unseen": "#e07b39"}
FONT = 'font-family="sans-serif" font-size="13"'


def draw_rows(rates: dict[str, dict[str, dict]]) -> str:
    """SVG text; `rates` by row and half with `successes`, `attempts`, `low`, `high`."""
    height = TOP + ROW_HEIGHT * len(rates) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" {FONT}>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        *_legend(),
        *_axis(height),
    ]
    for number, (letter, halves) in enumerate(rates.items()):
        top = TOP + ROW_HEIGHT * number
        parts.append(f'<text x="{LEFT - 16}" y="{top + 22}" text-anchor="end">{letter}</text>')
        parts += [line for place, half in enumerate(COLOURS) for line in _bar(halves[half], half, top + 18 * place)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def across(share: float) -> float:
    """Horizontal place of a share, px."""
    return LEFT + share * (WIDTH - LEFT - 40)


def _bar(rate: dict, half: str, top: float) -> list[str]:
    end = across(rate["successes"] / rate["attempts"])
    low, high, middle = across(rate["low"]), across(rate["high"]), top + 8
    return [
        f'<rect x="{LEFT}" y="{top}" width="{end - LEFT:.1f}" height="16" fill="{COLOURS[half]}"/>',
        f'<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {top + 4}v8M{high:.1f} {top + 4}v8" stroke="black"/>',
    ]


def _legend() -> list[str]:
    lines = []
    for number, (half, colour) in enumerate(COLOURS.items()):
        left = LEFT + 150 * number
        lines.append(f'<rect x="{left}" y="10" width="14" height="14" fill="{colour}"/>')
        lines.append(f'<text x="{left + 20}" y="22">{half} half</text>')
    return [*lines, f'<text x="{LEFT + 300}" y="22">success, 95 % interval</text>']


def _axis(height: int) -> list[str]:
    lines = []
    for tenth in range(0, 11, 2):
        x = across(tenth / 10)
        lines.append(f'<path d="M{x:.1f} {TOP - 8}V{height - 22}" stroke="#dddddd"/>')
        lines.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{10 * tenth} %</text>')
    return lines
