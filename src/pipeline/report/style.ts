/** The page's only style sheet: no font, picture or script comes from elsewhere. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: #fbfbf9; --card: #ffffff; --ink: #1b1d21; --soft: #5d636d; --rule: #dcdcd6; --quiet: #f2f2ee;
  --accent: #2a5fb8; --good: #0a7a4b; --bad: #b3302f;
  --baseline: #9aa0a8; --others: #c4c7cc; --inside: #ffffff;
  --series-1: #2a6fc9; --series-2: #12855c; --series-3: #b26a00; --series-4: #6a4bb5;
  --series-5: #c23b3a; --series-6: #0f7f92; --series-7: #b8447f; --series-8: #75701a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --card: #1d2024; --ink: #e8e9eb; --soft: #a2a8b1; --rule: #353a41; --quiet: #24282d;
    --accent: #7fb0f5; --good: #4cc38a; --bad: #f0817e;
    --baseline: #79808a; --others: #565c65; --inside: #101214;
    --series-1: #6aa5f2; --series-2: #45b98a; --series-3: #dd9a3c; --series-4: #a78df0;
    --series-5: #ee7d7a; --series-6: #4fb9cb; --series-7: #e283b4; --series-8: #bdb64f;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 64px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 44px 0 10px; padding-top: 14px; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 22px 0 6px; }
p { margin: 6px 0 10px; max-width: 75ch; }
.soft, .caption, figcaption { color: var(--soft); font-size: .9rem; }
.verdict { margin: 22px 0; padding: 18px 20px; background: var(--card); border: 1px solid var(--rule); border-left: 5px solid var(--baseline); border-radius: 6px; }
.verdict strong { display: block; font-size: 1.3rem; line-height: 1.3; }
.verdict.good { border-left-color: var(--good); }
.verdict.bad { border-left-color: var(--bad); }
.yet { color: var(--soft); background: var(--quiet); border-radius: 6px; padding: 10px 14px; display: inline-block; }
.table { overflow-x: auto; margin: 2px 0 16px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
.caption { margin: 16px 0 0; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 600; color: var(--soft); font-size: .84rem; vertical-align: bottom; }
tbody th { color: var(--ink); font-size: inherit; vertical-align: top; }
th.n, td.n { text-align: right; white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; }
td.text, tbody th { overflow-wrap: anywhere; min-width: 7em; }
tbody th { min-width: 9em; }
code, pre { font: .86rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); gap: 14px 26px; align-items: start; margin: 14px 0; }
.figures.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; max-width: 440px; height: auto; }
figcaption { margin-top: 2px; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--ink); }
svg .label { font-weight: 600; }
svg .note { font-variant-numeric: tabular-nums; fill: var(--soft); }
svg .tick { font-size: 11px; fill: var(--soft); }
svg .inside { fill: var(--inside); font-weight: 600; }
svg .rule { stroke: var(--soft); stroke-width: 1; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .mean { stroke: var(--ink); stroke-width: 1.5; }
svg .whisker { stroke: var(--ink); stroke-width: 1.5; }
svg .outline { fill: none; stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 3 2; }
svg .line { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round; }
svg .fill { fill: currentColor; }
svg .band { fill: currentColor; opacity: .22; }
.baseline { color: var(--baseline); } .others { color: var(--others); }
.series-1 { color: var(--series-1); } .series-2 { color: var(--series-2); } .series-3 { color: var(--series-3); }
.series-4 { color: var(--series-4); } .series-5 { color: var(--series-5); } .series-6 { color: var(--series-6); }
.series-7 { color: var(--series-7); } .series-8 { color: var(--series-8); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 4px 0; padding: 0; list-style: none; font-size: .86rem; }
.legend li { overflow-wrap: anywhere; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; background: currentColor; margin-right: .45em; }
.legend span { color: var(--ink); }
.example { margin: 18px 0 26px; padding: 14px 16px; background: var(--card); border: 1px solid var(--rule); border-radius: 6px; }
.example h3 { margin-top: 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 14px; }
.pair > div { min-width: 0; }
.said { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; background: var(--quiet); border-radius: 5px; padding: 9px 12px; margin: 4px 0 8px; max-height: 26em; overflow-y: auto; font-size: .93rem; }
.parts { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 8px; font-size: .82rem; }
.parts li { border: 1px solid var(--rule); border-radius: 4px; padding: 0 7px; overflow-wrap: anywhere; }
.up { color: var(--good); } .down { color: var(--bad); }
.filters { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: end; padding: 12px 14px; margin: 14px 0; background: var(--card); border: 1px solid var(--rule); border-radius: 6px; font-size: .88rem; }
.filters label { display: grid; gap: 2px; color: var(--soft); min-width: 0; }
.filters input, .filters select, .filters button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--rule); border-radius: 4px; padding: 4px 7px; max-width: 100%; }
.filters input[type=number] { width: 6.5em; } .filters output { color: var(--ink); }
.shown { scroll-margin-top: 9rem; content-visibility: auto; contain-intrinsic-size: auto 900px; }
.shown > details { border-top: 1px solid var(--rule); padding: 5px 0; }
.shown summary { overflow-wrap: anywhere; }
.tag { border: 1px solid var(--rule); border-radius: 4px; padding: 0 6px; font-size: .82rem; white-space: nowrap; }
.tag.flag { color: var(--bad); border-color: var(--bad); } .tag.role { color: var(--good); border-color: var(--good); }
ins { color: var(--good); text-decoration: underline; } del { color: var(--bad); }
[hidden] { display: none !important; }
details > summary { cursor: pointer; color: var(--accent); }
pre { background: var(--quiet); border-radius: 5px; padding: 12px 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 600px) { main { padding: 18px 14px 48px; } h1 { font-size: 1.5rem; } .verdict strong { font-size: 1.1rem; } th, td { padding-right: 10px; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --rule: #bbb; --quiet: #f6f6f6;
    --accent: #000; --good: #0a6a40; --bad: #9c2020; --baseline: #9aa0a8; --others: #c4c7cc; --inside: #fff;
    --series-1: #2a6fc9; --series-2: #12855c; --series-3: #b26a00; --series-4: #6a4bb5;
    --series-5: #c23b3a; --series-6: #0f7f92; --series-7: #b8447f; --series-8: #75701a; }
  body { font-size: 11pt; } main { max-width: none; padding: 0; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3, .caption { break-after: avoid; } figure, .verdict, .example, tr { break-inside: avoid; }
  .said { max-height: none; overflow: visible; } .table { overflow: visible; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
`;
