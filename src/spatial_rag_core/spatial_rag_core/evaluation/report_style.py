"""How the report looks, by day and by night."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --pale: #626a73; --paper: #fff; --line: #dde1e5;
  --tint: #f4f6f8; --good: #1c7f4a; --bad: #b93a2b; --open: #8a6d1a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --pale: #9aa3ac; --paper: #15181b;
  --line: #30363c; --tint: #1d2125; --good: #58c48b; --bad: #f0816f; --open: #d9b655; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: .5rem 0; }
.lead { font-size: 1.12rem; }
.pale, small, figcaption { color: var(--pale); }
.warning { border-left: 4px solid var(--open); background: var(--tint); padding: .6rem 1rem;
  margin: 1rem 0; max-width: 46rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: .8rem 0; }
th, td { text-align: left; padding: .45rem .7rem .45rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--pale); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td small { display: block; }
td:first-child { min-width: 11rem; }
td, small { overflow-wrap: break-word; }
.verdict { font-weight: 650; white-space: nowrap; }
.verdict.good { color: var(--good); } .verdict.bad { color: var(--bad); }
.verdict.open { color: var(--open); }
figure { margin: 1rem 0; }
svg { width: 100%; height: auto; max-width: 60rem; display: block; }
.narrow svg { max-width: 34rem; } .square svg { max-width: 24rem; }
svg text { font-family: system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif !important; }
.strip > div { display: grid; grid-template-columns: 8.5rem 1fr; align-items: center;
  margin-bottom: 3px; font-size: .85rem; }
.strip b { font-weight: 500; color: var(--pale); }
.strip img { width: 100%; image-rendering: pixelated; display: block; }
.steps > div { display: flex; } .steps span { flex: 1; text-align: center; }
pre { background: var(--tint); padding: .8rem 1rem; overflow-x: auto; font-size: .88rem; }
details { margin: .5rem 0; } li { max-width: 60rem; }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; } }
"""
