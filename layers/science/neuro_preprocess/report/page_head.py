"""What every page of the project begins with: it names no other resource, and looks like the quality report."""

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1b1f24; --quiet: #5b6470; --line: #dde1e6; --link: #0b5cad;
  --pass: #1a7f37; --warn: #9a6700; --fail: #c3262f;
  --pass-tint: #e6f4ea; --warn-tint: #fff3d6; --fail-tint: #fdeaea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101317; --card: #181c22; --text: #e6e9ee; --quiet: #9aa4b1; --line: #2c323b; --link: #79b8ff;
    --pass: #57c979; --warn: #e3b341; --fail: #ff7b80;
    --pass-tint: #14291b; --warn-tint: #2e2610; --fail-tint: #321a1c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 28px 24px 48px; max-width: 1320px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 18px; margin-bottom: 18px; }
h1 { margin: 0; font-size: 25px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 0 0 10px; font-size: 17px; }
header p { flex-basis: 100%; margin: 0; color: var(--quiet); }
.badge {
  padding: 3px 14px; border-radius: 999px; font-weight: 700; letter-spacing: .04em; text-transform: uppercase;
}
.badge.pass { background: var(--pass-tint); color: var(--pass); }
.badge.warn { background: var(--warn-tint); color: var(--warn); }
.badge.fail { background: var(--fail-tint); color: var(--fail); }
section {
  margin-bottom: 18px; padding: 18px 20px; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
}
section > p:last-child { margin-bottom: 0; }
ul.reasons { margin: 0; padding: 0; list-style: none; }
ul.reasons li { padding: 7px 12px; border-left: 4px solid; border-radius: 4px; }
ul.reasons li + li { margin-top: 7px; }
ul.reasons .warn { background: var(--warn-tint); border-color: var(--warn); }
ul.reasons .fail { background: var(--fail-tint); border-color: var(--fail); }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; border-radius: 6px; background: #000; }
figcaption { margin-top: 9px; color: var(--quiet); font-size: 14px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); gap: 0 18px; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 600; white-space: nowrap; }
.number { padding-right: 24px; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.range { white-space: nowrap; }
.meaning { color: var(--quiet); min-width: 16em; }
.quiet { color: var(--quiet); }
.pass-text { color: var(--pass); font-weight: 600; }
.warn-text { color: var(--warn); font-weight: 600; }
.fail-text { color: var(--fail); font-weight: 600; }
code { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
@media print {
  :root {
    --page: #fff; --card: #fff; --text: #000; --quiet: #444; --line: #bbb;
    --pass: #1a7f37; --warn: #7a5200; --fail: #b01f28;
    --pass-tint: #fff; --warn-tint: #fff; --fail-tint: #fff;
  }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  section { border: 0; padding: 0; border-radius: 0; }
  .pair > section { break-inside: avoid; }
  table { font-size: 9.5pt; }
  th, td { padding-top: 2.5px; padding-bottom: 2.5px; }
  .badge { border: 1.5px solid; }
  h2, figure, tr, li { break-inside: avoid; }
  h2 { break-after: avoid; }
  figure img { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
""".strip()

# No script, nothing from elsewhere: the page stays what it is wherever it is opened.
_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page_head(title: str, *, further_style: str = "") -> list[str]:
    """Lines of HTML up to the end of the head.

    Parameters
    ----------
    title : str
        Escaped already.
    further_style : str
        CSS of this page alone.
    """
    style = f"{_STYLE}\n{further_style}" if further_style else _STYLE
    return [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="robots" content="noindex">',
        f"<title>{title}</title>",
        f"<style>\n{style}\n</style>",
        "</head>",
    ]
