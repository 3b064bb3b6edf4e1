"""The look of the trace page, on top of the quality report's."""

TRACE_STYLE = """
:root {
  --grid: #e8ebef; --hover: #f2f4f7;
  --c0: #6b7684; --c1: #2f7ed8; --c2: #8a56c2; --c3: #c9761a; --c4: #1f9383; --c5: #b8478f; --c6: #6f8f1f;
  --c7: #4a5fc1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --grid: #262b33; --hover: #20252d;
    --c0: #8b97a6; --c1: #5aa2ee; --c2: #b48be4; --c3: #e39b4a; --c4: #45bfad; --c5: #df7bba; --c6: #a0c24a;
    --c7: #8496ee;
  }
}
.colour-0 { --bar: var(--c0); } .colour-1 { --bar: var(--c1); } .colour-2 { --bar: var(--c2); }
.colour-3 { --bar: var(--c3); } .colour-4 { --bar: var(--c4); } .colour-5 { --bar: var(--c5); }
.colour-6 { --bar: var(--c6); } .colour-7 { --bar: var(--c7); }
a { color: var(--link); }
dl.facts { display: flex; flex-wrap: wrap; gap: 10px 34px; margin: 0; }
dl.facts dt { color: var(--quiet); font-size: 13px; }
dl.facts dd { margin: 0; font-size: 21px; font-weight: 650; font-variant-numeric: tabular-nums; }
dl.facts dd.fail-text { font-weight: 650; }
p.ids { margin: 12px 0 0; color: var(--quiet); font-size: 13px; }
.waterfall { font-size: 13.5px; }
.waterfall ol { margin: 0; padding: 0; list-style: none; }
.waterfall li { padding: 5px 0; border-top: 1px solid var(--line); }
.row { display: grid; grid-template-columns: minmax(200px, 27%) 1fr; align-items: stretch; min-height: 23px; }
summary.row { cursor: pointer; list-style: none; border-radius: 4px; }
summary.row::-webkit-details-marker { display: none; }
a.row { color: inherit; text-decoration: none; border-radius: 4px; }
a.row .label { padding-left: 19px; }
a.row:focus-visible { outline: 2px solid var(--link); }
summary.row:hover, a.row:hover { background-color: var(--hover); }
summary.row:focus-visible { outline: 2px solid var(--link); }
.label {
  display: flex; align-items: center; gap: 6px; min-width: 0; padding: 1px 8px 1px calc(4px + var(--depth, 0) * 14px);
}
.label .name { flex: 0 1 auto; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.label .object {
  flex: 1 1 0; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--quiet);
  font-size: 12px;
}
summary .label::before { content: "+"; flex: 0 0 9px; color: var(--quiet); font: 12px ui-monospace, monospace; }
details[open] > summary .label::before { content: "\\2212"; }
.first .name { font-weight: 650; }
.chip {
  flex: none; padding: 0 7px; border-radius: 999px; border: 1px solid var(--line); color: var(--quiet);
  font-size: 11.5px; line-height: 17px; white-space: nowrap;
}
.chip.cold { border-color: var(--bar); color: var(--text); }
.chip.error { border-color: var(--fail); background: var(--fail-tint); color: var(--fail); }
.track {
  position: relative; display: block; border-right: 1px solid var(--grid);
  background: repeating-linear-gradient(to right, var(--grid) 0 1px, transparent 1px var(--step));
}
.track i {
  position: absolute; top: 4px; bottom: 4px; min-width: 2px; border-radius: 2px; background: var(--bar); opacity: .62;
}
.first .track i { opacity: 1; }
.track i.init, .legend .init i {
  opacity: 1; border: 1px solid var(--bar, var(--quiet));
  background: repeating-linear-gradient(-45deg, var(--bar, var(--quiet)) 0 2px, transparent 2px 5px);
}
.wait .label { color: var(--quiet); font-style: italic; padding-left: 19px; }
.track i.wait, .legend .wait i {
  top: 50%; bottom: auto; height: 0; border-radius: 0; border-top: 2px dotted var(--quiet); background: none;
  opacity: 1;
}
.wait .track b { color: var(--quiet); }
.error .track i { opacity: 1; background: var(--fail); }
li:target { scroll-margin-top: 12px; background: var(--hover); }
.overview li { padding: 0; border: 0; }
.overview .row { min-height: 26px; }
.track b {
  position: absolute; top: 50%; transform: translateY(-50%); padding: 0 6px; white-space: nowrap;
  font-weight: 400; font-size: 12px; font-variant-numeric: tabular-nums;
}
.track b.over { border-radius: 3px; background: var(--card); margin-right: 5px; line-height: 14px; }
.axis { min-height: 20px; color: var(--quiet); font-size: 12px; }
.axis .track span { position: absolute; bottom: 1px; padding-left: 4px; white-space: nowrap; }
.about { margin: 3px 0 9px 19px; padding: 8px 12px; border-left: 3px solid var(--bar); background: var(--hover); }
.about p { margin: 8px 0 4px; }
dl.values {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr)); gap: 2px 22px; margin: 0;
}
dl.values div { display: flex; gap: 8px; min-width: 0; }
dl.values dt { flex: none; color: var(--quiet); }
dl.values dd {
  margin: 0; overflow-wrap: anywhere; white-space: pre-wrap;
  font: 12.5px/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
ul.legend {
  display: flex; flex-wrap: wrap; gap: 3px 18px; margin: 10px 0 0; padding: 0; list-style: none;
  color: var(--quiet); font-size: 13px;
}
ul.legend li { display: flex; align-items: center; gap: 7px; }
ul.legend i { display: block; width: 22px; height: 11px; border-radius: 2px; background: var(--bar); }
.logs td, .metrics td, .metrics th { font-variant-numeric: tabular-nums; }
.logs .message { min-width: 14em; }
.logs .more {
  min-width: 15em; color: var(--quiet); font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere;
}
.logs .nowrap { white-space: nowrap; }
.metrics tbody th { white-space: normal; font-weight: 400; }
.metrics code { font-weight: 600; }
.metrics .description { display: block; color: var(--quiet); font-size: 13px; }
.metrics summary { cursor: pointer; color: var(--link); font-size: 13px; }
.metrics table { margin: 4px 0; font-size: 13px; }
.metrics table td, .metrics table th { padding: 2px 14px 2px 0; }
footer { color: var(--quiet); font-size: 13px; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 4px; }
@media (max-width: 700px) {
  body { padding: 18px 12px 32px; }
  section { padding: 14px 12px; }
  .row { grid-template-columns: 1fr; }
  .row .track { min-height: 18px; }
  .track i { top: 3px; bottom: 3px; }
  .axis .label { display: none; }
  .label { padding-left: calc(var(--depth, 0) * 10px); }
  a.row .label { padding-left: 0; }
}
@media print {
  .track i, .track, .legend i, .chip { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .waterfall li { break-inside: auto; }
  .row { grid-template-columns: 34% 1fr; break-inside: avoid; }
  .first, .wait { break-after: avoid; }
  summary .label::before { content: ""; }
}
""".strip()
