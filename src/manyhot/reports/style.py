"""How the page looks: one short style sheet, light or dark as the reader's system is."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #667484; --line: #dfe5eb; --paper: #ffffff; --bar: #cfe3f5;
  --one: #1769aa; --two: #c2571a; --three: #2e7d4f; --four: #7b4ea3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #97a4b1; --line: #303a45; --paper: #14191f;
  --bar: #23445f; --one: #6db3ea; --two: #f0995f; --three: #74c795; --four: #bd98dd; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; font-weight: 600; }
small, footer, summary { color: var(--soft); } footer { margin-top: 3rem; font-size: .85rem; }
summary { cursor: pointer; margin: .8rem 0; } pre { overflow-x: auto; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
.reasons th:last-child, .reasons td:last-child { text-align: left; max-width: 18rem; }
td small { display: block; font-size: .8rem; line-height: 1.3; } code { font-size: .95em; }
.bar { display: block; min-width: 5rem; padding: 0 .3rem; border-radius: 3px;
  background: linear-gradient(to right, var(--bar) calc(var(--share) * 100%), transparent 0); }
svg { width: 100%; max-width: 46rem; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); text-anchor: middle; }
svg .left { text-anchor: end; } svg [class^="name"] { font-weight: 600; }
svg .grid { stroke: var(--line); } svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
.one-line { white-space: nowrap; } .plots { display: flex; flex-wrap: wrap; gap: .8rem; } .plots figure { margin: 0; width: 8.5rem; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; } figcaption small { display: block; }
svg .frame { fill: none; stroke: var(--line); }
.line0 { stroke: var(--one); } .line1 { stroke: var(--two); } .line2 { stroke: var(--three); } .line3 { stroke: var(--four); }
svg .name0, .dot0 { fill: var(--one); } svg .name1, .dot1 { fill: var(--two); }
svg .name2, .dot2 { fill: var(--three); } svg .name3, .dot3 { fill: var(--four); }
"""
